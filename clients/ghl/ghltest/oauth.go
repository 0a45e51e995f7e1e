package ghltest

import (
	"cmp"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What the app is known by.
const (
	ClientID     = AppID + "-ghltest"
	ClientSecret = "ghltest-client-secret"
)

// The lives of codes and tokens. Those of tokens are published, and so is the grace: for as long, a refresh token that
// was used gives the same new pair again.
const (
	codeLife    = 10 * time.Minute
	tokenLife   = 86_399 * time.Second
	refreshLife = 365 * 24 * time.Hour
	grace       = 30 * time.Second
)

// TokenCounts tell how often tokens of an owner were given out.
type TokenCounts struct {
	Exchanges int `json:"exchanges"` // for a code
	Refreshes int `json:"refreshes"` // for a refresh token that this used up
	Repeats   int `json:"repeats"`   // the same pair again, in the grace
	Mints     int `json:"mints"`     // a location's, for its company's token
	Refused   int `json:"refused"`   // codes and refresh tokens that were not good; those that nobody knows are the owner ""'s
}

// oauth is who may speak for whom. Its zero value is ready.
type oauth struct {
	mu        sync.Mutex
	choice    *Choice
	redirects []string
	codes     map[string]*code
	installs  map[string]*install // by owner, uninstalled ones too
	bearers   map[string]*bearer
	refreshes map[string]*refresh
	counts    map[string]*TokenCounts
	limits    map[string]*limiter // by company
}

// code can be changed for tokens once.
type code struct {
	install  *install
	redirect string // empty: any
	expires  time.Time
	used     bool
}

// bearer is an access token.
type bearer struct {
	install  *install
	location *location // nil: a company's
	minted   bool
	expires  time.Time
}

// refresh is a refresh token. Once used it knows what was given for it.
type refresh struct {
	install *install
	expires time.Time
	used    time.Time
	next    pair
}

// pair is what an owner gets.
type pair struct {
	access, refresh string
	expires         time.Time // of the access token
}

// TokenCounts returns how often an owner ("location/L" or "company/K") got tokens.
func (s *Server) TokenCounts(owner string) TokenCounts {
	s.oauth.mu.Lock()
	defer s.oauth.mu.Unlock()
	return *s.oauth.count(owner)
}

// Expire ends the access tokens of an owner now, or all; minted ones are their location's. Refresh tokens stay good.
func (s *Server) Expire(owner string) {
	s.oauth.mu.Lock()
	defer s.oauth.mu.Unlock()
	for _, b := range s.oauth.bearers {
		if owner == "" || owner == b.owner() {
			b.expires = time.Time{}
		}
	}
}

// count returns the counters of an owner. The lock is held.
func (o *oauth) count(owner string) *TokenCounts {
	if o.counts == nil {
		o.counts = map[string]*TokenCounts{}
	}
	if o.counts[owner] == nil {
		o.counts[owner] = &TokenCounts{}
	}
	return o.counts[owner]
}

// snapshot returns all counters.
func (o *oauth) snapshot() map[string]TokenCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := make(map[string]TokenCounts, len(o.counts))
	for owner, c := range o.counts {
		counts[owner] = *c
	}
	return counts
}

func (o *oauth) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts = nil
}

func (b *bearer) owner() string {
	if b.location != nil {
		return "location/" + b.location.id
	}
	return b.install.owner
}

// bearer finds a token that is good now, and its install as it stands.
func (o *oauth) bearer(token string, now time.Time) (*bearer, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.bearers[token]
	if !ok || b.install.gone || !now.Before(b.expires) || b.minted && !b.install.has(b.location.id) {
		return nil, false
	}
	found, standing := *b, *b.install
	found.install = &standing
	return &found, true
}

// limiter returns what counts a company's calls.
func (o *oauth) limiter(company string) *limiter {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.limits == nil {
		o.limits = map[string]*limiter{}
	}
	if o.limits[company] == nil {
		o.limits[company] = &limiter{}
	}
	return o.limits[company]
}

// give makes an access token. The lock is held.
func (o *oauth) give(b bearer) string {
	if o.bearers == nil {
		o.bearers = map[string]*bearer{}
	}
	token := "access-" + newUUID()
	o.bearers[token] = &b
	return token
}

// pair makes an access token with a refresh token. The lock is held.
func (o *oauth) pair(i *install, now time.Time, life time.Duration) pair {
	if o.refreshes == nil {
		o.refreshes = map[string]*refresh{}
	}
	p := pair{refresh: "refresh-" + newUUID(), expires: now.Add(life)}
	p.access = o.give(bearer{install: i, location: i.location, expires: p.expires})
	o.refreshes[p.refresh] = &refresh{install: i, expires: now.Add(refreshLife)}
	return p
}

