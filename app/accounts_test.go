package app

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/connections"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// accountsStore is a store of the settings in which keys have their proof.
func accountsStore(t *testing.T, keys string) (Config, *store.Store) {
	t.Helper()
	config, err := loaded(t, map[string]string{"SECRET_KEY": keys})
	require.NoError(t, err)
	records, err := OpenStore(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = records.Close() })
	sealer, err := config.Sealer()
	require.NoError(t, err)
	require.NoError(t, prove(t.Context(), sealer, records))
	return config, records
}

// keyed is the same settings with other keys.
func keyed(t *testing.T, config Config, keys string) Config {
	t.Helper()
	config.SecretKey = NewSecret(keys)
	config.keys = config.SecretKey
	return config
}

var expiry = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// connectedBy is a location that was installed.
func connectedBy(t *testing.T, config Config, records *store.Store, location string) {
	t.Helper()
	sealer, err := config.Sealer()
	require.NoError(t, err)
	_, err = (&connections.Connections{Store: records, Sealer: sealer}).Install(t.Context(), crm.Grant{
		Kind: crm.LocationToken, Location: location, AccessToken: "canary", RefreshToken: "canary", Expires: expiry,
	}, nil)
	require.NoError(t, err)
}

func TestAccountsAreListedWithTheEndOfTheirToken(t *testing.T) {
	config, records := accountsStore(t, sealKey("one"))
	connectedBy(t, config, records, "L")
	require.NoError(t, records.PutConnection(t.Context(), crm.Connection{Location: "M", Owner: "location/M", State: crm.Disconnected}))
	accounts, err := Accounts(t.Context(), config)
	require.NoError(t, err)
	require.Len(t, accounts, 2)
	assert.Equal(t, "L", accounts[0].Location)
	assert.Equal(t, expiry, accounts[0].Expires.UTC())
	assert.True(t, accounts[1].Expires.IsZero())
}

func TestAnAccountWhoseTokenIsBeingRenewedIsRefreshing(t *testing.T) {
	config, records := accountsStore(t, sealKey("one"))
	connectedBy(t, config, records, "L")
	state := func() crm.ConnectionState {
		t.Helper()
		accounts, err := Accounts(t.Context(), config)
		require.NoError(t, err)
		require.Len(t, accounts, 1)
		return accounts[0].State
	}
	row, err := records.Token(t.Context(), "location/L")
	require.NoError(t, err)
	held, err := records.HoldToken(t.Context(), row, "somebody", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, crm.Refreshing, state())
	require.NoError(t, records.SetState(t.Context(), "location/L", crm.Suspended))
	assert.Equal(t, crm.Suspended, state(), "what a person must know of is not hidden by a try")
	require.NoError(t, records.SetState(t.Context(), "location/L", crm.Connected))
	require.NoError(t, records.ReleaseToken(t.Context(), held))
	assert.Equal(t, crm.Connected, state())

	row, err = records.Token(t.Context(), "location/L")
	require.NoError(t, err)
	_, err = records.HoldToken(t.Context(), row, "who died", time.Nanosecond)
	require.NoError(t, err)
	assert.Equal(t, crm.Connected, state(), "whoever held it is gone")
}

func TestAWaitEndsWithANewInstallAndWithARepeatedOne(t *testing.T) {
	config, records := accountsStore(t, sealKey("one"))
	connectedBy(t, config, records, "K")
	connectedBy(t, config, records, "L")
	before, err := Accounts(t.Context(), config)
	require.NoError(t, err)

	again, err := records.Connection(t.Context(), "L")
	require.NoError(t, err)
	again.Installed = again.Installed.Add(time.Millisecond)
	require.NoError(t, records.PutConnection(t.Context(), again))
	connectedBy(t, config, records, "M")
	installed, err := AwaitInstall(t.Context(), config, before)
	require.NoError(t, err)
	require.Len(t, installed, 2)
	assert.Equal(t, "L", installed[0].Location)
	assert.Equal(t, "M", installed[1].Location)

	before, err = Accounts(t.Context(), config)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	installed, err = AwaitInstall(short, config, before)
	require.NoError(t, err)
	assert.Empty(t, installed)
}

