package workflows

import (
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// SyncContacts brings the contacts of one location into step by pages: what a storm of changes goes through, where a
// workflow for each would cost ten times as much. It completes when its backlog is empty; its result counts the outcomes.
//
// Signal "changed" brings up to [names.MaxHints] references; query "status" counts what waits. While a system is away
// one page at a time asks whether it is back, and everything else stays listed.
func SyncContacts(ctx workflow.Context, input names.LocationInput) (ContactsResult, error) {
	if err := checkLocation(input.Location); err != nil {
		return ContactsResult{}, err
	}
	s := newContactsSync(ctx, input)
	if err := workflow.SetQueryHandler(ctx, names.StatusQuery, s.status); err != nil {
		return ContactsResult{}, err
	}
	for {
		s.drain(ctx)
		s.startPages(ctx)
		switch {
		case s.failure != nil && s.pages == 0:
			return ContactsResult{}, s.failure
		case s.backlog.empty():
			return s.result, nil
		case s.full(ctx) && s.pages == 0:
			return ContactsResult{}, s.handOver(ctx)
		}
		if err := s.wait(ctx); err != nil {
			return ContactsResult{}, err
		}
	}
}

// ContactsResult counts how the contacts of all runs ended.
type ContactsResult struct {
	Outcomes map[string]int `json:"outcomes"`
	// HandedOver counts contacts that failed on their own account and went to their SyncContact.
	HandedOver int `json:"handedOver,omitempty"`
}

// contactsSync is one run of SyncContacts.
type contactsSync struct {
	location string
	signals  workflow.ReceiveChannel
	heard    int // signals received in this run
	backlog  *backlog
	pages    int // under way
	result   ContactsResult

	failures  int       // pages that failed in a row
	notBefore time.Time // no page starts before
	code      crm.Code  // of the last failure
	failure   error     // why the run fails, once its pages have landed

	alarm  workflow.Future // wakes the run when a wait ends; nil: none is set
	rings  time.Time
	cancel workflow.CancelFunc
	landed bool // a page came back since the last look
}

func newContactsSync(ctx workflow.Context, input names.LocationInput) *contactsSync {
	s := &contactsSync{
		location: input.Location,
		signals:  workflow.GetSignalChannel(ctx, names.ChangedSignal),
		backlog:  newBacklog(),
		result:   ContactsResult{Outcomes: map[string]int{}},
	}
	for _, reference := range input.Backlog {
		s.list(ctx, reference)
	}
	if carried := input.Carried; carried != nil {
		s.failures, s.notBefore, s.result.HandedOver = carried.Failures, carried.NotBefore, carried.HandedOver
		for _, outcome := range workflow.DeterministicKeys(carried.Outcomes) {
			s.result.Outcomes[outcome] = carried.Outcomes[outcome]
		}
	}
	return s
}

// drain lists every reference that came.
func (s *contactsSync) drain(ctx workflow.Context) {
	var changed names.Changed
	for s.signals.ReceiveAsync(&changed) {
		s.heard++
		for _, hint := range changed.Hints {
			s.list(ctx, names.Reference{Hint: hint})
		}
		changed = names.Changed{}
	}
}

// list adds a reference to the backlog. An id that can't be real would fail its page for ever.
func (s *contactsSync) list(ctx workflow.Context, reference names.Reference) {
	if !crm.ValidID(reference.Contact) {
		workflow.GetLogger(ctx).Warn("a reference can't be used", "location", s.location, "code", crm.InvalidInput)
		return
	}
	s.backlog.add(reference, workflow.Now(ctx))
}

// startPages puts what may start into pages, as far as there is room. A run that has to hand over starts none: it waits
// for those under way and keeps listing.
func (s *contactsSync) startPages(ctx workflow.Context) {
	now := workflow.Now(ctx)
	for s.hasRoom(ctx) && !s.notBefore.After(now) {
		page := s.backlog.take(now, s.pageSize())
		if len(page) == 0 {
			break
		}
		s.pages++
		workflow.Go(ctx, func(ctx workflow.Context) { s.page(ctx, page) })
	}
	workflow.SetCurrentDetails(ctx, s.words())
}

// hasRoom tells whether one more page may be under way: after a failure one alone asks whether the system is back.
func (s *contactsSync) hasRoom(ctx workflow.Context) bool {
	room := maxPages
	if s.failures > 0 {
		room = 1
	}
	return s.pages < room && s.failure == nil && !s.full(ctx)
}

// pageSize halves with every failure in a row, so that a contact which fails its page ends up alone in it.
func (s *contactsSync) pageSize() int { return max(pageSize>>min(s.failures, 10), 1) }

// page does one page and lists again what it could not finish.
func (s *contactsSync) page(ctx workflow.Context, hints []names.Hint) {
	var answer activities.PageAnswer
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, onePage(s.location)), names.BringPageIntoStep,
		activities.PageRound{Location: s.location, Hints: hints, Failures: s.failures}).Get(ctx, &answer)
	s.backlog.land(hints)
	s.pages--
	s.landed = true
	if err != nil {
		s.fell(ctx, hints, failed(err))
		return
	}
	s.failures, s.notBefore, s.code = 0, time.Time{}, ""
	s.result.HandedOver += answer.HandedOver
	for _, outcome := range workflow.DeterministicKeys(answer.Outcomes) {
		s.result.Outcomes[string(outcome)] += answer.Outcomes[outcome]
	}
	clock := answer.Now // only the length of a wait is believed: the worker's clock may be off
	if clock.IsZero() {
		clock = workflow.Now(ctx)
	}
	for _, reference := range answer.Waiting {
		reference.NotBefore = workflow.Now(ctx).Add(believed(reference.NotBefore.Sub(clock)))
		s.list(ctx, reference)
	}
}

