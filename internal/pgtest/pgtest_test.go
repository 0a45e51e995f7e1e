//go:build unix

package pgtest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	for range 2 {
		db, err := sql.Open("pgx", New(t))
		require.NoError(t, err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), "CREATE TABLE mine (one INTEGER)")
		require.NoError(t, err)
	}
}

// TestTheServerEndsWithItsProcess kills a process that borrowed a server: nothing may stay behind.
func TestTheServerEndsWithItsProcess(t *testing.T) {
	if os.Getenv("PGTEST_BORROW") != "" {
		fmt.Println(New(t))
		fmt.Println(shared.servers[false].folder)
		<-context.Background().Done()
	}
	New(t)                                                                         // or skip
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheServerEndsWithItsProcess$") //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), "PGTEST_BORROW=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	url := lines.Text()
	require.True(t, lines.Scan())
	folder := lines.Text()
	defer os.RemoveAll(folder)
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.PingContext(t.Context()))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	gone := func() bool {
		_, err := os.Stat(filepath.Join(folder, "data"))
		return os.IsNotExist(err)
	}
	require.Eventually(t, gone, 20*time.Second, 20*time.Millisecond)
	assert.Error(t, db.PingContext(t.Context()))
}
