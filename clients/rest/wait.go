package rest

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A vendor's wish to wait is believed between these.
const (
	minWait = time.Second
	maxWait = time.Hour
)

// limits reads the rate limit headers. GHL documents neither Retry-After nor a body for 429, so what is missing is
// made up for: its interval, and, unless it says when the day ends, an hour when the day's budget is spent.
func (a answer) limits() limits {
	l := limits{}
	remaining, gotRemaining := count(a.header, "X-RateLimit-Remaining")
	most, gotMost := count(a.header, "X-RateLimit-Max")
	if gotRemaining && gotMost {
		l.remaining, l.most = remaining, most
	}
	if ms, ok := count(a.header, "X-RateLimit-Interval-Milliseconds"); ok && ms > 0 {
		l.per = time.Duration(min(ms, int(maxWait.Milliseconds()))) * time.Millisecond
	}
	refused := a.status == http.StatusTooManyRequests
	if refused || a.status == http.StatusServiceUnavailable {
		if wait, ok := retryAfter(a.header); ok {
			l.closed = wait
		} else if refused {
			l.closed = clamp(cmp.Or(l.per, 10*time.Second))
		}
	}
	if reset, ok := count(a.header, "X-RateLimit-Daily-Reset"); ok && reset > 0 { // seen in answers, in seconds as it seems
		l.ends = clamp(time.Duration(min(reset, int(maxWait.Seconds()))) * time.Second)
	}
	if l.left, l.day = a.daily(); l.left == 0 {
		l.closed = cmp.Or(l.ends, maxWait)
	}
	return l
}

// daily reads what is left of the day's budget, -1 when that is not told, and the budget. On a good answer what is left
// counts only beside a limit: a header that is merely filled with zeros must not stop an account.
func (a answer) daily() (left, day int) {
	left, told := count(a.header, "X-RateLimit-Daily-Remaining")
	day, _ = count(a.header, "X-RateLimit-Limit-Daily")
	if !told || day == 0 && a.status != http.StatusTooManyRequests {
		return -1, 0
	}
	return left, day
}

// retryAfter reads seconds or a date, which is compared with the vendor's own clock.
func retryAfter(h http.Header) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	seconds, err := strconv.ParseFloat(text, 64)
	if (err == nil || errors.Is(err, strconv.ErrRange)) && !math.IsNaN(seconds) {
		return clamp(time.Duration(min(max(seconds, 0), maxWait.Seconds()) * float64(time.Second))), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return clamp(at.Sub(now)), true
}

func clamp(wait time.Duration) time.Duration { return min(max(wait, minWait), maxWait) }

func count(h http.Header, name string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(h.Get(name)))
	return n, err == nil && n >= 0
}
