package activities_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/connections"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/seal"
	"github.com/rankrsync/rankrsync/store"
)

// connectWorld is a GHL that gives tokens, a store that keeps them, and the steps by which a location is connected.
type connectWorld struct {
	t           *testing.T
	ghl         *ghltest.Server
	store       *store.Store
	oauth       *ghl.OAuth
	connections *connections.Connections
	connect     *activities.Connect
	polls       *fakePolls
	close       func() // of the store
}

// known is what the app gives the steps: the store, and what forgets tokens.
type known struct {
	*store.Store
	*connections.Connections
}

// Disconnect is not the store's.
func (k known) Disconnect(ctx context.Context, location string) error {
	return k.Connections.Disconnect(ctx, location)
}

// fakePolls are the schedules.
type fakePolls struct {
	scheduled map[string]bool
	asked     int
	fail      error
}

func (p *fakePolls) SchedulePoll(_ context.Context, location string) error {
	p.scheduled[location] = p.fail == nil
	return p.fail
}

func (p *fakePolls) StopPoll(_ context.Context, location string) error {
	delete(p.scheduled, location)
	return p.fail
}

func (p *fakePolls) TryPoll(context.Context, string) error {
	p.asked++
	return p.fail
}

func newConnectWorld(t *testing.T) *connectWorld {
	w := &connectWorld{t: t, ghl: ghltest.New(), polls: &fakePolls{scheduled: map[string]bool{}}}
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	w.ghl.FailOnUnknown(t)
	w.ghl.PutLocation(ghltest.Location{
		ID: loc, Name: "Jane Doe Coaching", Country: "CH",
		CustomFields: []ghltest.CustomField{{ID: "cf1", Name: "Pincode", Key: "contact.pincode", DataType: "TEXT"}},
	})
	t.Cleanup(w.ghl.Close)
	wire := httptest.NewServer(w.ghl)
	t.Cleanup(wire.Close)
	var err error
	w.store, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	w.close = sync.OnceFunc(func() { w.store.Close() })
	t.Cleanup(w.close)
	box, err := seal.New([]string{base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))})
	require.NoError(t, err)
	w.oauth = ghl.NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: wire.URL}), ghl.App{
		ClientID: ghltest.ClientID, Secret: func() (crm.Secret, error) { return ghltest.ClientSecret, nil }, RedirectURL: "https://app.example/oauth/callback",
	})
	w.connections = &connections.Connections{Store: w.store, Sealer: box, GHL: w.oauth}
	source := ghl.New(rest.New(rest.Options{
		System: "ghl", BaseURL: wire.URL, Timeout: 2 * time.Second,
		Tokens: func(location string) (oauth2.TokenSource, error) { return w.connections.Source(location), nil },
	}), ghl.Options{})
	w.connect = &activities.Connect{
		Source: source, Fields: source, Connections: known{w.store, w.connections}, Polls: w.polls, Parking: w.store, Nudge: w.polls,
	}
	return w
}

// install connects the location, or its company, as the callback page does.
func (w *connectWorld) install(choice ghltest.Choice) {
	w.t.Helper()
	code, err := w.ghl.Install(choice)
	require.NoError(w.t, err)
	kind, locations := crm.LocationToken, []crm.InstalledLocation(nil)
	if choice.Location == "" {
		kind, locations = crm.CompanyToken, []crm.InstalledLocation{{ID: loc}}
	}
	grant, err := w.oauth.Exchange(w.t.Context(), crm.Secret(code), kind)
	require.NoError(w.t, err)
	_, err = w.connections.Install(w.t.Context(), grant, locations)
	require.NoError(w.t, err)
	w.ghl.Reset()
}

func (w *connectWorld) step(step any, in activities.ConnectRound) (answer activities.ConnectAnswer, err error) {
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.connect)
	value, err := env.ExecuteActivity(step, in)
	if err == nil && value.HasValue() {
		require.NoError(w.t, value.Get(&answer))
	}
	return answer, err
}

func (w *connectWorld) good(step any, in activities.ConnectRound) activities.ConnectAnswer {
	w.t.Helper()
	answer, err := w.step(step, in)
	require.NoError(w.t, err)
	return answer
}

func (w *connectWorld) connection() crm.Connection {
	w.t.Helper()
	connection, err := w.store.Connection(w.t.Context(), loc)
	require.NoError(w.t, err)
	return connection
}

