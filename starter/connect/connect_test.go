package connect_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/connections"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/internal/deptest"
	"github.com/rankrsync/rankrsync/seal"
	"github.com/rankrsync/rankrsync/starter/connect"
	"github.com/rankrsync/rankrsync/store"
)

// world is the pages on a socket between GHL on another and a store in a file.
type world struct {
	t       *testing.T
	ghl     *ghltest.Server
	ghlURL  string
	url     string // of the pages
	options connect.Options
	store   *store.Store
	file    string // of the store
	known   *connections.Connections
	handler func() http.Handler // with the options as they stand when it is first asked for

	closeStore func() error

	mu      sync.Mutex
	log     bytes.Buffer
	results []string
	started []string
	broken  map[string]error // by location: what starting it gives
	clock   time.Time
	shown   strings.Builder // every page and header that a browser saw of us
}

var key = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

func newWorld(t *testing.T) *world {
	w := &world{t: t, ghl: ghltest.New(), broken: map[string]error{}, clock: time.Now()}
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	w.ghl.PutLocation(ghltest.Location{ID: "harbour", Name: "Harbour <b>& Sons</b>"})
	for _, id := range []string{"one", "two", "three"} {
		w.ghl.PutLocation(ghltest.Location{ID: id, Name: "Number " + id, Company: "agency"})
	}
	wire := httptest.NewServer(w.ghl)
	t.Cleanup(func() { wire.Close(); w.ghl.FailOnUnknown(t); w.ghl.Close() })
	w.ghlURL = wire.URL

	server := httptest.NewUnstartedServer(nil)
	w.url = "http://" + server.Listener.Addr().String()
	w.ghl.AllowRedirects(w.url + "/oauth/callback")
	oauth := ghl.NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: wire.URL}), ghl.App{
		ClientID: ghltest.ClientID, Secret: func() (crm.Secret, error) { return ghltest.ClientSecret, nil },
		RedirectURL: w.url + "/oauth/callback", Scopes: ghl.Scopes(), Consent: wire.URL + "/v2/oauth/chooselocation",
	})
	var err error
	w.file = "sqlite:" + filepath.Join(t.TempDir(), "store.db")
	w.store, err = store.Open(t.Context(), w.file)
	require.NoError(t, err)
	w.closeStore = sync.OnceValue(w.store.Close)
	t.Cleanup(func() { _ = w.closeStore() })
	box, err := seal.New([]string{key})
	require.NoError(t, err)
	w.known = &connections.Connections{Store: w.store, Sealer: box, GHL: oauth}
	w.options = connect.Options{
		OAuth: oauth, AppID: oauth.App().ID(), Sealer: box, UseState: w.store.UseState, Install: w.known.Install, Start: w.start, Now: w.now,
		Observe: func(result string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.results = append(w.results, result)
		},
		Log: slog.New(slog.NewJSONHandler(w, nil)),
	}
	w.handler = sync.OnceValue(func() http.Handler { return connect.New(w.options) })
	server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.handler().ServeHTTP(rw, r) })
	server.Start()
	t.Cleanup(server.Close)
	return w
}

// another is a second process behind the same address, with these keys and a connection of its own to the store. It returns
// what makes an address of the first one its own.
func (w *world) another(keys ...string) func(*url.URL) string {
	w.t.Helper()
	box, err := seal.New(keys)
	require.NoError(w.t, err)
	records, err := store.Open(w.t.Context(), w.file)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = records.Close() })
	options := w.options
	options.Sealer, options.UseState = box, records.UseState
	server := httptest.NewServer(connect.New(options))
	w.t.Cleanup(server.Close)
	return func(to *url.URL) string { return strings.Replace(to.String(), w.url, server.URL, 1) }
}

// Write is the log.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) forward(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) start(_ context.Context, location string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.broken[location]; err != nil {
		return err
	}
	w.started = append(w.started, location)
	slices.Sort(w.started)
	return nil
}

// state is how a location stands; empty where nobody connected it.
func (w *world) state(location string) crm.ConnectionState {
	w.t.Helper()
	connection, err := w.store.Connection(w.t.Context(), location)
	require.NoError(w.t, err)
	return connection.State
}

