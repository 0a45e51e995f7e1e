package rankrtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Item is what the fake holds of a task, a note, a business and a segment alike.
type Item struct {
	Account    string    `json:"account,omitempty"`
	ID         string    `json:"id"`
	ContactID  string    `json:"contactId,omitempty"`  // of a task or note; never changes
	ExternalID string    `json:"externalId,omitempty"` // empty: made in Rankr; a segment never has one
	Added      time.Time `json:"added"`
	Updated    time.Time `json:"updated"`
	Version    int       `json:"version"` // grows with each change

	number int // the order in which they were made
}

func (i *Item) item() *Item { return i }

func (i *Item) key() string { return i.ExternalID }

func (i *Item) set(k Knobs, name string, value any) (why string) {
	if name != "externalId" {
		return "unknown property"
	}
	i.ExternalID, why = k.externalID(value)
	return why
}

// contents are the contract's properties of a task, a note, a business or a segment beside those of an [Item].
type contents[T any] interface {
	*T
	item() *Item
	// key is what no two in an account have in common; empty: it has none.
	key() string
	// set puts a property's value into its form and stores it, or says why not. Null clears.
	set(k Knobs, name string, value any) (why string)
	wire() map[string]any
}

// shelf holds all tasks, all notes, all businesses or all segments of the server. Its methods need s.mu.
type shelf[T any, P contents[T]] struct {
	noun, plural string
	required     string                      // the property that a new one must have
	unique       string                      // the property that is its key
	fold         func(key string) string     // brings a key into the form in which keys are compared
	alone        bool                        // they belong to no contact, but to the account itself
	gone         func(item *Item, by string) // what goes with one of them

	held      map[string]P
	ofContact map[string][]P // oldest first
	byKey     map[accountKey]map[P]struct{}
	made      int
	events    []Event
	twice     map[string]bool
}

type accountKey struct{ account, key string }

func newShelf[T any, P contents[T]](noun, plural, required string) *shelf[T, P] {
	return &shelf[T, P]{
		noun: noun, plural: plural, required: required, unique: "externalId",
		fold: func(key string) string { return key }, gone: func(*Item, string) {},
		held: map[string]P{}, ofContact: map[string][]P{}, byKey: map[accountKey]map[P]struct{}{}, twice: map[string]bool{},
	}
}

// keyOf is the key of one by its id; empty when it has none, or there is none.
func (h *shelf[T, P]) keyOf(id string) string {
	if p := h.held[id]; p != nil {
		return p.key()
	}
	return ""
}

// has tells whether the account has one with this id.
func (h *shelf[T, P]) has(account, id string) bool {
	p := h.held[id]
	return p != nil && p.item().Account == account
}

// owner is the one that has the key already, other than the one that wants it; nil when it is free.
func (h *shelf[T, P]) owner(account, key, id string) P {
	for p := range h.byKey[accountKey{account, key}] {
		if p.item().ID != id {
			return p
		}
	}
	return nil
}

// insert gives a new one its id and takes it in.
func (h *shelf[T, P]) insert(account, contactID string, next T, now time.Time, by string) P {
	h.made++
	p := P(&next)
	*p.item() = Item{
		Account: account, ID: fmt.Sprintf("%s_%06d", h.noun, h.made), ContactID: contactID,
		ExternalID: p.item().ExternalID, Added: now, Updated: now, Version: 1, number: h.made,
	}
	h.held[p.item().ID] = p
	h.ofContact[contactID] = append(h.ofContact[contactID], p)
	h.link(p)
	h.remember(p, Event{At: now, Verb: "created", By: by})
	return p
}

// replace turns one into its next state.
func (h *shelf[T, P]) replace(p P, next T, now time.Time, by string) {
	before, key := *p.item(), p.key()
	h.unlink(p)
	after := before
	after.ExternalID, after.Updated, after.Version = P(&next).item().ExternalID, now, before.Version+1
	*p = next
	*p.item() = after
	h.link(p)
	h.remember(p, Event{At: now, Verb: "updated", By: by, Before: key})
}

func (h *shelf[T, P]) drop(p P, now time.Time, by string) {
	i := p.item()
	h.unlink(p)
	delete(h.held, i.ID)
	h.ofContact[i.ContactID] = slices.DeleteFunc(h.ofContact[i.ContactID], func(other P) bool { return other == p })
	h.remember(p, Event{At: now, Verb: "deleted", By: by})
	h.gone(i, by)
}

// clear drops all that belong to a contact that is gone.
func (h *shelf[T, P]) clear(contactID string, now time.Time, by string) {
	for _, p := range slices.Clone(h.ofContact[contactID]) {
		h.drop(p, now, by)
	}
	delete(h.ofContact, contactID)
}

