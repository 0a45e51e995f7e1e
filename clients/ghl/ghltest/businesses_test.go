package ghltest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

// members are the ids of the contacts that the API lists for a business.
func (a *api) members(business string) (ids []string) {
	a.t.Helper()
	for _, c := range a.call("GET", "/contacts/business/"+business+"?locationId="+home, nil).records("contacts") {
		ids = append(ids, c["id"].(string))
	}
	return slices.Sorted(slices.Values(ids))
}

func TestABusinessIsReadAsItIsKept(t *testing.T) {
	clock := newClock()
	s := &ghltest.Server{Now: clock.Now}
	s.PutLocation(ghltest.Location{ID: home})
	a := serve(t, s)
	made := a.AddBusiness(home, ghltest.Business{Name: "Brook", Phone: "+12025550100", Raw: map[string]json.RawMessage{"city": json.RawMessage("7")}})
	assert.Len(t, made.ID, 20)
	clock.forward(time.Hour)
	edited, err := a.EditBusiness(made.ID, func(b *ghltest.Business) { b.ID, b.Location, b.Phone, b.Website = "x", "y", "", "brook.example" })
	require.NoError(t, err)
	now, there := a.Business(made.ID)
	require.True(t, there)
	assert.Equal(t, edited, now)
	assert.Equal(t, map[string]any{
		"id": made.ID, "locationId": home, "name": "Brook", "website": "brook.example", "city": 7.0,
		"createdAt": "2026-11-24T12:00:00.000Z", "updatedAt": "2026-11-24T13:00:00.000Z",
	}, a.call("GET", "/businesses/"+made.ID, nil).record("business"), "what has no value is left out")

	require.NoError(t, a.DeleteBusiness(made.ID))
	assert.Equal(t, 404, a.call("GET", "/businesses/"+made.ID, nil).status)
	assert.ErrorIs(t, a.DeleteBusiness(made.ID), ghltest.ErrGone)
	_, err = a.EditBusiness(made.ID, func(*ghltest.Business) {})
	assert.ErrorIs(t, err, ghltest.ErrGone)
	_, there = a.Business(made.ID)
	assert.False(t, there)
	a.AddBusiness(home, ghltest.Business{ID: made.ID})
	assert.Panics(t, func() { a.AddBusiness("other", ghltest.Business{ID: made.ID}) })
	assert.Len(t, a.Businesses("other"), 0, "panicking, it kept none")
}

func TestALocationsBusinessesAreListedNewestFirst(t *testing.T) {
	a := start(t)
	for i := range 130 {
		a.AddBusiness(home, ghltest.Business{ID: fmt.Sprintf("B%03d", i), Name: "Brook", CreatedAt: due.Add(time.Duration(i) * time.Minute)})
	}
	a.AddBusiness("other", ghltest.Business{ID: "others", Name: "Tide"})
	list := func(query string) (ids []string) {
		t.Helper()
		r := a.call("GET", "/businesses/?locationId="+home+query, nil)
		require.Equal(t, 200, r.status, r.text)
		for _, b := range r.records("businesses") {
			assert.Equal(t, home, b["locationId"])
			ids = append(ids, b["id"].(string))
		}
		return ids
	}
	assert.Len(t, list(""), 100)
	assert.Equal(t, []string{"B129", "B128"}, list("&limit=2"))
	assert.Equal(t, []string{"B000"}, list("&skip=129"))
	assert.Empty(t, list("&skip=130"))
	assert.Empty(t, list("&skip=9223372036854775807"))
	for query, status := range map[string]int{
		"": 422, "?locationId=other": 403, "?locationId=" + home + "&limit=101": 422, "?locationId=" + home + "&skip=-1": 422,
	} {
		assert.Equal(t, status, a.call("GET", "/businesses/"+query, nil).status, query)
	}
	assert.Equal(t, 403, a.call("GET", "/businesses/others", nil).status)
	assert.Empty(t, a.Unknown())
	a.Set(func(k *ghltest.Knobs) { k.NotFoundAll = true })
	assert.Empty(t, list(""))
	assert.Equal(t, 404, a.call("GET", "/businesses/B000", nil).status)
}

