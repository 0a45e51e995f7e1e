package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/crm"
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
}

// TickAnswer is what a poll found. It is the result of PollChanges.
type TickAnswer struct {
	Tick      int64     `json:"tick"`
	Watermark time.Time `json:"watermark"` // everything changed before has been handed over
	Seen      int       `json:"seen"`      // search documents looked at
	Nudged    int       `json:"nudged"`    // contacts handed over
	Calls     int       `json:"calls"`     // GHL calls spent
	// Parked is the code for which the location is left alone until a poll succeeds again; empty: it works.
	Parked crm.Code `json:"parked,omitempty"`
}

// Polls finds what no webhook told of. All fields are needed.
type Polls struct {
	Source      crm.Source
	Destination crm.Destination
	Ticks       Ticks
	Nudge       Nudger
	Since       time.Time // where a location's first tick starts; zero: now, by GHL's clock
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
}

// searchLag is how far GHL's search may be behind its records: the watermark stays this far behind GHL's clock, so that
// a change which the index did not show yet is still looked for by the next ticks.
const searchLag = 10 * time.Minute

// tickBudget ends a long walk well before its time-out (10 minutes): a tick that ends well counts in Temporal, and the
// next one goes on where it stopped.
const tickBudget = 8 * time.Minute

// FindChanges hands over every contact of a location that moved since the watermark and that its link does not know
// yet. An idle tick is one GHL call. Nudges come first and the watermark after them, so a crash repeats and never skips.
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
	return t.resume(ctx)
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
	switch {
	case !in.Scheduled:
	case number < in.Last: // the store forgot ticks that Temporal knows: what it holds of any contact may be old
		if err := t.Ticks.UnsureAll(ctx, t.location); err != nil {
			return storeError(err)
		}
		number = in.Last
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

// unknown picks the contacts whose change neither their link nor their open problem knows.
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
		link, seen := links[document.Contact]
		known := seen && !link.Deleted && link.MappingVersion == crm.MappingVersion &&
			!document.Updated.IsZero() && !link.DateUpdated.Before(document.Updated)
		if !known && crm.ValidID(document.Contact) {
			hints = append(hints, names.Hint{Contact: document.Contact, Received: time.Now()})
		}
	}
	return hints, nil
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
	return t.answer, leave(storeError(t.Ticks.ParkLocation(ctx, t.location, code)))
}

// resume lets a location run again after a poll that succeeded, and hands over what waited for it.
func (t *tick) resume(ctx context.Context) error {
	code, err := t.Ticks.Parked(ctx, t.location)
	if err != nil {
		return storeError(err)
	}
	if code != "" {
		if err := t.Ticks.Unpark(ctx, t.location); err != nil {
			return storeError(err)
		}
	}
	if err := t.resumeRankr(ctx); err != nil {
		return err
	}
	return t.release(ctx)
}

// resumeRankr asks Rankr one cheap question while its credentials are known to be refused.
func (t *tick) resumeRankr(ctx context.Context) error {
	code, err := t.Ticks.Parked(ctx, crm.Everywhere)
	if err != nil || code == "" {
		return storeError(err)
	}
	if refused(ctx, t.Destination, t.location) {
		t.answer.Parked = crm.RankrToken
		return nil
	}
	return storeError(t.Ticks.Unpark(ctx, crm.Everywhere))
}

// release hands over what was parked with its location, once that is not parked any more.
func (t *tick) release(ctx context.Context) error {
	codes := append(slices.Clone(crm.GHLCredentials), crm.UnknownLocation)
	if t.answer.Parked == "" {
		codes = append(codes, crm.RankrToken)
	}
	contacts, err := t.Ticks.ParkedContacts(ctx, t.location, crm.ContactItself, codes...)
	if err != nil {
		return storeError(err)
	}
	for batch := range slices.Chunk(contacts, names.MaxHints) {
		hints := make([]names.Hint, len(batch))
		for i, contact := range batch {
			hints[i] = names.Hint{Contact: contact, Received: time.Now()}
		}
		if err := nudgeError(t.Nudge.Contacts(ctx, t.location, hints...)); err != nil {
			return err
		}
	}
	return t.releaseTasksAndNotes(ctx, codes)
}

// releaseTasksAndNotes does so for tasks and notes, and for those whose contact had to come into step first and has.
func (t *tick) releaseTasksAndNotes(ctx context.Context, codes []crm.Code) error {
	codes = slices.DeleteFunc(codes, func(code crm.Code) bool { return code == crm.GHLScope }) // a poll does not tell of theirs
	contacts, err := t.Ticks.ParkedContacts(ctx, t.location, crm.TasksAndNotes, codes...)
	if err != nil {
		return storeError(err)
	}
	waiting, err := t.Ticks.ParkedContacts(ctx, t.location, crm.TasksAndNotes, crm.NotLinked)
	if err != nil {
		return storeError(err)
	}
	for batch := range slices.Chunk(waiting, names.MaxHints) {
		links, err := t.Ticks.Links(ctx, t.location, crm.ContactItself, batch)
		if err != nil {
			return storeError(err)
		}
		for _, contact := range batch {
			if link := links[contact]; link.RankrID != "" || link.Problem == "" {
				contacts = append(contacts, contact)
			}
		}
	}
	return t.nudgeTasksAndNotes(ctx, contacts)
}

// pollWidth is how many hand-overs of a poll that can't share a signal are under way at a time.
const pollWidth = 8

// nudgeTasksAndNotes asks for a round of the tasks and notes of each contact.
func (t *tick) nudgeTasksAndNotes(ctx context.Context, contacts []string) error {
	group, nudging := errgroup.WithContext(ctx)
	group.SetLimit(pollWidth)
	for _, contact := range contacts {
		group.Go(func() error {
			if err := nudgeError(t.Nudge.TasksAndNotes(nudging, t.location, names.Hint{Contact: contact, Received: time.Now()})); err != nil {
				return err
			}
			activity.RecordHeartbeat(ctx, t.answer)
			return nil
		})
	}
	return group.Wait()
}
