package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
)

// serviceWorld is a GHL and a Temporal server on sockets, and the store in the working directory.
type serviceWorld struct {
	t        *testing.T
	ghl      *ghltest.Server
	temporal *temporalServer
	store    *store.Store
}

func newServiceWorld(t *testing.T) *serviceWorld {
	w := &serviceWorld{t: t, ghl: ghltest.New(), temporal: &temporalServer{}}
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	w.ghl.PutLocation(ghltest.Location{ID: "harbour", Name: "Harbour"})
	for _, id := range []string{"one", "two"} {
		w.ghl.PutLocation(ghltest.Location{ID: id, Name: "Number " + id, Company: "agency"})
	}
	wire := httptest.NewServer(w.ghl)
	t.Cleanup(func() { wire.Close(); w.ghl.FailOnUnknown(t); w.ghl.Close() })
	file := inFolder(t, map[string]string{
		"TEMPORAL_ADDRESS": w.temporal.listen(t), "GHL_BASE_URL": wire.URL, "SECRET_KEY": key,
		"GHL_CLIENT_ID": ghltest.ClientID, "GHL_CLIENT_SECRET": ghltest.ClientSecret,
	})
	var err error
	w.store, err = store.Open(t.Context(), "sqlite:"+file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

// installed has the app where the choice says.
func (w *serviceWorld) installed(choice ghltest.Choice) {
	w.t.Helper()
	_, err := w.ghl.Install(choice)
	require.NoError(w.t, err)
}

// connect runs the command, of which nothing may show a secret.
func (w *serviceWorld) connect(arguments ...string) (answer, told string, code int) {
	w.t.Helper()
	var out, errs bytes.Buffer
	command := root()
	command.SilenceErrors, command.SilenceUsage = true, true // as main has it
	command.SetArgs(append([]string{"connect", "--service-account"}, arguments...))
	command.SetOut(&out)
	command.SetErr(&errs)
	err := command.ExecuteContext(w.t.Context())
	told = errs.String()
	if err != nil {
		told += err.Error()
	}
	for _, secret := range []string{"access-", ghltest.ClientSecret, key} {
		assert.NotContains(w.t, out.String()+told, secret)
	}
	return out.String(), told, exitCode(w.t.Context(), err)
}

// kinds are those of the connected locations.
func (w *serviceWorld) kinds() map[string]crm.TokenKind {
	w.t.Helper()
	all, err := w.store.Connections(w.t.Context())
	require.NoError(w.t, err)
	kinds := map[string]crm.TokenKind{}
	for _, connection := range all {
		assert.Equal(w.t, crm.Connected, connection.State)
		kinds[connection.Location] = connection.Kind
	}
	return kinds
}

func TestAServiceAccountConnectsTheLocationsOfItsAgency(t *testing.T) {
	w := newServiceWorld(t)
	require.NoError(t, installed("rankrsync.db", key, "other", crm.Connected))
	w.installed(ghltest.Choice{Company: "agency"})
	answer, told, code := w.connect("-o", "json")
	assert.Equal(t, done, code, told)
	assert.Empty(t, told)
	var accounts []account
	require.NoError(t, json.Unmarshal([]byte(answer), &accounts))
	require.Len(t, accounts, 2, "those that were connected before are not among them")
	assert.Equal(t, []string{"one", "two"}, []string{accounts[0].Location, accounts[1].Location})
	assert.Equal(t, "Number one", accounts[0].Name)
	assert.Equal(t, crm.MintedToken, accounts[0].Kind)
	assert.Equal(t, []string{"connect/one", "connect/two"}, w.temporal.started)
	row, err := w.store.Token(t.Context(), crm.CompanyOwner("agency"))
	require.NoError(t, err)
	assert.Equal(t, crm.ClientCredentials, row.Kind)
	assert.NotContains(t, string(row.Sealed), "access-")

	answer, told, code = w.connect()
	assert.Equal(t, done, code, told)
	assert.Contains(t, answer, "LOCATION")
	assert.Contains(t, answer, "Number two")
	assert.Len(t, w.temporal.started, 4, "saying it twice is as good as once")
}

func TestAServiceAccountConnectsALocationOfItsOwn(t *testing.T) {
	w := newServiceWorld(t)
	w.installed(ghltest.Choice{Location: "harbour"})
	answer, told, code := w.connect("-o", "jsonl")
	assert.Equal(t, done, code, told)
	assert.Contains(t, answer, `{"location":"harbour"`)
	assert.Contains(t, answer, `"kind":"client-credentials"`)
	assert.Equal(t, []string{"connect/harbour"}, w.temporal.started)
	row, err := w.store.Token(t.Context(), crm.LocationOwner("harbour"))
	require.NoError(t, err)
	assert.Equal(t, crm.ClientCredentials, row.Kind)
}

func TestWhereGHLGivesTheAppNoTokenTheLinkIsTheWay(t *testing.T) {
	w := newServiceWorld(t)
	answer, told, code := w.connect()
	assert.Equal(t, unauthorised, code)
	assert.Empty(t, answer)
	assert.Contains(t, told, "connect by the link instead")
	assert.Contains(t, told, "RS-GHL-INVALID")

	t.Setenv("GHL_CLIENT_SECRET", "wrong")
	_, told, code = w.connect()
	assert.Equal(t, unauthorised, code)
	assert.Contains(t, told, "GHL_CLIENT_ID and GHL_CLIENT_SECRET")
	t.Setenv("GHL_CLIENT_SECRET", ghltest.ClientSecret)

	w.ghl.Fail(ghltest.Fault{Operation: "oauth.token", Status: 503})
	_, told, code = w.connect()
	assert.Equal(t, unreachable, code)
	assert.Contains(t, told, "nothing was connected")
	w.ghl.Heal()
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.token", Delay: time.Second})
	_, told, code = w.connect("--timeout", "50ms")
	assert.Equal(t, timedOut, code)
	assert.Contains(t, told, "not done within 50ms")
	assert.Empty(t, w.kinds())
	assert.Empty(t, w.temporal.started)
}

func TestWhatAServiceAccountCanNotFinishIsToldAndKept(t *testing.T) {
	w := newServiceWorld(t)
	w.installed(ghltest.Choice{Company: "agency", Locations: []string{}})
	answer, told, code := w.connect("-o", "json")
	assert.Equal(t, no, code)
	assert.Equal(t, "[]\n", answer)
	assert.Contains(t, told, "none of its locations has the app")

	w.installed(ghltest.Choice{Company: "agency", Locations: []string{"one"}})
	w.ghl.Fail(ghltest.Fault{Operation: "oauth.installed-locations", Status: 503, Times: 1})
	answer, told, code = w.connect("-o", "json")
	assert.Equal(t, unreachable, code)
	assert.Contains(t, answer, `"one"`)
	assert.Contains(t, told, "GHL did not tell all locations")

	w.temporal.refuses = status.Error(codes.PermissionDenied, "no")
	answer, told, code = w.connect("-o", "json")
	assert.Equal(t, unauthorised, code)
	assert.Contains(t, answer, `"one"`)
	assert.Contains(t, told, "say it again")
	assert.Contains(t, told, "Temporal at ")
	assert.Equal(t, map[string]crm.TokenKind{"one": crm.MintedToken}, w.kinds())
}

func TestWhileTemporalIsAwayNobodyIsAskedForAServiceAccount(t *testing.T) {
	w := newServiceWorld(t)
	w.installed(ghltest.Choice{Company: "agency"})
	w.ghl.Reset()
	_, told, code := w.connect("--address", "127.0.0.1:1")
	assert.Equal(t, unreachable, code)
	assert.Contains(t, told, "127.0.0.1:1")
	assert.Empty(t, w.ghl.Calls())
	assert.Empty(t, w.kinds())
}
