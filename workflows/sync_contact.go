package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// SyncContact brings one GHL contact into step in Rankr, round by round, and completes when no change is left to look
// at. Its result is the last round's.
//
// Signal "changed" tells of a change; changes that come while a round is under way become one more round. Update "sync"
// answers with the outcome of a round that begins after it; the outcome "waiting" means that the run had to hand over
// to a fresh one first: ask again. Query "status" tells where it stands.
//
// A round that fails is tried again after a back-off, for as long as it takes. The run fails only on input that can't
// be used.
func SyncContact(ctx workflow.Context, input names.ContactInput) (crm.Result, error) {
	return newRounds(ctx, ofContact(names.SyncContact, names.BringIntoStep, input), input.Carried).run(ctx)
}
