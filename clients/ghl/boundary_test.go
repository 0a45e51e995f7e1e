package ghl

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestClientsKnowOnlyTheLanguage guards the direction of imports: what decides, does and remembers must stay
// replaceable without touching a client.
func TestClientsKnowOnlyTheLanguage(t *testing.T) {
	deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	const module = "github.com/rankrsync/rankrsync/"
	for dep := range strings.Lines(string(deps)) {
		ours, ok := strings.CutPrefix(strings.TrimSpace(dep), module)
		assert.False(t, ok && ours != "crm" && !strings.HasPrefix(ours, "clients/"), "imports %s", ours)
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/"), "imports %s", dep)
	}
}