func (w *connectWorld) parked() crm.Code {
	w.t.Helper()
	code, err := w.store.Parked(w.t.Context(), loc)
	require.NoError(w.t, err)
	return code
}

var (
	plainRound = activities.ConnectRound{Location: loc}
	asked      = ghltest.Choice{Location: loc}
)

// goneRound says that the app was uninstalled just now.
func goneRound() activities.ConnectRound {
	return activities.ConnectRound{Location: loc, Uninstalled: time.Now().Add(time.Second)}
}

func TestTheStepsOfAConnectionCostTwoCallsAndKeepTheNameOutOfHistory(t *testing.T) {
	w := newConnectWorld(t)
	w.install(asked)
	installed := w.connection()
	assert.Equal(t, activities.ConnectAnswer{Location: loc, State: crm.Connected}, w.good(w.connect.ProveConnection, plainRound))
	assert.Equal(t, 1, w.good(w.connect.ReadFields, plainRound).CustomFields)
	assert.Equal(t, crm.Connected, w.good(w.connect.RecordConnection, plainRound).State)
	w.good(w.connect.SchedulePoll, plainRound)
	require.NoError(t, w.store.ParkLocation(t.Context(), loc, crm.GHLSuspended))
	w.good(w.connect.ResumeLocation, plainRound)

	var operations []string
	for _, call := range w.ghl.Calls() {
		operations = append(operations, call.Operation)
	}
	assert.Equal(t, []string{"locations.get", "locations.custom-fields.list"}, operations)
	installed.Name = "Jane Doe Coaching"
	assert.Equal(t, installed, w.connection())
	assert.True(t, w.polls.scheduled[loc])
	assert.Equal(t, 1, w.polls.asked)
	assert.Empty(t, w.parked())
}

func TestAConnectionThatCanNotWorkSaysSoAndIsParked(t *testing.T) {
	for code, spoil := range map[crm.Code]func(*connectWorld){
		crm.GHLSuspended: func(w *connectWorld) { w.ghl.Suspend(loc) },
		crm.GHLReconnect: func(w *connectWorld) { require.NoError(w.t, w.ghl.Uninstall("location/"+loc)) },
	} {
		w := newConnectWorld(t)
		w.install(asked)
		spoil(w)
		for _, step := range []any{w.connect.ProveConnection, w.connect.ReadFields} {
			require.NoError(t, w.store.Unpark(t.Context(), loc))
			assert.Equal(t, activities.ConnectAnswer{Location: loc, State: crm.StateOf(code), Parked: code}, w.good(step, plainRound))
			assert.Equal(t, crm.StateOf(code), w.connection().State)
			assert.Equal(t, code, w.parked())
		}
	}
}

func TestAMissingScopeIsTheConnectionsState(t *testing.T) {
	w := newConnectWorld(t)
	code, err := w.ghl.Install(asked, "contacts.readonly", "locations.readonly")
	require.NoError(t, err)
	grant, err := w.oauth.Exchange(t.Context(), crm.Secret(code), crm.LocationToken)
	require.NoError(t, err)
	_, err = w.connections.Install(t.Context(), grant, nil)
	require.NoError(t, err)
	assert.Equal(t, crm.Connected, w.good(w.connect.ProveConnection, plainRound).State)
	assert.Equal(t, crm.GHLScope, w.good(w.connect.ReadFields, plainRound).Parked)
	assert.Equal(t, crm.ScopesMissing, w.connection().State)
	w.install(asked)
	assert.Equal(t, 1, w.good(w.connect.ReadFields, plainRound).CustomFields)
	w.good(w.connect.RecordConnection, plainRound)
	assert.Equal(t, crm.Connected, w.connection().State)
}

func TestALocationThatNobodyConnectedIsNotAndALostTokenNeedsAReconnect(t *testing.T) {
	w := newConnectWorld(t)
	none := activities.ConnectAnswer{Location: loc, State: crm.Disconnected, Parked: crm.UnknownLocation}
	assert.Equal(t, none, w.good(w.connect.ProveConnection, plainRound))
	assert.Zero(t, w.connection())
	w.install(asked)
	require.NoError(t, w.store.DropToken(t.Context(), crm.LocationOwner(loc)))
	assert.Equal(t, crm.ReconnectNeeded, w.good(w.connect.ProveConnection, plainRound).State)
	assert.Equal(t, crm.ReconnectNeeded, w.connection().State)
}

