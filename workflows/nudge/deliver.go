package nudge

import (
	"context"
	"fmt"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// deliver gives a batch to Temporal: a signal to the workflow, which starts if it does not run. It has a deadline of its
// own, since each of the batch's callers may leave at any time.
func (n *Nudger) deliver(l *lane, b *batch) error {
	ctx, cancel := context.WithTimeout(context.Background(), n.options.Timeout)
	defer cancel()

	id, workflow := names.Contacts(l.location), names.SyncContacts
	var input any = names.LocationInput{Location: l.location}
	contact := ""
	if len(b.hints) == 1 {
		contact = b.hints[0].Contact
		id, workflow = names.Contact(l.location, contact), names.SyncContact
		input = names.ContactInput{Location: l.location, Contact: contact}
	}
	_, err := n.temporal.SignalWithStartWorkflow(ctx, id, names.ChangedSignal, names.Changed{Hints: b.hints},
		n.options.Start(l.location, contact), workflow, input)
	if err != nil {
		return fmt.Errorf("nudge: signal %s: %w", workflow, err)
	}
	return nil
}

// Start says how the workflow of a contact starts, or a location's when contact is empty. Whoever starts it in another
// way than by a signal starts it the same.
func (o Options) Start(location, contact string) client.StartWorkflowOptions {
	options := client.StartWorkflowOptions{
		TaskQueue:                names.Workflows,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, // it completes whenever it is quiet
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		Priority:                 temporal.Priority{PriorityKey: or(o.Priority, names.PriorityLive), FairnessKey: location},
		StaticSummary:            "Bring the changed contacts of GHL location `" + location + "` into step in Rankr",
	}
	attributes := []temporal.SearchAttributeUpdate{names.GhlLocation.ValueSet(location)}
	if contact != "" {
		options.StaticSummary = "Bring GHL contact `" + contact + "` of location `" + location + "` into step in Rankr"
		attributes = append(attributes, names.GhlContact.ValueSet(contact))
	}
	if o.SearchAttributes != nil && o.SearchAttributes() {
		options.TypedSearchAttributes = temporal.NewSearchAttributes(attributes...)
	}
	return options
}
