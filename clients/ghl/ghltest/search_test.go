package ghltest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

// search calls the search with a body that has the two required properties unless it says otherwise.
func (a *api) search(body map[string]any) reply {
	a.t.Helper()
	full := map[string]any{"locationId": home, "pageLimit": 100}
	for name, value := range body {
		full[name] = value
	}
	return a.call("POST", "/contacts/search", full)
}

func (r reply) contacts() []map[string]any {
	var contacts []map[string]any
	for _, c := range r.body["contacts"].([]any) {
		contacts = append(contacts, c.(map[string]any))
	}
	return contacts
}

func (r reply) ids() []string {
	ids := []string{}
	for _, c := range r.contacts() {
		ids = append(ids, c["id"].(string))
	}
	return ids
}

// changedSince is the search that a poll makes.
func changedSince(t time.Time) map[string]any {
	return map[string]any{
		"filters": []any{map[string]any{"field": "dateUpdated", "operator": "range", "value": map[string]any{"gte": t.Format(time.RFC3339Nano)}}},
		"sort":    []any{map[string]any{"field": "dateUpdated", "direction": "asc"}},
	}
}

func TestAWalkBySearchAfterSeesEveryContactOnce(t *testing.T) {
	for _, by := range []string{"dateUpdated", "dateAdded", "firstNameLowerCase", "dnd", "email"} {
		for _, direction := range []string{"asc", "desc"} {
			t.Run(by+" "+direction, func(t *testing.T) {
				a := start(t)
				a.Seed(home, 53)
				seen := map[string]bool{}
				body := map[string]any{"pageLimit": 10, "sort": []any{map[string]any{"field": by, "direction": direction}}}
				for pages := 0; ; pages++ {
					require.Less(t, pages, 7)
					r := a.search(body)
					require.Equal(t, 200, r.status, r.text)
					assert.EqualValues(t, 53, r.body["total"])
					page := r.contacts()
					if len(page) == 0 {
						break
					}
					for _, c := range page {
						assert.False(t, seen[c["id"].(string)])
						seen[c["id"].(string)] = true
					}
					body["searchAfter"] = page[len(page)-1]["searchAfter"]
				}
				assert.Len(t, seen, 53)
			})
		}
	}
}

func TestAWalkSeesAllOfManyContactsWithOneDate(t *testing.T) {
	clock := newClock()
	a := serve(t, &ghltest.Server{Now: clock.Now})
	for i := range 25 {
		a.Create(home, ghltest.Contact{FirstName: fmt.Sprint(i)})
	}
	seen := map[string]bool{}
	body := changedSince(clock.Now())
	body["pageLimit"] = 4
	for range 7 {
		page := a.search(body).contacts()
		for _, c := range page {
			seen[c["id"].(string)] = true
		}
		after := page[len(page)-1]["searchAfter"].([]any)
		assert.IsType(t, 0.0, after[0])
		assert.IsType(t, "", after[1])
		body["searchAfter"] = after
	}
	assert.Len(t, seen, 25)
	assert.Empty(t, a.search(body).contacts())
}

func TestARecordEditedDuringAWalkComesAgainAtItsEnd(t *testing.T) {
	a := start(t)
	ids := a.Seed(home, 4)
	body := changedSince(time.Now().Add(-time.Hour))
	body["pageLimit"] = 2
	first := a.search(body)
	assert.Equal(t, ids[:2], first.ids())
	_, err := a.Edit(ids[0], func(c *ghltest.Contact) { c.City = "Leeds" })
	require.NoError(t, err)
	body["searchAfter"] = first.contacts()[1]["searchAfter"]
	body["pageLimit"] = 10
	assert.Equal(t, []string{ids[2], ids[3], ids[0]}, a.search(body).ids())
}