func (h *shelf[T, P]) link(p P) {
	key := accountKey{p.item().Account, p.key()}
	if key.key == "" {
		return
	}
	if h.byKey[key] == nil {
		h.byKey[key] = map[P]struct{}{}
	}
	h.byKey[key][p] = struct{}{}
}

func (h *shelf[T, P]) unlink(p P) {
	key := accountKey{p.item().Account, p.key()}
	delete(h.byKey[key], p)
	if len(h.byKey[key]) == 0 {
		delete(h.byKey, key)
	}
}

// remember adds a change to the history and looks whether a key has become doubled.
func (h *shelf[T, P]) remember(p P, event Event) {
	i := p.item()
	event.Account, event.ID, event.ContactID, event.ExternalID = i.Account, i.ID, i.ContactID, p.key()
	h.events = append(h.events, event)
	if len(h.byKey[accountKey{i.Account, p.key()}]) > 1 {
		h.twice[p.key()] = true
	}
}

// all returns what the contact has, or every contact's for an empty id, oldest first.
func (h *shelf[T, P]) all(contactID string) []T {
	found := []T{}
	for _, p := range h.held {
		if contactID == "" || p.item().ContactID == contactID {
			found = append(found, *p)
		}
	}
	slices.SortFunc(found, func(x, y T) int { return cmp.Compare(P(&x).item().number, P(&y).item().number) })
	return found
}

// The calls of the contract, the same for all of them.

func list[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request) answer {
	r := s.known(a, req.id)
	if r == nil {
		return notFound("contact")
	}
	found := []any{}
	for _, p := range h.ofContact[r.ID] {
		found = append(found, onWire[T](p))
	}
	return answer{status: http.StatusOK, body: map[string]any{h.plural: found}, record: r}
}

// search answers with a page of those that belong to the account itself: all of them, or the one with a key.
func search[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request) answer {
	start, limit, errs := paging(req)
	keyed, key := req.query.Has(h.unique), h.fold(req.query.Get(h.unique))
	if keyed && key == "" {
		errs = append(errs, FieldError{h.unique, "is empty: leave it out"})
	}
	if errs != nil {
		return *invalid(errs...)
	}
	var found []P
	for _, p := range h.ofContact[""] {
		i := p.item()
		hidden := s.knobs.NotFoundAll || s.now().Sub(i.Added) < s.knobs.SearchLag
		if i.Account == a.name && i.number > start && !hidden && (!keyed || p.key() == key) {
			found = append(found, p)
		}
	}
	return onePage(h.plural, found, limit, func(p P) int { return p.item().number }, onWire[T, P])
}

func readOne[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request) answer {
	r, p, missing := find(s, h, a, req)
	if missing != nil {
		return *missing
	}
	return one(h, http.StatusOK, r, p)
}

func create[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request) answer {
	r, missing := within(s, h, a, req)
	if missing != nil {
		return *missing
	}
	var next T
	errs := apply(s.knobs, P(&next), req.body, true)
	if req.body[h.required] == nil {
		errs = append(errs, FieldError{h.required, "is required"})
	}
	if errs != nil {
		return *invalid(errs...)
	}
	if taken := h.owner(a.name, P(&next).key(), ""); taken != nil && !s.knobs.NoUnique {
		return conflict(h.unique, taken.item().ID)
	}
	return one(h, http.StatusCreated, r, h.insert(a.name, idOf(r), next, s.now(), client))
}

func update[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request) answer {
	return change(s, h, a, req, func(next P) []FieldError { return apply(s.knobs, next, req.body, false) })
}

// change does what every kind of write to one of them does.
func change[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request, do func(P) []FieldError) answer {
	r, p, missing := find(s, h, a, req)
	if missing != nil {
		return *missing
	}
	next := *p
	if errs := do(P(&next)); errs != nil {
		return *invalid(errs...)
	}
	if taken := h.owner(a.name, P(&next).key(), req.item); taken != nil && !s.knobs.NoUnique {
		return conflict(h.unique, taken.item().ID)
	}
	h.replace(p, next, s.now(), client)
	return one(h, http.StatusOK, r, p)
}

func remove[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request) answer {
	r, p, missing := find(s, h, a, req)
	if missing != nil {
		return *missing
	}
	h.drop(p, s.now(), client)
	return answer{status: http.StatusOK, body: map[string]any{"succeeded": true}, record: r, item: p.item()}
}

// find returns the one that a path names, or the 404 that says which of the two ids is unknown.
func find[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request) (*Record, P, *answer) {
	r, missing := within(s, h, a, req)
	if missing != nil {
		return nil, nil, missing
	}
	p := h.held[req.item]
	if !h.has(a.name, req.item) || p.item().ContactID != idOf(r) || s.knobs.NotFoundAll {
		missing := notFound(h.noun)
		return nil, nil, &missing
	}
	return r, p, nil
}

