package rankrtest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
)

func (r *rankr) hit(faults ...rankrtest.Fault) {
	r.Set(func(k *rankrtest.Knobs) { k.Faults = faults })
}

// bare is a fake without the check: for answers that are meant to be wrong.
func bare(t *testing.T) *rankr {
	s, url := rankrtest.Start(t)
	return &rankr{Server: s, t: t, url: url, token: "token"}
}

func TestResetBeforeHasNoEffectAndResetAfterHas(t *testing.T) {
	r := bare(t)
	r.hit(rankrtest.Fault{Operation: "contacts.create", ResetBefore: true, Times: 1}, rankrtest.Fault{ResetAfter: true, Times: 1})
	for records := range 2 {
		lost := r.do("POST", "/contacts/", `{"externalId":"ghl1"}`)
		require.ErrorIs(t, lost.err, syscall.ECONNRESET, "a real reset, not an end of file")
		assert.Len(t, r.All(), records)
		call := r.Calls()[records]
		assert.Equal(t, 0, call.Status)
		assert.Equal(t, records == 1, call.Effect)
	}
	assert.Equal(t, 409, r.do("POST", "/contacts/", `{"externalId":"ghl1"}`).StatusCode, "both faults are used up")
}

func TestLateEffectLandsAfterTheConnectionIsGone(t *testing.T) {
	r := bare(t)
	r.hit(rankrtest.Fault{LateEffect: 30 * time.Millisecond, Times: 1})
	require.ErrorIs(t, r.do("POST", "/contacts/", `{}`).err, syscall.ECONNRESET)
	assert.False(t, r.Calls()[0].Effect)
	assert.Eventually(t, func() bool { return len(r.All()) == 1 && r.Calls()[0].Effect }, 5*time.Second, time.Millisecond)
	assert.Equal(t, 0, r.Calls()[0].Status)
}

func TestDelayedRequestLandsAlthoughItsClientGaveUp(t *testing.T) {
	r := bare(t)
	r.hit(rankrtest.Fault{Delay: 250 * time.Millisecond, Times: 1})
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		assert.Eventually(t, func() bool { return len(r.Calls()) == 1 }, 5*time.Second, time.Millisecond)
		giveUp()
	}()
	request, err := http.NewRequestWithContext(ctx, "POST", r.url+"/contacts/", strings.NewReader(`{}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer token")
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		response.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, r.All())
	assert.Eventually(t, func() bool { return len(r.All()) == 1 }, 5*time.Second, time.Millisecond)
}

func TestStatusStandsInForTheEffectOrComesAfterIt(t *testing.T) {
	r := bare(t)
	r.hit(rankrtest.Fault{Operation: "contacts.c*", Skip: 1, Times: 1, Status: 503, RetryAfter: 7}, rankrtest.Fault{Status: 502, AfterEffect: true, Times: 1})
	assert.Equal(t, 502, r.do("POST", "/contacts/", `{"externalId":"a"}`).StatusCode, "the first fault let one pass, the second hit it")
	assert.Len(t, r.All(), 1)
	down := r.do("POST", "/contacts/", `{"externalId":"b"}`)
	assert.Equal(t, 503, down.StatusCode)
	assert.Equal(t, "7", down.Header.Get("Retry-After"))
	assert.Len(t, r.All(), 1)
	assert.Empty(t, r.Knobs().Faults)
	calls := r.Calls()
	assert.Equal(t, []any{502, true, 503, false}, []any{calls[0].Status, calls[0].Effect, calls[1].Status, calls[1].Effect})
}

func TestFaultHitsOnlyTheContactItNames(t *testing.T) {
	r := bare(t)
	id := r.create(`{"externalId":"ghl1"}`)
	r.hit(rankrtest.Fault{ExternalID: "ghl1", Status: 500})
	assert.Equal(t, 200, r.do("GET", "/contacts/?externalId=other", "").StatusCode)
	assert.Equal(t, 500, r.do("GET", "/contacts/?externalId=ghl1", "").StatusCode)
	assert.Equal(t, 500, r.do("GET", "/contacts/"+id, "").StatusCode)
	assert.Equal(t, 500, r.do("POST", "/contacts/", `{"externalId":"ghl1"}`).StatusCode)
}

func TestAnswersAreSpoiledAfterTheEffect(t *testing.T) {
	r := bare(t)
	r.hit(
		rankrtest.Fault{Cut: true, Times: 1},
		rankrtest.Fault{HTML: true, Times: 1},
		rankrtest.Fault{HTML: true, Status: 404, Times: 1},
		rankrtest.Fault{Empty: true, Times: 1},
		rankrtest.Fault{Foreign: true, Times: 1},
	)
	require.ErrorIs(t, r.do("POST", "/contacts/", `{}`).err, io.ErrUnexpectedEOF)
	page := r.do("POST", "/contacts/", `{}`)
	assert.Equal(t, 201, page.StatusCode)
	assert.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
	missing := r.do("POST", "/contacts/", `{}`)
	assert.Equal(t, 404, missing.StatusCode)
	assert.Nil(t, missing.body)
	assert.Nil(t, r.do("POST", "/contacts/", `{}`).body)
	assert.Equal(t, "somebody-else", r.do("POST", "/contacts/", `{}`).contact()["id"])
	assert.Len(t, r.All(), 4, "all but the 404 had their effect")
}

func TestDownNotFoundAllAndSearchLag(t *testing.T) {
	r := start(t)
	now := time.Now()
	r.Now = func() time.Time { return now }
	id := r.create(`{"externalId":"ghl1"}`)
	r.Set(func(k *rankrtest.Knobs) { k.Down = true })
	assert.Equal(t, 503, r.do("GET", "/contacts/"+id, "").StatusCode)
	r.Set(func(k *rankrtest.Knobs) { k.Down, k.NotFoundAll = false, true })
	assert.Equal(t, 404, r.do("GET", "/contacts/"+id, "").StatusCode)
	assert.Empty(t, r.do("GET", "/contacts/?externalId=ghl1", "").ids())

	r.Set(func(k *rankrtest.Knobs) { k.NotFoundAll, k.SearchLag = false, time.Minute })
	assert.Empty(t, r.do("GET", "/contacts/?externalId=ghl1", "").ids())
	assert.Equal(t, 200, r.do("GET", "/contacts/"+id, "").StatusCode, "only searches lag")
	now = now.Add(time.Minute)
	assert.Equal(t, []string{id}, r.do("GET", "/contacts/?externalId=ghl1", "").ids())
}

func TestRankrMayAcceptAValueAndKeepOrChangeIt(t *testing.T) {
	r := start(t)
	id := r.create(`{"city":"Bonn","customFields":{"a":"x"}}`)
	r.Set(func(k *rankrtest.Knobs) {
		k.KeepOld, k.Normalise = []string{"city", "customFields.a"}, []string{"state"}
	})
	got := r.do("PUT", "/contacts/"+id, `{"city":"Rome","state":"ca","customFields":{"a":"y"}}`)
	assert.Equal(t, 200, got.StatusCode)
	assert.Equal(t, []any{"Bonn", "CA", map[string]any{"a": "x"}}, []any{got.contact()["city"], got.contact()["state"], got.contact()["customFields"]})
}
