package ghltest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

func TestTheDeprecatedListIsWalkedByItsLastContact(t *testing.T) {
	a := start(t)
	for i := range 5 {
		a.Create(home, ghltest.Contact{ID: fmt.Sprintf("C%d", i), FirstName: "Ada", DateAdded: due.Add(time.Duration(i/2) * time.Hour)})
	}
	path, ids := "/contacts/?limit=2&locationId="+home, []any{}
	for cursor := ""; ; {
		r := a.call("GET", path+cursor, nil)
		require.Equal(t, 200, r.status, r.text)
		assert.Equal(t, 5.0, r.body["count"])
		page := r.records("contacts")
		if len(page) == 0 {
			break
		}
		for _, c := range page {
			ids = append(ids, c["id"])
			assert.Equal(t, "ada", c["firstName"])
		}
		added, err := time.Parse(time.RFC3339, page[len(page)-1]["dateAdded"].(string))
		require.NoError(t, err)
		cursor = fmt.Sprintf("&startAfter=%d&startAfterId=%s", added.UnixMilli(), ids[len(ids)-1])
	}
	assert.Equal(t, []any{"C4", "C2", "C3", "C0", "C1"}, ids)
	assert.Equal(t, 422, a.call("GET", "/contacts/?limit=101&locationId="+home, nil).status)
	assert.Equal(t, 422, a.call("GET", "/contacts/", nil).status)
	assert.Equal(t, 403, a.call("GET", "/contacts/?locationId=other", nil).status)
	a.version = "v3"
	assert.Equal(t, 400, a.call("GET", path, nil).status, "removed")
	assert.Equal(t, 400, a.call("GET", "/users/?locationId="+home, nil).status, "removed")
}

func TestTheContactsOfABusinessAreListed(t *testing.T) {
	a := start(t)
	for i := range 30 {
		a.Create(home, ghltest.Contact{BusinessID: []string{"b", ""}[i%2], FirstName: fmt.Sprintf("Ada %d", i)})
	}
	path := "/contacts/business/b?locationId=" + home
	r := a.call("GET", path, nil)
	assert.Len(t, r.records("contacts"), 15)
	assert.Equal(t, 15.0, r.body["count"])
	assert.Len(t, a.call("GET", path+"&limit=10&skip=10", nil).records("contacts"), 5)
	assert.Len(t, a.call("GET", path+"&query=ada%204", nil).records("contacts"), 1)
	assert.Empty(t, a.call("GET", path+"&skip=99", nil).records("contacts"))
	assert.Equal(t, 422, a.call("GET", path+"&skip=x", nil).status)
	assert.Equal(t, 422, a.call("GET", "/contacts/business/b", nil).status)
}

func TestAppointmentsAndUsersAreListed(t *testing.T) {
	a := start(t)
	contact := a.Create(home, ghltest.Contact{}).ID
	require.NoError(t, a.SetAppointments(contact, ghltest.Appointment{ID: "A", Title: "Visit", Start: "2021-07-16 11:00:00"}))
	events := a.call("GET", "/contacts/"+contact+"/appointments", nil).records("events")
	require.Len(t, events, 1)
	assert.Equal(t, "2021-07-16 11:00:00", events[0]["startTime"])
	assert.Equal(t, contact, events[0]["contactId"])
	assert.ErrorIs(t, a.SetAppointments("nobody"), ghltest.ErrGone)

	a.PutLocation(ghltest.Location{ID: home, Users: []ghltest.User{{ID: "U", FirstName: "Ann", LastName: "Lee", Email: "ann@us.example"}}})
	users := a.call("GET", "/users/?locationId="+home, nil).records("users")
	require.Len(t, users, 1)
	assert.Equal(t, "Ann Lee", users[0]["name"])
	assert.Equal(t, 403, a.call("GET", "/users/?locationId=other", nil).status)
}
