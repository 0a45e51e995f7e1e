package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openTestSlots(t testing.TB, url string) *Slots {
	t.Helper()
	s, err := OpenSlots(context.Background(), url, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSlotsSwapOnlyWhatStillStands(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, ctx := openTestSlots(t, url), t.Context()
		later := time.Now().Add(time.Hour)
		state, now, err := s.Load(ctx, "ghl L")
		require.NoError(t, err)
		assert.Nil(t, state)
		assert.WithinDuration(t, time.Now(), now, time.Minute)
		for _, step := range []struct {
			old, new string
			want     bool
		}{{"", "a", true}, {"", "b", false}, {"x", "b", false}, {"a", "b", true}, {"a", "c", false}} {
			var old []byte
			if step.old != "" {
				old = []byte(step.old)
			}
			swapped, err := s.Swap(ctx, "ghl L", old, []byte(step.new), later)
			require.NoError(t, err)
			assert.Equal(t, step.want, swapped, step)
		}
		state, _, err = s.Load(ctx, "ghl L")
		require.NoError(t, err)
		assert.Equal(t, "b", string(state))
		state, _, err = s.Load(ctx, "ghl other")
		require.NoError(t, err)
		assert.Nil(t, state)
	})
}

func TestSlotsOfTwoProcessesNeverLoseASwap(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		ctx, later := t.Context(), time.Now().Add(time.Hour)
		var swaps atomic.Int64
		var callers sync.WaitGroup
		for range 2 {
			s := openTestSlots(t, url)
			for range 3 {
				callers.Go(func() {
					for done := 0; done < 50; {
						state, _, err := s.Load(ctx, "a")
						if !assert.NoError(t, err) {
							return
						}
						var n int
						_, _ = fmt.Sscan(string(state), &n)
						swapped, err := s.Swap(ctx, "a", state, []byte(fmt.Sprint(n+1)), later)
						if !assert.NoError(t, err) {
							return
						}
						if swapped {
							done++
							swaps.Add(1)
						}
					}
				})
			}
		}
		callers.Wait()
		state, _, err := openTestSlots(t, url).Load(ctx, "a")
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(swaps.Load()), string(state))
	})
}

func TestSlotsForgetIdleAccounts(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, ctx := openTestSlots(t, url), t.Context()
		clock := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
		s.now = func() time.Time { return clock }
		for i := range 100 {
			_, err := s.Swap(ctx, fmt.Sprint(i), nil, []byte("x"), clock.Add(10*time.Second))
			require.NoError(t, err)
		}
		clock = clock.Add(2 * time.Minute)
		_, err := s.Swap(ctx, "another", nil, []byte("x"), clock.Add(10*time.Second))
		require.NoError(t, err)
		var rows int
		require.NoError(t, s.db.QueryRow("SELECT count(*) FROM slots").Scan(&rows))
		assert.Equal(t, 1, rows)
	})
}

func TestSlotsHealADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	require.NoError(t, os.WriteFile(path+"-slots", []byte("not a database, but long enough to be looked at as one"), 0o600))
	s := openTestSlots(t, "sqlite:"+path)
	swapped, err := s.Swap(t.Context(), "a", nil, []byte("x"), time.Now())
	require.NoError(t, err)
	assert.True(t, swapped)
}

func TestSlotsRefuseAURLTheyDontKnow(t *testing.T) {
	for _, url := range []string{"", "sqlite:", "mysql://x"} {
		_, err := OpenSlots(t.Context(), url, nil)
		assert.Error(t, err, url)
	}
}

// BenchmarkSlotsExchange is what one call in a location of its own costs at the ledger: a look and a swap.
func BenchmarkSlotsExchange(b *testing.B) {
	s := openTestSlots(b, "sqlite:"+filepath.Join(b.TempDir(), "s.db"))
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	n := 0
	for b.Loop() {
		n++
		account := fmt.Sprint("ghl L", n%5000)
		state, now, err := s.Load(ctx, account)
		require.NoError(b, err)
		swapped, err := s.Swap(ctx, account, state, fmt.Appendf(nil, `{"slots":[{"m":%d,"f":%d}]}`, n, now.UnixMicro()), now.Add(10*time.Second))
		require.NoError(b, err)
		require.True(b, swapped)
	}
}
