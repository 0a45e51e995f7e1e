package store

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheStoreKnowsOnlyTheLanguage(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, dep := range strings.Fields(string(out)) {
		ours, found := strings.CutPrefix(dep, "github.com/rankrsync/rankrsync/")
		assert.False(t, found && ours != "store" && ours != "crm", dep)
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/"), dep)
	}
}
