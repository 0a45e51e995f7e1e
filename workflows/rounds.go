// What SyncContact, AlignTasksAndNotes, SegmentContact and SyncBusiness share: rounds of one contact or business, what comes
// in between, and what people see.

package workflows

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// pattern is what these workflows differ in.
type pattern struct {
	workflow string                                // its type
	deed     string                                // the activity that does a round
	input    func(*names.ContactCarried) any       // of the run that takes over
	work     func(hint names.Hint, failed int) any // the deed's input
	check    func() error                          // refuses ids that can't be real
	merge    func(one, other names.Hint) names.Hint

	location   string
	noun, id   string                             // what it is about: "contact" and its id, say
	indexedBy  temporal.SearchAttributeKeyKeyword // a run that has this one has all of attributes
	attributes []temporal.SearchAttributeUpdate   // by which people find the run
}

// ofContact is the pattern of a workflow that brings something of one contact into step.
func ofContact(workflow, deed string, input names.ContactInput) pattern {
	ref := crm.Ref{Location: input.Location, Contact: input.Contact}
	return pattern{
		workflow: workflow,
		deed:     deed,
		input: func(carried *names.ContactCarried) any {
			return names.ContactInput{Location: ref.Location, Contact: ref.Contact, Carried: carried}
		},
		work:       func(hint names.Hint, failed int) any { return activities.Round{Ref: ref, Hint: hint, Failures: failed} },
		check:      func() error { return refused(ref.Validate()) },
		merge:      names.Hint.Merge,
		location:   ref.Location,
		noun:       "contact",
		id:         ref.Contact,
		indexedBy:  names.GhlContact,
		attributes: []temporal.SearchAttributeUpdate{names.GhlLocation.ValueSet(ref.Location), names.GhlContact.ValueSet(ref.Contact)},
	}
}

// ofBusiness is the pattern of a workflow that brings one business into step.
func ofBusiness(workflow, deed string, input names.BusinessInput) pattern {
	location, business := input.Location, input.Business
	work := func(hint names.Hint, failed int) activities.BusinessRound {
		return activities.BusinessRound{Location: location, Business: business, Hint: hint, Failures: failed}
	}
	return pattern{
		workflow: workflow,
		deed:     deed,
		input: func(carried *names.ContactCarried) any {
			return names.BusinessInput{Location: location, Business: business, Carried: carried}
		},
		work:       func(hint names.Hint, failed int) any { return work(hint, failed) },
		check:      func() error { return refused(work(names.Hint{}, 0).Validate()) },
		merge:      names.Hint.MergeOfBusiness,
		location:   location,
		noun:       "business",
		id:         business,
		indexedBy:  names.GhlLocation,
		attributes: []temporal.SearchAttributeUpdate{names.GhlLocation.ValueSet(location)},
	}
}

// rounds is one run of such a workflow.
type rounds struct {
	pattern
	signals workflow.ReceiveChannel
	heard   int         // signals received in this run
	pending *names.Hint // a change not yet looked at; nil: none

	state    string
	begun    int       // rounds, in all runs
	waited   int       // rounds in a row that ended with nothing but a wait
	failures int       // in a row
	code     crm.Code  // of the last failure or problem
	next     time.Time // when the pause ends
	result   crm.Result

	wanted   int   // the newest round that an update asked for
	answered int   // the newest round that ended with an outcome
	leaving  bool  // the run hands over, or fails: updates are answered now
	failure  error // why it fails

	searchable bool   // the server knows our search attributes
	indexed    bool   // the run has its attributes
	indexedAs  string // its SyncState
}

func newRounds(ctx workflow.Context, p pattern, carried *names.ContactCarried) *rounds {
	s := &rounds{
		pattern: p,
		signals: workflow.GetSignalChannel(ctx, names.ChangedSignal),
		state:   names.StateWorking,
	}
	if carried != nil {
		s.pending, s.failures, s.begun, s.next = carried.Hint, carried.Failures, carried.Rounds, carried.NotBefore
		switch {
		case s.failures > 0:
			s.state = names.StateRetrying
		case s.pending != nil && s.pending.Confirm:
			s.state = names.StateConfirming
		default:
			s.state = names.StateWaiting
		}
	}
	attributes := workflow.GetTypedSearchAttributes(ctx)
	_, s.indexed = attributes.GetKeyword(s.indexedBy)
	s.indexedAs, _ = attributes.GetKeyword(names.SyncState)
	s.searchable = s.indexed
	return s
}

// run goes round until nothing is left to look at.
func (s *rounds) run(ctx workflow.Context) (crm.Result, error) {
	if err := s.listen(ctx); err != nil {
		return crm.Result{}, err
	}
	if err := s.check(); err != nil {
		return crm.Result{}, err
	}
	if s.failures > 0 || s.next.After(workflow.Now(ctx)) { // handed over in the middle of a pause
		if _, err := s.pause(ctx); err != nil {
			return s.leave(ctx, err)
		}
	}
	for {
		if err := s.round(ctx); err != nil {
			return s.leave(ctx, err)
		}
		more, err := s.pause(ctx)
		switch {
		case err != nil:
			return s.leave(ctx, err)
		case !more:
			return s.result, nil
		case s.full(ctx):
			return s.handOver(ctx)
		}
	}
}

