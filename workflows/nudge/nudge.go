// Package nudge is the one door through which a change enters Temporal: webhooks, polls, people and activities all hand
// their hints over here. It gathers what comes while a hand-over is under way into the next one, so that a storm of
// changes becomes a few signals and no history nears the server's limit of 10,000.
package nudge

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// Errors that hand-overs return besides Temporal's own and the context's.
var (
	ErrFull   = errors.New("nudge: too many hints wait for Temporal")
	ErrClosed = errors.New("nudge: closed")
	ErrNoPoll = errors.New("nudge: the location has no poll")
)

// Options of a [Nudger]. The zero value is ready for use.
type Options struct {
	// SearchAttributes tells whether the server knows ours: an unknown one would fail every start. Nil: it does not.
	SearchAttributes func() bool
	// Priority of the workflows that start. Zero: [names.PriorityLive].
	Priority int
	// MaxHints and MaxBytes bound what is in hand. Zero: 100,000 hints, 16 MiB.
	MaxHints, MaxBytes int
	// InFlight bounds the hand-overs under way at a time, over all locations. Zero: 4, beyond which the server only
	// gets slower.
	InFlight int
	// Linger is how long a busy location waits between two hand-overs. Zero: 50 ms.
	Linger time.Duration
	// Timeout bounds one hand-over. Zero: 10 s.
	Timeout time.Duration
}

// Nudger hands hints over. It is safe for concurrent use.
type Nudger struct {
	temporal client.Client
	options  Options
	slots    chan struct{} // one for each hand-over under way
	closing  chan struct{}

	mu     sync.Mutex
	lanes  map[string]*lane // by workflow ID; only busy ones
	hints  int              // in hand
	bytes  int
	closed bool
	idle   chan struct{} // closed with the last lane once closed; nil before
}

// New makes a Nudger. Close it when done.
func New(temporal client.Client, options Options) *Nudger {
	options.MaxHints = or(options.MaxHints, 100_000)
	options.MaxBytes = or(options.MaxBytes, 16<<20)
	options.InFlight = or(options.InFlight, 4)
	options.Linger = or(options.Linger, 50*time.Millisecond)
	options.Timeout = or(options.Timeout, 10*time.Second)
	return &Nudger{
		temporal: temporal,
		options:  options,
		slots:    make(chan struct{}, options.InFlight),
		closing:  make(chan struct{}),
		lanes:    map[string]*lane{},
	}
}

func or[T int | time.Duration](value, usual T) T {
	if value == 0 {
		return usual
	}
	return value
}

// Contact hands a hint to the contact's own SyncContact. It returns once Temporal has it.
func (n *Nudger) Contact(ctx context.Context, location string, hint names.Hint) error {
	return n.handOver(ctx, &lane{id: names.Contact(location, hint.Contact), location: location}, hint)
}

// Contacts hands hints over, together with what else comes for the location: to the contact's SyncContact when they are
// about one contact, else to the location's SyncContacts. It returns once Temporal has them all. When ctx ends first
// they may still be handed over, which does no harm.
func (n *Nudger) Contacts(ctx context.Context, location string, hints ...names.Hint) error {
	return n.handOver(ctx, &lane{id: names.Contacts(location), location: location}, hints...)
}

// TasksAndNotes hands a hint over to the contact's AlignTasksAndNotes. It returns once Temporal has it.
func (n *Nudger) TasksAndNotes(ctx context.Context, location string, hint names.Hint) error {
	return n.handOver(ctx, &lane{id: names.TasksAndNotes(location, hint.Contact), location: location, target: tasksAndNotes}, hint)
}

// Segments hands a hint over to the contact's SegmentContact. It returns once Temporal has it.
func (n *Nudger) Segments(ctx context.Context, location string, hint names.Hint) error {
	return n.handOver(ctx, &lane{id: names.Segments(location, hint.Contact), location: location, target: segments}, hint)
}

// Business hands a hint, whose contact is the id of a GHL business, over to its SyncBusiness. It returns once Temporal has it.
func (n *Nudger) Business(ctx context.Context, location string, hint names.Hint) error {
	return n.handOver(ctx, &lane{id: names.Business(location, hint.Contact), location: location, target: business}, hint)
}

// DueDate has the task looked at once it is due, and not at the time asked for before. It returns once Temporal has it.
func (n *Nudger) DueDate(ctx context.Context, location, contact, task string, due time.Time) error {
	return n.directly(ctx, func(ctx context.Context) error { return n.startDue(ctx, location, contact, task, due) })
}

// NoDueDate takes a DueDate back. It returns once Temporal knows.
func (n *Nudger) NoDueDate(ctx context.Context, location, contact, task string) error {
	return n.directly(ctx, func(ctx context.Context) error { return n.stopDue(ctx, location, contact, task) })
}

// Connect has the location's ConnectLocation look at it: somebody connected it, or wants to know how it stands. It returns once
// Temporal has it.
func (n *Nudger) Connect(ctx context.Context, location string) error {
	return n.directly(ctx, func(ctx context.Context) error { return n.connect(ctx, names.ConnectInput{Location: location}) })
}

