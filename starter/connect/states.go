package connect

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"sync"
	"time"
)

// life is how long an install may take from the link to the way back.
const life = 10 * time.Minute

// maxOpen is how many states are remembered: a flood of links costs a megabyte or two, and then the oldest ones.
const maxOpen = 10_000

// length is that of a state and of a browser's key: [rand.Text]'s.
const length = 26

// digest stands for a state or a browser's key. What is looked up by it takes the same time for every wrong one.
type digest = [sha256.Size]byte

// states are the installs that are under way. The zero value is ready; it is safe for concurrent use.
type states struct {
	max int // 0: maxOpen

	mu    sync.Mutex
	known map[digest]*state
	queue []*state // by age: all live equally long
}

type state struct {
	key, browser digest
	ends         time.Time
	used         bool // and remembered, so that it is told from one that never was
}

// open makes a state for a browser, which is known by its key, or by a new one when it has none that we gave. A browser keeps
// its key for a while, so that two tabs can install at once.
func (s *states) open(browser string, now time.Time) (text, key string) {
	text = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	if !s.gave(browser) {
		browser = rand.Text()
	}
	made := &state{key: sha256.Sum256([]byte(text)), browser: sha256.Sum256([]byte(browser)), ends: now.Add(life)}
	if s.known == nil {
		s.known = map[digest]*state{}
	}
	s.known[made.key], s.queue = made, append(s.queue, made)
	return text, browser
}

// use takes a state for the browser that it was made for, once. One that another browser shows stays good for its own.
func (s *states) use(text, browser string, now time.Time) verdict {
	if len(text) != length || len(browser) != length {
		return unknown
	}
	by := sha256.Sum256([]byte(browser))
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.known[sha256.Sum256([]byte(text))]
	switch {
	case found == nil || subtle.ConstantTimeCompare(found.browser[:], by[:]) != 1 || !now.Before(found.ends):
		return unknown
	case found.used:
		return used
	}
	found.used = true
	return good
}

// verdict is what is known of a state.
type verdict int

const (
	unknown verdict = iota // never made, made for another browser, or too old
	used
	good
)

// gave tells whether an install of this browser is remembered. The lock is held.
func (s *states) gave(browser string) bool {
	if len(browser) != length {
		return false
	}
	by, found := sha256.Sum256([]byte(browser)), false
	for _, each := range s.queue {
		found = found || each.browser == by
	}
	return found
}

// forget makes room for one more. The lock is held.
func (s *states) forget(now time.Time) {
	room := s.max
	if room == 0 {
		room = maxOpen
	}
	drop := 0
	for drop < len(s.queue) && (len(s.queue)-drop >= room || !now.Before(s.queue[drop].ends)) {
		delete(s.known, s.queue[drop].key)
		drop++
	}
	s.queue = slices.Delete(s.queue, 0, drop)
}
