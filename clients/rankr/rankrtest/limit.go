package rankrtest

import (
	"strconv"
	"time"
)

// window counts the calls of any interval exactly: no buckets, no burst on top.
type window struct {
	calls   []time.Time // admitted within the last interval, oldest first
	busiest int         // the most there ever were
}

// admit takes the call in and returns 0, or returns how long to wait.
func (w *window) admit(now time.Time, limit int, interval time.Duration, unlimited bool) time.Duration {
	w.forget(now, interval)
	if len(w.calls) >= limit && !unlimited {
		return w.calls[len(w.calls)-limit].Add(interval).Sub(now)
	}
	w.calls = append(w.calls, now)
	w.busiest = max(w.busiest, len(w.calls))
	return 0
}

func (w *window) forget(now time.Time, interval time.Duration) {
	for len(w.calls) > 0 && now.Sub(w.calls[0]) >= interval {
		w.calls = w.calls[1:]
	}
}

// day counts the calls of one UTC day.
type day struct {
	date  time.Time
	calls int
}

func (d *day) admit(now time.Time, limit int) time.Duration {
	if today := now.UTC().Truncate(24 * time.Hour); !today.Equal(d.date) {
		*d = day{date: today}
	}
	if d.calls >= limit {
		return d.date.Add(24 * time.Hour).Sub(now)
	}
	d.calls++
	return 0
}

// limits are the headers that tell what is left.
func (s *Server) limits(a *account) map[string]string {
	header := map[string]string{}
	if !s.knobs.Unlimited {
		limit, interval := s.knobs.perInterval()
		a.window.forget(s.now(), interval)
		header["X-RateLimit-Max"] = strconv.Itoa(limit)
		header["X-RateLimit-Remaining"] = strconv.Itoa(max(0, limit-len(a.window.calls)))
		header["X-RateLimit-Interval-Milliseconds"] = strconv.FormatInt(interval.Milliseconds(), 10)
	}
	if s.knobs.Daily > 0 {
		header["X-RateLimit-Limit-Daily"] = strconv.Itoa(s.knobs.Daily)
		header["X-RateLimit-Daily-Remaining"] = strconv.Itoa(max(0, s.knobs.Daily-a.day.calls))
	}
	return header
}

// seconds rounds up: a client that comes back after them is let in.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
