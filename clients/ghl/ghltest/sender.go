package ghltest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// The sender's figures. That there are 12 retries is published, their intervals are not.
const (
	senders       = 16      // deliveries under way at once
	maxWaiting    = 1 << 16 // events under way or waiting; more are dropped
	maxDeliveries = 1 << 14 // kept in the log
	maxRetries    = 12
	maxDoublings  = 6 // of the backoff
)

// Progress tells how far an event is.
type Progress string

// How far an event can be.
const (
	Waiting   Progress = "waiting"   // or under way
	Delivered Progress = "delivered" // answered with 2xx
	GivenUp   Progress = "givenUp"   // not answered with 2xx by the last retry
	Dropped   Progress = "dropped"   // never sent: by the knob, because too many wait, or by Close
)

// Delivery is one event, and what became of it. A duplicate is a delivery of its own with the same WebhookID.
type Delivery struct {
	WebhookID string    `json:"webhookId"`
	Type      string    `json:"type"`
	Location  string    `json:"location"`
	Contact   string    `json:"contact"`
	At        time.Time `json:"at"` // the event's own timestamp
	Progress  Progress  `json:"progress"`
	Attempts  int       `json:"attempts"`
	Status    int       `json:"status"` // of the last attempt; 0: no answer
}

// sender delivers events. Its zero value is ready; its goroutines start with the first event.
type sender struct {
	makeKey sync.Once
	private ed25519.PrivateKey

	mu      sync.Mutex
	cancel  context.CancelFunc // nil: not started
	closed  bool
	queue   chan *delivery
	http    *http.Client
	waiting int
	idle    chan struct{} // closed when nothing waits any more; nil while nothing does
	log     ring[*delivery]
	counts  map[Progress]int
	running sync.WaitGroup
}

type delivery struct {
	event event
	url   string
	knobs *Knobs
	state Delivery // guarded by the sender's lock
}

func (s *sender) key() ed25519.PrivateKey {
	s.makeKey.Do(func() { _, s.private, _ = ed25519.GenerateKey(nil) }) // crypto/rand never fails
	return s.private
}

// Deliver sends the events of all changes from now on to a URL; empty: to nobody.
func (s *Server) Deliver(url string) { s.Set(func(k *Knobs) { k.WebhookURL = url }) }

// Deliveries returns the newest deliveries in the order their events happened, up to 16,384.
func (s *Server) Deliveries() []Delivery {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	kept := s.sender.log.all()
	deliveries := make([]Delivery, len(kept))
	for i, d := range kept {
		deliveries[i] = d.state
	}
	return deliveries
}

// Settle waits until every event so far is delivered, given up or dropped. It returns the context's error if that
// ends first.
func (s *Server) Settle(ctx context.Context) error {
	for {
		s.sender.mu.Lock()
		idle := s.sender.idle
		s.sender.mu.Unlock()
		if idle == nil {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close stops the sender and waits for its goroutines. Events that wait are dropped.
func (s *Server) Close() {
	s.sender.mu.Lock()
	s.sender.closed = true
	if s.sender.cancel != nil {
		s.sender.cancel()
	}
	s.sender.mu.Unlock()
	s.sender.running.Wait()
	s.sender.abandon()
}

// abandon drops what still waits, once nobody works any more.
func (s *sender) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.log.all() {
		if d.state.Progress == Waiting {
			d.state.Progress = Dropped
		}
	}
	if s.waiting > 0 {
		s.counts[Dropped] += s.waiting
		s.counts[Waiting], s.waiting = 0, 0
		close(s.idle)
		s.idle = nil
	}
	if s.http != nil {
		s.http.CloseIdleConnections()
	}
}

// deliver puts an event and its duplicates into the queue, unless a knob or the bound drops it.
func (s *Server) deliver(e event, k *Knobs) {
	dropped := k.DropWebhooks > 0 && rand.Float64() < k.DropWebhooks
	location, contact := e.about.home()
	for range 1 + max(k.DuplicateWebhooks, 0) {
		d := &delivery{event: e, url: k.WebhookURL, knobs: k, state: Delivery{
			WebhookID: e.id, Type: e.kind, Location: location, Contact: contact, At: e.at,
		}}
		s.sender.enlist(s, d, dropped)
	}
}

// enlist enters a delivery in the log and, if it is to be sent, in the queue.
func (s *sender) enlist(server *Server, d *delivery, dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.add(d, maxDeliveries)
	if dropped || s.closed || s.waiting >= maxWaiting {
		s.count(d, Dropped)
		return
	}
	s.start(server)
	s.count(d, Waiting)
	s.waiting++
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	if pause := d.knobs.ReorderWebhooks; pause > 0 {
		s.later(d, rand.N(pause))
		return
	}
	s.queue <- d // never blocks: it has room for all that may wait
}

// start makes the goroutines, once. The lock is held.
func (s *sender) start(server *Server) {
	if s.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.queue = make(chan *delivery, maxWaiting)
	s.http = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: senders},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for range senders {
		s.running.Go(func() { s.work(ctx, server) })
	}
}

// later puts a delivery into the queue after a while.
func (s *sender) later(d *delivery, pause time.Duration) {
	time.AfterFunc(pause, func() { s.queue <- d })
}

func (s *sender) work(ctx context.Context, server *Server) {
	for {
		select {
		case d := <-s.queue:
			s.attempt(ctx, server, d)
		case <-ctx.Done():
			return
		}
	}
}

// attempt sends an event once, and settles what comes next: any 2xx ends it, anything else is tried again.
func (s *sender) attempt(ctx context.Context, server *Server, d *delivery) {
	status := s.post(ctx, server, d)

	s.mu.Lock()
	defer s.mu.Unlock()
	d.state.Attempts++
	d.state.Status = status
	switch {
	case status >= 200 && status < 300:
		s.finish(d, Delivered)
	case ctx.Err() != nil:
		s.finish(d, Dropped)
	case d.state.Attempts > maxRetries:
		s.finish(d, GivenUp)
	default:
		s.later(d, backoff(d))
	}
}

// backoff doubles with every attempt, and spreads by half either way.
func backoff(d *delivery) time.Duration {
	first := cmp.Or(d.knobs.WebhookBackoff, 50*time.Millisecond)
	pause := first << min(d.state.Attempts-1, maxDoublings)
	return pause/2 + rand.N(pause)
}

// post returns the status of the answer, 0 without one.
func (s *sender) post(ctx context.Context, server *Server, d *delivery) int {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.knobs.WebhookTimeout, 10*time.Second))
	defer cancel()
	body := d.event.body()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(SignatureHeader, server.Sign(body))
	answer, err := s.http.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<16)) // read, so that the connection is used again
	return answer.StatusCode
}

// finish ends a delivery. The lock is held.
func (s *sender) finish(d *delivery, progress Progress) {
	s.counts[Waiting]--
	s.count(d, progress)
	if s.waiting--; s.waiting == 0 {
		close(s.idle)
		s.idle = nil
	}
}

// count notes how far a delivery is. The lock is held.
func (s *sender) count(d *delivery, progress Progress) {
	if s.counts == nil {
		s.counts = map[Progress]int{}
	}
	s.counts[progress]++
	d.state.Progress = progress
}

// progress returns how many events are how far.
func (s *sender) progress() map[Progress]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// forget empties the log; what waits goes on waiting.
func (s *sender) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = ring[*delivery]{}
	s.counts = map[Progress]int{Waiting: s.waiting}
}
