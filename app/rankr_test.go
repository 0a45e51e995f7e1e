package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// withFile loads the settings of a worker that has this sync.yaml.
func withFile(t *testing.T, file string, changes map[string]string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts.yaml")
	require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	all := map[string]string{"SYNC_FILE": path}
	for name, value := range changes {
		all[name] = value
	}
	return loaded(t, all)
}

func TestAccountsInTheFileNeedNoneInTheSettings(t *testing.T) {
	config, err := withFile(t, "rankr: {accounts: [{name: harbour, locations: [L1, L2], token: env:HARBOUR}]}",
		map[string]string{"RANKR_TOKEN": "", "HARBOUR": "token-of-harbour"})
	require.NoError(t, err)
	tokens := config.rankrTokens()
	source, err := tokens(config.rankrAccount("L2"))
	require.NoError(t, err)
	token, err := source.Token()
	require.NoError(t, err)
	assert.Equal(t, "token-of-harbour", token.AccessToken)
	assert.Equal(t, config.rankrAccount("L1"), config.rankrAccount("L2"), "they share its rate limit")
	assert.Equal(t, rankr.SharedAccount, config.rankrAccount("L3"))
	_, err = tokens(config.rankrAccount("L3"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrAccount})

	config, err = withFile(t, "rankr: {accounts: [{name: account, locations: [L1], token: env:HARBOUR}]}", map[string]string{"HARBOUR": "token-of-harbour"})
	require.NoError(t, err)
	source, err = config.rankrTokens()(config.rankrAccount("L3"))
	require.NoError(t, err)
	token, err = source.Token()
	require.NoError(t, err)
	assert.Equal(t, "rankr-secret", token.AccessToken, "a location that is not named is the settings', whatever accounts are called")
}

func TestWhatAccountsReferToMustBeThere(t *testing.T) {
	_, err := withFile(t, `
rankr:
  accounts:
    - {name: a, locations: [L1], token: env:NOT_THERE}
    - {name: b, locations: [L2], token: file:/nowhere/b}
    - {name: c, locations: [L3], clientId: me, clientSecret: file:/nowhere/c}
    - {name: d, locations: [L4], token: env:ODD}
`, map[string]string{"RANKR_TOKEN": "", "NOT_THERE": "", "ODD": "canary 1", "POLL_INTERVAL": "5"})
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	assert.Len(t, settings.Problems, 6, "with what else is wrong: %s", err)
	for _, want := range []string{
		"accounts.yaml: accounts/a: token names the variable NOT_THERE, which is not set",
		"accounts.yaml: accounts/b: token names the file /nowhere/b, which is not there",
		"accounts.yaml: accounts/c: tokenUrl is missing, and RANKR_TOKEN_URL is not set",
		"accounts.yaml: accounts/c: clientSecret names the file /nowhere/c, which is not there",
		"accounts.yaml: accounts/d: token names the variable ODD, which holds a blank",
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "canary")
}

func TestTheTokenURLOfTheSettingsMayBeForTheAccountsOfTheFile(t *testing.T) {
	const file = "rankr: {accounts: [{name: quay, locations: [L1], clientId: me, clientSecret: env:QUAY}]}"
	changes := map[string]string{"QUAY": "secret", "RANKR_TOKEN_URL": "https://rankr.example/oauth/token"}
	for _, token := range []string{"rankr-secret", ""} {
		changes["RANKR_TOKEN"] = token
		config, err := withFile(t, file, changes)
		require.NoError(t, err)
		assert.Equal(t, "https://rankr.example/oauth/token", config.accounts[0].tokenURL)
	}
	environment(t, map[string]string{"RANKR_TOKEN": "t", "RANKR_TOKEN_URL": "https://rankr.example/oauth/token"})
	_, err := Load(Command)
	require.NoError(t, err, "who does not read the file can't know what the URL is for")
}

func TestMistakesOfTheFileAreListedWithThoseOfTheSettings(t *testing.T) {
	_, err := withFile(t, "rankr: {accounts: [{name: harbour, locations: [L1], token: canary}]}", map[string]string{"RANKR_TOKEN": "", "POLL_INTERVAL": "5"})
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	assert.Len(t, settings.Problems, 2, "whether RANKR_TOKEN is needed is not known yet: %s", err)
	assert.ErrorContains(t, err, "POLL_INTERVAL is not a time")
	assert.ErrorContains(t, err, "accounts.yaml:1:60: accounts/harbour: token must not be in this file")
	assert.NotContains(t, err.Error(), "canary")
}

