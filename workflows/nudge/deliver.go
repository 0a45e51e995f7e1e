package nudge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// deliver gives a batch to Temporal: a signal to the workflow, which starts if it does not run, or a poll. It has a
// deadline of its own, since each of the batch's callers may leave at any time.
func (n *Nudger) deliver(l *lane, b *batch) error {
	ctx, cancel := context.WithTimeout(context.Background(), n.options.Timeout)
	defer cancel()

	if l.target == poll {
		return n.poll(ctx, l.location)
	}
	id, workflow, contact := names.Contacts(l.location), names.SyncContacts, ""
	var input any = names.LocationInput{Location: l.location}
	if len(b.hints) == 1 {
		contact = b.hints[0].Contact
		id, workflow = names.Contact(l.location, contact), names.SyncContact
		input = names.ContactInput{Location: l.location, Contact: contact}
	}
	switch l.target {
	case tasksAndNotes:
		id, workflow = l.id, names.AlignTasksAndNotes
	case segments:
		id, workflow = l.id, names.SegmentContact
	case business:
		id, workflow, input = l.id, names.SyncBusiness, names.BusinessInput{Location: l.location, Business: contact}
		b.hints[0].Contact = "" // it is no contact's
	}
	_, err := n.temporal.SignalWithStartWorkflow(ctx, id, names.ChangedSignal, names.Changed{Hints: b.hints},
		n.options.Start(workflow, l.location, contact), workflow, input)
	if err != nil {
		return fmt.Errorf("nudge: signal %s: %w", workflow, err)
	}
	return nil
}

// poll lets the location's schedule run at once. While a run is under way, which may have looked already, one more
// follows it, and not more than one.
func (n *Nudger) poll(ctx context.Context, location string) error {
	err := n.temporal.ScheduleClient().GetHandle(ctx, names.Poll(location)).Trigger(ctx,
		client.ScheduleTriggerOptions{Overlap: enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE})
	var none *serviceerror.NotFound
	switch {
	case err == nil:
		return nil
	case errors.As(err, &none):
		return ErrNoPoll
	}
	return fmt.Errorf("nudge: poll: %w", err)
}

// startDue starts a run that the server holds back until the task is due. A run that waits already is replaced: a signal
// would not move its time.
func (n *Nudger) startDue(ctx context.Context, location, contact, task string, due time.Time) error {
	options := n.options.Start(names.AwaitDueDate, location, contact)
	options.ID = names.DueDate(location, contact, task)
	options.StartDelay = max(time.Until(due), 0)
	options.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
	_, err := n.temporal.ExecuteWorkflow(ctx, options, names.AwaitDueDate, names.DueDateInput{Location: location, Contact: contact, Task: task})
	if err != nil {
		return fmt.Errorf("nudge: start %s: %w", names.AwaitDueDate, err)
	}
	return nil
}

// stopDue ends the run that waits for a task to be due, if there is one.
func (n *Nudger) stopDue(ctx context.Context, location, contact, task string) error {
	err := n.temporal.TerminateWorkflow(ctx, names.DueDate(location, contact, task), "", "the task is done, deleted or has no due date any more")
	var none *serviceerror.NotFound
	if err != nil && !errors.As(err, &none) {
		return fmt.Errorf("nudge: stop %s: %w", names.AwaitDueDate, err)
	}
	return nil
}

// connect signals the location's run, which starts if there is none. A run that is under way is not replaced: it may be the
// other kind, and goes round again for what came meanwhile, so that an install is not lost in the end of an uninstall. What
// comes with the start and as its signal is one round.
func (n *Nudger) connect(ctx context.Context, input names.ConnectInput) error {
	options := n.options.Start(names.ConnectLocation, input.Location, "")
	options.Priority.PriorityKey = names.PriorityOperations
	_, err := n.temporal.SignalWithStartWorkflow(ctx, names.Connect(input.Location), names.ChangedSignal, input,
		options, names.ConnectLocation, input)
	if err != nil {
		return fmt.Errorf("nudge: signal %s: %w", names.ConnectLocation, err)
	}
	return nil
}

// backfill starts a run that loads the location whole, unless one is under way.
func (n *Nudger) backfill(ctx context.Context, location string) error {
	options := n.options.Start(names.Backfill, location, "")
	_, err := n.temporal.ExecuteWorkflow(ctx, options, names.Backfill, names.BackfillInput{Location: location})
	if err != nil {
		return fmt.Errorf("nudge: start %s: %w", names.Backfill, err)
	}
	return nil
}

// Start says how a workflow of the type starts: a contact's, or a location's when contact is empty; of a SyncBusiness,
// contact is the business. Whoever starts it in another way than by a signal starts it the same.
func (o Options) Start(workflow, location, contact string) client.StartWorkflowOptions {
	options := client.StartWorkflowOptions{
		TaskQueue:                names.Workflows,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, // it completes whenever it is quiet
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		Priority:                 temporal.Priority{PriorityKey: or(o.Priority, names.PriorityLive), FairnessKey: location},
		StaticSummary:            summary(workflow, location, contact),
	}
	switch workflow { // whoever asks for these, people too: they come behind what is smaller
	case names.Backfill:
		options.ID, options.Priority.PriorityKey = names.BackfillOf(location), names.PriorityBackfill
	case names.Reconcile:
		options.ID, options.Priority.PriorityKey = names.ReconcileOf(location), names.PriorityReconcile
	}
	attributes := []temporal.SearchAttributeUpdate{names.GhlLocation.ValueSet(location)}
	if contact != "" && workflow != names.SyncBusiness {
		attributes = append(attributes, names.GhlContact.ValueSet(contact))
	}
	if o.SearchAttributes != nil && o.SearchAttributes() {
		options.TypedSearchAttributes = temporal.NewSearchAttributes(attributes...)
	}
	return options
}

// summary says in the UI what a run is for.
func summary(workflow, location, contact string) string {
	what := "GHL contact `" + contact + "`"
	switch workflow {
	case names.SyncContacts:
		return "Bring the changed contacts of GHL location `" + location + "` into step in Rankr"
	case names.ConnectLocation:
		return "Connect GHL location `" + location + "`, or disconnect it when the app was uninstalled"
	case names.Backfill:
		return "Bring all contacts of GHL location `" + location + "` into step in Rankr"
	case names.Reconcile:
		return "Compare GHL location `" + location + "` with its records in Rankr"
	case names.AlignTasksAndNotes:
		what = "the tasks and notes of " + what
	case names.SegmentContact:
		what = "the segments and the business of " + what
	case names.SyncBusiness:
		what = "GHL business `" + contact + "`"
	case names.AwaitDueDate:
		return "Look at a task of " + what + " of location `" + location + "` once it is due"
	}
	return "Bring " + what + " of location `" + location + "` into step in Rankr"
}
