package seal

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/internal/deptest"
)

// TestSealingKnowsNothingOfOurs keeps the keys away from whatever stores, sends or logs.
func TestSealingKnowsNothingOfOurs(t *testing.T) {
	for _, dep := range deptest.Of(t, ".") {
		ours, ok := strings.CutPrefix(dep, deptest.Module)
		assert.False(t, ok && ours != "seal", "imports %s", ours)
		for _, foreign := range []string{"go.temporal.io/", "database/sql", "net/http", "log"} {
			assert.False(t, dep == foreign || strings.HasPrefix(dep, foreign+"/") || strings.HasSuffix(foreign, "/") && strings.HasPrefix(dep, foreign), "imports %s", dep)
		}
	}
}
