package rest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWindowHoldsWhateverTheWireDoes draws any course of orders, answers, crashes and slow wires, and lets the vendor
// count each request at any moment between its departure and its answer.
func TestWindowHoldsWhateverTheWireDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rules{size: rapid.IntRange(1, 8).Draw(t, "size"), per: 1000, kept: keptShare}
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
				live: rapid.IntRange(0, 6).Draw(t, "live"), bulk: rapid.IntRange(0, 6).Draw(t, "bulk"),
				spare: rapid.IntRange(0, 6).Draw(t, "spare"), hold: 2000,
				mark: func() uint64 { marks++; return marks },
			}
			flying = slices.DeleteFunc(flying, func(c call) bool {
				if c.back > now || rapid.IntRange(0, 9).Draw(t, "crash") == 0 {
					return c.back <= now // a crashed process settles nothing: its slot frees itself
				}
				told := limits{left: rapid.IntRange(0, 100).Draw(t, "left"), day: rapid.SampledFrom([]int{0, 100}).Draw(t, "day")}
				o.settled = append(o.settled, settlement{mark: c.mark, ago: now - c.back, limits: told})
				return true
			})
			w = parseWindow(w.bytes()) // through the ledger
			given, _ := w.apply(now, r, o)
			require.Len(t, given.liveWait, o.live-len(given.live))
			require.Len(t, given.bulkWait, o.bulk-len(given.bulk))
			require.Len(t, given.spareWait, o.spare-len(given.spare))
			require.True(t, slices.IsSorted(given.liveWait) && slices.IsSorted(given.bulkWait) && slices.IsSorted(given.spareWait))
			require.LessOrEqual(t, len(given.bulk)+len(given.spare), 1, "they share one pace")
			for _, mark := range slices.Concat(given.live, given.bulk, given.spare) {
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

// day is the course of one account's day, in seconds.
type day struct {
	t     *testing.T
	w     *window
	rules rules
}

func newDay(t *testing.T) *day {
	return &day{t, &window{}, rules{size: 98, per: 10_000_000, kept: keptShare}}
}

const second, hour = int64(1_000_000), int64(3_600_000_000)

// tell has an answer say, so many seconds ago, how many calls of 1,000 are left.
func (d *day) tell(at, ago int64, left int) {
	d.want(at, order{settled: []settlement{{ago: ago * second, limits: limits{left: left, day: 1000}}}})
}

func (d *day) want(at int64, o order) offer {
	o.mark, o.hold = newMark, 15*second
	d.w = parseWindow(d.w.bytes()) // through the ledger
	given, _ := d.w.apply(100*hour+at*second, d.rules, o)
	return given
}

// waits tells how many seconds a spare call has to wait.
func (d *day) waits(at int64) int64 {
	d.t.Helper()
	given := d.want(at, order{live: 1, spare: 1})
	require.Len(d.t, given.live, 1, "live calls go on")
	if len(given.spare) == 1 {
		return 0
	}
	return given.spareWait[0] / second
}

func TestWindowKeepsTheRestOfADayForLiveCalls(t *testing.T) {
	d := newDay(t)
	d.tell(0, 0, 200)
	assert.Zero(t, d.waits(1), "what is kept is left")
	d.tell(2, 1, 199)
	assert.Equal(t, int64(3598), d.waits(3), "for an hour after the answer")
	assert.Equal(t, 100*hour+3601*second, d.w.ends(), "the ledger keeps it as long")
	d.tell(1803, 0, 150)
	assert.Equal(t, int64(3599), d.waits(1804), "each answer tells anew")
}

func TestWindowTakesTheLeastForTheLatestWordOnTheDay(t *testing.T) {
	d := newDay(t)
	d.tell(1, 0, 199)
	d.tell(2, 0, 203)
	assert.NotZero(t, d.waits(3), "an answer that was overtaken")
	d.tell(4, 0, 450)
	assert.NotZero(t, d.waits(5), "still less than half")
	d.tell(6, 5400, 1)
	d.tell(3602, 0, 450)
	assert.Zero(t, d.waits(3603), "after an hour whatever is told is right")
}

func TestWindowSeesThatANewDayHasBegun(t *testing.T) {
	d := newDay(t)
	d.tell(10, 0, 5)
	d.tell(11, 3, 990)
	assert.NotZero(t, d.waits(12), "an older answer knows of no newer day")
	d.tell(13, 0, 989)
	assert.Zero(t, d.waits(14))
	d.tell(15, 10, 4)
	assert.Zero(t, d.waits(16), "the old day's last answer comes late")
	d.tell(17, 0, 3)
	assert.NotZero(t, d.waits(18))
}

func TestWindowAsksOnceAnHourWhetherTheDayIsOver(t *testing.T) {
	d := newDay(t)
	d.tell(0, 0, 100)
	d.want(3600, order{live: 1})
	given := d.want(3600, order{spare: 3})
	require.Len(t, given.spare, 1)
	assert.Equal(t, []int64{10 * second, 10*second + d.rules.per/98}, given.spareWait, "the others wait for its answer")
	assert.Len(t, d.want(3601, order{bulk: 1, spare: 2}).bulk, 1, "polls don't")
	d.tell(3602, 0, 90)
	assert.Equal(t, int64(3599), d.waits(3603))

	require.Zero(t, d.waits(7202))
	assert.Equal(t, int64(9), d.waits(7203), "no answer told")
	assert.Zero(t, d.waits(7212))
	assert.Zero(t, d.waits(7213), "nobody knows of any shortage")
}

func TestWindowWaitsNoLongerThanTheDayLasts(t *testing.T) {
	d := newDay(t)
	d.want(0, order{settled: []settlement{{limits: limits{left: 100, day: 1000, ends: 10 * time.Minute}}}})
	assert.Equal(t, int64(599), d.waits(1))
	assert.Len(t, d.want(2, order{bulk: 1, spare: 1}).bulk, 1, "polls go on")
	assert.Equal(t, int64(597), d.waits(3))
	assert.Zero(t, d.waits(600))
}

func TestWindowForgetsADayThatIsAheadOfTheClock(t *testing.T) {
	d := newDay(t)
	d.tell(50_000, 0, 100)
	assert.Equal(t, int64(3600), d.waits(0), "the clock was set back")
}

func TestWindowTellsACrowdHowLongAClosedAccountWithoutCallsTakes(t *testing.T) {
	w, r := &window{Closed: 1_060_000}, rules{size: 2, per: 1000}
	given, _ := w.apply(1_000_000, r, order{live: 5, bulk: 5, spare: 5, mark: newMark})
	require.Empty(t, slices.Concat(given.live, given.bulk, given.spare))
	for _, wait := range append(given.liveWait, given.bulkWait[0], given.spareWait[0]) {
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