// form reads the body of a call that sends one, and refuses what is not in the documents.
func (x *exchange) form(names ...string) (url.Values, answer, bool) {
	media, _, _ := mime.ParseMediaType(x.request.Header.Get("Content-Type"))
	if media != "application/x-www-form-urlencoded" {
		return nil, x.unknown("a body that is no form: " + x.operation.name), false
	}
	form, err := url.ParseQuery(string(x.body))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "Bad Request"), false
	}
	for name := range form {
		if !slices.Contains(names, name) {
			return nil, x.unknown("no such property of " + x.operation.name + ": " + name), false
		}
	}
	return form, answer{}, true
}

// oneOf is what a validator says of a value that is not in its list; it is empty for one that is.
func oneOf(name, value string, allowed ...string) string {
	if slices.Contains(allowed, value) {
		return ""
	}
	return name + " must be one of the following values: " + strings.Join(allowed, ", ")
}

// badClient is the refusal of another app, or of the right one with another secret.
var badClient = refuse(http.StatusUnauthorized, "Invalid client: client credentials are invalid")

// Refusals of what is to be changed for tokens. The second text is published, the others follow it.
var (
	badCode     = refuse(http.StatusBadRequest, "Invalid grant: authorization code is invalid")
	badRefresh  = refuse(http.StatusBadRequest, "Invalid grant: refresh token is invalid")
	lateCode    = refuse(http.StatusBadRequest, "Invalid grant: authorization code has expired")
	badRedirect = refuse(http.StatusBadRequest, "Invalid grant: redirect_uri is invalid")
	inactive    = refuse(http.StatusBadRequest, "Location is not active")
	noService   = refuse(http.StatusBadRequest, "Unauthorized client: grant_type is invalid")
)

// issueToken gives tokens for a code, for a refresh token, or to the app itself.
func issueToken(x *exchange) answer {
	form, refusal, ok := x.form("client_id", "client_secret", "grant_type", "code", "refresh_token", "user_type", "redirect_uri")
	if !ok {
		return refusal
	}
	var wrong []string
	for _, name := range []string{"client_id", "client_secret"} {
		if form.Get(name) == "" {
			wrong = append(wrong, name+" should not be empty")
		}
	}
	grant := form.Get("grant_type")
	wrong = append(wrong,
		oneOf("grant_type", grant, "authorization_code", "refresh_token", "client_credentials"),
		oneOf("user_type", cmp.Or(form.Get("user_type"), "Location"), "Company", "Location"))
	wrong = slices.DeleteFunc(wrong, func(message string) bool { return message == "" })
	switch {
	case len(wrong) > 0:
		return refuse(http.StatusUnprocessableEntity, wrong...)
	case form.Get("client_id") != ClientID || form.Get("client_secret") != ClientSecret:
		return badClient
	}
	s := &x.server.oauth
	s.mu.Lock()
	defer s.mu.Unlock()
	switch grant {
	case "authorization_code":
		return s.exchange(x, form.Get("code"), form.Get("redirect_uri"))
	case "refresh_token":
		return s.refresh(x, form.Get("refresh_token"))
	}
	return s.service(x)
}

// exchange changes a code for a pair. The lock is held.
func (o *oauth) exchange(x *exchange, text, redirect string) answer {
	c := o.codes[text]
	refused := answer{}
	switch {
	case c == nil:
		o.count("").Refused++
		return badCode
	case c.used || c.install.gone:
		refused = badCode
	case !x.at.Before(c.expires):
		refused = lateCode
	case redirect != "" && c.redirect != "" && redirect != c.redirect:
		refused = badRedirect
	case c.install.suspended():
		refused = inactive
	}
	if refused.status != 0 {
		o.count(c.install.owner).Refused++
		return refused
	}
	c.used, x.effect = true, true
	o.count(c.install.owner).Exchanges++
	return x.tokens(c.install, o.pair(c.install, x.at, x.life()))
}

// refresh changes a refresh token for a new pair, or gives the same one again in the grace. The lock is held.
func (o *oauth) refresh(x *exchange, text string) answer {
	r := o.refreshes[text]
	if r == nil {
		o.count("").Refused++
		return badRefresh
	}
	count := o.count(r.install.owner)
	again := !r.used.IsZero()
	switch {
	case r.install.gone || !x.at.Before(r.expires) || again && x.at.Sub(r.used) > grace:
		count.Refused++
		return badRefresh
	case r.install.suspended():
		count.Refused++
		return inactive
	case again:
		count.Repeats++
	default:
		count.Refreshes++
		r.used, r.next, x.effect = x.at, o.pair(r.install, x.at, x.life()), true
	}
	return x.tokens(r.install, r.next)
}

// service gives a token to the app itself. Nobody says what it is good for: here it is for the one company that has the
// app, or, where none has, for the one location. The lock is held.
func (o *oauth) service(x *exchange) answer {
	var of, locations []*install
	for _, i := range o.installs {
		switch {
		case i.gone:
		case i.location == nil:
			of = append(of, i)
		default:
			locations = append(locations, i)
		}
	}
	if len(of) == 0 {
		of = locations
	}
	switch {
	case len(of) != 1:
		return noService
	case of[0].suspended():
		return inactive
	}
	only, p := of[0], pair{expires: x.at.Add(x.life())}
	p.access = o.give(bearer{install: only, location: only.location, expires: p.expires})
	return x.tokens(only, p)
}

