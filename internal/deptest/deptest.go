// Package deptest lets a package's tests see what the package really depends on, so that each guards its own imports.
package deptest

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Module is the prefix of our own packages.
const Module = "github.com/rankrsync/rankrsync/"

// Of lists the packages that the one in folder reaches, itself included and tests left out. The go command is asked from
// inside the test's own package: asked from elsewhere, the test cache would not see that an import changed.
func Of(t testing.TB, folder string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", folder).Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}
