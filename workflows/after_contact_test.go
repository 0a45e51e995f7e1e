package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// starts makes a run whose rounds end as the script says.
type starts func(t *testing.T, script ...step) *contactRun

// afterContact are the workflows whose writes wait for those of the contact: what they do about it is the same.
var afterContact = map[string]starts{
	names.AlignTasksAndNotes: newAlignmentRun,
	names.SegmentContact:     newSegmentRun,
}

func forEachAfterContact(t *testing.T, test func(t *testing.T, name string, start starts)) {
	for name, start := range afterContact {
		t.Run(name, func(t *testing.T) { test(t, name, start) })
	}
}

func TestWhatFollowsAContactWaitsForItAndKeepsTheChange(t *testing.T) {
	forEachAfterContact(t, func(t *testing.T, _ string, start starts) {
		r := start(t, ends(crm.Waiting, 2*time.Second), ends(crm.Waiting, 2*time.Second), ends(crm.Updated, 0))
		r.after(0, func() { r.change(5) })
		r.execute()
		require.Len(t, r.rounds, 3)
		assert.Equal(t, at(5), r.rounds[2].Hint.At)
		assert.Equal(t, []time.Duration{0, 2 * time.Second, 4 * time.Second}, r.at)
	})
}

func TestAFreshRunOfWhatFollowsAContactIsOfTheSameType(t *testing.T) {
	forEachAfterContact(t, func(t *testing.T, name string, start starts) {
		var r *contactRun
		r = start(t, meanwhile(func() {
			r.change(8)
			r.SetCurrentHistoryLength(maxEvents + 1)
		}, ends(crm.Waiting, time.Second)))
		r.execute()
		next := continued[names.ContactInput](r.run)
		require.NotNil(t, next.Carried)
		assert.NotNil(t, next.Carried.Hint, "the change that came meanwhile")
		var fresh *workflow.ContinueAsNewError
		require.ErrorAs(t, r.GetWorkflowError(), &fresh)
		assert.Equal(t, name, fresh.WorkflowType.Name)
	})
}

func TestWhatFollowsAnImpossibleContactFailsWithoutACall(t *testing.T) {
	forEachAfterContact(t, func(t *testing.T, name string, start starts) {
		r := start(t, func() (activities.Answer, error) {
			t.Error("the deed was called")
			return activities.Answer{}, nil
		})
		r.ExecuteWorkflow(name, names.ContactInput{Location: "L", Contact: "../C"})
		failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
	})
}
