package workflows

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/internal/deptest"
)

func TestDecisionsReachTheWorldOnlyThroughActivities(t *testing.T) {
	allowed := map[string]bool{"crm": true, "crm/rules": true, "activities": true, "workflows": true, "workflows/names": true}
	for _, dependency := range deptest.Of(t, ".") {
		if ours, found := strings.CutPrefix(dependency, deptest.Module); found {
			assert.True(t, allowed[ours], dependency)
		}
		assert.NotContains(t, dependency, "resty")
		assert.NotEqual(t, "database/sql", dependency)
	}
}

func TestNamesAndTheNudgeNeedNothingOfOurs(t *testing.T) {
	for _, folder := range []string{"./names", "./nudge"} {
		for _, dependency := range deptest.Of(t, folder) {
			ours, found := strings.CutPrefix(dependency, deptest.Module)
			assert.False(t, found && ours != "workflows/names" && ours != "workflows/nudge", "%s: %s", folder, dependency)
		}
	}
}
