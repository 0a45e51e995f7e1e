package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// dueRun is AwaitDueDate with a fake deed; it fails as often as told.
type dueRun struct {
	*run
	asked []activities.DueTask
	fails int
	err   error
}

func newDueRun(t *testing.T) *dueRun {
	r := &dueRun{run: newRun(t), err: temporal.NewApplicationError("temporal is away", string(crm.TemporalAway))}
	r.deed(names.AskForTasksAndNotes, func(_ context.Context, task activities.DueTask) error {
		r.asked = append(r.asked, task)
		if len(r.asked) <= r.fails {
			return r.err
		}
		return nil
	})
	return r
}

func (r *dueRun) execute(task string) {
	r.ExecuteWorkflow(names.AwaitDueDate, names.DueDateInput{Location: "L", Contact: "C", Task: task})
	require.True(r.t, r.IsWorkflowCompleted())
}

func TestATaskThatIsDueIsAskedForOnceAndAtOnce(t *testing.T) {
	r := newDueRun(t)
	r.execute("T")
	require.NoError(t, r.GetWorkflowError())
	assert.Equal(t, []activities.DueTask{{Location: "L", Contact: "C", Task: "T"}}, r.asked)
	assert.Empty(t, r.timers, "the server did the waiting")
	assert.Equal(t, names.DueDateStatus{State: "finished"}, query[names.DueDateStatus](r.run))
}

func TestATaskThatIsDueIsAskedForAsLongAsItTakes(t *testing.T) {
	r := newDueRun(t)
	r.fails = 9 // the environment, unlike a server, gives up after ten attempts
	r.after(time.Minute, func() { assert.Equal(t, names.DueDateStatus{State: "working"}, query[names.DueDateStatus](r.run)) })
	r.execute("T")
	require.NoError(t, r.GetWorkflowError())
	assert.Len(t, r.asked, 10)
	assert.Equal(t, (1+2+4+8+16+32+60+60+60)*time.Second, r.passed(), "soon at first, then without haste")

	options := oneQuestion("L")
	assert.Zero(t, options.ScheduleToCloseTimeout, "there is no end to it")
	assert.Zero(t, options.RetryPolicy.MaximumAttempts)
}

func TestATaskThatCanNotBeRealFailsWithoutACall(t *testing.T) {
	for _, task := range []string{"", "a/b", "..", "followUp:r:T"} {
		r := newDueRun(t)
		r.execute(task)
		assert.Contains(t, failedWith(t, r.GetWorkflowError(), crm.InvalidInput).Message(), "task")
		assert.Empty(t, r.asked)
	}
}

func TestADueDateThatNobodyCanAskForFails(t *testing.T) {
	r := newDueRun(t)
	r.fails, r.err = 1, temporal.NewNonRetryableApplicationError("the input can't be used", string(crm.InvalidInput), nil)
	r.execute("T")
	failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
	assert.Len(t, r.asked, 1)
}
