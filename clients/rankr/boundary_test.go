package rankr

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestClientKnowsOnlyTheLanguage guards the direction of imports: what decides, does and remembers must stay
// replaceable without touching a client.
func TestClientKnowsOnlyTheLanguage(t *testing.T) {
	deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	const module = "github.com/rankrsync/rankrsync/"
	for dep := range strings.FieldsSeq(string(deps)) {
		ours, ok := strings.CutPrefix(dep, module)
		assert.False(t, ok && ours != "crm" && ours != "clients/rest" && ours != "clients/rankr", "imports %s", ours)
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/"), "imports %s", dep)
	}
}
