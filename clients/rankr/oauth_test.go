package rankr_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// clientSecret must never be shown. Its characters are those that have a meaning in forms, URLs and headers.
const clientSecret = "canary &=+%:/ü\"secret"

// How long before its end a token is replaced, and is used no more.
const early, margin = 5 * time.Minute, 10 * time.Second

// endpoint starts a Rankr with one OAuth client, and a source of its tokens.
func endpoint(t *testing.T, client rankrtest.OAuthClient) (*rankrtest.Server, string, *rankr.Tokens) {
	t.Helper()
	server, url := rankrtest.Start(t)
	client.ID, client.Secret = "client", clientSecret
	server.SetClient(client)
	server.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	return server, url, newTokens(url+rankrtest.TokenPath, clientSecret)
}

func newTokens(url, secret string) *rankr.Tokens {
	return rankr.NewTokens(rankr.Credentials{
		TokenURL: url, ClientID: "client", Secret: func() string { return secret }, Timeout: 5 * time.Second,
	})
}

// withTokens makes a client of the Rankr at url.
func withTokens(url string, tokens oauth2.TokenSource) *rankr.Client {
	return rankr.New(rest.New(rest.Options{
		System: "rankr", BaseURL: url, Timeout: 5 * time.Second,
		Tokens: func(string) (oauth2.TokenSource, error) { return tokens, nil },
	}), rankr.Options{})
}

// fails asks for a token in vain, and tells nothing of the secret.
func fails(t *testing.T, tokens *rankr.Tokens) *crm.Error {
	t.Helper()
	_, err := tokens.Token()
	var e *crm.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "rankr oauth.token", e.Operation)
	for _, shown := range []string{err.Error(), fmt.Sprintf("%+v", *e)} {
		assert.NotContains(t, shown, "canary")
		assert.NotContains(t, shown, "127.0.0.1")
	}
	return e
}

func TestAllLocationsShareOneToken(t *testing.T) {
	for _, inBody := range []bool{false, true} {
		server, url, tokens := endpoint(t, rankrtest.OAuthClient{Account: "A", InBody: inBody, Life: time.Hour})
		client := withTokens(url, tokens)
		var group sync.WaitGroup
		for i := range 30 {
			group.Go(func() {
				_, err := client.Find(t.Context(), fmt.Sprint("L", i%5), crm.Keys{ExternalID: "E1"})
				assert.NoError(t, err)
			})
		}
		group.Wait()
		assert.Equal(t, 1, server.Issued())
		assert.Equal(t, "rankr.Tokens", fmt.Sprintf("%+v", tokens))
		for _, call := range server.Calls() {
			if call.Operation != "oauth.token" {
				assert.Equal(t, "A", call.Account)
			}
		}
	}
}

func TestATokenThatRankrRefusesIsFetchedAnewOnce(t *testing.T) {
	server, url, tokens := endpoint(t, rankrtest.OAuthClient{})
	client := withTokens(url, tokens)
	_, err := client.Create(t.Context(), "L", "key", full("E1"))
	require.NoError(t, err)
	server.RevokeTokens()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
			assert.NoError(t, err)
		})
	}
	group.Wait()
	assert.Equal(t, 2, server.Issued(), "one fetch for all that were refused")

	server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Operation: "contacts.find", Status: 401}} })
	_, err = client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrToken})
	assert.Equal(t, 3, server.Issued(), "a new token that is refused, too, is not replaced again")
}

func TestATokenIsReplacedBeforeItEndsAndNobodyWaitsForIt(t *testing.T) {
	server, _, tokens := endpoint(t, rankrtest.OAuthClient{Life: time.Hour})
	first, err := tokens.Token()
	require.NoError(t, err)
	renewAt, endsAt := tokens.Times()
	assert.WithinDuration(t, time.Now().Add(time.Hour-early), renewAt, time.Minute)
	assert.WithinDuration(t, time.Now().Add(time.Hour-margin), endsAt, time.Minute)

	server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Operation: "oauth.token", Status: 503}} })
	tokens.Due()
	require.Eventually(t, func() bool { // the endpoint is away, and nobody notices
		token, err := tokens.Token()
		require.NoError(t, err)
		assert.Equal(t, first.AccessToken, token.AccessToken)
		return len(server.Calls()) > 1
	}, 10*time.Second, time.Millisecond)

	server.Set(func(k *rankrtest.Knobs) { k.Faults = nil })
	tokens.Due()
	require.Eventually(t, func() bool {
		token, err := tokens.Token()
		require.NoError(t, err)
		return token.AccessToken != first.AccessToken
	}, 10*time.Second, time.Millisecond)
	assert.Equal(t, 2, server.Issued())
}

func TestATokenThatEndedIsNotUsed(t *testing.T) {
	server, url, tokens := endpoint(t, rankrtest.OAuthClient{Life: time.Hour})
	client := withTokens(url, tokens)
	_, err := client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
	require.NoError(t, err)
	tokens.End()
	server.RevokeTokens()
	_, err = client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
	require.NoError(t, err)
	for _, call := range server.Calls() {
		assert.Equal(t, 200, call.Status, call.Operation)
	}
	server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Operation: "oauth.token", Status: 503}} })
	tokens.End()
	assert.Equal(t, crm.RankrUnavailable, fails(t, tokens).Code)
}