// browser has cookies of its own. It follows nothing, so that each step can be seen.
type browser struct {
	*http.Client
	w *world
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	return &browser{&http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, w}
}

// shown is what a browser got.
type shown struct {
	status int
	header http.Header
	text   string
	to     *url.URL // of a redirect
}

func (b *browser) open(address string, change ...func(*http.Request)) shown {
	b.w.t.Helper()
	request, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, address, nil)
	require.NoError(b.w.t, err)
	for _, each := range change {
		each(request)
	}
	answer, err := b.Do(request)
	require.NoError(b.w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(b.w.t, err)
	to, _ := answer.Location()
	got := shown{answer.StatusCode, answer.Header, string(text), to}
	if strings.HasPrefix(address, b.w.url) {
		b.w.mu.Lock()
		defer b.w.mu.Unlock()
		b.w.shown.WriteString(got.text)
	}
	return got
}

// consent opens the link, has the person choose, and returns where GHL sends the browser back to.
func (b *browser) consent(choice ghltest.Choice) *url.URL {
	b.w.t.Helper()
	link := b.open(b.w.url + "/oauth/install")
	require.Equal(b.w.t, http.StatusFound, link.status)
	b.w.ghl.Choose(choice)
	back := b.open(link.to.String())
	require.Equal(b.w.t, http.StatusFound, back.status, back.text)
	require.True(b.w.t, strings.HasPrefix(back.to.String(), b.w.url+"/oauth/callback?"))
	return back.to
}

// connect does all of an install.
func (b *browser) connect(choice ghltest.Choice) shown {
	b.w.t.Helper()
	return b.open(b.consent(choice).String())
}

func with(to *url.URL, name, value string) string {
	changed := *to
	query := changed.Query()
	query.Set(name, value)
	if value == "" {
		query.Del(name)
	}
	changed.RawQuery = query.Encode()
	return changed.String()
}

// last is the result that was counted last.
func (w *world) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.results) == 0 {
		return ""
	}
	return w.results[len(w.results)-1]
}

func TestALocationIsConnectedByALink(t *testing.T) {
	w := newWorld(t)
	page := w.browser().connect(ghltest.Choice{Location: "harbour"})
	assert.Equal(t, 200, page.status, page.text)
	assert.Contains(t, page.text, "<h1>Connected</h1>")
	assert.Contains(t, page.text, "<code>harbour</code>")
	assert.Contains(t, page.text, "kept in step from now on")
	assert.Contains(t, page.text, "starter backfill")
	assert.Equal(t, crm.Connected, w.state("harbour"))
	assert.Equal(t, []string{"harbour"}, w.started)
	assert.Equal(t, []string{"sent_off", "connected"}, w.results)
	_, err := w.known.Source("harbour").Token()
	assert.NoError(t, err)
}

func TestThePageSaysWhatComesOfContactsThatWereThereBefore(t *testing.T) {
	for loads, words := range map[bool]string{true: "there before are being loaded.", false: "there before are not loaded by themselves: starter backfill"} {
		w := newWorld(t)
		w.options.Backfill = loads
		w.broken["two"] = &crm.Error{Code: crm.TemporalAway}
		assert.Contains(t, w.browser().connect(ghltest.Choice{Location: "harbour"}).text, words)
		assert.Contains(t, w.browser().connect(ghltest.Choice{Company: "agency"}).text, words, "also where only some could be started")
		w.broken["harbour"] = &crm.Error{Code: crm.TemporalAway}
		assert.NotContains(t, w.browser().connect(ghltest.Choice{Location: "harbour"}).text, words, "nothing was started")
	}
}

func TestAnAgencyConnectsAllItsLocationsAtOnce(t *testing.T) {
	w := newWorld(t)
	page := w.browser().connect(ghltest.Choice{Company: "agency", Future: true})
	assert.Equal(t, 200, page.status, page.text)
	for _, id := range []string{"one", "two", "three"} {
		assert.Contains(t, page.text, "<strong>Number "+id+"</strong> <code>"+id+"</code>")
		assert.Equal(t, crm.Connected, w.state(id))
	}
	assert.Contains(t, page.text, "made later are connected by themselves")
	assert.Equal(t, []string{"one", "three", "two"}, w.started)
	assert.Equal(t, 1, w.ghl.TokenCounts("company/agency").Exchanges)
}

