package ghltest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

const (
	agency   = "CompanyAgency0000001"
	callback = "https://sync.example/oauth/callback"
)

// app is a server with an agency of three locations, and a caller that knows the app's secret.
func app(t *testing.T) (*api, *clock) {
	clock := newClock()
	a := serve(t, &ghltest.Server{Now: clock.Now})
	for _, id := range []string{"one", "two", "three"} {
		a.PutLocation(ghltest.Location{ID: id, Name: "Number " + id, Company: agency})
	}
	a.PutLocation(ghltest.Location{ID: home, Name: "Harbour"})
	return a, clock
}

// post sends a form; fields are names and values in turn.
func (a *api) post(path string, fields ...string) reply {
	a.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	request, err := http.NewRequest("POST", a.url+path, strings.NewReader(form.Encode()))
	require.NoError(a.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.version != "" {
		request.Header.Set("Version", a.version)
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(a.t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(a.t, err)
	r := reply{status: answer.StatusCode, header: answer.Header, text: string(raw)}
	_ = json.Unmarshal(raw, &r.body)
	return r
}

func (a *api) grant(kind string, fields ...string) reply {
	a.t.Helper()
	return a.post("/oauth/token", append([]string{
		"client_id", ghltest.ClientID, "client_secret", ghltest.ClientSecret, "grant_type", kind,
	}, fields...)...)
}

func (a *api) refresh(token string) reply { return a.grant("refresh_token", "refresh_token", token) }

// connect installs the app and changes its code.
func (a *api) connect(c ghltest.Choice) reply {
	a.t.Helper()
	code, err := a.Install(c)
	require.NoError(a.t, err)
	r := a.grant("authorization_code", "code", code, "redirect_uri", callback)
	require.Equal(a.t, 200, r.status, r.text)
	return r
}

func (r reply) get(name string) string {
	text, _ := r.body[name].(string)
	return text
}

// with makes the calls with another token.
func (a *api) with(token string) *api {
	b := *a
	b.token = token
	return &b
}

// visit opens the consent page without following it.
func (a *api) visit(query url.Values) (int, *url.URL, string) {
	a.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(a.url + "/v2/oauth/chooselocation?" + query.Encode())
	require.NoError(a.t, err)
	defer answer.Body.Close()
	raw, _ := io.ReadAll(answer.Body)
	to, _ := answer.Location()
	return answer.StatusCode, to, string(raw)
}

func consent(changes ...string) url.Values {
	query := url.Values{
		"response_type": {"code"}, "client_id": {ghltest.ClientID}, "redirect_uri": {callback}, "state": {"s t&ate"},
		"scope": {"contacts.readonly locations.readonly"},
	}
	for i := 0; i < len(changes); i += 2 {
		query.Set(changes[i], changes[i+1])
	}
	return query
}

func TestThePersonIsSentBackWithACodeThatIsGoodOnce(t *testing.T) {
	a, _ := app(t)
	status, _, page := a.visit(consent())
	assert.Equal(t, 200, status)
	assert.Contains(t, page, "Number two", "nobody has chosen yet")

	a.Choose(ghltest.Choice{Location: home})
	status, to, _ := a.visit(consent())
	require.Equal(t, 302, status)
	assert.True(t, strings.HasPrefix(to.String(), callback+"?"))
	assert.Equal(t, "s t&ate", to.Query().Get("state"))
	code := to.Query().Get("code")
	r := a.grant("authorization_code", "code", code, "redirect_uri", callback, "user_type", "Location")
	require.Equal(t, 200, r.status, r.text)
	assert.Equal(t, []string{"Bearer", "Location", home, ghltest.DefaultCompany, "contacts.readonly locations.readonly"},
		[]string{r.get("token_type"), r.get("userType"), r.get("locationId"), r.get("companyId"), r.get("scope")})
	assert.EqualValues(t, 86399, r.body["expires_in"])
	b := a.with(r.get("access_token"))
	assert.Equal(t, 200, b.ping().status)
	assert.Equal(t, "The token is not authorized for this scope.", b.call("GET", "/users/?locationId="+home, nil).get("message"))
	assert.Equal(t, 403, b.call("GET", "/locations/one", nil).status)

	r = a.grant("authorization_code", "code", code, "redirect_uri", callback)
	assert.Equal(t, "Invalid grant: authorization code is invalid", r.get("message"))
	assert.Equal(t, ghltest.TokenCounts{Exchanges: 1, Refused: 1}, a.TokenCounts("location/"+home))
	assert.Empty(t, a.Unknown())
}

func TestTheConsentPageSendsNobodyToStrangers(t *testing.T) {
	a, _ := app(t)
	a.Choose(ghltest.Choice{Location: home})
	a.AllowRedirects(callback)
	for name, change := range map[string][]string{
		"another address": {"redirect_uri", "https://evil.example/"}, "no address": {"redirect_uri", ""},
		"a longer one": {"redirect_uri", callback + "/../x"}, "script": {"redirect_uri", "javascript:alert(1)"},
		"another app": {"client_id", "x"}, "no scope": {"scope", ""}, "another flow": {"response_type", "token"},
		"a long state": {"state", strings.Repeat("x", 5000)},
	} {
		status, to, _ := a.visit(consent(change...))
		assert.Equal(t, 400, status, name)
		assert.Nil(t, to, name)
	}
	status, _, _ := a.visit(consent("state", strings.Repeat("x", 1<<20)))
	assert.GreaterOrEqual(t, status, 400, "a state of 1 MiB")
	a.Choose(ghltest.Choice{Deny: true})
	_, to, _ := a.visit(consent())
	assert.Equal(t, "access_denied", to.Query().Get("error"))
	assert.Empty(t, to.Query().Get("code"))
	status, _, _ = a.visit(consent("choose", "location/nowhere"))
	assert.Equal(t, 400, status)
	_, to, _ = a.visit(consent("choose", "company/"+agency))
	assert.NotEmpty(t, to.Query().Get("code"), "a click counts")
	assert.Empty(t, a.Unknown())
}

func TestACodeIsGoodForTenMinutesAndForItsAddress(t *testing.T) {
	a, clock := app(t)
	a.Choose(ghltest.Choice{Location: home})
	_, to, _ := a.visit(consent())
	code := to.Query().Get("code")
	r := a.grant("authorization_code", "code", code, "redirect_uri", "https://evil.example/")
	assert.Equal(t, "Invalid grant: redirect_uri is invalid", r.get("message"))
	assert.Equal(t, 400, a.grant("authorization_code", "code", "swapped").status)
	clock.forward(10 * time.Minute)
	r = a.grant("authorization_code", "code", code, "redirect_uri", callback)
	assert.Equal(t, "Invalid grant: authorization code has expired", r.get("message"))
}

func TestTheTokenEndpointRefusesWhatItMust(t *testing.T) {
	a, _ := app(t)
	assert.Equal(t, 401, a.post("/oauth/token", "client_id", ghltest.ClientID, "client_secret", "x", "grant_type", "refresh_token").status)
	assert.Equal(t, 401, a.post("/oauth/token", "client_id", "x", "client_secret", ghltest.ClientSecret, "grant_type", "refresh_token").status)
	assert.Equal(t, 422, a.post("/oauth/token").status)
	assert.Equal(t, 422, a.grant("password").status)
	assert.Equal(t, 422, a.grant("refresh_token", "user_type", "Agency").status)
	assert.Empty(t, a.Unknown())
	assert.Equal(t, 500, a.grant("refresh_token", "nonsense", "1").status)
	assert.Equal(t, 500, a.call("POST", "/oauth/token", map[string]any{}).status, "v2 has no JSON here")
	assert.Len(t, a.Unknown(), 2)
}

func TestARefreshTokenIsUsedUpAndRepeatsItsAnswerForThirtySeconds(t *testing.T) {
	a, clock := app(t)
	first := a.connect(ghltest.Choice{Location: home})
	second := a.refresh(first.get("refresh_token"))
	require.Equal(t, 200, second.status)
	assert.NotEqual(t, first.get("refresh_token"), second.get("refresh_token"))
	assert.NotEqual(t, first.get("access_token"), second.get("access_token"))
	clock.forward(30 * time.Second)
	again := a.refresh(first.get("refresh_token"))
	assert.Equal(t, second.get("refresh_token"), again.get("refresh_token"))
	assert.Equal(t, second.get("access_token"), again.get("access_token"))
	assert.EqualValues(t, 86369, again.body["expires_in"])
	clock.forward(time.Millisecond)
	late := a.refresh(first.get("refresh_token"))
	assert.Equal(t, 400, late.status)
	assert.Equal(t, "Invalid grant: refresh token is invalid", late.get("message"))
	assert.Equal(t, 200, a.refresh(second.get("refresh_token")).status)
	assert.Equal(t, ghltest.TokenCounts{Exchanges: 1, Refreshes: 2, Repeats: 1, Refused: 1}, a.TokenCounts("location/"+home))
	assert.Equal(t, 2, a.Stats().Tokens["location/"+home].Refreshes)
	assert.Equal(t, 400, a.refresh("made up").status)
}

func TestManyRefreshesAtOnceUseATokenUpOnce(t *testing.T) {
	a, _ := app(t)
	first := a.connect(ghltest.Choice{Location: home})
	b, answers := a.with(first.get("access_token")), make(chan reply)
	for range 16 {
		go func() {
			_, err := a.Install(ghltest.Choice{Location: home}) // again, meanwhile
			assert.NoError(t, err)
			b.ping()
			answers <- a.refresh(first.get("refresh_token"))
		}()
	}
	given := map[string]bool{}
	for range 16 {
		r := <-answers
		given[r.get("refresh_token")] = true
	}
	assert.Len(t, given, 1)
	assert.Equal(t, ghltest.TokenCounts{Exchanges: 1, Refreshes: 1, Repeats: 15}, a.TokenCounts("location/"+home))
}

func TestTokensExpire(t *testing.T) {
	a, clock := app(t)
	r := a.connect(ghltest.Choice{Location: home})
	b := a.with(r.get("access_token"))
	clock.forward(86398 * time.Second)
	assert.Equal(t, 200, b.ping().status)
	clock.forward(time.Second)
	assert.Equal(t, 401, b.ping().status)
	assert.Contains(t, b.ping().get("message"), "Invalid token")
	b.token = a.refresh(r.get("refresh_token")).get("access_token")
	assert.Equal(t, 200, b.ping().status)
	a.Expire("location/one")
	assert.Equal(t, 200, b.ping().status)
	a.Expire("")
	assert.Equal(t, 401, b.ping().status)
	assert.Equal(t, 200, a.ping().status, "a private integration token lasts")

	a.Set(func(k *ghltest.Knobs) { k.TokenLife = time.Minute })
	r = a.connect(ghltest.Choice{Location: home})
	assert.EqualValues(t, 60, r.body["expires_in"])
	clock.forward(365 * 24 * time.Hour)
	assert.Equal(t, 400, a.refresh(r.get("refresh_token")).status, "a year, or until used")
}

func TestACompanysTokenMintsThoseOfItsLocations(t *testing.T) {
	a, clock := app(t)
	company := a.connect(ghltest.Choice{Company: agency, Locations: []string{"one", "two"}, Future: true})
	assert.Equal(t, "Company", company.get("userType"))
	assert.NotContains(t, company.body, "locationId")
	assert.Equal(t, []any{"one", "two"}, company.body["approvedLocations"])
	assert.Equal(t, true, company.body["isBulkInstallation"])
	assert.Equal(t, true, company.body["installToFutureLocations"])
	b := a.with(company.get("access_token"))
	refused := b.call("GET", "/locations/one", nil)
	assert.Equal(t, 401, refused.status)
	assert.Contains(t, refused.get("message"), "authClass type is not allowed")

	minted := b.post("/oauth/locationToken", "companyId", agency, "locationId", "one")
	require.Equal(t, 200, minted.status, minted.text)
	assert.Equal(t, "one", minted.get("locationId"))
	assert.NotContains(t, minted.body, "refresh_token")
	one := a.with(minted.get("access_token"))
	assert.Equal(t, 200, one.call("GET", "/locations/one", nil).status)
	assert.Equal(t, 403, one.call("GET", "/locations/two", nil).status)
	for name, r := range map[string]reply{
		"not chosen":        b.post("/oauth/locationToken", "companyId", agency, "locationId", "three"),
		"another company's": b.post("/oauth/locationToken", "companyId", agency, "locationId", home),
		"another company":   b.post("/oauth/locationToken", "companyId", ghltest.DefaultCompany, "locationId", "one"),
		"nothing":           b.post("/oauth/locationToken"),
		"a location's":      one.post("/oauth/locationToken", "companyId", agency, "locationId", "one"),
		"a private one":     a.post("/oauth/locationToken", "companyId", agency, "locationId", "one"),
	} {
		assert.NotEqual(t, 200, r.status, name)
	}
	assert.Equal(t, 1, a.TokenCounts("location/one").Mints)
	clock.forward(24 * time.Hour)
	assert.Equal(t, 401, one.call("GET", "/locations/one", nil).status)
	assert.Empty(t, a.Unknown())
}

func TestInstalledLocationsComeInPages(t *testing.T) {
	a, _ := app(t)
	b := a.with(a.connect(ghltest.Choice{Company: agency, Locations: []string{"one", "two"}}).get("access_token"))
	const list = "/oauth/installedLocations?appId=" + ghltest.AppID + "&companyId=" + agency
	ids := func(r reply) (ids []string) {
		for _, row := range r.records("locations") {
			ids = append(ids, row["_id"].(string))
		}
		return ids
	}
	all := b.call("GET", list, nil)
	assert.Equal(t, []string{"one", "three", "two"}, ids(all))
	assert.Equal(t, []any{true, false, true}, []any{
		all.records("locations")[0]["isInstalled"], all.records("locations")[1]["isInstalled"], all.records("locations")[2]["isInstalled"],
	})
	has := b.call("GET", list+"&isInstalled=true&limit=1", nil)
	assert.Equal(t, []string{"one"}, ids(has))
	assert.EqualValues(t, 3, has.body["count"], "of all, as was seen")
	assert.Equal(t, []string{"two"}, ids(b.call("GET", list+"&isInstalled=true&skip=1", nil)))
	assert.Empty(t, ids(b.call("GET", list+"&isInstalled=true&skip=2", nil)))
	for _, query := range []string{"?companyId=" + agency, "?appId=x&companyId=" + agency, "?appId=x&companyId=other"} {
		assert.NotEqual(t, 200, b.call("GET", "/oauth/installedLocations"+query, nil).status, query)
	}
	assert.NotEqual(t, 200, b.call("GET", list+"&skip=x", nil).status)
	assert.Equal(t, 401, a.call("GET", list, nil).status, "a private integration token will not do")
	assert.Empty(t, a.Unknown())
}

func TestEachCompanyHasLimitsOfItsOwn(t *testing.T) {
	a, _ := app(t)
	b := a.with(a.connect(ghltest.Choice{Company: agency}).get("access_token"))
	a.Set(func(k *ghltest.Knobs) { k.Max = 1 })
	mint := func() int { return b.post("/oauth/locationToken", "companyId", agency, "locationId", "one").status }
	assert.Equal(t, []int{200, 429}, []int{mint(), mint()})
	assert.Equal(t, 200, a.ping().status)
}

func TestASuspendedLocationKeepsItsRefreshToken(t *testing.T) {
	a, _ := app(t)
	r := a.connect(ghltest.Choice{Location: "one"})
	company := a.connect(ghltest.Choice{Company: agency})
	a.Suspend("one")
	refused := a.refresh(r.get("refresh_token"))
	assert.Equal(t, 400, refused.status)
	assert.Equal(t, "Location is not active", refused.get("message"))
	refused = a.with(company.get("access_token")).post("/oauth/locationToken", "companyId", agency, "locationId", "one")
	assert.Equal(t, "Location is not active", refused.get("message"))
	assert.Equal(t, 401, a.with(r.get("access_token")).call("GET", "/locations/one", nil).status)
	assert.Equal(t, 200, a.refresh(company.get("refresh_token")).status, "its company is none the worse")
	a.Resume("one")
	assert.Equal(t, 200, a.with(r.get("access_token")).call("GET", "/locations/one", nil).status)
	assert.Equal(t, 200, a.refresh(r.get("refresh_token")).status)
}

func TestInstallsAndUninstallsAreTold(t *testing.T) {
	a, _ := app(t)
	l := listen(t, a)
	tell := func() (told []string) {
		for _, e := range l.take(a) {
			location, _ := e["locationId"].(string)
			company, _ := e["companyId"].(string)
			assert.Equal(t, ghltest.AppID, e["appId"])
			told = append(told, e["type"].(string)+" "+location+" "+company)
		}
		slices.Sort(told)
		return told
	}
	location := a.connect(ghltest.Choice{Location: home})
	assert.Equal(t, []string{"INSTALL " + home + " " + ghltest.DefaultCompany}, tell())
	company := a.connect(ghltest.Choice{Company: agency, Locations: []string{"one", "two"}, Future: true})
	assert.Equal(t, []string{"INSTALL  " + agency, "INSTALL one " + agency, "INSTALL two " + agency}, tell())
	a.PutLocation(ghltest.Location{ID: "four", Company: agency})
	assert.Equal(t, []string{"INSTALL four "}, tell(), "who and which company may be missing")
	a.PutLocation(ghltest.Location{ID: "four", Company: agency})
	assert.Empty(t, tell(), "it is no new one")

	b := a.with(company.get("access_token"))
	mint := func(id string) reply { return b.post("/oauth/locationToken", "companyId", agency, "locationId", id) }
	four, one := mint("four"), mint("one")
	require.Equal(t, 200, four.status)
	require.NoError(t, a.Uninstall("location/four"))
	assert.Equal(t, []string{"UNINSTALL four "}, tell())
	assert.Equal(t, 401, a.with(four.get("access_token")).call("GET", "/locations/four", nil).status)
	assert.Equal(t, 400, mint("four").status)
	assert.ErrorIs(t, a.Uninstall("location/four"), ghltest.ErrGone)

	require.NoError(t, a.Uninstall("company/"+agency))
	assert.Equal(t, []string{"UNINSTALL  " + agency}, tell())
	assert.Equal(t, 401, a.with(one.get("access_token")).call("GET", "/locations/one", nil).status)
	assert.Equal(t, 401, mint("one").status)
	assert.Equal(t, 400, a.refresh(company.get("refresh_token")).status)

	require.NoError(t, a.Uninstall("location/"+home))
	assert.Equal(t, 401, a.with(location.get("access_token")).ping().status)
	assert.Equal(t, 400, a.refresh(location.get("refresh_token")).status)
	assert.Equal(t, 200, a.ping().status, "a private integration token is no part of it")
	again := a.connect(ghltest.Choice{Location: home})
	assert.Equal(t, 200, a.with(again.get("access_token")).ping().status)
	assert.ErrorIs(t, a.Uninstall("location/nowhere"), ghltest.ErrGone)
	_, err := a.Install(ghltest.Choice{Location: "nowhere"})
	assert.Error(t, err)
}

func TestEventsOfTheAppLookLikeTheOfficialExamples(t *testing.T) {
	a, _ := app(t)
	for kind, files := range map[string][]string{
		ghltest.Install: {"AppInstall.json"}, ghltest.Uninstall: {"AppUninstall.json"},
	} {
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "ghl", "webhooks", file))
			if err != nil {
				t.Skip("the official example payloads are not at hand: ", err)
			}
			var example, event map[string]any
			require.NoError(t, json.Unmarshal(text, &example))
			body, err := a.Event(kind, "location/one")
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(body, &event))
			for name, value := range example {
				assert.IsType(t, value, event[name], name)
			}
		}
	}
	_, err := a.Event(ghltest.Install, "nobody")
	assert.ErrorIs(t, err, ghltest.ErrGone)
}

