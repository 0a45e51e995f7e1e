package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

const (
	businessPages = 10 // pages of businesses that a tick reads
	attachedPages = 20 // pages of one business's contacts
	attachedWidth = 5  // businesses whose contacts a tick looks at; the next goes on with those after them
)

// businessWalk is a tick's walk of a location's businesses. GHL has no event for them, nor for attaching a contact.
type businessWalk struct {
	*tick
	seen  map[string]bool
	ended bool // all were seen
}

// businesses finds the mirrored ones that differ or are gone, and contacts whose business is another than is remembered.
func (t *tick) businesses(ctx context.Context) error {
	if t.Businesses == nil || !t.Rules.MirrorsBusinesses() || time.Now().After(t.until) {
		return nil
	}
	w := businessWalk{tick: t, seen: map[string]bool{}}
	return t.shown(ctx, "businesses", &t.answer.BusinessesCode, w.run(ctx))
}

func (w *businessWalk) run(ctx context.Context) error {
	if err := w.walk(ctx); err != nil {
		return err
	}
	if err := w.regained(ctx); err != nil {
		return err
	}
	if w.ended {
		if err := w.vanished(ctx); err != nil {
			return err
		}
	}
	for _, business := range w.turn() {
		if time.Now().After(w.until) {
			return nil
		}
		if err := w.attached(ctx, business); err != nil {
			return err
		}
		w.answer.BusinessesFrom = business
	}
	return nil
}

func (w *businessWalk) walk(ctx context.Context) error {
	enough := w.bound(cmp.Or(w.BusinessPages, businessPages))
	for page, err := range w.Businesses.Businesses(ctx, w.location) {
		if err != nil {
			return err
		}
		w.answer.Calls++
		w.answer.Businesses += len(page.Businesses)
		if err := w.page(ctx, page.Businesses); err != nil {
			return err
		}
		activity.RecordHeartbeat(ctx, w.answer)
		if enough.after(len(page.Businesses)) {
			return nil
		}
	}
	w.ended = true
	return nil
}

// page hands over the mirrored businesses that differ from what their links remember, and those that GHL has after all.
func (w *businessWalk) page(ctx context.Context, businesses []crm.Business) error {
	ids := make([]string, len(businesses))
	for i, business := range businesses {
		ids[i], w.seen[business.ID] = business.ID, true
	}
	links, err := w.Ticks.Links(ctx, w.location, crm.ABusiness, ids)
	if err != nil {
		return storeError(err)
	}
	var found []difference
	for _, business := range businesses {
		link := links[business.ID]
		if link.RankrID == "" && !link.Deleted || link.Problem == crm.GHLScope { // those are handed over in any case
			continue
		}
		prints, err := w.prints(ctx, business)
		if err != nil {
			return err
		}
		if !maps.Equal(prints, link.Fields) {
			state, _ := json.Marshal(prints) // a map of strings: cannot fail
			found = append(found, difference{business.ID, w.Prints.Bytes(state)})
		}
	}
	return w.nudgeBusinesses(ctx, found)
}

// prints are the fingerprints that a business's round would remember.
func (w *businessWalk) prints(ctx context.Context, business crm.Business) (crm.Fingerprints, error) {
	place := crm.Location{ID: w.location}
	if business.NeedsCountry() {
		var err error
		if place, err = w.places.get(ctx, counted{w.Source, &w.answer.Calls}, w.location); err != nil {
			return nil, err
		}
	}
	return w.Prints.Fields(crm.MapBusiness(business, place).Fields), nil
}

// counted counts the reads of a location.
type counted struct {
	crm.Source
	calls *int
}

func (c counted) Location(ctx context.Context, location string) (crm.Location, time.Time, error) {
	*c.calls++
	return c.Source.Location(ctx, location)
}

// regained hands over the businesses that waited for the scope that this walk had.
func (w *businessWalk) regained(ctx context.Context) error {
	parked, err := w.Ticks.ParkedContacts(ctx, w.location, crm.ABusiness, crm.GHLScope)
	if err != nil {
		return storeError(err)
	}
	var found []difference
	for _, business := range parked {
		found = append(found, difference{business, "parked"})
	}
	return w.nudgeBusinesses(ctx, found)
}

// vanished hands over the mirrored businesses that GHL does not list any more, and the contacts that are remembered to be
// attached to them.
func (w *businessWalk) vanished(ctx context.Context) error {
	mirrored, err := w.Ticks.MirroredBusinesses(ctx, w.location)
	if err != nil {
		return storeError(err)
	}
	var found []difference
	for _, business := range mirrored {
		if w.seen[business] {
			continue
		}
		if err := w.left(ctx, business, nil); err != nil {
			return err
		}
		found = append(found, difference{business, "gone"})
	}
	return w.nudgeBusinesses(ctx, found)
}

