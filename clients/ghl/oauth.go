package ghl

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// ConsentPage is where GHL asks people for their consent. White-label agencies use another host.
const ConsentPage = "https://marketplace.gohighlevel.com/v2/oauth/chooselocation"

// App is what GHL knows our app by. It speaks v2 whatever [Options.Version] says: v3 has other paths for these calls.
type App struct {
	ClientID string
	// Secret is asked for with every call, so that it may be replaced while we run.
	Secret func() (crm.Secret, error)
	// RedirectURL is where GHL sends people back to; the app's page in GHL names the same.
	RedirectURL string
	Scopes      []string
	Consent     string // empty: [ConsentPage]
	// VersionID goes into the link too, which private apps need.
	VersionID string
}

// ID is what GHL calls the app in webhooks and in lists: the client id up to its dash.
func (a App) ID() string {
	id, _, _ := strings.Cut(a.ClientID, "-")
	return id
}

// OAuth asks GHL for tokens. It is safe for concurrent use, and it neither keeps nor renews anything of its own accord.
//
// X/oauth2 speaks the protocol and clients/rest is the wire under it: so these calls are bounded, observed and told apart
// like all others, and no answer reaches x/oauth2's errors, which print bodies.
type OAuth struct {
	rest *rest.Client
	app  App
	now  func() time.Time
}

// NewOAuth makes an OAuth that calls through rest. Calls that ask for a token have no account there.
func NewOAuth(rest *rest.Client, app App) *OAuth {
	return &OAuth{rest: rest, app: app, now: time.Now}
}

// App tells what the OAuth was made with.
func (o *OAuth) App() App { return o.app }

var (
	exchangeCode = Operation{
		Name: "oauth.exchange", Method: http.MethodPost, Path: "oauth/token",
		Doc: "changes the code of an install for tokens",
	}
	refreshToken = Operation{
		Name: "oauth.refresh", Method: http.MethodPost, Path: "oauth/token", Repeatable: true, // for 30 s
		Doc: "changes a refresh token for new tokens; it is used up by that",
	}
	clientCredentials = Operation{
		Name: "oauth.client-credentials", Method: http.MethodPost, Path: "oauth/token", Repeatable: true,
		Doc: "asks for a token of the app itself",
	}
	mintLocationToken = Operation{
		"oauth.location-token", http.MethodPost, "oauth/locationToken", "oauth.write", "2021-07-28", true,
		"makes a location's token from its company's",
	}
	installedLocations = Operation{
		"oauth.installed-locations", http.MethodGet, "oauth/installedLocations", "oauth.readonly", "2021-07-28", true,
		"lists the locations of a company that have the app, a page a call",
	}
)

// OAuthOperations are all calls that an [OAuth] can make.
var OAuthOperations = []Operation{exchangeCode, refreshToken, clientCredentials, mintLocationToken, installedLocations}

