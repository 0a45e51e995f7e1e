package ghltest

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrGone tells that there is no such contact, task or note, or no longer.
var ErrGone = errors.New("ghltest: no such record")

// record is one contact through its life. Its versions are never changed, only replaced, so readers need no lock.
type record struct {
	location *location
	current  atomic.Pointer[Contact] // nil: deleted
	shown    *Contact                // the version that the search shows; guarded by the shelf's lock
	tasks    []*Task                 // oldest first; guarded by the shelf's lock, as are the notes
	notes    []*Note

	appointments []Appointment // guarded likewise
}

// shelf holds what a location must keep in order: who has which email and phone, and what the search shows.
type shelf struct {
	mu       sync.Mutex // held by writers and searches
	contacts map[string]*record
	byEmail  holders
	byPhone  holders
	found    []*Contact // what the search shows, by dateUpdated and id
	late     []change   // what it does not show yet, oldest first

	businesses map[string]*Business // its versions are never changed, only replaced
}

// change is a write on its way to the search index.
type change struct {
	at     time.Time
	record *record
	next   *Contact // nil: deleted
}

// holders lists the contacts that have a value.
type holders map[string][]string

func (h holders) move(id, from, to string) {
	if from == to {
		return
	}
	if from != "" {
		h[from] = slices.DeleteFunc(h[from], func(holder string) bool { return holder == id })
		if len(h[from]) == 0 {
			delete(h, from)
		}
	}
	if to != "" {
		h[to] = append(h[to], id)
	}
}

// other returns a contact that has the value and is not the given one.
func (h holders) other(value, id string) (string, bool) {
	for _, holder := range h[value] {
		if holder != id {
			return holder, true
		}
	}
	return "", false
}

// contact returns a contact's record and what it is now.
func (s *Server) contact(id string) (*record, *Contact, error) {
	entry, ok := s.records.Load(id)
	if !ok {
		return nil, nil, ErrGone
	}
	rec := entry.(*record)
	current := rec.current.Load()
	if current == nil {
		return nil, nil, ErrGone
	}
	return rec, current, nil
}

// insert puts a new contact into a location. Check, if not nil, may refuse it under the lock.
func (s *Server) insert(l *location, c Contact, check func(*Contact) error) (*Contact, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if check != nil {
		if err := check(&c); err != nil {
			return nil, err
		}
	}
	now := s.now().UTC().Truncate(time.Millisecond)
	if c.DateAdded.IsZero() {
		c.DateAdded = now
	}
	if c.DateUpdated.IsZero() {
		c.DateUpdated = now
	}
	c.Location = l.id
	rec := &record{location: l}
	s.records.Store(c.ID, rec)
	l.settle(rec, nil, &c, s.now(), s.current().Lag)
	return &c, nil
}

// replace changes a contact: change gets a copy to work on, and its error leaves everything as it was. The new
// version's dateUpdated is always later than the old one's, so that no two versions look the same to a poll.
func (s *Server) replace(rec *record, change func(*Contact) error) (before, after *Contact, err error) {
	l := rec.location
	l.mu.Lock()
	defer l.mu.Unlock()
	before = rec.current.Load()
	if before == nil {
		return nil, nil, ErrGone
	}
	next := before.clone()
	if err := change(&next); err != nil {
		return nil, nil, err
	}
	next.ID, next.Location, next.DateAdded = before.ID, before.Location, before.DateAdded
	next.DateUpdated = before.DateUpdated
	if s.current().moveDate(before, &next) {
		next.DateUpdated = s.now().UTC().Truncate(time.Millisecond)
		if !next.DateUpdated.After(before.DateUpdated) {
			next.DateUpdated = before.DateUpdated.Add(time.Millisecond)
		}
	}
	l.settle(rec, before, &next, s.now(), s.current().Lag)
	return before, &next, nil
}

// moveDate tells whether dateUpdated moves with a change.
func (k *Knobs) moveDate(before, after *Contact) bool {
	switch {
	case onlyTagsDiffer(before, after):
		return !k.TagsLeaveDate
	case onlyBusinessDiffers(before, after):
		return k.AttachingUpdates
	}
	return true
}

// remove deletes a contact for good, and what hangs on it.
func (s *Server) remove(rec *record) (*Contact, error) {
	l := rec.location
	l.mu.Lock()
	defer l.mu.Unlock()
	before := rec.current.Load()
	if before == nil {
		return nil, ErrGone
	}
	s.records.Delete(before.ID)
	s.disown(rec)
	l.settle(rec, before, nil, s.now(), s.current().Lag)
	return before, nil
}

// settle makes next the current version. The lock is held.
func (l *location) settle(rec *record, before, next *Contact, now time.Time, lag time.Duration) {
	var email, phone, newEmail, newPhone, id string
	if before != nil {
		id, email, phone = before.ID, strings.ToLower(before.Email), before.Phone
	}
	if next != nil {
		id, newEmail, newPhone = next.ID, strings.ToLower(next.Email), next.Phone
	}
	if l.contacts == nil {
		l.contacts, l.byEmail, l.byPhone = map[string]*record{}, holders{}, holders{}
	}
	if next != nil {
		l.contacts[id] = rec
	} else {
		delete(l.contacts, id)
	}
	l.byEmail.move(id, email, newEmail)
	l.byPhone.move(id, phone, newPhone)
	rec.current.Store(next)
	l.late = append(l.late, change{now, rec, next})
	l.show(now, lag)
}

// show lets the search see what is older than the lag. The lock is held.
func (l *location) show(now time.Time, lag time.Duration) {
	due := 0
	for ; due < len(l.late) && !l.late[due].at.Add(lag).After(now); due++ {
		c := l.late[due]
		if c.record.shown != nil {
			i, _ := slices.BinarySearchFunc(l.found, c.record.shown, byUpdated)
			l.found = slices.Delete(l.found, i, i+1)
		}
		if c.record.shown = c.next; c.next != nil {
			i, _ := slices.BinarySearchFunc(l.found, c.next, byUpdated)
			l.found = slices.Insert(l.found, i, c.next)
		}
	}
	l.late = slices.Delete(l.late, 0, due)
}

// byUpdated is the order of the search index. Ids settle what happened in the same millisecond.
func byUpdated(a, b *Contact) int {
	return cmp.Or(a.DateUpdated.Compare(b.DateUpdated), strings.Compare(a.ID, b.ID))
}
