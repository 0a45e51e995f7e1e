package rest

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// Ledger is where the gates of all processes of an installation meet: a few bytes an account, exchanged by compare
// and swap. Losing it is no loss: most of what it holds is outdated after one window, and what is left of the day's budget
// is told again by the next answer. Package store has one.
type Ledger interface {
	// Load returns the account's state, nil when there is none, and the ledger's clock, read before the state.
	Load(ctx context.Context, account string) (state []byte, now time.Time, err error)
	// Swap writes the new state if the old one still stands; nil stands for none. From until on, the state may be
	// forgotten.
	Swap(ctx context.Context, account string, old, new []byte, until time.Time) (bool, error)
}

// memory is the ledger of an installation that is one process.
type memory struct {
	mu     sync.Mutex
	states map[string]memoryState
	swept  time.Time
}

type memoryState struct {
	state []byte
	until time.Time
}

func newMemory() *memory { return &memory{states: map[string]memoryState{}} }

func (m *memory) Load(_ context.Context, account string) ([]byte, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[account].state, time.Now(), nil
}

func (m *memory) Swap(_ context.Context, account string, old, new []byte, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.states[account].state, old) {
		return false, nil
	}
	m.states[account] = memoryState{new, until}
	m.sweep(time.Now())
	return true, nil
}

// sweep keeps the memory bounded: an account that was idle for a window costs nothing.
func (m *memory) sweep(now time.Time) {
	if now.Sub(m.swept) < time.Minute {
		return
	}
	m.swept = now
	for account, s := range m.states {
		if s.until.Before(now) {
			delete(m.states, account)
		}
	}
}