// Uninstalled has the location's ConnectLocation look whether GHL, which says that the app was uninstalled then, means this
// location. It returns once Temporal has it.
func (n *Nudger) Uninstalled(ctx context.Context, location string, at time.Time) error {
	return n.directly(ctx, func(ctx context.Context) error {
		return n.connect(ctx, names.ConnectInput{Location: location, Uninstalled: at})
	})
}

// Backfill has the location loaded whole, unless that is under way. It returns once Temporal has it.
func (n *Nudger) Backfill(ctx context.Context, location string) error {
	return n.directly(ctx, func(ctx context.Context) error { return n.backfill(ctx, location) })
}

// directly makes one call that has nothing to be gathered with, in a slot of its own.
func (n *Nudger) directly(ctx context.Context, call func(context.Context) error) error {
	select {
	case n.slots <- struct{}{}:
		defer func() { <-n.slots }()
	case <-n.closing:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-n.closing: // also when there was a slot
		return ErrClosed
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, n.options.Timeout)
	defer cancel()
	return call(ctx)
}

// Poll asks for a poll of the location that begins after the call: what comes while one runs becomes one more. It
// returns once Temporal has it; [ErrNoPoll] where the location has no schedule.
func (n *Nudger) Poll(ctx context.Context, location string) error {
	return n.handOver(ctx, &lane{id: names.Poll(location), location: location, target: poll}, names.Hint{})
}

// TryPoll is Poll, but content where the location has no schedule.
func (n *Nudger) TryPoll(ctx context.Context, location string) error {
	if err := n.Poll(ctx, location); !errors.Is(err, ErrNoPoll) {
		return err
	}
	return nil
}

// Close refuses new hints and returns when the ones in hand are handed over, or with ctx's error.
func (n *Nudger) Close(ctx context.Context) error {
	n.mu.Lock()
	if !n.closed {
		n.closed, n.idle = true, make(chan struct{})
		close(n.closing)
		if len(n.lanes) == 0 {
			close(n.idle)
		}
	}
	n.mu.Unlock()
	select {
	case <-n.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handOver puts the hints into their lane and waits for the batches they came into. The lane given is the one that is
// used unless there is one with its id already.
func (n *Nudger) handOver(ctx context.Context, lane *lane, hints ...names.Hint) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	batches, err := n.enter(lane, hints)
	if err != nil {
		return err
	}
	for _, b := range batches {
		select {
		case <-b.done:
			err = errors.Join(err, b.err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// enter adds the hints to the last batch of the lane, and to new ones where that is full. Either all of them find room
// or none.
func (n *Nudger) enter(fresh *lane, hints []names.Hint) ([]*batch, error) {
	if len(hints) == 0 {
		return nil, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	size := 0
	for _, hint := range hints {
		size += weight(hint)
	}
	switch {
	case n.closed:
		return nil, ErrClosed
	case n.hints+len(hints) > n.options.MaxHints, n.bytes+size > n.options.MaxBytes:
		return nil, ErrFull
	}
	l := n.lanes[fresh.id]
	if l == nil {
		l = fresh
		l.filled = make(chan struct{}, 1)
		n.lanes[l.id] = l
		go n.run(l)
	}
	var batches []*batch
	for _, hint := range hints {
		b := l.add(hint)
		if len(batches) == 0 || batches[len(batches)-1] != b {
			batches = append(batches, b)
		}
		b.entered++
		b.bytes += weight(hint)
	}
	n.hints += len(hints)
	n.bytes += size
	return batches, nil
}

// weight is about what a hint occupies while it is in hand.
func weight(hint names.Hint) int {
	total := len(hint.Contact) + 100
	for _, event := range hint.Events {
		total += len(event) + 16
	}
	return total
}

// run hands a lane's batches over, one at a time, and ends when the lane has been quiet for a moment. A batch is taken
// only when there is a slot for it, so that it gathers until then.
func (n *Nudger) run(l *lane) {
	for {
		n.slots <- struct{}{}
		n.mu.Lock()
		b := l.take()
		n.mu.Unlock()
		b.err = n.deliver(l, b)
		<-n.slots
		close(b.done)
		n.leave(b)
		n.linger(l)
		if n.retire(l) {
			return
		}
	}
}

// leave makes room for what a batch held.
func (n *Nudger) leave(b *batch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hints -= b.entered
	n.bytes -= b.bytes
}

// linger keeps a busy lane from sending a signal for each hint: a full batch goes at once, any other after a moment.
func (n *Nudger) linger(l *lane) {
	n.mu.Lock()
	full := len(l.batches) > 0 && l.batches[0].full()
	n.mu.Unlock()
	if full {
		return
	}
	timer := time.NewTimer(n.options.Linger)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.filled:
	case <-n.closing:
	}
}

// retire ends a lane in which nothing waits.
func (n *Nudger) retire(l *lane) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(l.batches) > 0 {
		return false
	}
	delete(n.lanes, l.id)
	if n.closed && len(n.lanes) == 0 {
		close(n.idle)
	}
	return true
}