// TestEachLocationIsSyncedWithTheTokenOfItsAccount wires a worker's deeds as the worker does, and runs them over sockets
// against a Rankr that opens another account with each token.
func TestEachLocationIsSyncedWithTheTokenOfItsAccount(t *testing.T) {
	ghl := ghltest.New()
	ghl.FailOnUnknown(t)
	t.Cleanup(ghl.Close)
	wire := httptest.NewServer(ghl)
	t.Cleanup(wire.Close)
	server, url := rankrtest.Start(t)
	server.Set(func(k *rankrtest.Knobs) {
		k.Tokens = map[string]string{"token-of-harbour": "harbour", "rankr-secret": "everybody"}
	})
	server.SetClient(rankrtest.OAuthClient{ID: "me", Secret: "secret-of-quay", Account: "quay"})
	harbour := written(t, "token-of-harbour")
	accounts := map[string]string{"L1": "harbour", "L2": "harbour", "L3": "quay", "L4": "everybody"}
	var tokens string
	for _, location := range []string{"L1", "L2", "L3", "L4"} {
		ghl.PutLocation(ghltest.Location{ID: location, Country: "CH"})
		ghl.Create(location, ghltest.Contact{ID: "ann-" + location, Email: "ann@example.com"})
		ghl.Create(location, ghltest.Contact{ID: "ben-" + location, Email: "ben@example.com"})
		tokens += "," + ghltest.Token(location)
	}
	config, err := withFile(t, fmt.Sprintf(`
rankr:
  accounts:
    - {name: harbour, locations: [L1, L2], token: 'file:%s'}
    - {name: quay, locations: [L3], clientId: me, clientSecret: env:QUAY, tokenUrl: '%s'}
`, harbour, url+rankrtest.TokenPath), map[string]string{
		"GHL_BASE_URL": wire.URL, "GHL_LOCATION_ID": "L1,L2,L3,L4", "GHL_TOKEN": tokens[1:],
		"RANKR_BASE_URL": url, "QUAY": "secret-of-quay", "STORE_URL": "sqlite:" + filepath.Join(t.TempDir(), "store.db"),
		"QUIET_PERIOD": "0s",
	})
	require.NoError(t, err)
	log := &buffer{}
	config.LogSecrets(slog.New(slog.NewTextHandler(log, nil)))
	deed := contactsOf(t, config)
	bring := func(location, contact string) crm.Result {
		env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
		env.RegisterActivity(deed)
		value, err := env.ExecuteActivity(deed.BringIntoStep, activities.Round{Ref: crm.Ref{Location: location, Contact: contact + "-" + location}})
		require.NoError(t, err)
		var answer activities.Answer
		require.NoError(t, value.Get(&answer))
		return answer.Result
	}
	for location, account := range accounts {
		result := bring(location, "ann")
		require.Equal(t, crm.Created, result.Outcome, location)
		record, ok := server.Get(result.RankrID)
		require.True(t, ok)
		assert.Equal(t, account, record.Account, location)
		assert.Equal(t, "ann-"+location, record.ExternalID)
	}

	server.Set(func(k *rankrtest.Knobs) {
		k.Tokens = map[string]string{"another-of-harbour": "harbour", "rankr-secret": "everybody"}
	})
	replace(t, harbour, "another-of-harbour")
	for location, account := range accounts {
		result := bring(location, "ben")
		require.Equal(t, crm.Created, result.Outcome, location)
		record, _ := server.Get(result.RankrID)
		assert.Equal(t, account, record.Account, location)
	}
	assert.Contains(t, log.String(), "the secret was replaced")
	assert.Contains(t, log.String(), "accounts/harbour: token")

	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&shown, verb, config)
		fmt.Fprintf(&shown, verb, config.accounts)
		fmt.Fprintf(&shown, verb, config.rules.Accounts())
	}
	for _, secret := range []string{"-of-harbour", "secret-of-quay", fmt.Sprintf("%x", "secret-of-quay")} {
		assert.NotContains(t, shown.String()+log.String(), secret)
	}
}

// contactsOf wires what a worker with these settings brings contacts into step with. There is no Temporal behind it.
func contactsOf(t *testing.T, config Config) *activities.Contacts {
	t.Helper()
	w := &workerProgram{config: config, log: slog.New(slog.DiscardHandler), attributes: &SearchAttributes{}}
	var err error
	w.metrics, err = NewMetrics(true)
	require.NoError(t, err)
	w.records, err = OpenStore(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { w.records.Close() })
	w.slots, err = store.OpenSlots(t.Context(), config.StoreURL.Reveal(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { w.slots.Close() })
	w.temporal, err = client.NewLazyClient(client.Options{})
	require.NoError(t, err)
	t.Cleanup(w.temporal.Close)
	w.nudger = nudge.New(w.temporal, nudge.Options{SearchAttributes: w.attributes.Known})
	t.Cleanup(func() { closeNudger(w.nudger, w.log) })
	for _, deed := range w.deeds() {
		if contacts, ok := deed.(*activities.Contacts); ok {
			return contacts
		}
	}
	require.Fail(t, "no deed brings contacts into step")
	return nil
}
