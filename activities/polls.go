package activities

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Tick asks for one poll of a location.
type Tick struct {
	Location string `json:"location"`
	// Scheduled tells that the run came from the schedule, so that Last is what Temporal remembers. A run started
	// by hand can't tell.
	Scheduled bool `json:"scheduled,omitempty"`
	// Last is the number of the last tick that Temporal knows to have completed; 0: none.
	Last int64 `json:"last,omitempty"`
	// LastWatermark is what that tick left: where to go on when the store was lost.
	LastWatermark time.Time `json:"lastWatermark,omitzero"`
	// LastTasks and LastBusiness are where that tick's walks stopped.
	LastTasks    int    `json:"lastTasks,omitempty"`
	LastBusiness string `json:"lastBusiness,omitempty"`
}

// TickAnswer is what a poll found. It is the result of PollChanges.
type TickAnswer struct {
	Tick      int64     `json:"tick"`
	Watermark time.Time `json:"watermark"` // everything changed before has been handed over
	Seen      int       `json:"seen"`      // search documents looked at
	Nudged    int       `json:"nudged"`    // contacts, tasks and notes of a contact, and businesses handed over
	Calls     int       `json:"calls"`     // GHL calls spent
	// Forgot tells that Temporal had lost hand-overs that it had acknowledged.
	Forgot bool `json:"forgot,omitempty"`
	// Parked is the code for which the location is left alone until a poll succeeds again; empty: it works.
	Parked crm.Code `json:"parked,omitempty"`

	Tasks      int `json:"tasks,omitempty"`      // open tasks looked at
	Businesses int `json:"businesses,omitempty"` // businesses looked at
	// TasksFrom is how many open tasks the next tick leaves out, since this one stopped there; 0: it starts anew.
	TasksFrom int `json:"tasksFrom,omitempty"`
	// BusinessesFrom is the last business whose contacts were looked at.
	BusinessesFrom string `json:"businessesFrom,omitempty"`
	// TasksCode and BusinessesCode say why GHL refuses to show them; empty: it does not.
	TasksCode      crm.Code `json:"tasksCode,omitempty"`
	BusinessesCode crm.Code `json:"businessesCode,omitempty"`
}

// Polls finds what no webhook told of. All fields are needed but those that say otherwise.
type Polls struct {
	Source      crm.Source
	Destination crm.Destination
	Tasks       crm.TaskSource     // nil: open tasks are not looked at
	Businesses  crm.BusinessSource // nil: businesses are not looked at
	Rules       *rules.Rules       // nil: none; businesses are looked at only where they mirror them
	Prints      crm.Fingerprinter
	Ticks       Ticks
	Standing    Standing // nil: no app is set, and no location is connected by it
	Nudge       Nudger
	Since       time.Time // where a location's first tick starts; zero: now, by GHL's clock
	// TaskPages, BusinessPages and AttachedPages are how many pages of open tasks, of businesses, and of one business's
	// contacts a tick reads at most; 0: 20, 10 and 20, of 100 each.
	TaskPages, BusinessPages, AttachedPages int

	places places
	asked  differences
}

// Ticks is what a poll needs of the store.
type Ticks interface {
	// LastTick returns the newest tick's number and watermark; 0 when there is none.
	LastTick(ctx context.Context, location string) (int64, time.Time, error)
	// TickBefore returns the newest tick that is not after number, else the oldest known.
	TickBefore(ctx context.Context, location string, number int64) (int64, time.Time, error)
	// SaveTick records a tick; [crm.ErrMoved] when another one took its number.
	SaveTick(ctx context.Context, location string, number int64, watermark time.Time) error
	// Progress moves the watermark of a tick forward; [crm.ErrMoved] when it would not.
	Progress(ctx context.Context, location string, number int64, watermark time.Time) error
	UnsureAll(ctx context.Context, location string) error
	Links(ctx context.Context, location string, object crm.Object, contacts []string) (map[string]crm.Link, error)
	Parked(ctx context.Context, location string) (crm.Code, error)
	ParkLocation(ctx context.Context, location string, code crm.Code) error
	Unpark(ctx context.Context, location string) error
	ParkedContacts(ctx context.Context, location string, object crm.Object, codes ...crm.Code) ([]string, error)

	// PolledTasks returns which of the tasks polls saw before, and whether all of the location's were seen once.
	PolledTasks(ctx context.Context, location string, ids ...string) (tasks map[string]crm.PolledTask, whole bool, err error)
	// OpenTasks returns those that are open as far as polls know.
	OpenTasks(ctx context.Context, location string) (map[string]crm.PolledTask, error)
	SaveTasks(ctx context.Context, location string, tasks map[string]crm.PolledTask, whole bool) error
	// ForgetHandOvers has what is not in step handed over again.
	ForgetHandOvers(ctx context.Context, location string) error
	// Attached returns the linked contacts whose last finished round saw them attached to the business.
	Attached(ctx context.Context, location, business string) ([]string, error)
	MirroredBusinesses(ctx context.Context, location string) ([]string, error)
}