func TestTheSearchLagsBehind(t *testing.T) {
	clock := newClock()
	a := serve(t, &ghltest.Server{Now: clock.Now})
	a.PutLocation(ghltest.Location{ID: home})
	a.Set(func(k *ghltest.Knobs) { k.Lag = 5 * time.Second })
	made := a.Create(home, ghltest.Contact{FirstName: "Ada"})
	assert.Empty(t, a.search(nil).contacts())

	clock.forward(5 * time.Second)
	assert.Len(t, a.search(nil).contacts(), 1)
	_, err := a.Edit(made.ID, func(c *ghltest.Contact) { c.FirstName = "Eve" })
	require.NoError(t, err)
	assert.Equal(t, "ada", a.search(nil).contacts()[0]["firstName"], "still the old version")
	assert.Equal(t, "Eve", a.call("GET", "/contacts/"+made.ID, nil).contact()["firstName"], "reads do not lag")

	clock.forward(5 * time.Second)
	assert.Equal(t, "eve", a.search(nil).contacts()[0]["firstName"])
	require.NoError(t, a.Delete(made.ID))
	assert.Len(t, a.search(nil).contacts(), 1)
	clock.forward(5 * time.Second)
	assert.Empty(t, a.search(nil).contacts())
}

func TestSearchDocumentsAreTheWorstThatWasSeenUnlessComplete(t *testing.T) {
	a := start(t)
	a.Create(home, ghltest.Contact{
		FirstName: "Zoë", LastName: "McAllister", Address1: "1 Harbour St", DateOfBirth: "1990-09-25", Timezone: "Europe/Berlin",
		CustomFields: []ghltest.Value{{ID: ghltest.SeedFields[0].ID, Value: "plus"}},
	})
	document := a.search(nil).contacts()[0]
	assert.Equal(t, "zoë", document["firstName"])
	assert.Equal(t, "zoë mcallister", document["contactName"])
	assert.Equal(t, "1 Harbour St", document["address"])
	assert.EqualValues(t, time.Date(1990, 9, 25, 0, 0, 0, 0, time.UTC).UnixMilli(), document["dateOfBirth"])
	assert.Contains(t, document, "phone")
	assert.Nil(t, document["phone"])
	for _, name := range []string{"address1", "customFields", "timezone", "firstNameRaw", "name"} {
		assert.NotContains(t, document, name)
	}

	a.Set(func(k *ghltest.Knobs) { k.Complete = true })
	document = a.search(nil).contacts()[0]
	assert.Equal(t, "Zoë", document["firstNameRaw"])
	assert.Equal(t, "McAllister", document["lastNameRaw"])
	assert.Equal(t, "1 Harbour St", document["address1"])
	assert.Equal(t, "1990-09-25", document["dateOfBirth"])
	assert.Equal(t, "Europe/Berlin", document["timezone"])
	assert.Len(t, document["customFields"], 1)
}

