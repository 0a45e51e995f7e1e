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

// poll runs PollChanges; prepare may set what the server knows.
func poll(t *testing.T, prepare func(*run), does func(activities.Tick) (activities.TickAnswer, error)) *run {
	r := newRun(t)
	r.deed(names.FindChanges, func(_ context.Context, tick activities.Tick) (activities.TickAnswer, error) { return does(tick) })
	if prepare != nil {
		prepare(r)
	}
	r.ExecuteWorkflow(names.PollChanges, names.LocationInput{Location: "L"})
	require.True(t, r.IsWorkflowCompleted())
	return r
}

func TestATickKnowsTheOneBeforeAndWhetherItIsScheduled(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*run)
		want    activities.Tick
	}{
		"by hand": {nil, activities.Tick{Location: "L"}},
		"the first": {func(r *run) {
			//lint:ignore SA1019 as a scheduler writes it that leaves the type out
			require.NoError(t, r.SetSearchAttributesOnStart(map[string]any{"TemporalScheduledById": "poll/L"}))
		}, activities.Tick{Location: "L", Scheduled: true}},
		"a later one": {func(r *run) {
			require.NoError(t, r.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(
				temporal.NewSearchAttributeKeyKeyword("TemporalScheduledById").ValueSet("poll/L"))))
			r.SetLastCompletionResult(activities.TickAnswer{Tick: 7, TasksFrom: 1975, BusinessesFrom: "B"})
		}, activities.Tick{Location: "L", Scheduled: true, Last: 7, LastTasks: 1975, LastBusiness: "B"}},
		"after something else": {func(r *run) { r.SetLastCompletionResult("no tick") }, activities.Tick{Location: "L"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got activities.Tick
			r := poll(t, test.prepare, func(tick activities.Tick) (activities.TickAnswer, error) {
				got = tick
				return activities.TickAnswer{Tick: tick.Last + 1, Seen: 3}, nil
			})
			require.NoError(t, r.GetWorkflowError())
			assert.Equal(t, test.want, got)
			var answer activities.TickAnswer
			require.NoError(t, r.GetWorkflowResult(&answer))
			assert.Equal(t, activities.TickAnswer{Tick: test.want.Last + 1, Seen: 3}, answer)
		})
	}
}

func TestATickNeverOutlivesAFewIntervals(t *testing.T) {
	var status names.PollStatus
	r := poll(t, func(r *run) {
		r.after(time.Minute, func() { status = query[names.PollStatus](r) })
	}, func(activities.Tick) (activities.TickAnswer, error) {
		return activities.TickAnswer{}, temporal.NewApplicationError("GHL can't be reached", string(crm.GHLUnavailable))
	})
	assert.Error(t, r.GetWorkflowError())
	assert.LessOrEqual(t, r.passed(), 15*time.Minute)
	assert.Equal(t, 15*time.Minute, onePoll("L").ScheduleToCloseTimeout)
	assert.Equal(t, "working", status.State)
	assert.Equal(t, start.UTC(), status.Since.UTC())
}

func TestATickOfAnUnknownLocationFailsWithItsCode(t *testing.T) {
	r := poll(t, nil, func(activities.Tick) (activities.TickAnswer, error) {
		return activities.TickAnswer{}, temporal.NewNonRetryableApplicationError(
			"this location is not connected", string(crm.UnknownLocation), nil)
	})
	failedWith(t, r.GetWorkflowError(), crm.UnknownLocation)
}

func TestAPollOfALocationThatCanNotBeRealIsRefused(t *testing.T) {
	r := newRun(t)
	r.ExecuteWorkflow(names.PollChanges, names.LocationInput{Location: "a\nb"})
	failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
}

func TestATicksDetailsSayInWordsWhatItFound(t *testing.T) {
	assert.Equal(t, "Tick 7: 12 contacts seen, 2 handed over, 1 GHL calls.",
		tickWords(activities.TickAnswer{Tick: 7, Seen: 12, Nudged: 2, Calls: 1}))
	assert.Contains(t, tickWords(activities.TickAnswer{Parked: crm.GHLToken}), "GHL refuses the token")
	assert.Contains(t, tickWords(activities.TickAnswer{Tasks: 40, Businesses: 3}), "Looked at 40 open tasks and 3 businesses.")
	assert.Contains(t, tickWords(activities.TickAnswer{TasksCode: crm.GHLScope}),
		"**no tasks without the scope `locations/tasks.readonly`**: the GHL token lacks a scope")
	assert.Contains(t, tickWords(activities.TickAnswer{BusinessesCode: crm.GHLScope}), "`businesses.readonly`")
	assert.Contains(t, tickWords(activities.TickAnswer{BusinessesCode: crm.GHLInvalid}), "**no businesses**: GHL refuses the request")
}