// Standing is how connected locations stand with GHL.
type Standing interface {
	// Connection has an empty Location where nobody connected it.
	Connection(ctx context.Context, location string) (crm.Connection, error)
	// SetState notes how the locations stand that use an owner's token, but for those that were disconnected.
	SetState(ctx context.Context, owner string, state crm.ConnectionState) error
}

// searchLag is how far GHL's search may be behind its records: the watermark stays this far behind GHL's clock, so that
// a change which the index did not show yet is still looked for by the next ticks.
const searchLag = 10 * time.Minute

// tickBudget ends a long walk well before its time-out (10 minutes): a tick that ends well counts in Temporal, and the
// next one goes on where it stopped.
const tickBudget = 8 * time.Minute

// FindChanges hands over every contact of a location that moved since the watermark and that its link does not know
// yet, then what fires no event in GHL: tasks that were edited, businesses, and the contacts attached to them. Nudges come
// first and what is remembered of them after, so a crash repeats and never skips.
//
// An idle tick of a small location is one GHL call for contacts, one for open tasks where they are looked at, and where
// businesses are mirrored one for them and one each for the contacts of five of them. Each walk is bounded:
//   - Of more than 2,000 open tasks the next tick looks at the rest. While there are as many, a task that is deleted, or
//     completed without an event, is not found.
//   - Of more than 1,000 businesses only the first 1,000 are looked at, and of one's contacts the first 2,000.
func (p *Polls) FindChanges(ctx context.Context, in Tick) (TickAnswer, error) {
	if !crm.ValidID(in.Location) {
		return TickAnswer{}, leave(&crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: []string{"location"}})
	}
	t := tick{Polls: p, location: in.Location, until: time.Now().Add(tickBudget)}
	err := unpanic(ctx, in.Location, "", func() error { return t.run(ctx, in) })
	if hasCode(err, crm.GHLCredentials...) { // for these the whole location waits
		return t.parked(ctx, safe(err).Code)
	}
	if errors.Is(err, crm.ErrMoved) { // another tick of this location overtook us: it has done the work
		err = nil
	}
	return t.answer, leave(err)
}

// tick is one poll on its way.
type tick struct {
	*Polls
	location string
	since    time.Time
	until    time.Time // when the walk ends, done or not
	answer   TickAnswer
}

func (t *tick) run(ctx context.Context, in Tick) error {
	if err := t.begin(ctx, in); err != nil {
		return err
	}
	if err := t.walk(ctx); err != nil {
		return err
	}
	if err := t.resume(ctx); err != nil { // the location works, whatever becomes of its tasks
		return err
	}
	if err := t.tasks(ctx); err != nil {
		return err
	}
	return t.businesses(ctx)
}

