package workflows

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// pagesRun is SyncContacts with a fake deed that notes its pages.
type pagesRun struct {
	*run
	mu    sync.Mutex
	pages []activities.PageRound
	at    []time.Duration
	now   map[string]bool // contacts in pages under way
	most  int             // pages under way at a time
	under int
	// does is one page; nil: all are updated.
	does func(page activities.PageRound) (activities.PageAnswer, error)
}

func newPagesRun(t *testing.T) *pagesRun {
	r := &pagesRun{run: newRun(t), now: map[string]bool{}}
	r.deed(names.BringPageIntoStep, func(_ context.Context, page activities.PageRound) (activities.PageAnswer, error) {
		r.begin(page)
		defer r.end(page)
		if r.does != nil {
			return r.does(page)
		}
		return updated(page)
	})
	return r
}

func (r *pagesRun) begin(page activities.PageRound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pages, r.at = append(r.pages, page), append(r.at, r.passed())
	r.under++
	r.most = max(r.most, r.under)
	for _, hint := range page.Hints {
		assert.False(r.t, r.now[hint.Contact], "%s is in two pages", hint.Contact)
		r.now[hint.Contact] = true
	}
}

func (r *pagesRun) end(page activities.PageRound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.under--
	for _, hint := range page.Hints {
		delete(r.now, hint.Contact)
	}
}

func updated(page activities.PageRound) (activities.PageAnswer, error) {
	return activities.PageAnswer{Outcomes: map[crm.Outcome]int{crm.Updated: len(page.Hints)}}, nil
}

// contacts makes hints for the contacts from first on.
func contacts(first, count int) []names.Hint {
	hints := make([]names.Hint, count)
	for i := range hints {
		hints[i] = names.Hint{Contact: fmt.Sprintf("contact%013d", first+i), At: at(1)}
	}
	return hints
}

func (r *pagesRun) change(hints ...names.Hint) {
	r.SignalWorkflow(names.ChangedSignal, names.Changed{Hints: hints})
}

func (r *pagesRun) executeWith(input names.LocationInput) {
	input.Location = "L"
	r.ExecuteWorkflow(names.SyncContacts, input)
	require.True(r.t, r.IsWorkflowCompleted())
}

func (r *pagesRun) execute() { r.executeWith(names.LocationInput{}) }

func (r *pagesRun) result() ContactsResult {
	r.t.Helper()
	require.NoError(r.t, r.GetWorkflowError())
	var result ContactsResult
	require.NoError(r.t, r.GetWorkflowResult(&result))
	return result
}

// times counts how often each contact was in a page.
func (r *pagesRun) times() map[string]int {
	times := map[string]int{}
	for _, page := range r.pages {
		for _, hint := range page.Hints {
			times[hint.Contact]++
		}
	}
	return times
}

func backlogOf(hints []names.Hint) []names.Reference {
	references := make([]names.Reference, len(hints))
	for i, hint := range hints {
		references[i].Hint = hint
	}
	return references
}

func TestALocationsBacklogIsDrainedByPagesOfFifty(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() {
		r.change(contacts(0, 1000)...)
		r.change(contacts(990, 35)...)
	})
	r.execute()
	assert.Equal(t, map[string]int{"updated": 1025}, r.result().Outcomes)
	assert.Len(t, r.pages, 21)
	assert.Len(t, r.times(), 1025)
	assert.LessOrEqual(t, r.most, 4)
	assert.Empty(t, r.timers)
}

func TestALocationWithNothingToDoCompletes(t *testing.T) {
	r := newPagesRun(t)
	r.execute()
	assert.Equal(t, ContactsResult{Outcomes: map[string]int{}}, r.result())
	assert.Empty(t, r.pages)
}

