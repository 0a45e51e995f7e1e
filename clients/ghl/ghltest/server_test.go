package ghltest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

// home is the location of most tests.
const home = "LocHarbour0000000001"

// api is a server on a socket, and a caller with a token of one location.
type api struct {
	*ghltest.Server
	t       *testing.T
	url     string
	token   string
	version string
}

func start(t *testing.T) *api {
	t.Helper()
	s := ghltest.New()
	s.PutLocation(ghltest.Location{
		ID: home, Name: "Harbour", Country: "DE", Timezone: "Europe/Berlin", CustomFields: ghltest.SeedFields,
	})
	return serve(t, s)
}

func serve(t *testing.T, s *ghltest.Server) *api {
	t.Helper()
	wire := httptest.NewServer(s)
	t.Cleanup(wire.Close)
	t.Cleanup(s.Close)
	return &api{s, t, wire.URL, ghltest.Token(home), "2021-07-28"}
}

// reply is an answer as it came over the wire.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// call makes a call; body is nil, a string that is sent as it is, or a value to send as JSON.
func (a *api) call(method, path string, body any) reply {
	a.t.Helper()
	r, err := a.try(method, path, body)
	require.NoError(a.t, err)
	return r
}

func (a *api) try(method, path string, body any) (reply, error) {
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		text, _ = json.Marshal(b)
	}
	request, err := http.NewRequest(method, a.url+path, bytes.NewReader(text))
	require.NoError(a.t, err)
	request.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.version != "" {
		request.Header.Set("Version", a.version)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	r := reply{status: answer.StatusCode, header: answer.Header, text: string(raw)}
	_ = json.Unmarshal(raw, &r.body)
	return r, err
}

// contact is the contact of an answer.
func (r reply) contact() map[string]any {
	contact, _ := r.body["contact"].(map[string]any)
	return contact
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestTheFakeKnowsNothingOfOurOwnCode(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, dep := range strings.Fields(string(out)) {
		if strings.HasPrefix(dep, "github.com/rankrsync/rankrsync/") {
			assert.Equal(t, "github.com/rankrsync/rankrsync/clients/ghl/ghltest", dep)
		}
	}
}

func TestTheZeroServerIsReady(t *testing.T) {
	var s ghltest.Server
	a := serve(t, &s)
	assert.Equal(t, http.StatusUnauthorized, a.call("GET", "/locations/"+home, nil).status)
	made := s.Create(home, ghltest.Contact{FirstName: "Ada"})
	assert.Equal(t, "Ada", a.call("GET", "/contacts/"+made.ID, nil).contact()["firstName"])
}

func TestRefusalsComeInTheShapesThatGHLGivesThem(t *testing.T) {
	a := start(t)
	made := a.Create(home, ghltest.Contact{FirstName: "Ada"})
	a.PutLocation(ghltest.Location{ID: "other", Tokens: []string{"others"}})
	a.PutLocation(ghltest.Location{ID: "narrow", Scopes: []string{"locations.readonly"}})

	for _, c := range []struct {
		name, token, version, method, path string
		status                             int
		message                            string
	}{
		{"no version", ghltest.Token(home), "", "GET", "/contacts/" + made.ID, 401, "version header was not found."},
		{"odd version", ghltest.Token(home), "2019-01-01", "GET", "/contacts/" + made.ID, 400, "version header is invalid"},
		{"no token", "", "2021-07-28", "GET", "/contacts/" + made.ID, 401, "Invalid token: access token is invalid"},
		{"wrong token", "guess", "2021-07-28", "GET", "/contacts/" + made.ID, 401, "Invalid token: access token is invalid"},
		{"other's contact", "others", "2021-07-28", "GET", "/contacts/" + made.ID, 403, "The token does not have access to this location."},
		{"other's location", "others", "2021-07-28", "GET", "/locations/" + home, 403, "The token does not have access to this location."},
		{"other's fields", "others", "2021-07-28", "GET", "/locations/" + home + "/customFields", 403, "The token does not have access to this location."},
		{"scope", ghltest.Token("narrow"), "2021-07-28", "GET", "/contacts/" + made.ID, 401, "The token is not authorized for this scope."},
		{"unknown contact", ghltest.Token(home), "2021-07-28", "GET", "/contacts/nobody", 404, "Contact not found"},
		{"slash in id", ghltest.Token(home), "2021-07-28", "GET", "/contacts/..%2Flocations", 404, "Contact not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := *a
			as.t, as.token, as.version = t, c.token, c.version
			r := as.call(c.method, c.path, nil)
			assert.Equal(t, c.status, r.status)
			assert.EqualValues(t, c.status, r.body["statusCode"])
			assert.Equal(t, c.message, r.body["message"])
			assert.NotEmpty(t, r.body["traceId"])
		})
	}
	assert.Empty(t, a.Unknown())
}

