package webhook

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheReceiverReachesNoClientAndNoStore(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, dependency := range strings.Fields(string(out)) {
		for _, forbidden := range []string{"rankrsync/clients", "rankrsync/store", "rankrsync/app", "go-resty"} {
			assert.NotContains(t, dependency, forbidden)
		}
	}
}
