package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/internal/deptest"
)

func TestTheStoreKnowsOnlyTheLanguage(t *testing.T) {
	for _, dep := range deptest.Of(t, ".") {
		ours, found := strings.CutPrefix(dep, deptest.Module)
		assert.False(t, found && ours != "store" && ours != "crm", dep)
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/"), dep)
	}
}
