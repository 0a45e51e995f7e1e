package rules

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/internal/deptest"
)

func TestRulesKnowTheLanguageAndNothingElseOfOurs(t *testing.T) {
	for _, dep := range deptest.Of(t, ".") {
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/") || dep == "net/http" || dep == "database/sql" || dep == "math/rand" ||
			strings.HasPrefix(dep, deptest.Module) && dep != deptest.Module+"crm" && dep != deptest.Module+"crm/rules", dep)
	}
}
