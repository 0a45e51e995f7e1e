package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

// kept puts a secret into a file at once, as Vault's agent does.
func kept(t *testing.T, path, secret string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(secret+"\n"), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func TestSecretsAreReplacedUnderARunningWorker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token, secret := filepath.Join(dir, "ghl"), filepath.Join(dir, "rankr")
	kept(t, token, ghltest.Token(location))
	kept(t, secret, "canary-first")
	w := newWorld(t, stack.Settings{"QUIET_PERIOD": "0", "GHL_TOKEN": "file:" + token})

	// Rankr is reached as an OAuth client from now on: its static token is no good any more.
	w.worker.Stop(patience)
	w.rankr.SetClient(rankrtest.OAuthClient{ID: "rankrsync", Secret: "canary-first"})
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Tokens = nil })
	w.settings["RANKR_TOKEN"] = ""
	w.settings["RANKR_CLIENT_ID"], w.settings["RANKR_CLIENT_SECRET"] = "rankrsync", "file:"+secret
	w.settings["RANKR_TOKEN_URL"] = w.settings["RANKR_BASE_URL"] + rankrtest.TokenPath
	w.startWorker()
	made := w.ghl.Create(location, mira())
	w.mirror(made.ID, named("Mira"))
	w.quiet(made.ID)

	renamed := func(name string) {
		t.Helper()
		_, err := w.ghl.Edit(made.ID, func(c *ghltest.Contact) { c.FirstName = name })
		require.NoError(t, err)
		w.mirror(made.ID, named(name))
		w.quiet(made.ID)
	}
	w.ghl.PutLocation(place("canary-pit")) // the token that the worker has is revoked
	kept(t, token, "canary-pit")
	renamed("Mirabel")

	w.rankr.SetClient(rankrtest.OAuthClient{ID: "rankrsync", Secret: "canary-second"})
	w.rankr.RevokeTokens()
	kept(t, secret, "canary-second")
	renamed("Mirabella")
	w.problems(0, "")
	assert.Equal(t, 2, w.rankr.Issued())

	var settings []struct{ Name, Value string }
	w.answer(&settings, "config")
	for _, setting := range settings {
		if setting.Name == "GHL_TOKEN" {
			assert.Equal(t, "file:"+token, setting.Value)
		}
		assert.NotContains(t, setting.Value, "canary")
	}
	logs, err := filepath.Glob(filepath.Join(w.stack.Log, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	var all strings.Builder
	for _, path := range logs {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(text)
		assert.NotContains(t, string(text), "canary", path)
		assert.NotContains(t, string(text), "oauth-rankrsync-", path)
		assert.NotContains(t, string(text), ghltest.Token(location), path)
	}
	assert.Contains(t, all.String(), "the secret was replaced")
}