func TestAttachingIsSilentAndLeavesTheDateAlone(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	brook, tide := a.AddBusiness(home, ghltest.Business{Name: "Brook"}).ID, a.AddBusiness(home, ghltest.Business{Name: "Tide"}).ID
	ada, eve := a.Quietly().Create(home, ghltest.Contact{}), a.Quietly().Create(home, ghltest.Contact{})
	attached, err := a.Attach(ada.ID, brook)
	require.NoError(t, err)
	assert.Equal(t, ada.DateUpdated, attached.DateUpdated)
	assert.Equal(t, brook, a.call("GET", "/contacts/"+ada.ID, nil).contact()["businessId"])
	_, err = a.Attach(eve.ID, tide)
	require.NoError(t, err)
	_, err = a.Attach(eve.ID, brook)
	require.NoError(t, err)
	assert.Equal(t, slices.Sorted(slices.Values([]string{ada.ID, eve.ID})), a.members(brook))
	assert.Empty(t, a.members(tide), "a contact has one business")
	detached, err := a.Detach(ada.ID)
	require.NoError(t, err)
	assert.Empty(t, detached.BusinessID)
	_, err = a.Detach(ada.ID)
	require.NoError(t, err)
	assert.NotContains(t, a.call("GET", "/contacts/"+ada.ID, nil).contact(), "businessId")
	_, err = a.EditBusiness(brook, func(b *ghltest.Business) { b.Name = "Brook & Sons" })
	require.NoError(t, err)
	require.NoError(t, a.DeleteBusiness(brook))
	now, _ := a.Contact(eve.ID)
	assert.Empty(t, now.BusinessID, "a business that is deleted lets its contacts go")
	assert.Equal(t, eve.DateUpdated, now.DateUpdated)
	assert.Empty(t, l.take(a), "nobody is told")

	a.AddBusiness("other", ghltest.Business{ID: "others"})
	for _, business := range []string{"others", "nobody", brook, ""} {
		_, err = a.Attach(ada.ID, business)
		assert.ErrorIs(t, err, ghltest.ErrGone, business)
	}
	_, err = a.Attach("nobody", tide)
	assert.ErrorIs(t, err, ghltest.ErrGone)
	_, err = a.Edit(ada.ID, func(c *ghltest.Contact) { c.BusinessID, c.City = tide, "Leeds" })
	require.NoError(t, err)
	assert.Equal(t, []string{"ContactUpdate"}, kinds(l.take(a)), "the city is told of")
}

func TestAttachingCanBeMadeToMoveTheDateAndToBeTold(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	a.Set(func(k *ghltest.Knobs) { k.AttachingUpdates = true })
	brook := a.AddBusiness(home, ghltest.Business{Name: "Brook"}).ID
	ada := a.Quietly().Create(home, ghltest.Contact{})
	attached, err := a.Attach(ada.ID, brook)
	require.NoError(t, err)
	assert.True(t, attached.DateUpdated.After(ada.DateUpdated))
	require.NoError(t, a.DeleteBusiness(brook))
	assert.Equal(t, []string{"ContactUpdate", "ContactUpdate"}, kinds(l.take(a)))
	tide := a.AddBusiness(home, ghltest.Business{Name: "Tide"}).ID
	_, err = a.Quietly().Attach(ada.ID, tide)
	require.NoError(t, err)
	require.NoError(t, a.Quietly().DeleteBusiness(tide))
	assert.Empty(t, l.take(a))
}

func TestContactsAreAttachedAndDetachedByTheAPI(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	brook := a.AddBusiness(home, ghltest.Business{Name: "Brook"}).ID
	ada, eve := a.Quietly().Create(home, ghltest.Contact{}).ID, a.Quietly().Create(home, ghltest.Contact{}).ID
	a.Quietly().Create("other", ghltest.Contact{ID: "elsewhere"})
	attach := func(body map[string]any) reply {
		t.Helper()
		body["locationId"] = home
		return a.call("POST", "/contacts/bulk/business", body)
	}
	r := attach(map[string]any{"ids": []string{ada, "nobody", "elsewhere", eve}, "businessId": brook})
	require.Equal(t, 200, r.status, r.text)
	assert.Equal(t, true, r.body["success"])
	assert.Equal(t, []any{ada, eve}, r.body["ids"])
	assert.Len(t, a.members(brook), 2)
	assert.True(t, a.Calls()[0].Effect)
	attach(map[string]any{"ids": []string{ada}, "businessId": brook})
	assert.False(t, a.Calls()[2].Effect, "it was attached already")
	attach(map[string]any{"ids": []string{ada}, "businessId": nil})
	assert.Equal(t, []string{eve}, a.members(brook))
	assert.Empty(t, l.take(a))

	for _, c := range []struct {
		body    map[string]any
		status  int
		message any
	}{
		{map[string]any{}, 422, []any{"ids should not be empty", "businessId should not be empty"}},
		{map[string]any{"ids": "x", "businessId": 7}, 422, []any{"ids must be an array", "businessId must be a string"}},
		{map[string]any{"ids": make([]string, 51), "businessId": nil}, 422, []any{"ids must contain no more than 50 elements"}},
		{map[string]any{"ids": []string{ada}, "businessId": "nobody"}, 404, "Business not found"},
	} {
		r := attach(c.body)
		assert.Equal(t, c.status, r.status, r.text)
		assert.Equal(t, c.message, r.body["message"])
	}
	assert.Empty(t, a.Unknown())
	assert.Equal(t, 422, attach(map[string]any{"ids": []string{ada}, "businessId": nil, "name": "x"}).status)
	assert.Len(t, a.Unknown(), 1)
	assert.Equal(t, 403, a.call("POST", "/contacts/bulk/business", map[string]any{"locationId": "other"}).status)
	assert.Equal(t, 400, a.call("POST", "/contacts/bulk/business", "[").status)
}

