package ghl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// secrets stand for what must never be told.
const (
	aCode    = "canary-code"
	aRefresh = "canary-refresh"
	aSecret  = "canary-secret"
	anAccess = "canary-access"
)

const (
	tokenCall = "POST /oauth/token"
	mintCall  = "POST /oauth/locationToken"
	listCall  = "GET /oauth/installedLocations"
)

func testApp() App {
	return App{
		ClientID: "app1-x", Secret: func() (crm.Secret, error) { return aSecret, nil },
		RedirectURL: "https://sync.example/oauth/callback", Scopes: []string{"contacts.readonly", "locations.readonly"},
	}
}

func newOAuth(url string) *OAuth {
	o := NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: url}), testApp()) // no token sources: none may be asked
	o.now = func() time.Time { return clock }
	return o
}

// scriptedOAuth starts a script that says what it is told to, by method and path.
func scriptedOAuth(t *testing.T, says map[string]string) (*script, *OAuth) {
	t.Helper()
	s := &script{says: map[string]func(*http.Request) (int, string){}}
	for name, body := range says {
		s.say(name, 200, body)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, newOAuth(server.URL)
}

// requests are all calls that give tokens, by operation.
func requests(t *testing.T, o *OAuth) map[string]func() (crm.Grant, error) {
	ctx := t.Context()
	return map[string]func() (crm.Grant, error){
		"oauth.exchange":           func() (crm.Grant, error) { return o.Exchange(ctx, aCode, crm.LocationToken) },
		"oauth.refresh":            func() (crm.Grant, error) { return o.Refresh(ctx, "location/L", aRefresh) },
		"oauth.client-credentials": func() (crm.Grant, error) { return o.ClientCredentials(ctx) },
		"oauth.location-token":     func() (crm.Grant, error) { return o.MintLocationToken(ctx, anAccess, "K", "L") },
	}
}

// refusal demands one of ours that tells none of the secrets.
func refusal(t *testing.T, err error) *crm.Error {
	t.Helper()
	var e *crm.Error
	require.ErrorAs(t, err, &e)
	for e := err; e != nil; e = errors.Unwrap(e) {
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", e, e, e), "canary")
	}
	return e
}

const locationAnswer = `{"access_token":"canary-access","token_type":"Bearer","expires_in":86399,"refresh_token":"canary-new","scope":"a b",
	"userType":"Location","locationId":"L","companyId":"K","userId":"U","traceId":"x","unknown":[1]}`

var locationGrant = crm.Grant{
	Kind: crm.LocationToken, Location: "L", Company: "K", AccessToken: anAccess, RefreshToken: "canary-new",
	Expires: clock.Add(86399 * time.Second), Scopes: []string{"a", "b"},
}

func TestTheConsentLinkIsAsGHLWantsIt(t *testing.T) {
	o := newOAuth("https://ghl.example")
	link, err := url.Parse(o.ConsentURL("st&te"))
	require.NoError(t, err)
	assert.Equal(t, ConsentPage, link.Scheme+"://"+link.Host+link.Path)
	assert.Equal(t, url.Values{
		"response_type": {"code"}, "client_id": {"app1-x"}, "redirect_uri": {"https://sync.example/oauth/callback"},
		"scope": {"contacts.readonly locations.readonly"}, "state": {"st&te"},
	}, link.Query())
	assert.NotContains(t, link.String(), "canary")

	o.app.Consent, o.app.VersionID = "https://marketplace.leadconnectorhq.com/v2/oauth/chooselocation", "v1"
	link, err = url.Parse(o.ConsentURL("s"))
	require.NoError(t, err)
	assert.Equal(t, "marketplace.leadconnectorhq.com", link.Host)
	assert.Equal(t, "v1", link.Query().Get("version_id"))
	assert.Equal(t, "app1", o.App().ID())
	assert.Equal(t, "whole", App{ClientID: "whole"}.ID())
	for _, scope := range []string{"contacts.readonly", "contacts.write", "locations.readonly", "oauth.readonly", "oauth.write"} {
		assert.Contains(t, Scopes(), scope)
	}
}

func TestEachGrantIsAskedForInAForm(t *testing.T) {
	s, o := scriptedOAuth(t, map[string]string{tokenCall: locationAnswer, mintCall: locationAnswer})
	app := url.Values{"client_id": {"app1-x"}, "client_secret": {aSecret}}
	with := func(more url.Values) url.Values {
		for name, value := range app {
			more[name] = value
		}
		return more
	}
	for name, want := range map[string]url.Values{
		"oauth.exchange": with(url.Values{
			"grant_type": {"authorization_code"}, "code": {aCode}, "redirect_uri": {"https://sync.example/oauth/callback"}, "user_type": {"Location"},
		}),
		"oauth.refresh":            with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {aRefresh}, "user_type": {"Location"}}),
		"oauth.client-credentials": with(url.Values{"grant_type": {"client_credentials"}}),
		"oauth.location-token":     {"companyId": {"K"}, "locationId": {"L"}},
	} {
		_, err := requests(t, o)[name]()
		require.NoError(t, err, name)
		got, err := url.ParseQuery(s.bodies[len(s.bodies)-1])
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
	s.say(tokenCall, 200, companyAnswer)
	_, err := o.Refresh(t.Context(), "company/K", aRefresh)
	require.NoError(t, err)
	assert.Contains(t, s.bodies[len(s.bodies)-1], "user_type=Company")
}

