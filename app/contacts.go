// Contacts by hand: the same workflow that a webhook starts, asked for by a person.

package app

import (
	"context"
	"log/slog"

	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// Contacts asks for rounds of single contacts.
type Contacts struct {
	Temporal   client.Client
	Searchable func() bool // whether the server knows our search attributes
}

// Start asks for a round without waiting for it. It returns once Temporal has the request.
func (c Contacts) Start(ctx context.Context, ref crm.Ref) error {
	nudger := nudge.New(c.Temporal, byHand(c.Searchable))
	defer closeNudger(nudger, slog.New(slog.DiscardHandler))
	return nudger.Contact(ctx, ref.Location, names.Hint{Contact: ref.Contact})
}

// Sync asks for a round and returns how that round ended: one that begins after the call, also while edits go on.
func (c Contacts) Sync(ctx context.Context, ref crm.Ref) (crm.Result, error) {
	for {
		result, err := c.ask(ctx, ref)
		if err != nil || result.Outcome != crm.Waiting {
			return result, err
		}
		// The run handed over to a fresh one before the round began; that one is asked next.
	}
}

func (c Contacts) ask(ctx context.Context, ref crm.Ref) (result crm.Result, err error) {
	options := byHand(c.Searchable).Start(ref.Location, ref.Contact)
	options.ID = names.Contact(ref.Location, ref.Contact)
	start := c.Temporal.NewWithStartWorkflowOperation(options, names.SyncContact,
		names.ContactInput{Location: ref.Location, Contact: ref.Contact})
	update, err := c.Temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID:   options.ID,
			UpdateName:   names.SyncUpdate,
			WaitForStage: client.WorkflowUpdateStageAccepted,
		},
	})
	if err != nil {
		return crm.Result{}, err
	}
	err = update.Get(ctx, &result)
	return result, err
}
