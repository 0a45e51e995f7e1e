package rest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vendor is a strict counter: it knows when each request reached it.
type vendor struct {
	mu    sync.Mutex
	calls []time.Time
}

func (v *vendor) count() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, time.Now())
}

// worst is the most calls in any window of that length.
func (v *vendor) worst(per time.Duration) (most int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	slices.SortFunc(v.calls, time.Time.Compare)
	first := 0
	for last := range v.calls {
		for v.calls[last].Sub(v.calls[first]) >= per {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func good() answer { return answer{status: 200, sent: true} }

// caller calls through the gate until the end, and stays away when it is told to.
func caller(ctx context.Context, gate *Gate, key string, until time.Time, call func()) {
	for time.Now().Before(until) {
		pass, wait, err := gate.enter(ctx, key, 15*time.Second)
		if err != nil {
			return
		}
		if wait > 0 {
			time.Sleep(wait)
			continue
		}
		call()
		pass.leave(good())
	}
}

func TestGateNeverLetsMoreThanTheLimitThroughInAnyWindow(t *testing.T) {
	for _, lane := range []struct {
		name   string
		ctx    context.Context
		atMost float64
	}{{"live", context.Background(), 1}, {"bulk", WithBulk(context.Background()), 1}, {"spare", WithSpare(context.Background()), 1}} {
		t.Run(lane.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared, v := newMemory(), &vendor{}
				start := time.Now()
				var callers sync.WaitGroup
				for range 2 { // two processes
					gate := NewGate(Rate{100, 10 * time.Second}, shared)
					for i := range 40 {
						callers.Go(func() {
							caller(lane.ctx, gate, "ghl L", start.Add(2*time.Minute), func() {
								time.Sleep(time.Duration(i) * 3 * time.Millisecond) // on the way
								v.count()
								time.Sleep(time.Duration(40-i) * 3 * time.Millisecond) // on the way back
							})
						})
					}
				}
				callers.Wait()
				worst, used := v.worst(10*time.Second), float64(len(v.calls))/(98*12)
				t.Logf("%d calls in 2 minutes, at most %d in any 10 s, %.1f %% of the limit used", len(v.calls), worst, 100*used)
				assert.LessOrEqual(t, worst, 98)
				assert.Greater(t, used, 0.9)
			})
		})
	}
}

func TestGateLetsALiveCallPassASaturatedBulkWithinAFractionOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(Rate{100, 10 * time.Second}, nil)
		end := time.Now().Add(time.Minute)
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				caller(WithBulk(t.Context()), gate, "ghl L", end, func() { time.Sleep(50 * time.Millisecond) })
			})
		}
		var longest time.Duration
		for range 50 {
			time.Sleep(time.Second)
			start := time.Now()
			pass, wait, err := gate.enter(t.Context(), "ghl L", time.Second)
			require.NoError(t, err)
			require.Zero(t, wait)
			longest = max(longest, time.Since(start))
			pass.leave(good())
		}
		callers.Wait()
		t.Logf("longest wait of a live call: %v", longest)
		assert.Less(t, longest, 300*time.Millisecond)
	})
}

func TestGatePacesBulkEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, v := NewGate(Rate{100, 10 * time.Second}, nil), &vendor{}
		end := time.Now().Add(30 * time.Second)
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { caller(WithBulk(t.Context()), gate, "ghl L", end, v.count) })
		}
		callers.Wait()
		assert.LessOrEqual(t, v.worst(time.Second), 11)
	})
}

func TestGateIsClosedForAllProcessesByARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newMemory()
		one, two := NewGate(Rate{100, 10 * time.Second}, shared), NewGate(Rate{100, 10 * time.Second}, shared)
		pass, _, err := one.enter(t.Context(), "ghl L", time.Second)
		require.NoError(t, err)
		pass.leave(answer{status: 429, sent: true, header: headers("Retry-After", "30")})
		synctest.Wait()
		_, wait, err := two.enter(t.Context(), "ghl L", time.Second)
		require.NoError(t, err)
		assert.InDelta(t, 30, wait.Seconds(), 0.1)
		pass, wait, _ = two.enter(t.Context(), "ghl other", time.Second)
		require.Zero(t, wait, "another location is open")
		pass.leave(good())
		time.Sleep(30 * time.Second)
		pass, wait, _ = two.enter(t.Context(), "ghl L", time.Second)
		require.Zero(t, wait)
		pass.leave(good())
	})
}

// left is an answer that tells what is left of a day of 1,000 calls.
func left(calls string) answer {
	return answer{status: 200, sent: true, header: headers("X-RateLimit-Limit-Daily", "1000", "X-RateLimit-Daily-Remaining", calls)}
}

