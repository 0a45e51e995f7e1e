package rest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/crm"
)

const canary = "jane.doe@example.com"

func tokens(string) (oauth2.TokenSource, error) {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "secret-token"}), nil
}

// against starts a vendor that answers with the handler, and a client for it.
func against(t *testing.T, system string, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return New(Options{System: system, BaseURL: server.URL, Tokens: tokens})
}

// answering makes a handler of a status, a content type and a body.
func answering(status int, media, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func jsonAnswer(status int, body string, header ...string) http.HandlerFunc {
	return answering(status, "application/json; charset=utf-8", body, header...)
}

var (
	get  = Call{Operation: "contacts.get", Method: "GET", Path: "contacts/C", Account: "L"}
	post = Call{Operation: "contacts.create", Method: "POST", Path: "contacts/", Account: "L", Body: map[string]any{"email": canary}}
)

// failing makes the call, which must fail without telling what it must not.
func failing(t *testing.T, c *Client, call Call, out any) *crm.Error {
	t.Helper()
	_, err := c.Do(t.Context(), call, out)
	var e *crm.Error
	require.ErrorAs(t, err, &e)
	assert.NotContains(t, fmt.Sprintf("%v %+v", err, *e), canary)
	assert.NotContains(t, fmt.Sprintf("%v %+v", err, *e), "secret-token")
	assert.Equal(t, c.system+" "+call.Operation, e.Operation)
	return e
}

func TestClientSendsWhatItIsAskedTo(t *testing.T) {
	c := against(t, "ghl", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		assert.Equal(t, "DELETE", r.Method)
		assert.Equal(t, "/contacts/C/tags/", r.URL.EscapedPath(), "a slash at the end is kept")
		assert.Equal(t, "number=%2B1+2", r.URL.RawQuery)
		assert.Equal(t, "Bearer secret-token", r.Header.Get("Authorization"))
		assert.Equal(t, "2021-07-28", r.Header.Get("Version"))
		assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
		assert.Equal(t, "application/json", r.Header.Get("Accept"))
		assert.JSONEq(t, `{"tags":["a"]}`, string(body), "a DELETE keeps its body")
		jsonAnswer(201, `{"tags":[],"unknown":{"a":1}}`, "ETag", `"7"`, "Date", "Fri, 13 Nov 2026 10:00:00 GMT")(w, r)
	})
	var out struct {
		Tags []string `json:"tags"`
	}
	meta, err := c.Do(t.Context(), Call{
		Operation: "contacts.tags.remove", Method: "DELETE", Path: "/contacts/C/tags/", Account: "L",
		Query: url.Values{"number": {"+1 2"}}, Header: http.Header{"Version": {"2021-07-28"}},
		Body: map[string]any{"tags": []string{"a"}},
	}, &out)
	require.NoError(t, err)
	assert.Equal(t, Meta{201, time.Date(2026, 11, 13, 10, 0, 0, 0, time.UTC), `"7"`, -1}, meta)
}