func TestAnAgencyConnectsOnlyTheLocationsThatWereChosen(t *testing.T) {
	w := newWorld(t)
	page := w.browser().connect(ghltest.Choice{Company: "agency", Locations: []string{"one", "three"}})
	assert.Equal(t, 200, page.status)
	assert.NotContains(t, page.text, "Number two")
	assert.Equal(t, []string{"one", "three"}, w.started)
	assert.Empty(t, w.state("two"))
}

func TestAnAgencyWithoutALocationIsToldSo(t *testing.T) {
	w := newWorld(t)
	page := w.browser().connect(ghltest.Choice{Company: "agency", Locations: []string{}})
	assert.Equal(t, 200, page.status)
	assert.Contains(t, page.text, "but none of its locations")
	assert.Equal(t, "nothing", w.last())
	assert.Empty(t, w.started)
}

func TestWhenTheListFailsThoseThatWereChosenAreConnected(t *testing.T) {
	w := newWorld(t)
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.installed-locations", Status: 503})
	page := w.browser().connect(ghltest.Choice{Company: "agency", Locations: []string{"one", "two"}})
	assert.Equal(t, 200, page.status)
	assert.Contains(t, page.text, "There may be more locations")
	assert.Equal(t, []string{"one", "two"}, w.started)
	assert.Equal(t, "partly", w.last())
}

func TestWhenTheListFailsAndNothingWasChosenTheLinkIsToBeOpenedAgain(t *testing.T) {
	w := newWorld(t)
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.installed-locations", Status: 503})
	page := w.browser().connect(ghltest.Choice{Company: "agency", Locations: []string{}})
	assert.Equal(t, 502, page.status)
	assert.Contains(t, page.text, "GHL can&#39;t be reached")
	assert.Contains(t, page.text, `<a href="install">`)
	w.ghl.Heal()
	assert.Equal(t, 200, w.browser().connect(ghltest.Choice{Company: "agency"}).status)
	assert.Len(t, w.started, 3)
}

func TestWhoDeniesIsToldThatNothingWasConnected(t *testing.T) {
	w := newWorld(t)
	page := w.browser().connect(ghltest.Choice{Deny: true})
	assert.Equal(t, 400, page.status)
	assert.Contains(t, page.text, "was not given access")
	assert.Equal(t, "denied", w.last())
	assert.Empty(t, w.started)
}

func TestWhatGHLSaysInPlaceOfACodeIsNeverShown(t *testing.T) {
	w := newWorld(t)
	for word, status := range map[string]int{"access_denied": 400, "server_error": 502, "invalid_scope": 400, "<script>alert(1)</script>": 400} {
		b := w.browser()
		to := with(b.consent(ghltest.Choice{Deny: true}), "error", word)
		page := b.open(to + "&error_description=" + url.QueryEscape("<script>call 555-0199</script>"))
		assert.Equal(t, status, page.status, word)
		for _, text := range []string{"<script", "555-0199", "alert"} {
			assert.NotContains(t, page.text, text)
		}
	}
}