func (x *exchange) life() time.Duration { return cmp.Or(x.knobs.TokenLife, tokenLife) }

// tokens is what an owner gets told.
func (x *exchange) tokens(i *install, p pair) answer {
	body := map[string]any{
		"access_token": p.access, "token_type": "Bearer", "expires_in": int(p.expires.Sub(x.at).Seconds()),
		"scope": strings.Join(i.scopes, " "), "userId": userID, "companyId": i.company,
	}
	if p.refresh != "" {
		body["refresh_token"] = p.refresh
	}
	if i.location != nil {
		x.location = i.location
		body["userType"], body["locationId"] = "Location", x.claim(i.location.id)
		return answer{http.StatusOK, body}
	}
	body["userType"], body["companyId"] = "Company", x.claim(i.company)
	body["approvedLocations"], body["approveAllLocations"] = slices.Clone(i.approved), i.all
	body["isBulkInstallation"], body["installToFutureLocations"] = i.all || len(i.approved) > 1, i.future
	return answer{http.StatusOK, body}
}

// mintToken gives a location's token for its company's.
func mintToken(x *exchange) answer {
	form, refusal, ok := x.form("companyId", "locationId")
	if !ok {
		return refusal
	}
	var wrong []string
	for _, name := range []string{"companyId", "locationId"} {
		if form.Get(name) == "" {
			wrong = append(wrong, name+" should not be empty")
		}
	}
	l, known := x.server.location(form.Get("locationId"))
	x.server.oauth.mu.Lock()
	defer x.server.oauth.mu.Unlock()
	i := x.server.oauth.installs[x.bearer.install.owner] // the one that lives: it may end, and the new token with it
	switch {
	case wrong != nil:
		return refuse(http.StatusUnprocessableEntity, wrong...)
	case form.Get("companyId") != i.company || known && l.company() != i.company:
		return anotherTenant
	case !known || !i.has(l.id):
		return refuse(http.StatusBadRequest, "The app is not installed on this location")
	case l.suspended.Load():
		return inactive
	}
	expires := x.at.Add(x.life())
	x.location, x.effect = l, true
	x.server.oauth.count("location/"+l.id).Mints++
	return answer{http.StatusOK, map[string]any{
		"access_token": x.server.oauth.give(bearer{install: i, location: l, minted: true, expires: expires}),
		"token_type":   "Bearer", "expires_in": int(expires.Sub(x.at).Seconds()), "scope": strings.Join(i.scopes, " "),
		"locationId": x.claim(l.id), "userId": userID, "appId": AppID, "versionId": VersionID,
	}}
}

// maxInstalled is how many locations a page holds at most. GHL does not tell its own bound; a hundred were seen.
const maxInstalled = 100

// listInstalled tells which locations of a company have the app. Its count is of all of them, as was seen.
func listInstalled(x *exchange) answer {
	query := x.request.URL.Query()
	skip, errSkip := strconv.Atoi(cmp.Or(query.Get("skip"), "0"))
	limit, errLimit := strconv.Atoi(cmp.Or(query.Get("limit"), "20"))
	wanted := cmp.Or(query.Get("isInstalled"), "any")
	i := x.bearer.install
	switch {
	case query.Get("companyId") == "" || query.Get("appId") == "":
		return refuse(http.StatusUnprocessableEntity, "companyId should not be empty", "appId should not be empty")
	case errSkip != nil || errLimit != nil || skip < 0 || limit < 1 || !slices.Contains([]string{"any", "true", "false"}, wanted):
		return refuse(http.StatusUnprocessableEntity, "skip, limit or isInstalled is not valid")
	case query.Get("companyId") != i.company:
		return anotherTenant
	case query.Get("appId") != AppID:
		return refuse(http.StatusBadRequest, "App not found")
	}
	all := x.server.locationsOf(i.company)
	x.server.oauth.mu.Lock()
	defer x.server.oauth.mu.Unlock()
	rows := []any{}
	for _, l := range all {
		has := x.server.oauth.installed(l)
		if wanted != "any" && wanted != strconv.FormatBool(has) {
			continue
		}
		row := map[string]any{"_id": l.id, "name": l.settings.Load().Name, "address": "", "isInstalled": has}
		if has {
			row["versionId"], row["installedAt"] = VersionID, wireTime(i.at)
		}
		rows = append(rows, row)
	}
	from := min(skip, len(rows))
	to := min(from+min(limit, maxInstalled), len(rows))
	return answer{http.StatusOK, map[string]any{"locations": rows[from:to], "count": len(all), "installToFutureLocations": i.future}}
}
