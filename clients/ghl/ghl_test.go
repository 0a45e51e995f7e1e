package ghl

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// script is a GHL that says what it is told to, by the name of the operation, and keeps what it was asked.
type script struct {
	mu     sync.Mutex
	says   map[string]func(*http.Request) (int, string)
	asked  []string // names of operations
	bodies []string
}

const canary = "jane.doe@example.com"

var ref = crm.Ref{Location: "L", Contact: "C"}

// scripted starts a script and a client of it.
func scripted(t *testing.T, says map[string]string) (*script, *Client) {
	t.Helper()
	s := &script{says: map[string]func(*http.Request) (int, string){}}
	for name, body := range says {
		s.say(name, 200, body)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, newClient(server.URL)
}

func newClient(url string) *Client {
	return New(rest.New(rest.Options{
		System: "ghl", BaseURL: url,
		Tokens: func(location string) (oauth2.TokenSource, error) {
			return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "pit-" + location}), nil
		},
	}), Options{})
}

func (s *script) say(operation string, status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says[operation] = func(*http.Request) (int, string) { return status, body }
}

func (s *script) count(operation string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.asked {
		if name == operation {
			n++
		}
	}
	return n
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	name := operationOf(r)
	s.mu.Lock()
	s.asked, s.bodies = append(s.asked, name), append(s.bodies, string(body))
	says := s.says[name]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", "Tue, 24 Nov 2026 10:00:00 GMT")
	if says == nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	status, text := says(r)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

var clock = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) // what the script says in Date

// operationOf finds the row of a request.
func operationOf(r *http.Request) string {
	for _, o := range Operations {
		pattern, path := strings.Split(o.Path, "/"), strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
		same := o.Method == r.Method && len(pattern) == len(path)
		for i := range pattern {
			same = same && (pattern[i] == path[i] || path[i] != "" && strings.HasPrefix(pattern[i], "{"))
		}
		if same {
			return o.Name
		}
	}
	return r.Method + " " + r.URL.Path
}

// codeOf demands that err is one of ours and tells nothing that it must not.
func codeOf(t *testing.T, err error) crm.Code {
	t.Helper()
	var e *crm.Error
	require.ErrorAs(t, err, &e)
	assert.NotContains(t, fmt.Sprintf("%+v", *e), canary)
	return e.Code
}

func TestContactIsReadInTheCRMsWords(t *testing.T) {
	s, c := scripted(t, map[string]string{
		"contacts.get": `{"contact":{"id":"C","locationId":"L","name":"rubika deo","firstName":" Rubika ","lastName":"Deo",
			"email":"Rubika@Deos.com","emailLowerCase":"rubika@deos.com","phone":"+18832327657","companyName":"DGS","timezone":"Asia/Calcutta",
			"dnd":true,"dndSettings":{"Call":{"status":"active"}},"source":"public api","assignedTo":"U1","address1":"3535 1st St N",
			"city":"Dolomite","state":"AL","country":"US","postalCode":35061,"website":"https://x.example","tags":["VIP"," vip ",null,"a b"],
			"dateOfBirth":"1990-09-25","dateAdded":"2021-07-02T05:18:26.704Z","dateUpdated":"2026-07-02T05:18:26.704Z","ssn":"1",
			"customFields":[{"id":"F1","value":"a"},{"id":"F2","fieldValue":3.5},{"id":"F3","value":["y","x",7,null]},
				{"id":"F4","field_value":true},{"id":"F5","value":{"uuid":{"url":"https://x"}}},{"id":"F6","value":[{"url":"x"}]},
				{"id":"F7","value":""},{"id":"F8","value":null},{"id":"F9","value":[]},{"id":"F10","value":12345678901234567890},
				{"id":"F11","value":1e400},null,{"value":"nobody's"},{"id":"gone","value":"of a deleted field"}],
			"businessId":"B","unknown":{"deep":[1]}}}`,
		"locations.custom-fields.list": `{"customFields":[{"id":"F1","fieldKey":"contact.pin_code","locationId":"L","model":"contact"},
			{"id":"F2","fieldKey":"contact.score"},{"id":"F3","fieldKey":"contact.likes"},{"id":"F4","fieldKey":"contact.yes"},
			{"id":"F5","fieldKey":"contact.file"},{"id":"F6","fieldKey":"contact.files"},{"id":"F7","fieldKey":"contact.empty"},
			{"id":"F8","fieldKey":"contact.null"},{"id":"F9","fieldKey":"contact.none"},{"id":"F10","fieldKey":"contact.long"},
			{"id":"F11","fieldKey":"contact.huge"},{"id":"O1","fieldKey":"opportunity.x"},{"id":"N","fieldKey":null}]}`,
	})
	got, at, err := c.Contact(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, clock, at)
	assert.Equal(t, crm.Contact{
		ID: "C", Location: "L", Business: "B", Tags: []string{"a b", "vip"},
		Added: time.Date(2021, 7, 2, 5, 18, 26, 704e6, time.UTC), Updated: time.Date(2026, 7, 2, 5, 18, 26, 704e6, time.UTC),
		Fields: crm.Fields{
			"firstName": " Rubika ", "lastName": "Deo", "email": "Rubika@Deos.com", "phone": "+18832327657", "companyName": "DGS",
			"timezone": "Asia/Calcutta", "dnd": true, "source": "public api", "assignedTo": "U1", "address1": "3535 1st St N",
			"city": "Dolomite", "state": "AL", "country": "US", "postalCode": "35061", "website": "https://x.example",
			"dateOfBirth": "1990-09-25", "customFields.pin_code": "a", "customFields.score": 3.5,
			"customFields.likes": []string{"y", "x", "7"}, "customFields.yes": true,
			"customFields.long": "12345678901234567890", "customFields.huge": "1e400",
		},
	}, got)
	assert.Equal(t, []string{"contacts.get", "locations.custom-fields.list"}, s.asked)
}

