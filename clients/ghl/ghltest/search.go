package ghltest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The search's bounds, as far as they are known.
const (
	maxPage   = 500
	maxOffset = 10_000 // past it only searchAfter leads
	maxQuery  = 75
	maxSorts  = 2
)

// search is the body of POST /contacts/search.
type search struct {
	LocationID  string   `json:"locationId"`
	PageLimit   *int     `json:"pageLimit"`
	Page        *int     `json:"page"`
	SearchAfter []any    `json:"searchAfter"`
	Query       string   `json:"query"`
	Filters     []filter `json:"filters"`
	Sort        []order  `json:"sort"`
}

// order is one key to sort by.
type order struct {
	Field     string `json:"field"`
	Direction string `json:"direction"`
}

// filter is a condition on a field, or a group of filters.
type filter struct {
	Group    string          `json:"group"`
	Filters  []filter        `json:"filters"`
	Field    string          `json:"field"`
	Operator string          `json:"operator"`
	Value    json.RawMessage `json:"value"`

	test func(*Contact) bool
}

// badSearch is a 400 in GHL's words, which begin with a capital letter.
type badSearch string

func (b badSearch) Error() string { return string(b) }

func searchContacts(x *exchange) answer {
	q, refusal, ok := x.readSearch()
	if !ok {
		return refusal
	}
	page, total, err := x.location.find(q, x.server.now(), x.knobs)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	documents := make([]map[string]any, 0, len(page))
	for _, c := range page {
		document := c.found(x.knobs.Complete)
		document["searchAfter"] = q.key(c)
		document["locationId"] = x.claim(c.Location)
		documents = append(documents, document)
	}
	return answer{http.StatusOK, map[string]any{"contacts": documents, "total": total}}
}

// readSearch reads the body, and refuses what GHL is known to refuse with 422.
func (x *exchange) readSearch() (q search, refusal answer, ok bool) {
	body, isObject := x.object()
	if !isObject {
		return q, notAnObject, false
	}
	var wrong invalid
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if !slices.Contains([]string{"locationId", "pageLimit", "page", "searchAfter", "query", "filters", "sort"}, name) {
			wrong = append(wrong, x.surplus(name, false))
		}
	}
	if err := json.Unmarshal(x.body, &q); err != nil {
		wrong = append(wrong, "body must hold values of the documented types")
	}
	complain := func(bad bool, message string) {
		if bad {
			wrong = append(wrong, message)
		}
	}
	complain(q.LocationID == "", "locationId should not be empty")
	complain(q.PageLimit == nil, "pageLimit must be a number conforming to the specified constraints")
	complain(q.PageLimit != nil && (*q.PageLimit < 1 || *q.PageLimit > maxPage), "pageLimit must be between 1 and 500")
	complain(q.Page != nil && q.SearchAfter != nil, "page and searchAfter can not be used together")
	complain(q.Page != nil && *q.Page < 1, "page must not be less than 1")
	complain(len(q.Query) > maxQuery, "query must be shorter than or equal to 75 characters")
	complain(len(q.Sort) > maxSorts, "sort must contain no more than 2 elements")
	switch {
	case wrong != nil:
		return q, refuse(http.StatusUnprocessableEntity, wrong...), false
	case q.LocationID != x.location.id:
		return q, anotherTenant, false
	case q.Page != nil && *q.Page**q.PageLimit > maxOffset:
		return q, refuse(http.StatusBadRequest, "use searchAfter to go past 10000 records"), false
	}
	return q, answer{}, true
}

// find returns a page of contacts, and how many there are on all pages.
func (l *location) find(q search, now time.Time, k *Knobs) (page []*Contact, total int, err error) {
	if len(q.Sort) == 0 {
		q.Sort = []order{{"dateAdded", "desc"}} // what GHL does without a sort is not documented
	}
	if err := q.prepare(); err != nil {
		return nil, 0, err
	}
	if k.NotFoundAll {
		return nil, 0, nil
	}
	l.mu.Lock()
	l.show(now, k.Lag)
	matches := make([]*Contact, 0, *q.PageLimit)
	for _, c := range l.found[l.since(q.Filters):] {
		if q.matches(c) {
			matches = append(matches, c)
		}
	}
	l.mu.Unlock()

	if q.Sort[0] != (order{"dateUpdated", "asc"}) || len(q.Sort) > 1 { // the order of the index
		slices.SortStableFunc(matches, func(a, b *Contact) int { return q.compare(q.key(a), q.key(b)) })
	}
	return q.cut(matches), len(matches), nil
}

