package rest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Gate keeps a vendor's rate limit for each account: never more calls than the limit in any window, over all
// processes that share its [Ledger]. A short wait happens inside, a longer one is told to the caller.
//
// Whoever needs a slot queues up. One goroutine for each busy account carries the queue's wishes to the ledger, so
// that a crowd costs one exchange; it ends with the queue. Live calls go before bulk calls.
type Gate struct {
	rules  rules
	ledger Ledger

	mu       sync.Mutex
	accounts map[string]*account
	swept    time.Time
}

// patience is how long a call waits inside the gate: a longer wait would only hold an activity's slot.
const patience = time.Second

// NewGate makes a gate for a vendor's published rate, of which it leaves two calls alone. With a nil ledger it is
// kept for this process alone. The zero rate is no limit: the gate is nil, which lets everything through.
func NewGate(rate Rate, ledger Ledger) *Gate {
	if rate == (Rate{}) {
		return nil
	}
	if ledger == nil {
		ledger = newMemory()
	}
	return &Gate{
		rules:    rules{size: usable(rate.Calls), per: rate.Per.Microseconds(), kept: keptShare},
		ledger:   ledger,
		accounts: map[string]*account{},
	}
}

type laneKey struct{}

// WithBulk marks the calls of pages and polls: they are paced evenly, and leave three slots to live calls.
func WithBulk(ctx context.Context) context.Context {
	if lane, _ := ctx.Value(laneKey{}).(class); lane == spare {
		return ctx // what can wait for another day can do so in every call
	}
	return context.WithValue(ctx, laneKey{}, bulk)
}

// WithSpare marks calls of work that can wait for another day, such as loading a location whole: they are paced like bulk calls,
// go after them, and are refused, with a wait, once less than a fifth of the account's calls of this day is left.
func WithSpare(ctx context.Context) context.Context {
	return context.WithValue(ctx, laneKey{}, spare)
}

// class is a lane of the queue.
type class int

const (
	live class = iota
	bulk
	spare
	lanes
)

// account is one account's queue in this process.
type account struct {
	key      string
	queue    [lanes][]*waiter
	settled  []settled
	passes   int  // out and not yet back
	running  bool // a goroutine carries the queue
	urgent   bool // something was settled that can't wait for the next call
	kick     chan struct{}
	promised [lanes]time.Time // the latest moment somebody was told to come again
	kept     bool             // the last exchange kept spare calls away for the day's budget
	short    time.Time        // when the ledger was last told that the day's budget runs short; zero: it doesn't
	touched  time.Time
}

// waiter is one call in the queue.
type waiter struct {
	since time.Time
	hold  time.Duration
	done  chan verdict
}

// verdict is how waiting ended: one of the three.
type verdict struct {
	mark uint64
	wait time.Duration
	err  error
}

// settled is a settlement before its age is known.
type settled struct {
	settlement
	at time.Time
}

// pass is the right to make one call. It must be given back by leave.
type pass struct {
	gate    *Gate
	account *account
	mark    uint64
}

// enter waits for a slot. It returns a pass, or how long to stay away, or an error of the ledger's or of ctx. Hold is
// the longest that the call can take.
func (g *Gate) enter(ctx context.Context, key string, hold time.Duration) (*pass, time.Duration, error) {
	if g == nil {
		return nil, 0, nil
	}
	lane, _ := ctx.Value(laneKey{}).(class)
	w := &waiter{since: time.Now(), hold: hold, done: make(chan verdict, 1)}
	a := g.join(key, lane, w)
	select {
	case v := <-w.done:
		if v.mark == 0 {
			return nil, v.wait, v.err
		}
		return &pass{g, a, v.mark}, 0, nil
	case <-ctx.Done():
		g.abandon(a, lane, w)
		return nil, 0, ctx.Err()
	}
}

// leave gives the slot back, with what the answer told of the vendor's limit.
func (p *pass) leave(a answer) {
	if p == nil {
		return
	}
	p.gate.giveBack(p.account, settlement{mark: p.mark, unused: !a.sent && a.status == 0, limits: a.limits()})
}