const companyAnswer = `{"access_token":"canary-access","expires_in":"86399","refresh_token":"canary-new","userType":"Company","companyId":"K",
	"approvedLocations":["L1","L2"],"isBulkInstallation":true,"installToFutureLocations":true,"userId":"U"}`

func TestAGrantIsReadInBothSpellings(t *testing.T) {
	s, o := scriptedOAuth(t, map[string]string{tokenCall: locationAnswer})
	got, err := o.Exchange(t.Context(), aCode, crm.LocationToken)
	require.NoError(t, err)
	assert.Equal(t, locationGrant, got)
	assert.Equal(t, "location/L", got.Owner())

	s.say(tokenCall, 201, `{"accessToken":"canary-access","tokenType":"bearer","expiresIn":86399,"refreshToken":"canary-new","scope":"a b",
		"userType":"Location","locationId":"L","companyId":"K"}`)
	got, err = o.Refresh(t.Context(), "location/L", aRefresh)
	require.NoError(t, err)
	assert.Equal(t, locationGrant, got)

	s.say(tokenCall, 200, companyAnswer)
	got, err = o.Exchange(t.Context(), aCode, crm.LocationToken)
	require.NoError(t, err, "an agency's admin gets a company's token for a location")
	assert.Equal(t, crm.Grant{
		Kind: crm.CompanyToken, Company: "K", AccessToken: anAccess, RefreshToken: "canary-new", Expires: clock.Add(86399 * time.Second),
		Scopes: []string{}, Approved: []string{"L1", "L2"}, Bulk: true, Future: true,
	}, got)
	assert.Equal(t, "company/K", got.Owner())

	s.say(tokenCall, 200, `{"access_token":"canary-access","expires_in":10,"userType":"Company","companyId":"K"}`)
	got, err = o.ClientCredentials(t.Context())
	require.NoError(t, err, "no refresh token is due")
	assert.Equal(t, crm.ClientCredentials, got.Kind)

	for _, more := range []string{``, `,"locationId":"L","companyId":"K"`, `,"locationId":"L","refreshToken":"canary-x"`} {
		s.say(mintCall, 201, `{"access_token":"canary-access","expires_in":10`+strings.TrimPrefix(more, "")+`,"userId":"U"}`)
		got, err = o.MintLocationToken(t.Context(), anAccess, "K", "L")
		if more == "" {
			assert.Equal(t, crm.GHLUnavailable, refusal(t, err).Code, "whose is it?")
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, crm.Grant{
			Kind: crm.MintedToken, Location: "L", Company: "K", AccessToken: anAccess, Expires: clock.Add(10 * time.Second), Scopes: []string{},
		}, got)
	}
}

