package workflows

import (
	"slices"
	"time"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// backlog holds the contacts of a location that may have changed, each once. A contact is never in two pages at the
// same time: what comes for it while its page is under way waits until that has landed.
type backlog struct {
	queue  []*entry          // what no page has taken, in the order it came
	known  map[string]*entry // by contact: all that is queued or in flight; only looked up, never walked
	flying int
}

// entry is one contact of the backlog.
type entry struct {
	names.Reference // what is queued
	since           time.Time
	queued, flying  bool
}

func newBacklog() *backlog { return &backlog{known: map[string]*entry{}} }

// add queues a reference, or merges it into the one that is queued already: the hints become one, and the later
// NotBefore holds; that of a mere confirmation gives way to a change's.
func (b *backlog) add(reference names.Reference, now time.Time) {
	e := b.known[reference.Contact]
	if e == nil {
		e = &entry{}
		b.known[reference.Contact] = e
	}
	if !e.queued {
		e.Reference, e.since, e.queued = reference, now, true
		b.queue = append(b.queue, e)
		return
	}
	confirming := e.Confirm
	e.Hint = e.Merge(reference.Hint)
	switch {
	case confirming && !reference.Confirm: // a change does not wait for a second look
		e.NotBefore = reference.NotBefore
	case reference.Confirm && !confirming:
	case reference.NotBefore.After(e.NotBefore):
		e.NotBefore = reference.NotBefore
	}
}

// take moves up to size references that may start now from the queue into a page.
func (b *backlog) take(now time.Time, size int) []names.Hint {
	var page []names.Hint
	kept := b.queue[:0]
	for i, e := range b.queue {
		if len(page) == size {
			kept = append(kept, b.queue[i:]...)
			break
		}
		if e.flying || e.NotBefore.After(now) {
			kept = append(kept, e)
			continue
		}
		page = append(page, e.Hint)
		e.queued, e.flying = false, true
	}
	clear(b.queue[len(kept):])
	b.queue = kept
	b.flying += len(page)
	return page
}

// land ends the flight of a page's contacts.
func (b *backlog) land(page []names.Hint) {
	for _, hint := range page {
		e := b.known[hint.Contact]
		e.flying = false
		if !e.queued {
			delete(b.known, hint.Contact)
		}
	}
	b.flying -= len(page)
}

// next is the earliest time at which a reference that is not in flight may start; false: there is none.
func (b *backlog) next() (earliest time.Time, found bool) {
	for _, e := range b.queue {
		if e.flying {
			continue
		}
		if !found || e.NotBefore.Before(earliest) {
			earliest, found = e.NotBefore, true
		}
	}
	return earliest, found
}

// empty tells whether nothing is queued or in flight.
func (b *backlog) empty() bool { return len(b.queue) == 0 && b.flying == 0 }

// oldest is since when the contact that waits longest does, zero when none waits.
func (b *backlog) oldest() time.Time {
	if len(b.queue) == 0 {
		return time.Time{}
	}
	first := func(a, b *entry) int { return a.since.Compare(b.since) }
	return slices.MinFunc(b.queue, first).since
}

// cut takes up to size references off the queue, leaving at least the first keep. Nothing may be in flight.
func (b *backlog) cut(keep, size int) []names.Reference {
	from := max(min(keep, len(b.queue)), len(b.queue)-size)
	references := (&backlog{queue: b.queue[from:]}).references()
	for _, reference := range references {
		delete(b.known, reference.Contact)
	}
	clear(b.queue[from:])
	b.queue = b.queue[:from]
	return references
}

// references lists what is queued, in order.
func (b *backlog) references() []names.Reference {
	list := make([]names.Reference, len(b.queue))
	for i, e := range b.queue {
		list[i] = e.Reference
	}
	return list
}
