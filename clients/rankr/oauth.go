package rankr

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// Credentials are those of an OAuth 2.0 client that gets its tokens itself.
type Credentials struct {
	TokenURL string
	ClientID string
	// Secret is asked each time a token is fetched, so that the client's secret can be replaced meanwhile.
	Secret func() string
	// Timeout bounds one fetch. Default 10 s.
	Timeout time.Duration
}

// Tokens gives out tokens of Rankr's token endpoint. Everybody who asks shares one token, and one fetch where it takes
// one. It is safe for concurrent use. Its errors are *[crm.Error]: [crm.RankrToken] or [crm.RankrUnavailable].
type Tokens struct {
	config  clientcredentials.Config // only one fetch at a time uses it
	secret  func() string
	client  *http.Client
	timeout time.Duration
	styled  bool // config holds the style that the endpoint takes
	flight  singleflight.Group

	mu      sync.Mutex
	token   string    // empty: none
	renewAt time.Time // from then on another is fetched while this one is still used; zero: never
	endsAt  time.Time // from then on it is used no more; zero: never
	rest    time.Time // no fetch before
	failure error     // of the last fetch, if it failed
}

var _ rest.Renewer = (*Tokens)(nil)

const (
	fetchTime = 10 * time.Second
	// early is how long before its end a token is replaced, so that an endpoint that is away for a moment is not noticed.
	early = 5 * time.Minute
	// margin is for a call that is under way while its token ends.
	margin = 10 * time.Second
	// breath is the time between a fetch that failed and the next one, whoever asks.
	breath = time.Second
)

// NewTokens makes a source that has fetched nothing yet.
func NewTokens(c Credentials) *Tokens {
	if c.Timeout <= 0 {
		c.Timeout = fetchTime
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	return &Tokens{
		config:  clientcredentials.Config{ClientID: c.ClientID, TokenURL: c.TokenURL},
		secret:  c.Secret,
		timeout: c.Timeout,
		client: &http.Client{
			Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // the secret stays with the host it is for
			},
		},
	}
}

// Token returns a token that is good for a while yet.
func (t *Tokens) Token() (*oauth2.Token, error) {
	t.mu.Lock()
	now := time.Now()
	good := t.token != "" && (t.endsAt.IsZero() || now.Before(t.endsAt))
	due := !good || !t.renewAt.IsZero() && !now.Before(t.renewAt)
	resting := now.Before(t.rest)
	token, failure := t.token, t.failure
	t.mu.Unlock()
	switch {
	case good && due && !resting:
		t.flight.DoChan("", t.fetch) // nobody waits for it
		fallthrough
	case good:
		return &oauth2.Token{AccessToken: token}, nil
	case resting && failure != nil:
		return nil, failure
	}
	return t.share()
}

// Renew returns another token than the one that Rankr refused, which may be one that others have fetched meanwhile.
func (t *Tokens) Renew(refused string) (*oauth2.Token, error) {
	t.mu.Lock()
	if t.token == refused {
		t.token = ""
	}
	t.mu.Unlock()
	return t.Token()
}

// Format shows nothing of what it keeps, whatever the verb.
func (t *Tokens) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("rankr.Tokens")) }

// share waits for the one fetch that is under way, or begins it.
func (t *Tokens) share() (*oauth2.Token, error) {
	token, err, _ := t.flight.Do("", t.fetch)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: token.(string)}, nil
}

// fetch gets a token and keeps it.
func (t *Tokens) fetch() (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
	defer cancel()
	asked := time.Now()
	token, failure := t.ask(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	t.mu.Lock()
	defer t.mu.Unlock()
	if failure != nil {
		t.failure, t.rest = failure, time.Now().Add(breath)
		return nil, failure
	}
	t.failure, t.rest = nil, time.Time{}
	t.token, t.renewAt, t.endsAt = token.AccessToken, time.Time{}, time.Time{}
	if !token.Expiry.IsZero() {
		life := token.Expiry.Sub(asked)
		t.renewAt = token.Expiry.Add(-min(early, life/5))
		t.endsAt = token.Expiry.Add(-min(margin, life/10))
	}
	return token.AccessToken, nil
}

// ask sends the id and the secret in the header, as RFC 6749 has it, and in the form to an endpoint that does not take them
// there. The package oauth2 would try the form after any failure: what it then reports is the refusal of a form by an
// endpoint that was only away for a moment.
func (t *Tokens) ask(ctx context.Context) (*oauth2.Token, *crm.Error) {
	t.config.ClientSecret = t.secret()
	if t.styled {
		return t.askOnce(ctx)
	}
	t.config.AuthStyle = oauth2.AuthStyleInHeader
	token, failure := t.askOnce(ctx)
	if failure != nil && (failure.Code == crm.RankrToken || failure.Status == http.StatusBadRequest || failure.Status == http.StatusUnprocessableEntity) {
		t.config.AuthStyle = oauth2.AuthStyleInParams
		token, failure = t.askOnce(ctx)
	}
	t.styled = failure == nil
	return token, failure
}

func (t *Tokens) askOnce(ctx context.Context) (*oauth2.Token, *crm.Error) {
	token, err := t.config.Token(ctx)
	switch {
	case err != nil:
		return nil, refusal(err)
	case !usable(token):
		return nil, &crm.Error{Code: crm.RankrUnavailable, Operation: "rankr oauth.token"}
	}
	return token, nil
}

// usable tells whether the token can stand in a header and is not over already.
func usable(token *oauth2.Token) bool {
	odd := strings.ContainsFunc(token.AccessToken, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	return !odd && token.AccessToken != "" && (token.Expiry.IsZero() || time.Until(token.Expiry) > 0)
}

// grantErrors are what RFC 6749 lets a token endpoint say.
var grantErrors = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
}

// refusal makes our error of oauth2's, which prints what the endpoint answered. Credentials are refused where the endpoint
// says so in OAuth's words, or by the status 401; a proxy's page is no answer.
func refusal(err error) *crm.Error {
	e := &crm.Error{Code: crm.RankrUnavailable, Operation: "rankr oauth.token"}
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || answer.Response == nil {
		return e
	}
	e.Status = answer.Response.StatusCode
	if e.Status == http.StatusUnauthorized || e.Status < 500 && slices.Contains(grantErrors, answer.ErrorCode) {
		e.Code, e.Fields = crm.RankrToken, []string{"client"}
	}
	return e
}
