package ghltest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The bounds of the lists, as far as they are known.
const (
	listLimit     = 20
	listMax       = 100
	businessLimit = 25
)

// removed is the answer of the newest version to what it no longer has.
var removed = refuse(http.StatusBadRequest, "This endpoint is not available in API version v3: it was removed")

// listContacts is the deprecated list. Newest first is assumed; the last contact of a page is the cursor to the next.
func listContacts(x *exchange) answer {
	query := x.request.URL.Query()
	limit, refusal, ok := x.listed(query, listLimit, listMax)
	if !ok {
		return refusal
	}
	if x.v3() {
		return removed
	}
	all := x.location.newest(query.Get("query"), func(*Contact) bool { return true })
	start := 0
	if after := query.Get("startAfterId"); after != "" {
		at, err := strconv.ParseInt(query.Get("startAfter"), 10, 64)
		if err != nil {
			return refuse(http.StatusUnprocessableEntity, "startAfter must be a number")
		}
		start = slices.IndexFunc(all, func(c *Contact) bool {
			return c.DateAdded.UnixMilli() < at || c.DateAdded.UnixMilli() == at && c.ID > after
		})
	}
	return x.list(all, start, limit)
}

// listByBusiness lists the contacts of a business.
func listByBusiness(x *exchange) answer {
	query := x.request.URL.Query()
	limit, refusal, ok := x.listed(query, businessLimit, listMax)
	if !ok {
		return refusal
	}
	skip, refusal, ok := skipped(query)
	if !ok {
		return refusal
	}
	return x.list(x.location.newest(query.Get("query"), func(c *Contact) bool { return c.BusinessID == x.id }), skip, limit)
}

// listed reads what both lists are asked with.
func (x *exchange) listed(query url.Values, limit, most int) (int, answer, bool) {
	if !query.Has("locationId") {
		return 0, refuse(http.StatusUnprocessableEntity, "locationId should not be empty"), false
	}
	if query.Get("locationId") != x.location.id {
		return 0, anotherTenant, false
	}
	if query.Has("limit") {
		var err error
		if limit, err = strconv.Atoi(query.Get("limit")); err != nil || limit < 1 || limit > most {
			return 0, refuse(http.StatusUnprocessableEntity, "limit must be a number between 1 and "+strconv.Itoa(most)), false
		}
	}
	return limit, answer{}, true
}

// newest returns the contacts that are wanted, the one added last first.
func (l *location) newest(query string, wanted func(*Contact) bool) (found []*Contact) {
	l.mu.Lock()
	for _, rec := range l.contacts {
		c := rec.current.Load()
		if wanted(c) && strings.Contains(strings.ToLower(c.name()), strings.ToLower(query)) {
			found = append(found, c)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(found, func(a, b *Contact) int {
		if order := b.DateAdded.Compare(a.DateAdded); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return found
}

// list answers with a page. A start below zero is behind the last one.
func (x *exchange) list(found []*Contact, start, limit int) answer {
	if start < 0 || start > len(found) || x.knobs.NotFoundAll {
		start = len(found)
	}
	documents := []any{}
	for _, c := range found[start:min(start+limit, len(found))] {
		document := c.listed()
		document["locationId"] = x.claim(c.Location)
		documents = append(documents, document)
	}
	return answer{http.StatusOK, map[string]any{"contacts": documents, "count": len(found)}}
}

// listed is the document of the lists: names in lower case, and no dateUpdated.
func (c *Contact) listed() map[string]any {
	document := c.common()
	delete(document, "dndSettings")
	put(document, "firstName", strings.ToLower(c.FirstName))
	put(document, "lastName", strings.ToLower(c.LastName))
	put(document, "contactName", strings.ToLower(c.name()))
	put(document, "timezone", c.Timezone)
	put(document, "businessId", c.BusinessID)
	document["customFields"] = orEmpty(c.CustomFields)
	document["followers"] = []any{}
	return document
}