func TestTheAppItselfGetsATokenOfTheOnlyCompanyThatHasIt(t *testing.T) {
	a, _ := app(t)
	assert.Equal(t, 400, a.grant("client_credentials").status)
	a.connect(ghltest.Choice{Company: agency})
	r := a.grant("client_credentials", "user_type", "Company")
	require.Equal(t, 200, r.status)
	assert.NotContains(t, r.body, "refresh_token")
	assert.Equal(t, 200, a.with(r.get("access_token")).post("/oauth/locationToken", "companyId", agency, "locationId", "one").status)
	a.connect(ghltest.Choice{Company: ghltest.DefaultCompany})
	assert.Equal(t, 400, a.grant("client_credentials").status, "of which?")
}

func TestTheAppItselfGetsATokenOfTheOnlyLocationWhereNoCompanyHasIt(t *testing.T) {
	a, _ := app(t)
	a.connect(ghltest.Choice{Location: home})
	r := a.grant("client_credentials")
	require.Equal(t, 200, r.status)
	assert.Equal(t, home, r.get("locationId"))
	assert.NotContains(t, r.body, "refresh_token")
	a.Suspend(home)
	assert.Equal(t, 400, a.grant("client_credentials").status)
	a.Resume(home)
	a.connect(ghltest.Choice{Location: "one"})
	assert.Equal(t, 400, a.grant("client_credentials").status, "of which?")
}

