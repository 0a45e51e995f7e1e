// Contacts by hand: the same workflow that a webhook starts, asked for by a person.

package app

import (
	"context"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Contacts asks for rounds of single contacts.
type Contacts struct {
	Temporal   client.Client
	Searchable func() bool // whether the server knows our search attributes
}

// Start asks for a round and returns the run that will do it, without waiting.
func (c Contacts) Start(ctx context.Context, ref crm.Ref) (runID string, err error) {
	run, err := c.Temporal.SignalWithStartWorkflow(ctx, names.Contact(ref.Location, ref.Contact), names.ChangedSignal,
		names.Changed{}, c.options(ref), names.SyncContact, names.ContactInput{Location: ref.Location, Contact: ref.Contact})
	if err != nil {
		return "", err
	}
	return run.GetRunID(), nil
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
	options := c.options(ref)
	options.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
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

func (c Contacts) options(ref crm.Ref) client.StartWorkflowOptions {
	options := client.StartWorkflowOptions{
		ID:            names.Contact(ref.Location, ref.Contact),
		TaskQueue:     names.Workflows,
		StaticSummary: "Bring GHL contact `" + ref.Contact + "` of location `" + ref.Location + "` into step in Rankr",
		Priority:      temporal.Priority{PriorityKey: names.PriorityOperations, FairnessKey: ref.Location},
	}
	if c.Searchable() {
		options.TypedSearchAttributes = temporal.NewSearchAttributes(
			names.GhlLocation.ValueSet(ref.Location), names.GhlContact.ValueSet(ref.Contact))
	}
	return options
}
