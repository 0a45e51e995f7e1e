package ghltest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

// listener is where webhooks go: it checks signatures and keeps what came.
type listener struct {
	mu     sync.Mutex
	events []map[string]any
	answer func(n int) int // the status of the n-th delivery
}

func listen(t *testing.T, a *api) *listener {
	l := &listener{answer: func(int) int { return http.StatusOK }}
	spki, err := base64.StdEncoding.DecodeString(a.PublicKey())
	require.NoError(t, err)
	key, err := x509.ParsePKIXPublicKey(spki)
	require.NoError(t, err)
	wire := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		signature, _ := base64.StdEncoding.DecodeString(r.Header.Get("X-GHL-Signature"))
		assert.True(t, ed25519.Verify(key.(ed25519.PublicKey), body, signature))
		var event map[string]any
		assert.NoError(t, json.Unmarshal(body, &event))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.events = append(l.events, event)
		w.WriteHeader(l.answer(len(l.events)))
	}))
	t.Cleanup(wire.Close)
	a.Set(func(k *ghltest.Knobs) {
		k.WebhookURL, k.WebhookBackoff = wire.URL, time.Millisecond
	})
	return l
}

// take waits for all events and returns them.
func (l *listener) take(a *api) []map[string]any {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(a.t, a.Settle(ctx))
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.events
	l.events = nil
	return events
}

func kinds(events []map[string]any) []string {
	kinds := []string{}
	for _, e := range events {
		kinds = append(kinds, e["type"].(string))
	}
	slices.Sort(kinds)
	return kinds
}

func TestEveryEffectOnAContactIsTold(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	r := a.call("POST", "/contacts/", map[string]any{"locationId": home, "firstName": "Ada"})
	id := r.contact()["id"].(string)
	assert.Equal(t, []string{"ContactCreate"}, kinds(l.take(a)))
	a.call("PUT", "/contacts/"+id, map[string]any{"city": "Leeds"})
	assert.Equal(t, []string{"ContactUpdate"}, kinds(l.take(a)))
	a.call("PUT", "/contacts/"+id, map[string]any{"city": "York", "tags": []string{"vip"}})
	assert.Equal(t, []string{"ContactTagUpdate", "ContactUpdate"}, kinds(l.take(a)))
	a.call("POST", "/contacts/"+id+"/tags", map[string]any{"tags": []string{"news"}})
	assert.Equal(t, []string{"ContactTagUpdate"}, kinds(l.take(a)))
	a.call("POST", "/contacts/"+id+"/tags", map[string]any{"tags": []string{"news"}})
	a.call("PUT", "/contacts/"+id, map[string]any{"nonsense": 1})
	a.call("GET", "/contacts/"+id, nil)
	assert.Empty(t, l.take(a), "nothing changed")
	a.call("DELETE", "/contacts/"+id+"/tags", map[string]any{"tags": []string{"news"}})
	assert.Equal(t, []string{"ContactTagUpdate"}, kinds(l.take(a)))
	a.call("DELETE", "/contacts/"+id+"/tags", map[string]any{"tags": []string{"news"}})
	assert.Empty(t, l.take(a), "it is gone already")
	a.call("DELETE", "/contacts/"+id, nil)
	assert.Equal(t, []string{"ContactDelete"}, kinds(l.take(a)))
}

func TestAPersonsChangesAreToldUnlessMadeQuietly(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	made := a.Create(home, ghltest.Contact{FirstName: "Ada"})
	_, err := a.Edit(made.ID, func(c *ghltest.Contact) { c.DND = true })
	require.NoError(t, err)
	_, err = a.Tag(made.ID, "vip")
	require.NoError(t, err)
	_, err = a.Untag(made.ID, "vip")
	require.NoError(t, err)
	require.NoError(t, a.Delete(made.ID))
	assert.Equal(t, []string{"ContactCreate", "ContactDelete", "ContactDndUpdate", "ContactTagUpdate", "ContactTagUpdate"}, kinds(l.take(a)))

	quiet := a.Quietly().Create(home, ghltest.Contact{})
	_, err = a.Quietly().Edit(quiet.ID, func(c *ghltest.Contact) { c.City = "Leeds" })
	require.NoError(t, err)
	require.NoError(t, a.Quietly().Delete(quiet.ID))
	assert.Empty(t, l.take(a))
}

