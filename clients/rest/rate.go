package rest

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Rate is a vendor's published limit: so many calls in any window of this length. The zero Rate is no limit.
type Rate struct {
	Calls int
	Per   time.Duration
}

// maxCalls bounds a window's size, for its slots are kept one by one.
const maxCalls = 10_000

var ratePattern = regexp.MustCompile(`^(\d{1,5})/(.+)$`)

// ParseRate reads a setting such as "100/10s"; "0" is no limit.
func ParseRate(text string) (Rate, error) {
	if text == "0" {
		return Rate{}, nil
	}
	match := ratePattern.FindStringSubmatch(text)
	if match == nil {
		return Rate{}, fmt.Errorf("%q is not a rate: write it as 100/10s, or 0 for no limit", text)
	}
	calls, _ := strconv.Atoi(match[1]) // the pattern lets only digits through
	per, err := time.ParseDuration(match[2])
	if err != nil || calls < 1 || calls > maxCalls || per < time.Millisecond || per > time.Hour {
		return Rate{}, fmt.Errorf("%q is not a rate: 1 to %d calls in 1ms to 1h, such as 100/10s", text, maxCalls)
	}
	return Rate{Calls: calls, Per: per}, nil
}

// usable is how many calls of the limit we make: two less, for calls that we can't know of, such as a request that
// the HTTP transport had to send again on a fresh connection.
func usable(calls int) int { return max(calls-2, 1) }
