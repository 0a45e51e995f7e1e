package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

// company waits until Rankr has exactly one mirror of the GHL business, with the name.
func (w *world) company(business, name string) rankrtest.Business {
	w.t.Helper()
	var found rankrtest.Business
	w.eventually(func() string {
		have := w.rankr.Businesses()
		if len(have) != 1 || have[0].ExternalID != business || have[0].Name != name {
			return "Rankr has not this business alone"
		}
		found = have[0]
		return ""
	})
	return found
}

// attached waits until the record is attached to the business; empty: to none.
func (w *world) attached(contact, business string) {
	w.t.Helper()
	w.mirror(contact, func(r rankrtest.Record) string {
		if r.BusinessID != business {
			return "the record's business is " + r.BusinessID
		}
		return ""
	})
}

// polls are the ids of all polls that have ended, the newest first.
func (w *world) polls() (ended []string) {
	w.t.Helper()
	found, err := w.client.ListWorkflow(w.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Query: "WorkflowType = 'PollChanges' AND ExecutionStatus != 'Running'",
	})
	require.NoError(w.t, err)
	for _, run := range found.GetExecutions() {
		ended = append(ended, run.GetExecution().GetWorkflowId())
	}
	return ended
}

// polled waits until a poll has come to its end that begins now, and returns what it found.
func (w *world) polled() (found activities.TickAnswer) {
	w.t.Helper()
	w.pollsEnded()
	before := len(w.polls())
	w.poll()
	w.eventually(func() string {
		if len(w.polls()) == before {
			return "no poll has ended"
		}
		return ""
	})
	require.NoError(w.t, w.client.GetWorkflow(w.t.Context(), w.polls()[0], "").Get(w.t.Context(), &found))
	return found
}

func TestABusinessThatAPollFindsIsMirroredAndItsContactFollowsItAndLeavesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all"})
	contact := w.ghl.Create(location, mira())
	w.mirror(contact.ID, named("Mira"))
	w.calm(contact.ID)
	business := w.ghl.AddBusiness(location, ghltest.Business{Name: "Harbour Books"})
	_, err := w.ghl.Attach(contact.ID, business.ID) // fires nothing
	require.NoError(t, err)
	assert.Empty(t, w.rankr.Businesses())

	w.poll()
	mirrored := w.company(business.ID, "Harbour Books")
	w.attached(contact.ID, mirrored.ID)
	before := w.calm(contact.ID)
	idle := w.polled()
	assert.Equal(t, 1, idle.Businesses)
	assert.Zero(t, idle.Nudged)
	assert.Equal(t, 4, idle.Calls, "contacts, tasks, businesses, and who is attached")
	assert.Equal(t, cost{calls: 4}, w.calm(contact.ID).since(before))

	_, err = w.ghl.EditBusiness(business.ID, func(b *ghltest.Business) { b.Name = "Harbour Books & Tea" })
	require.NoError(t, err)
	w.poll()
	w.company(business.ID, "Harbour Books & Tea")

	_, err = w.ghl.Detach(contact.ID)
	require.NoError(t, err)
	w.poll()
	w.attached(contact.ID, "")
	w.calm(contact.ID)
	assert.Equal(t, mirrored.ID, w.company(business.ID, "Harbour Books & Tea").ID, "the business stays as long as GHL has it")
	assert.Empty(t, w.rankr.DoubledBusinesses())
}