// since tells where in the index a search may begin: a poll with dateUpdated must not look at every contact.
func (l *location) since(filters []filter) int {
	for _, f := range filters {
		var bounds struct {
			From any `json:"gte"`
		}
		if f.Field != "dateUpdated" || f.Operator != "range" || json.Unmarshal(f.Value, &bounds) != nil {
			continue
		}
		if from, ok := moment(bounds.From); ok {
			i, _ := slices.BinarySearchFunc(l.found, from, func(c *Contact, t time.Time) int { return c.DateUpdated.Compare(t) })
			return i
		}
	}
	return 0
}

// cut takes the wanted page out of all matches, which are sorted.
func (q *search) cut(matches []*Contact) []*Contact {
	start := 0
	if q.Page != nil {
		start = min((*q.Page-1)**q.PageLimit, len(matches))
	}
	if q.SearchAfter != nil {
		start, _ = slices.BinarySearchFunc(matches, q.SearchAfter, func(c *Contact, after []any) int {
			return cmp.Or(q.compare(q.key(c), after), -1) // the one it stands for was on the page before
		})
	}
	return matches[start:min(start+*q.PageLimit, len(matches))]
}

// key is a contact's searchAfter: the values it is sorted by, and its id.
func (q *search) key(c *Contact) []any {
	key := make([]any, 0, maxSorts+1)
	for _, by := range q.Sort {
		switch value := sortable[by.Field](c).(type) {
		case time.Time:
			key = append(key, float64(value.UnixMilli()))
		default:
			key = append(key, value)
		}
	}
	return append(key, c.ID)
}