func TestASingleScopeCanBeTakenAndGivenBack(t *testing.T) {
	a := start(t)
	brook := a.AddBusiness(home, ghltest.Business{Name: "Brook"}).ID
	asks := map[string]func() reply{
		"businesses.readonly":      func() reply { return a.call("GET", "/businesses/"+brook, nil) },
		"locations/tasks.readonly": func() reply { return a.call("POST", "/locations/"+home+"/tasks/search", map[string]any{}) },
	}
	for scope, ask := range asks {
		a.Revoke(home, scope)
		r := ask()
		assert.Equal(t, 401, r.status)
		assert.Equal(t, "The token is not authorized for this scope.", r.body["message"])
		for other, ask := range asks {
			if other != scope {
				assert.Equal(t, 200, ask().status, other)
			}
		}
		a.Grant(home, scope)
		assert.Equal(t, 200, ask().status)
	}
	location := a.call("GET", "/locations/"+home, nil).record("location")
	assert.Equal(t, "DE", location["country"], "its other settings stay")
}

func TestFaultsHappenToBusinessesToo(t *testing.T) {
	a := start(t)
	brook := a.AddBusiness(home, ghltest.Business{Name: "Brook"}).ID
	a.Fail(ghltest.Fault{Operation: "businesses.*", Status: 503, Times: 1})
	assert.Equal(t, 503, a.call("GET", "/businesses/"+brook, nil).status)
	a.Fail(ghltest.Fault{Operation: "businesses.*", Foreign: true})
	assert.NotEqual(t, brook, a.call("GET", "/businesses/"+brook, nil).record("business")["id"])
	assert.NotEqual(t, home, a.call("GET", "/businesses/?locationId="+home, nil).records("businesses")[0]["locationId"])
}

func TestBusinessesCanBeChangedFromAnotherProcess(t *testing.T) {
	a := start(t)
	r, ctx := remote(t, a), t.Context()
	made, err := r.AddBusiness(ctx, home, ghltest.Business{Name: "Brook", City: "Leeds"})
	require.NoError(t, err)
	edited, err := r.EditBusiness(ctx, made.ID, map[string]any{"city": "", "name": "Tide"})
	require.NoError(t, err)
	assert.Equal(t, "Tide", edited.Name)
	assert.Empty(t, edited.City)
	all, err := r.Businesses(ctx, home)
	require.NoError(t, err)
	assert.Equal(t, []ghltest.Business{edited}, all)

	contact := a.Create(home, ghltest.Contact{}).ID
	attached, err := r.Attach(ctx, contact, made.ID)
	require.NoError(t, err)
	assert.Equal(t, made.ID, attached.BusinessID)
	detached, err := r.Detach(ctx, contact)
	require.NoError(t, err)
	assert.Empty(t, detached.BusinessID)
	_, err = r.Attach(ctx, contact, "nobody")
	assert.ErrorIs(t, err, ghltest.ErrGone)
	_, err = r.Attach(ctx, contact, made.ID)
	require.NoError(t, err)
	require.NoError(t, r.DeleteBusiness(ctx, made.ID))
	assert.ErrorIs(t, r.DeleteBusiness(ctx, made.ID), ghltest.ErrGone)
	now, err := r.Contact(ctx, contact)
	require.NoError(t, err)
	assert.Empty(t, now.BusinessID)

	require.NoError(t, r.Revoke(ctx, home, "contacts.readonly"))
	assert.Equal(t, 401, a.call("GET", "/contacts/"+contact, nil).status)
	require.NoError(t, r.Grant(ctx, home, "contacts.readonly"))
	assert.Equal(t, 200, a.call("GET", "/contacts/"+contact, nil).status)
}

func TestADeletedBusinessKeepsNobodyWhoWasBeingAttached(t *testing.T) {
	a := start(t)
	brook := a.AddBusiness(home, ghltest.Business{Name: "Brook"}).ID
	ids := a.Seed(home, 200)
	var group sync.WaitGroup
	for _, id := range ids {
		group.Go(func() {
			if _, err := a.Attach(id, brook); err != nil {
				assert.ErrorIs(t, err, ghltest.ErrGone)
			}
		})
	}
	group.Go(func() { assert.NoError(t, a.DeleteBusiness(brook)) })
	group.Wait()
	assert.Empty(t, a.members(brook))
}