func TestAStateWorksOnceAndOnlyInTheBrowserItWasMadeFor(t *testing.T) {
	w := newWorld(t)
	mine, other := w.browser(), w.browser()
	to, others := mine.consent(ghltest.Choice{Location: "harbour"}), other.consent(ghltest.Choice{Location: "one"})
	for name, c := range map[string]struct {
		browser *browser
		address string
		status  int
	}{
		"another browser":       {other, to.String(), 403},
		"no cookie":             {w.browser(), to.String(), 403},
		"another's state":       {mine, with(to, "state", others.Query().Get("state")), 403},
		"a made up state":       {mine, with(to, "state", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 403},
		"an empty one":          {mine, with(to, "state", ""), 403},
		"two states":            {mine, to.String() + "&state=x", 400},
		"two codes":             {mine, to.String() + "&code=x", 400},
		"a state of a mebibyte": {mine, with(to, "state", strings.Repeat("A", 1<<20)), 414},
		"nonsense":              {mine, to.String() + "&%zz", 400},
	} {
		page := c.browser.open(c.address)
		assert.Equal(t, c.status, page.status, name)
		assert.Contains(t, page.text, `<a href="install">`, name)
	}
	assert.Empty(t, w.started)
	assert.Zero(t, w.ghl.TokenCounts("location/harbour"), "nobody asked GHL")
	assert.Equal(t, 200, mine.open(to.String()).status, "and it is good for its own browser all the same")
	assert.Equal(t, 403, mine.open(to.String()).status)
	assert.Equal(t, "repeated", w.last())
	assert.Equal(t, ghltest.TokenCounts{Exchanges: 1}, w.ghl.TokenCounts("location/harbour"))
}

func TestAStateWorksForTenMinutes(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	to := b.consent(ghltest.Choice{Location: "harbour"})
	w.forward(10 * time.Minute)
	assert.Equal(t, 403, b.open(to.String()).status)
	assert.Equal(t, "wrong_state", w.last())
	to = b.consent(ghltest.Choice{Location: "harbour"})
	w.forward(10*time.Minute - time.Second)
	assert.Equal(t, 200, b.open(to.String()).status)
}

func TestTwoTabsInstallAtOnce(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first, second := b.consent(ghltest.Choice{Location: "one"}), b.consent(ghltest.Choice{Location: "two"})
	assert.Equal(t, 200, b.open(first.String()).status)
	assert.Equal(t, 200, b.open(second.String()).status)
	assert.Equal(t, []string{"one", "two"}, w.started)
}

func TestADoubleClickChangesTheCodeOnce(t *testing.T) {
	w := newWorld(t)
	other := w.another(key)
	b := w.browser()
	to := b.consent(ghltest.Choice{Location: "harbour"})
	addresses := []string{to.String(), other(to)}
	var group sync.WaitGroup
	statuses := make([]int, 16)
	for i := range statuses {
		group.Go(func() { statuses[i] = b.open(addresses[i%2]).status })
	}
	group.Wait()
	slices.Sort(statuses)
	assert.Equal(t, append([]int{200}, slices.Repeat([]int{403}, 15)...), statuses)
	assert.Equal(t, ghltest.TokenCounts{Exchanges: 1}, w.ghl.TokenCounts("location/harbour"))
}

func TestABrowserMayComeBackToAnotherProcessThanItSetOutFrom(t *testing.T) {
	w := newWorld(t)
	other := w.another(key)
	b := w.browser()
	to := b.consent(ghltest.Choice{Location: "harbour"})
	assert.Equal(t, 403, w.browser().open(other(to)).status)
	assert.Equal(t, "wrong_state", w.last())
	assert.Equal(t, 200, b.open(other(to)).status)
	assert.Equal(t, 403, b.open(to.String()).status)
	assert.Equal(t, "repeated", w.last())
	assert.Equal(t, 403, b.open(other(to)).status)
	assert.Equal(t, "repeated", w.last())
	assert.Equal(t, ghltest.TokenCounts{Exchanges: 1}, w.ghl.TokenCounts("location/harbour"))
	assert.Equal(t, crm.Connected, w.state("harbour"))
}

func TestTheKeyMayBeChangedBetweenTheLinkAndTheWayBack(t *testing.T) {
	w := newWorld(t)
	next := base64.StdEncoding.EncodeToString([]byte("fedcba9876543210fedcba9876543210"))
	b := w.browser()
	to := b.consent(ghltest.Choice{Location: "harbour"})
	assert.Equal(t, 403, b.open(w.another(next)(to)).status, "one that can't know the state takes it for none of ours")
	assert.Equal(t, 200, b.open(w.another(next, key)(to)).status)
}

func TestAStateThatWasChangedAnywhereIsNoneOfOurs(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	to := b.consent(ghltest.Choice{Location: "harbour"})
	state := to.Query().Get("state")
	assert.NotContains(t, state, "=")
	cookies := b.Jar.Cookies(to)
	require.Len(t, cookies, 1)
	changed := []string{state[1:], state[:len(state)-1], state + "A", state + "=", state + state, cookies[0].Value}
	for i := range len(state) - 1 { // the last letter has bits that stand for nothing
		letter := "A"
		if state[i] == 'A' {
			letter = "B"
		}
		changed = append(changed, state[:i]+letter+state[i+1:])
	}
	for _, each := range changed {
		assert.Equal(t, 403, b.open(with(to, "state", each)).status, each)
		assert.Equal(t, "wrong_state", w.last())
	}
	assert.Equal(t, 200, b.open(to.String()).status)
}

func TestAHEADUsesNothingUp(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	to := b.consent(ghltest.Choice{Location: "harbour"}).String()
	for _, method := range []string{http.MethodHead, http.MethodPost} {
		page := b.open(to, func(r *http.Request) { r.Method = method })
		assert.Equal(t, 405, page.status)
		assert.Equal(t, "GET", page.header.Get("Allow"))
	}
	assert.Equal(t, 200, b.open(to).status)
}

func TestACodeThatIsNotGoodIsExplained(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		change func(to *url.URL) string
		words  string
	}{
		"used": {func(to *url.URL) string {
			b := w.browser()
			first := b.consent(ghltest.Choice{Location: "harbour"})
			require.Equal(t, 200, b.open(first.String()).status)
			return with(to, "code", first.Query().Get("code"))
		}, "RS-GHL-RECONNECT"},
		"made up": {func(to *url.URL) string { return with(to, "code", "code-made-up") }, "RS-GHL-RECONNECT"},
		"missing": {func(to *url.URL) string { return with(to, "code", "") }, "without a code"},
		"of a location that is not active": {func(to *url.URL) string {
			w.ghl.Suspend("harbour")
			return to.String()
		}, "GHL says that this location is not active. "},
	} {
		b := w.browser()
		page := b.open(c.change(b.consent(ghltest.Choice{Location: "harbour"})))
		w.ghl.Resume("harbour")
		assert.Equal(t, 400, page.status, name)
		assert.Contains(t, strings.ReplaceAll(page.text, ".</p>", ". "), c.words, name)
	}
}

