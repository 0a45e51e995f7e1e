package crm

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheLanguageKnowsNoTemporalNoHTTPAndNoSQL(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, dep := range strings.Fields(string(out)) {
		assert.False(t, strings.HasPrefix(dep, "go.temporal.io/") || dep == "net/http" || dep == "database/sql" ||
			strings.HasPrefix(dep, "github.com/rankrsync/rankrsync/") && dep != "github.com/rankrsync/rankrsync/crm", dep)
	}
}
