package e2e

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

func TestAStormAndLiveChangesTogetherKeepBothVendorsLimits(t *testing.T) {
	t.Parallel()
	const limit, storm, live = 30, 150, 3
	w := newWorld(t, stack.Settings{"GHL_RATE": strconv.Itoa(limit) + "/1s", "RANKR_RATE": strconv.Itoa(limit) + "/1s", "QUIET_PERIOD": "0"})
	w.ghl.Set(func(k *ghltest.Knobs) { k.Max, k.Window = limit, time.Second })
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Limit, k.Interval = limit, time.Second })
	w.createMany(storm)
	for i := range live {
		contact := w.ghl.Quietly().Create(location, ghltest.Contact{FirstName: "Live", Email: "live" + strconv.Itoa(i) + "@example.com"})
		result := w.run("sync-contact", "--contact", contact.ID, "--wait")
		require.Equal(t, 0, result.Code, result.Stderr)
	}
	w.eventually(w.outOfStep)
	require.NoError(t, w.ghl.Settle(t.Context()))
	w.idle()

	assert.Empty(t, w.outOfStep())
	assert.Empty(t, w.rankr.Doubled())
	w.counts(w.worker, storm+live, "rankrsync_changes_total", `outcome="created"`)
	confirmed, err := w.worker.Metric(t.Context(), "rankrsync_changes_total", `outcome="unchanged"`)
	require.NoError(t, err)
	assert.Zero(t, confirmed, "a limit breaks no write off: else the contact is blocked for a lease, and looked at again a lease later")
	assert.Zero(t, w.ghl.Stats().Violations)
	assert.Zero(t, w.rankr.Counters().Statuses[http.StatusTooManyRequests])
	assert.Greater(t, w.ghl.Stats().Worst, limit/3, "the limit was felt")
	assert.Greater(t, w.rankr.Counters().BusiestWindow, limit/3, "the limit was felt")
}

func TestTheServerPacesTheActivitiesOfALocationAsTheSettingSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"GHL_RATE": "100/10s"})
	pace := func(fits func(*taskqueuepb.RateLimit) bool) {
		t.Helper()
		for _, queue := range []string{names.Live, names.Bulk} {
			w.eventually(func() string {
				answer, err := w.client.WorkflowService().DescribeTaskQueue(t.Context(), &workflowservice.DescribeTaskQueueRequest{
					Namespace: w.temporal.Namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: queue},
					TaskQueueType: enumspb.TASK_QUEUE_TYPE_ACTIVITY, ReportConfig: true,
				})
				if err != nil {
					return err.Error()
				}
				if limit := answer.GetConfig().GetFairnessKeysRateLimitDefault().GetRateLimit(); !fits(limit) {
					return "the rate of a location on " + queue + " is " + limit.String()
				}
				return ""
			})
		}
	}
	pace(func(limit *taskqueuepb.RateLimit) bool { return limit != nil && limit.GetRequestsPerSecond() == 10 })

	w.worker.Stop(patience)
	w.settings["GHL_RATE"] = "0"
	w.startWorker()
	pace(func(limit *taskqueuepb.RateLimit) bool { return limit == nil })
}
