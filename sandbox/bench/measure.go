package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// callers are the numbers of callers at which throughput is measured; each makes its next change when the last is
// through.
var callers = []int{1, 10, 50}

// rate lets so many callers work through the numbers up to n, and returns how many were done a second.
func rate(ctx context.Context, callers, n int, do func(ctx context.Context, i int) error) (float64, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(callers)
	began := time.Now()
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	err := group.Wait()
	return float64(n) / time.Since(began).Seconds(), err
}

var errPatience = errors.New("did not happen in time")

// await waits for a bell.
func await(ctx context.Context, bell <-chan time.Time) (time.Time, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case at := <-bell:
		return at, nil
	case <-timer.C:
		return time.Time{}, errPatience
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

// until looks every few milliseconds until there is nothing left to wait for.
func until(ctx context.Context, look func() (done bool, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errPatience)
	defer cancel()
	for {
		done, err := look()
		if done || err != nil {
			return err
		}
		if pause(ctx, 5*time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// latencies are durations that several callers gather.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *latencies) add(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, took)
}

// percentile is the smallest of the times that the given share of them does not exceed, in milliseconds; 0 without any.
func (t *latencies) percentile(share float64) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return 0
	}
	slices.Sort(t.all)
	i := min(int(share*float64(len(t.all))), len(t.all)-1)
	return float64(t.all[i].Microseconds()) / 1000
}
