package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