// begin numbers the tick and finds where it starts. One of the two memories may have been restored from a backup.
func (t *tick) begin(ctx context.Context, in Tick) error {
	number, watermark, err := t.Ticks.LastTick(ctx, t.location)
	if err != nil {
		return storeError(err)
	}
	if before := (TickAnswer{}); activity.HasHeartbeatDetails(ctx) && activity.GetHeartbeatDetails(ctx, &before) == nil && before.Tick == number {
		t.since, t.answer = watermark, before // a second attempt goes on where the first one ended
		t.answer.Watermark = watermark
		return nil
	}
	t.answer.TasksFrom, t.answer.BusinessesFrom = in.LastTasks, in.LastBusiness
	switch {
	case !in.Scheduled:
	case number < in.Last: // the store forgot ticks that Temporal knows: what it holds of any contact may be old
		if err := t.Ticks.UnsureAll(ctx, t.location); err != nil {
			return storeError(err)
		}
		number, t.answer.TasksFrom = in.Last, 0 // which tasks were seen, too
		if watermark.IsZero() {
			watermark = in.LastWatermark
		}
	case number > in.Last: // Temporal forgot ticks, and with them hand-overs that it had acknowledged
		_, before, err := t.Ticks.TickBefore(ctx, t.location, in.Last)
		if err != nil {
			return storeError(err)
		}
		if before.Before(watermark) {
			watermark = before
		}
		if err := t.Ticks.ForgetHandOvers(ctx, t.location); err != nil {
			return storeError(err)
		}
		t.asked.forgetAll()
		t.answer.Forgot = true
	}
	if watermark.IsZero() {
		watermark = t.Since
	}
	t.since, t.answer.Tick, t.answer.Watermark = watermark, number+1, watermark
	if watermark.IsZero() {
		return nil // it is saved once GHL told the time
	}
	if err := t.Ticks.SaveTick(ctx, t.location, t.answer.Tick, watermark); err != nil {
		return storeError(err)
	}
	activity.RecordHeartbeat(ctx, t.answer)
	return nil
}

func (t *tick) walk(ctx context.Context) error {
	since := t.since
	if since.IsZero() {
		// The first tick only learns the time: contacts that nobody touches stay as they are until a backfill.
		since = time.Now()
	}
	var first time.Time
	for page, err := range t.Source.ChangedSince(ctx, t.location, since) {
		if err != nil {
			return err
		}
		t.answer.Calls++
		if first.IsZero() {
			first = page.At
		}
		if t.since.IsZero() {
			t.since, t.answer.Watermark = page.At, page.At
			if err := t.Ticks.SaveTick(ctx, t.location, t.answer.Tick, page.At); err != nil {
				return storeError(err)
			}
		}
		if err := t.page(ctx, page, first); err != nil {
			return err
		}
		activity.RecordHeartbeat(ctx, t.answer)
		if time.Now().After(t.until) {
			return nil
		}
	}
	return t.progress(ctx, first.Add(-searchLag))
}

// page hands over the contacts of one page, then moves the watermark to its last one.
func (t *tick) page(ctx context.Context, page crm.Page, first time.Time) error {
	t.answer.Seen += len(page.Documents)
	hints, err := t.unknown(ctx, page.Documents)
	if err != nil || len(page.Documents) == 0 {
		return err
	}
	for batch := range slices.Chunk(hints, names.MaxHints) {
		if err := nudgeError(t.Nudge.Contacts(ctx, t.location, batch...)); err != nil {
			return err
		}
		t.answer.Nudged += len(batch)
	}
	if !slices.IsSortedFunc(page.Documents, func(a, b crm.Document) int { return a.Updated.Compare(b.Updated) }) {
		return nil // what is still to come may be older: only the end of the walk tells
	}
	last := page.Documents[len(page.Documents)-1].Updated
	if limit := first.Add(-searchLag); last.After(limit) {
		last = limit
	}
	return t.progress(ctx, last)
}

// unknown picks the contacts whose change neither their link nor their open problem knows, or of which what was decided may
// have been forgotten.
func (t *tick) unknown(ctx context.Context, documents []crm.Document) ([]names.Hint, error) {
	contacts := make([]string, len(documents))
	for i, document := range documents {
		contacts[i] = document.Contact
	}
	links, err := t.Ticks.Links(ctx, t.location, crm.ContactItself, contacts)
	if err != nil {
		return nil, storeError(err)
	}
	var hints []names.Hint
	for _, document := range documents {
		link := links[document.Contact]
		if (!knows(link, document, t.Rules.MappingVersion(t.location)) || t.answer.Forgot && link.Undecided()) && crm.ValidID(document.Contact) {
			hints = append(hints, names.Hint{Contact: document.Contact, Received: time.Now()})
		}
	}
	return hints, nil
}