func TestAChangeDuringItsPageMeansAnotherPage(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() { r.change(contacts(0, 2)...) })
	r.does = func(page activities.PageRound) (activities.PageAnswer, error) {
		if len(r.pages) == 1 {
			r.change(names.Hint{Contact: page.Hints[1].Contact, At: at(9)}, names.Hint{Contact: "new", At: at(9)})
		}
		return updated(page)
	}
	r.execute()
	times := r.times()
	assert.Equal(t, map[string]int{contacts(0, 1)[0].Contact: 1, contacts(1, 1)[0].Contact: 2, "new": 1}, times)
	assert.Equal(t, 4, r.result().Outcomes["updated"])
}

func TestAContactThatMustWaitStaysListed(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() { r.change(contacts(0, 2)...) })
	r.after(time.Second, func() {
		r.change(names.Hint{Contact: contacts(0, 1)[0].Contact, At: at(7)}) // does not make it start earlier
		assert.Equal(t, names.ContactsStatus{
			State: "waiting", Waiting: 1, Oldest: start.UTC(), Outcomes: map[string]int{"updated": 1},
		}, query[names.ContactsStatus](r.run))
	})
	r.does = func(page activities.PageRound) (activities.PageAnswer, error) {
		if len(page.Hints) == 1 {
			return updated(page)
		}
		return activities.PageAnswer{
			Outcomes: map[crm.Outcome]int{crm.Updated: 1},
			Waiting:  []names.Reference{{Hint: page.Hints[0], NotBefore: at(2).Add(200 * time.Millisecond)}},
		}, nil
	}
	r.execute()
	assert.Equal(t, []time.Duration{0, 2500 * time.Millisecond}, r.at)
	assert.Equal(t, at(7), r.pages[1].Hints[0].At)
	assert.Len(t, r.timers, 1)
	assert.Equal(t, 2, r.result().Outcomes["updated"])
}

func TestWaitsThatEndCloseTogetherAreOnePage(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() { r.change(contacts(0, 200)...) })
	first := map[string]bool{}
	r.does = func(page activities.PageRound) (activities.PageAnswer, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if first[page.Hints[0].Contact] {
			return updated(page)
		}
		var answer activities.PageAnswer
		for i, hint := range page.Hints {
			first[hint.Contact] = true
			answer.Waiting = append(answer.Waiting, names.Reference{Hint: hint, NotBefore: at(2).Add(time.Duration(i) * 9 * time.Millisecond)})
		}
		return answer, nil
	}
	r.execute()
	assert.Len(t, r.pages, 8)
	assert.LessOrEqual(t, len(r.timers), 2)
}

func TestAWaitInThePastDoesNotSpin(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() { r.change(contacts(0, 1)...) })
	r.does = func(page activities.PageRound) (activities.PageAnswer, error) {
		if len(r.pages) == 3 {
			return updated(page)
		}
		return activities.PageAnswer{Waiting: []names.Reference{{Hint: page.Hints[0]}}}, nil
	}
	r.execute()
	assert.Equal(t, []time.Duration{0, 500 * time.Millisecond, time.Second}, r.at)
}

func TestWhileASystemIsAwayOnePageAsksAndNothingIsLost(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() { r.change(contacts(0, 400)...) })
	for minute := 1; minute < 20; minute++ {
		r.after(time.Duration(minute)*time.Minute, func() { r.change(contacts(minute*10, 100)...) })
	}
	r.after(10*time.Minute, func() {
		status := query[names.ContactsStatus](r.run)
		assert.Equal(t, "RS-RANKR-UNAVAILABLE", status.Code)
		assert.Equal(t, 400, status.Waiting+status.InFlight)
		assert.Positive(t, status.Failures)
		assert.LessOrEqual(t, status.Pages, 1)
		assert.Equal(t, start.UTC(), status.Oldest)
	})
	r.does = func(page activities.PageRound) (activities.PageAnswer, error) {
		if r.passed() < 30*time.Minute {
			return activities.PageAnswer{}, away(time.Hour)
		}
		return updated(page)
	}
	r.execute()
	assert.Equal(t, 400, r.result().Outcomes["updated"])
	asked := 0
	for i, at := range r.at {
		if 0 < at && at < 30*time.Minute {
			asked++
			assert.Less(t, len(r.pages[i].Hints), pageSize)
		}
	}
	assert.LessOrEqual(t, asked, 3, "an hour was asked for, and an hour is kept: signals do not ask earlier")
}

