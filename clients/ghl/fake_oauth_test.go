package ghl_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

const agency = "Agency"

// fakeOAuth starts a GHL with an agency of 250 locations and one of another company's, and an app's client of it.
func fakeOAuth(t *testing.T) (*ghltest.Server, *ghl.OAuth, string) {
	t.Helper()
	server := ghltest.New()
	for i := range 250 {
		server.PutLocation(ghltest.Location{ID: "L" + strconv.Itoa(i), Name: "Number " + strconv.Itoa(i), Company: agency})
	}
	server.PutLocation(ghltest.Location{ID: "L", Name: "Single"})
	wire := httptest.NewServer(server)
	t.Cleanup(func() { wire.Close(); server.FailOnUnknown(t) })
	return server, ghl.NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: wire.URL}), ghl.App{
		ClientID: ghltest.ClientID, Secret: func() (crm.Secret, error) { return ghltest.ClientSecret, nil },
		RedirectURL: "https://sync.example/oauth/callback", Scopes: ghl.Scopes(), Consent: wire.URL + "/v2/oauth/chooselocation",
	}), wire.URL
}

// connect installs the app and changes its code.
func connect(t *testing.T, server *ghltest.Server, o *ghl.OAuth, choice ghltest.Choice) crm.Grant {
	t.Helper()
	code, err := server.Install(choice)
	require.NoError(t, err)
	grant, err := o.Exchange(t.Context(), crm.Secret(code), crm.LocationToken)
	require.NoError(t, err)
	return grant
}

// visit opens the app's link as a browser does, and returns where it is sent back to.
func visit(t *testing.T, o *ghl.OAuth, state string) (int, url.Values) {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.Get(o.ConsentURL(state))
	require.NoError(t, err)
	_ = answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		return answer.StatusCode, nil
	}
	assert.True(t, strings.HasPrefix(to.String(), o.App().RedirectURL+"?"))
	return answer.StatusCode, to.Query()
}

// reader is a client that speaks for one location with a token.
func reader(url string, token crm.Secret) *ghl.Client {
	return ghl.New(rest.New(rest.Options{System: "ghl", BaseURL: url, Tokens: func(string) (oauth2.TokenSource, error) {
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: string(token)}), nil
	}}), ghl.Options{})
}

func TestALinkAndACodeConnectALocation(t *testing.T) {
	server, o, url := fakeOAuth(t)
	server.Choose(ghltest.Choice{Location: "L"})
	status, back := visit(t, o, "of this browser")
	require.Equal(t, http.StatusFound, status)
	assert.Equal(t, "of this browser", back.Get("state"))
	grant, err := o.Exchange(t.Context(), crm.Secret(back.Get("code")), crm.LocationToken)
	require.NoError(t, err)
	assert.Equal(t, "location/L", grant.Owner())
	assert.Equal(t, ghl.Scopes(), grant.Scopes)
	assert.WithinDuration(t, time.Now().Add(24*time.Hour), grant.Expires, time.Minute)
	_, _, err = reader(url, grant.AccessToken).Location(t.Context(), "L")
	require.NoError(t, err)
	_, _, err = reader(url, grant.AccessToken).Location(t.Context(), "L1")
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLTenant})

	for name, code := range map[string]string{"reused": back.Get("code"), "swapped": "code-of-somebody-else", "long": strings.Repeat("x", 1<<20)} {
		_, err = o.Exchange(t.Context(), crm.Secret(code), crm.LocationToken)
		assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLReconnect}, name)
	}
	status, back = visit(t, o, strings.Repeat("x", 1<<20))
	assert.GreaterOrEqual(t, status, 400, "a state of 1 MiB")
	assert.Nil(t, back)
	server.AllowRedirects("https://sync.example/")
	status, back = visit(t, o, "s")
	assert.Equal(t, 400, status, "another address than the app's")
	assert.Nil(t, back)
}

func TestACodeIsGoodForItsAddressOnly(t *testing.T) {
	server, o, _ := fakeOAuth(t)
	server.Choose(ghltest.Choice{Location: "L"})
	_, back := visit(t, o, "s")
	app := o.App()
	app.RedirectURL = "https://evil.example/"
	tampered := ghl.NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: strings.TrimSuffix(app.Consent, "/v2/oauth/chooselocation")}), app)
	_, err := tampered.Exchange(t.Context(), crm.Secret(back.Get("code")), crm.LocationToken)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
	assert.ErrorContains(t, err, "GHL_REDIRECT_URL")
	app.Secret = func() (crm.Secret, error) { return "guess", nil }
	stranger := ghl.NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: strings.TrimSuffix(app.Consent, "/v2/oauth/chooselocation")}), app)
	_, err = stranger.Exchange(t.Context(), crm.Secret(back.Get("code")), crm.LocationToken)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
	assert.ErrorContains(t, err, "GHL_CLIENT_SECRET")
}