// knows tells whether the contact's last round, one with a problem included, saw the change that the document tells of.
func knows(link crm.Link, document crm.Document, mapping string) bool {
	return link.Version > 0 && (!link.Deleted || link.Decision.Excluded) && link.MappingVersion == mapping && !document.Updated.IsZero() &&
		!link.DateUpdated.Before(document.Updated)
}

func (t *tick) progress(ctx context.Context, watermark time.Time) error {
	if !watermark.After(t.answer.Watermark) {
		return nil
	}
	if err := t.Ticks.Progress(ctx, t.location, t.answer.Tick, watermark); err != nil {
		return storeError(err)
	}
	t.answer.Watermark = watermark
	return nil
}

func (t *tick) parked(ctx context.Context, code crm.Code) (TickAnswer, error) {
	t.answer.Parked = code
	err := storeError(t.Ticks.ParkLocation(ctx, t.location, code))
	if err == nil {
		err = t.stands(ctx, crm.StateOf(code))
	}
	return t.answer, leave(err)
}

// stands notes how the location's connection stands, where it has one. An idle tick only reads it.
func (t *tick) stands(ctx context.Context, state crm.ConnectionState) error {
	if t.Standing == nil || state == "" {
		return nil
	}
	connection, err := t.Standing.Connection(ctx, t.location)
	if err != nil || connection.Location == "" || connection.State == state || connection.State == crm.Disconnected {
		return storeError(err)
	}
	return storeError(t.Standing.SetState(ctx, connection.Owner, state))
}

// resume lets a location run again after a poll that succeeded, unless it is Rankr that still refuses it, and hands over what
// waited for it.
func (t *tick) resume(ctx context.Context) error {
	for _, location := range []string{t.location, crm.Everywhere} {
		code, err := t.Ticks.Parked(ctx, location)
		switch {
		case err != nil:
			return storeError(err)
		case code == "":
			continue
		case slices.Contains(crm.RankrCredentials, code) && refused(ctx, t.Destination, t.location): // one cheap question
			t.answer.Parked = code
			continue
		}
		if err := t.Ticks.Unpark(ctx, location); err != nil {
			return storeError(err)
		}
	}
	if err := t.stands(ctx, crm.Connected); err != nil { // parked or not: else only the next renewal would tell, a day later
		return err
	}
	return t.release(ctx)
}

// release hands over what was parked with its location, once that is not parked any more.
func (t *tick) release(ctx context.Context) error {
	codes := append(slices.Clone(crm.GHLCredentials), crm.UnknownLocation)
	if t.answer.Parked == "" {
		codes = append(codes, crm.RankrCredentials...)
	}
	contacts, err := t.Ticks.ParkedContacts(ctx, t.location, crm.ContactItself, codes...)
	if err != nil {
		return storeError(err)
	}
	if err := t.nudgeContacts(ctx, contacts); err != nil {
		return err
	}
	codes = slices.DeleteFunc(codes, func(code crm.Code) bool { return code == crm.GHLScope }) // contacts do not tell of the others'
	for _, object := range []struct {
		crm.Object
		nudge nudge
		waits func(contact crm.Link, businesses map[string]crm.Link) bool
	}{
		{crm.TasksAndNotes, t.Nudge.TasksAndNotes, func(contact crm.Link, _ map[string]crm.Link) bool { return stuck(contact) || lost(contact) }},
		{crm.Segments, t.Nudge.Segments, func(contact crm.Link, businesses map[string]crm.Link) bool {
			return stuck(contact) || lost(contact) || stuck(businesses[contact.Decision.Business])
		}},
		{crm.ABusiness, t.Nudge.Business, nil},
	} {
		parked, err := t.Ticks.ParkedContacts(ctx, t.location, object.Object, codes...)
		if err != nil {
			return storeError(err)
		}
		if object.waits != nil {
			freed, err := t.freed(ctx, object.Object, object.waits)
			if err != nil {
				return err
			}
			parked = append(parked, freed...)
		}
		if err := t.nudgeEach(ctx, object.nudge, hintsOf(parked)); err != nil {
			return err
		}
	}
	return nil
}

