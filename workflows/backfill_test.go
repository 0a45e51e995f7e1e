package workflows

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// backfillRun is Backfill with fake deeds for a location of so many contacts.
type backfillRun struct {
	*run
	total, known int // known: the first ones are in step

	mu       sync.Mutex
	listings []activities.Listing
	pages    []string // by their last contact, as they ended
	under    int
	most     int
	does     func(activities.PageOfBackfill) error // with the lock held
	lists    func(activities.Listing) error
}

func newBackfillRun(t *testing.T, total int) *backfillRun {
	r := &backfillRun{run: newRun(t), total: total}
	r.deed(names.ListPages, r.list)
	r.deed(names.BackfillPage, r.page)
	return r
}

func (r *backfillRun) list(_ context.Context, in activities.Listing) (activities.Listed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listings = append(r.listings, in)
	if r.lists != nil {
		if err := r.lists(in); err != nil {
			return activities.Listed{}, err
		}
	}
	size := 500
	if in.Limit > 0 {
		size = min(size, in.Limit)
	}
	end := min(in.Seen+size, r.total)
	listed := activities.Listed{Seen: end - in.Seen, Total: r.total, Left: -1}
	for from := in.Seen; from < end; from += 100 {
		to := min(from+100, end)
		if to <= r.known {
			listed.Known += to - from
			continue
		}
		listed.Pages = append(listed.Pages, names.ListedPage{After: fmt.Sprint(from), Last: fmt.Sprint("c", to), Contacts: to - from})
	}
	if end < r.total && (in.Limit == 0 || in.Limit > size) {
		listed.Next = fmt.Sprint("[", end, "]")
	}
	return listed, nil
}

func (r *backfillRun) page(_ context.Context, in activities.PageOfBackfill) (activities.BackfillAnswer, error) {
	r.mu.Lock()
	r.under++
	r.most = max(r.most, r.under)
	r.mu.Unlock()
	time.Sleep(time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.under--
	if r.does != nil {
		if err := r.does(in); err != nil {
			return activities.BackfillAnswer{}, err
		}
	}
	r.pages = append(r.pages, in.Last)
	return activities.BackfillAnswer{PageAnswer: activities.PageAnswer{Outcomes: map[crm.Outcome]int{crm.Created: in.Contacts}}, Calls: 1}, nil
}

func (r *backfillRun) execute(input names.BackfillInput) names.BackfillResult {
	r.t.Helper()
	r.ExecuteWorkflow(names.Backfill, input)
	require.True(r.t, r.IsWorkflowCompleted())
	require.NoError(r.t, r.GetWorkflowError())
	var result names.BackfillResult
	require.NoError(r.t, r.GetWorkflowResult(&result))
	return result
}

// ended is how many pages have.
func (r *backfillRun) ended() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pages)
}

var everything = names.BackfillInput{Location: "L"}

func TestABackfillDoesEachPageOnceAFewAtATime(t *testing.T) {
	r := newBackfillRun(t, 1_730)
	r.known = 400
	result := r.execute(everything)
	assert.Equal(t, names.BackfillResult{Location: "L", BackfillCounts: names.BackfillCounts{
		Total: 1_730, Seen: 1_730, Known: 400, Done: 1_730, Outcomes: map[string]int{"created": 1_330}, Calls: 4 + 14, Left: -1,
	}}, result)
	assert.Len(t, r.pages, 14)
	assert.LessOrEqual(t, r.most, maxBackfillPages)
	assert.Greater(t, r.most, 1)
	assert.Equal(t, names.StateFinished, query[names.BackfillStatus](r.run).State)
}

func TestABackfillMayBeLimited(t *testing.T) {
	for limit, pages := range map[int]int{20: 1, 500: 5, 620: 7, 5_000: 10} {
		r := newBackfillRun(t, 1_000)
		result := r.execute(names.BackfillInput{Location: "L", Limit: limit})
		assert.Equal(t, min(limit, 1_000), result.Done, limit)
		assert.Equal(t, min(limit, 1_000), result.Total, limit)
		assert.Len(t, r.pages, pages, limit)
	}
}