func TestAContactThatFailsItsPageEndsUpAloneAndHoldsUpNobody(t *testing.T) {
	r := newPagesRun(t)
	poison := contacts(25, 1)[0].Contact
	r.after(0, func() { r.change(contacts(0, 50)...) })
	attempts := 0
	r.does = func(page activities.PageRound) (activities.PageAnswer, error) {
		for _, hint := range page.Hints {
			if hint.Contact == poison && (attempts < 30 || len(page.Hints) > 1) {
				attempts++
				return activities.PageAnswer{}, away(10 * time.Minute)
			}
		}
		return updated(page)
	}
	r.execute()
	assert.Equal(t, 50, r.result().Outcomes["updated"])
}

func TestAPageThatCanNeverSucceedFailsTheRunAfterTheOthersLanded(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() { r.change(contacts(0, 100)...) })
	r.does = func(page activities.PageRound) (activities.PageAnswer, error) {
		if page.Hints[0].Contact == contacts(0, 1)[0].Contact {
			return activities.PageAnswer{}, temporal.NewNonRetryableApplicationError(
				"this location is not connected", string(crm.UnknownLocation), nil)
		}
		return updated(page)
	}
	r.execute()
	failedWith(t, r.GetWorkflowError(), crm.UnknownLocation)
	assert.Len(t, r.pages, 2)
	assert.Zero(t, r.under)
}

func TestReferencesThatCanNotBeRealAreLeftOut(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() {
		r.change(names.Hint{}, names.Hint{Contact: "../x"}, names.Hint{Contact: "good"}, names.Hint{Contact: strings.Repeat("x", 65)})
		r.SignalWorkflow(names.ChangedSignal, "no JSON of ours")
		r.SignalWorkflow(names.ChangedSignal, nil)
	})
	r.execute()
	assert.Equal(t, map[string]int{"good": 1}, r.times())
}

func TestALocationThatCanNotBeRealIsRefused(t *testing.T) {
	r := newPagesRun(t)
	r.ExecuteWorkflow(names.SyncContacts, names.LocationInput{Location: "a/b"})
	assert.Contains(t, failedWith(t, r.GetWorkflowError(), crm.InvalidInput).Message(), "[location]")
}

func TestAFullRunLandsItsPagesAndHandsItsBacklogOver(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() { r.change(contacts(0, 500)...) })
	started := 0
	r.SetOnActivityStartedListener(func(*activity.Info, context.Context, converter.EncodedValues) { // on the workflow's own goroutine
		if started++; started >= 4 {
			r.SetCurrentHistoryLength(maxEvents + 1)
		}
	})
	r.does = func(page activities.PageRound) (activities.PageAnswer, error) {
		if page.Hints[0].Contact == contacts(0, 1)[0].Contact {
			r.change(contacts(600, 1)...)
			answer, err := updated(page)
			answer.HandedOver = 1
			answer.Waiting = []names.Reference{{Hint: page.Hints[0], NotBefore: at(60)}}
			return answer, err
		}
		return updated(page)
	}
	r.execute()
	next := continued[names.LocationInput](r.run)
	done := 50 * len(r.pages)
	assert.Equal(t, "L", next.Location)
	assert.Len(t, next.Backlog, 500-done+2)
	assert.Equal(t, &names.ContactsCarried{Outcomes: map[string]int{"updated": done}, HandedOver: 1}, next.Carried)

	again := newPagesRun(t)
	again.executeWith(next)
	assert.Equal(t, 502, again.result().Outcomes["updated"])
	assert.Equal(t, 1, again.result().HandedOver)
}