// stuck tells whether a contact or business can't be linked until somebody solves a problem of its own.
func stuck(link crm.Link) bool { return link.RankrID == "" && link.Problem != "" }

// lost tells whether a contact's record may be gone from Rankr and a problem keeps it from being made again.
func lost(contact crm.Link) bool { return !contact.Sure() && contact.Problem != "" }

// freed are the contacts for which the object had to wait until they, or their business, come into step, and need not any more.
func (t *tick) freed(ctx context.Context, object crm.Object, waits func(crm.Link, map[string]crm.Link) bool) ([]string, error) {
	waiting, err := t.Ticks.ParkedContacts(ctx, t.location, object, crm.NotLinked)
	if err != nil {
		return nil, storeError(err)
	}
	var freed []string
	for batch := range slices.Chunk(waiting, names.MaxHints) {
		contacts, err := t.Ticks.Links(ctx, t.location, crm.ContactItself, batch)
		if err != nil {
			return nil, storeError(err)
		}
		var attached []string
		for _, link := range contacts {
			attached = append(attached, link.Decision.Business)
		}
		businesses, err := t.Ticks.Links(ctx, t.location, crm.ABusiness, attached)
		if err != nil {
			return nil, storeError(err)
		}
		for _, contact := range batch {
			if !waits(contacts[contact], businesses) {
				freed = append(freed, contact)
			}
		}
	}
	return freed, nil
}

// hintsOf asks for all of them to be read, whatever is known.
func hintsOf(contacts []string) []names.Hint {
	hints := make([]names.Hint, len(contacts))
	for i, contact := range contacts {
		hints[i] = names.Hint{Contact: contact, Received: time.Now()}
	}
	return hints
}

// nudgeContacts hands contacts over.
func (t *tick) nudgeContacts(ctx context.Context, contacts []string) error {
	for batch := range slices.Chunk(hintsOf(contacts), names.MaxHints) {
		if err := nudgeError(t.Nudge.Contacts(ctx, t.location, batch...)); err != nil {
			return err
		}
		activity.RecordHeartbeat(ctx, t.answer)
	}
	return nil
}

// pollWidth is how many hand-overs of a poll that can't share a signal are under way at a time.
const pollWidth = 8

// nudge hands one hint over to a workflow of its own.
type nudge func(ctx context.Context, location string, hint names.Hint) error

// nudgeEach hands over what can't share a signal.
func (t *tick) nudgeEach(ctx context.Context, nudge nudge, hints []names.Hint) error {
	group, nudging := errgroup.WithContext(ctx)
	group.SetLimit(pollWidth)
	for _, hint := range hints {
		group.Go(func() error {
			if err := nudgeError(nudge(nudging, t.location, hint)); err != nil {
				return err
			}
			activity.RecordHeartbeat(ctx, t.answer)
			return nil
		})
	}
	return group.Wait()
}

// bound ends a walk after so many pages, or when the tick's time is up.
type bound struct {
	pages, last int
	until       time.Time
}

func (t *tick) bound(pages int) *bound { return &bound{pages: pages, until: t.until} }

// after tells whether the walk must stop after a page of so many rows although there may be more: a page that is shorter
// than the one before it is the last.
func (b *bound) after(rows int) bool {
	b.pages--
	more := rows >= max(b.last, 1)
	b.last = rows
	return more && (b.pages <= 0 || time.Now().After(b.until))
}

// shown ends a walk of something beside contacts. What GHL refuses for good, above all because the token lacks a scope, is
// told in code and in the log and fails nothing: contacts are kept in step all the same.
func (t *tick) shown(ctx context.Context, of string, code *crm.Code, err error) error {
	*code = ""
	var e *crm.Error
	if !errors.As(err, &e) || e.Retry() != crm.Never {
		return err
	}
	*code = e.Code
	slog.WarnContext(ctx, "GHL does not show "+of+": they are not polled", "location", t.location, "code", e.Code)
	return nil
}
