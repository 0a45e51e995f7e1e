package ghltest

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Business is a company that contacts of its location may be attached to. No webhook tells of one, nor of a contact that
// is attached or detached; see [Knobs.AttachingUpdates].
type Business struct {
	ID       string `json:"id"`
	Location string `json:"locationId"`

	Name        string `json:"name"`
	Email       string `json:"email,omitempty"`
	Phone       string `json:"phone,omitempty"`
	Website     string `json:"website,omitempty"`
	Address     string `json:"address,omitempty"`
	City        string `json:"city,omitempty"`
	State       string `json:"state,omitempty"`
	PostalCode  string `json:"postalCode,omitempty"`
	Country     string `json:"country,omitempty"`
	Description string `json:"description,omitempty"`

	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`

	// Raw lies over the documents that the API gives out, as it is; see [Contact.Raw].
	Raw map[string]json.RawMessage `json:"raw,omitempty"`
}

func (b *Business) clone() *Business {
	copied := *b
	copied.Raw = maps.Clone(b.Raw)
	return &copied
}

// read is the document of all answers.
func (b *Business) read() map[string]any {
	document := map[string]any{
		"id": b.ID, "locationId": b.Location, "name": b.Name, "createdAt": wireTime(b.CreatedAt), "updatedAt": wireTime(b.UpdatedAt),
	}
	for name, value := range map[string]string{
		"email": b.Email, "phone": b.Phone, "website": b.Website, "address": b.Address, "city": b.City, "state": b.State,
		"postalCode": b.PostalCode, "country": b.Country, "description": b.Description,
	} {
		put(document, name, value)
	}
	maps.Copy(document, raw(b.Raw))
	return document
}

// The bounds of the list. That no page may be longer than one that is not asked for is assumed.
const (
	businessesLimit = 100
	businessesMax   = 100
)

func getBusiness(x *exchange) answer {
	l, b, err := x.server.business(x.id)
	switch {
	case err != nil || x.knobs.NotFoundAll:
		return refuse(http.StatusNotFound, "Business not found")
	case l != x.location:
		return anotherTenant
	}
	return answer{http.StatusOK, map[string]any{"business": x.seen(b.read())}}
}

// listBusinesses shows the newest businesses first; in which order GHL does is not documented.
func listBusinesses(x *exchange) answer {
	query := x.request.URL.Query()
	limit, refusal, ok := x.listed(query, businessesLimit, businessesMax)
	if !ok {
		return refusal
	}
	skip, refusal, ok := skipped(query)
	if !ok {
		return refusal
	}
	found := x.location.allBusinesses()
	if x.knobs.NotFoundAll {
		found = nil
	}
	start := min(skip, len(found))
	documents := []any{}
	for _, b := range found[start:min(start+limit, len(found))] {
		document := b.read()
		document["locationId"] = x.claim(b.Location)
		documents = append(documents, document)
	}
	return answer{http.StatusOK, map[string]any{"businesses": documents}}
}

// skipped reads how many rows of a list are to be left out.
func skipped(query url.Values) (skip int, refusal answer, ok bool) {
	skip, err := strconv.Atoi(query.Get("skip"))
	if query.Has("skip") && (err != nil || skip < 0) {
		return 0, refuse(http.StatusUnprocessableEntity, "skip must be a number string"), false
	}
	return skip, answer{}, true
}

// maxAttached is how many contacts one call may attach or detach.
const maxAttached = 50

// attachContacts attaches contacts to a business, or detaches them when it is null. Ids that the location does not have
// are left out of the answer; what GHL does about them is not documented.
func attachContacts(x *exchange) answer {
	body, refusal, ok := x.located()
	if !ok {
		return refusal
	}
	ids, business, wrong := x.attachment(body)
	if wrong != nil {
		return failed(wrong)
	}
	attached := []string{}
	for _, id := range ids {
		rec, _, err := x.server.contact(id)
		if err != nil || rec.location != x.location || x.knobs.NotFoundAll {
			continue
		}
		before, after, err := x.server.attach(rec, business)
		switch {
		case errors.Is(err, errNothing):
		case err != nil:
			return gone(err, "Business")
		default:
			x.effect = true
			x.server.announce(before, after)
		}
		attached = append(attached, id)
	}
	return answer{http.StatusOK, map[string]any{"success": true, "ids": attached}}
}

// attachment reads what is to be attached to what.
func (x *exchange) attachment(body map[string]json.RawMessage) (ids []string, business string, err error) {
	wrong := need(body, "ids", "businessId")
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if !slices.Contains([]string{"locationId", "ids", "businessId"}, name) {
			wrong = append(wrong, x.surplus(name, false))
		}
	}
	if wrong != nil {
		return nil, "", wrong
	}
	switch {
	case json.Unmarshal(body["ids"], &ids) != nil || ids == nil:
		wrong = append(wrong, "ids must be an array")
	case len(ids) > maxAttached:
		wrong = append(wrong, "ids must contain no more than 50 elements")
	}
	if setText(&business, body["businessId"]) != nil {
		wrong = append(wrong, "businessId must be a string")
	}
	if wrong != nil {
		return nil, "", wrong
	}
	return ids, business, nil
}

// business returns a business as it is now, and whose it is.
func (s *Server) business(id string) (*location, *Business, error) {
	entry, ok := s.companies.Load(id)
	if !ok {
		return nil, nil, ErrGone
	}
	l := entry.(*location)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.businesses[id]
	if b == nil {
		return nil, nil, ErrGone
	}
	return l, b, nil
}

// allBusinesses returns a location's businesses, the one made last first.
func (l *location) allBusinesses() []*Business {
	l.mu.Lock()
	found := slices.Collect(maps.Values(l.businesses))
	l.mu.Unlock()
	slices.SortFunc(found, func(a, b *Business) int {
		if order := b.CreatedAt.Compare(a.CreatedAt); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return found
}

// attach moves a contact to a business of its location; the empty one is none.
func (s *Server) attach(rec *record, business string) (before, after *Contact, err error) {
	return s.replace(rec, func(c *Contact) error {
		switch {
		case business != "" && rec.location.businesses[business] == nil:
			return ErrGone
		case c.BusinessID == business:
			return errNothing
		}
		c.BusinessID = business
		return nil
	})
}

// AddBusiness makes a business in a location; see [Person.AddBusiness].
func (s *Server) AddBusiness(location string, b Business) Business {
	return Person{s, false}.AddBusiness(location, b)
}

// EditBusiness changes a business; see [Person.EditBusiness].
func (s *Server) EditBusiness(id string, change func(*Business)) (Business, error) {
	return Person{s, false}.EditBusiness(id, change)
}

// DeleteBusiness deletes a business; see [Person.DeleteBusiness].
func (s *Server) DeleteBusiness(id string) error { return Person{s, false}.DeleteBusiness(id) }

// Attach attaches a contact to a business; see [Person.Attach].
func (s *Server) Attach(contact, business string) (Contact, error) {
	return Person{s, false}.Attach(contact, business)
}

// Detach takes a contact off its business.
func (s *Server) Detach(contact string) (Contact, error) { return Person{s, false}.Detach(contact) }

// Business returns a business as it is now.
func (s *Server) Business(id string) (Business, bool) {
	_, b, err := s.business(id)
	if err != nil {
		return Business{}, false
	}
	return *b.clone(), true
}

// Businesses returns a location's businesses, the one made last first.
func (s *Server) Businesses(location string) []Business {
	l, ok := s.location(location)
	if !ok {
		return nil
	}
	found := l.allBusinesses()
	copied := make([]Business, len(found))
	for i, b := range found {
		copied[i] = *b.clone()
	}
	return copied
}

// AddBusiness makes a business in a location, which is made as well if need be, and returns it as saved. Without an ID it
// gets one; an ID that is taken is a mistake of the test, and panics.
func (p Person) AddBusiness(location string, b Business) Business {
	made := b.clone()
	if made.ID == "" {
		made.ID = newID()
	}
	l := p.server.demand(location)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := p.server.now().UTC().Truncate(time.Millisecond)
	if made.CreatedAt.IsZero() {
		made.CreatedAt = now
	}
	made.Location, made.UpdatedAt = l.id, now
	if _, taken := p.server.companies.LoadOrStore(made.ID, l); taken {
		panic("ghltest: there is a business with the id " + made.ID)
	}
	if l.businesses == nil {
		l.businesses = map[string]*Business{}
	}
	l.businesses[made.ID] = made
	return *made.clone()
}

// EditBusiness lets change work on a copy of the business, and saves it; ids and createdAt stay.
func (p Person) EditBusiness(id string, change func(*Business)) (Business, error) {
	l, _, err := p.server.business(id)
	if err != nil {
		return Business{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.businesses[id]
	if before == nil {
		return Business{}, ErrGone
	}
	after := before.clone()
	change(after)
	after.ID, after.Location, after.CreatedAt = before.ID, before.Location, before.CreatedAt
	after.UpdatedAt = p.server.now().UTC().Truncate(time.Millisecond)
	l.businesses[id] = after
	return *after.clone(), nil
}

// DeleteBusiness deletes a business and detaches its contacts.
func (p Person) DeleteBusiness(id string) error {
	l, _, err := p.server.business(id)
	if err != nil {
		return err
	}
	attached, err := p.server.removeBusiness(l, id)
	if err != nil {
		return err
	}
	for _, rec := range attached {
		before, after, err := p.server.leave(rec, id)
		if err == nil {
			p.tell(before, after)
		}
	}
	return nil
}

// removeBusiness deletes a business for good, and returns the contacts that are attached to it.
func (s *Server) removeBusiness(l *location, id string) (attached []*record, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.businesses[id] == nil {
		return nil, ErrGone
	}
	delete(l.businesses, id)
	s.companies.Delete(id)
	for _, rec := range l.contacts {
		if rec.current.Load().BusinessID == id {
			attached = append(attached, rec)
		}
	}
	return attached, nil
}

// leave detaches a contact from a business, unless it has left it or is gone.
func (s *Server) leave(rec *record, business string) (before, after *Contact, err error) {
	return s.replace(rec, func(c *Contact) error {
		if c.BusinessID != business {
			return errNothing
		}
		c.BusinessID = ""
		return nil
	})
}

// Attach attaches a contact to a business of its location; it leaves the one it was attached to.
func (p Person) Attach(contact, business string) (Contact, error) {
	if business == "" {
		return Contact{}, ErrGone
	}
	return p.attach(contact, business)
}

// Detach takes a contact off its business.
func (p Person) Detach(contact string) (Contact, error) { return p.attach(contact, "") }

func (p Person) attach(contact, business string) (Contact, error) {
	rec, current, err := p.server.contact(contact)
	if err != nil {
		return Contact{}, err
	}
	before, after, err := p.server.attach(rec, business)
	switch {
	case errors.Is(err, errNothing):
		return current.clone(), nil
	case err != nil:
		return Contact{}, err
	}
	p.tell(before, after)
	return after.clone(), nil
}