func TestAnAnswerThatIsNotAboutWhatWasAskedIsNone(t *testing.T) {
	change := func(old, new string) string {
		require.Contains(t, locationAnswer, old)
		return strings.Replace(locationAnswer, old, new, 1)
	}
	all := []string{"oauth.exchange", "oauth.refresh", "oauth.client-credentials", "oauth.location-token"}
	renewable := all[:2]
	for name, test := range map[string]struct {
		body string
		ops  []string
	}{
		"nothing": {`{}`, all}, "null": {`null`, all}, "a list": {`[]`, all}, "cut": {locationAnswer[:60], all}, "empty": {``, all},
		"no access token":    {change(`"access_token":"canary-access"`, `"access_token":""`), all},
		"a token of lines":   {change(`canary-access`, `canary\r\nX: y`), all},
		"a long token":       {change(`canary-access`, strings.Repeat("x", 1<<20)), all},
		"another kind":       {change(`"Bearer"`, `"mac"`), all},
		"no refresh token":   {change(`"refresh_token":"canary-new",`, ``), renewable},
		"null refresh token": {change(`"canary-new"`, `null`), renewable},
		"odd refresh token":  {change(`canary-new`, `canary new`), all},
		"no expiry":          {change(`"expires_in":86399,`, ``), all},
		"expired":            {change(`86399`, `0`), all},
		"negative":           {change(`86399`, `-1`), all},
		"no number":          {change(`86399`, `"NaN"`), all},
		"for ever":           {change(`86399`, `1e300`), all},
		"another location":   {change(`"locationId":"L"`, `"locationId":"canary"`), all[1:2]},
		"another, minted":    {change(`"locationId":"L"`, `"locationId":"canary"`), all[3:]},
		"another company":    {change(`"companyId":"K"`, `"companyId":"canary"`), all[3:]},
		"no location":        {change(`"locationId":"L",`, ``), all},
		"no id":              {change(`"locationId":"L"`, `"locationId":"../canary"`), all},
		"no company's id":    {change(`"companyId":"K"`, `"companyId":"a/canary"`), all},
		"a company's":        {change(`"userType":"Location"`, `"userType":"Company"`), []string{all[1], all[3]}},
		"an unknown kind":    {change(`"userType":"Location"`, `"userType":"canary"`), all},
		"strange locations":  {change(`"unknown":[1]`, `"approvedLocations":["L","../canary"]`), all},
		"wrong type":         {change(`"canary-new"`, `{"canary":1}`), all},
		"an error with 200":  {`{"error":"invalid_grant","error_description":"canary"}`, all},
	} {
		_, o := scriptedOAuth(t, map[string]string{tokenCall: test.body, mintCall: test.body})
		for _, operation := range test.ops {
			got, err := requests(t, o)[operation]()
			e := refusal(t, err)
			assert.Equal(t, crm.GHLUnavailable, e.Code, "%s: %s", operation, name)
			assert.True(t, e.Landed, "%s: %s: the token may be used up", operation, name)
			assert.Equal(t, "ghl "+operation, e.Operation)
			assert.Equal(t, crm.Grant{}, got)
		}
	}
	_, o := scriptedOAuth(t, map[string]string{tokenCall: locationAnswer})
	_, err := o.Refresh(t.Context(), "company/K", aRefresh)
	assert.Equal(t, crm.GHLUnavailable, refusal(t, err).Code, "a location's for a company's")
	for name, body := range map[string]string{"another": strings.Replace(companyAnswer, `"K"`, `"X"`, 1), "none": strings.Replace(companyAnswer, `"K"`, `""`, 1)} {
		_, o := scriptedOAuth(t, map[string]string{tokenCall: body})
		_, err := o.Refresh(t.Context(), "company/K", aRefresh)
		assert.Equal(t, crm.GHLUnavailable, refusal(t, err).Code, name)
	}
}