// turn returns the businesses whose contacts this tick looks at: those after the last tick's, and from the first again.
func (w *businessWalk) turn() []string {
	all := slices.Sorted(maps.Keys(w.seen))
	next, found := slices.BinarySearch(all, w.answer.BusinessesFrom)
	if found {
		next++
	}
	return slices.Concat(all[next:], all[:next])[:min(attachedWidth, len(all))]
}

// attached hands over the contacts of a business that remember another, and those that remember it and are not its any more.
func (w *businessWalk) attached(ctx context.Context, business string) error {
	enough, listed := w.bound(cmp.Or(w.AttachedPages, attachedPages)), map[string]bool{}
	for page, err := range w.Businesses.ContactsOfBusiness(ctx, w.location, business) {
		if err != nil {
			return err
		}
		w.answer.Calls++
		if err := w.joined(ctx, business, page.Documents, listed); err != nil {
			return err
		}
		activity.RecordHeartbeat(ctx, w.answer)
		if enough.after(len(page.Documents)) {
			return nil // who is not listed, only a whole list tells
		}
	}
	return w.left(ctx, business, listed)
}

func (w *businessWalk) joined(ctx context.Context, business string, documents []crm.Document, listed map[string]bool) error {
	var contacts []string
	for _, document := range documents {
		contacts = append(contacts, document.Contact)
		listed[document.Contact] = true
	}
	return w.compare(ctx, contacts, business, func(link crm.Link) bool { return link.Decision.Business != business })
}

func (w *businessWalk) left(ctx context.Context, business string, listed map[string]bool) error {
	contacts, err := w.Ticks.Attached(ctx, w.location, business)
	if err != nil {
		return storeError(err)
	}
	contacts = slices.DeleteFunc(contacts, func(contact string) bool { return listed[contact] })
	for batch := range slices.Chunk(contacts, names.MaxHints) {
		if err := w.compare(ctx, batch, "not "+business, func(link crm.Link) bool { return link.Decision.Business == business }); err != nil {
			return err
		}
	}
	return nil
}

// compare hands over the linked contacts that differ from what GHL's list tells. What solves a contact's open problem reads
// its business, too, so that those wait for it.
func (w *businessWalk) compare(ctx context.Context, contacts []string, state string, differs func(crm.Link) bool) error {
	links, err := w.Ticks.Links(ctx, w.location, crm.ContactItself, contacts)
	if err != nil {
		return storeError(err)
	}
	var found []string
	for _, link := range links {
		d := difference{link.Contact, state}
		switch {
		case link.RankrID == "" || link.Problem != "":
		case !differs(link):
			w.asked.forget(w.location, d)
		case w.asked.due(w.location, d):
			found = append(found, link.Contact)
		}
	}
	slices.Sort(found)
	if err := w.nudgeContacts(ctx, found); err != nil {
		return err
	}
	for _, contact := range found {
		w.asked.done(w.location, difference{contact, state})
	}
	w.answer.Nudged += len(found)
	return nil
}

// nudgeBusinesses hands over those that were not handed over too often as they are. Their hints say nothing of when, as a
// person's do: that a business was read a moment ago is no reason to leave it, for it differs.
func (w *businessWalk) nudgeBusinesses(ctx context.Context, found []difference) error {
	found = slices.DeleteFunc(found, func(d difference) bool { return !w.asked.due(w.location, d) })
	hints := make([]names.Hint, len(found))
	for i, d := range found {
		hints[i] = names.Hint{Contact: d.id}
	}
	if err := w.nudgeEach(ctx, w.Nudge.Business, hints); err != nil {
		return err
	}
	for _, d := range found {
		w.asked.done(w.location, d)
	}
	w.answer.Nudged += len(hints)
	return nil
}

// difference is what a poll found of a contact or business.
type difference struct{ id, state string }

// differences keep a poll from handing over the same for ever: a problem may keep a business from coming into step, and
// GHL's list may tell otherwise than the record.
type differences struct {
	mu    sync.Mutex
	known map[crm.Ref]handOvers
}

type handOvers struct {
	state string
	times int
	last  time.Time
}

const (
	maxHandOvers   = 3 // of one state in a row, then one more after each rest
	handOverRest   = time.Hour
	maxDifferences = 10_000 // kept; beyond it everything may be handed over once more
)

func (d *differences) due(location string, found difference) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.known[crm.Ref{Location: location, Contact: found.id}]
	return before.state != found.state || before.times < maxHandOvers || time.Since(before.last) >= handOverRest
}

func (d *differences) done(location string, found difference) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxDifferences {
		d.known = map[crm.Ref]handOvers{}
	}
	key := crm.Ref{Location: location, Contact: found.id}
	next := handOvers{found.state, 1, time.Now()}
	if before := d.known[key]; before.state == found.state {
		next.times += before.times
	}
	d.known[key] = next
}

// forget is for what is in step again.
func (d *differences) forget(location string, found difference) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if key := (crm.Ref{Location: location, Contact: found.id}); d.known[key].state == found.state {
		delete(d.known, key)
	}
}

func (d *differences) forgetAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = nil
}
