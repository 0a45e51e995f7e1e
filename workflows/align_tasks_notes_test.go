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

func newAlignmentRun(t *testing.T, script ...step) *contactRun {
	return newRunOf(t, names.AlignTasksAndNotes, names.BringTasksAndNotesIntoStep, script...)
}

func TestTasksAndNotesAreBroughtIntoStepByADeedOfTheirOwn(t *testing.T) {
	r := newAlignmentRun(t, ends(crm.Updated, 0))
	r.after(0, func() { r.change(5) })
	r.execute()
	assert.Equal(t, crm.Updated, r.result().Outcome)
	require.Len(t, r.rounds, 1)
	assert.Equal(t, activities.Round{Ref: crm.Ref{Location: "L", Contact: "C"}, Hint: names.Hint{At: at(5)}}, r.rounds[0])
	assert.Empty(t, r.timers)
}

func TestTasksAndNotesWaitForTheirContactAndKeepTheChange(t *testing.T) {
	r := newAlignmentRun(t, ends(crm.Waiting, 2*time.Second), ends(crm.Waiting, 2*time.Second), ends(crm.Updated, 0))
	r.after(0, func() { r.change(5) })
	r.execute()
	require.Len(t, r.rounds, 3)
	assert.Equal(t, at(5), r.rounds[2].Hint.At)
	assert.Equal(t, []time.Duration{0, 2 * time.Second, 4 * time.Second}, r.at)
}

func TestMoreTasksAndNotesThanOneRoundMayWriteFollowAtOnce(t *testing.T) {
	script := []step{ends(crm.Waiting, 10*time.Millisecond), ends(crm.Waiting, 10*time.Millisecond), ends(crm.Updated, 0)}
	r := newAlignmentRun(t, script...)
	answer := &asks{}
	r.after(0, func() { answer = r.ask() })
	r.execute()
	assert.Len(t, r.rounds, 3)
	assert.Less(t, r.passed(), time.Second)
	require.NoError(t, answer.err)
	assert.Equal(t, crm.Updated, answer.result.Outcome, "who asks hears of the last of them")
}

func TestAFreshRunOfTasksAndNotesIsOfTheSameType(t *testing.T) {
	var r *contactRun
	r = newAlignmentRun(t, meanwhile(func() {
		r.change(8)
		r.SetCurrentHistoryLength(maxEvents + 1)
	}, ends(crm.Waiting, time.Second)))
	r.execute()
	next := continued[names.ContactInput](r.run)
	require.NotNil(t, next.Carried)
	assert.NotNil(t, next.Carried.Hint, "the change that came meanwhile")
	var fresh *workflow.ContinueAsNewError
	require.ErrorAs(t, r.GetWorkflowError(), &fresh)
	assert.Equal(t, names.AlignTasksAndNotes, fresh.WorkflowType.Name)
}

func TestTasksAndNotesOfAnImpossibleContactFailWithoutACall(t *testing.T) {
	r := newAlignmentRun(t, func() (activities.Answer, error) {
		t.Error("the deed was called")
		return activities.Answer{}, nil
	})
	r.ExecuteWorkflow(names.AlignTasksAndNotes, names.ContactInput{Location: "L", Contact: "../C"})
	failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
}
