package rest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/crm"
)

// told is an answer with what is left of a day's calls.
func told(left, limit string) answer {
	h := http.Header{}
	h.Set("X-RateLimit-Daily-Remaining", left)
	h.Set("X-RateLimit-Limit-Daily", limit)
	return answer{status: 200, sent: true, header: h}
}

func TestSpareWorkLeavesAFifthOfTheDayToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &budget{}
		spare := WithSpare(t.Context())
		assert.Zero(t, b.wait(spare, "L"), "nothing is known yet")
		b.note("L", told("20", "100"))
		assert.Zero(t, b.wait(spare, "L"))
		b.note("L", told("19", "100"))
		assert.Equal(t, time.Hour, b.wait(spare, "L"))
		assert.Zero(t, b.wait(t.Context(), "L"), "live changes go on")
		assert.Zero(t, b.wait(spare, "M"), "each account has a day of its own")
		b.note("L", told("0", "0"))
		b.note("L", told("x", "100"))
		b.note("L", answer{status: 200})
		assert.Equal(t, time.Hour, b.wait(spare, "L"), "what tells nothing changes nothing")
		time.Sleep(time.Hour)
		assert.Zero(t, b.wait(spare, "L"), "one looks again")
		soon := told("5", "100")
		soon.header.Set("X-RateLimit-Daily-Reset", "600")
		b.note("L", soon)
		assert.Equal(t, 10*time.Minute, b.wait(spare, "L"))
		b.note("L", told("99", "100"))
		assert.Zero(t, b.wait(spare, "L"), "a new day")
	})
}

func TestACallThatCanWaitIsNotMadeWhenTheDayRunsOut(t *testing.T) {
	calls := 0
	assert.Equal(t, -1, New(Options{System: "ghl"}).DailyLeft("L"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("X-RateLimit-Limit-Daily", "100")
		w.Header().Set("X-RateLimit-Daily-Remaining", strconv.Itoa(22-calls))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	client := New(Options{System: "ghl", BaseURL: server.URL, Tokens: func(string) (oauth2.TokenSource, error) {
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t"}), nil
	}})
	do := func(ctx context.Context) error {
		_, err := client.Do(ctx, Call{Operation: "x", Method: http.MethodGet, Path: "x", Account: "L"}, nil)
		return err
	}
	spare := WithSpare(t.Context())
	for range 3 {
		require.NoError(t, do(spare)) // the third is told that 19 are left
	}
	err := do(spare)
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLRateLimited})
	var limited *crm.Error
	require.ErrorAs(t, err, &limited)
	assert.Greater(t, limited.Wait, 50*time.Minute)
	require.NoError(t, do(t.Context()))
	assert.Equal(t, 4, calls)
	assert.Equal(t, 18, client.DailyLeft("L"))
}
