package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

func TestDriftIsToldAndRepairedByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"QUIET_PERIOD": "0"})
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	w.before(location, 30)
	w.backfill(map[string]any{"location": location})
	w.finished(names.BackfillOf(location), nil)
	w.idle()
	same := w.run("reconcile", "--location", location)
	assert.Equal(t, 0, same.Code, same.Stderr)
	assert.Contains(t, same.Stdout, "30 contacts, 30 records: in step")

	all := w.rankr.All()
	_, err := w.rankr.Edit(all[3].ID, func(r *rankrtest.Record) { r.Fields["firstName"] = "Nobody" })
	require.NoError(t, err)
	require.NoError(t, w.rankr.Remove(all[4].ID))
	require.NoError(t, w.ghl.Quietly().Delete(all[5].ExternalID))

	told := w.run("reconcile", "--location", location)
	assert.Equal(t, 1, told.Code, told.Stderr)
	assert.Contains(t, told.Stdout, "firstName")
	assert.Contains(t, told.Stdout, "different 1, extra 1, missing 1")
	assert.Len(t, w.rankr.All(), 29, "it only looks")

	asked := w.run("reconcile", "--location", location, "--repair")
	assert.Equal(t, 2, asked.Code, "nobody can be asked: --yes is needed")
	mended := w.run("reconcile", "--location", location, "--repair", "--yes")
	assert.Equal(t, 0, mended.Code, mended.Stdout+mended.Stderr)
	assert.Contains(t, mended.Stdout, "in step")
	w.idle()
	assert.Empty(t, w.outOfStep())
}
