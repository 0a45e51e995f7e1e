package rankrtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// TokenPath is where OAuth 2.0 clients get their tokens, beside the contract. Faults know it as "oauth.token", and so do the
// calls.
const TokenPath = "/oauth/token"

// OAuthClient is one that gets tokens of an account by its id and secret.
type OAuthClient struct {
	ID, Secret string
	Account    string
	Life       time.Duration // of its tokens; 0: they have no end
	InBody     bool          // the id and secret must be in the form; else they must be in the header
}

// oauth is what the token endpoint knows; the server's mu guards it.
type oauth struct {
	clients map[string]OAuthClient
	issued  map[string]issuedToken
	count   int
}

type issuedToken struct {
	account string
	ends    time.Time // zero: never
}

// SetClient lets a client get tokens, or replaces it with all but the tokens that it has.
func (s *Server) SetClient(client OAuthClient) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oauth.clients == nil {
		s.oauth = oauth{clients: map[string]OAuthClient{}, issued: map[string]issuedToken{}}
	}
	s.oauth.clients[client.ID] = client
}

// RevokeTokens refuses all tokens that OAuth clients have got so far.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.oauth.issued)
}

// Issued tells how many tokens OAuth clients have got.
func (s *Server) Issued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oauth.count
}

// serveToken answers the token endpoint; false: the request is for something else.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != TokenPath {
		return false
	}
	_ = r.ParseForm() // what can't be read is not there
	do := func(s *Server, _ *account, _ request) answer { return s.grant(r, r.PostForm) }
	s.serve(w, r, request{operation: operation{name: "oauth.token", method: http.MethodPost, path: TokenPath, do: do}, account: TokenPath})
	return true
}

// grant gives out a token. Like some servers it repeats in its refusals what it was told: clients must not.
func (s *Server) grant(r *http.Request, form url.Values) answer {
	id, secret, inHeader := r.BasicAuth()
	if inHeader { // RFC 6749: both are escaped like a form before they go into the header
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	client, known := s.oauth.clients[id]
	switch {
	case form.Get("grant_type") != "client_credentials":
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": "unsupported_grant_type"}}
	case !known || client.Secret != secret || client.InBody == inHeader:
		return answer{
			status: http.StatusUnauthorized,
			header: map[string]string{"WWW-Authenticate": `Basic realm="rankr"`},
			body:   map[string]any{"error": "invalid_client", "error_description": fmt.Sprintf("no client %q with the secret %q", id, secret)},
		}
	}
	s.oauth.count++
	token := fmt.Sprintf("oauth-%s-%d", client.ID, s.oauth.count)
	body := map[string]any{"access_token": token, "token_type": "Bearer"}
	issued := issuedToken{account: client.Account}
	if client.Life > 0 {
		issued.ends = s.now().Add(client.Life)
		body["expires_in"] = int(client.Life.Seconds())
	}
	s.oauth.issued[token] = issued
	return answer{status: http.StatusOK, header: map[string]string{"Cache-Control": "no-store"}, body: body}
}

// opens returns the account that an Authorization header opens. Where there are OAuth clients it takes one of their tokens,
// or one that the knobs name.
func (s *Server) opens(knobs Knobs, authorization string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oauth.clients == nil {
		return knobs.account(authorization)
	}
	token := strings.TrimPrefix(authorization, "Bearer ")
	if issued, ok := s.oauth.issued[token]; ok {
		return issued.account, issued.ends.IsZero() || s.now().Before(issued.ends)
	}
	if knobs.Tokens == nil {
		return "", false
	}
	return knobs.account(authorization)
}