func TestAnAnswerThatCanNotBeTrueConnectsNothing(t *testing.T) {
	for name, fault := range map[string]ghltest.Fault{
		"no refresh token": {Without: "refresh_token"}, "nobody's": {Without: "locationId"}, "no token": {Without: "access_token"}, "no end": {Without: "expires_in"},
		"a page": {HTML: true}, "half": {Cut: true}, "nothing": {Empty: true}, "away": {Status: 503}, "lost": {ResetAfter: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			fault.Operation = "oauth.token"
			w.ghl.Fail(fault)
			page := w.browser().connect(ghltest.Choice{Location: "harbour"})
			assert.Equal(t, 502, page.status, page.text)
			assert.Equal(t, "10", page.header.Get("Retry-After"))
			assert.Contains(t, page.text, "Wait a moment, then open the link again.")
			assert.Empty(t, w.state("harbour"))
			assert.Empty(t, w.started)
			w.secretive()
		})
	}
}

func TestTheLocationThatGHLGivesIsTheOneThatIsShownAndStarted(t *testing.T) {
	w := newWorld(t)
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.token", Foreign: true})
	page := w.browser().connect(ghltest.Choice{Location: "harbour"})
	require.Len(t, w.started, 1)
	assert.NotContains(t, page.text, "harbour")
	assert.Contains(t, page.text, "<code>"+w.started[0]+"</code>")
	assert.Empty(t, w.state("harbour"))
}