func TestWhileGHLIsAwayNoStepSaysAnything(t *testing.T) {
	w := newConnectWorld(t)
	w.install(asked)
	w.ghl.Fail(ghltest.Fault{Status: 503})
	for _, step := range []any{w.connect.ProveConnection, w.connect.ReadFields} {
		_, err := w.step(step, plainRound)
		comesAgain(t, err, crm.GHLUnavailable)
	}
	_, err := w.step(w.connect.ConfirmUninstall, goneRound())
	comesAgain(t, err, crm.GHLUnavailable)
	assert.Equal(t, crm.Connected, w.connection().State)
	assert.Empty(t, w.parked())
}

func TestALocationThatWasDisconnectedMeanwhileStaysSo(t *testing.T) {
	w := newConnectWorld(t)
	w.install(asked)
	w.good(w.connect.ProveConnection, plainRound)
	require.NoError(t, w.connections.Disconnect(t.Context(), loc))
	assert.Equal(t, crm.Disconnected, w.good(w.connect.RecordConnection, plainRound).State)
	assert.Equal(t, crm.Disconnected, w.connection().State)
}

func TestALocationWhoseTokenStandsInTheSettingsHasNothingToRecord(t *testing.T) {
	w := newConnectWorld(t)
	assert.Equal(t, crm.Connected, w.good(w.connect.RecordConnection, plainRound).State)
	assert.Zero(t, w.connection())
}

func TestAnUninstallIsProvenByACallAndForgetsTheToken(t *testing.T) {
	for name, install := range map[string]struct {
		choice ghltest.Choice
		owner  string
	}{
		"location":        {asked, "location/" + loc},
		"company":         {ghltest.Choice{Company: ghltest.DefaultCompany}, "company/" + ghltest.DefaultCompany},
		"of many, by one": {ghltest.Choice{Company: ghltest.DefaultCompany}, "location/" + loc},
	} {
		t.Run(name, func(t *testing.T) {
			w := newConnectWorld(t)
			w.install(install.choice)
			w.good(w.connect.ProveConnection, plainRound)
			require.NoError(t, w.ghl.Uninstall(install.owner))
			w.polls.scheduled[loc] = true
			round := goneRound()
			assert.Equal(t, crm.Disconnected, w.good(w.connect.ConfirmUninstall, round).State)
			w.good(w.connect.StopPoll, round)
			w.polls.scheduled[loc] = true // by a worker that started in between
			for range 2 {                 // done twice, it is as good as once
				assert.Equal(t, crm.Disconnected, w.good(w.connect.Disconnect, round).State)
			}
			assert.Empty(t, w.polls.scheduled)
			assert.Equal(t, crm.Disconnected, w.connection().State)
			row, err := w.store.Token(t.Context(), crm.LocationOwner(loc))
			require.NoError(t, err)
			assert.Zero(t, row.Version)
			assert.Equal(t, crm.Disconnected, w.good(w.connect.ConfirmUninstall, round).State, "and confirmed again by what we know")
		})
	}
}

func TestAnUninstallThatWasNotForUsIsIgnored(t *testing.T) {
	w := newConnectWorld(t)
	w.install(asked)
	assert.Empty(t, w.good(w.connect.ConfirmUninstall, goneRound()).State, "the token works")
	w.ghl.Suspend(loc)
	assert.Empty(t, w.good(w.connect.ConfirmUninstall, goneRound()).State, "a bill that is not paid is no uninstall")
	w.ghl.Resume(loc)
	w.good(w.connect.RecordConnection, plainRound)

	old := activities.ConnectRound{Location: loc, Uninstalled: w.connection().Installed.Add(-time.Second)}
	w.ghl.Reset()
	assert.Empty(t, w.good(w.connect.ConfirmUninstall, old).State)
	assert.Empty(t, w.ghl.Calls(), "it was installed again since")
	assert.Empty(t, w.good(w.connect.Disconnect, old).State, "also when that came between the two steps")
	assert.Equal(t, crm.Connected, w.connection().State)
}

