package activities_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/internal/deptest"
)

func TestDeedsReachSystemsAndStoreOnlyThroughInterfaces(t *testing.T) {
	for _, dep := range deptest.Of(t, ".") {
		ours, found := strings.CutPrefix(dep, deptest.Module)
		assert.False(t, found && ours != "activities" && ours != "crm" && ours != "crm/rules" && ours != "workflows/names", dep)
		assert.NotContains(t, dep, "resty")
		assert.NotEqual(t, "database/sql", dep)
	}
}
