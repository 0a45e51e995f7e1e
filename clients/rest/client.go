// Package rest is the one way out to a vendor's REST API. It sends JSON, keeps the vendor's rate limit, reads
// answers with suspicion and turns every failure into a *[crm.Error]. Resty lives and dies in here.
package rest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-resty/resty/v2"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/crm"
)

// Options are what a [Client] is made of.
type Options struct {
	// System is "ghl" or "rankr": the first word of operations, and which codes failures get.
	System string
	// BaseURL is scheme, host and perhaps a path. Calls never leave it, and redirects are refused.
	BaseURL string
	// Tokens gives the token source of an account: a GHL location or a Rankr account. An account that is not
	// connected is an *[crm.Error] with [crm.UnknownLocation].
	Tokens func(account string) (oauth2.TokenSource, error)
	// Gate holds the vendor's rate limit; nil: no limit.
	Gate *Gate
	// Observe hears of each call that went out: for metrics. Status 0: no answer came. May be nil.
	Observe func(operation string, status int, took time.Duration)
	// Timeout bounds one call when ctx has no nearer deadline. Default 15 s.
	Timeout time.Duration
}

// Client calls one vendor's API. It never retries and is safe for concurrent use.
type Client struct {
	resty   *resty.Client
	system  string
	base    *url.URL // nil: Options.BaseURL can't be used
	tokens  func(account string) (oauth2.TokenSource, error)
	gate    *Gate
	observe func(operation string, status int, took time.Duration)
	timeout time.Duration
	codes   codes
}

// New makes a client. It panics on a system that has no codes, for that is a mistake in the program.
func New(o Options) *Client {
	codes, ok := codesOf[o.System]
	if !ok {
		panic("rest: unknown system " + o.System)
	}
	c := &Client{
		resty: newResty(), system: o.System, base: parseBase(o.BaseURL), codes: codes,
		tokens: o.Tokens, gate: o.Gate, observe: o.Observe, timeout: o.Timeout,
	}
	if c.timeout <= 0 {
		c.timeout = 15 * time.Second
	}
	if c.observe == nil {
		c.observe = func(string, int, time.Duration) {}
	}
	return c
}

// Call is one request.
type Call struct {
	Operation string // "contacts.get": for errors and metrics
	Method    string
	Path      string // relative to the base URL, already escaped; a slash at the end is kept
	Account   string // whose token and whose rate limit; empty: neither, as when a token is asked for
	Query     url.Values
	Header    http.Header
	// Token is sent in place of the account's, where a call needs one of another kind.
	Token string
	// Form is sent as a form, in place of Body; nil: none.
	Form url.Values
	// Body is sent as JSON; nil: none. It is written by go-json-experiment/json: unlike with encoding/json, a nil
	// slice or map is [] or {}, and omitempty drops empty strings, lists and objects but neither 0 nor false.
	Body any
}

// Meta is what is told beside an answer's body. It comes with errors, too, as far as an answer came.
type Meta struct {
	Status int
	Date   time.Time // the vendor's clock; zero when it does not tell
	ETag   string
	// DailyLeft is how many calls the vendor says are left today; -1 when it does not say.
	DailyLeft int
}

// silence is what is told when no answer came.
var silence = Meta{DailyLeft: -1}

// Renewer is a token source that can do something about a token that the vendor refuses: renew it, or look whether somebody
// replaced it. Where there is no other one it returns the refused token.
type Renewer interface {
	oauth2.TokenSource
	Renew(refused string) (*oauth2.Token, error)
}

// Do makes the call and decodes the answer into out; with a nil out a body is only looked at. Errors are always
// *[crm.Error]. Names in the answer are matched exactly, the last of doubled names wins, unknown ones are ignored.
// When the vendor refuses the token and its source is a [Renewer] that has another one, the call is made once more: what
// was refused had no effect.
func (c *Client) Do(ctx context.Context, call Call, out any) (Meta, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	token, renew, err := c.token(call)
	if err != nil {
		return silence, err
	}
	meta, failure := c.once(ctx, call, token, out)
	if renew == nil || !c.tokenRefused(failure) {
		return meta, failure
	}
	renewed, err := c.given(call, func() (*oauth2.Token, error) { return renew(token) })
	switch {
	case err != nil:
		return meta, err
	case renewed == token:
		return meta, failure
	}
	return c.once(ctx, call, renewed, out)
}

// once makes the call with this token.
func (c *Client) once(ctx context.Context, call Call, token string, out any) (Meta, error) {
	target, request, err := c.prepare(ctx, call, token)
	if err != nil {
		return silence, err
	}
	gate := c.gate
	if call.Account == "" {
		gate = nil
	}
	pass, wait, err := gate.enter(ctx, c.system+" "+call.Account, c.timeout)
	switch {
	case err != nil && ctx.Err() != nil:
		return silence, c.refuse(call, c.codes.unavailable)
	case err != nil:
		return silence, c.refuse(call, crm.StoreUnavailable)
	case wait > 0:
		return silence, c.limited(call, wait)
	}
	answer := c.send(request, call, target)
	pass.leave(answer)
	meta := answer.meta()
	if failure := c.failure(call, answer); failure != nil {
		return meta, failure
	}
	if fields, ok := answer.decode(out); !ok {
		return meta, c.unreadable(call, meta, fields)
	}
	return meta, nil
}

