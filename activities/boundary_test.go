package activities_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDeedsReachSystemsAndStoreOnlyThroughInterfaces(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, dep := range strings.Fields(string(out)) {
		ours, found := strings.CutPrefix(dep, "github.com/rankrsync/rankrsync/")
		assert.False(t, found && ours != "activities" && ours != "crm" && ours != "workflows/names", dep)
		assert.NotContains(t, dep, "resty")
		assert.NotEqual(t, "database/sql", dep)
	}
}
