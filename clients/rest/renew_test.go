package rest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/crm"
)

// renewable is a source whose first token can be replaced.
type renewable struct {
	next    string
	err     error
	renewed []string // what was refused
}

func (*renewable) Token() (*oauth2.Token, error) { return &oauth2.Token{AccessToken: "old"}, nil }

func (r *renewable) Renew(refused string) (*oauth2.Token, error) {
	r.renewed = append(r.renewed, refused)
	return &oauth2.Token{AccessToken: r.next}, r.err
}

// guarded starts a vendor that knows one token, and a client for it.
func guarded(t *testing.T, token, body string, source oauth2.TokenSource, gate *Gate) (*Client, *atomic.Int32) {
	t.Helper()
	calls := &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+token {
			jsonAnswer(401, body)(w, r)
			return
		}
		jsonAnswer(200, `{}`)(w, r)
	}))
	t.Cleanup(server.Close)
	return New(Options{
		System: "ghl", BaseURL: server.URL, Gate: gate,
		Tokens: func(string) (oauth2.TokenSource, error) { return source, nil },
	}), calls
}

const refusedToken = `{"statusCode":401,"message":"Invalid token: access token is invalid"}`

func TestClientAsksForAnotherTokenOnceWhenItsTokenIsRefused(t *testing.T) {
	source := &renewable{next: "new"}
	c, calls := guarded(t, "new", refusedToken, source, NewGate(Rate{4, 10 * time.Second}, nil)) // of which two are left alone
	meta, err := c.Do(t.Context(), post, nil)
	require.NoError(t, err)
	assert.Equal(t, 200, meta.Status)
	assert.Equal(t, []string{"old"}, source.renewed)
	assert.EqualValues(t, 2, calls.Load())
	assert.Equal(t, crm.GHLRateLimited, failing(t, c, post, nil).Code, "both count for the rate limit")
}

func TestClientLetsARefusalStand(t *testing.T) {
	for name, test := range map[string]struct {
		source *renewable
		body   string
		want   crm.Code
		renews int
		calls  int32
	}{
		"no other token":        {&renewable{next: "old"}, refusedToken, crm.GHLToken, 1, 1},
		"the other is no good":  {&renewable{next: "bad"}, refusedToken, crm.GHLToken, 1, 2},
		"a scope":               {&renewable{next: "new"}, `{"statusCode":401,"message":"The token is not authorized for this scope."}`, crm.GHLScope, 0, 1},
		"an agency's token":     {&renewable{next: "new"}, `{"statusCode":401,"message":"user type mismatch"}`, crm.GHLToken, 0, 1},
		"no renewal":            {&renewable{err: &crm.Error{Code: crm.GHLReconnect}}, refusedToken, crm.GHLReconnect, 1, 1},
		"a renewal that speaks": {&renewable{err: errors.New(canary)}, refusedToken, crm.GHLUnavailable, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, calls := guarded(t, "new", test.body, test.source, nil)
			_, err := c.Do(t.Context(), get, nil)
			require.ErrorIs(t, err, &crm.Error{Code: test.want})
			assert.NotContains(t, err.Error(), canary)
			assert.Len(t, test.source.renewed, test.renews)
			assert.Equal(t, test.calls, calls.Load())
		})
	}
}

func TestClientKeepsToATokenThatACallBrings(t *testing.T) {
	source := &renewable{next: "new"}
	c, calls := guarded(t, "new", refusedToken, source, nil)
	call := get
	call.Token = "company"
	assert.Equal(t, crm.GHLToken, failing(t, c, call, nil).Code)
	assert.Empty(t, source.renewed)
	assert.EqualValues(t, 1, calls.Load())
}