func TestALocationThatCanNotBeStartedKeepsNoOtherFromIt(t *testing.T) {
	w := newWorld(t)
	w.broken["two"] = errors.New("dial tcp 10.0.0.7: secret-canary")
	page := w.browser().connect(ghltest.Choice{Company: "agency"})
	assert.Equal(t, 200, page.status)
	assert.Contains(t, page.text, "<code>two</code><br>Kept, but not started: the Temporal server can&#39;t be reached.")
	assert.Equal(t, []string{"one", "three"}, w.started)
	assert.Contains(t, page.text, "but for those with a note")
	assert.NotContains(t, page.text, "close this page")
	assert.Equal(t, "partly", w.last())
	w.secretive()
}

func TestWhileTemporalIsAwayTheInstallIsKept(t *testing.T) {
	w := newWorld(t)
	w.broken["harbour"] = &crm.Error{Code: crm.TemporalAway}
	page := w.browser().connect(ghltest.Choice{Location: "harbour"})
	assert.Equal(t, 503, page.status)
	assert.Contains(t, page.text, "Kept, but not started yet")
	assert.Contains(t, page.text, "TEMPORAL_ADDRESS")
	assert.Equal(t, crm.Connected, w.state("harbour"))
	delete(w.broken, "harbour")
	assert.Equal(t, 200, w.browser().connect(ghltest.Choice{Location: "harbour"}).status)
	assert.Equal(t, []string{"harbour"}, w.started)
}

func TestWhileTheStoreIsAwayNothingIsConnected(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.closeStore())
	page := w.browser().connect(ghltest.Choice{Location: "harbour"})
	assert.Equal(t, 503, page.status)
	assert.Contains(t, page.text, "RS-STORE-UNAVAILABLE")
	assert.Equal(t, "unavailable", w.last())
	assert.Empty(t, w.started)
	assert.Zero(t, w.ghl.TokenCounts("location/harbour"), "a code that may come twice is not changed")
	w.secretive()
}

func TestAPanicIsToldInNoWordsOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.options.Install = func(_ context.Context, g crm.Grant, _ []crm.InstalledLocation) ([]crm.Connection, error) {
		panic("secret-canary " + string(g.AccessToken))
	}
	page := w.browser().connect(ghltest.Choice{Location: "harbour"})
	assert.Equal(t, 500, page.status)
	assert.Contains(t, page.text, "RS-INTERNAL")
	assert.Equal(t, "internal", w.last())
	assert.Contains(t, w.log.String(), "a page panicked")
	w.secretive()
}

func TestAStartThatPanicsKeepsNoOtherFromIt(t *testing.T) {
	w := newWorld(t)
	w.options.Start = func(ctx context.Context, location string) error {
		if location == "two" {
			panic("secret-canary")
		}
		return w.start(ctx, location)
	}
	page := w.browser().connect(ghltest.Choice{Company: "agency"})
	assert.Equal(t, 200, page.status)
	assert.Contains(t, page.text, "Kept, but not started: an internal error.")
	assert.Equal(t, []string{"one", "three"}, w.started)
	w.secretive()
}

func TestTheLinkLeadsToTheConsentPageWhateverTheRequestSays(t *testing.T) {
	w := newWorld(t)
	honest := w.browser().open(w.url + "/oauth/install").to
	odd := w.browser().open(w.url+"/oauth/install?redirect_uri=https://evil.example&state=x&client_id=x", func(r *http.Request) {
		r.Host = "evil.example"
		for _, name := range []string{"X-Forwarded-Host", "X-Original-URL", "Forwarded", "Origin", "Referer"} {
			r.Header.Set(name, "https://evil.example/")
		}
	})
	assert.Equal(t, http.StatusFound, odd.status)
	assert.Equal(t, "no-store", odd.header.Get("Cache-Control"))
	assert.Empty(t, odd.text)
	assert.NotContains(t, odd.to.String(), "evil")
	assert.NotEqual(t, honest.Query().Get("state"), odd.to.Query().Get("state"))
	assert.Equal(t, with(honest, "state", "x"), with(odd.to, "state", "x"))
	assert.True(t, strings.HasPrefix(odd.to.String(), w.ghlURL+"/v2/oauth/chooselocation?"))
}

