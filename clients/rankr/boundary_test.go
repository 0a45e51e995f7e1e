package rankr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/internal/deptest"
)

// TestClientKnowsOnlyTheLanguage guards the direction of imports: what decides, does and remembers must stay
// replaceable without touching a client.
func TestClientKnowsOnlyTheLanguage(t *testing.T) {
	for _, dep := range deptest.Of(t, ".") {
		ours, ok := strings.CutPrefix(dep, deptest.Module)
		assert.False(t, ok && ours != "crm" && ours != "clients/rest" && ours != "clients/rankr", "imports %s", ours)
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/"), "imports %s", dep)
	}
}