func TestARefusalTellsWhatToDo(t *testing.T) {
	settings := []string{"GHL_CLIENT_ID", "GHL_CLIENT_SECRET"}
	for name, test := range map[string]struct {
		status            int
		body              string
		exchange, refresh crm.Code
		fields, fields2   []string
	}{
		"used up": {400, `{"statusCode":400,"message":"Invalid grant: refresh token is invalid canary"}`, crm.GHLReconnect, crm.GHLReconnect, []string{"code"}, []string{"refresh_token"}},
		"OAuth's": {400, `{"error":"invalid_grant","error_description":"canary"}`, crm.GHLReconnect, crm.GHLReconnect, []string{"code"}, []string{"refresh_token"}},
		"paused":  {400, `{"statusCode":400,"message":"Location is not active"}`, crm.GHLSuspended, crm.GHLSuspended, nil, nil},
		"client":  {401, `{"statusCode":401,"message":"Invalid client: client credentials are invalid"}`, crm.InvalidInput, crm.InvalidInput, settings, settings},
		"401":     {401, `{"statusCode":401,"message":"Unauthorized canary","error":"Unauthorized"}`, crm.InvalidInput, crm.InvalidInput, settings, settings},
		"address": {
			400, `{"statusCode":400,"message":"Invalid grant: redirect_uri is invalid"}`, crm.InvalidInput, crm.InvalidInput,
			[]string{"GHL_REDIRECT_URL"},
			[]string{"GHL_REDIRECT_URL"},
		},
		"version": {401, `{"statusCode":401,"message":"version header was not found."}`, crm.GHLToken, crm.GHLToken, []string{"Version"}, []string{"Version"}},
		"limited": {429, `{}`, crm.GHLRateLimited, crm.GHLRateLimited, nil, nil},
		"down":    {503, `canary`, crm.GHLUnavailable, crm.GHLUnavailable, nil, nil},
		"proxy":   {400, `<p>Invalid grant canary</p>`, crm.GHLUnavailable, crm.GHLUnavailable, nil, nil},
		"content": {422, `{"statusCode":422,"message":["canary must be a string"]}`, crm.GHLInvalid, crm.GHLInvalid, nil, nil},
	} {
		s, o := scriptedOAuth(t, nil)
		s.say(tokenCall, test.status, test.body)
		_, err := o.Exchange(t.Context(), aCode, crm.CompanyToken)
		e := refusal(t, err)
		assert.Equal(t, test.exchange, e.Code, name)
		assert.Equal(t, test.fields, e.Fields, name)
		_, err = o.Refresh(t.Context(), "location/L", aRefresh)
		e = refusal(t, err)
		assert.Equal(t, test.refresh, e.Code, name)
		assert.Equal(t, test.fields2, e.Fields, name)
		assert.Len(t, s.asked, 2, "nothing is tried again")
	}
	s, o := scriptedOAuth(t, nil)
	s.say(mintCall, 401, `{"statusCode":401,"message":"This authClass type is not allowed to access this scope."}`)
	_, err := o.MintLocationToken(t.Context(), anAccess, "K", "L")
	assert.Equal(t, crm.GHLToken, refusal(t, err).Code)
}

func TestNobodyThereIsGHLAway(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	for name, request := range requests(t, newOAuth(server.URL)) {
		_, err := request()
		e := refusal(t, err)
		assert.Equal(t, crm.GHLUnavailable, e.Code, name)
		assert.False(t, e.Landed, name)
	}
	lost := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer lost.Close()
	_, err := newOAuth(lost.URL).Refresh(t.Context(), "location/L", aRefresh)
	assert.True(t, refusal(t, err).Landed, "the refresh token may be used up")
}

func TestWhatCanNotBeAskedForIsNotAskedFor(t *testing.T) {
	s, o := scriptedOAuth(t, nil)
	ctx := t.Context()
	_, noCode := o.Exchange(ctx, "", crm.LocationToken)
	_, noRefresh := o.Refresh(ctx, "location/L", "")
	_, noOwner := o.Refresh(ctx, "L", aRefresh)
	_, noToken := o.MintLocationToken(ctx, "", "K", "L")
	_, noCompany := o.MintLocationToken(ctx, anAccess, "../K", "L")
	_, noLocation := o.MintLocationToken(ctx, anAccess, "K", "")
	for _, app := range []App{{}, {ClientID: "x", Secret: testApp().Secret}, {ClientID: "x"}} {
		o := NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: "http://127.0.0.1:1"}), app)
		if app.Secret != nil && app.ClientID != "" {
			o.app.Secret = func() (crm.Secret, error) { return "", errors.New("canary: no such file") }
		} else if app.Secret == nil {
			o.app.Secret = func() (crm.Secret, error) { return "", nil }
		}
		_, err := o.ClientCredentials(ctx)
		e := refusal(t, err)
		assert.Equal(t, crm.InvalidInput, e.Code)
		assert.Equal(t, []string{"GHL_CLIENT_ID", "GHL_CLIENT_SECRET"}, e.Fields)
	}
	for _, err := range []error{noCode, noRefresh, noOwner, noToken, noCompany, noLocation} {
		assert.Equal(t, crm.InvalidInput, refusal(t, err).Code)
	}
	for _, company := range []string{"", "a/b"} {
		for _, err := range o.InstalledLocations(ctx, anAccess, company, "app1") {
			assert.Equal(t, crm.InvalidInput, refusal(t, err).Code)
		}
	}
	assert.Empty(t, s.asked)
}