func TestGateKeepsTheRestOfADayForLiveCallsInAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newMemory()
		one, two := NewGate(Rate{100, 10 * time.Second}, shared), NewGate(Rate{100, 10 * time.Second}, shared)
		pass, _, _ := one.enter(t.Context(), "ghl L", time.Second)
		pass.leave(left("150"))
		synctest.Wait() // nobody calls after it, yet the others hear of it
		for range 50 {
			_, wait, err := two.enter(WithSpare(t.Context()), "ghl L", time.Second)
			require.NoError(t, err)
			require.InDelta(t, 3600, wait.Seconds(), 10)
			require.LessOrEqual(t, wait, maxWait)
		}
		pass, wait, _ := two.enter(t.Context(), "ghl L", time.Second)
		require.Zero(t, wait, "live calls go on")
		pass.leave(left("140"))
		time.Sleep(time.Second)
		pass, wait, _ = two.enter(WithBulk(t.Context()), "ghl L", time.Second)
		require.Zero(t, wait, "polls go on")
		pass.leave(left("990"))
		time.Sleep(time.Second)
		for range 12 {
			pass, wait, _ = two.enter(WithSpare(t.Context()), "ghl L", time.Second)
			require.Zero(t, wait, "on a new day nobody waits for the end of the old one's hour")
			pass.leave(left("980"))
		}
		pass, wait, _ = one.enter(WithSpare(t.Context()), "ghl L", time.Second)
		require.Zero(t, wait)
		pass.leave(left("970"))
	})
}

func TestGatePromisesNoHourOnANewDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(Rate{4, 10 * time.Second}, nil) // one slot for spare calls
		pass, _, _ := gate.enter(t.Context(), "ghl L", time.Second)
		pass.leave(left("150"))
		_, wait, _ := gate.enter(WithSpare(t.Context()), "ghl L", time.Second)
		require.InDelta(t, 3600, wait.Seconds(), 1)
		time.Sleep(time.Minute)
		pass, _, _ = gate.enter(t.Context(), "ghl L", time.Second)
		pass.leave(left("990"))
		_, wait, _ = gate.enter(WithSpare(t.Context()), "ghl L", time.Second)
		assert.InDelta(t, 10, wait.Seconds(), 1, "for a slot, as on any day")
	})
}

func TestGateTellsTheLedgerOfAShortDayOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := &counting{memory: newMemory()}
		gate := NewGate(Rate{100, 10 * time.Second}, ledger)
		for range 60 {
			pass, wait, _ := gate.enter(t.Context(), "ghl L", time.Second)
			require.Zero(t, wait)
			pass.leave(left("150"))
			time.Sleep(time.Second)
		}
		assert.Equal(t, int64(61), ledger.swaps.Load())
	})
}

type counting struct {
	*memory
	swaps atomic.Int64
}

func (c *counting) Swap(ctx context.Context, account string, old, state []byte, until time.Time) (bool, error) {
	c.swaps.Add(1)
	return c.memory.Swap(ctx, account, old, state, until)
}

func TestGateLeavesRoomForCallsThatAreNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(Rate{100, 10 * time.Second}, nil)
		pass, _, _ := gate.enter(t.Context(), "ghl L", time.Second)
		pass.leave(answer{status: 200, sent: true, header: headers(
			"X-RateLimit-Max", "100", "X-RateLimit-Remaining", "10", "X-RateLimit-Interval-Milliseconds", "10000")})
		passed := 0
		for range 98 {
			if pass, wait, _ := gate.enter(t.Context(), "ghl L", time.Second); wait == 0 {
				passed++
				pass.leave(good())
			}
		}
		assert.Equal(t, 8, passed, "ten are left, two of them we never use")
		time.Sleep(11 * time.Second)
		_, wait, _ := gate.enter(t.Context(), "ghl L", time.Second)
		assert.Zero(t, wait, "what the others did is forgotten after a window")
	})
}

func TestGateObeysASmallerLimitThanConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(Rate{100, 10 * time.Second}, nil)
		pass, _, _ := gate.enter(t.Context(), "ghl L", time.Second)
		pass.leave(answer{status: 200, sent: true, header: headers("X-RateLimit-Max", "25", "X-RateLimit-Remaining", "24")})
		passed := 1
		for range 98 {
			if pass, wait, _ := gate.enter(t.Context(), "ghl L", time.Second); wait == 0 {
				passed++
				pass.leave(good())
			}
		}
		assert.Equal(t, 23, passed)
	})
}

func TestGateFreesTheSlotsOfACrashedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newMemory()
		crashed, other := NewGate(Rate{4, 10 * time.Second}, shared), NewGate(Rate{4, 10 * time.Second}, shared)
		for range 2 {
			_, wait, err := crashed.enter(t.Context(), "ghl L", 15*time.Second)
			require.NoError(t, err)
			require.Zero(t, wait) // and never leaves
		}
		_, wait, _ := other.enter(t.Context(), "ghl L", 15*time.Second)
		require.NotZero(t, wait)
		time.Sleep(26 * time.Second) // hold and one window
		_, wait, _ = other.enter(t.Context(), "ghl L", 15*time.Second)
		assert.Zero(t, wait)
	})
}

func TestGateWaitsShortlyInsideAndTellsALongerWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(Rate{3, 800 * time.Millisecond}, nil)
		pass, _, _ := gate.enter(t.Context(), "a", time.Second)
		pass.leave(good())
		start := time.Now()
		_, wait, err := gate.enter(t.Context(), "a", time.Second)
		require.NoError(t, err)
		require.Zero(t, wait)
		assert.InDelta(t, 0.8, time.Since(start).Seconds(), 0.01)

		slow := NewGate(Rate{3, 10 * time.Second}, nil)
		pass, _, _ = slow.enter(t.Context(), "a", time.Second)
		pass.leave(good())
		start = time.Now()
		_, first, _ := slow.enter(t.Context(), "a", time.Second)
		_, second, _ := slow.enter(t.Context(), "a", time.Second)
		assert.Zero(t, time.Since(start))
		assert.InDelta(t, 10, first.Seconds(), 0.01)
		assert.InDelta(t, 20, second.Seconds(), 0.01, "those sent away are spread")
	})
}

func TestGateGivesBackTheSlotOfARequestThatNeverLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(Rate{3, 10 * time.Second}, nil)
		for range 20 {
			pass, wait, err := gate.enter(t.Context(), "a", time.Second)
			require.NoError(t, err)
			require.Zero(t, wait)
			pass.leave(answer{cut: true})
		}
	})
}

func TestGateForgetsWhoeverGaveUpWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(Rate{3, 500 * time.Millisecond}, nil)
		pass, _, _ := gate.enter(t.Context(), "a", time.Second)
		pass.leave(good())
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _, err := gate.enter(ctx, "a", time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		pass, wait, err := gate.enter(t.Context(), "a", time.Second)
		require.NoError(t, err)
		require.Zero(t, wait, "the one that gave up took nothing")
		pass.leave(good())
	})
}

func TestGateForgetsIdleAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := newMemory()
		gate := NewGate(Rate{100, 10 * time.Second}, ledger)
		for i := range 1000 {
			pass, _, _ := gate.enter(t.Context(), string(rune('a'+i)), time.Second)
			pass.leave(good())
		}
		time.Sleep(3 * time.Minute)
		pass, _, _ := gate.enter(t.Context(), "another", time.Second)
		pass.leave(good())
		synctest.Wait()
		assert.Len(t, gate.accounts, 1)
		assert.Len(t, ledger.states, 1)
	})
}

func TestGateSurvivesAClockThatIsSetBack(t *testing.T) {
	w := &window{}
	r := rules{size: 98, per: 10_000_000}
	o := order{live: 98, hold: 15_000_000, mark: newMark}
	now := time.Now().UnixMicro()
	given, _ := w.apply(now, r, o)
	require.Len(t, given.live, 98)
	back := now - 2*time.Hour.Microseconds()
	given, _ = w.apply(back, r, o)
	require.Empty(t, given.live)
	given, _ = w.apply(back+r.per, r, o)
	assert.Len(t, given.live, 98, "one window later all is well again")
}

func TestGateWithoutARateLetsEverythingThrough(t *testing.T) {
	gate := NewGate(Rate{}, nil)
	pass, wait, err := gate.enter(t.Context(), "a", time.Second)
	require.NoError(t, err)
	require.Zero(t, wait)
	pass.leave(good())
}

func BenchmarkGateOneCallPerAccount(b *testing.B) {
	gate := NewGate(Rate{100, 10 * time.Second}, nil)
	var n atomic.Int64
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = "ghl " + time.Duration(i).String()
	}
	for b.Loop() {
		pass, wait, err := gate.enter(b.Context(), keys[n.Add(1)%int64(len(keys))], 15*time.Second)
		if err != nil || wait > 0 {
			continue
		}
		pass.leave(good())
	}
}

func TestParseRateReadsASetting(t *testing.T) {
	for text, want := range map[string]Rate{"100/10s": {100, 10 * time.Second}, "5/1m": {5, time.Minute}, "0": {}} {
		rate, err := ParseRate(text)
		require.NoError(t, err)
		assert.Equal(t, want, rate)
	}
	for _, text := range []string{"", "100", "100/", "/10s", "-1/10s", "0/10s", "100/0s", "1e3/10s", "100000/10s", "100/10", "100/2h"} {
		_, err := ParseRate(text)
		assert.Error(t, err, text)
	}
}