// compare orders keys as the sort says; the ids break ties.
func (q *search) compare(a, b []any) int {
	for i := range a {
		order := 0
		if left, ok := a[i].(float64); ok {
			right, _ := b[i].(float64)
			order = cmp.Compare(left, right)
		} else {
			order = strings.Compare(fmt.Sprint(a[i]), fmt.Sprint(b[i]))
		}
		if i < len(q.Sort) && q.Sort[i].Direction == "desc" {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// sortable are the fields that a search may be sorted by.
var sortable = map[string]func(*Contact) any{
	"firstNameLowerCase": func(c *Contact) any { return strings.ToLower(c.FirstName) },
	"lastNameLowerCase":  func(c *Contact) any { return strings.ToLower(c.LastName) },
	"businessName":       func(*Contact) any { return "" },
	"dateAdded":          func(c *Contact) any { return c.DateAdded },
	"dateUpdated":        func(c *Contact) any { return c.DateUpdated },
	"email":              func(c *Contact) any { return strings.ToLower(c.Email) },
	"dnd":                func(c *Contact) any { return c.DND },
	"source":             func(c *Contact) any { return c.Source },
}

// filterable are the fields that a filter may name; "customFields.<id>" comes on top.
var filterable = map[string]func(*Contact) any{
	"id":                 func(c *Contact) any { return c.ID },
	"email":              func(c *Contact) any { return c.Email },
	"phone":              func(c *Contact) any { return c.Phone },
	"firstNameLowerCase": func(c *Contact) any { return strings.ToLower(c.FirstName) },
	"lastNameLowerCase":  func(c *Contact) any { return strings.ToLower(c.LastName) },
	"tags":               func(c *Contact) any { return c.Tags },
	"assignedTo":         func(c *Contact) any { return c.AssignedTo },
	"source":             func(c *Contact) any { return c.Source },
	"type":               func(c *Contact) any { return c.Type },
	"companyName":        func(c *Contact) any { return c.CompanyName },
	"city":               func(c *Contact) any { return c.City },
	"state":              func(c *Contact) any { return c.State },
	"country":            func(c *Contact) any { return c.Country },
	"postalCode":         func(c *Contact) any { return c.PostalCode },
	"timezone":           func(c *Contact) any { return c.Timezone },
	"dnd":                func(c *Contact) any { return c.DND },
	"dateAdded":          func(c *Contact) any { return c.DateAdded },
	"dateUpdated":        func(c *Contact) any { return c.DateUpdated },
}

// prepare checks sort, cursor and filters, and makes each filter's test.
func (q *search) prepare() error {
	for _, by := range q.Sort {
		if sortable[by.Field] == nil {
			return badSearch("Invalid field " + by.Field)
		}
		if by.Direction != "asc" && by.Direction != "desc" {
			return badSearch("direction must be asc or desc")
		}
	}
	if q.SearchAfter != nil && len(q.SearchAfter) != len(q.Sort)+1 {
		return badSearch("searchAfter does not fit the sort")
	}
	return prepareAll(q.Filters)
}

func prepareAll(filters []filter) error {
	for i := range filters {
		if err := filters[i].prepare(); err != nil {
			return err
		}
	}
	return nil
}

func (f *filter) prepare() error {
	if f.Group != "" {
		if f.Group != "AND" && f.Group != "OR" {
			return badSearch("Invalid group " + f.Group)
		}
		f.test = f.group
		return prepareAll(f.Filters)
	}
	value, known := filterable[f.Field]
	if id, custom := strings.CutPrefix(f.Field, "customFields."); custom {
		value, known = func(c *Contact) any { return c.customField(id) }, true
	}
	if !known {
		return badSearch("Invalid field " + f.Field)
	}
	test, err := comparison(f.Operator, f.Value)
	if err != nil {
		return err
	}
	f.test = func(c *Contact) bool { return test(value(c)) }
	return nil
}

func (f *filter) group(c *Contact) bool {
	passes := func(f filter) bool { return f.test(c) }
	if f.Group == "OR" {
		return slices.ContainsFunc(f.Filters, passes)
	}
	return !slices.ContainsFunc(f.Filters, func(f filter) bool { return !f.test(c) })
}

func (c *Contact) customField(id string) any {
	for _, v := range c.CustomFields {
		if v.ID == id {
			return v.Value
		}
	}
	return nil
}

// comparison makes the test of an operator with its value.
func comparison(operator string, value json.RawMessage) (func(any) bool, error) {
	var wanted any
	if value != nil && json.Unmarshal(value, &wanted) != nil {
		return nil, badSearch("Invalid value")
	}
	not := func(test func(any) bool) func(any) bool { return func(v any) bool { return !test(v) } }
	equal := func(v any) bool {
		return anyOf(v, func(text string) bool { return strings.EqualFold(text, plain(wanted)) })
	}
	contains := func(v any) bool {
		return anyOf(v, func(text string) bool {
			return strings.Contains(strings.ToLower(text), strings.ToLower(plain(wanted)))
		})
	}
	exists := func(v any) bool { return anyOf(v, func(text string) bool { return text != "" }) }
	switch operator {
	case "eq":
		return equal, nil
	case "not_eq":
		return not(equal), nil
	case "contains":
		return contains, nil
	case "not_contains":
		return not(contains), nil
	case "exists":
		return exists, nil
	case "not_exists":
		return not(exists), nil
	case "range":
		return within(wanted)
	}
	return nil, badSearch("Invalid operator " + operator)
}

// anyOf tests a value, or each one of a list.
func anyOf(v any, test func(string) bool) bool {
	switch list := v.(type) {
	case []string:
		return slices.ContainsFunc(list, test)
	case []any:
		return slices.ContainsFunc(list, func(item any) bool { return test(plain(item)) })
	}
	return test(plain(v))
}

func plain(v any) string {
	switch value := v.(type) {
	case nil:
		return ""
	case time.Time:
		return wireTime(value)
	}
	return fmt.Sprint(v)
}

// within makes the test of a range: moments (RFC 3339, or epoch milliseconds) between the given bounds.
func within(bounds any) (func(any) bool, error) {
	limits, ok := bounds.(map[string]any)
	if !ok || len(limits) == 0 {
		return nil, badSearch("Invalid value for range")
	}
	accepts := map[string]func(order int) bool{
		"gte": func(order int) bool { return order >= 0 }, "gt": func(order int) bool { return order > 0 },
		"lte": func(order int) bool { return order <= 0 }, "lt": func(order int) bool { return order < 0 },
	}
	type bound struct {
		at      time.Time
		accepts func(order int) bool
	}
	var all []bound
	for name, value := range limits {
		at, isTime := moment(value)
		if accepts[name] == nil || !isTime {
			return nil, badSearch("Invalid value for range")
		}
		all = append(all, bound{at, accepts[name]})
	}
	return func(v any) bool {
		at, isTime := v.(time.Time)
		return isTime && !slices.ContainsFunc(all, func(b bound) bool { return !b.accepts(at.Compare(b.at)) })
	}, nil
}

// moment reads a time as filters give it.
func moment(value any) (time.Time, bool) {
	switch v := value.(type) {
	case float64:
		return time.UnixMilli(int64(v)), true
	case string:
		at, err := time.Parse(time.RFC3339, v)
		return at, err == nil
	}
	return time.Time{}, false
}

// matches tells whether a contact passes the filters and the full text query.
func (q *search) matches(c *Contact) bool {
	for _, f := range q.Filters {
		if !f.test(c) {
			return false
		}
	}
	if q.Query == "" {
		return true
	}
	text := strings.ToLower(strings.Join([]string{c.FirstName, c.LastName, c.Email, c.Phone, c.CompanyName}, " "))
	return strings.Contains(text, strings.ToLower(q.Query))
}
