package workflows

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/crm"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// run is a workflow in the time-skipping environment, with all that people and the server see of it.
type run struct {
	*testsuite.TestWorkflowEnvironment
	t      *testing.T
	timers []time.Duration
}

func newRun(t *testing.T) *run {
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	r := &run{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t}
	r.SetStartTime(start)
	r.SetTestTimeout(30 * time.Second)
	Register(r)
	r.SetOnTimerScheduledListener(func(_ string, lasts time.Duration) { r.timers = append(r.timers, lasts) })
	return r
}

// deed registers a fake activity under its real name.
func (r *run) deed(name string, does any) {
	r.RegisterActivityWithOptions(does, activity.RegisterOptions{Name: name})
}

// after does something at a moment of the workflow's time.
func (r *run) after(wait time.Duration, do func()) { r.RegisterDelayedCallback(do, wait) }

// passed is how much of the workflow's time has passed.
func (r *run) passed() time.Duration { return r.Now().Sub(start).Round(time.Millisecond) }

func query[T any](r *run) (status T) {
	r.t.Helper()
	value, err := r.QueryWorkflow("status")
	require.NoError(r.t, err)
	require.NoError(r.t, value.Get(&status))
	return status
}

// continued decodes the input of the run that takes over.
func continued[T any](r *run) (input T) {
	r.t.Helper()
	var next *workflow.ContinueAsNewError
	require.ErrorAs(r.t, r.GetWorkflowError(), &next)
	require.NoError(r.t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &input))
	return input
}

// failedWith checks the code and that Temporal will not retry.
func failedWith(t *testing.T, err error, code crm.Code) *temporal.ApplicationError {
	t.Helper()
	var e *temporal.ApplicationError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, string(code), e.Type())
	assert.True(t, e.NonRetryable())
	return e
}

// away is how an activity fails for good in this attempt, and may go better later.
func away(wait time.Duration) error {
	return temporal.NewApplicationErrorWithOptions("rankr can't be reached", string(crm.RankrUnavailable),
		temporal.ApplicationErrorOptions{NextRetryDelay: wait})
}

var errUpdate = errors.New("the update was rejected")

// asks sends the update "sync" and notes its answer.
type asks struct {
	result crm.Result
	err    error
	done   bool
	at     time.Duration
}

func (r *run) ask() *asks {
	a := &asks{}
	r.UpdateWorkflow("sync", "", &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { a.err, a.done = errors.Join(errUpdate, err), true },
		OnComplete: func(result any, err error) {
			a.err, a.done, a.at = err, true, r.passed()
			if got, ok := result.(crm.Result); ok {
				a.result = got
			}
		},
	})
	return a
}
