// Package activities holds the deeds: what workflows decide is done here, against GHL, Rankr and the store. Every
// deed may run twice, at any point, and may be killed at any line.
package activities

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Contacts brings contacts into step. All fields but Rules, Accounts, Segments and Observe are needed.
type Contacts struct {
	Source      crm.Source
	Destination crm.Destination
	Links       Links
	Nudge       Nudger
	Prints      crm.Fingerprinter
	StoreID     string         // goes into idempotency keys
	Quiet       time.Duration  // at most one round of a contact in this time
	Lease       time.Duration  // how long a round may write; a crashed one blocks its contact as long
	KeepDeleted bool           // what is deleted in GHL stays in Rankr, unlinked
	Rules       *rules.Rules   // nil: none
	Accounts    rules.Accounts // none: all locations share one Rankr account
	Segments    *Segments      // which brings about what the rules decide; nil only without rules
	Searchable  func() bool    // whether the server knows our search attributes
	// Observe is told of each round that ended; received is when we heard of the change, zero if nobody told us.
	Observe func(location string, object crm.Object, outcome crm.Outcome, received time.Time)

	places places
	asked  asked
	of     *Contacts // whose places are used; nil: its own
}

// Links is what the deeds need of the store. The results [crm.ErrMoved], [crm.ErrTaken] and [crm.ErrBraked] mean that
// nothing was written.
type Links interface {
	Link(ctx context.Context, ref crm.Ref, object crm.Object) (crm.Link, error)
	Advance(ctx context.Context, was, next crm.Link) error
	Park(ctx context.Context, was, next crm.Link, problem crm.ProblemRecord) error
	Acquire(ctx context.Context, was crm.Link, claim crm.Claim) (crm.Link, error)
	Release(ctx context.Context, held, next crm.Link, unsure bool, problem *crm.ProblemRecord) error
	TakeOver(ctx context.Context, was crm.Link) error
	Unsure(ctx context.Context, held crm.Link) error
	ParkLocation(ctx context.Context, location string, code crm.Code) error
}

// Round asks for one contact to be brought into step.
type Round struct {
	crm.Ref
	Hint names.Hint `json:"hint,omitzero"`
	// Failures counts the workflow's failed rounds before this one: after the first, Rankr is asked first.
	Failures int `json:"failures,omitempty"`
}

// Answer is a round's result and what the workflow can't know by itself.
type Answer struct {
	crm.Result
	// Searchable tells that the server knows our search attributes, so the workflow may upsert them.
	Searchable bool `json:"searchable,omitempty"`
}

// PageRound asks for up to 50 contacts of one location to be brought into step.
type PageRound struct {
	Location string       `json:"location"`
	Hints    []names.Hint `json:"hints"`
	// Failures counts the pages of the location that failed before this one: after the first, Rankr is asked first.
	Failures int `json:"failures,omitempty"`
}

// PageAnswer counts how the contacts of a page ended, and lists those that must wait.
type PageAnswer struct {
	Outcomes map[crm.Outcome]int `json:"outcomes,omitempty"`
	Waiting  []names.Reference   `json:"waiting,omitempty"`
	// Now is the worker's clock, which the NotBefores of Waiting are measured from.
	Now time.Time `json:"now,omitzero"`
	// HandedOver counts contacts that failed on their own account and went to their SyncContact.
	HandedOver int `json:"handedOver,omitempty"`
}

// Nudger hands hints over to Temporal; it returns when Temporal has them. Package workflows/nudge is the one.
type Nudger interface {
	// Contact always goes to the contact's own SyncContact.
	Contact(ctx context.Context, location string, hint names.Hint) error
	// Contacts goes to SyncContact when it is one, else to the location's SyncContacts.
	Contacts(ctx context.Context, location string, hints ...names.Hint) error
	// TasksAndNotes goes to the contact's AlignTasksAndNotes.
	TasksAndNotes(ctx context.Context, location string, hint names.Hint) error
	// Segments goes to the contact's SegmentContact.
	Segments(ctx context.Context, location string, hint names.Hint) error
	// Business goes to the SyncBusiness of the business whose id is the hint's contact.
	Business(ctx context.Context, location string, hint names.Hint) error
	// DueDate has the task looked at once it is due, and not at the time asked for before; NoDueDate takes it back.
	DueDate(ctx context.Context, location, contact, task string, due time.Time) error
	NoDueDate(ctx context.Context, location, contact, task string) error
}