func TestTheAppIsInstalledFromAnotherProcess(t *testing.T) {
	a, _ := app(t)
	r, ctx := remote(t, a), t.Context()
	code, err := r.Install(ctx, ghltest.Choice{Location: home})
	require.NoError(t, err)
	tokens := a.grant("authorization_code", "code", code)
	b := a.with(tokens.get("access_token"))
	require.NoError(t, r.Suspend(ctx, home))
	assert.Equal(t, 401, b.ping().status)
	require.NoError(t, r.Resume(ctx, home))
	assert.Equal(t, 200, b.ping().status)
	require.NoError(t, r.Expire(ctx, "location/"+home))
	assert.Equal(t, 401, b.ping().status)
	require.NoError(t, r.AllowRedirects(ctx, callback))
	require.NoError(t, r.Choose(ctx, ghltest.Choice{Location: "one"}))
	_, to, _ := a.visit(consent())
	assert.NotEmpty(t, to.Query().Get("code"))
	status, _, _ := a.visit(consent("redirect_uri", "https://evil.example/"))
	assert.Equal(t, 400, status)
	stats, err := r.Stats(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, stats.Tokens["location/"+home].Exchanges)
	require.NoError(t, r.Uninstall(ctx, "location/"+home))
	assert.ErrorIs(t, r.Uninstall(ctx, "location/"+home), ghltest.ErrGone)
}

