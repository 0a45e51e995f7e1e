package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// SegmentContact brings about what was decided beside one GHL contact itself: the segments its record in Rankr is in, the
// business it belongs to, and what rules do when a tag is added. It goes round by round and completes when no decision is
// left to look at. Its result is the last round's.
//
// It is signalled, asked and queried as [SyncContact] is. A round of the contact starts it, and its hint tells when GHL was
// read: what was decided then is in the contact's link. Without such a hint, or when a person asks, the contact is read again.
func SegmentContact(ctx workflow.Context, input names.ContactInput) (crm.Result, error) {
	return newRounds(ctx, ofContact(names.SegmentContact, names.BringSegmentsIntoStep, input), input.Carried).run(ctx)
}