func (g *Gate) join(key string, lane class, w *waiter) *account {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(w.since)
	a := g.accounts[key]
	if a == nil {
		a = &account{key: key, kick: make(chan struct{}, 1)}
		g.accounts[key] = a
	}
	a.queue[lane] = append(a.queue[lane], w)
	g.wake(a)
	return a
}

// abandon takes a waiter out of the queue. A slot that it got in the same moment goes back unused.
func (g *Gate) abandon(a *account, lane class, w *waiter) {
	g.mu.Lock()
	a.queue[lane] = slices.DeleteFunc(a.queue[lane], func(other *waiter) bool { return other == w })
	g.mu.Unlock()
	select {
	case v := <-w.done:
		if v.mark != 0 {
			g.giveBack(a, settlement{mark: v.mark, unused: true})
		}
	default:
	}
}

// giveBack notes how a call ended. The ledger hears of it with the next exchange; other processes take the slot for
// held until then, so not too many may pile up.
func (g *Gate) giveBack(a *account, s settlement) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a.passes--
	a.touched = time.Now()
	a.settled = append(a.settled, settled{s, a.touched})
	if s.limits.closed > 0 || s.unused && a.waiting() || len(a.settled) > g.rules.size/8 || g.dayNews(a, s.limits) {
		a.urgent = true
		g.wake(a)
	}
}

// dayNews tells whether an answer's word on the day's budget must reach the ledger even if no call comes after it, for
// it outlasts the account's [Gate.sweep]. The gate is locked.
func (g *Gate) dayNews(a *account, l limits) bool {
	switch {
	case l.day == 0:
		return false
	case !g.rules.short(l.left, l.day):
		news := !a.short.IsZero()
		a.short = time.Time{}
		return news
	case a.touched.Sub(a.short) < time.Minute:
		return false
	}
	a.short = a.touched
	return true
}

// wake sees to it that the queue is looked at now. The gate is locked.
func (g *Gate) wake(a *account) {
	a.touched = time.Now()
	if !a.running {
		a.running = true
		go g.run(a)
		return
	}
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// run carries one account's wishes to the ledger until nobody waits.
func (g *Gate) run(a *account) {
	for {
		wishes, done, ok := g.collect(a)
		if !ok {
			return
		}
		given, err := g.exchange(a.key, wishes, done)
		sleep := g.deliver(a, done, given, err)
		if sleep <= 0 {
			continue
		}
		timer := time.NewTimer(sleep)
		select {
		case <-timer.C:
		case <-a.kick:
			timer.Stop()
		}
	}
}

// collect takes what the ledger must hear; false: nothing, and the goroutine is over.
func (g *Gate) collect(a *account) (order, []settled, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := order{live: len(a.queue[live]), bulk: len(a.queue[bulk]), spare: len(a.queue[spare]), mark: newMark}
	if !a.waiting() && !a.urgent {
		a.running = false
		return order{}, nil, false
	}
	for _, lane := range a.queue {
		for _, w := range lane {
			o.hold = max(o.hold, w.hold.Microseconds())
		}
	}
	taken := a.settled
	a.settled, a.urgent = nil, false
	return o, taken, true
}

func newMark() uint64 { return rand.Uint64()>>1 | 1 } // JSON's readers agree on 63 bits; 0 is no mark

// errContended means that others changed the ledger's row each time we tried.
var errContended = errors.New("rest: the ledger's row never stood still")

// exchange does one compare and swap with the ledger.
func (g *Gate) exchange(key string, o order, done []settled) (offer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range 100 {
		// Ages are taken before the ledger's clock is read: a slot may come free late, never early.
		o.settled = o.settled[:0]
		for _, s := range done {
			s.ago = time.Since(s.at).Microseconds()
			o.settled = append(o.settled, s.settlement)
		}
		old, clock, err := g.ledger.Load(ctx, key)
		if err != nil {
			return offer{}, err
		}
		w := parseWindow(old)
		given, changed := w.apply(clock.UnixMicro(), g.rules, o)
		if !changed {
			return given, nil
		}
		swapped, err := g.ledger.Swap(ctx, key, old, w.bytes(), time.UnixMicro(w.ends()))
		if swapped || err != nil {
			return given, err
		}
	}
	return offer{}, errContended
}

// deliver hands out what the ledger gave, and sends away whoever would wait too long. It returns how long those that
// stay have to wait; 0 when nobody does.
func (g *Gate) deliver(a *account, done []settled, given offer, err error) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		a.settled = append(done, a.settled...)
		a.settled = a.settled[max(len(a.settled)-g.rules.size, 0):] // the ledger frees the others by itself
		for lane := range a.queue {
			for _, w := range a.queue[lane] {
				w.done <- verdict{err: err}
			}
			a.queue[lane] = nil
		}
		return 0
	}
	if a.kept && !given.kept { // a new day: what was promised for the end of an hour no longer holds
		a.promised[spare] = time.Time{}
	}
	a.kept = given.kept
	marks := [lanes][]uint64{given.live, given.bulk, given.spare}
	turns := [lanes][]int64{given.liveWait, given.bulkWait, given.spareWait}
	soonest := time.Duration(0)
	for lane := range lanes {
		a.hand(lane, marks[lane])
		if turn := g.thin(a, lane, turns[lane]); turn > 0 && (soonest == 0 || turn < soonest) {
			soonest = turn
		}
	}
	return soonest
}