// walkInstalled collects what a walk yields.
func walkInstalled(t *testing.T, o *OAuth) (found []crm.InstalledLocation, err error) {
	t.Helper()
	for location, failed := range o.InstalledLocations(t.Context(), anAccess, "K", "app1") {
		if failed != nil {
			return found, failed
		}
		found = append(found, location)
	}
	return found, nil
}

// installedPages answers the list by how many rows are skipped.
func (s *script) installedPages(count int, pages map[string]string) {
	s.says[listCall] = func(r *http.Request) (int, string) {
		return 200, fmt.Sprintf(`{"locations":[%s],"count":%d}`, pages[r.URL.Query().Get("skip")], count)
	}
}

func TestInstalledLocationsAreWalkedToTheEnd(t *testing.T) {
	s, o := scriptedOAuth(t, nil)
	s.installedPages(9, map[string]string{
		"0": `{"_id":"L1","name":"One","address":"x","isInstalled":true,"installedAt":"2026-11-24T10:00:00.000Z"},{"_id":"L2","name":null}`,
		"2": `{"id":"L3","isInstalled":false},{"_id":"L4","name":"Four"},{"_id":"L2"}`,
	})
	found, err := walkInstalled(t, o)
	require.NoError(t, err)
	assert.Equal(t, []crm.InstalledLocation{{ID: "L1", Name: "One", Installed: clock}, {ID: "L2"}, {ID: "L4", Name: "Four"}}, found)
	assert.Len(t, s.asked, 3, "a page may hold less than was asked for: only an empty one is the last")

	s.installedPages(2, map[string]string{"0": `{"_id":"L1"},{"_id":"L2"}`})
	found, err = walkInstalled(t, o)
	require.NoError(t, err)
	assert.Len(t, found, 2)
	assert.Len(t, s.asked, 4, "all that there are")
}

func TestAListThatCanNotBeOneEndsTheWalkWithAnError(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": `{}`, "null": `{"locations":null}`, "no id": `{"locations":[{"name":"canary"}]}`, "a strange id": `{"locations":[{"_id":"../canary"}]}`,
		"the same again": `{"locations":[{"_id":"L1"}],"count":1e9}`,
	} {
		s, o := scriptedOAuth(t, map[string]string{listCall: body})
		_, err := walkInstalled(t, o)
		assert.Equal(t, crm.GHLUnavailable, refusal(t, err).Code, name)
		assert.LessOrEqual(t, len(s.asked), 2, name)
	}
}

func TestARefusedListEndsTheWalkWithItsError(t *testing.T) {
	s, o := scriptedOAuth(t, nil)
	s.say(listCall, 401, `{"statusCode":401,"message":"The token is not authorized for this scope."}`)
	_, err := walkInstalled(t, o)
	assert.Equal(t, crm.GHLScope, refusal(t, err).Code)
}

func TestEveryRequestForTokensKeepsToTheOfficialSpec(t *testing.T) {
	specs := []routers.Router{router(t, "oauth.json")}
	s, _ := scriptedOAuth(t, map[string]string{tokenCall: locationAnswer, mintCall: locationAnswer})
	s.installedPages(2, map[string]string{"0": `{"_id":"L1"}`})
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		validate(t, specs, r)
		assert.Equal(t, r.URL.Path == "/oauth/token", r.Header.Get("Authorization") == "", r.URL.Path)
		assert.NotContains(t, r.URL.String(), "canary")
		asked = append(asked, r.Method+" "+r.URL.Path)
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	o := newOAuth(server.URL)
	var names []string
	for name, request := range requests(t, o) {
		_, err := request()
		require.NoError(t, err, name)
		names = append(names, name)
	}
	_, err := walkInstalled(t, o)
	require.NoError(t, err)
	assert.Len(t, asked, 6, "the list has two pages")
	names = append(names, "oauth.installed-locations")
	for _, operation := range OAuthOperations {
		assert.True(t, slices.Contains(names, operation.Name), "no method makes the call %s", operation.Name)
		assert.NotEmpty(t, operation.Doc)
		assert.True(t, slices.Contains(asked, operation.Method+" /"+operation.Path), operation.Name)
	}
}