func TestABackfillWaitsForWhatIsAwayAndLosesNoPage(t *testing.T) {
	for _, cause := range []error{
		away(0),
		temporal.NewNonRetryableApplicationError("the token is refused", string(crm.GHLToken), nil),
		temporal.NewNonRetryableApplicationError("the token is refused", string(crm.RankrToken), nil),
	} {
		r := newBackfillRun(t, 900)
		until := start.Add(30 * time.Minute)
		r.does = func(in activities.PageOfBackfill) error {
			if r.Now().Before(until) {
				return cause
			}
			return nil
		}
		r.after(20*time.Minute, func() {
			status := query[names.BackfillStatus](r.run)
			assert.Equal(t, names.StateRetrying, status.State)
			assert.NotEmpty(t, status.Code)
			assert.LessOrEqual(t, status.Pages, 1, "one asks whether it is back")
		})
		result := r.execute(everything)
		assert.Equal(t, 900, result.Done)
		assert.Len(t, r.pages, 9)
		assert.GreaterOrEqual(t, r.passed(), 30*time.Minute)
	}
}

// The day's calls are spent: GHL's gate says how long it wants to be left alone.
func TestABackfillIsParkedUntilTheDaysCallsAreBack(t *testing.T) {
	r := newBackfillRun(t, 100)
	r.lists = func(activities.Listing) error {
		if r.Now().Before(start.Add(time.Minute)) {
			return temporal.NewApplicationErrorWithOptions("the limit is reached", string(crm.GHLRateLimited), temporal.ApplicationErrorOptions{
				NextRetryDelay: 50 * time.Minute,
			})
		}
		return nil
	}
	assert.Equal(t, 100, r.execute(everything).Done)
	assert.GreaterOrEqual(t, r.passed(), 50*time.Minute)
	assert.LessOrEqual(t, len(r.listings), 2)
}

func TestABackfillThatCanNeverSucceedFails(t *testing.T) {
	r := newBackfillRun(t, 900)
	r.does = func(activities.PageOfBackfill) error {
		return temporal.NewNonRetryableApplicationError("no", string(crm.InvalidInput), nil)
	}
	r.ExecuteWorkflow(names.Backfill, everything)
	failedWith(t, r.GetWorkflowError(), crm.InvalidInput)

	r = newBackfillRun(t, 1)
	r.ExecuteWorkflow(names.Backfill, names.BackfillInput{Location: "a/b"})
	failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
	assert.Empty(t, r.listings)
}

func TestABackfillIsHeldAndGoesOn(t *testing.T) {
	r := newBackfillRun(t, 2_000)
	held := false
	r.does = func(activities.PageOfBackfill) error {
		if !held {
			held = true
			r.SignalWorkflow(names.PauseSignal, nil)
		}
		return nil
	}
	var before int
	r.after(time.Hour, func() {
		assert.Equal(t, names.StatePaused, query[names.BackfillStatus](r.run).State)
		before = r.ended()
		r.SignalWorkflow(names.ResumeSignal, nil)
	})
	assert.Equal(t, 2_000, r.execute(everything).Done)
	assert.LessOrEqual(t, before, 2*maxBackfillPages, "those under way ended")
	assert.Len(t, r.pages, 20)
}

func TestACancelledBackfillStartsNoMorePages(t *testing.T) {
	r := newBackfillRun(t, 2_000)
	r.does = func(activities.PageOfBackfill) error { r.CancelWorkflow(); return nil }
	r.ExecuteWorkflow(names.Backfill, everything)
	require.True(t, temporal.IsCanceledError(r.GetWorkflowError()))
	assert.LessOrEqual(t, r.ended(), 2*maxBackfillPages)
}

func TestABackfillHandsOverToAFreshRunBeforeItsHistoryIsLong(t *testing.T) {
	r := newBackfillRun(t, 3_000)
	r.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) {
		if r.ended() >= 10 {
			r.SetContinueAsNewSuggested(true)
		}
	})
	r.ExecuteWorkflow(names.Backfill, everything)
	input := continued[names.BackfillInput](r.run)
	require.NotNil(t, input.Carried)
	first := r.ended()
	assert.Equal(t, first*100, input.Carried.Done)

	next := newBackfillRun(t, 3_000)
	result := next.execute(input)
	assert.Equal(t, 3_000, result.Done)
	assert.Equal(t, map[string]int{"created": 3_000}, result.Outcomes)
	assert.Len(t, next.pages, 30-first, "none twice")
}

func TestAReportOnlyReads(t *testing.T) {
	r := newBackfillRun(t, 10)
	matches := names.Matches{Contacts: 10, New: 7, ByEmail: 3, Records: 5, GHLCalls: 12, RankrCalls: 20, Left: 1000}
	r.deed(names.Survey, func(context.Context, activities.SurveyRound) (names.Matches, error) { return matches, nil })
	result := r.execute(names.BackfillInput{Location: "L", Report: true})
	assert.Equal(t, &matches, result.Matches)
	assert.Equal(t, 10, result.Total)
	assert.Empty(t, r.pages)
	assert.Empty(t, r.listings)
}