// listen sets the handlers up. The update's comes last: setting it lets an update that came with the start in, so that
// the first round already answers it.
func (s *rounds) listen(ctx workflow.Context) error {
	if err := workflow.SetQueryHandler(ctx, names.StatusQuery, s.status); err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, names.SyncUpdate, s.sync, workflow.UpdateHandlerOptions{
		Description: "Answers with the outcome of a round that begins now.",
		Validator:   s.check,
	})
}

// sync is the update.
func (s *rounds) sync(ctx workflow.Context) (crm.Result, error) {
	round := s.begun + 1
	s.wanted = round
	if err := workflow.Await(ctx, func() bool { return s.answered >= round || s.leaving }); err != nil {
		return crm.Result{}, err
	}
	if s.answered < round {
		return crm.Result{Outcome: crm.Waiting, Code: s.code}, s.failure
	}
	return s.result, nil
}

// round does one round. It returns an error only when going on makes no sense.
func (s *rounds) round(ctx workflow.Context) error {
	s.drain()
	hint := s.take()
	s.begun++
	s.state, s.next = names.StateWorking, time.Time{}

	var answer activities.Answer
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, oneRound(s.location)), s.deed,
		s.work(hint, s.failures)).Get(ctx, &answer)
	switch {
	case ctx.Err() != nil: // cancelled by a person
		return ctx.Err()
	case err != nil:
		s.put(hint)
		if err := s.fell(ctx, failed(err)); err != nil {
			return err
		}
	case answer.Outcome == crm.Waiting:
		s.put(hint)
		s.ended(ctx, answer)
	default:
		s.answered = s.begun
		s.ended(ctx, answer)
	}
	s.tell(ctx)
	return nil
}

// drain reads every signal that came. One that can't be read still says that something changed.
func (s *rounds) drain() {
	for changed := range unread[names.Changed](s.signals) {
		s.heard++
		if len(changed.Hints) == 0 {
			s.put(names.Hint{})
		}
		for _, hint := range changed.Hints {
			s.put(hint)
		}
	}
}

// unread takes every signal that came. One that can't be read is the zero value: it still says that something happened.
func unread[T any](signals workflow.ReceiveChannel) iter.Seq[T] {
	return func(yield func(T) bool) {
		var raw converter.RawValue
		for signals.ReceiveAsync(&raw) {
			var told T
			if raw.Payload() != nil && converter.GetDefaultDataConverter().FromPayload(raw.Payload(), &told) != nil {
				told = *new(T)
			}
			if !yield(told) {
				return
			}
			raw = converter.RawValue{}
		}
	}
}

// put merges a hint into the pending one.
func (s *rounds) put(hint names.Hint) {
	hint.Contact = "" // it is this run's
	if s.pending != nil {
		hint = s.merge(*s.pending, hint)
	}
	s.pending = &hint
}

// take returns the hint for the next round. Without a signal, or when a person asked, it holds no time: GHL is read
// whatever was read before.
func (s *rounds) take() names.Hint {
	var hint names.Hint
	if s.pending != nil {
		hint = *s.pending
	}
	if s.asked() {
		hint = s.merge(hint, names.Hint{})
	}
	s.pending = nil
	return hint
}

// ended notes an answer. Where it asks for another round, the state says why.
func (s *rounds) ended(ctx workflow.Context, answer activities.Answer) {
	s.result, s.code, s.failures = answer.Result, answer.Code, 0
	s.searchable = s.searchable || answer.Searchable
	if s.waited++; answer.Outcome != crm.Waiting {
		s.waited = 0
	}
	switch {
	case answer.Outcome == crm.Waiting:
		s.state = names.StateWaiting
	case answer.Wait > 0:
		s.state = names.StateConfirming
		s.put(names.Hint{Confirm: true})
	default:
		s.state = names.StateFinished
		return
	}
	s.next = workflow.Now(ctx).Add(max(believed(answer.Wait), patience(s.waited)))
}

// patience is how long a run waits at least after so many rounds in a row that found they have to: what stands in the way for
// so long is no matter of moments. The first ten wait as they say; from then on it is a second, doubling every ten to half a minute.
func patience(waited int) time.Duration {
	const most, every = 5, 10
	if waited < every {
		return 0
	}
	return time.Second << min(waited/every-1, most)
}

// fell notes a failed round.
func (s *rounds) fell(ctx workflow.Context, f failure) error {
	s.failures++
	s.waited = 0
	s.state, s.code = names.StateRetrying, f.code
	s.next = workflow.Now(ctx).Add(backOff(s.failures, f.wait))
	workflow.GetLogger(ctx).Warn("round failed", "location", s.location, s.noun, s.id,
		"code", f.code, "failures", s.failures, "next", s.next)
	return f.never
}