// fell lists a failed page's contacts again, behind those that have not had their turn. What the page had finished is
// found in step then, mostly without a call. Pages that fail together count as one failure.
func (s *contactsSync) fell(ctx workflow.Context, hints []names.Hint, f failure) {
	now := workflow.Now(ctx)
	if !s.notBefore.After(now) {
		s.failures++
		s.notBefore = now.Add(backOff(s.failures, f.wait))
	}
	s.code = f.code
	if f.never != nil {
		s.failure = f.never
	}
	for _, hint := range hints {
		s.backlog.add(names.Reference{Hint: hint}, now)
	}
	workflow.GetLogger(ctx).Warn("page failed", "location", s.location, "code", f.code,
		"failures", s.failures, "next", s.notBefore)
}

// wait sleeps until a signal comes, a page lands or a wait ends.
func (s *contactsSync) wait(ctx workflow.Context) error {
	s.setAlarm(ctx)
	err := workflow.Await(ctx, func() bool {
		return s.landed || s.signals.Len() > 0 || s.alarm != nil && s.alarm.IsReady()
	})
	s.landed = false
	if s.alarm != nil && s.alarm.IsReady() {
		s.alarm = nil
	}
	return err
}

// setAlarm makes sure that the run wakes up when the next wait ends. One that rings too early does no harm, so it is
// only moved forward: a timer costs an action.
func (s *contactsSync) setAlarm(ctx workflow.Context) {
	next, found := s.backlog.next()
	if !found || !s.hasRoom(ctx) {
		return // a page will land, or a signal come
	}
	if next.Before(s.notBefore) {
		next = s.notBefore
	}
	next = next.Truncate(alarmGrain).Add(alarmGrain)
	if s.alarm != nil {
		if !next.Before(s.rings) {
			return
		}
		s.cancel()
	}
	var alarming workflow.Context
	alarming, s.cancel = workflow.WithCancel(ctx)
	s.alarm = workflow.NewTimerWithOptions(alarming, next.Sub(workflow.Now(ctx)),
		workflow.TimerOptions{Summary: names.StateWaiting})
	s.rings = next
}

// full tells whether a fresh run must take over.
func (s *contactsSync) full(ctx workflow.Context) bool { return crowded(ctx, s.heard+s.signals.Len()) }

// handOver continues as new with the backlog. What does not fit into one run's input goes to runs of their own, which
// end when theirs is done: nothing is dropped, however many contacts changed while a system was away.
func (s *contactsSync) handOver(ctx workflow.Context) error {
	carried := names.ContactsCarried{Failures: s.failures, NotBefore: s.notBefore}
	for part := 0; ; part++ {
		s.drain(ctx)
		surplus := s.backlog.cut(maxCarried, maxCarried)
		if len(surplus) == 0 {
			break
		}
		err := s.split(ctx, part, names.LocationInput{Location: s.location, Backlog: surplus, Carried: &carried})
		if err != nil {
			return err
		}
	}
	carried.Outcomes, carried.HandedOver = s.result.Outcomes, s.result.HandedOver
	return workflow.NewContinueAsNewError(ctx, names.SyncContacts,
		names.LocationInput{Location: s.location, Backlog: s.backlog.references(), Carried: &carried})
}

// split starts a run of its own for a part of the backlog and returns once it has begun.
func (s *contactsSync) split(ctx workflow.Context, part int, input names.LocationInput) error {
	run := workflow.GetInfo(ctx).OriginalRunID // the same after a reset
	child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:        names.ContactsOverflow(s.location, run, part),
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:     "Contacts of location " + code(s.location) + " that did not fit into one run",
	}), names.SyncContacts, input)
	return child.GetChildWorkflowExecution().Get(ctx, nil)
}

// words says in Markdown what is done and what waits.
func (s *contactsSync) words() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d contacts waiting, %d in %d pages under way.", len(s.backlog.queue), s.backlog.flying, s.pages)
	if s.failures > 0 {
		fmt.Fprintf(&b, "\n\n**retrying** at %s: %s", s.notBefore.UTC().Format(time.RFC3339), explain(s.code))
	}
	for i, outcome := range workflow.DeterministicKeys(s.result.Outcomes) {
		if i == 0 {
			b.WriteString("\n\nDone:")
		}
		fmt.Fprintf(&b, " %s %d", outcome, s.result.Outcomes[outcome])
	}
	if s.result.HandedOver > 0 {
		fmt.Fprintf(&b, "\n\nHanded over to runs of their own: %d.", s.result.HandedOver)
	}
	return b.String()
}

// status is the query.
func (s *contactsSync) status() (names.ContactsStatus, error) {
	status := names.ContactsStatus{
		State:      names.StateWorking,
		Waiting:    len(s.backlog.queue),
		InFlight:   s.backlog.flying,
		Pages:      s.pages,
		Failures:   s.failures,
		Code:       string(s.code),
		NextTry:    s.notBefore,
		Oldest:     s.backlog.oldest(),
		Outcomes:   s.result.Outcomes,
		HandedOver: s.result.HandedOver,
	}
	switch {
	case s.backlog.empty():
		status.State = names.StateFinished
	case s.pages > 0:
	case s.failures > 0:
		status.State = names.StateRetrying
	default:
		status.State = names.StateWaiting
	}
	return status, nil
}