// BringIntoStep makes Rankr's record of one contact equal to GHL's. A contact that can't succeed until somebody acts is
// no error: its outcome is [crm.Problem], and the store has it. Errors are a system that is away ("again") or a rate
// limit ("later").
func (c *Contacts) BringIntoStep(ctx context.Context, in Round) (Answer, error) {
	if err := in.Validate(); err != nil {
		return Answer{}, leave(err)
	}
	result, err := c.bring(ctx, in.Ref, in.Hint, retried(ctx, in.Failures), c.askSegments)
	if err != nil {
		return Answer{}, leave(err)
	}
	return Answer{Result: result, Searchable: c.Searchable()}, nil
}

// retried tells whether a deed was tried before, by an earlier attempt or in an earlier round of its workflow.
func retried(ctx context.Context, failures int) bool {
	return failures > 0 || activity.GetInfo(ctx).Attempt > 1
}

// bring runs one round of a contact, and has what it decided beside the contact brought about by segment. The round is
// saved by then, and not at its end before that has happened: a crash in between runs it again.
func (c *Contacts) bring(ctx context.Context, ref crm.Ref, hint names.Hint, retry bool, segment segmenter) (crm.Result, error) {
	return c.bringRound(ctx, round{Contacts: c, ref: ref, object: crm.ContactItself, hint: hint, doubt: retry}, segment)
}

func (c *Contacts) bringRound(ctx context.Context, r round, segment segmenter) (crm.Result, error) {
	ref, hint := r.ref, r.hint
	return c.guarded(ctx, &r, func(ctx context.Context) (crm.Result, error) {
		result, err := r.once(ctx)
		if err != nil {
			return result, err
		}
		if err := c.askBusiness(ctx, ref.Location, r.saved.Decision.Business); err != nil || !r.saved.Undecided() {
			return result, err
		}
		return result, segment(ctx, ref, names.Hint{Contact: ref.Contact, At: r.saved.LastRead, Received: hint.Received})
	})
}

// segmenter has what a contact's round decided brought about, in one way or another.
type segmenter func(ctx context.Context, ref crm.Ref, hint names.Hint) error

// askSegments leaves it to the contact's SegmentContact.
func (c *Contacts) askSegments(ctx context.Context, ref crm.Ref, hint names.Hint) error {
	return nudgeError(c.Nudge.Segments(ctx, ref.Location, hint))
}

// segment does it at once, where pages would else start a workflow for each contact. What does not end well at the first
// try is left to SegmentContact, where its retries can be seen.
func (c *Contacts) segment(ctx context.Context, ref crm.Ref, hint names.Hint) error {
	if result, err := c.Segments.bring(ctx, ref, hint, false); err == nil && result.Wait == 0 {
		return nil
	}
	return c.askSegments(ctx, ref, hint)
}

// askBusiness has the business of a contact that changed looked at, once in a while however many of its contacts change.
func (c *Contacts) askBusiness(ctx context.Context, location, business string) error {
	if business == "" || !c.Rules.MirrorsBusinesses() || !c.asked.due(location+"/"+business) {
		return nil
	}
	err := c.Nudge.Business(ctx, location, names.Hint{Contact: business, Received: time.Now()})
	if err == nil {
		c.asked.done(location + "/" + business)
	}
	return nudgeError(err)
}

