package connections_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	"github.com/rankrsync/rankrsync/internal/pgtest"
	"github.com/rankrsync/rankrsync/seal"
	"github.com/rankrsync/rankrsync/store"
)

// renewer is the name of the process that only renews tokens: see TestEachExpiryIsOneRefresh.
const renewer = "CONNECTIONS_RENEWER"

func TestMain(m *testing.M) {
	if os.Getenv(renewer) != "" {
		os.Exit(renew())
	}
	os.Exit(pgtest.Main(m))
}

var key = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

// world is a GHL that gives tokens, and a store that keeps them.
type world struct {
	*connections.Connections
	t     *testing.T
	ghl   *ghltest.Server
	url   string // of GHL
	store *store.Store
	oauth *ghl.OAuth
	box   *seal.Box
}

func newWorld(t *testing.T, storeURL string) *world {
	w := &world{t: t, ghl: ghltest.New()}
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	t.Cleanup(w.ghl.Close)
	server := httptest.NewServer(w.ghl)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.Connections, w.store, w.oauth = assemble(t, storeURL, server.URL)
	w.box = w.Sealer.(*seal.Box)
	return w
}

// age lets an owner's token end so much from now, as if a day had nearly passed. Memories of it are lost, as by a restart.
func (w *world) age(owner string, left time.Duration) {
	w.t.Helper()
	row, err := w.store.Token(w.t.Context(), owner)
	require.NoError(w.t, err)
	text, err := w.box.Open(row.Sealed, []byte(owner))
	require.NoError(w.t, err)
	var token map[string]any
	require.NoError(w.t, json.Unmarshal(text, &token))
	token["expires"], token["issued"] = time.Now().Add(left), time.Now().Add(left-24*time.Hour)
	text, err = json.Marshal(token)
	require.NoError(w.t, err)
	row.Sealed, err = w.box.Seal(text, []byte(owner))
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.PutToken(w.t.Context(), row))
	w.Connections = &connections.Connections{Store: w.Store, Sealer: w.Sealer, GHL: w.GHL}
}

type fatal interface{ Fatal(...any) }

func assemble(t fatal, storeURL, ghlURL string) (*connections.Connections, *store.Store, *ghl.OAuth) {
	s, err := store.Open(context.Background(), storeURL)
	if err != nil {
		t.Fatal(err)
	}
	if cleaner, ok := t.(interface{ Cleanup(func()) }); ok {
		cleaner.Cleanup(func() { _ = s.Close() })
	}
	box, err := seal.New([]string{key})
	if err != nil {
		t.Fatal(err)
	}
	oauth := ghl.NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: ghlURL}), ghl.App{
		ClientID: ghltest.ClientID, Secret: func() (crm.Secret, error) { return ghltest.ClientSecret, nil }, RedirectURL: "https://app.example/oauth/callback",
	})
	return &connections.Connections{Store: s, Sealer: box, GHL: oauth}, s, oauth
}

func sqlite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "store.db") }

func (w *world) connection(location string) crm.Connection {
	w.t.Helper()
	connection, err := w.store.Connection(w.t.Context(), location)
	require.NoError(w.t, err)
	return connection
}

// install connects a location or a company as the callback page does.
func (w *world) install(choice ghltest.Choice) []crm.Connection {
	w.t.Helper()
	code, err := w.ghl.Install(choice)
	require.NoError(w.t, err)
	kind := crm.LocationToken
	if choice.Location == "" {
		kind = crm.CompanyToken
	}
	grant, err := w.oauth.Exchange(w.t.Context(), crm.Secret(code), kind)
	require.NoError(w.t, err)
	var locations []crm.InstalledLocation
	if grant.Location == "" {
		for location, err := range w.oauth.InstalledLocations(w.t.Context(), grant.AccessToken, grant.Company, w.oauth.App().ID()) {
			require.NoError(w.t, err)
			locations = append(locations, location)
		}
	}
	connected, err := w.Install(w.t.Context(), grant, locations)
	require.NoError(w.t, err)
	return connected
}

func (w *world) token(location string) string {
	w.t.Helper()
	token, err := w.Source(location).Token()
	require.NoError(w.t, err)
	return token.AccessToken
}

