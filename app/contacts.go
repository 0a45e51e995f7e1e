// Contacts and businesses by hand: the same workflows that a webhook starts, asked for by a person.

package app

import (
	"context"

	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Contacts asks for rounds of one [crm.Object]: of single contacts, or of single businesses, whose id then stands for the
// contact's.
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
	door := c.door(ref)
	options := byHand(c.Searchable).Start(door.workflow, ref.Location, ref.Contact)
	options.ID = door.id
	update, err := c.Temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: c.Temporal.NewWithStartWorkflowOperation(options, door.workflow, door.input),
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

// WorkflowID is the ID of the workflow that does the rounds.
func (c Contacts) WorkflowID(ref crm.Ref) string { return c.door(ref).id }

// door is a workflow, as it starts.
type door struct {
	id, workflow string
	input        any
}

func (c Contacts) door(ref crm.Ref) door {
	contact := names.ContactInput{Location: ref.Location, Contact: ref.Contact}
	switch c.Object {
	case crm.TasksAndNotes:
		return door{names.TasksAndNotes(ref.Location, ref.Contact), names.AlignTasksAndNotes, contact}
	case crm.Segments:
		return door{names.Segments(ref.Location, ref.Contact), names.SegmentContact, contact}
	case crm.ABusiness:
		return door{
			names.Business(ref.Location, ref.Contact), names.SyncBusiness,
			names.BusinessInput{Location: ref.Location, Business: ref.Contact},
		}
	}
	return door{names.Contact(ref.Location, ref.Contact), names.SyncContact, contact}
}