// within returns the contact that a path goes through, or the 404; nil for what belongs to no contact.
func within[T any, P contents[T]](s *Server, h *shelf[T, P], a *account, req request) (*Record, *answer) {
	if h.alone {
		return nil, nil
	}
	r := s.known(a, req.id)
	if r == nil {
		missing := notFound("contact")
		return nil, &missing
	}
	return r, nil
}

// idOf is the record's id; empty: it is none.
func idOf(r *Record) string {
	if r == nil {
		return ""
	}
	return r.ID
}

func one[T any, P contents[T]](h *shelf[T, P], status int, r *Record, p P) answer {
	return answer{status: status, body: map[string]any{h.noun: onWire[T](p)}, record: r, item: p.item()}
}

// onWire is one of them as the contract shows it; what has no value is null.
func onWire[T any, P contents[T]](p P) map[string]any {
	i, out := p.item(), p.wire()
	if out["id"] = i.ID; i.ContactID != "" {
		out["contactId"] = i.ContactID
	}
	out["dateAdded"], out["dateUpdated"] = timeOrNull(i.Added), timeOrNull(i.Updated)
	return out
}

// apply makes a body's changes and returns every property that is refused.
func apply[T any, P contents[T]](k Knobs, next P, body map[string]any, creating bool) (errs []FieldError) {
	if len(body) == 0 && !creating {
		errs = append(errs, FieldError{"body", "changes nothing"})
	}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		value, why := body[name], ""
		switch {
		case value == nil && creating:
			why = "can't be null"
		case !creating && slices.Contains(k.KeepOld, name):
		default:
			why = next.set(k, name, value)
		}
		if why != "" {
			errs = append(errs, FieldError{name, why})
		}
	}
	return errs
}

// put stores a text in its place, or says why not. Null clears where that is allowed.
func (k Knobs) put(place *string, name string, value any, nullable bool) string {
	text, ok := value.(string)
	switch {
	case value == nil && !nullable:
		return "can't be null"
	case value != nil && !ok:
		return "must be a string"
	case len(text) > k.maxValue():
		return "is too long"
	case slices.Contains(k.Normalise, name):
		text = strings.ToUpper(text)
	}
	*place = text
	return ""
}

// putTime stores a time in its place, or says why not. Null clears.
func putTime(place *time.Time, value any) string {
	if value == nil {
		*place = time.Time{}
		return ""
	}
	text, _ := value.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "must be a time in RFC 3339"
	}
	*place = at.UTC()
	return ""
}

func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func timeOrNull(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// What people do in Rankr, the same for all of them. These take s.mu.

func add[T any, P contents[T]](s *Server, h *shelf[T, P], made T) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, key := P(&made).item(), P(&made).key()
	account, contactID := i.Account, ""
	if !h.alone {
		r := s.records[i.ContactID]
		if r == nil {
			return *new(T), errUnknownRecord
		}
		account, contactID = r.Account, r.ID
	}
	if h.owner(account, key, "") != nil && !s.knobs.NoUnique {
		return *new(T), h.taken(key)
	}
	return *h.insert(account, contactID, made, s.now(), person), nil
}

func edit[T any, P contents[T]](s *Server, h *shelf[T, P], id string, change func(P)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := h.held[id]
	if p == nil {
		return *new(T), errUnknownItem
	}
	next := *p
	change(&next)
	if key := P(&next).key(); h.owner(p.item().Account, key, id) != nil && !s.knobs.NoUnique {
		return *new(T), h.taken(key)
	}
	h.replace(p, next, s.now(), person)
	return *p, nil
}

func discard[T any, P contents[T]](s *Server, h *shelf[T, P], id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := h.held[id]
	if p == nil {
		return errUnknownItem
	}
	h.drop(p, s.now(), person)
	return nil
}

func (h *shelf[T, P]) taken(key string) error {
	return fmt.Errorf("rankrtest: %s %s is taken by another %s", h.unique, key, h.noun)
}

// errUnknownItem is for people who point at a task, a note, a business or a segment that is not there.
var errUnknownItem = errors.New("rankrtest: no such task, note, business or segment")

func shown[T any, P contents[T]](s *Server, h *shelf[T, P], contactID string) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.all(contactID)
}

func history[T any, P contents[T]](s *Server, h *shelf[T, P], key string) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return about(h.events, h.fold(key))
}

func doubled[T any, P contents[T]](s *Server, h *shelf[T, P]) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(h.twice))
}

// The same for a Rankr in another process.

func remoteEdit[T any, P contents[T]](ctx context.Context, r Remote, name, id string, change func(P)) (T, error) {
	all, err := ask[[]T](ctx, r, http.MethodGet, "/"+name, nil)
	if err != nil {
		return *new(T), err
	}
	for _, next := range all {
		if P(&next).item().ID == id {
			change(&next)
			return ask[T](ctx, r, http.MethodPut, "/"+name+"/"+url.PathEscape(id), next)
		}
	}
	return *new(T), errUnknownItem
}