func TestClientReadsEachRefusal(t *testing.T) {
	type want struct {
		code   crm.Code
		fields []string
		id     string
		landed bool
	}
	const foreign = "<html>jane.doe@example.com</html>"
	for _, test := range []struct {
		name, system string
		status       int
		body         string
		want         want
	}{
		{"GHL's own 404", "ghl", 404, `{"statusCode":404,"message":"Contact not found jane.doe@example.com","traceId":"9f6b2c1e-aaaa"}`, want{code: crm.GHLNotFound}},
		{"a 404 that does not say its status", "ghl", 404, `{"message":"no Route matched with those values"}`, want{code: crm.GHLUnavailable, landed: true}},
		{"a 404 that says another status", "ghl", 404, `{"statusCode":400,"message":"x"}`, want{code: crm.GHLUnavailable, landed: true}},
		{"a 404 without a message", "ghl", 404, `{"statusCode":404}`, want{code: crm.GHLUnavailable, landed: true}},
		{"a proxy's 404", "ghl", 404, foreign, want{code: crm.GHLUnavailable, landed: true}},
		{"a list as 404", "ghl", 404, `[{"statusCode":404,"message":"x"}]`, want{code: crm.GHLUnavailable, landed: true}},
		{"no scope", "ghl", 401, `{"statusCode":401,"message":"The token is not authorized for this scope."}`, want{code: crm.GHLScope}},
		{"an agency's token", "ghl", 401, `{"statusCode":401,"message":"user type mismatch"}`, want{code: crm.GHLToken, fields: []string{"userType"}}},
		{"a company's token", "ghl", 403, `{"statusCode":403,"message":"This authClass type is not allowed to access this scope"}`, want{code: crm.GHLToken, fields: []string{"userType"}}},
		{"a revoked token", "ghl", 401, `{"statusCode":401,"message":"Invalid token: access token is invalid","error":"Unauthorized"}`, want{code: crm.GHLToken}},
		{"no version header", "ghl", 401, `{"statusCode":401,"message":"version header was not found."}`, want{code: crm.GHLToken, fields: []string{"Version"}}},
		{"an unknown version", "ghl", 400, `{"statusCode":400,"message":"version header is invalid"}`, want{code: crm.GHLToken, fields: []string{"Version"}}},
		{"another location", "ghl", 403, `{"statusCode":403,"message":"The token does not have access to this location."}`, want{code: crm.GHLTenant}},
		{"a firewall", "ghl", 403, foreign, want{code: crm.GHLUnavailable, landed: true}},
		{"a duplicate", "ghl", 400, `{"statusCode":400,"message":"This location does not allow duplicated contacts.","meta":{"contactId":"W1","contactName":"jane.doe@example.com","matchingField":"email"}}`, want{code: crm.GHLDuplicate, id: "W1"}},
		{"a duplicate of an odd id", "ghl", 400, `{"statusCode":400,"message":"x","meta":{"contactId":"../jane.doe@example.com"}}`, want{code: crm.GHLInvalid}},
		{"unknown property", "ghl", 422, `{"statusCode":422,"message":["property companyName should not exist","email must be an email","jane must be good","customFields.0.value must be a string"],"error":"Unprocessable Entity"}`, want{code: crm.GHLInvalid, fields: []string{"companyName", "customFields.value", "email"}}},
		{"a value where a name should be", "ghl", 422, `{"statusCode":422,"message":["property jane.doe@example.com should not exist"]}`, want{code: crm.GHLInvalid}},
		{"v3's envelope", "ghl", 400, `{"error":{"code":"BAD","message":"Invalid field dateUpdated"}}`, want{code: crm.GHLInvalid, fields: []string{"dateUpdated"}}},
		{"messages of odd types", "ghl", 422, `{"statusCode":422,"message":[1,null,{"a":"jane.doe@example.com"},"phone must be valid"],"traceId":{}}`, want{code: crm.GHLInvalid, fields: []string{"phone"}}},
		{"a redirect", "ghl", 302, foreign, want{code: crm.GHLUnavailable, landed: true}},
		{"down", "ghl", 503, `{"statusCode":503,"message":"down"}`, want{code: crm.GHLUnavailable, landed: true}},
		{"slow gateway", "ghl", 504, foreign, want{code: crm.GHLUnavailable, landed: true}},
		{"request timeout", "ghl", 408, `{"statusCode":408,"message":"x"}`, want{code: crm.GHLUnavailable, landed: true}},
		{"Rankr's own 404", "rankr", 404, `{"statusCode":404,"message":"not found"}`, want{code: crm.RankrNotFound}},
		{"Rankr's path is wrong", "rankr", 404, foreign, want{code: crm.RankrUnavailable, landed: true}},
		{"Rankr's duplicate", "rankr", 409, `{"statusCode":409,"message":"externalId taken","id":"R7"}`, want{code: crm.RankrDuplicate, id: "R7"}},
		{"Rankr refuses the token without a word", "rankr", 401, "", want{code: crm.RankrToken}},
		{"Rankr forbids", "rankr", 403, `{"statusCode":403,"message":"no"}`, want{code: crm.RankrToken}},
		{"Rankr refuses fields", "rankr", 422, `{"statusCode":422,"message":"invalid","fields":[{"field":"phone","message":"jane.doe@example.com is no phone"},{"field":"customFields.pin_code","message":"x"},{"field":"jane.doe@example.com"},{"field":7},9]}`, want{code: crm.RankrInvalid, fields: []string{"customFields.pin_code", "phone"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			media := "application/json"
			if test.body == foreign {
				media = "text/html"
			}
			e := failing(t, against(t, test.system, answering(test.status, media, test.body, "Location", "/elsewhere")), post, nil)
			assert.Equal(t, test.want, want{e.Code, e.Fields, e.ID, e.Landed})
			assert.Equal(t, test.status, e.Status)
			if strings.Contains(test.body, "9f6b2c1e-aaaa") {
				assert.Equal(t, "9f6b2c1e-aaaa", e.TraceID)
			} else {
				assert.Empty(t, e.TraceID)
			}
		})
	}
}

func TestClientTellsThatARecordMoved(t *testing.T) {
	c := against(t, "rankr", answering(412, "", ""))
	call := Call{Operation: "contacts.update", Method: "PUT", Path: "contacts/R", Header: http.Header{"If-Match": {`"1"`}}}
	e := failing(t, c, call, nil)
	assert.Equal(t, crm.RankrMoved, e.Code)
	assert.False(t, e.Landed)
}

func TestClientClampsHowLongARateLimitedCallWaits(t *testing.T) {
	const date = "Fri, 13 Nov 2026 10:00:00 GMT"
	for _, test := range []struct {
		header []string
		want   time.Duration
	}{
		{[]string{"Retry-After", "30"}, 30 * time.Second},
		{[]string{"Retry-After", "1.5"}, 1500 * time.Millisecond},
		{[]string{"Retry-After", "0"}, time.Second},
		{[]string{"Retry-After", "-1"}, time.Second},
		{[]string{"Retry-After", "1e9"}, time.Hour},
		{[]string{"Retry-After", "99999999999999999999999"}, time.Hour},
		{[]string{"Retry-After", "1e999"}, time.Hour},
		{[]string{"Retry-After", "Fri, 13 Nov 2026 10:02:00 GMT", "Date", date}, 2 * time.Minute},
		{[]string{"Retry-After", "Fri, 13 Nov 2020 10:00:00 GMT", "Date", date}, time.Second},
		{[]string{"Retry-After", "Fri, 13 Nov 2099 10:00:00 GMT", "Date", date}, time.Hour},
		{[]string{"Retry-After", "soon"}, 10 * time.Second},
		{[]string{"Retry-After", "NaN"}, 10 * time.Second},
		{nil, 10 * time.Second},
		{[]string{"X-RateLimit-Interval-Milliseconds", "4000"}, 4 * time.Second},
		{[]string{"X-RateLimit-Interval-Milliseconds", "999999999999"}, time.Hour},
		{[]string{"X-RateLimit-Interval-Milliseconds", "-5"}, 10 * time.Second},
		{[]string{"X-RateLimit-Daily-Remaining", "0", "Retry-After", "3"}, time.Hour},
	} {
		t.Run(strings.Join(test.header, " "), func(t *testing.T) {
			e := failing(t, against(t, "ghl", answering(429, "text/html", "slow down", test.header...)), post, nil)
			assert.Equal(t, crm.GHLRateLimited, e.Code)
			assert.Equal(t, test.want, e.Wait)
			assert.False(t, e.Landed)
		})
	}
}

func TestClientTellsWhatIsLeftOfTheDay(t *testing.T) {
	const left, day = "X-RateLimit-Daily-Remaining", "X-RateLimit-Limit-Daily"
	for _, test := range []struct {
		status int
		header []string
		want   int
	}{
		{200, []string{left, "41", day, "200"}, 41},
		{404, []string{left, "41", day, "200"}, 41},
		{200, []string{left, "0", day, "200"}, 0},
		{429, []string{left, "0"}, 0},
		{200, []string{left, "0", day, "0"}, -1},
		{200, []string{left, "41"}, -1},
		{200, []string{day, "200"}, -1},
		{200, []string{left, "-4", day, "200"}, -1},
		{200, []string{left, "many", day, "200"}, -1},
		{200, nil, -1},
	} {
		meta, _ := against(t, "ghl", jsonAnswer(test.status, `{}`, test.header...)).Do(t.Context(), get, nil)
		assert.Equal(t, test.want, meta.DailyLeft, "%d %v", test.status, test.header)
	}
	server := httptest.NewServer(nil)
	server.Close()
	meta, _ := New(Options{System: "ghl", BaseURL: server.URL, Tokens: tokens}).Do(t.Context(), get, nil)
	assert.Equal(t, -1, meta.DailyLeft, "no answer")
}

func TestClientKeepsAwayFromAnAccountThatWasRefused(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		jsonAnswer(429, `{}`, "Retry-After", "60")(w, r)
	}))
	defer server.Close()
	c := New(Options{System: "rankr", BaseURL: server.URL, Tokens: tokens, Gate: NewGate(Rate{100, 10 * time.Second}, nil)})
	failing(t, c, post, nil)
	require.EventuallyWithT(t, func(t *assert.CollectT) { // the refusal goes to the ledger behind the caller's back
		_, err := c.Do(context.Background(), post, nil)
		e, _ := errors.AsType[*crm.Error](err)
		assert.Equal(t, crm.RankrRateLimited, e.Code)
		assert.InDelta(t, 60, e.Wait.Seconds(), 1)
		assert.Zero(t, e.Status)
		assert.False(t, e.Landed)
	}, 5*time.Second, time.Millisecond)
	before := calls.Load()
	failing(t, c, get, nil)
	assert.Equal(t, before, calls.Load())
}

