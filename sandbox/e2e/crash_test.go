package e2e

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

func TestAWorkerKilledThreeTimesInAStormLeavesEverythingInStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"GHL_RATE": "0", "RANKR_RATE": "0", "QUIET_PERIOD": "0"})
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Unlimited = true
		k.Faults = []rankrtest.Fault{{Delay: 20 * time.Millisecond}} // a kill meets calls under way
	})
	// The storm comes in waves: what a killed worker had in hand rests until its heartbeat is missed, so the next worker
	// would wait half a minute for something to be killed at.
	const kills, wave = 3, 34
	for range kills {
		at := w.rankr.Counters().Requests + 1 + rand.N(wave)
		w.createMany(wave) // at least two calls of Rankr each
		w.eventually(func() string {
			if n := w.rankr.Counters().Requests; n < at {
				return fmt.Sprintf("Rankr was asked %d times, not yet %d", n, at)
			}
			return ""
		})
		t.Logf("the worker is killed at call %d of Rankr", at)
		w.worker.Kill()
		w.startWorker()
	}
	w.eventually(w.outOfStep)
	require.NoError(t, w.ghl.Settle(t.Context()))
	w.idle()
	assert.Empty(t, w.outOfStep(), "also once every run has completed")
	assert.Empty(t, w.rankr.Doubled(), "at no instant were there two")
}

func TestDroppedDoubledAndDisorderedWebhooksEndInStepAfterAPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all", "GHL_RATE": "0", "RANKR_RATE": "0", "QUIET_PERIOD": "100ms"})
	w.ghl.Set(func(k *ghltest.Knobs) {
		k.Unlimited = true
		k.DropWebhooks, k.DuplicateWebhooks, k.ReorderWebhooks = 0.4, 2, 500*time.Millisecond
	})
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	ids := w.createMany(20)
	for i := range 4 {
		for _, id := range ids {
			_, err := w.ghl.Edit(id, func(c *ghltest.Contact) {
				c.FirstName, c.Tags = "Mira "+strconv.Itoa(i), append(c.Tags[:1:1], "edit "+strconv.Itoa(i))
			})
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.ghl.Settle(t.Context()))
	assert.NotZero(t, w.ghl.Stats().Webhooks[ghltest.Dropped])
	w.poll()
	w.eventually(w.outOfStep)
	w.pollsEnded()
	w.idle()
	assert.Empty(t, w.outOfStep())
	assert.Empty(t, w.rankr.Doubled())
}