// Scopes are those that all calls of this package need together.
func Scopes() (scopes []string) {
	for _, o := range slices.Concat(Operations, OAuthOperations) {
		if o.Scope != "" {
			scopes = append(scopes, o.Scope)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// ConsentURL is the link that people open to connect a location or a company; state comes back with the code.
func (o *OAuth) ConsentURL(state string) string {
	page := oauth2.Config{
		ClientID: o.app.ClientID, RedirectURL: o.app.RedirectURL, Scopes: o.app.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: cmp.Or(o.app.Consent, ConsentPage)},
	}
	if o.app.VersionID != "" {
		return page.AuthCodeURL(state, oauth2.SetAuthURLParam("version_id", o.app.VersionID))
	}
	return page.AuthCodeURL(state)
}

// Exchange changes the code of an install for tokens. Whether they are a location's or a company's is GHL's decision: an
// agency's admin gets a company's for a single location. Kind only says what is hoped for. A code that is used, expired
// or unknown is [crm.GHLReconnect] with the field "code".
func (o *OAuth) Exchange(ctx context.Context, code crm.Secret, kind crm.TokenKind) (crm.Grant, error) {
	if code == "" {
		return crm.Grant{}, invalid("code")
	}
	return o.ask(ctx, exchangeCode, wanted{renewable: true, userType: userTypes[kind]},
		func(ctx context.Context, c oauth2.Config) (*oauth2.Token, error) {
			return c.Exchange(ctx, string(code))
		})
}

// Refresh changes a refresh token of an owner ([crm.LocationOwner] or [crm.CompanyOwner]) for new tokens, and uses it up:
// the new ones must be kept before anything else is done. For 30 s GHL gives the same ones again. A token that is used,
// expired or unknown is [crm.GHLReconnect], and one of a location whose billing is paused [crm.GHLSuspended]: that one
// stays good.
func (o *OAuth) Refresh(ctx context.Context, owner string, refresh crm.Secret) (crm.Grant, error) {
	location, company, ok := crm.SplitOwner(owner)
	switch {
	case !ok:
		return crm.Grant{}, invalid("owner")
	case refresh == "":
		return crm.Grant{}, invalid("refresh_token")
	}
	want := wanted{location: location, company: company, renewable: true, userType: userTypes[crm.LocationToken]}
	if company != "" {
		want.userType = userTypes[crm.CompanyToken]
	}
	return o.ask(ctx, refreshToken, want, func(ctx context.Context, c oauth2.Config) (*oauth2.Token, error) {
		return c.TokenSource(ctx, &oauth2.Token{RefreshToken: string(refresh)}).Token()
	})
}

// ClientCredentials asks for a token of the app itself: GHL lists the grant and does not say for whose data it is good;
// the answer does.
func (o *OAuth) ClientCredentials(ctx context.Context) (crm.Grant, error) {
	grant, err := o.ask(ctx, clientCredentials, wanted{}, func(ctx context.Context, c oauth2.Config) (*oauth2.Token, error) {
		own := clientcredentials.Config{
			ClientID: c.ClientID, ClientSecret: c.ClientSecret, TokenURL: c.Endpoint.TokenURL, AuthStyle: c.Endpoint.AuthStyle,
		}
		return own.Token(ctx)
	})
	if err == nil {
		grant.Kind = crm.ClientCredentials
	}
	return grant, err
}

// MintLocationToken makes a token of a location from the one of its company. It can't be refreshed, only made again.
func (o *OAuth) MintLocationToken(ctx context.Context, companyToken crm.Secret, company, location string) (crm.Grant, error) {
	if err := validIDs(named{"company", company}, named{"location", location}); err != nil {
		return crm.Grant{}, err
	}
	if companyToken == "" {
		return crm.Grant{}, invalid("companyToken")
	}
	call := companyCall(mintLocationToken, companyToken, company)
	call.Form = url.Values{"companyId": {company}, "locationId": {location}}
	asked := o.now()
	var answer tokenAnswer
	meta, err := o.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Grant{}, err
	}
	grant, ok := answer.grant(asked, wanted{location: location, company: company})
	if !ok {
		return crm.Grant{}, o.rest.Foreign(call, meta)
	}
	grant.Kind, grant.Company, grant.RefreshToken = crm.MintedToken, company, ""
	return grant, nil
}

// InstalledLocations walks the locations of a company that have the app; see [App.ID]. The walk ends after the first
// error.
//
// How many locations a page may hold is not told, and what the list says of its length counts the locations without the
// app too: so only an empty page, or as many locations as that, end it. A page that comes again is an error.
func (o *OAuth) InstalledLocations(ctx context.Context, companyToken crm.Secret, company, app string) iter.Seq2[crm.InstalledLocation, error] {
	if err := validIDs(named{"company", company}, named{"app", app}); err != nil {
		return onlyError[crm.InstalledLocation](err)
	}
	if companyToken == "" {
		return onlyError[crm.InstalledLocation](invalid("companyToken"))
	}
	return func(yield func(crm.InstalledLocation, error) bool) {
		call := companyCall(installedLocations, companyToken, company)
		seen := map[string]bool{}
		for range maxPages {
			call.Query = url.Values{
				"companyId": {company}, "appId": {app}, "isInstalled": {"true"},
				"skip": {strconv.Itoa(len(seen))}, "limit": {strconv.Itoa(listLimit)},
			}
			page, err := o.installedPage(ctx, call)
			known := len(seen)
			for _, row := range page.Locations {
				if err != nil || seen[row.id()] {
					continue
				}
				seen[row.id()] = true
				if row.installed() && !yield(row.toCRM(), nil) {
					return
				}
			}
			switch {
			case err != nil:
				yield(crm.InstalledLocation{}, err)
				return
			case len(page.Locations) == 0 || len(seen) >= page.total():
				return
			case len(seen) == known:
				yield(crm.InstalledLocation{}, o.rest.Foreign(call, rest.Meta{}))
				return
			}
		}
		yield(crm.InstalledLocation{}, o.rest.Foreign(call, rest.Meta{}))
	}
}

// installedPage reads one page; with an error it is empty.
func (o *OAuth) installedPage(ctx context.Context, call rest.Call) (installedPage, error) {
	var page installedPage
	meta, err := o.rest.Do(ctx, call, &page)
	if err != nil {
		return installedPage{}, err
	}
	strange := slices.ContainsFunc(page.Locations, func(row installedRow) bool { return !crm.ValidID(row.id()) })
	if page.Locations == nil || strange {
		return installedPage{}, o.rest.Foreign(call, meta)
	}
	return page, nil
}

type installedPage struct {
	Locations []installedRow `json:"locations"`
	Count     plain          `json:"count"`
}

// total is how many locations the company has, the most there can be when it is not told.
func (p installedPage) total() int {
	if count, ok := p.Count.value.(float64); ok && count >= 0 && count < maxPages*listLimit {
		return int(count)
	}
	return maxPages * listLimit
}

type installedRow struct {
	ID          text  `json:"id"`
	ID2         text  `json:"_id"`
	Name        text  `json:"name"`
	IsInstalled plain `json:"isInstalled"`
	InstalledAt plain `json:"installedAt"`
}

func (r installedRow) id() string { return string(cmp.Or(r.ID2, r.ID)) }

// installed is false only for a location that is said not to have the app: we asked for the others.
func (r installedRow) installed() bool {
	return r.IsInstalled.value != false && r.IsInstalled.value != "false"
}

func (r installedRow) toCRM() crm.InstalledLocation {
	return crm.InstalledLocation{ID: r.id(), Name: string(r.Name), Installed: moment(r.InstalledAt)}
}

// companyCall is a call with a company's token; the limit that it counts against is the company's.
func companyCall(operation Operation, token crm.Secret, company string) rest.Call {
	return rest.Call{
		Operation: operation.Name, Method: operation.Method, Path: operation.Path,
		Account: crm.CompanyOwner(company), Token: string(token), Header: http.Header{"Version": {operation.Version}},
	}
}

// userTypes are GHL's words for the kinds of tokens.
var userTypes = map[crm.TokenKind]string{crm.LocationToken: "Location", crm.CompanyToken: "Company"}

// ask has x/oauth2 make a grant's request, and believes its answer only when it is one to what was asked.
func (o *OAuth) ask(
	ctx context.Context, operation Operation, want wanted, request func(context.Context, oauth2.Config) (*oauth2.Token, error),
) (crm.Grant, error) {
	secret, err := o.app.Secret()
	if o.app.ClientID == "" || secret == "" || err != nil {
		return crm.Grant{}, invalid("GHL_CLIENT_ID", "GHL_CLIENT_SECRET")
	}
	w := &wire{oauth: o, userType: want.userType, call: rest.Call{Operation: operation.Name, Method: operation.Method, Path: operation.Path}}
	asked := o.now()
	_, err = request(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: w}), oauth2.Config{
		ClientID: o.app.ClientID, ClientSecret: string(secret), RedirectURL: o.app.RedirectURL,
		Endpoint: oauth2.Endpoint{TokenURL: nowhere, AuthStyle: oauth2.AuthStyleInParams},
	})
	if refused, ok := errors.AsType[*crm.Error](err); ok {
		return crm.Grant{}, ungranted(refused, operation)
	}
	grant, ok := w.answer.grant(asked, want)
	if err != nil || !ok { // the error is x/oauth2's own: an answer without a token
		return crm.Grant{}, o.rest.Foreign(w.call, w.meta)
	}
	return grant, nil
}

