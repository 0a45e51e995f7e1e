package app

import (
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
)

func TestALocationIsServedFromTheMomentItIsConnected(t *testing.T) {
	records, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	o := &oauth{records: records}
	connection := crm.Connection{Location: "L", Owner: "location/L", Kind: crm.LocationToken, State: crm.Connected}
	assert.False(t, o.serves("L"))
	require.NoError(t, records.PutConnection(t.Context(), connection))
	assert.True(t, o.serves("L"), "that it was not served a moment ago is forgotten")
	assert.False(t, o.serves("M"))

	connection.State = crm.Disconnected
	require.NoError(t, records.PutConnection(t.Context(), connection))
	other := &oauth{records: records}
	assert.False(t, other.serves("L"))
	require.NoError(t, records.Close())
	assert.True(t, other.serves("L"), "what the store can't tell must not be lost")
	var none *oauth
	assert.False(t, none.serves("L"))
}

func TestAWrongKeyIsToldAtTheStartAndNotAByteIsChanged(t *testing.T) {
	settings := map[string]string{
		"GHL_CLIENT_ID": "app-1", "GHL_CLIENT_SECRET": "canary", "GHL_REDIRECT_URL": "https://app.example/oauth/callback", "SECRET_KEY": sealKey("one"),
		"RANKR_BASE_URL": "https://rankr.example", "RANKR_TOKEN": "canary", "HTTP_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0", "TEMPORAL_ADDRESS": "127.0.0.1:1",
		"STORE_URL": "sqlite:" + filepath.Join(t.TempDir(), "store.db"),
	}
	config, err := loaded(t, settings)
	require.NoError(t, err)
	records, err := OpenStore(t.Context(), config)
	require.NoError(t, err)
	o, err := newOAuth(t.Context(), config, records, nil)
	require.NoError(t, err)
	connectedBy(t, config, records, "L")
	o.close()
	file := strings.TrimPrefix(config.StoreURL.Reveal(), "sqlite:")
	// The store is of a release before: with the right key its tables would be brought up to date.
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "DROP TABLE used_states; DELETE FROM goose_db_version WHERE version_id = 2")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	before, err := os.ReadFile(file)
	require.NoError(t, err)

	settings["SECRET_KEY"] = sealKey("two")
	for name, start := range map[Program]func(Config) error{
		Worker: func(c Config) error { return Work(t.Context(), c, slog.New(slog.DiscardHandler)) },
		Serve:  func(c Config) error { return Receive(t.Context(), c, TemporalFlags{}, slog.New(slog.DiscardHandler)) },
	} {
		environment(t, settings)
		config, err := Load(name)
		require.NoError(t, err)
		var told *SettingsError
		require.ErrorAs(t, start(config), &told, name)
		assert.Contains(t, told.Error(), "SECRET_KEY is not the key that the store's secrets are sealed with, and nothing was changed", name)
		after, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, before, after, name)
		assert.NoFileExists(t, file+"-wal", name)
	}
}

func TestTheGuideNamesEveryScopeThatTheLinkAsksFor(t *testing.T) {
	guide, err := os.ReadFile("../docs/connect.md")
	require.NoError(t, err)
	for _, scope := range ghl.Scopes() {
		assert.Contains(t, string(guide), "`"+scope+"`", "GHL refuses a link that asks for what the app lacks")
	}
}
