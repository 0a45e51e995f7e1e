package ghltest

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Call is one call of the API, as it ended.
type Call struct {
	At        time.Time `json:"at"` // arrival
	Method    string    `json:"method"`
	Operation string    `json:"operation"` // "contacts.get"; empty: an unknown path
	Path      string    `json:"path"`
	Location  string    `json:"location"` // of the token; empty: nobody's
	Contact   string    `json:"contact,omitempty"`
	Status    int       `json:"status"` // 0: the connection was reset
	Effect    bool      `json:"effect"` // the call changed something
}

func (x *exchange) call(status int) Call {
	call := Call{
		At: x.at, Method: x.request.Method, Operation: x.operation.name, Path: x.request.URL.Path,
		Contact: x.contact, Status: status, Effect: x.effect,
	}
	if x.location != nil {
		call.Location = x.location.id
	}
	return call
}

// Stats are the server's counters since the start or the last [Server.Reset].
type Stats struct {
	Calls      int              `json:"calls"`
	Operations map[string]int   `json:"operations"` // calls by operation
	Statuses   map[int]int      `json:"statuses"`   // calls by status; 0: reset
	Effects    int              `json:"effects"`    // calls that changed something
	Worst      int              `json:"worst"`      // most calls of one location in any window
	Violations int              `json:"violations"` // calls over a limit, all locations
	Unknown    []string         `json:"unknown"`    // see [Server.Unknown]
	Webhooks   map[Progress]int `json:"webhooks"`   // events by how far they are

	Tokens map[string]TokenCounts `json:"tokens"` // by owner, "location/L" or "company/K"
}

// The journal keeps the newest calls and the first surprises only: benchmarks make millions.
const (
	maxCalls   = 1 << 16
	maxUnknown = 1000
)

type journal struct {
	mu        sync.Mutex
	calls     ring[Call]
	stats     Stats // Calls, Operations, Statuses and Effects
	surprises []string
}

func (j *journal) add(call Call) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stats.Operations == nil {
		j.stats.Operations, j.stats.Statuses = map[string]int{}, map[int]int{}
	}
	j.calls.add(call, maxCalls)
	j.stats.Calls++
	j.stats.Operations[call.Operation]++
	j.stats.Statuses[call.Status]++
	if call.Effect {
		j.stats.Effects++
	}
}

func (j *journal) unknown(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.surprises) < maxUnknown {
		j.surprises = append(j.surprises, what)
	}
}

// Calls returns the newest calls, oldest first, up to 65,536.
func (s *Server) Calls() []Call {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.calls.all()
}

// Count returns how many calls of an operation there were.
func (s *Server) Count(operation string) int {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.stats.Operations[operation]
}

// Unknown returns what was asked of the server that it does not know. A test that finds anything here has found
// either a mistake of the caller or a gap of the fake.
func (s *Server) Unknown() []string {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return slices.Clone(s.journal.surprises)
}

// TB is the part of a testing.TB that [Server.FailOnUnknown] needs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// FailOnUnknown makes the test fail at its end if anything unknown was asked of the server.
func (s *Server) FailOnUnknown(t TB) {
	t.Helper()
	t.Cleanup(func() {
		t.Helper()
		for _, what := range s.Unknown() {
			t.Errorf("ghltest: %s", what)
		}
	})
}

// Limits tells how a location's calls stood against its limits.
func (s *Server) Limits(location string) Limits {
	if l, ok := s.location(location); ok {
		return l.limits.snapshot()
	}
	return Limits{}
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.journal.mu.Lock()
	stats := s.journal.stats
	stats.Operations, stats.Statuses = maps.Clone(stats.Operations), maps.Clone(stats.Statuses)
	stats.Unknown = slices.Clone(s.journal.surprises)
	s.journal.mu.Unlock()

	for _, l := range s.locations.Range {
		limits := l.(*location).limits.snapshot()
		stats.Worst = max(stats.Worst, limits.Worst)
		stats.Violations += limits.Violations
	}
	stats.Webhooks = s.sender.progress()
	stats.Tokens = s.oauth.snapshot()
	return stats
}

// Reset empties the logs and sets the counters to zero. The limits go on counting: a window does not begin anew
// because somebody stopped looking.
func (s *Server) Reset() {
	s.journal.mu.Lock()
	s.journal.calls, s.journal.stats, s.journal.surprises = ring[Call]{}, Stats{}, nil
	s.journal.mu.Unlock()
	for _, l := range s.locations.Range {
		l.(*location).limits.reset()
	}
	s.sender.forget()
	s.oauth.forget()
}

// ring keeps the newest items.
type ring[T any] struct {
	items []T
	next  int // where the oldest stands, once it is full
}

func (r *ring[T]) add(item T, bound int) {
	if len(r.items) < bound {
		r.items = append(r.items, item)
		return
	}
	r.items[r.next] = item
	r.next = (r.next + 1) % len(r.items)
}

// all returns the items, oldest first.
func (r *ring[T]) all() []T {
	return slices.Concat(r.items[r.next:], r.items[:r.next])
}
