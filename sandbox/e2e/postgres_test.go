package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/internal/pgtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestTwoMachinesShareOnePostgreSQL has two workers in folders of their own, of which one is killed in the middle of a storm:
// links, leases and both vendors' limits are shared through the database only.
func TestTwoMachinesShareOnePostgreSQL(t *testing.T) {
	t.Parallel()
	const limit, storm = 30, 90
	at := pgtest.New(t)
	w := newWorld(t, stack.Settings{
		"STORE_URL": at, "GHL_RATE": strconv.Itoa(limit) + "/1s", "RANKR_RATE": strconv.Itoa(limit) + "/1s", "QUIET_PERIOD": "0",
	})
	w.ghl.Set(func(k *ghltest.Knobs) { k.Max, k.Window = limit, time.Second })
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Limit, k.Interval = limit, time.Second })
	elsewhere := w.stack
	elsewhere.Dir = t.TempDir()
	other := started(t, func() (*stack.Program, error) { return elsewhere.Worker(t.Context(), w.settings) })
	t.Cleanup(other.Kill)

	w.createMany(storm)
	w.eventually(func() string {
		if n := w.rankr.Counters().Requests; n < storm/2 {
			return fmt.Sprintf("Rankr was asked %d times", n)
		}
		return ""
	})
	w.worker.Kill()
	w.eventually(w.outOfStep)
	require.NoError(t, w.ghl.Settle(t.Context()))
	w.idle()
	assert.Empty(t, w.outOfStep())
	assert.Empty(t, w.rankr.Doubled())
	assert.Zero(t, w.ghl.Stats().Violations)
	assert.Zero(t, w.rankr.Counters().Statuses[http.StatusTooManyRequests])
	for _, folder := range []string{w.stack.Dir, elsewhere.Dir} {
		assert.NoFileExists(t, filepath.Join(folder, "rankrsync.db"))
	}

	u, err := url.Parse(at)
	require.NoError(t, err)
	password, _ := u.User.Password()
	result := w.run("config", "-o", "json")
	require.Equal(t, 0, result.Code, result.Stderr)
	assert.Contains(t, result.Stdout, u.Host)
	assert.NotContains(t, result.Stdout, password)
	result = w.run("problems", "-o", "json")
	assert.Equal(t, 0, result.Code, result.Stderr)
	logs, err := filepath.Glob(filepath.Join(w.stack.Log, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, log := range logs {
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		assert.NotContains(t, string(text), password, log)
	}
}
