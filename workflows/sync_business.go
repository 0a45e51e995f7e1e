package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// SyncBusiness brings one GHL business into step in Rankr, round by round, and completes when no change is left to look
// at. Its result is the last round's.
//
// It is signalled, asked and queried as [SyncContact] is. Businesses have no events of their own: rounds of their contacts
// ask for it, as often as these change, and so does the poll when a business differs. A hint that says when it was received
// is no reason to read the business again so soon; one that does not, and a person's question, are.
func SyncBusiness(ctx workflow.Context, input names.BusinessInput) (crm.Result, error) {
	return newRounds(ctx, ofBusiness(names.SyncBusiness, names.BringBusinessIntoStep, input), input.Carried).run(ctx)
}
