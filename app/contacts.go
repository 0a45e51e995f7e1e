// Contacts by hand: the same workflows that a webhook starts, asked for by a person.

package app

import (
	"context"

	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Contacts asks for rounds of single contacts: of one [crm.Object] of each.
type Contacts struct {
	Temporal   client.Client
	Searchable func() bool // whether the server knows our search attributes
	Object     crm.Object
}

// Start asks for a round without waiting for it. It returns once Temporal has the request.
func (c Contacts) Start(ctx context.Context, ref crm.Ref) error {
	return Nudge(ctx, c.Temporal, c.Searchable, []Target{{ref, c.Object}})
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
	options := byHand(c.Searchable).Start(c.workflow(), ref.Location, ref.Contact)
	options.ID = c.WorkflowID(ref)
	start := c.Temporal.NewWithStartWorkflowOperation(options, c.workflow(),
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

// WorkflowID is the ID of the workflow that does a contact's rounds.
func (c Contacts) WorkflowID(ref crm.Ref) string {
	if c.Object == crm.TasksAndNotes {
		return names.TasksAndNotes(ref.Location, ref.Contact)
	}
	return names.Contact(ref.Location, ref.Contact)
}

// workflow is that workflow's type.
func (c Contacts) workflow() string {
	if c.Object == crm.TasksAndNotes {
		return names.AlignTasksAndNotes
	}
	return names.SyncContact
}