func (w *world) state(location string) crm.ConnectionState {
	w.t.Helper()
	connection, err := w.store.Connection(w.t.Context(), location)
	require.NoError(w.t, err)
	return connection.State
}

func TestAConnectedLocationHasATokenThatIsRenewedAheadOfItsEnd(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	first := w.token("L")
	assert.Equal(t, first, w.token("L"))
	w.age("location/L", 9*time.Minute)
	second := w.token("L")
	assert.NotEqual(t, first, second)
	assert.Equal(t, second, w.token("L"))
	assert.Equal(t, 1, w.ghl.TokenCounts("location/L").Refreshes)
}

func TestATokenThatGHLRefusesIsRenewedOnce(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	refused := w.token("L")
	source := w.Source("L")
	var group sync.WaitGroup
	tokens := make([]string, 20)
	for i := range tokens {
		group.Go(func() {
			token, err := source.Renew(refused)
			if assert.NoError(t, err) {
				tokens[i] = token.AccessToken
			}
		})
	}
	group.Wait()
	for _, token := range tokens {
		assert.Equal(t, tokens[0], token)
	}
	assert.NotEqual(t, refused, tokens[0])
	assert.Equal(t, 1, w.ghl.TokenCounts("location/L").Refreshes)
}

func TestTheLocationsOfACompanyGetTokensWhenTheyNeedThem(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for _, location := range []string{"A", "B", "C"} {
		w.ghl.PutLocation(ghltest.Location{ID: location, Company: "K"})
	}
	connected := w.install(ghltest.Choice{Company: "K"})
	require.Len(t, connected, 3)
	assert.Equal(t, crm.MintedToken, connected[0].Kind)
	assert.NotEqual(t, w.token("A"), w.token("B"))
	assert.Equal(t, 1, w.ghl.TokenCounts("location/A").Mints)
	assert.Zero(t, w.ghl.TokenCounts("location/C").Mints, "nobody needed it")
	w.age("location/A", -time.Hour)
	w.age("company/K", -time.Hour)
	w.token("A")
	assert.Equal(t, 2, w.ghl.TokenCounts("location/A").Mints)
	assert.Equal(t, 1, w.ghl.TokenCounts("company/K").Refreshes)
}

func TestALocationThatComesToACompanyLaterIsConnectedByIt(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "A", Company: "K"})
	w.install(ghltest.Choice{Company: "K", Future: true})
	w.ghl.PutLocation(ghltest.Location{ID: "B", Company: "K"})
	ours, err := w.Adopt(t.Context(), "B", "other")
	require.NoError(t, err)
	assert.False(t, ours)
	ours, err = w.Adopt(t.Context(), "B", "K")
	require.NoError(t, err)
	assert.True(t, ours)
	assert.Empty(t, w.connection("B").Scopes, "the event tells none")
	w.token("B")
	assert.Equal(t, w.connection("A").Scopes, w.connection("B").Scopes, "its token does")
	assert.NotEmpty(t, w.connection("B").Scopes)
}

func TestTheCompanyOfALocationThatGetsTheAppByItselfIsFound(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for location, company := range map[string]string{"A": "J", "B": "K", "S": "stranger"} {
		w.ghl.PutLocation(ghltest.Location{ID: location, Company: company})
	}
	ours, err := w.Adopt(t.Context(), "S", "")
	require.NoError(t, err)
	assert.False(t, ours, "there is no company yet")
	w.install(ghltest.Choice{Company: "J", Future: true})
	w.install(ghltest.Choice{Company: "K", Future: true})
	w.ghl.PutLocation(ghltest.Location{ID: "C", Company: "K"})
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.location-token", Status: 503})
	_, err = w.Adopt(t.Context(), "C", "")
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLUnavailable}, "who told of it is to come again")
	w.ghl.Heal()
	ours, err = w.Adopt(t.Context(), "C", "")
	require.NoError(t, err)
	assert.True(t, ours)
	connection, err := w.store.Connection(t.Context(), "C")
	require.NoError(t, err)
	assert.Equal(t, "K", connection.Company)
	w.token("C")
	ours, err = w.Adopt(t.Context(), "S", "")
	require.NoError(t, err)
	assert.False(t, ours)
}

