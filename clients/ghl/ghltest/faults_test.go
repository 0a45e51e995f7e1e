package ghltest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

func TestAFaultHappensToTheCallsItNames(t *testing.T) {
	a := start(t)
	ada, eve := a.Create(home, ghltest.Contact{}), a.Create(home, ghltest.Contact{})
	a.Fail(ghltest.Fault{Operation: "contacts.get", Contact: ada.ID, Status: 503, Skip: 1, Times: 2})
	var statuses []int
	for range 4 {
		statuses = append(statuses, a.call("GET", "/contacts/"+ada.ID, nil).status)
		assert.Equal(t, 200, a.call("GET", "/contacts/"+eve.ID, nil).status)
	}
	assert.Equal(t, []int{200, 503, 503, 200}, statuses)
	assert.Empty(t, a.Knobs().Faults, "it is used up")

	a.Fail(ghltest.Fault{Operation: "contacts.*", Status: 502})
	assert.Equal(t, 502, a.call("PUT", "/contacts/"+ada.ID, map[string]any{}).status)
	assert.Equal(t, 200, a.ping().status)
	a.Fail(ghltest.Fault{Location: "other", Status: 500})
	assert.Equal(t, 200, a.ping().status)
	a.Heal()
	assert.Equal(t, 200, a.call("GET", "/contacts/"+ada.ID, nil).status)
}

func TestAStatusPreventsTheEffectUnlessItLanded(t *testing.T) {
	a := start(t)
	ada := a.Create(home, ghltest.Contact{})
	a.Fail(ghltest.Fault{Status: 500, Times: 1, RetryAfter: "junk"})
	r := a.call("PUT", "/contacts/"+ada.ID, map[string]any{"city": "Leeds"})
	assert.Equal(t, 500, r.status)
	assert.Equal(t, "junk", r.header.Get("Retry-After"))
	after, _ := a.Contact(ada.ID)
	assert.Empty(t, after.City)

	a.Fail(ghltest.Fault{Status: 422, Landed: true, Times: 1})
	assert.Equal(t, 422, a.call("PUT", "/contacts/"+ada.ID, map[string]any{"city": "Leeds"}).status)
	after, _ = a.Contact(ada.ID)
	assert.Equal(t, "Leeds", after.City)
	assert.True(t, a.Calls()[1].Effect)
}

func TestAResetIsOneOfTCPBeforeOrAfterTheEffect(t *testing.T) {
	a := start(t)
	ada := a.Create(home, ghltest.Contact{})
	for _, c := range []struct {
		fault ghltest.Fault
		city  string
	}{
		{ghltest.Fault{ResetBefore: true, Times: 1}, ""},
		{ghltest.Fault{ResetAfter: true, Times: 1}, "Leeds"},
	} {
		a.Fail(c.fault)
		_, err := a.try("PUT", "/contacts/"+ada.ID, map[string]any{"city": "Leeds"})
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		after, _ := a.Contact(ada.ID)
		assert.Equal(t, c.city, after.City)
	}
	calls := a.Calls()
	assert.Zero(t, calls[0].Status)
	assert.False(t, calls[0].Effect)
	assert.True(t, calls[1].Effect)
}

func TestAnAnswerCanBeSpoilt(t *testing.T) {
	a := start(t)
	ada := a.Create(home, ghltest.Contact{FirstName: "Ada"})
	get := func(f ghltest.Fault) reply {
		f.Times = 1
		a.Fail(f)
		return a.call("GET", "/contacts/"+ada.ID, nil)
	}
	cut := get(ghltest.Fault{Cut: true})
	assert.Equal(t, 200, cut.status)
	assert.False(t, json.Valid([]byte(cut.text)))

	page := get(ghltest.Fault{HTML: true, Status: 404})
	assert.Equal(t, 404, page.status)
	assert.Equal(t, "text/html", page.header.Get("Content-Type"))

	assert.Equal(t, "{}", get(ghltest.Fault{Empty: true}).text)

	foreign := get(ghltest.Fault{Foreign: true}).contact()
	assert.NotEqual(t, ada.ID, foreign["id"])

	a.Fail(ghltest.Fault{Foreign: true})
	assert.NotEqual(t, home, a.search(nil).contacts()[0]["locationId"])
	assert.NotEqual(t, home, a.ping().body["location"].(map[string]any)["id"])
	assert.Equal(t, 200, a.ping().status)
}

func TestADelayComesBeforeTheEffectAndAHoldAfterIt(t *testing.T) {
	a := start(t)
	ada := a.Create(home, ghltest.Contact{})
	a.Fail(ghltest.Fault{Hold: time.Hour, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", a.url+"/contacts/"+ada.ID, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Version", a.version)
	done := make(chan error)
	go func() { _, err := http.DefaultClient.Do(request); done <- err }()
	require.Eventually(t, func() bool { return len(a.Knobs().Faults) == 0 }, time.Second, time.Millisecond)
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)

	a.Fail(ghltest.Fault{Delay: 30 * time.Millisecond, Times: 1})
	began := time.Now()
	assert.Equal(t, 200, a.call("GET", "/contacts/"+ada.ID, nil).status)
	assert.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
}

func TestAllContactsCanBeMadeUnfindable(t *testing.T) {
	a := start(t)
	ada := a.Create(home, ghltest.Contact{})
	a.Set(func(k *ghltest.Knobs) { k.NotFoundAll = true })
	assert.Equal(t, 404, a.call("GET", "/contacts/"+ada.ID, nil).status)
	assert.Empty(t, a.search(nil).contacts())
	assert.Equal(t, 200, a.ping().status)
}

func TestAHugeBodyIsRefused(t *testing.T) {
	a := start(t)
	huge := make([]byte, 9<<20)
	r, err := a.try("POST", "/contacts/", string(huge))
	if err == nil { // the server may hang up before the whole body is sent
		assert.Equal(t, 413, r.status)
	}
}
