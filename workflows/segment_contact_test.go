package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

func newSegmentRun(t *testing.T, script ...step) *contactRun {
	return newRunOf(t, names.SegmentContact, names.BringSegmentsIntoStep, script...)
}

func TestADecisionIsBroughtAboutByADeedOfItsOwn(t *testing.T) {
	r := newSegmentRun(t, ends(crm.Updated, 0))
	r.after(0, func() { r.change(5) })
	r.execute()
	assert.Equal(t, crm.Updated, r.result().Outcome)
	require.Len(t, r.rounds, 1)
	assert.Equal(t, activities.Round{Ref: crm.Ref{Location: "L", Contact: "C"}, Hint: names.Hint{At: at(5)}}, r.rounds[0],
		"the hint tells that GHL was read, and when")
	assert.Empty(t, r.timers)
}

func TestDecisionsThatComeDuringARoundBecomeOneMore(t *testing.T) {
	var r *contactRun
	r = newSegmentRun(t, meanwhile(func() {
		for _, second := range []int{3, 20, 7} {
			r.change(second)
		}
	}, ends(crm.Updated, 0)), ends(crm.Unchanged, 0))
	r.after(0, func() { r.change(1) })
	r.execute()
	require.Len(t, r.rounds, 2)
	assert.Equal(t, at(20), r.rounds[1].Hint.At)
}

func TestWhatWaitsForLongIsLookedAtLessAndLess(t *testing.T) {
	var script []step
	for range 100 {
		script = append(script, ends(crm.Waiting, 500*time.Millisecond))
	}
	r := newSegmentRun(t, append(script, ends(crm.Updated, 0))...)
	r.after(0, func() { r.change(5) })
	r.execute()
	require.Len(t, r.rounds, 101)
	assert.Equal(t, at(5), r.rounds[100].Hint.At)
	assert.Equal(t, 4500*time.Millisecond, r.at[9], "soon at first")
	assert.Equal(t, 5500*time.Millisecond, r.at[10])
	assert.Equal(t, 32*time.Second, r.at[100]-r.at[99])
}

func TestADecisionOutlivesAnOutage(t *testing.T) {
	r := newSegmentRun(t, fails(5*time.Minute), fails(5*time.Minute), ends(crm.Updated, 0))
	r.after(0, func() { r.change(5) })
	r.execute()
	require.Len(t, r.rounds, 3)
	assert.Equal(t, 2, r.rounds[2].Failures)
	assert.Equal(t, at(5), r.rounds[2].Hint.At)
	assert.Equal(t, []time.Duration{0, 5 * time.Minute, 10 * time.Minute}, r.at)
}

func TestWhoAsksForSegmentsHasTheContactRead(t *testing.T) {
	r := newSegmentRun(t, ends(crm.Updated, 0))
	var asked *asks
	r.after(0, func() {
		r.change(5)
		asked = r.ask()
	})
	r.execute()
	require.Len(t, r.rounds, 1)
	assert.Zero(t, r.rounds[0].Hint.At, "a decision that is stored would do otherwise")
	assert.Equal(t, crm.Updated, asked.result.Outcome)

	r = newSegmentRun(t, ends(crm.Unchanged, 0))
	r.execute()
	assert.Zero(t, r.rounds[0].Hint, "so does who starts it by hand")
}
