package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Backfill brings every contact of a location into step: one activity lists them, and one each does a page in which something is
// to be done, a few at a time. It waits for as long as GHL or Rankr is away, or the day's calls are spent, and goes on by
// itself; its result counts how the contacts ended.
//
// Signals "pause" and "resume" hold it and let it go on; query "status" tells how far it is; cancelled, it starts no more pages. A
// run may be started again at any time: what is in step costs no more than its listing.
//
// As a report it only reads both sides, and tells how the contacts would find their records.
func Backfill(ctx workflow.Context, input names.BackfillInput) (names.BackfillResult, error) {
	if err := checkLocation(input.Location); err != nil {
		return names.BackfillResult{}, err
	}
	b := newBackfill(ctx, input)
	if err := workflow.SetQueryHandler(ctx, names.StatusQuery, b.status); err != nil {
		return names.BackfillResult{}, err
	}
	if input.Report {
		return b.report(ctx)
	}
	for {
		b.hear()
		b.start(ctx)
		switch {
		case b.failure != nil && b.flying == 0:
			return b.result(), b.failure
		case b.done():
			b.finished = true
			return b.result(), nil
		case b.full(ctx) && b.flying == 0 && !b.listing:
			return b.result(), workflow.NewContinueAsNewError(ctx, names.Backfill, b.carry())
		}
		if err := b.wait(ctx); err != nil {
			return b.result(), err
		}
	}
}

const (
	// maxBackfillPages are under way at a time.
	maxBackfillPages = 6
	// listAhead is below how many pages that wait the next ones are listed.
	listAhead = maxBackfillPages
)

// backfill is one run.
type backfill struct {
	input         names.BackfillInput
	state         names.BackfillCarried
	pause, resume workflow.ReceiveChannel
	heard         int
	flying        int // pages under way
	listing       bool
	landed        bool
	finished      bool
	code          crm.Code // of the last failure
	failure       error    // why the run fails, once its pages have landed
}

func newBackfill(ctx workflow.Context, input names.BackfillInput) *backfill {
	b := &backfill{
		input: input, pause: workflow.GetSignalChannel(ctx, names.PauseSignal), resume: workflow.GetSignalChannel(ctx, names.ResumeSignal),
		state: names.BackfillCarried{Started: workflow.Now(ctx), BackfillCounts: names.BackfillCounts{Left: -1}},
	}
	if input.Carried != nil {
		b.state = *input.Carried
	}
	if b.state.Outcomes == nil {
		b.state.Outcomes = map[string]int{}
	}
	return b
}

func (b *backfill) report(ctx workflow.Context) (names.BackfillResult, error) {
	var matches names.Matches
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, oneSurvey(b.input.Location)), names.Survey,
		activities.SurveyRound{Location: b.input.Location}).Get(ctx, &matches)
	if err != nil && !temporal.IsCanceledError(err) {
		if never := failed(err).never; never != nil {
			return names.BackfillResult{}, never
		}
	}
	if err != nil {
		return names.BackfillResult{}, err
	}
	b.finished = true
	result := b.result()
	result.Matches, result.Total, result.Left = &matches, matches.Contacts, matches.Left
	return result, nil
}

// hear takes what people said. Which of two kinds of signals came first can't be told: then the backfill is held.
func (b *backfill) hear() {
	for _, said := range []struct {
		channel workflow.ReceiveChannel
		paused  bool
	}{{b.resume, false}, {b.pause, true}} {
		for said.channel.ReceiveAsync(nil) {
			b.heard++
			b.state.Paused = said.paused
		}
	}
}

// start lists more where pages run short, and starts those for which there is room. After a failure one thing at a time asks
// whether the system is back.
func (b *backfill) start(ctx workflow.Context) {
	for b.free(ctx) {
		switch {
		case len(b.state.Pages) < listAhead && !b.state.Listed && !b.listing:
			b.listing = true
			workflow.Go(ctx, b.list)
		case len(b.state.Pages) > 0 && b.flying < maxBackfillPages:
			page := b.state.Pages[0]
			b.state.Pages = b.state.Pages[1:]
			b.flying++
			workflow.Go(ctx, func(ctx workflow.Context) { b.page(ctx, page) })
		default:
			workflow.SetCurrentDetails(ctx, b.words())
			return
		}
	}
	workflow.SetCurrentDetails(ctx, b.words())
}

func (b *backfill) free(ctx workflow.Context) bool {
	busy := b.flying > 0 || b.listing
	return ctx.Err() == nil && b.failure == nil && !b.state.Paused && !b.full(ctx) && !b.state.NotBefore.After(workflow.Now(ctx)) &&
		(b.state.Failures == 0 || !busy)
}

func (b *backfill) list(ctx workflow.Context) {
	left := 0
	if b.input.Limit > 0 {
		left = b.input.Limit - b.state.Seen
	}
	var listed activities.Listed
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, oneBackfillPage(b.input.Location)), names.ListPages,
		activities.Listing{
			Location: b.input.Location, After: b.state.Next, Seen: b.state.Seen, Limit: left, All: b.input.TasksAndNotes,
		}).Get(ctx, &listed)
	b.listing, b.landed = false, true
	if err != nil {
		b.fell(ctx, failed(err))
		return
	}
	b.succeeded()
	b.state.Calls++
	b.state.Total, b.state.Left = listed.Total, listed.Left
	if b.input.Limit > 0 {
		b.state.Total = min(b.input.Limit, listed.Total)
	}
	b.state.Seen += listed.Seen
	b.state.Known += listed.Known
	b.state.Done += listed.Known
	b.state.Pages = append(b.state.Pages, listed.Pages...)
	b.state.Next, b.state.Listed = listed.Next, listed.Next == ""
}

