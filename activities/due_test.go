package activities_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
)

func (w *world) due(in activities.DueTask) error {
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.tasks)
	_, err := env.ExecuteActivity(w.tasks.AskForTasksAndNotes, in)
	return err
}

func TestATaskThatIsDueAsksForARoundThatKnowsIt(t *testing.T) {
	w := newWorld(t)
	before := time.Now()
	require.NoError(t, w.due(activities.DueTask{Location: loc, Contact: "C", Task: "T"}))
	require.Len(t, w.nudged.tasks, 1)
	hint := w.nudged.tasks[0]
	assert.Equal(t, "C", hint.Contact)
	assert.Equal(t, []string{"overdue/T"}, hint.Events)
	assert.Zero(t, hint.At, "no read that was made before covers it")
	assert.WithinRange(t, hint.Received, before, time.Now())
	ghlCalls, rankrCalls := w.calls()
	assert.Empty(t, ghlCalls)
	assert.Empty(t, rankrCalls)
}

func TestADueTaskThatCanNotBeRealIsNotAskedFor(t *testing.T) {
	w := newWorld(t)
	for name, in := range map[string]activities.DueTask{
		"location": {Location: "a/b", Contact: "C", Task: "T"},
		"contact":  {Location: loc, Contact: "", Task: "T"},
		"task":     {Location: loc, Contact: "C", Task: "followUp:r:T"},
	} {
		var e *temporal.ApplicationError
		require.ErrorAs(t, w.due(in), &e)
		assert.Equal(t, string(crm.InvalidInput), e.Type())
		assert.True(t, e.NonRetryable())
		assert.Contains(t, e.Message(), name)
	}
	assert.Empty(t, w.nudged.tasks)
}

func TestADueTaskIsAskedForAgainWhileTemporalTakesNothing(t *testing.T) {
	w := newWorld(t)
	w.nudged.fail = errors.New("away: jane@example.com")
	var e *temporal.ApplicationError
	require.ErrorAs(t, w.due(activities.DueTask{Location: loc, Contact: "C", Task: "T"}), &e)
	assert.Equal(t, string(crm.TemporalAway), e.Type())
	assert.False(t, e.NonRetryable())
	assert.NotContains(t, e.Message(), "jane")
}