func TestATokenOfAFewSecondsIsGoodEnough(t *testing.T) {
	server, url, tokens := endpoint(t, rankrtest.OAuthClient{Life: time.Second})
	client := withTokens(url, tokens)
	assert.Eventually(t, func() bool {
		_, err := client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
		require.NoError(t, err)
		return server.Issued() > 1
	}, 10*time.Second, 5*time.Millisecond)
}

func TestTokenEndpointsRefusalsAreReadAndNotRepeated(t *testing.T) {
	for name, test := range map[string]struct {
		fault rankrtest.Fault
		want  crm.Code
	}{
		"401":        {rankrtest.Fault{Status: 401}, crm.RankrToken},
		"403 page":   {rankrtest.Fault{Status: 403, HTML: true}, crm.RankrUnavailable},
		"404":        {rankrtest.Fault{Status: 404}, crm.RankrUnavailable},
		"429":        {rankrtest.Fault{Status: 429, RetryAfter: 7}, crm.RankrUnavailable},
		"500":        {rankrtest.Fault{Status: 500}, crm.RankrUnavailable},
		"200 page":   {rankrtest.Fault{HTML: true}, crm.RankrUnavailable},
		"no body":    {rankrtest.Fault{Empty: true}, crm.RankrUnavailable},
		"cut":        {rankrtest.Fault{Cut: true}, crm.RankrUnavailable},
		"foreign":    {rankrtest.Fault{Foreign: true}, crm.RankrUnavailable},
		"reset":      {rankrtest.Fault{ResetBefore: true}, crm.RankrUnavailable},
		"late reset": {rankrtest.Fault{ResetAfter: true}, crm.RankrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server, _, tokens := endpoint(t, rankrtest.OAuthClient{})
			test.fault.Operation = "oauth.token"
			server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{test.fault} })
			assert.Equal(t, test.want, fails(t, tokens).Code)
		})
	}
}

func TestAnEndpointThatWasAwayIsNotTakenForOneThatRefuses(t *testing.T) {
	server, _, tokens := endpoint(t, rankrtest.OAuthClient{}) // it would refuse a form
	server.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{{Operation: "oauth.token", Status: 503, Times: 1}}
	})
	assert.Equal(t, crm.RankrUnavailable, fails(t, tokens).Code)
	assert.Len(t, server.Calls(), 1)
	assert.Eventually(t, func() bool { _, err := tokens.Token(); return err == nil }, 10*time.Second, 10*time.Millisecond)
}

func TestAWrongSecretIsNoOutage(t *testing.T) {
	server, url, _ := endpoint(t, rankrtest.OAuthClient{}) // this one's refusals repeat the secret
	tokens := newTokens(url+rankrtest.TokenPath, "canary-wrong")
	e := fails(t, tokens)
	assert.Equal(t, crm.RankrToken, e.Code)
	assert.Equal(t, []string{"client"}, e.Fields)
	calls := len(server.Calls())
	for range 100 {
		fails(t, tokens)
	}
	assert.Len(t, server.Calls(), calls, "whoever asks at once gets the same answer")

	_, err := withTokens(url, tokens).Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrToken})
}

func TestAClientsSecretCanBeReplacedMeanwhile(t *testing.T) {
	server, url, _ := endpoint(t, rankrtest.OAuthClient{})
	var secret atomic.Value
	secret.Store(clientSecret)
	client := withTokens(url, rankr.NewTokens(rankr.Credentials{
		TokenURL: url + rankrtest.TokenPath, ClientID: "client", Secret: func() string { return secret.Load().(string) },
	}))
	_, err := client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
	require.NoError(t, err)
	server.SetClient(rankrtest.OAuthClient{ID: "client", Secret: "second"})
	server.RevokeTokens()
	secret.Store("second")
	_, err = client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
	require.NoError(t, err)
}

func TestATokenThatCannotBeUsedIsNone(t *testing.T) {
	for name, body := range map[string]string{
		"a line break":       `{"access_token":"canary\r\nX-Evil: 1","token_type":"Bearer"}`,
		"over already":       `{"access_token":"canary","token_type":"Bearer","expires_in":-5}`,
		"of no type":         `{"access_token":{"canary":1}}`,
		"an error all along": `{"error":"temporarily_unavailable","error_description":"canary"}`,
		"more than enough":   `{"access_token":"` + strings.Repeat("canary", 1<<18) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(body))
			}))
			defer server.Close()
			assert.Equal(t, crm.RankrUnavailable, fails(t, newTokens(server.URL, clientSecret)).Code)
		})
	}
}

func TestTheSecretStaysWithItsHost(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	assert.Equal(t, crm.RankrUnavailable, fails(t, newTokens(server.URL, clientSecret)).Code)
	assert.Zero(t, elsewhere.Load())
}

func TestATokenEndpointThatHangsIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	tokens := rankr.NewTokens(rankr.Credentials{
		TokenURL: server.URL, ClientID: "client", Secret: func() string { return clientSecret }, Timeout: 50 * time.Millisecond,
	})
	assert.Equal(t, crm.RankrUnavailable, fails(t, tokens).Code)
}