func TestAnAgencyConnectsOnceAndItsLocationsAreMinted(t *testing.T) {
	server, o, url := fakeOAuth(t)
	company := connect(t, server, o, ghltest.Choice{Company: agency, Future: true})
	assert.Equal(t, crm.CompanyToken, company.Kind)
	assert.Len(t, company.Approved, 250)
	assert.True(t, company.Bulk && company.Future)
	var found []string
	for location, err := range o.InstalledLocations(t.Context(), company.AccessToken, company.Company, o.App().ID()) {
		require.NoError(t, err)
		assert.False(t, location.Installed.IsZero())
		found = append(found, location.ID)
	}
	slices.Sort(found)
	assert.Equal(t, company.Approved, found)
	assert.Equal(t, 3, server.Count("oauth.installed-locations"))

	_, _, err := reader(url, company.AccessToken).Location(t.Context(), "L1")
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLToken})
	assert.ErrorContains(t, err, "userType")
	minted, err := o.MintLocationToken(t.Context(), company.AccessToken, agency, "L1")
	require.NoError(t, err)
	assert.Equal(t, crm.MintedToken, minted.Kind)
	_, _, err = reader(url, minted.AccessToken).Location(t.Context(), "L1")
	require.NoError(t, err)
	_, err = o.MintLocationToken(t.Context(), company.AccessToken, agency, "L")
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLTenant})
	server.Expire("company/" + agency)
	_, err = o.MintLocationToken(t.Context(), company.AccessToken, agency, "L1")
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLToken})
	own, err := o.ClientCredentials(t.Context())
	require.NoError(t, err)
	assert.Equal(t, crm.ClientCredentials, own.Kind)
	assert.Equal(t, "company/"+agency, own.Owner())
}

func TestALostAnswerOfARefreshIsMadeUpForInTheGrace(t *testing.T) {
	server, o, _ := fakeOAuth(t)
	grant := connect(t, server, o, ghltest.Choice{Location: "L"})
	server.Fail(ghltest.Fault{Operation: "oauth.token", ResetAfter: true, Times: 1})
	_, err := o.Refresh(t.Context(), "location/L", grant.RefreshToken)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLUnavailable})
	assert.True(t, err.(*crm.Error).Landed)
	next, err := o.Refresh(t.Context(), "location/L", grant.RefreshToken)
	require.NoError(t, err)
	assert.NotEqual(t, grant.RefreshToken, next.RefreshToken)
	assert.Equal(t, ghltest.TokenCounts{Exchanges: 1, Refreshes: 1, Repeats: 1}, server.TokenCounts("location/L"))
}

func TestARefreshTokenThatIsUsedUpOrPausedIsToldApart(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	server, o, _ := fakeOAuth(t)
	server.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	grant := connect(t, server, o, ghltest.Choice{Location: "L"})
	server.Suspend("L")
	_, err := o.Refresh(t.Context(), "location/L", grant.RefreshToken)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLSuspended})
	server.Resume("L")
	next, err := o.Refresh(t.Context(), "location/L", grant.RefreshToken)
	require.NoError(t, err, "it was kept")
	mu.Lock()
	now = now.Add(31 * time.Second)
	mu.Unlock()
	_, err = o.Refresh(t.Context(), "location/L", grant.RefreshToken)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLReconnect})
	require.NoError(t, server.Uninstall("location/L"))
	_, err = o.Refresh(t.Context(), "location/L", next.RefreshToken)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLReconnect})
}

func TestOAuthSurvivesEveryFaultOfTheFake(t *testing.T) {
	server, o, _ := fakeOAuth(t)
	server.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	company := connect(t, server, o, ghltest.Choice{Company: agency})
	for name, test := range map[string]struct {
		fault ghltest.Fault
		want  crm.Code
	}{
		"down": {ghltest.Fault{Status: 503}, crm.GHLUnavailable}, "cut": {ghltest.Fault{Cut: true}, crm.GHLUnavailable},
		"HTML": {ghltest.Fault{HTML: true}, crm.GHLUnavailable}, "empty": {ghltest.Fault{Empty: true}, crm.GHLUnavailable},
		"foreign": {ghltest.Fault{Foreign: true}, crm.GHLUnavailable}, "reset": {ghltest.Fault{ResetAfter: true}, crm.GHLUnavailable},
		"early reset":     {ghltest.Fault{ResetBefore: true}, crm.GHLUnavailable},
		"limited":         {ghltest.Fault{Status: 429, RetryAfter: "7"}, crm.GHLRateLimited},
		"no access token": {ghltest.Fault{Without: "access_token"}, crm.GHLUnavailable},
		"no expiry":       {ghltest.Fault{Without: "expires_in"}, crm.GHLUnavailable},
		"no one's":        {ghltest.Fault{Without: "locationId"}, crm.GHLUnavailable},
		"no refresh":      {ghltest.Fault{Without: "refresh_token"}, crm.GHLUnavailable},
	} {
		grant := connect(t, server, o, ghltest.Choice{Location: "L"})
		server.Fail(test.fault)
		_, err := o.Refresh(t.Context(), "location/L", grant.RefreshToken)
		assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		if test.fault.Without != "refresh_token" {
			_, err = o.MintLocationToken(t.Context(), company.AccessToken, agency, "L1")
			assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		}
		server.Heal()
	}
}