func TestWhatIsNotKnownIsRefusedAndRemembered(t *testing.T) {
	a := start(t)
	for _, path := range []string{"/contacts", "/contacts/x/y", "/hooks/", "/contacts//tags"} {
		assert.Equal(t, 500, a.call("GET", path, nil).status, path)
	}
	assert.Equal(t, 500, a.call("PATCH", "/contacts/x", nil).status)
	assert.Equal(t, 500, a.call("GET", "/contacts/x?fields=id", nil).status)
	made := a.Create(home, ghltest.Contact{})
	r := a.call("PUT", "/contacts/"+made.ID, map[string]any{"fristName": "Ada"})
	assert.Equal(t, 422, r.status)
	assert.Equal(t, []any{"property fristName should not exist"}, r.body["message"])
	assert.Len(t, a.Unknown(), 7)

	var failed bool
	tb := &recorder{fail: func() { failed = true }}
	a.FailOnUnknown(tb)
	tb.cleanup()
	assert.True(t, failed)
}

type recorder struct {
	fail, cleanup func()
}

func (r *recorder) Helper()               {}
func (r *recorder) Cleanup(f func())      { r.cleanup = f }
func (r *recorder) Errorf(string, ...any) { r.fail() }

func TestATokenCanBeRevokedAndGivenBack(t *testing.T) {
	a := start(t)
	assert.Equal(t, 200, a.call("GET", "/locations/"+home, nil).status)
	a.PutLocation(ghltest.Location{ID: home, Tokens: []string{}})
	assert.Equal(t, 401, a.call("GET", "/locations/"+home, nil).status)
	a.PutLocation(ghltest.Location{ID: home})
	assert.Equal(t, 200, a.call("GET", "/locations/"+home, nil).status)
}

func TestALocationTellsOfItselfAndItsCustomFields(t *testing.T) {
	a := start(t)
	location := a.call("GET", "/locations/"+home, nil).body["location"].(map[string]any)
	assert.Equal(t, map[string]any{"id": home, "name": "Harbour", "country": "DE", "timezone": "Europe/Berlin"}, location)

	fields := a.call("GET", "/locations/"+home+"/customFields?model=contact", nil).body["customFields"].([]any)
	require.Len(t, fields, len(ghltest.SeedFields))
	first := fields[0].(map[string]any)
	assert.Equal(t, "contact.plan", first["fieldKey"])
	assert.Equal(t, ghltest.SeedFields[0].ID, first["id"])
	assert.Empty(t, a.call("GET", "/locations/"+home+"/customFields?model=opportunity", nil).body["customFields"])
	assert.Equal(t, 422, a.call("GET", "/locations/"+home+"/customFields?model=task", nil).status)
}

func TestTheDateHeaderIsTheServersClock(t *testing.T) {
	clock := newClock()
	a := serve(t, &ghltest.Server{Now: clock.Now})
	a.PutLocation(ghltest.Location{ID: home})
	assert.Equal(t, "Tue, 24 Nov 2026 12:00:00 GMT", a.call("GET", "/locations/"+home, nil).header.Get("Date"))
}

func TestTheCallLogTellsWhatHappened(t *testing.T) {
	a := start(t)
	made := a.call("POST", "/contacts/", map[string]any{"locationId": home, "email": "ada@us.example"})
	id := made.contact()["id"].(string)
	a.call("GET", "/contacts/"+id, nil)
	a.call("POST", "/contacts/"+id+"/tags", map[string]any{"tags": []string{"VIP"}})
	a.call("POST", "/contacts/"+id+"/tags", map[string]any{"tags": []string{"vip"}})

	calls := a.Calls()
	require.Len(t, calls, 4)
	for i, want := range []struct {
		operation string
		status    int
		effect    bool
	}{{"contacts.create", 201, true}, {"contacts.get", 200, false}, {"contacts.tags.add", 201, true}, {"contacts.tags.add", 201, false}} {
		assert.Equal(t, want.operation, calls[i].Operation)
		assert.Equal(t, want.status, calls[i].Status)
		assert.Equal(t, want.effect, calls[i].Effect, i)
		assert.Equal(t, home, calls[i].Location)
		assert.Equal(t, id, calls[i].Contact)
	}
	assert.Equal(t, 2, a.Count("contacts.tags.add"))
	stats := a.Stats()
	assert.Equal(t, 4, stats.Calls)
	assert.Equal(t, 2, stats.Effects)
	assert.Equal(t, 3, stats.Statuses[201])
	a.Reset()
	assert.Empty(t, a.Calls())
	assert.Zero(t, a.Stats().Calls)
}
