package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Command{
		Name: "script", Path: "/bin/sh", Args: []string{"-c", script}, Env: os.Environ(), Log: filepath.Join(t.TempDir(), "log"),
	})
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return p
}

func TestTheFirstLineIsTheReadyLineAndTheRestGoesToTheLog(t *testing.T) {
	p := shell(t, `echo '{"address":"here"}'; echo later; echo complaint >&2`)
	var ready struct{ Address string }
	require.NoError(t, p.ReadLine(t.Context(), &ready))
	assert.Equal(t, "here", ready.Address)
	<-p.Done()
	log, err := os.ReadFile(p.Log)
	require.NoError(t, err)
	assert.Contains(t, string(log), "later\n")
	assert.Contains(t, string(log), "complaint\n")
}

func TestAProcessThatEndsBeforeItIsReadyShowsWhy(t *testing.T) {
	p := shell(t, `echo the port is taken >&2; exit 3`)
	err := p.ReadLine(t.Context(), nil)
	require.ErrorContains(t, err, "the port is taken")
	assert.Equal(t, 3, p.ExitCode())
}

func TestStopEndsAProcessThatDoesNotListen(t *testing.T) {
	p := shell(t, `trap '' TERM; echo '{}'; while :; do sleep 1; done`)
	require.NoError(t, p.ReadLine(t.Context(), &struct{}{}))
	p.Stop(20 * time.Millisecond)
	assert.Equal(t, -1, p.ExitCode(), "ended by a signal")
}

func TestKillTakesTheChildrenAlong(t *testing.T) {
	p := shell(t, `sleep 600 & echo $!; wait`)
	var child int
	require.NoError(t, p.ReadLine(t.Context(), &child))
	p.Kill()
	assert.Eventually(t, func() bool { return syscall.Kill(child, 0) != nil || zombie(child) }, 5*time.Second, time.Millisecond)
}

// zombie tells whether a process has ended but nobody has collected it yet: an orphan waits for init.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
