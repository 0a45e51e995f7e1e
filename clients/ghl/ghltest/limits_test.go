package ghltest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

func limited(t *testing.T) (*api, *clock) {
	clock := newClock()
	a := serve(t, &ghltest.Server{Now: clock.Now})
	a.PutLocation(ghltest.Location{ID: home})
	return a, clock
}

func (a *api) ping() reply { return a.call("GET", "/locations/"+home, nil) }

func TestEveryAnswerTellsTheLimits(t *testing.T) {
	a, _ := limited(t)
	h := a.ping().header
	assert.Equal(t, "100", h.Get("X-RateLimit-Max"))
	assert.Equal(t, "99", h.Get("X-RateLimit-Remaining"))
	assert.Equal(t, "10000", h.Get("X-RateLimit-Interval-Milliseconds"))
	assert.Equal(t, "200000", h.Get("X-RateLimit-Limit-Daily"))
	assert.Equal(t, "199999", h.Get("X-RateLimit-Daily-Remaining"))
	assert.Equal(t, "43200", h.Get("X-RateLimit-Daily-Reset"), "it is noon")
}

func TestAWindowIsCountedWhereverItBegins(t *testing.T) {
	a, clock := limited(t)
	a.Set(func(k *ghltest.Knobs) { k.Max = 4 })
	a.ping()
	clock.forward(9 * time.Second) // the last second of a window that began with the clock
	for range 3 {
		assert.Equal(t, 200, a.ping().status)
	}
	clock.forward(999 * time.Millisecond)
	assert.Equal(t, 429, a.ping().status, "the fifth call within ten seconds")
	clock.forward(time.Millisecond)
	assert.Equal(t, 429, a.ping().status, "the first is gone, but the refused one counts")
	clock.forward(10 * time.Second)
	assert.Equal(t, 200, a.ping().status)
	assert.Equal(t, ghltest.Limits{Worst: 5, Violations: 2, Today: 7}, a.Limits(home))
}

func TestTheDailyBudgetEndsAtMidnight(t *testing.T) {
	a, clock := limited(t)
	a.Set(func(k *ghltest.Knobs) { k.Daily = 2 })
	a.ping()
	assert.Equal(t, "0", a.ping().header.Get("X-RateLimit-Daily-Remaining"))
	assert.Equal(t, 429, a.ping().status)
	clock.forward(12 * time.Hour)
	assert.Equal(t, 200, a.ping().status)
}

func TestEachLocationHasLimitsOfItsOwnAndStrangersHaveNone(t *testing.T) {
	a, _ := limited(t)
	a.PutLocation(ghltest.Location{ID: "other"})
	a.Set(func(k *ghltest.Knobs) { k.Max = 1 })
	a.ping()
	a.token = "guess"
	assert.Equal(t, 401, a.ping().status)
	a.token = ghltest.Token("other")
	assert.Equal(t, 200, a.call("GET", "/locations/other", nil).status)
	a.token = ghltest.Token(home)
	assert.Equal(t, 429, a.ping().status)
	assert.Equal(t, 1, a.Stats().Violations)
}

func TestWithoutLimitsCallsAreStillCounted(t *testing.T) {
	a, _ := limited(t)
	a.Set(func(k *ghltest.Knobs) { k.Unlimited, k.Max = true, 1 })
	for range 3 {
		r := a.ping()
		assert.Equal(t, 200, r.status)
		assert.NotContains(t, r.header, http.CanonicalHeaderKey("X-RateLimit-Max"))
	}
	assert.Equal(t, ghltest.Limits{Worst: 3, Today: 3}, a.Limits(home))
}
