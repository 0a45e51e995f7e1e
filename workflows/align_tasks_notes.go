package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// AlignTasksAndNotes brings the tasks and notes of one GHL contact into step in Rankr, round by round, and completes when
// no change is left to look at. Its result is the last round's.
//
// It is signalled, asked and queried as [SyncContact] is. A contact that is not in Rankr yet is left to its SyncContact,
// which the round asks for; this run waits meanwhile. Where a contact has more to write than one round may, the round's
// outcome is "waiting", and the next one goes on at once.
func AlignTasksAndNotes(ctx workflow.Context, input names.ContactInput) (crm.Result, error) {
	return newRounds(ctx, ofContact(names.AlignTasksAndNotes, names.BringTasksAndNotesIntoStep, input), input.Carried).run(ctx)
}
