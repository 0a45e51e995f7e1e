package workflows

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecisionsReachTheWorldOnlyThroughActivities(t *testing.T) {
	allowed := map[string]bool{"crm": true, "activities": true, "workflows": true, "workflows/names": true}
	for _, dependency := range dependencies(t, ".") {
		if ours, found := strings.CutPrefix(dependency, "github.com/rankrsync/rankrsync/"); found {
			assert.True(t, allowed[ours], dependency)
		}
		assert.NotContains(t, dependency, "resty")
		assert.NotEqual(t, "database/sql", dependency)
	}
}

func TestNamesAndTheNudgeNeedNothingOfOurs(t *testing.T) {
	for _, folder := range []string{"./names", "./nudge"} {
		for _, dependency := range dependencies(t, folder) {
			ours, found := strings.CutPrefix(dependency, "github.com/rankrsync/rankrsync/")
			assert.False(t, found && ours != "workflows/names" && ours != "workflows/nudge", "%s: %s", folder, dependency)
		}
	}
}

func dependencies(t *testing.T, folder string) []string {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", folder).Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}