// guarded runs a round and tells who counts how it ended.
func (c *Contacts) guarded(ctx context.Context, r *round, once func(context.Context) (crm.Result, error)) (result crm.Result, err error) {
	err = unpanic(ctx, r.ref.Location, r.ref.Contact, func() error {
		result, err = r.run(ctx, once)
		return err
	})
	if err == nil && c.Observe != nil && result.Outcome != crm.Waiting {
		c.Observe(r.ref.Location, r.object, result.Outcome, r.hint.Received)
	}
	return result, err
}

// asked keeps the times at which something was asked for, so that it is not asked for again too soon.
type asked struct {
	mu sync.Mutex
	at map[string]time.Time
}

// maxAsked bounds what is kept: beyond it everything may be asked for once more.
const maxAsked = 10_000

func (a *asked) due(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.at[name]) >= businessAge
}

func (a *asked) done(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil || len(a.at) >= maxAsked {
		a.at = map[string]time.Time{}
	}
	a.at[name] = time.Now()
}

// unpanic turns a panic into an error: its text may hold anything, and must not reach the history.
func unpanic(ctx context.Context, location, contact string, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "a deed panicked", "location", location, "contact", contact, "stack", string(debug.Stack()))
			err = &crm.Error{Code: crm.Internal, Operation: "deed", Landed: true}
		}
	}()
	return do()
}

// pageWidth is how many contacts of one page are worked on at a time.
const pageWidth = 8

// beatInterval is well below the heartbeat time-out of a page (30 s).
const beatInterval = 8 * time.Second

// BringPageIntoStep does for up to 50 contacts what BringIntoStep does for one. A contact that fails on its own account
// goes to its own SyncContact; a system that is away fails the page, which goes on where it was.
func (c *Contacts) BringPageIntoStep(ctx context.Context, in PageRound) (PageAnswer, error) {
	if !crm.ValidID(in.Location) {
		return PageAnswer{}, leave(&crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: []string{"location"}})
	}
	p := page{Contacts: c, location: in.Location, retry: retried(ctx, in.Failures)}
	defer p.begin(ctx)()
	err := forEach(ctx, &p, in.Hints, func(hint names.Hint) string { return hint.Contact }, func(hint names.Hint) error {
		return p.one(ctx, hint, len(in.Hints) == 1)
	})
	p.progress.Answer.Now = time.Now()
	return p.progress.Answer, leave(err)
}

// forEach does one for those of the page's items whose contacts are not finished, several at a time.
func forEach[T any](ctx context.Context, p *page, items []T, contact func(T) string, one func(T) error) error {
	done := make(map[string]bool, len(p.progress.Done))
	for _, contact := range p.progress.Done {
		done[contact] = true
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(pageWidth)
	for _, item := range items {
		if !done[contact(item)] {
			group.Go(func() error {
				if working.Err() != nil { // another contact of the page found a system away: start no more
					return nil
				}
				return one(item)
			})
		}
	}
	return group.Wait()
}

// page is one page on its way. Progress is what its heartbeat carries: what is finished is not done again.
type page struct {
	*Contacts
	location string
	retry    bool
	mu       sync.Mutex
	worked   bool // a contact of this attempt got through to the systems
	progress struct {
		Done   []string
		Answer PageAnswer
	}
}

// begin takes up what an earlier attempt finished, and beats until the returned function is called.
func (p *page) begin(ctx context.Context) (stop func()) {
	if activity.HasHeartbeatDetails(ctx) {
		_ = activity.GetHeartbeatDetails(ctx, &p.progress) // unreadable: all of it is done again
	}
	if p.progress.Answer.Outcomes == nil {
		p.progress.Answer.Outcomes = map[crm.Outcome]int{}
	}
	beating, stop := context.WithCancel(ctx)
	go p.beat(beating)
	return stop
}

// beat tells Temporal that the page is alive also while a slow system lets no contact finish.
func (p *page) beat(ctx context.Context) {
	ticker := time.NewTicker(beatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.mu.Lock()
			activity.RecordHeartbeat(ctx, p.progress)
			p.mu.Unlock()
		}
	}
}