func TestEveryAnswerAboutTokensFitsTheOfficialDocument(t *testing.T) {
	doc := officialSpec(t, filepath.Join("..", "..", "..", "..", "shared", "ghl", "openapi", "apps", "oauth.json"))
	a, _ := app(t)
	seen := map[int]bool{}
	check := func(r reply) reply {
		t.Helper()
		calls := a.Calls()
		call := calls[len(calls)-1]
		request, err := http.NewRequest(call.Method, a.url+call.Path, nil)
		require.NoError(t, err)
		seen[r.status] = true
		fits(t, doc, call.Path, call, request, r)
		return r
	}
	code, err := a.Install(ghltest.Choice{Company: agency})
	require.NoError(t, err)
	company := check(a.grant("authorization_code", "code", code))
	check(a.grant("authorization_code", "code", code))
	check(a.refresh(check(a.connect(ghltest.Choice{Location: home})).get("refresh_token")))
	check(a.grant("client_credentials"))
	check(a.grant("nonsense"))
	check(a.post("/oauth/token", "client_id", "x", "client_secret", "x", "grant_type", "refresh_token"))
	b := a.with(company.get("access_token"))
	check(b.post("/oauth/locationToken", "companyId", agency, "locationId", "one"))
	check(b.post("/oauth/locationToken"))
	check(a.post("/oauth/locationToken", "companyId", agency, "locationId", "one"))
	a.Suspend("one")
	check(b.post("/oauth/locationToken", "companyId", agency, "locationId", "one"))
	const list = "/oauth/installedLocations?companyId=" + agency
	check(b.call("GET", list+"&appId="+ghltest.AppID, nil))
	check(b.call("GET", list, nil))
	check(b.call("GET", list+"&appId=x", nil))
	check(a.call("GET", list, nil))
	assert.Equal(t, map[int]bool{200: true, 400: true, 401: true, 422: true}, seen)
}
