package rankrtest

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fieldNames are the standard fields, each a string but dnd.
var fieldNames = []string{
	"email", "firstName", "lastName", "phone", "companyName", "address1", "city", "state", "postalCode", "country",
	"website", "timezone", "dateOfBirth", "source", "dnd", "assignedTo",
}

func (s *Server) find(a *account, req request) answer {
	start, limit, errs := paging(req)
	keyed := false
	for _, key := range []string{"externalId", "email", "phone"} {
		if req.query.Has(key) {
			keyed = true
			if req.query.Get(key) == "" {
				errs = append(errs, FieldError{key, "is empty: leave it out"})
			}
		}
	}
	if errs != nil {
		return *invalid(errs...)
	}
	page, next := s.page(a, req, keyed, start, limit)
	contacts := make([]any, len(page))
	for i, r := range page {
		contacts[i] = r.wire()
	}
	body := map[string]any{"contacts": contacts, "next": nil}
	if next != "" {
		body["next"] = next
	}
	return answer{status: http.StatusOK, body: body}
}

// page returns the records of one page and the cursor of the next, empty on the last. A list goes on behind the
// last record's number, so deletes between two pages skip nobody; a search goes on by position.
func (s *Server) page(a *account, req request, keyed bool, start, limit int) ([]*Record, string) {
	if s.knobs.NotFoundAll {
		return nil, ""
	}
	found := a.order
	if keyed {
		found = a.matches(req)
	}
	if s.knobs.SearchLag > 0 {
		found = slices.DeleteFunc(slices.Clone(found), func(r *Record) bool {
			return s.now().Sub(r.indexed) < s.knobs.SearchLag
		})
	}
	if !keyed {
		at, exact := slices.BinarySearchFunc(found, start, func(r *Record, number int) int { return cmp.Compare(r.number, number) })
		if exact {
			at++
		}
		found = found[at:]
		if len(found) <= limit {
			return found, ""
		}
		return found[:limit], cursor(found[limit-1].number)
	}
	found = found[min(start, len(found)):]
	if len(found) <= limit {
		return found, ""
	}
	return found[:limit], cursor(start + limit)
}

// matches returns the records for which any key matches: the one with the external id first, the others by age.
func (a *account) matches(req request) []*Record {
	set := map[*Record]struct{}{}
	external := a.byExternal[req.query.Get("externalId")]
	maps.Copy(set, external)
	maps.Copy(set, a.byEmail[foldEmail(req.query.Get("email"))])
	maps.Copy(set, a.byPhone[req.query.Get("phone")])
	rank := func(r *Record) int {
		if _, ok := external[r]; ok {
			return 0
		}
		return 1
	}
	return slices.SortedFunc(maps.Keys(set), func(x, y *Record) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(x.number, y.number))
	})
}

// paging is which page is asked for.
func paging(req request) (start, limit int, errs []FieldError) {
	limit, errs = pageSize(req.query.Get("limit"))
	start, ok := parseCursor(req.query.Get("startAfter"))
	if !ok {
		errs = append(errs, FieldError{"startAfter", "is not a cursor of this list"})
	}
	return start, limit, errs
}

// onePage is the answer with one page of a list in the order of its numbers. The next one goes on behind the last number,
// so deletes between two pages skip nobody.
func onePage[T any](name string, found []T, limit int, number func(T) int, show func(T) map[string]any) answer {
	body := map[string]any{"next": nil}
	if len(found) > limit {
		found = found[:limit]
		body["next"] = cursor(number(found[limit-1]))
	}
	list := make([]any, len(found))
	for i, each := range found {
		list[i] = show(each)
	}
	body[name] = list
	return answer{status: http.StatusOK, body: body}
}

