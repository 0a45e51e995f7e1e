package ghl_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
)

func TestABusinessIsReadAndFollowed(t *testing.T) {
	server, client := fake(t, nil)
	ctx := t.Context()
	made := server.AddBusiness("L", ghltest.Business{
		Name: "Brook", Email: "hello@brook.example", Phone: "+12025550100", Website: "brook.example", Address: "1 Harbour St", City: "Leeds",
		State: "s", PostalCode: "1", Country: "gb", Description: "Boats",
	})
	got, _, err := client.Business(ctx, "L", made.ID)
	require.NoError(t, err)
	assert.Equal(t, crm.Business{ID: made.ID, Location: "L", Fields: crm.Fields{
		"name": "Brook", "email": "hello@brook.example", "phone": "+12025550100", "website": "brook.example", "address": "1 Harbour St",
		"city": "Leeds", "state": "s", "postalCode": "1", "country": "gb", "description": "Boats",
	}}, got)
	assert.Len(t, got.Fields, len(crm.BusinessFields))

	contact := server.Create("L", ghltest.Contact{FirstName: "Ann"})
	ref := crm.Ref{Location: "L", Contact: contact.ID}
	business := func() string {
		t.Helper()
		read, _, err := client.Contact(ctx, ref)
		require.NoError(t, err)
		assert.Equal(t, contact.DateAdded, read.Added)
		return read.Business
	}
	assert.Empty(t, business())
	require.NoError(t, client.AttachToBusiness(ctx, "L", made.ID, contact.ID))
	assert.Equal(t, made.ID, business())
	require.NoError(t, client.DetachFromBusiness(ctx, "L", contact.ID))
	assert.Empty(t, business())
	_, err = server.Attach(contact.ID, made.ID)
	require.NoError(t, err)
	require.NoError(t, server.DeleteBusiness(made.ID))
	assert.Empty(t, business())
	_, _, err = client.Business(ctx, "L", made.ID)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLNotFound})
	assert.ErrorIs(t, client.AttachToBusiness(ctx, "L", made.ID, contact.ID), &crm.Error{Code: crm.GHLNotFound})
}

func TestTheWalkFindsEveryBusinessOnce(t *testing.T) {
	server, client := fake(t, nil)
	var want, got []string
	for i := range 230 {
		want = append(want, server.AddBusiness("L", ghltest.Business{Name: fmt.Sprint(i)}).ID)
	}
	server.AddBusiness("other", ghltest.Business{Name: "elsewhere"})
	for page, err := range client.Businesses(t.Context(), "L") {
		require.NoError(t, err)
		for _, b := range page.Businesses {
			got = append(got, b.ID)
		}
	}
	assert.Equal(t, slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got)))
	assert.Equal(t, 3, server.Count("businesses.list"))
}

func TestBusinessesSurviveEveryFaultOfTheFake(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	made := server.AddBusiness("L", ghltest.Business{Name: "Brook"})
	contact := server.Create("L", ghltest.Contact{}).ID
	for name, test := range map[string]struct {
		fault ghltest.Fault
		want  crm.Code
	}{
		"down": {ghltest.Fault{Status: 503}, crm.GHLUnavailable}, "cut": {ghltest.Fault{Cut: true}, crm.GHLUnavailable},
		"HTML": {ghltest.Fault{HTML: true}, crm.GHLUnavailable}, "empty": {ghltest.Fault{Empty: true}, crm.GHLUnavailable},
		"a proxy's 404": {ghltest.Fault{HTML: true, Status: 404}, crm.GHLUnavailable},
		"foreign":       {ghltest.Fault{Foreign: true}, crm.GHLUnavailable}, "reset": {ghltest.Fault{ResetAfter: true}, crm.GHLUnavailable},
		"limited": {ghltest.Fault{Status: 429, RetryAfter: "7"}, crm.GHLRateLimited}, "token": {ghltest.Fault{Status: 401}, crm.GHLToken},
	} {
		server.Fail(test.fault)
		_, _, err := client.Business(t.Context(), "L", made.ID)
		assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		for _, err := range client.Businesses(t.Context(), "L") {
			assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		}
		if name != "foreign" { // its answer names no record that we look at
			assert.ErrorIs(t, client.AttachToBusiness(t.Context(), "L", made.ID, contact), &crm.Error{Code: test.want}, name)
		}
		server.Heal()
	}
}

func TestATokenWithoutAScopeIsToldFromABadOne(t *testing.T) {
	server, client := fake(t, nil)
	made := server.AddBusiness("L", ghltest.Business{Name: "Brook"})
	server.Revoke("L", "businesses.readonly", "locations/tasks.readonly")
	_, _, err := client.Business(t.Context(), "L", made.ID)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLScope})
	for _, err := range client.Businesses(t.Context(), "L") {
		assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLScope})
	}
	for _, err := range client.OpenTasks(t.Context(), "L", 0) {
		assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLScope})
	}
	_, _, err = client.Location(t.Context(), "L")
	assert.NoError(t, err, "the others are still there")
}