func TestContactWithoutCustomFieldsCostsOneCall(t *testing.T) {
	for _, fields := range []string{``, `,"customFields":null`, `,"customFields":[]`, `,"customFields":[{"id":"F","value":""}]`} {
		s, c := scripted(t, map[string]string{"contacts.get": `{"contact":{"id":"C","locationId":"L","dnd":false,"email":null` + fields + `}}`})
		got, _, err := c.Contact(t.Context(), ref)
		require.NoError(t, err)
		assert.Empty(t, got.Fields)
		assert.Len(t, s.asked, 1)
	}
}

func TestContactKeepsADateOfBirthAsItComes(t *testing.T) {
	for wire, want := range map[string]any{`"09-25-1990"`: "09-25-1990", `654220800000`: 654220800000.0, `null`: nil, `""`: nil} {
		_, c := scripted(t, map[string]string{"contacts.get": `{"contact":{"id":"C","locationId":"L","dateOfBirth":` + wire + `}}`})
		got, _, err := c.Contact(t.Context(), ref)
		require.NoError(t, err)
		assert.Equal(t, want, got.Fields["dateOfBirth"])
	}
}

func TestContactWithAFieldOfAWrongTypeIsInvalidAndNamesIt(t *testing.T) {
	for field, body := range map[string]string{
		"email": `"email":{"a":"` + canary + `"}`, "firstName": `"firstName":["` + canary + `"]`, "tags": `"tags":"` + canary + `"`,
		"dnd": `"dnd":"perhaps"`, "customFields": `"customFields":{"F1":"` + canary + `"}`, "customFields.id": `"customFields":[{"id":[]}]`,
	} {
		_, c := scripted(t, map[string]string{"contacts.get": `{"contact":{"id":"C","locationId":"L",` + body + `}}`})
		_, at, err := c.Contact(t.Context(), ref)
		assert.Equal(t, crm.GHLInvalid, codeOf(t, err), field)
		assert.Equal(t, []string{field}, err.(*crm.Error).Fields)
		assert.Equal(t, clock, at)
	}
}

func TestAnswersAboutSomethingElseAreNone(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": `{}`, "null": `null`, "null contact": `{"contact":null}`, "empty contact": `{"contact":{}}`,
		"another contact": `{"contact":{"id":"X","locationId":"L"}}`, "another location": `{"contact":{"id":"C","locationId":"X"}}`,
		"no location": `{"contact":{"id":"C"}}`, "another case": `{"contact":{"ID":"C","locationId":"L"}}`,
		"a list": `[]`, "cut": `{"contact":{"id":"C","locationId":"L","em`, "not JSON": `<html>`,
	} {
		_, c := scripted(t, map[string]string{"contacts.get": body, "locations.get": body})
		_, _, err := c.Contact(t.Context(), ref)
		assert.Equal(t, crm.GHLUnavailable, codeOf(t, err), name)
		_, _, err = c.Location(t.Context(), "L")
		assert.Equal(t, crm.GHLUnavailable, codeOf(t, err), name)
	}
}

func TestContactThatIsGoneComesWithGHLsTime(t *testing.T) {
	s, c := scripted(t, nil)
	s.say("contacts.get", 404, `{"statusCode":404,"message":"Contact not found"}`)
	_, at, err := c.Contact(t.Context(), ref)
	assert.Equal(t, crm.GHLNotFound, codeOf(t, err))
	assert.Equal(t, clock, at)
}

func TestIdsThatCouldAddressAnotherRecordAreNeverSent(t *testing.T) {
	s, c := scripted(t, nil)
	for _, id := range []string{"", "..", "a/b", "a\nb", "a?b", "a%2Fb", strings.Repeat("x", 4096)} {
		_, _, err := c.Contact(t.Context(), crm.Ref{Location: "L", Contact: id})
		assert.Equal(t, crm.InvalidInput, codeOf(t, err))
		_, _, err = c.Contact(t.Context(), crm.Ref{Location: id, Contact: "C"})
		assert.Equal(t, crm.InvalidInput, codeOf(t, err))
		_, _, err = c.Location(t.Context(), id)
		assert.Equal(t, crm.InvalidInput, codeOf(t, err))
		for _, err := range c.ChangedSince(t.Context(), id, clock) {
			assert.Equal(t, crm.InvalidInput, codeOf(t, err))
		}
	}
	assert.Empty(t, s.asked)
}

func TestContactMayBeLarge(t *testing.T) {
	tags := make([]string, 10_000)
	for i := range tags {
		tags[i] = fmt.Sprint("tag ", i)
	}
	list, _ := json.Marshal(tags)
	_, c := scripted(t, map[string]string{"contacts.get": `{"contact":{"id":"C","locationId":"L","website":"` + strings.Repeat("x", 1<<20) + `","tags":` + string(list) + `}}`})
	got, _, err := c.Contact(t.Context(), ref)
	require.NoError(t, err)
	assert.Len(t, got.Tags, 10_000)
	assert.Len(t, got.Fields["website"], 1<<20)
}

func TestLocationTellsCountryAndTimezone(t *testing.T) {
	for country, want := range map[string]string{`"in"`: "IN", `"US"`: "US", `null`: "", `"India"`: "", `""`: ""} {
		_, c := scripted(t, map[string]string{"locations.get": `{"location":{"id":"L","country":` + country + `,"timezone":"America/Chicago","settings":{}}}`})
		got, at, err := c.Location(t.Context(), "L")
		require.NoError(t, err)
		assert.Equal(t, crm.Location{ID: "L", Country: want, Timezone: "America/Chicago"}, got)
		assert.Equal(t, clock, at)
	}
}
