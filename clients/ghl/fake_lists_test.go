package ghl_test

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
)

func TestListsFindEveryContactOnce(t *testing.T) {
	server, client := fake(t, nil)
	var everybody, members []string
	for i := range 230 {
		c := server.Create("L", ghltest.Contact{FirstName: fmt.Sprint(i), BusinessID: []string{"B", ""}[i%2]})
		everybody = append(everybody, c.ID)
		if c.BusinessID != "" {
			members = append(members, c.ID)
		}
	}
	ids := func(pages iter.Seq2[crm.Page, error]) (got []string) {
		for page, err := range pages {
			require.NoError(t, err)
			for _, d := range page.Documents {
				got = append(got, d.Contact)
			}
		}
		return slices.Sorted(slices.Values(got))
	}
	assert.Equal(t, slices.Sorted(slices.Values(everybody)), ids(client.ListContacts(t.Context(), "L")))
	assert.Equal(t, slices.Sorted(slices.Values(members)), ids(client.ContactsOfBusiness(t.Context(), "L", "B")))
	assert.Empty(t, ids(client.ContactsOfBusiness(t.Context(), "L", "none")))
	assert.Equal(t, 3, server.Count("contacts.list"))
}

func TestAppointmentsAndUsersAreRead(t *testing.T) {
	server, client := fake(t, nil)
	ref := crm.Ref{Location: "L", Contact: server.Create("L", ghltest.Contact{}).ID}
	require.NoError(t, server.SetAppointments(ref.Contact, ghltest.Appointment{ID: "A", Title: "Visit", Start: "2021-07-16 11:00:00", End: "2021-07-16T11:30:00+00:00"}))
	appointments, err := client.Appointments(t.Context(), ref, time.UTC)
	require.NoError(t, err)
	start := time.Date(2021, 7, 16, 11, 0, 0, 0, time.UTC)
	assert.Equal(t, []ghl.Appointment{{ID: "A", Contact: ref.Contact, Title: "Visit", Start: start, End: start.Add(30 * time.Minute)}}, appointments)

	server.PutLocation(ghltest.Location{ID: "L", Users: []ghltest.User{{ID: "U", FirstName: "Ann", LastName: "Lee", Email: "ann@example.com"}}})
	users, err := client.Users(t.Context(), "L")
	require.NoError(t, err)
	assert.Equal(t, []ghl.User{{ID: "U", Name: "Ann Lee", Email: "ann@example.com"}}, users)
}