func TestTheLinkIsBesideTheRedirectURL(t *testing.T) {
	for redirect, want := range map[string]string{
		"https://app.example/oauth/callback":       "https://app.example/oauth/install",
		"https://app.example/oauth/callback/":      "https://app.example/oauth/install",
		"https://app.example/a/b/oauth/callback":   "https://app.example/a/b/oauth/install",
		"http://127.0.0.1:8088/oauth/callback":     "http://127.0.0.1:8088/oauth/install",
		"https://app.example/oauth/callback/there": "",
		"https://app.example":                      "",
	} {
		config, err := loaded(t, map[string]string{
			"GHL_CLIENT_ID": "app-1", "GHL_CLIENT_SECRET": "canary", "GHL_REDIRECT_URL": redirect, "SECRET_KEY": sealKey("one"),
		})
		require.NoError(t, err, redirect)
		link, err := config.InstallLink()
		assert.Equal(t, want, link, redirect)
		assert.Equal(t, want == "", err != nil, redirect)
	}
}

func TestALinkThatLacksSettingsNamesThemAll(t *testing.T) {
	config, err := loaded(t, nil)
	require.NoError(t, err)
	_, err = config.InstallLink()
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	require.Len(t, settings.Problems, 2)
	assert.Contains(t, settings.Problems[0], "GHL_CLIENT_ID")
	assert.Contains(t, settings.Problems[1], "GHL_REDIRECT_URL")
}

func TestADisconnectedAccountHasNoTokenAndNeedsNoKeyForIt(t *testing.T) {
	config, records := accountsStore(t, sealKey("one"))
	connectedBy(t, config, records, "L")
	bare := keyed(t, config, "")
	for range 2 {
		require.NoError(t, DisconnectAccount(t.Context(), bare, "L"))
	}
	row, err := records.Token(t.Context(), "location/L")
	require.NoError(t, err)
	assert.Zero(t, row.Version)
	known, err := Connected(t.Context(), bare, "L")
	require.NoError(t, err)
	assert.True(t, known)
	require.ErrorIs(t, DisconnectAccount(t.Context(), bare, "M"), &crm.Error{Code: crm.UnknownLocation})
}

func TestRotatedSecretsNeedTheFirstKeyOnly(t *testing.T) {
	one, two := sealKey("one"), sealKey("two")
	config, records := accountsStore(t, one)
	connectedBy(t, config, records, "L")
	connectedBy(t, config, records, "M")

	resealed, err := RotateSecrets(t.Context(), config)
	require.NoError(t, err)
	assert.Equal(t, connections.Resealed{Already: 2}, resealed, "there is one key only")
	resealed, err = RotateSecrets(t.Context(), keyed(t, config, two+","+one))
	require.NoError(t, err)
	assert.Equal(t, connections.Resealed{Anew: 2}, resealed)

	again, err := OpenStore(t.Context(), config)
	require.NoError(t, err)
	assert.Equal(t, records.Fingerprinter().Bytes([]byte("x")), again.Fingerprinter().Bytes([]byte("x")), "no contact differs from what is known of it")
	require.NoError(t, again.Close())

	sealer, err := keyed(t, config, two).Sealer()
	require.NoError(t, err)
	require.NoError(t, prove(t.Context(), sealer, records), "the proof is of the new key")
	row, err := records.Token(t.Context(), "location/L")
	require.NoError(t, err)
	plain, err := sealer.Open(row.Sealed, []byte(row.Owner))
	require.NoError(t, err)
	assert.Contains(t, string(plain), "canary")
	_, err = RotateSecrets(t.Context(), config)
	var settings *SettingsError
	require.ErrorAs(t, err, &settings, "the old key alone is wrong now")
}

func TestTheProofStaysWhereATokenCannotBeOpened(t *testing.T) {
	one, two := sealKey("one"), sealKey("two")
	config, records := accountsStore(t, one)
	require.NoError(t, records.PutToken(t.Context(), crm.SealedToken{Owner: "company/K", Kind: crm.CompanyToken, Sealed: []byte("?")}))
	before, err := records.SealProof(t.Context())
	require.NoError(t, err)
	resealed, err := RotateSecrets(t.Context(), keyed(t, config, two+","+one))
	require.NoError(t, err)
	assert.Equal(t, []string{"company/K"}, resealed.Closed)
	after, err := records.SealProof(t.Context())
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestARemovedPollIsGoneAndMayBeRemovedAgain(t *testing.T) {
	server := &schedules{known: map[string]*client.Schedule{}}
	polls := Polls{server, func() bool { return false }}
	require.NoError(t, polls.ensure(t.Context(), "L", time.Minute))
	for range 2 {
		require.NoError(t, polls.Remove(t.Context(), "L"))
		assert.NotContains(t, server.known, names.Poll("L"))
	}
}
