package ghltest_test

import (
	"encoding/base64"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

// remote drives a server through its control handler.
func remote(t *testing.T, a *api) ghltest.RemoteServer {
	control := httptest.NewServer(a.Control())
	t.Cleanup(control.Close)
	return ghltest.Remote(control.URL + "/")
}

func TestAPersonCanActFromAnotherProcess(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	r, ctx := remote(t, a), t.Context()
	require.NoError(t, r.PutLocation(ctx, ghltest.Location{ID: "annex", Country: "GB"}))
	ids, err := r.Seed(ctx, "annex", 3)
	require.NoError(t, err)
	contacts, err := r.Contacts(ctx, "annex")
	require.NoError(t, err)
	assert.Len(t, contacts, 3)
	assert.Equal(t, ids[0], contacts[0].ID)

	made, err := r.Create(ctx, home, ghltest.Contact{FirstName: "Ada", Tags: []string{"One"}})
	require.NoError(t, err)
	edited, err := r.Edit(ctx, made.ID, map[string]any{"firstName": "", "city": "Leeds"})
	require.NoError(t, err)
	assert.Empty(t, edited.FirstName)
	assert.Equal(t, "Leeds", edited.City)
	assert.Equal(t, []string{"one"}, edited.Tags)
	_, err = r.Tag(ctx, made.ID, "two")
	require.NoError(t, err)
	untagged, err := r.Untag(ctx, made.ID, "one")
	require.NoError(t, err)
	assert.Equal(t, []string{"two"}, untagged.Tags)
	require.NoError(t, r.Settle(ctx))
	_, err = r.Quietly().Edit(ctx, made.ID, map[string]any{"city": "York"})
	require.NoError(t, err)
	now, err := r.Contact(ctx, made.ID)
	require.NoError(t, err)
	assert.Equal(t, "York", now.City)
	require.NoError(t, r.Delete(ctx, made.ID))
	assert.ErrorIs(t, r.Delete(ctx, made.ID), ghltest.ErrGone)
	assert.Equal(t, []string{"ContactCreate", "ContactDelete", "ContactTagUpdate", "ContactTagUpdate", "ContactUpdate"}, kinds(l.take(a)))

	deliveries, err := r.Deliveries(ctx)
	require.NoError(t, err)
	assert.Len(t, deliveries, 5)
}

func TestKnobsAreSetOneByOneFromAnotherProcess(t *testing.T) {
	a := start(t)
	r, ctx := remote(t, a), t.Context()
	require.NoError(t, r.Set(ctx, map[string]any{"max": 7, "lag": time.Second}))
	require.NoError(t, r.Deliver(ctx, "http://127.0.0.1:1/"))
	require.NoError(t, r.Fail(ctx, ghltest.Fault{Status: 503}, ghltest.Fault{Status: 500}))
	require.NoError(t, r.Fail(ctx, ghltest.Fault{Operation: "contacts.get", HTML: true}))
	k, err := r.Knobs(ctx)
	require.NoError(t, err)
	assert.Equal(t, ghltest.Knobs{
		Max: 7, Lag: time.Second, WebhookURL: "http://127.0.0.1:1/",
		Faults: []ghltest.Fault{{Operation: "contacts.get", HTML: true}},
	}, k)
	require.NoError(t, r.Heal(ctx))
	assert.Empty(t, a.Knobs().Faults)
	assert.Error(t, r.Set(ctx, map[string]any{"max": "many"}))
	assert.Error(t, r.Set(ctx, map[string]any{"maximum": 7}), "a misspelt knob would do nothing")
}

func TestWhatHappenedIsToldToAnotherProcess(t *testing.T) {
	a := start(t)
	r, ctx := remote(t, a), t.Context()
	a.Set(func(k *ghltest.Knobs) { k.Max = 1 })
	a.ping()
	a.ping()
	a.call("GET", "/hooks", nil)

	calls, err := r.Calls(ctx)
	require.NoError(t, err)
	require.Len(t, calls, 3)
	assert.Equal(t, "locations.get", calls[0].Operation)
	stats, err := r.Stats(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, stats.Violations)
	assert.Equal(t, map[int]int{200: 1, 429: 1, 500: 1}, stats.Statuses)
	assert.Len(t, stats.Unknown, 1)
	limits, err := r.Limits(ctx, home)
	require.NoError(t, err)
	assert.Equal(t, 2, limits.Worst)
	require.NoError(t, r.Reset(ctx))
	assert.Empty(t, a.Calls())
	assert.Empty(t, a.Unknown())

	made := a.Create(home, ghltest.Contact{})
	event, err := r.Event(ctx, ghltest.ContactUpdate, made.ID)
	require.NoError(t, err)
	assert.Equal(t, a.Sign(event.Body), event.Signature)
	key, err := r.PublicKey(ctx)
	require.NoError(t, err)
	_, err = base64.StdEncoding.DecodeString(key)
	assert.NoError(t, err)
	assert.Equal(t, a.PublicKey(), key)
}
