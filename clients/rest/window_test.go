package rest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWindowHoldsWhateverTheWireDoes draws any course of orders, answers, crashes and slow wires, and lets the vendor
// count each request at any moment between its departure and its answer.
func TestWindowHoldsWhateverTheWireDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules{size: rapid.IntRange(1, 8).Draw(t, "size"), per: 1000}
		w, marks := &window{}, uint64(0)
		type call struct {
			mark       uint64
			left, back int64
		}
		var flying []call
		var counted []int64
		now := int64(1_000_000)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(0, 700).Draw(t, "pause")
			o := order{
				live: rapid.IntRange(0, 6).Draw(t, "live"), bulk: rapid.IntRange(0, 6).Draw(t, "bulk"), hold: 2000,
				mark: func() uint64 { marks++; return marks },
			}
			flying = slices.DeleteFunc(flying, func(c call) bool {
				if c.back > now || rapid.IntRange(0, 9).Draw(t, "crash") == 0 {
					return c.back <= now // a crashed process settles nothing: its slot frees itself
				}
				o.settled = append(o.settled, settlement{mark: c.mark, ago: now - c.back})
				return true
			})
			w = parseWindow(w.bytes()) // through the ledger
			given, _ := w.apply(now, r, o)
			require.Len(t, given.liveWait, o.live-len(given.live))
			require.Len(t, given.bulkWait, o.bulk-len(given.bulk))
			require.True(t, slices.IsSorted(given.liveWait) && slices.IsSorted(given.bulkWait))
			for _, mark := range slices.Concat(given.live, given.bulk) {
				back := now + rapid.Int64Range(0, 2000).Draw(t, "took")
				flying = append(flying, call{mark, now, back})
				counted = append(counted, rapid.Int64Range(now, back).Draw(t, "counted"))
			}
		}
		slices.Sort(counted)
		for i := r.size; i < len(counted); i++ {
			require.GreaterOrEqual(t, counted[i]-counted[i-r.size], r.per, "more than %d in a window", r.size)
		}
	})
}

func TestWindowTellsACrowdHowLongAClosedAccountWithoutCallsTakes(t *testing.T) {
	w, r := &window{Closed: 1_060_000}, rules{size: 2, per: 1000}
	given, _ := w.apply(1_000_000, r, order{live: 5, bulk: 5, mark: newMark})
	require.Empty(t, append(given.live, given.bulk...))
	for _, wait := range append(given.liveWait, given.bulkWait[0]) {
		assert.Equal(t, int64(60_000), wait)
	}
}

// BenchmarkWindowFull is what one exchange costs in a saturated account.
func BenchmarkWindowFull(b *testing.B) {
	r, o := rules{size: 98, per: 10_000_000}, order{live: 98, hold: 15_000_000, mark: newMark}
	w := &window{}
	w.apply(1e15, r, o)
	state := w.bytes()
	o.live = 1
	for b.Loop() {
		w := parseWindow(state)
		w.apply(1e15, r, o)
		state = w.bytes()
	}
}