func (b *backfill) page(ctx workflow.Context, page names.ListedPage) {
	var answer activities.BackfillAnswer
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, oneBackfillPage(b.input.Location)), names.BackfillPage,
		activities.PageOfBackfill{
			Location: b.input.Location, ListedPage: page, TasksAndNotes: b.input.TasksAndNotes, Failures: b.state.Failures,
		}).Get(ctx, &answer)
	b.flying, b.landed = b.flying-1, true
	if err != nil {
		b.state.Pages = slices.Insert(b.state.Pages, 0, page)
		b.fell(ctx, failed(err))
		return
	}
	b.succeeded()
	b.state.Calls += answer.Calls
	b.state.Known += answer.Known
	b.state.Done += page.Contacts
	b.state.HandedOver += answer.HandedOver
	for _, outcome := range workflow.DeterministicKeys(answer.Outcomes) {
		b.state.Outcomes[string(outcome)] += answer.Outcomes[outcome]
	}
}

func (b *backfill) succeeded() { b.state.Failures, b.state.NotBefore, b.code = 0, time.Time{}, "" }

// fell waits and tries again. Credentials that GHL or Rankr refuses are waited for, too: a poll finds out when somebody mended
// them, and the contacts of this run are loaded then. Failures that came together count as one.
func (b *backfill) fell(ctx workflow.Context, f failure) {
	if ctx.Err() != nil {
		return // cancelled
	}
	now := workflow.Now(ctx)
	if !b.state.NotBefore.After(now) {
		b.state.Failures++
		b.state.NotBefore = now.Add(backOff(b.state.Failures, f.wait))
	}
	b.code = f.code
	if f.never != nil && !slices.Contains(crm.GHLCredentials, f.code) && !slices.Contains(crm.RankrCredentials, f.code) {
		b.failure = f.never
	}
	workflow.GetLogger(ctx).Warn("backfill waits", "location", b.input.Location, "code", f.code, "failures", b.state.Failures,
		"next", b.state.NotBefore)
}

func (b *backfill) done() bool {
	return b.state.Listed && len(b.state.Pages) == 0 && b.flying == 0 && !b.listing
}

// full tells whether a fresh run must take over.
func (b *backfill) full(ctx workflow.Context) bool {
	return crowded(ctx, b.heard+b.pause.Len()+b.resume.Len())
}

func (b *backfill) carry() names.BackfillInput {
	next := b.input
	next.Carried = &b.state
	return next
}

// wait sleeps until something lands, somebody says something, or a wait ends.
func (b *backfill) wait(ctx workflow.Context) error {
	waking := func() bool { return b.landed || b.pause.Len()+b.resume.Len() > 0 }
	defer func() { b.landed = false }()
	until := b.state.NotBefore.Sub(workflow.Now(ctx))
	if b.state.Paused || until <= 0 || b.flying > 0 || b.listing {
		return workflow.Await(ctx, waking)
	}
	_, err := workflow.AwaitWithTimeout(ctx, until, waking)
	return err
}

func (b *backfill) result() names.BackfillResult {
	return names.BackfillResult{Location: b.input.Location, BackfillCounts: b.state.BackfillCounts}
}

// words says in Markdown how far it is.
func (b *backfill) words() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%d of %d contacts, %d of them in step before; %d pages under way, %d waiting.",
		b.state.Done, b.state.Total, b.state.Known, b.flying, len(b.state.Pages))
	for i, outcome := range workflow.DeterministicKeys(b.state.Outcomes) {
		if i == 0 {
			w.WriteString("\n\nDone:")
		}
		fmt.Fprintf(&w, " %s %d", outcome, b.state.Outcomes[outcome])
	}
	if b.state.HandedOver > 0 {
		fmt.Fprintf(&w, "\n\nHanded over to runs of their own: %d.", b.state.HandedOver)
	}
	if b.state.Paused {
		w.WriteString("\n\n**paused**: the signal " + code(names.ResumeSignal) + " lets it go on")
	}
	if b.state.Failures > 0 {
		fmt.Fprintf(&w, "\n\n**retrying** at %s: %s", b.state.NotBefore.UTC().Format(time.RFC3339), explain(b.code))
	}
	return w.String()
}

// status is the query.
func (b *backfill) status() (names.BackfillStatus, error) {
	status := names.BackfillStatus{
		State: names.StateWorking, BackfillCounts: b.state.BackfillCounts, Started: b.state.Started, Pages: b.flying,
		Failures: b.state.Failures, Code: string(b.code), NextTry: b.state.NotBefore,
	}
	switch {
	case b.finished:
		status.State = names.StateFinished
	case b.state.Paused:
		status.State = names.StatePaused
	case b.state.Failures > 0:
		status.State = names.StateRetrying
	}
	return status, nil
}
