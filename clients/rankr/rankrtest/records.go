package rankrtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Record is one contact as the fake holds it.
type Record struct {
	Account      string         `json:"account,omitempty"`
	ID           string         `json:"id"`
	ExternalID   string         `json:"externalId,omitempty"`
	Fields       map[string]any `json:"fields,omitempty"` // those that have a value; dnd only when true
	CustomFields map[string]any `json:"customFields,omitempty"`
	Tags         []string       `json:"tags,omitempty"`       // folded, in the order they were added
	BusinessID   string         `json:"businessId,omitempty"` // that it is attached to; empty: none
	Segments     []string       `json:"segments,omitempty"`   // ids of those it is in, sorted
	Added        time.Time      `json:"added"`
	Updated      time.Time      `json:"updated"`
	Version      int            `json:"version"` // grows with each change

	number  int       // the order in which records were made
	indexed time.Time // when a key last changed, see Knobs.SearchLag
}

func (r *Record) clone() Record {
	c := *r
	c.Fields, c.CustomFields, c.Tags = maps.Clone(r.Fields), maps.Clone(r.CustomFields), slices.Clone(r.Tags)
	c.Segments = slices.Clone(r.Segments)
	if c.Fields == nil {
		c.Fields = map[string]any{}
	}
	if c.CustomFields == nil {
		c.CustomFields = map[string]any{}
	}
	return c
}

func (r *Record) text(field string) string {
	text, _ := r.Fields[field].(string)
	return text
}

// account is what one token opens.
type account struct {
	name                         string
	order                        []*Record // by number
	byExternal, byEmail, byPhone index
	answers                      answers
	window                       window
	day                          day
}

// index finds records by a key that need not be unique.
type index map[string]map[*Record]struct{}

func (x index) put(key string, r *Record) {
	if key == "" {
		return
	}
	if x[key] == nil {
		x[key] = map[*Record]struct{}{}
	}
	x[key][r] = struct{}{}
}

func (x index) drop(key string, r *Record) {
	delete(x[key], r)
	if len(x[key]) == 0 {
		delete(x, key)
	}
}

func (s *Server) account(name string) *account {
	a := s.accounts[name]
	if a == nil {
		a = &account{name: name, byExternal: index{}, byEmail: index{}, byPhone: index{}, answers: answers{}}
		s.accounts[name] = a
	}
	return a
}

// owner is the record that has the external id already, other than the one that wants it; nil when it is free.
func (s *Server) owner(a *account, externalID, id string) *Record {
	if s.knobs.NoUnique {
		return nil
	}
	for r := range a.byExternal[externalID] {
		if r.ID != id {
			return r
		}
	}
	return nil
}

// insert gives a new record its id and takes it in.
func (s *Server) insert(a *account, next Record, by string) *Record {
	s.made++
	r := &next
	r.Account, r.ID, r.number = a.name, fmt.Sprintf("con_%06d", s.made), s.made
	r.Added, r.Updated, r.Version, r.indexed = s.now(), s.now(), 1, s.now()
	s.records[r.ID] = r
	a.order = append(a.order, r)
	a.link(r)
	s.remember(Event{At: r.Added, Verb: "created", By: by}, r)
	return r
}

// replace turns a record into its next state.
func (s *Server) replace(a *account, r *Record, next Record, by string) {
	a.unlink(r)
	if r.ExternalID != next.ExternalID || r.text("email") != next.text("email") || r.text("phone") != next.text("phone") {
		r.indexed = s.now()
	}
	before := r.ExternalID
	r.ExternalID, r.Fields, r.CustomFields, r.Tags = next.ExternalID, next.Fields, next.CustomFields, next.Tags
	r.BusinessID, r.Segments = next.BusinessID, next.Segments
	r.Updated, r.Version = s.now(), r.Version+1
	a.link(r)
	s.remember(Event{At: r.Updated, Verb: "updated", By: by, Before: before}, r)
}

func (s *Server) drop(a *account, r *Record, by string) {
	a.unlink(r)
	delete(s.records, r.ID)
	at, _ := slices.BinarySearchFunc(a.order, r.number, func(r *Record, number int) int { return cmp.Compare(r.number, number) })
	a.order = slices.Delete(a.order, at, at+1)
	s.remember(Event{At: s.now(), Verb: "deleted", By: by}, r)
	s.tasks.clear(r.ID, s.now(), by)
	s.notes.clear(r.ID, s.now(), by)
}

func (a *account) link(r *Record) {
	a.byExternal.put(r.ExternalID, r)
	a.byEmail.put(r.text("email"), r)
	a.byPhone.put(r.text("phone"), r)
}

func (a *account) unlink(r *Record) {
	a.byExternal.drop(r.ExternalID, r)
	a.byEmail.drop(r.text("email"), r)
	a.byPhone.drop(r.text("phone"), r)
}

// The verbs of people who work in Rankr itself. They are in the history, but no calls: they need no token and no
// knob hits them.

// Add makes a record; id and dates are Rankr's. It refuses an external id that is taken.
func (s *Server) Add(r Record) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(r.Account)
	next := fold(r)
	if s.owner(a, next.ExternalID, "") != nil {
		return Record{}, fmt.Errorf("rankrtest: external id %s is taken", next.ExternalID)
	}
	if s.strangers(a, next) != nil {
		return Record{}, errUnknownItem
	}
	return s.insert(a, next, person).clone(), nil
}

// Edit changes a record: the function sees it and changes external id, fields, custom fields, tags, business and segments.
func (s *Server) Edit(id string, change func(*Record)) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return Record{}, errUnknownRecord
	}
	next, a := r.clone(), s.account(r.Account)
	change(&next)
	next = fold(next)
	if s.owner(a, next.ExternalID, id) != nil {
		return Record{}, fmt.Errorf("rankrtest: external id %s is taken", next.ExternalID)
	}
	if s.strangers(a, next) != nil {
		return Record{}, errUnknownItem
	}
	s.replace(a, r, next, person)
	return r.clone(), nil
}

// Remove deletes a record.
func (s *Server) Remove(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return errUnknownRecord
	}
	s.drop(s.account(r.Account), r, person)
	return nil
}

// All returns every record of every account, oldest first.
func (s *Server) All() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Record, 0, len(s.records))
	for _, r := range s.records {
		all = append(all, r.clone())
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.number, b.number) })
	return all
}

// Get returns one record.
func (s *Server) Get(id string) (Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[id]
	if !ok {
		return Record{}, false
	}
	return r.clone(), true
}

// Mirror returns the record of the first account that carries the external id.
func (s *Server) Mirror(externalID string) (Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.accounts)) {
		for r := range s.accounts[name].byExternal[externalID] {
			return r.clone(), true
		}
	}
	return Record{}, false
}

// fold brings the values that Rankr compares into their one form.
func fold(r Record) Record {
	r = r.clone()
	if email := r.text("email"); email != "" {
		r.Fields["email"] = foldEmail(email)
	}
	r.Tags = foldTags(r.Tags)
	slices.Sort(r.Segments)
	r.Segments = slices.Compact(r.Segments)
	return r
}

func foldEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// foldTags trims and lower-cases, and keeps the first of equal ones.
func foldTags(tags []string) []string {
	folded := make([]string, 0, len(tags))
	seen := make(map[string]bool, len(tags))
	for _, tag := range tags {
		if tag = strings.ToLower(strings.TrimSpace(tag)); tag != "" && !seen[tag] {
			seen[tag] = true
			folded = append(folded, tag)
		}
	}
	return folded
}