func TestAnEventLooksLikeTheOfficialExamples(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	a.Create(home, ghltest.Contact{
		FirstName: "Ada", LastName: "Brook", Email: "a@us.example", Phone: "+12025550100", CompanyName: "c", Address1: "1", City: "c",
		State: "s", PostalCode: "1", Country: "US", Website: "w", Source: "s", AssignedTo: "u", DateOfBirth: "2000-01-05",
		DND: true, DNDSettings: json.RawMessage(`{"SMS":{"status":"active"}}`), Tags: []string{"vip"},
		CustomFields: []ghltest.Value{{ID: "f", Value: "x"}},
	})
	event := l.take(a)[0]
	for _, name := range []string{"appId", "versionId", "webhookId", "timestamp"} {
		assert.NotEmpty(t, event[name])
	}
	_, err := time.Parse("2006-01-02T15:04:05.000Z", event["timestamp"].(string))
	require.NoError(t, err)
	assert.Equal(t, "2000-01-05T00:00:00.000Z", event["dateOfBirth"])

	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "ghl", "webhooks", "ContactCreate.json"))
	if err != nil {
		t.Skip("the official example payloads are not at hand: ", err)
	}
	var example map[string]any
	require.NoError(t, json.Unmarshal(text, &example))
	for name, value := range example {
		assert.IsType(t, value, event[name], name)
	}
	for _, name := range []string{"appId", "versionId", "webhookId", "timestamp"} {
		delete(event, name)
	}
	for name := range event {
		assert.Contains(t, example, name)
	}
}

func TestEventsCanBeNested(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	a.Set(func(k *ghltest.Knobs) { k.Nested = true })
	made := a.Create(home, ghltest.Contact{FirstName: "Ada"})
	event := l.take(a)[0]
	assert.Equal(t, home, event["locationId"])
	assert.NotContains(t, event, "id")
	assert.Equal(t, made.ID, event["data"].(map[string]any)["id"])
}

func TestADeliveryIsRetriedUntilAny2xx(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	l.answer = func(n int) int { return []int{404, 503, 302, 204}[min(n, 4)-1] }
	a.Create(home, ghltest.Contact{})
	events := l.take(a)
	require.Len(t, events, 4)
	assert.Equal(t, events[0], events[3], "each attempt carries the same body")
	delivery := a.Deliveries()[0]
	assert.Equal(t, ghltest.Delivered, delivery.Progress)
	assert.Equal(t, 4, delivery.Attempts)
	assert.Equal(t, 204, delivery.Status)
}

func TestADeliveryIsGivenUpAfterTwelveRetries(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	l.answer = func(int) int { return http.StatusInternalServerError }
	a.Create(home, ghltest.Contact{})
	assert.Len(t, l.take(a), 13)
	assert.Equal(t, ghltest.GivenUp, a.Deliveries()[0].Progress)
	assert.Equal(t, 1, a.Stats().Webhooks[ghltest.GivenUp])
}

func TestWebhooksCanBeDroppedDuplicatedAndReordered(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	a.Set(func(k *ghltest.Knobs) { k.DropWebhooks = 1 })
	a.Create(home, ghltest.Contact{})
	assert.Empty(t, l.take(a))
	assert.Equal(t, ghltest.Dropped, a.Deliveries()[0].Progress)

	a.Set(func(k *ghltest.Knobs) { k.DropWebhooks, k.DuplicateWebhooks = 0, 2 })
	a.Create(home, ghltest.Contact{})
	events := l.take(a)
	require.Len(t, events, 3)
	assert.Equal(t, events[0], events[2])

	a.Set(func(k *ghltest.Knobs) { k.DuplicateWebhooks, k.ReorderWebhooks = 0, 30*time.Millisecond })
	var sent, got []string
	for range 30 {
		sent = append(sent, a.Create(home, ghltest.Contact{}).ID)
	}
	for _, e := range l.take(a) {
		got = append(got, e["id"].(string))
	}
	assert.ElementsMatch(t, sent, got)
	assert.NotEqual(t, sent, got)

	a.Set(func(k *ghltest.Knobs) { k.ReorderWebhooks, k.DropWebhooks = 0, 0.5 })
	for range 100 {
		a.Create(home, ghltest.Contact{})
	}
	assert.InDelta(t, 50, len(l.take(a)), 40)
}

func TestClosingStopsTheSender(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	l.answer = func(int) int { return http.StatusServiceUnavailable }
	a.Set(func(k *ghltest.Knobs) { k.WebhookBackoff = time.Hour })
	a.Create(home, ghltest.Contact{})
	require.Eventually(t, func() bool { return a.Deliveries()[0].Attempts == 1 }, time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, a.Settle(ctx), context.DeadlineExceeded)
	a.Close()
	require.NoError(t, a.Settle(t.Context()))
	assert.Equal(t, ghltest.Dropped, a.Deliveries()[0].Progress)
	a.Create(home, ghltest.Contact{})
	assert.Equal(t, 2, a.Stats().Webhooks[ghltest.Dropped])
}

func TestAnEventCanBeMadeAndSignedByHand(t *testing.T) {
	a := start(t)
	made := a.Create(home, ghltest.Contact{FirstName: "Ada"})
	body, err := a.Event(ghltest.ContactUpdate, made.ID)
	require.NoError(t, err)
	again, err := a.Event(ghltest.ContactUpdate, made.ID)
	require.NoError(t, err)
	assert.NotEqual(t, body, again, "each has a webhookId of its own")
	assert.NotEqual(t, a.Sign(body), a.Sign(again))
	assert.Equal(t, a.Sign(body), a.Sign(body))
	_, err = a.Event(ghltest.ContactUpdate, "nobody")
	assert.ErrorIs(t, err, ghltest.ErrGone)
}