func TestACompanysTokenIsForgottenWhenItIsOfNoUse(t *testing.T) {
	w := newWorld(t, sqlite(t))
	for _, location := range []string{"A", "B"} {
		w.ghl.PutLocation(ghltest.Location{ID: location, Company: "K"})
	}
	kept := func() bool {
		row, err := w.store.Token(t.Context(), crm.CompanyOwner("K"))
		require.NoError(t, err)
		return row.Version > 0
	}
	w.install(ghltest.Choice{Company: "K"})
	for _, location := range []string{"A", "B"} {
		require.NoError(t, w.Disconnect(t.Context(), location))
		require.NoError(t, w.ForgetCompany(t.Context(), location))
		assert.True(t, kept(), "GHL takes it, and the next location comes by it")
	}
	w.install(ghltest.Choice{Company: "K"})
	require.NoError(t, w.ghl.Uninstall("company/K"))
	require.NoError(t, w.Disconnect(t.Context(), "A"))
	require.NoError(t, w.ForgetCompany(t.Context(), "A"))
	assert.True(t, kept(), "B uses it")
	require.NoError(t, w.Disconnect(t.Context(), "B"))
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.token", Status: 503})
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.location-token", Status: 503})
	require.ErrorIs(t, w.ForgetCompany(t.Context(), "B"), &crm.Error{Code: crm.GHLUnavailable}, "it is asked again")
	assert.True(t, kept())
	w.ghl.Heal()
	for range 2 {
		require.NoError(t, w.ForgetCompany(t.Context(), "B"))
		assert.False(t, kept())
	}
	w.install(ghltest.Choice{Company: "K"})
	w.token("A")
}

func TestALocationWithoutTheAppGetsNoTokenOfItsCompany(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "A", Company: "K"})
	w.install(ghltest.Choice{Company: "K", Locations: []string{"A"}})
	w.ghl.PutLocation(ghltest.Location{ID: "B", Company: "K"})
	ours, err := w.Adopt(t.Context(), "B", "K")
	require.NoError(t, err)
	assert.True(t, ours)
	_, err = w.Source("B").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLTenant})
	assert.Equal(t, crm.WrongTenant, w.state("B"))
}

func TestAPausedLocationKeepsItsTokenAndGoesOn(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	w.ghl.Suspend("L")
	w.age("location/L", -time.Hour)
	_, err := w.Source("L").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLSuspended})
	assert.Equal(t, crm.Suspended, w.state("L"))
	w.ghl.Resume("L")
	w.token("L")
	assert.Equal(t, crm.Connected, w.state("L"))
}

func TestALostRefreshTokenAsksForAReconnect(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	require.NoError(t, w.ghl.Uninstall("location/L"))
	w.age("location/L", -time.Hour)
	_, err := w.Source("L").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLReconnect})
	assert.Equal(t, crm.ReconnectNeeded, w.state("L"))
	w.install(ghltest.Choice{Location: "L"})
	w.token("L")
	assert.Equal(t, crm.Connected, w.state("L"))
}

func TestWhileGHLIsAwayAnOldTokenIsUsedForAsLongAsItLasts(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	first := w.token("L")
	w.ghl.Fail(ghltest.Fault{Status: 503})
	w.age("location/L", 5*time.Minute)
	assert.Equal(t, first, w.token("L"))
	w.age("location/L", -time.Minute)
	_, err := w.Source("L").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLUnavailable})
	assert.Equal(t, crm.Connected, w.state("L"), "an outage is no state of the connection")
	w.ghl.Heal()
	assert.NotEqual(t, first, w.token("L"))
}

func TestALostAnswerIsSurvivedByTheGrace(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	w.age("location/L", -time.Hour)
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.*", ResetAfter: true, Times: 1})
	_, err := w.Source("L").Token()
	require.Error(t, err, "GHL gave a pair that never arrived")
	w.token("L")
	assert.Equal(t, 1, w.ghl.TokenCounts("location/L").Repeats, "the same pair again")
}