// pause waits for a reason to go round again; false: there is none, so the run may complete. That no signal is unread
// is found in the workflow task that completes the run: should one come meanwhile, the server refuses the completion.
func (s *rounds) pause(ctx workflow.Context) (bool, error) {
	if s.state == names.StateFinished {
		if err := workflow.Await(ctx, func() bool { return s.asked() || workflow.AllHandlersFinished(ctx) }); err != nil {
			return false, err
		}
		return s.asked() || s.signals.Len() > 0, nil
	}
	options := workflow.AwaitOptions{
		Timeout:      s.next.Sub(workflow.Now(ctx)),
		TimerOptions: workflow.TimerOptions{Summary: s.state},
	}
	_, err := workflow.AwaitWithOptions(ctx, options, func() bool { return s.cutShort() || s.full(ctx) })
	return true, err
}

// cutShort tells whether a pause ends early. "Waiting" never does: the answer would be the same. While a system is away,
// only a person's question tries before its time: signals would turn the outage into a storm of calls.
func (s *rounds) cutShort() bool {
	switch s.state {
	case names.StateConfirming:
		return s.asked() || s.signals.Len() > 0
	case names.StateRetrying:
		return s.asked()
	}
	return false
}

// asked tells whether an update waits for a round that has not begun.
func (s *rounds) asked() bool { return s.wanted > s.begun }

// full tells whether a fresh run must take over.
func (s *rounds) full(ctx workflow.Context) bool { return crowded(ctx, s.heard+s.signals.Len()) }

// crowded tells whether a run with so many signals has to make room.
func crowded(ctx workflow.Context, signals int) bool {
	info := workflow.GetInfo(ctx)
	return info.GetCurrentHistoryLength() > maxEvents || signals > maxSignals || info.GetContinueAsNewSuggested()
}

// handOver continues as new with what is unfinished.
func (s *rounds) handOver(ctx workflow.Context) (crm.Result, error) {
	s.leaving = true
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return s.leave(ctx, err)
	}
	s.drain()
	return crm.Result{}, workflow.NewContinueAsNewError(ctx, s.workflow,
		s.input(&names.ContactCarried{Hint: s.pending, Failures: s.failures, Rounds: s.begun, NotBefore: s.next}))
}

// leave ends the run with an error, after those who asked have been told.
func (s *rounds) leave(ctx workflow.Context, err error) (crm.Result, error) {
	s.leaving, s.failure = true, err
	ctx, cancel := workflow.NewDisconnectedContext(ctx) // also when the run was cancelled
	defer cancel()
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return crm.Result{}, err
	}
	return crm.Result{}, err
}

// tell shows people how the round ended: in the UI in words, and by search attributes. A change that simply succeeds
// costs no upsert, since its run was started with the attributes.
func (s *rounds) tell(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, s.words())
	state := ""
	switch {
	case s.state == names.StateRetrying:
		state = names.SyncStateRetrying
	case s.result.Outcome == crm.Problem:
		state = names.SyncStateProblem
	}
	var upserts []temporal.SearchAttributeUpdate
	if !s.indexed {
		upserts = append(upserts, s.attributes...)
	}
	switch {
	case state == s.indexedAs:
	case state == "":
		upserts = append(upserts, names.SyncState.ValueUnset())
	default:
		upserts = append(upserts, names.SyncState.ValueSet(state))
	}
	if !s.searchable || len(upserts) == 0 {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, upserts...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes not set", "location", s.location, s.noun, s.id, "error", err)
		return
	}
	s.indexed, s.indexedAs = true, state
}

// words says in Markdown how the last round ended and what comes next.
func (s *rounds) words() string {
	var b strings.Builder
	switch {
	case s.state == names.StateRetrying:
		fmt.Fprintf(&b, "**retrying**: %s\n\n%d in a row failed.", explain(s.code), s.failures)
	default:
		fmt.Fprintf(&b, "**%s**", s.result.Outcome)
		if s.result.RankrID != "" {
			fmt.Fprintf(&b, " in Rankr as %s", code(s.result.RankrID))
		}
		if s.code != "" {
			fmt.Fprintf(&b, ": %s", explain(s.code))
		}
		if len(s.result.Fields) > 0 {
			b.WriteString("\n\nFields:")
			for _, field := range s.result.Fields {
				b.WriteString(" " + code(field))
			}
		}
	}
	if !s.next.IsZero() {
		fmt.Fprintf(&b, "\n\nNext round: %s (%s).", s.next.UTC().Format(time.RFC3339), s.state)
	}
	fmt.Fprintf(&b, "\n\nRounds: %d.", s.begun)
	return b.String()
}

// explain is a code's sentence and remedy.
func explain(failed crm.Code) string {
	if failed == "" {
		return "no worker answered in time. check that a worker runs"
	}
	entry, known := crm.Catalogue[failed]
	if !known {
		return code(string(failed))
	}
	return fmt.Sprintf("%s (%s). %s", entry.Sentence, code(string(failed)), entry.Remedy)
}

// status is the query.
func (s *rounds) status() (names.ContactStatus, error) {
	return names.ContactStatus{
		State:       s.state,
		Rounds:      s.begun,
		Failures:    s.failures,
		LastOutcome: string(s.result.Outcome),
		Code:        string(s.code),
		NextTry:     s.next,
		Unread:      s.signals.Len(),
	}, nil
}