func TestARunThatTakesOverDuringAnOutageKeepsThePause(t *testing.T) {
	r := newPagesRun(t)
	r.executeWith(names.LocationInput{
		Backlog: backlogOf(contacts(0, 200)),
		Carried: &names.ContactsCarried{Failures: 2, NotBefore: at(60), Outcomes: map[string]int{"created": 3}},
	})
	assert.Equal(t, 60500*time.Millisecond, r.at[0])
	assert.Len(t, r.pages[0].Hints, 12)
	assert.Equal(t, map[string]int{"created": 3, "updated": 200}, r.result().Outcomes)
}

func TestWhatDoesNotFitIntoOneRunGoesToRunsOfTheirOwn(t *testing.T) {
	r := newPagesRun(t)
	r.SetCurrentHistoryLength(maxEvents + 1)
	handed := map[string]names.LocationInput{}
	r.SetOnChildWorkflowStartedListener(func(info *workflow.Info, _ workflow.Context, args converter.EncodedValues) {
		var input names.LocationInput
		require.NoError(t, args.Get(&input))
		handed[info.WorkflowExecution.ID] = input
		if len(handed) == 1 {
			r.change(contacts(2*maxCarried+5, 3)...) // comes while the others are started
		}
	})
	r.executeWith(names.LocationInput{
		Backlog: backlogOf(contacts(0, 2*maxCarried+5)),
		Carried: &names.ContactsCarried{Failures: 1, NotBefore: at(60), Outcomes: map[string]int{"updated": 9}},
	})
	next := continued[names.LocationInput](r.run)
	backlog := next.Backlog
	assert.Len(t, backlog, maxCarried)
	assert.Equal(t, 9, next.Carried.Outcomes["updated"])

	require.NotEmpty(t, handed)
	for id, input := range handed {
		assert.Contains(t, id, "contacts/L/")
		assert.Equal(t, &names.ContactsCarried{Failures: 1, NotBefore: at(60)}, input.Carried, "outcomes are counted once")
		assert.LessOrEqual(t, len(input.Backlog), maxCarried)
		backlog = append(backlog, input.Backlog...)
	}
	contacts := map[string]bool{}
	for _, reference := range backlog {
		contacts[reference.Contact] = true
	}
	assert.Len(t, backlog, 2*maxCarried+8)
	assert.Len(t, contacts, 2*maxCarried+8)
}

func TestTheCarriedBacklogFitsTheServersLimit(t *testing.T) {
	input := names.LocationInput{Location: strings.Repeat("L", 64)}
	for range maxCarried {
		input.Backlog = append(input.Backlog, names.Reference{
			Hint:      names.Hint{Contact: strings.Repeat("C", 64), At: start, Received: start},
			NotBefore: start.Add(time.Nanosecond),
		})
	}
	data, err := json.Marshal(input)
	require.NoError(t, err)
	assert.Less(t, len(data), 2<<20)
}

func TestTheLocationsDetailsSayInWordsWhatWaits(t *testing.T) {
	s := contactsSync{
		backlog: newBacklog(), failures: 1, code: crm.RankrUnavailable, notBefore: at(60), pages: 1,
		result: ContactsResult{Outcomes: map[string]int{"updated": 3, "created": 1}, HandedOver: 2},
	}
	s.backlog.add(names.Reference{Hint: names.Hint{Contact: "C"}}, start)
	assert.Equal(t, "1 contacts waiting, 0 in 1 pages under way.\n\n"+
		"**retrying** at 2026-01-01T12:01:00Z: Rankr can't be reached (`RS-RANKR-UNAVAILABLE`). nothing: it is tried again\n\n"+
		"Done: created 1 updated 3\n\nHanded over to runs of their own: 2.", s.words())
}

func TestACancelledLocationEnds(t *testing.T) {
	r := newPagesRun(t)
	r.after(0, func() { r.change(contacts(0, 1)...) })
	r.after(time.Minute, r.CancelWorkflow)
	r.does = func(activities.PageRound) (activities.PageAnswer, error) {
		return activities.PageAnswer{}, away(time.Hour)
	}
	r.execute()
	var cancelled *temporal.CanceledError
	assert.ErrorAs(t, r.GetWorkflowError(), &cancelled)
}