func pageSize(text string) (int, []FieldError) {
	if text == "" {
		return 20, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > 100 {
		return 0, []FieldError{{"limit", "must be 1 to 100"}}
	}
	return limit, nil
}

func cursor(n int) string { return "c" + strconv.Itoa(n) }

func parseCursor(text string) (int, bool) {
	if text == "" {
		return 0, true
	}
	digits, found := strings.CutPrefix(text, "c")
	n, err := strconv.Atoi(digits)
	return n, found && err == nil && n >= 0
}

func (s *Server) get(a *account, req request) answer {
	r := s.known(a, req.id)
	if r == nil {
		return notFound("contact")
	}
	return s.contact(http.StatusOK, r)
}

func (s *Server) create(a *account, req request) answer {
	next, errs := s.knobs.apply(Record{}, req.body, true)
	if errs = append(errs, s.strangers(a, next)...); errs != nil {
		return *invalid(errs...)
	}
	if taken := s.owner(a, next.ExternalID, ""); taken != nil {
		refused := conflict("externalId", taken.ID)
		refused.record = taken
		return refused
	}
	return s.contact(http.StatusCreated, s.insert(a, next, client))
}

func (s *Server) update(a *account, req request) answer {
	r := s.known(a, req.id)
	if r == nil {
		return notFound("contact")
	}
	if s.knobs.ETags && req.ifMatch != "" && req.ifMatch != "*" && req.ifMatch != r.etag() {
		moved := failure(http.StatusPreconditionFailed, "the contact changed")
		moved.record = r
		return moved
	}
	next, errs := s.knobs.apply(*r, req.body, false)
	if errs = append(errs, s.strangers(a, next)...); errs != nil {
		refused := *invalid(errs...)
		refused.record = r
		return refused
	}
	if taken := s.owner(a, next.ExternalID, r.ID); taken != nil {
		refused := conflict("externalId", taken.ID)
		refused.record = taken
		return refused
	}
	s.replace(a, r, next, client)
	return s.contact(http.StatusOK, r)
}

func (s *Server) delete(a *account, req request) answer {
	r := s.known(a, req.id)
	if r == nil {
		return notFound("contact")
	}
	s.drop(a, r, client)
	return answer{status: http.StatusOK, body: map[string]any{"succeeded": true}, record: r}
}

func (s *Server) addTags(a *account, req request) answer {
	return s.changeTags(a, req, func(have, tags []string) []string { return append(have, tags...) })
}

func (s *Server) removeTags(a *account, req request) answer {
	return s.changeTags(a, req, func(have, tags []string) []string {
		gone := make(map[string]bool, len(tags))
		for _, tag := range tags {
			gone[tag] = true
		}
		return slices.DeleteFunc(have, func(tag string) bool { return gone[tag] })
	})
}

func (s *Server) changeTags(a *account, req request, change func(have, tags []string) []string) answer {
	r := s.known(a, req.id)
	if r == nil {
		return notFound("contact")
	}
	tags, errs := s.knobs.tagsBody(req.body)
	if errs != nil {
		refused := *invalid(errs...)
		refused.record = r
		return refused
	}
	next := r.clone()
	next.Tags = foldTags(change(next.Tags, tags))
	s.replace(a, r, next, client)
	return answer{status: http.StatusOK, body: map[string]any{"tags": slices.Clone(r.Tags)}, record: r}
}

// known returns the account's record with this id, or nil.
func (s *Server) known(a *account, id string) *Record {
	if r := s.records[id]; r != nil && r.Account == a.name && !s.knobs.NotFoundAll {
		return r
	}
	return nil
}

func (s *Server) contact(status int, r *Record) answer {
	a := answer{status: status, body: map[string]any{"contact": r.wire()}, record: r}
	if s.knobs.ETags {
		a.header = map[string]string{"ETag": r.etag()}
	}
	return a
}

func notFound(noun string) answer { return failure(http.StatusNotFound, "no such "+noun) }

func conflict(property, winner string) answer {
	const status = http.StatusConflict
	return answer{status: status, body: failureBody{StatusCode: status, Message: property + " is taken", ID: winner}}
}

func (r *Record) etag() string { return strconv.Quote(r.ID + "-" + strconv.Itoa(r.Version)) }

// wire is the record as the contract shows it. A field without a value is null: the form that is hardest on a client.
func (r *Record) wire() map[string]any {
	out := make(map[string]any, len(fieldNames)+8)
	for _, name := range fieldNames {
		out[name] = r.Fields[name]
	}
	out["dnd"] = r.Fields["dnd"] == true
	out["id"], out["externalId"] = r.ID, any(nil)
	if r.ExternalID != "" {
		out["externalId"] = r.ExternalID
	}
	out["businessId"], out["segments"] = textOrNull(r.BusinessID), append([]string{}, r.Segments...)
	out["tags"], out["customFields"] = slices.Clone(r.Tags), maps.Clone(r.CustomFields)
	out["dateAdded"] = r.Added.UTC().Format(time.RFC3339Nano)
	out["dateUpdated"] = r.Updated.UTC().Format(time.RFC3339Nano)
	return out
}