// limited is the error for a call that must wait for its turn.
func (c *Client) limited(call Call, wait time.Duration) *crm.Error {
	e := c.refuse(call, c.codes.limited)
	e.Wait = wait
	return e
}

// Foreign is the error for an answer that can be read but can't be the answer to this call, such as another
// record's. It counts as no answer at all.
func (c *Client) Foreign(call Call, meta Meta) *crm.Error { return c.unreadable(call, meta, nil) }

// prepare builds all of a request that can be refused before anything is sent.
func (c *Client) prepare(ctx context.Context, call Call, token string) (string, *resty.Request, error) {
	target, ok := c.target(call)
	if !ok {
		e := c.refuse(call, crm.InvalidInput)
		e.Fields = []string{"path"}
		return "", nil, e
	}
	request := c.resty.R().SetContext(ctx).
		SetHeaderMultiValues(call.Header).
		SetHeader("Accept", "application/json").
		SetHeader("User-Agent", "rankrsync")
	if token != "" {
		request.SetHeader("Authorization", "Bearer "+token)
	}
	switch {
	case call.Form != nil:
		return target, request.SetHeader("Content-Type", "application/x-www-form-urlencoded").SetBody(call.Form.Encode()), nil
	case call.Body == nil:
		return target, request, nil
	}
	body, err := json.Marshal(call.Body, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil { // its text could hold a value
		return "", nil, c.refuse(call, crm.Internal)
	}
	return target, request.SetHeader("Content-Type", "application/json").SetBody(bytes.NewReader(body)), nil
}

// target joins the call's path to the base URL. It is false for whatever would lead anywhere else.
func (c *Client) target(call Call) (string, bool) {
	if c.base == nil || strings.ContainsAny(call.Path, "?#\\") {
		return "", false
	}
	u, err := url.Parse(c.base.String() + "/" + strings.TrimPrefix(call.Path, "/"))
	if err != nil || u.Host != c.base.Host || u.Scheme != c.base.Scheme || u.User != nil {
		return "", false
	}
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		if plain, err := url.PathUnescape(segment); err != nil || plain == "." || plain == ".." {
			return "", false
		}
	}
	u.RawQuery = call.Query.Encode()
	return u.String(), true
}

// parseBase returns nil for a base URL that can't be used. No slash at its end.
func parseBase(text string) *url.URL {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		(u.Scheme != "https" && u.Scheme != "http") {
		return nil
	}
	return u
}

// token asks the account's token source, and tells how another one can be had.
func (c *Client) token(call Call) (token string, renew func(string) (*oauth2.Token, error), err error) {
	if call.Token != "" || call.Account == "" {
		return call.Token, nil, nil
	}
	token, err = c.given(call, func() (*oauth2.Token, error) {
		source, err := c.tokens(call.Account)
		if err != nil {
			return nil, err
		}
		if renewer, ok := source.(Renewer); ok {
			renew = renewer.Renew
		}
		return source.Token()
	})
	return token, renew, err
}

// given takes what a token source gives. What a token endpoint says never leaves here: its errors print bodies.
func (c *Client) given(call Call, source func() (*oauth2.Token, error)) (string, error) {
	token, err := source()
	if err == nil {
		return token.AccessToken, nil
	}
	if known, ok := errors.AsType[*crm.Error](err); ok {
		return "", known
	}
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if ok && refused.Response != nil && (refused.Response.StatusCode == 400 || refused.Response.StatusCode == 401) {
		return "", c.refuse(call, c.codes.token)
	}
	return "", c.refuse(call, c.codes.unavailable)
}

// tokenRefused tells whether another token may help: not where one of another kind, or a header, is wanted.
func (c *Client) tokenRefused(failure error) bool {
	e, ok := errors.AsType[*crm.Error](failure)
	return ok && e.Status == http.StatusUnauthorized && e.Code == c.codes.token && e.Fields == nil
}

// send makes the one HTTP request and tells how far it came.
func (c *Client) send(request *resty.Request, call Call, target string) answer {
	var sent atomic.Bool // set by the transport's own goroutine
	request.SetContext(httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { sent.Store(true) },
	}))
	start := time.Now()
	response, err := request.Execute(call.Method, target)
	a := answer{sent: sent.Load(), cut: err != nil, large: errors.Is(err, resty.ErrResponseBodyTooLarge)}
	if response != nil && response.RawResponse != nil {
		a.status, a.header, a.body = response.StatusCode(), response.Header(), response.Body()
	}
	c.observe(call.Operation, a.status, time.Since(start))
	return a
}