// ungranted names the settings that GHL does not know, or what is used up. At the token endpoint a 401 is about the app,
// as there is no other token.
func ungranted(refused *crm.Error, operation Operation) error {
	e := *refused
	switch {
	case e.Code == crm.GHLReconnect && operation.Name == exchangeCode.Name:
		e.Fields = []string{"code"}
	case e.Code == crm.GHLReconnect && operation.Name == refreshToken.Name:
		e.Fields = []string{"refresh_token"}
	case e.Code != crm.GHLToken || slices.Equal(e.Fields, []string{"Version"}):
	case slices.Equal(e.Fields, []string{"redirect_uri"}):
		e.Code, e.Fields = crm.InvalidInput, []string{"GHL_REDIRECT_URL"}
	default:
		e.Code, e.Fields = crm.InvalidInput, []string{"GHL_CLIENT_ID", "GHL_CLIENT_SECRET"}
	}
	return &e
}

// nowhere stands where x/oauth2 wants the token endpoint's address: the wire has its own.
const nowhere = "https://token.invalid/"

// wire carries x/oauth2's request over clients/rest. It keeps the answer, whose other fields are GHL's own, and which x/oauth2
// would read too leniently: it takes a refresh token that is missing to be the old one.
type wire struct {
	oauth    *OAuth
	userType string
	call     rest.Call
	answer   tokenAnswer
	meta     rest.Meta
}

// RoundTrip adds GHL's user_type, for which x/oauth2 has no place in a refresh, and hands x/oauth2 what it understands.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err == nil {
		w.call.Form, err = url.ParseQuery(string(body))
	}
	if err != nil { // its text could hold a value
		return nil, &crm.Error{Code: crm.Internal, Operation: "ghl " + w.call.Operation}
	}
	if w.userType != "" {
		w.call.Form.Set("user_type", w.userType)
	}
	if w.meta, err = w.oauth.rest.Do(r.Context(), w.call, &w.answer); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(map[string]string{"access_token": string(w.answer.access())})
	if err != nil {
		return nil, &crm.Error{Code: crm.Internal, Operation: "ghl " + w.call.Operation}
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(plain)), Request: r,
	}, nil
}