// died is a process that was killed between GHL's answer and the store: the row is held by nobody who lives, and the refresh
// token that it holds is used up.
func (w *world) died(owner string) {
	w.t.Helper()
	row, err := w.store.Token(w.t.Context(), owner)
	require.NoError(w.t, err)
	row, err = w.store.HoldToken(w.t.Context(), row, "who died", time.Second)
	require.NoError(w.t, err)
	text, err := w.box.Open(row.Sealed, []byte(owner))
	require.NoError(w.t, err)
	var token struct{ Refresh string }
	require.NoError(w.t, json.Unmarshal(text, &token))
	_, err = w.oauth.Refresh(w.t.Context(), owner, crm.Secret(token.Refresh))
	require.NoError(w.t, err)
}

func TestAProcessThatDiesBetweenAnswerAndStoreIsMadeUpForInTheGrace(t *testing.T) {
	w := newWorld(t, sqlite(t))
	var late atomic.Int64
	w.ghl.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	w.age("location/L", -time.Hour)
	w.died("location/L")
	w.token("L")
	assert.Equal(t, ghltest.TokenCounts{Exchanges: 1, Refreshes: 1, Repeats: 1}, w.ghl.TokenCounts("location/L"))
	assert.Equal(t, crm.Connected, w.state("L"))

	w.age("location/L", -time.Hour)
	w.died("location/L")
	late.Store(int64(31 * time.Second))
	_, err := w.Source("L").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLReconnect})
	assert.Equal(t, crm.ReconnectNeeded, w.state("L"), "after the grace only people can help")
}

func TestADisconnectedLocationHasNoTokenAndComesBackByInstalling(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	require.NoError(t, w.Disconnect(t.Context(), "L"))
	_, err := w.Source("L").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.UnknownLocation})
	require.ErrorIs(t, w.Disconnect(t.Context(), "M"), &crm.Error{Code: crm.UnknownLocation})
	w.install(ghltest.Choice{Location: "L"})
	w.token("L")
}

func TestNoTokenIsInTheStoreInTheClear(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	w.install(ghltest.Choice{Location: "L"})
	token := w.token("L")
	row, err := w.store.Token(t.Context(), "location/L")
	require.NoError(t, err)
	assert.NotContains(t, string(row.Sealed), token)
	row.Owner = "location/M"
	require.NoError(t, w.store.PutToken(t.Context(), row))
	require.NoError(t, w.store.PutConnection(t.Context(), crm.Connection{Location: "M", Owner: "location/M", Kind: crm.LocationToken, State: crm.Connected}))
	_, err = w.Source("M").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.SealBroken}, "a row that is moved to another owner can't be opened")
}

// Eight processes need the tokens of a thousand owners, all of which have expired.
func TestEachExpiryIsOneRefreshHoweverManyProcessesNeedIt(t *testing.T) {
	const processes, owners = 8, 1_000
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": sqlite, "postgres": pgtest.New} {
		t.Run(name, func(t *testing.T) {
			url := fresh(t)
			w := newWorld(t, url)
			for i := range owners {
				location := "L" + strconv.Itoa(i)
				w.ghl.PutLocation(ghltest.Location{ID: location})
				w.install(ghltest.Choice{Location: location})
			}
			w.ghl.Expire("")
			for i := range owners {
				w.age("location/L"+strconv.Itoa(i), -time.Minute)
			}
			var group sync.WaitGroup
			for range processes {
				group.Go(func() {
					command := exec.Command(os.Args[0])
					command.Env = append(os.Environ(), renewer+"="+url, "GHL_URL="+w.url, "OWNERS="+strconv.Itoa(owners))
					stdin, err := command.StdinPipe()
					if !assert.NoError(t, err) {
						return
					}
					defer stdin.Close() // should this process end first, that one ends as well
					output, err := command.CombinedOutput()
					assert.NoError(t, err, "%s", output)
				})
			}
			group.Wait()
			total := 0
			for i := range owners {
				counts := w.ghl.TokenCounts("location/L" + strconv.Itoa(i))
				total += counts.Refreshes + counts.Repeats + counts.Refused
			}
			assert.Equal(t, owners, total)
		})
	}
}

