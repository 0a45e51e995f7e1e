package webhook

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/internal/deptest"
)

func TestTheReceiverReachesNoClientAndNoStore(t *testing.T) {
	for _, dependency := range deptest.Of(t, ".") {
		for _, forbidden := range []string{"rankrsync/clients", "rankrsync/store", "rankrsync/app", "go-resty"} {
			assert.NotContains(t, dependency, forbidden)
		}
	}
}