func TestClientTakesAnAnswerThatIsNotTheSystemsForNone(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"HTML":                 answering(200, "text/html", "<html>"+canary),
		"no content type":      answering(200, "", `{"contact":{}}`),
		"JSON that says HTML":  answering(200, "text/html", `{"contact":{}}`),
		"another charset":      answering(200, "application/json; charset=utf-16", `{"contact":{}}`),
		"cut JSON":             jsonAnswer(200, `{"contact":{"id":"C","email":"`+canary),
		"nothing":              jsonAnswer(200, ``),
		"no content":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"two documents":        jsonAnswer(200, `{"contact":{}}{"contact":{}}`),
		"a list":               jsonAnswer(200, `[]`),
		"a string as envelope": jsonAnswer(200, `{"contact":"`+canary+`"}`),
		"a cut depth bomb":     jsonAnswer(200, `{"x":`+strings.Repeat("[", 100_000)),
		"a string of a bomb":   jsonAnswer(200, `{"x":`+strings.Repeat("[", 201)+strings.Repeat("]", 201)+`,"y":"}`),
		"50 MB of HTML":        endless("text/html", 50<<20),
		"a broken gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "not gzip")
		},
		"a length that lies": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"contact":{}}`)
		},
		"1 MiB of headers": jsonAnswer(200, `{"contact":{}}`, "X-Long", strings.Repeat("x", 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out struct {
				Contact struct {
					Email string `json:"email"`
				} `json:"contact"`
			}
			c := against(t, "ghl", handler)
			e := failing(t, c, post, &out)
			assert.Equal(t, crm.GHLUnavailable, e.Code)
			assert.True(t, e.Landed, "the write may have had its effect")
			assert.False(t, failing(t, c, get, &out).Landed, "a read has none")
		})
	}
}

// endless answers with so many bytes that are no JSON.
func endless(media string, size int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		_, _ = io.CopyN(w, zeros{}, size)
	}
}

func TestClientGivesUpOnAnAnswerThatWouldBeTooMuchEachTime(t *testing.T) {
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.CopyN(z, zeros{}, 1<<30)
		_ = z.Close()
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"50 MB":                {endless("application/json", 50<<20), tooLarge},
		"a byte over 8 MiB":    {endless("application/json", maxBody+1), tooLarge},
		"a gzip bomb":          {bomb, tooLarge},
		"a depth bomb":         {jsonAnswer(200, `{"x":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`), tooDeep},
		"a depth of 201":       {jsonAnswer(200, strings.Repeat(`{"x":`, 201)+"1"+strings.Repeat("}", 201)), tooDeep},
		"a depth of 201 lists": {jsonAnswer(201, strings.Repeat("[", 201)+`"`+canary+`"`+strings.Repeat("]", 201)), tooDeep},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for system, want := range map[string]crm.Code{"ghl": crm.GHLInvalid, "rankr": crm.RankrInvalid} {
				c := against(t, system, test.handler)
				var out struct{}
				e := failing(t, c, get, &out)
				assert.Equal(t, want, e.Code)
				assert.Equal(t, crm.Never, e.Retry())
				assert.Equal(t, []string{test.want}, e.Fields)
				assert.False(t, e.Landed, "a read has no effect")
				e = failing(t, c, post, nil)
				assert.Equal(t, want, e.Code)
				assert.Equal(t, []string{test.want}, e.Fields)
				assert.True(t, e.Landed, "the write may have had its effect")
			}
		})
	}
}

func TestClientTakesTheLargestAndDeepestAnswersThereMayBe(t *testing.T) {
	var out struct {
		X string `json:"x"`
	}
	_, err := against(t, "ghl", jsonAnswer(200, `{"x":"`+strings.Repeat("x", maxBody-8)+`"}`)).Do(t.Context(), get, &out)
	require.NoError(t, err)
	assert.Len(t, out.X, maxBody-8)
	_, err = against(t, "ghl", jsonAnswer(200, strings.Repeat(`{"y":`, 200)+"1"+strings.Repeat("}", 200))).Do(t.Context(), get, &out)
	require.NoError(t, err)
}

// zeros is an endless run of a character that is no JSON.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte("0"), len(p)))
	return len(p), nil
}

func TestClientNamesTheFieldOfAWrongType(t *testing.T) {
	var out struct {
		Contact struct {
			Email  string `json:"email"`
			Fields []struct {
				Value string `json:"value"`
			} `json:"customFields"`
		} `json:"contact"`
	}
	e := failing(t, against(t, "ghl", jsonAnswer(200, `{"contact":{"email":{"a":"`+canary+`"}}}`)), get, &out)
	assert.Equal(t, crm.GHLInvalid, e.Code)
	assert.Equal(t, []string{"email"}, e.Fields)
	e = failing(t, against(t, "ghl", jsonAnswer(200, `{"contact":{"customFields":[{"value":"a"},{"value":7}]}}`)), get, &out)
	assert.Equal(t, []string{"customFields.value"}, e.Fields)
}

func TestClientReadsWhatOnlyLooksOdd(t *testing.T) {
	var out struct {
		Contact struct {
			Email string `json:"email"`
		} `json:"contact"`
	}
	for body, want := range map[string]string{
		`{"contact":{"email":"a","email":"b"}}`:                             "b",
		`{"contact":{"email":"b","Email":"a","EMAIL":"a"}}`:                 "b",
		"{\"contact\":{\"email\":\"\xff\"}}":                                "\uFFFD",
		`{"contact":{"email":"\ud800"}}`:                                    "\uFFFD",
		`{"contact":{"email":null}}`:                                        "",
		`{"x":"` + strings.Repeat("[", 1000) + `","contact":{"email":"b"}}`: "b",
		`{"x":"\"[[","contact":{"email":"b"},"n":1e400}`:                    "b",
	} {
		out.Contact.Email = ""
		_, err := against(t, "ghl", jsonAnswer(200, body)).Do(t.Context(), get, &out)
		require.NoError(t, err, body)
		assert.Equal(t, want, out.Contact.Email, body)
	}
}

func TestClientAcceptsAnEmptyAnswerWhereNoneIsNeeded(t *testing.T) {
	for _, handler := range []http.HandlerFunc{jsonAnswer(200, `{"succeded":true}`), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }} {
		_, err := against(t, "ghl", handler).Do(t.Context(), post, nil)
		require.NoError(t, err)
	}
	failing(t, against(t, "ghl", answering(200, "text/html", "welcome to the hotel's network")), post, nil)
}

func TestClientNeverLeavesItsHost(t *testing.T) {
	var reached atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer elsewhere.Close()
	c := against(t, "ghl", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(307)
	})
	assert.Equal(t, crm.GHLUnavailable, failing(t, c, post, nil).Code)
	host := strings.TrimPrefix(elsewhere.URL, "http://")
	for _, path := range []string{
		"../admin", "contacts/../../admin", "contacts/%2e%2e/admin", "contacts/./x", "a?b=c", "a#b", `a\b`, "a\r\nX: y", "a\x00", "%zz",
	} {
		call := get
		call.Path = path
		e := failing(t, c, call, nil)
		assert.Equal(t, crm.InvalidInput, e.Code, path)
		assert.Equal(t, []string{"path"}, e.Fields)
	}
	for _, path := range []string{"//" + host, "@" + host, elsewhere.URL, ":1@" + host} {
		call := get
		call.Path = path
		failing(t, c, call, nil)
	}
	assert.Zero(t, reached.Load())
}

func TestClientKeepsThePathOfItsBaseURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		jsonAnswer(200, `{"path":"`+r.URL.EscapedPath()+`"}`)(w, r)
	}))
	defer server.Close()
	c := New(Options{System: "ghl", BaseURL: server.URL + "/api/v2/", Tokens: tokens})
	var out struct {
		Path string `json:"path"`
	}
	_, err := c.Do(t.Context(), Call{Method: "GET", Path: "a%2Fb"}, &out)
	require.NoError(t, err)
	assert.Equal(t, "/api/v2/a%2Fb", out.Path)
}

func TestClientRefusesABaseURLThatCantBeUsed(t *testing.T) {
	for _, base := range []string{"", "services.example", "ftp://x", "https://", "https://user:pass@x", "https://x?a=b", "https://x#a", "%"} {
		assert.Equal(t, crm.InvalidInput, failing(t, New(Options{System: "ghl", BaseURL: base, Tokens: tokens}), get, nil).Code, base)
	}
}

func TestClientKnowsWhetherARequestWentOut(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	refused := New(Options{System: "rankr", BaseURL: "http://" + closed.Addr().String(), Tokens: tokens})
	e := failing(t, refused, post, nil)
	assert.Equal(t, crm.RankrUnavailable, e.Code)
	assert.False(t, e.Landed, "nobody listens: nothing was sent")

	reset := against(t, "rankr", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	})
	assert.True(t, failing(t, reset, post, nil).Landed)
	assert.False(t, failing(t, reset, get, nil).Landed)
}

func TestClientStopsAtTheDeadline(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	defer server.Close()
	defer close(release)
	c := New(Options{System: "rankr", BaseURL: server.URL, Tokens: tokens, Timeout: 50 * time.Millisecond})
	e := failing(t, c, post, nil)
	assert.Equal(t, crm.RankrUnavailable, e.Code)
	assert.True(t, e.Landed)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Do(ctx, post, nil)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable})
	assert.False(t, err.(*crm.Error).Landed)
}

func TestClientHidesWhatATokenEndpointSays(t *testing.T) {
	for _, test := range []struct {
		err  error
		want crm.Code
	}{
		{&oauth2.RetrieveError{Response: &http.Response{StatusCode: 400}, Body: []byte(canary)}, crm.GHLToken},
		{&oauth2.RetrieveError{Response: &http.Response{StatusCode: 502}, Body: []byte(canary)}, crm.GHLUnavailable},
		{errors.New(canary), crm.GHLUnavailable},
		{fmt.Errorf("wrapped: %w", &crm.Error{Code: crm.UnknownLocation, Operation: "ghl contacts.get"}), crm.UnknownLocation},
	} {
		c := New(Options{System: "ghl", BaseURL: "http://127.0.0.1:1", Tokens: func(string) (oauth2.TokenSource, error) { return nil, test.err }})
		assert.Equal(t, test.want, failing(t, c, get, nil).Code)
	}
}

func TestClientTellsWhatItSpent(t *testing.T) {
	server := httptest.NewServer(jsonAnswer(404, `{"statusCode":404,"message":"x"}`))
	defer server.Close()
	var seen []string
	c := New(Options{System: "ghl", BaseURL: server.URL, Tokens: tokens, Observe: func(operation string, status int, took time.Duration) {
		assert.Positive(t, took)
		seen = append(seen, fmt.Sprint(operation, " ", status))
	}})
	failing(t, c, get, nil)
	server.Close()
	failing(t, c, get, nil)
	assert.Equal(t, []string{"contacts.get 404", "contacts.get 0"}, seen)
}

func TestClientLogsNothing(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	stderr, stdout, logger := os.Stderr, os.Stdout, slog.Default()
	defer slog.SetDefault(logger)
	os.Stderr, os.Stdout = write, write
	slog.SetDefault(slog.New(slog.NewTextHandler(write, nil)))
	call := get
	call.Query = url.Values{"email": {canary}}
	_, err = New(Options{System: "ghl", BaseURL: "http://127.0.0.1:1", Tokens: tokens}).Do(t.Context(), call, nil)
	os.Stderr, os.Stdout = stderr, stdout
	require.Error(t, err)
	require.NoError(t, write.Close())
	said, err := io.ReadAll(read)
	require.NoError(t, err)
	assert.Empty(t, string(said))
}