// renew is one of the processes: it asks for every location's token in an order of its own, eight at a time.
func renew() int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	n, _ := strconv.Atoi(os.Getenv("OWNERS"))
	all, _, _ := assemble(panics{}, os.Getenv(renewer), os.Getenv("GHL_URL"))
	var group sync.WaitGroup
	slots, failed := make(chan struct{}, 8), make(chan error, n)
	for _, i := range rand.Perm(n) {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if _, err := all.Source("L" + strconv.Itoa(i)).Token(); err != nil {
				failed <- err
			}
		})
	}
	group.Wait()
	if len(failed) > 0 {
		fmt.Println(<-failed)
		return 1
	}
	return 0
}

type panics struct{}

func (panics) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func TestConnectionsReachSystemsOnlyThroughInterfaces(t *testing.T) {
	for _, dep := range deptest.Of(t, ".") {
		ours, found := strings.CutPrefix(dep, deptest.Module)
		assert.False(t, found && ours != "connections" && ours != "crm", dep)
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/"), dep)
	}
}

// serve connects what the app's own token is for, as starter connect --service-account does.
func (w *world) serve() []crm.Connection {
	w.t.Helper()
	grant, err := w.oauth.ClientCredentials(w.t.Context())
	require.NoError(w.t, err)
	var locations []crm.InstalledLocation
	for _, id := range grant.Approved {
		locations = append(locations, crm.InstalledLocation{ID: id})
	}
	connected, err := w.Install(w.t.Context(), grant, locations)
	require.NoError(w.t, err)
	return connected
}

func TestAnAppsOwnTokenIsAskedForAgainAndLocationsAreMintedFromIt(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "A", Company: "K"})
	_, err := w.ghl.Install(ghltest.Choice{Company: "K"})
	require.NoError(t, err)
	connected := w.serve()
	require.Len(t, connected, 1)
	assert.Equal(t, crm.MintedToken, connected[0].Kind)
	before, err := w.Access(t.Context(), "company/K", "")
	require.NoError(t, err)
	w.token("A")

	w.age("company/K", -time.Hour)
	w.age("location/A", -time.Hour)
	w.ghl.Expire("")
	w.token("A")
	after, err := w.Access(t.Context(), "company/K", "")
	require.NoError(t, err)
	assert.NotEqual(t, before.Access, after.Access)
	assert.Equal(t, ghltest.TokenCounts{Mints: 2}, w.ghl.TokenCounts("location/A"))
	assert.Zero(t, w.ghl.TokenCounts("company/K"), "neither a code nor a refresh token had a part in it")
	assert.Equal(t, crm.Connected, w.state("A"))

	// One that GHL refuses before its end is asked for again, too.
	w.ghl.Expire("company/K")
	w.age("location/A", -time.Hour)
	w.token("A")
	assert.Equal(t, 3, w.ghl.TokenCounts("location/A").Mints)
}

func TestAnAppsOwnTokenMustStayItsOwners(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.ghl.PutLocation(ghltest.Location{ID: "A", Company: "K"})
	w.ghl.PutLocation(ghltest.Location{ID: "L"})
	_, err := w.ghl.Install(ghltest.Choice{Location: "L"})
	require.NoError(t, err)
	connected := w.serve()
	require.Len(t, connected, 1)
	assert.Equal(t, crm.ClientCredentials, connected[0].Kind)
	w.age("location/L", -time.Hour)
	w.token("L")
	assert.Equal(t, crm.Connected, w.state("L"))

	_, err = w.ghl.Install(ghltest.Choice{Company: "K"}) // from now on the fake gives the company's
	require.NoError(t, err)
	w.age("location/L", -time.Hour)
	_, err = w.Source("L").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLTenant})
	assert.Equal(t, crm.WrongTenant, w.state("L"))
	require.NoError(t, w.ghl.Uninstall("company/K"))
	require.NoError(t, w.ghl.Uninstall("location/L"))
	_, err = w.Source("L").Token()
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLReconnect})
	assert.Equal(t, crm.ReconnectNeeded, w.state("L"))
}