// one brings one contact of the page into step. One that is under way is never cut off because of another's failure: that
// would leave a write without its answer.
func (p *page) one(ctx context.Context, hint names.Hint, alone bool) error {
	ref := crm.Ref{Location: p.location, Contact: hint.Contact}
	if err := ref.Validate(); err != nil {
		return p.finish(ctx, hint, crm.Result{Outcome: crm.Problem})
	}
	result, err := p.bring(ctx, ref, hint, p.retry, p.segment)
	return p.ended(ctx, hint, result, err, alone)
}

// ended notes how a contact's round ended, and hands the contact over that failed on its own account.
func (p *page) ended(ctx context.Context, hint names.Hint, result crm.Result, err error, alone bool) error {
	if err == nil && result.Outcome != crm.Waiting && result.Outcome != crm.Covered {
		p.mu.Lock()
		p.worked = true
		p.mu.Unlock()
	}
	if err != nil && !p.ofItsOwn(err, alone) {
		return err
	}
	if err != nil {
		return p.pass(ctx, hint)
	}
	return p.finish(ctx, hint, result)
}

// pass leaves a contact to its SyncContact.
func (p *page) pass(ctx context.Context, hint names.Hint) error {
	if err := nudgeError(p.Nudge.Contact(ctx, p.location, hint)); err != nil {
		return err
	}
	p.note(ctx, hint.Contact, func() { p.progress.Answer.HandedOver++ })
	return nil
}

// finish notes how a contact ended.
func (p *page) finish(ctx context.Context, hint names.Hint, result crm.Result) error {
	p.note(ctx, hint.Contact, func() {
		if result.Wait > 0 {
			if result.Outcome != crm.Waiting {
				hint = names.Hint{Contact: hint.Contact, Confirm: true} // this change is done
			}
			p.progress.Answer.Waiting = append(p.progress.Answer.Waiting, names.Reference{Hint: hint, NotBefore: time.Now().Add(result.Wait)})
		}
		if result.Outcome != crm.Waiting {
			p.progress.Answer.Outcomes[result.Outcome]++
		}
	})
	return nil
}

// note counts a contact that is finished. Only what is finished is noted: a crash repeats at most what was in hand.
func (p *page) note(ctx context.Context, contact string, count func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	count()
	p.progress.Done = append(p.progress.Done, contact)
	activity.RecordHeartbeat(ctx, p.progress)
}

// ofItsOwn tells a failure of one contact from a system that is away, which would meet the rest of the page as well. A
// system that answers for the other contacts, or that fails a contact which is alone, is not away.
func (p *page) ofItsOwn(err error, alone bool) bool {
	if hasCode(err, crm.GHLUnavailable, crm.RankrUnavailable) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return alone || p.worked
	}
	return !errors.Is(err, context.Canceled) && !hasCode(err, crm.GHLUnavailable, crm.GHLRateLimited, crm.RankrUnavailable,
		crm.RankrRateLimited, crm.StoreUnavailable, crm.TemporalAway, crm.UnknownLocation)
}

// places keeps each location's country for a while: it changes about never, and each read costs a call.
type places struct {
	mu    sync.Mutex
	known map[string]place
}

type place struct {
	crm.Location
	until time.Time
}

const placeAge = 10 * time.Minute

// place returns what is known of a location.
func (c *Contacts) place(ctx context.Context, location string) (crm.Location, error) {
	if c.of != nil {
		return c.of.place(ctx, location)
	}
	return c.places.get(ctx, c.Source, location)
}

func (p *places) get(ctx context.Context, source crm.Source, location string) (crm.Location, error) {
	p.mu.Lock()
	known, ok := p.known[location]
	p.mu.Unlock()
	if ok && time.Now().Before(known.until) {
		return known.Location, nil
	}
	read, _, err := source.Location(ctx, location)
	if err != nil {
		return crm.Location{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]place{}
	}
	p.known[location] = place{read, time.Now().Add(placeAge)}
	return read, nil
}