func TestFiltersSelect(t *testing.T) {
	a := start(t)
	ada := a.Create(home, ghltest.Contact{FirstName: "Ada", Email: "ada@us.example", Tags: []string{"vip", "news"}, City: "Leeds"})
	eve := a.Create(home, ghltest.Contact{
		FirstName: "Eve", Phone: "+12025550100", DND: true,
		CustomFields: []ghltest.Value{{ID: ghltest.SeedFields[2].ID, Value: []string{"garden", "sea"}}},
	})
	type f = map[string]any
	for _, c := range []struct {
		name   string
		filter f
		want   []string
	}{
		{"eq", f{"field": "email", "operator": "eq", "value": "ADA@us.example"}, []string{ada.ID}},
		{"not_eq", f{"field": "id", "operator": "not_eq", "value": ada.ID}, []string{eve.ID}},
		{"eq in a list", f{"field": "tags", "operator": "eq", "value": "vip"}, []string{ada.ID}},
		{"contains", f{"field": "city", "operator": "contains", "value": "eed"}, []string{ada.ID}},
		{"not_contains", f{"field": "city", "operator": "not_contains", "value": "eed"}, []string{eve.ID}},
		{"exists", f{"field": "phone", "operator": "exists"}, []string{eve.ID}},
		{"not_exists", f{"field": "phone", "operator": "not_exists"}, []string{ada.ID}},
		{"bool", f{"field": "dnd", "operator": "eq", "value": true}, []string{eve.ID}},
		{"custom field", f{"field": "customFields." + ghltest.SeedFields[2].ID, "operator": "eq", "value": "sea"}, []string{eve.ID}},
		{"range", f{"field": "dateUpdated", "operator": "range", "value": f{"gte": ada.DateUpdated.UnixMilli(), "lte": "2099-01-01T00:00:00Z"}}, []string{ada.ID, eve.ID}},
		{"empty range", f{"field": "dateAdded", "operator": "range", "value": f{"gt": "2099-01-01T00:00:00Z"}}, []string{}},
		{"or", f{"group": "OR", "filters": []any{
			f{"field": "city", "operator": "eq", "value": "Leeds"}, f{"field": "dnd", "operator": "eq", "value": true},
		}}, []string{ada.ID, eve.ID}},
		{"and", f{"group": "AND", "filters": []any{
			f{"field": "city", "operator": "eq", "value": "Leeds"}, f{"field": "dnd", "operator": "eq", "value": true},
		}}, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := *a
			as.t = t
			r := as.search(f{"filters": []any{c.filter}})
			require.Equal(t, 200, r.status, r.text)
			assert.ElementsMatch(t, c.want, r.ids())
			assert.EqualValues(t, len(c.want), r.body["total"])
		})
	}
	assert.Equal(t, []string{ada.ID}, a.search(f{"query": "ADA"}).ids())
}

func TestASearchIsRefusedAsGHLRefusesIt(t *testing.T) {
	a := start(t)
	type f = map[string]any
	for _, c := range []struct {
		name   string
		body   any
		status int
		want   string
	}{
		{"no pageLimit", f{"locationId": home}, 422, "pageLimit must be a number"},
		{"no location", f{"pageLimit": 1}, 422, "locationId should not be empty"},
		{"large page", f{"locationId": home, "pageLimit": 501}, 422, "pageLimit must be between 1 and 500"},
		{"page and cursor", f{"locationId": home, "pageLimit": 1, "page": 1, "searchAfter": []any{1, "x"}}, 422, "can not be used together"},
		{"far page", f{"locationId": home, "pageLimit": 500, "page": 21}, 400, "use searchAfter"},
		{"long query", f{"locationId": home, "pageLimit": 1, "query": strings.Repeat("x", 76)}, 422, "75 characters"},
		{"unknown filter field", f{"locationId": home, "pageLimit": 1, "filters": []any{f{"field": "shoeSize", "operator": "eq", "value": 1}}}, 400, "Invalid field shoeSize"},
		{"unknown sort field", f{"locationId": home, "pageLimit": 1, "sort": []any{f{"field": "id", "direction": "asc"}}}, 400, "Invalid field id"},
		{"unknown operator", f{"locationId": home, "pageLimit": 1, "filters": []any{f{"field": "id", "operator": "like", "value": 1}}}, 400, "Invalid operator like"},
		{"bad range", f{"locationId": home, "pageLimit": 1, "filters": []any{f{"field": "dateUpdated", "operator": "range", "value": f{"gte": "now"}}}}, 400, "Invalid value for range"},
		{"cursor of another sort", f{"locationId": home, "pageLimit": 1, "searchAfter": []any{"x"}}, 400, "searchAfter does not fit"},
		{"other location", f{"locationId": "other", "pageLimit": 1}, 403, "does not have access"},
		{"wrong types", f{"locationId": home, "pageLimit": "ten"}, 422, "documented types"},
		{"no JSON", "nonsense", 400, "Unexpected token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := *a
			as.t = t
			r := as.call("POST", "/contacts/search", c.body)
			assert.Equal(t, c.status, r.status, r.text)
			assert.Contains(t, fmt.Sprint(r.body["message"]), c.want)
		})
	}
	assert.Empty(t, a.Unknown())
	a.search(f{"limit": 5})
	assert.Equal(t, []string{"no such property of contacts.search: limit"}, a.Unknown())
}
