package ghltest

import (
	"cmp"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The limits that GHL publishes, per app and location.
const (
	publishedMax    = 100
	publishedWindow = 10 * time.Second
	publishedDaily  = 200_000
)

// Limits tells how a location's calls stood against its limits.
type Limits struct {
	Worst      int `json:"worst"`      // most calls in any window, those refused included
	Violations int `json:"violations"` // calls over a limit
	Today      int `json:"today"`      // calls since midnight UTC
}

// limiter counts strictly: it keeps the time of every call, so no window of the given length escapes it, wherever
// it begins. A call that is refused counts too: whoever goes on knocking stays outside.
type limiter struct {
	mu     sync.Mutex
	times  []time.Time // of the calls in the current window are times[head:]
	head   int
	day    int64
	counts Limits
}

// take counts one call, describes the limits in the answer's header, and tells whether the call may pass.
func (l *limiter) take(clock func() time.Time, k *Knobs, header http.Header) bool {
	limit, window, daily := cmp.Or(k.Max, publishedMax), cmp.Or(k.Window, publishedWindow), cmp.Or(k.Daily, publishedDaily)

	l.mu.Lock()
	now := clock() // under the lock: the times must be in order
	l.forget(now.Add(-window))
	l.times = append(l.times, now)
	if day := now.Unix() / 86_400; day != l.day {
		l.day, l.counts.Today = day, 0
	}
	l.counts.Today++
	inWindow, today := len(l.times)-l.head, l.counts.Today
	l.counts.Worst = max(l.counts.Worst, inWindow)
	passes := k.Unlimited || inWindow <= limit && today <= daily
	if !passes {
		l.counts.Violations++
	}
	l.mu.Unlock()

	if !k.Unlimited {
		set := func(name string, value int64) { header.Set(name, strconv.FormatInt(max(value, 0), 10)) }
		set("X-RateLimit-Max", int64(limit))
		set("X-RateLimit-Remaining", int64(limit-inWindow))
		set("X-RateLimit-Interval-Milliseconds", window.Milliseconds())
		set("X-RateLimit-Limit-Daily", int64(daily))
		set("X-RateLimit-Daily-Remaining", int64(daily-today))
		// Seen on live answers but documented nowhere; that it counts seconds is a guess.
		set("X-RateLimit-Daily-Reset", 86_400-now.Unix()%86_400)
	}
	return passes
}

// forget drops the calls that were made at or before the given time.
func (l *limiter) forget(before time.Time) {
	for l.head < len(l.times) && !l.times[l.head].After(before) {
		l.head++
	}
	if l.head > len(l.times)/2 {
		l.times = append(l.times[:0], l.times[l.head:]...)
		l.head = 0
	}
}

func (l *limiter) snapshot() Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

func (l *limiter) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Worst, l.counts.Violations = 0, 0
}
