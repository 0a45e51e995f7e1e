package ghl

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

// lists are the calls that only read lists, by operation.
func lists(t *testing.T, c *Client) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"contacts.list": func() (err error) {
			for _, err = range c.ListContacts(ctx, "L") {
			}
			return err
		},
		"contacts.list-by-business": func() (err error) {
			for _, err = range c.ContactsOfBusiness(ctx, "L", "B") {
			}
			return err
		},
		"businesses.list": func() (err error) {
			for _, err = range c.Businesses(ctx, "L") {
			}
			return err
		},
		"contacts.appointments.list": func() error { _, err := c.Appointments(ctx, ref, nil); return err },
		"users.list-by-location":     func() error { _, err := c.Users(ctx, "L"); return err },
	}
}

func TestListsBelieveNoOddAnswer(t *testing.T) {
	s, c := scripted(t, nil)
	for operation, call := range lists(t, c) {
		for _, body := range []string{
			`{}`, `{"contacts":null,"events":null,"users":null,"businesses":null}`, `<html>`,
			`{"contacts":[{"id":"../x"}],"events":[{}],"users":[null],"businesses":[{"id":"../x"}]}`,
			`{"contacts":[{"id":"C","locationId":"X"}],"events":[{"id":"A","contactId":"X"}],"users":[{"id":""}],"businesses":[{"id":"B","locationId":"X"}]}`,
		} {
			s.say(operation, 200, body)
			assert.Equal(t, crm.GHLUnavailable, codeOf(t, call()), "%s %s", operation, body)
		}
	}
}

func TestListsAreWalkedToTheirEnd(t *testing.T) {
	s, c := scripted(t, nil)
	var queries []string
	page := func(r *http.Request) (int, string) {
		queries = append(queries, r.URL.RawQuery)
		body := `{"contacts":[`
		for i := range []int{100, 3}[(len(queries)-1)%2] {
			if i > 0 {
				body += ","
			}
			body += fmt.Sprintf(`{"id":"C%d","dateAdded":"2026-11-24T09:00:00.000Z"}`, 100*len(queries)+i)
		}
		return 200, body + `],"count":100}`
	}
	s.says["contacts.list"], s.says["contacts.list-by-business"] = page, page
	for range 2 { // a walk can be walked again
		require.NoError(t, lists(t, c)["contacts.list"]())
	}
	require.NoError(t, lists(t, c)["contacts.list-by-business"]())
	assert.Equal(t, []string{
		"limit=100&locationId=L", "limit=100&locationId=L&startAfter=1795510800000&startAfterId=C199",
		"limit=100&locationId=L", "limit=100&locationId=L&startAfter=1795510800000&startAfterId=C399",
		"limit=100&locationId=L", "limit=100&locationId=L&skip=100",
	}, queries)

	s.say("contacts.list", 200, pageOf(100, 100, `[1]`))
	assert.Equal(t, crm.GHLUnavailable, codeOf(t, lists(t, c)["contacts.list"]()), "the same page again")
	for _, err := range c.ListContacts(t.Context(), "a/b") {
		assert.Equal(t, crm.InvalidInput, codeOf(t, err))
	}
	for _, err := range c.ContactsOfBusiness(t.Context(), "L", "") {
		assert.Equal(t, crm.InvalidInput, codeOf(t, err))
	}
}

func TestAppointmentsTimesAreReadWithAndWithoutAnOffset(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	s, c := scripted(t, map[string]string{"contacts.appointments.list": `{"events":[
		{"id":"A","contactId":"C","calendarId":"K","title":"Visit","appointmentStatus":"confirmed","assignedUserId":"U","startTime":"2021-07-16 11:00:00","endTime":"2021-07-16T11:30:00"},
		{"id":"B","startTime":"2021-07-16T11:00:00+05:30","endTime":1626415200000}, {"id":"D"}]}`})
	got, err := c.Appointments(t.Context(), ref, berlin)
	require.NoError(t, err)
	at := func(hour, minute int) time.Time { return time.Date(2021, 7, 16, hour, minute, 0, 0, time.UTC) }
	assert.Equal(t, []Appointment{
		{ID: "A", Contact: "C", Calendar: "K", Title: "Visit", Status: "confirmed", AssignedTo: "U", Start: at(9, 0), End: at(9, 30)},
		{ID: "B", Contact: "C", Start: at(5, 30), End: at(6, 0)},
		{ID: "D", Contact: "C"},
	}, got)
	s.say("contacts.appointments.list", 200, `{"events":[{"id":"A","startTime":"`+canary+`"}]}`)
	_, err = c.Appointments(t.Context(), ref, nil)
	assert.Equal(t, crm.GHLInvalid, codeOf(t, err))
}