// waiting tells whether anybody is in the queue. The gate is locked.
func (a *account) waiting() bool {
	return slices.ContainsFunc(a.queue[:], func(lane []*waiter) bool { return len(lane) > 0 })
}

// hand gives slots to the first in the lane.
func (a *account) hand(lane class, marks []uint64) {
	for _, mark := range marks {
		if len(a.queue[lane]) == 0 { // they gave up while we were at the ledger
			a.settled = append(a.settled, settled{settlement{mark: mark, unused: true}, time.Now()})
			continue
		}
		a.passes++
		a.queue[lane][0].done <- verdict{mark: mark}
		a.queue[lane] = a.queue[lane][1:]
	}
}

// thin keeps in the lane only those whose turn comes within their patience. It returns the time until the first
// turn, 0 when nobody is left.
func (g *Gate) thin(a *account, lane class, turns []int64) time.Duration {
	now, kept := time.Now(), a.queue[lane][:0]
	for _, w := range a.queue[lane] {
		if len(kept) >= len(turns) { // came while we were at the ledger: has its turn next time
			kept = append(kept, w)
			continue
		}
		wait := time.Duration(turns[len(kept)]) * time.Microsecond
		if now.Sub(w.since)+wait <= patience {
			kept = append(kept, w)
			continue
		}
		w.done <- verdict{wait: g.promise(a, lane, now, wait)}
	}
	clear(a.queue[lane][len(kept):])
	a.queue[lane] = kept
	if len(kept) == 0 || len(turns) == 0 {
		return 0
	}
	return max(time.Duration(turns[0])*time.Microsecond, time.Microsecond)
}

// promise spreads those that are sent away, so that they don't all come again in the same moment.
func (g *Gate) promise(a *account, lane class, now time.Time, wait time.Duration) time.Duration {
	pace := time.Duration(g.rules.per/int64(g.rules.size)) * time.Microsecond
	again := now.Add(wait)
	if next := a.promised[lane].Add(pace); next.After(again) {
		again = next
	}
	a.promised[lane] = again
	return min(again.Sub(now), maxWait)
}

// sweep forgets idle accounts: what they still had to settle has freed itself. The gate is locked.
func (g *Gate) sweep(now time.Time) {
	if now.Sub(g.swept) < time.Minute {
		return
	}
	g.swept = now
	for key, a := range g.accounts {
		if !a.running && a.passes == 0 && now.Sub(a.touched) > time.Minute {
			delete(g.accounts, key)
		}
	}
}