func TestTheCookieIsForThisBrowserAndThisHostAlone(t *testing.T) {
	for secure, name := range map[bool]string{false: "rankrsync-install", true: "__Host-rankrsync-install"} {
		w := newWorld(t)
		w.options.Secure = secure
		recorder := httptest.NewRecorder()
		w.handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/oauth/install", nil))
		cookies := recorder.Result().Cookies()
		require.Len(t, cookies, 1)
		c := cookies[0]
		assert.Equal(t, []any{name, "/", "", 600, secure, true, http.SameSiteLaxMode},
			[]any{c.Name, c.Path, c.Domain, c.MaxAge, c.Secure, c.HttpOnly, c.SameSite})
		assert.NotContains(t, recorder.Header().Get("Location"), c.Value, "the state tells nothing of it")

		again := func(values ...string) string {
			request := httptest.NewRequest(http.MethodGet, "/oauth/install", nil)
			for _, value := range values {
				request.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			recorder := httptest.NewRecorder()
			w.handler().ServeHTTP(recorder, request)
			return recorder.Result().Cookies()[0].Value
		}
		assert.Equal(t, c.Value, again(c.Value))
		assert.NotEqual(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", again("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "a key that we did not give")
		assert.NotContains(t, []string{c.Value, "planted"}, again(c.Value, "planted"), "somebody planted one of them")
	}
}

func TestEveryPageIsPlainAndShutToOthers(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`)
	for _, page := range []shown{
		b.connect(ghltest.Choice{Location: "harbour"}), b.connect(ghltest.Choice{Company: "agency"}), b.connect(ghltest.Choice{Deny: true}),
		b.open(w.url + "/oauth/callback"), b.open(w.url + "/oauth/callback?state=" + strings.Repeat("x", 9000)),
	} {
		h := page.header
		assert.Equal(t, []string{"text/html; charset=utf-8", "no-store", "nosniff", "no-referrer"},
			[]string{h.Get("Content-Type"), h.Get("Cache-Control"), h.Get("X-Content-Type-Options"), h.Get("Referrer-Policy")})
		css := style.FindStringSubmatch(page.text)
		require.NotNil(t, css)
		sum := sha256.Sum256([]byte(css[1]))
		assert.Equal(t, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", h.Get("Content-Security-Policy"))
		for _, foreign := range []string{"http:", "https:", "//", "<script", "<img", "<link", "style=", "onclick"} {
			assert.NotContains(t, page.text, foreign)
		}
		assert.Contains(t, page.text, `<meta name="viewport"`)
	}
}

func TestNamesFromGHLAreOnlyText(t *testing.T) {
	w := newWorld(t)
	w.ghl.PutLocation(ghltest.Location{ID: "one", Name: `<script>alert("x")</script>`, Company: "agency"})
	page := w.browser().connect(ghltest.Choice{Company: "agency"})
	assert.NotContains(t, page.text, "<script")
	assert.Contains(t, page.text, "&lt;script&gt;")
}

func TestNoSecretIsInAPageALogOrAMetric(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	to := b.consent(ghltest.Choice{Company: "agency"})
	require.Equal(t, 200, b.open(to.String()).status)
	b.open(to.String())
	b.connect(ghltest.Choice{Location: "harbour"})
	w.broken["harbour"] = errors.New("secret-canary")
	b.connect(ghltest.Choice{Location: "harbour"})
	b.open(with(b.consent(ghltest.Choice{Location: "harbour"}), "code", "secret-canary"))
	w.secretive(to.Query().Get("code"), to.Query().Get("state"))
	assert.Contains(t, w.log.String(), `"owner":"company/agency"`)
}

// secretive looks for secrets in all that was shown, logged and counted. Those of the fake have names.
func (w *world) secretive(more ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.shown.String() + w.log.String() + strings.Join(w.results, " ")
	for _, secret := range append(more, "access-", "refresh-", "code-", "secret-canary", ghltest.ClientSecret) {
		assert.NotContains(w.t, all, secret)
	}
}

// impatient is a GHL that answers when the browser has just left.
type impatient struct {
	connect.OAuth
	leave func()
}

func (i *impatient) Exchange(ctx context.Context, code crm.Secret, kind crm.TokenKind) (crm.Grant, error) {
	i.leave()
	return i.OAuth.Exchange(ctx, code, kind)
}

func TestWhatGHLGivesIsKeptWhenTheBrowserLeaves(t *testing.T) {
	w := newWorld(t)
	ctx, leave := context.WithCancel(t.Context())
	w.options.OAuth = &impatient{w.options.OAuth, leave}
	b := w.browser()
	to := b.consent(ghltest.Choice{Location: "harbour"})
	request := httptest.NewRequest(http.MethodGet, to.String(), nil).WithContext(ctx)
	for _, cookie := range b.Jar.Cookies(to) {
		request.AddCookie(cookie)
	}
	w.handler().ServeHTTP(httptest.NewRecorder(), request)
	assert.Error(t, ctx.Err())
	assert.Equal(t, crm.Connected, w.state("harbour"))
	assert.Equal(t, []string{"harbour"}, w.started)
}

// busy is a GHL that does something before it lists a company's locations.
type busy struct {
	connect.OAuth
	first func(token crm.Secret)
}

func (b *busy) InstalledLocations(ctx context.Context, token crm.Secret, company, app string) iter.Seq2[crm.InstalledLocation, error] {
	b.first(token)
	return b.OAuth.InstalledLocations(ctx, token, company, app)
}

func TestAnAgencyIsKeptBeforeItsLocationsAreListed(t *testing.T) {
	w := newWorld(t)
	var renewed connections.Access
	w.options.OAuth = &busy{w.options.OAuth, func(token crm.Secret) {
		ours, err := w.known.Adopt(t.Context(), "three", "agency") // its INSTALL comes now
		assert.NoError(t, err)
		assert.True(t, ours)
		renewed, err = w.known.Access(t.Context(), "company/agency", string(token))
		assert.NoError(t, err)
	}}
	page := w.browser().connect(ghltest.Choice{Company: "agency", Locations: []string{"one", "three"}})
	assert.Equal(t, 200, page.status, page.text)
	assert.Equal(t, []string{"one", "three"}, w.started)
	now, err := w.known.Access(t.Context(), "company/agency", "")
	require.NoError(t, err)
	assert.Equal(t, renewed, now, "what the grant was renewed to meanwhile is not overwritten")
	assert.Equal(t, 1, w.ghl.TokenCounts("company/agency").Refreshes)
}

// away is a GHL whose errors are not ours.
type away struct{ connect.OAuth }

func (away) Exchange(context.Context, crm.Secret, crm.TokenKind) (crm.Grant, error) {
	return crm.Grant{}, errors.New("secret-canary")
}

func (away) InstalledLocations(context.Context, crm.Secret, string, string) iter.Seq2[crm.InstalledLocation, error] {
	return nil
}

func TestTheTextOfAStrangeErrorIsNotShown(t *testing.T) {
	w := newWorld(t)
	w.options.OAuth = away{w.options.OAuth}
	page := w.browser().connect(ghltest.Choice{Location: "harbour"})
	assert.Equal(t, 500, page.status)
	w.secretive()
}

func TestWrongSettingsAreNamed(t *testing.T) {
	w := newWorld(t)
	w.options.OAuth = ghl.NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: w.ghlURL}), ghl.App{
		ClientID: ghltest.ClientID, Secret: func() (crm.Secret, error) { return "wrong", nil },
		RedirectURL: w.url + "/oauth/callback", Scopes: ghl.Scopes(), Consent: w.ghlURL + "/v2/oauth/chooselocation",
	})
	page := w.browser().connect(ghltest.Choice{Location: "harbour"})
	assert.Equal(t, 500, page.status)
	assert.Contains(t, page.text, "RS-INPUT [GHL_CLIENT_ID, GHL_CLIENT_SECRET]")
	assert.Equal(t, "misconfigured", w.last())
}

func TestThePagesReachNoClientAndNoStore(t *testing.T) {
	for _, dep := range deptest.Of(t, ".") {
		ours, found := strings.CutPrefix(dep, deptest.Module)
		assert.False(t, found && ours != "starter/connect" && ours != "crm", dep)
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/"), dep)
	}
}
