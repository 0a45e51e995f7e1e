package ghl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/internal/deptest"
)

// TestClientsKnowOnlyTheLanguage guards the direction of imports: what decides, does and remembers must stay
// replaceable without touching a client.
func TestClientsKnowOnlyTheLanguage(t *testing.T) {
	for _, dep := range deptest.Of(t, ".") {
		ours, ok := strings.CutPrefix(dep, deptest.Module)
		assert.False(t, ok && ours != "crm" && !strings.HasPrefix(ours, "clients/"), "imports %s", ours)
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/"), "imports %s", dep)
	}
}