// tokenAnswer is what GHL says of a token; v3 spells some names in another way.
type tokenAnswer struct {
	AccessToken   text   `json:"access_token"`
	AccessToken3  text   `json:"accessToken"`
	TokenType     text   `json:"token_type"`
	TokenType3    text   `json:"tokenType"`
	ExpiresIn     plain  `json:"expires_in"`
	ExpiresIn3    plain  `json:"expiresIn"`
	RefreshToken  text   `json:"refresh_token"`
	RefreshToken3 text   `json:"refreshToken"`
	UserType3     text   `json:"user_type"`
	UserType      text   `json:"userType"`
	Scope         text   `json:"scope"`
	LocationID    text   `json:"locationId"`
	CompanyID     text   `json:"companyId"`
	Approved      []text `json:"approvedLocations"`
	Bulk          flag   `json:"isBulkInstallation"`
	Future        flag   `json:"installToFutureLocations"`
}

func (a tokenAnswer) access() text { return cmp.Or(a.AccessToken, a.AccessToken3) }

// wanted is what an answer must be about.
type wanted struct {
	userType          string // what is asked for: GHL may decide otherwise
	location, company string // whose token it must be; both empty: whose it is is told by the answer
	renewable         bool   // a refresh token is due
}

// grant believes an answer only if it
//   - holds a bearer token that can be sent, and says when it expires;
//   - holds a refresh token, where one is due;
//   - names the location or the company that it is for, by ids that can be ones;
//   - is for the one that was asked for. An answer to a refresh that changes sides would let us write one client's
//     contacts with another's token.
func (a tokenAnswer) grant(asked time.Time, want wanted) (crm.Grant, bool) {
	g := crm.Grant{
		Location: string(a.LocationID), Company: string(a.CompanyID), Scopes: strings.Fields(string(a.Scope)),
		AccessToken: crm.Secret(a.access()), RefreshToken: crm.Secret(cmp.Or(a.RefreshToken, a.RefreshToken3)),
		Bulk: bool(a.Bulk), Future: bool(a.Future),
	}
	life, ok := lifetime(a.ExpiresIn, a.ExpiresIn3)
	g.Expires = asked.Add(life)
	bearer := cmp.Or(a.TokenType, a.TokenType3, "Bearer")
	if !ok || !strings.EqualFold(string(bearer), "bearer") || !sendable(g.AccessToken) ||
		g.RefreshToken != "" && !sendable(g.RefreshToken) || want.renewable && g.RefreshToken == "" {
		return crm.Grant{}, false
	}
	for _, id := range a.Approved {
		if !crm.ValidID(string(id)) {
			return crm.Grant{}, false
		}
		g.Approved = append(g.Approved, string(id))
	}
	switch kind := cmp.Or(a.UserType, a.UserType3); {
	case kind == "Company":
		g.Kind, g.Location = crm.CompanyToken, "" // what it is decides, and a company's has no location
	case kind == "Location" || kind == "" && g.Location != "":
		g.Kind = crm.LocationToken
	default:
		return crm.Grant{}, false
	}
	return g, want.fits(g)
}

// fits tells whether a grant is for whom it must be for. A location's answer need not name its company.
func (w wanted) fits(g crm.Grant) bool {
	same := func(got, want string) bool { return want == "" || got == want }
	if g.Kind == crm.CompanyToken {
		return w.location == "" && crm.ValidID(g.Company) && same(g.Company, w.company)
	}
	known := g.Company == "" || crm.ValidID(g.Company) && same(g.Company, w.company)
	return known && crm.ValidID(g.Location) && same(g.Location, w.location) && (w.company == "" || w.location != "")
}

// longest is more than any token lives: a year is what refresh tokens have.
const longest = 2 * 365 * 24 * time.Hour

// lifetime reads a number of seconds, or a text that is one.
func lifetime(said ...plain) (time.Duration, bool) {
	for _, p := range said {
		seconds, _ := p.value.(float64)
		if digits, ok := p.value.(string); ok {
			seconds, _ = strconv.ParseFloat(digits, 64)
		}
		if seconds >= 1 && seconds <= longest.Seconds() {
			return time.Duration(seconds) * time.Second, true
		}
	}
	return 0, false
}

// sendable tells whether a token can stand in a header: GHL's are long, but not endless.
func sendable(token crm.Secret) bool {
	odd := strings.ContainsFunc(string(token), func(r rune) bool { return r <= ' ' || r > '~' })
	return token != "" && len(token) <= 16<<10 && !odd
}
