package rest

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// kept is the share of a day's calls, in percent, that spare work leaves to live changes and polls.
const kept = 20

type spareKey struct{}

// WithSpare marks calls of work that can wait for another day, such as loading a location whole: they are refused, with a wait, once
// less than a fifth of the day's calls is left.
func WithSpare(ctx context.Context) context.Context { return context.WithValue(ctx, spareKey{}, true) }

// budget remembers what the vendor last told of the calls that each account has left today. Every process learns it from its own
// answers. The zero value is ready.
type budget struct {
	mu    sync.Mutex
	known map[string]day
}

// day is what is known of one account's. It is believed for an hour at most: when the vendor's day ends is not published.
type day struct {
	left  int
	low   bool
	until time.Time
}

// maxDays bounds the accounts that are remembered; beyond it all are learnt anew.
const maxDays = 100_000

func (b *budget) note(account string, a answer) {
	left, told := count(a.header, "X-RateLimit-Daily-Remaining")
	limit, _ := count(a.header, "X-RateLimit-Limit-Daily")
	if account == "" || !told || limit == 0 {
		return
	}
	reset, _ := count(a.header, "X-RateLimit-Daily-Reset") // seen in answers, in seconds as it seems
	ends := clamp(cmp.Or(time.Duration(reset)*time.Second, maxWait))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil || len(b.known) >= maxDays {
		b.known = map[string]day{}
	}
	b.known[account] = day{left, left*100 < limit*kept, time.Now().Add(ends)}
}

// DailyLeft is how many calls the vendor last said the account has left today; -1: it did not say lately.
func (c *Client) DailyLeft(account string) int {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	today, known := c.budget.known[account]
	if !known || !time.Now().Before(today.until) {
		return -1
	}
	return today.left
}

// wait is how long spare work of the account must stay away; 0: it may go on.
func (b *budget) wait(ctx context.Context, account string) time.Duration {
	if ctx.Value(spareKey{}) == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	today := b.known[account]
	if !today.low {
		return 0
	}
	return max(time.Until(today.until), 0)
}