func TestTheStepsOfAConnectionFailInWordsOfOurs(t *testing.T) {
	w := newConnectWorld(t)
	w.polls.fail = errors.New("away: jane@example.com")
	for _, step := range []any{w.connect.SchedulePoll, w.connect.StopPoll, w.connect.ResumeLocation} {
		_, err := w.step(step, plainRound)
		comesAgain(t, err, crm.TemporalAway)
	}
	w.close()
	for _, step := range []any{w.connect.RecordConnection, w.connect.ConfirmUninstall, w.connect.Disconnect} {
		_, err := w.step(step, goneRound())
		comesAgain(t, err, crm.StoreUnavailable)
	}
	for _, step := range []any{
		w.connect.ProveConnection, w.connect.ReadFields, w.connect.RecordConnection, w.connect.SchedulePoll,
		w.connect.ResumeLocation, w.connect.ConfirmUninstall, w.connect.StopPoll, w.connect.Disconnect,
	} {
		_, err := w.step(step, activities.ConnectRound{Location: "a/b"})
		var e *temporal.ApplicationError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, string(crm.InvalidInput), e.Type())
		assert.True(t, e.NonRetryable())
	}
}

func comesAgain(t *testing.T, err error, code crm.Code) {
	t.Helper()
	var e *temporal.ApplicationError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, string(code), e.Type())
	assert.False(t, e.NonRetryable())
	assert.NotContains(t, e.Error(), "jane")
}

// alwaysRefusing is a GHL that refuses every call in one way.
type alwaysRefusing struct{ *crm.Error }

func (r alwaysRefusing) Location(context.Context, string) (crm.Location, time.Time, error) {
	return crm.Location{}, time.Time{}, r.Error
}

func TestOnlyWhatGHLSaysOfTheTokenProvesAnUninstall(t *testing.T) {
	w := newConnectWorld(t)
	w.install(asked)
	for refusal, want := range map[*crm.Error]crm.ConnectionState{
		{Code: crm.GHLToken}: crm.Disconnected,
		{Code: crm.GHLReconnect, Fields: []string{"token"}}:     crm.Disconnected,
		{Code: crm.GHLTenant}:                                   crm.Disconnected,
		{Code: crm.UnknownLocation}:                             crm.Disconnected,
		{Code: crm.GHLToken, Fields: []string{"Version"}}:       "", // a header of ours
		{Code: crm.GHLToken, Fields: []string{"userType"}}:      "",
		{Code: crm.InvalidInput, Fields: []string{"CLIENT_ID"}}: "", // a setting of ours
		{Code: crm.GHLScope}:                                    "",
		{Code: crm.GHLSuspended}:                                "",
		{Code: crm.GHLInvalid}:                                  "", // a location's own token is not minted
		{Code: crm.SealBroken}:                                  "",
	} {
		w.connect.Source = alwaysRefusing{refusal}
		assert.Equal(t, want, w.good(w.connect.ConfirmUninstall, goneRound()).State, refusal.Error())
	}
}

// poll polls the location with the token of its connection.
func (w *connectWorld) poll() activities.TickAnswer {
	w.t.Helper()
	polls := &activities.Polls{Source: w.connect.Source.(crm.Source), Ticks: w.store, Standing: w.store, Nudge: &nudges{}}
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(polls)
	value, err := env.ExecuteActivity(polls.FindChanges, activities.Tick{Location: loc})
	require.NoError(w.t, err)
	var answer activities.TickAnswer
	require.NoError(w.t, value.Get(&answer))
	return answer
}

func TestASuspendedConnectionIsConnectedAgainByAPollThatSucceeds(t *testing.T) {
	w := newConnectWorld(t)
	w.install(asked)
	w.ghl.Suspend(loc)
	assert.Equal(t, crm.GHLSuspended, w.poll().Parked)
	assert.Equal(t, crm.Suspended, w.connection().State)
	assert.Equal(t, crm.GHLSuspended, w.parked())

	w.ghl.Resume(loc)
	refreshes := w.ghl.TokenCounts(crm.LocationOwner(loc)).Refreshes
	w.ghl.Reset()
	answer := w.poll()
	assert.Empty(t, answer.Parked)
	assert.Equal(t, 1, answer.Calls)
	assert.Len(t, w.ghl.Calls(), 1, "nothing is asked for the state's sake")
	assert.Equal(t, refreshes, w.ghl.TokenCounts(crm.LocationOwner(loc)).Refreshes, "and no renewal told it")
	assert.Equal(t, crm.Connected, w.connection().State)
	assert.Empty(t, w.parked())
}
