package rest

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// window is what an account's last calls leave of its rate limit: the state that all processes of an installation
// share through the [Ledger]. It is pure arithmetic; all times are microseconds of the ledger's clock.
//
// A slot is busy from before its request leaves until one window after its answer came. The vendor counts a request
// somewhere in between, so two requests in the same slot are always at least a window apart for the vendor, whatever
// the wire does; and any window of the vendor's holds at most as many requests as there are slots.
type window struct {
	Slots  []slot `json:"slots,omitempty"`   // the busy ones
	Closed int64  `json:"closed,omitzero"`   // the vendor wants to be left alone until then
	Bulk   int64  `json:"bulk,omitzero"`     // when the next bulk call is due
	Most   int    `json:"most,omitzero"`     // the vendor's own figure of its limit
	Others int    `json:"others,omitzero"`   // calls in the vendor's window that are not ours
	Until  int64  `json:"othersTo,omitzero"` // when Others is to be forgotten
	Left   int    `json:"left,omitzero"`     // what the vendor says is left of the day's budget
	Day    int    `json:"day,omitzero"`      // the day's budget; 0: Left is not known
	Told   int64  `json:"told,omitzero"`     // when it said so
	Ends   int64  `json:"ends,omitzero"`     // when that is to be asked anew
	Spare  int64  `json:"spare,omitzero"`    // until when spare calls wait for the answer of the one that asks
}

type slot struct {
	Mark uint64 `json:"m,omitzero"` // who holds it; 0: answered
	Free int64  `json:"f"`
}

// rules are what a gate makes of its [Rate].
type rules struct {
	size int     // slots
	per  int64   // the window's length
	kept float64 // the share of the day's budget that spare calls leave to the others
}

// keptShare is how much of the day's budget spare calls leave to the others: GHL's 200,000 then leave 40,000, which is a
// call every two seconds all day long.
const keptShare = 0.2

// dayTold is how long the vendor's figure of the day's budget is believed when it does not say when the day ends. After that
// one spare call has to ask.
const dayTold = time.Hour

// reserve is how many slots bulk and spare calls leave to live ones.
const reserve = 3

// maxHold is the longest that a slot may be held without an answer.
const maxHold = 5 * time.Minute

// order is what a process wants of the window at one moment.
type order struct {
	settled           []settlement
	live, bulk, spare int   // slots wanted
	hold              int64 // how long a slot is held if nobody ever settles it: the process may be gone
	mark              func() uint64
}

// settlement tells how a slot's call ended.
type settlement struct {
	mark   uint64
	ago    int64 // since the answer
	unused bool  // the request never left
	limits limits
}

// offer is what the window gives: marks of slots, and for each slot wanted in vain how long it may take.
type offer struct {
	live, bulk, spare             []uint64
	liveWait, bulkWait, spareWait []int64
	kept                          bool // spare calls wait because what is left of the day is kept for others
}

// apply changes the window by an order; changed is false when it only told how long to wait.
func (w *window) apply(now int64, r rules, o order) (given offer, changed bool) {
	w.tidy(now, r)
	for _, s := range o.settled {
		w.settle(now, r, s)
	}
	size := r.size
	if w.Most > 0 {
		size = min(size, usable(w.Most))
	}
	others := 0
	if w.Until > now {
		others = w.Others
	}
	reserved := min(reserve, size-1)
	pace := r.per / int64(size)
	if w.Closed <= now {
		for range min(o.live, size-others-len(w.Slots)) {
			given.live = append(given.live, w.take(now, r, o))
		}
		if w.Bulk <= now && size-others-len(w.Slots) > reserved {
			switch { // one of the two: they share one pace, and what can wait for another day comes second
			case o.bulk > 0:
				given.bulk = append(given.bulk, w.take(now, r, o))
			case o.spare > 0 && w.keeps(r) <= now:
				given.spare = append(given.spare, w.take(now, r, o))
				w.ask(now, r)
			}
		}
		if len(given.bulk)+len(given.spare) > 0 {
			w.Bulk = max(w.Bulk, now-pace) + pace // a late one is caught up with, a pause is not
		}
	}
	ups := w.ups(now, r, others)
	before := 0
	for ; before < o.live-len(given.live); before++ {
		given.liveWait = append(given.liveWait, max(w.Closed, nth(ups, now, r, size, before+1))-now)
	}
	paced := func(due int64, i int) int64 {
		before++
		return max(w.Closed, due+int64(i)*pace, nth(ups, now, r, size, before+reserved)) - now
	}
	for i := range o.bulk - len(given.bulk) {
		given.bulkWait = append(given.bulkWait, paced(w.Bulk, i))
	}
	for i := range o.spare - len(given.spare) {
		given.spareWait = append(given.spareWait, paced(max(w.Bulk, w.keeps(r)), len(given.bulkWait)+i))
	}
	given.kept = w.keeps(r) > now
	return given, len(o.settled)+len(given.live)+len(given.bulk)+len(given.spare) > 0
}

// keeps is until when spare calls stay away: because what is left of the day's budget is kept for the others, or because one
// asks how much that is by now. 0: there is enough for all.
func (w *window) keeps(r rules) int64 {
	if r.short(w.Left, w.Day) {
		return max(w.Spare, w.Ends)
	}
	return w.Spare
}

// ask makes the other spare calls wait for the answer of one that found the old figure outdated.
func (w *window) ask(now int64, r rules) {
	if r.short(w.Left, w.Day) {
		w.Left, w.Day, w.Told, w.Ends = 0, 0, 0, 0
		w.Spare = now + r.per
	}
}

// short tells whether less is left of the day's budget than is kept from spare calls.
func (r rules) short(left, day int) bool { return float64(left) < r.kept*float64(day) }

// tidy forgets what is past. What lies further ahead than it ever could was written before the clock was set back.
func (w *window) tidy(now int64, r rules) {
	w.Slots = slices.DeleteFunc(w.Slots, func(s slot) bool { return s.Free <= now })
	for i := range w.Slots {
		if w.Slots[i].Free > now+maxHold.Microseconds()+r.per {
			w.Slots[i].Free = now + r.per
		}
	}
	w.Closed = min(w.Closed, now+maxWait.Microseconds())
	w.Bulk = min(w.Bulk, now+r.per)
	w.Until = min(w.Until, now+r.per)
	w.Told = min(w.Told, now)
	w.Ends = min(w.Ends, now+maxWait.Microseconds())
	w.Spare = min(w.Spare, now+r.per)
}

// settle frees the slot one window after its answer. A mark that is not found was held for too long and is gone.
func (w *window) settle(now int64, r rules, s settlement) {
	for i := range w.Slots {
		if w.Slots[i].Mark == s.mark {
			w.Slots[i] = slot{Free: now - s.ago + r.per}
			if s.unused {
				w.Slots[i].Free = now
			}
		}
	}
	w.Slots = slices.DeleteFunc(w.Slots, func(s slot) bool { return s.Free <= now })
	if s.limits.closed > 0 {
		w.Closed = max(w.Closed, now-s.ago+s.limits.closed.Microseconds())
	}
	if told := s.limits.per.Microseconds(); s.limits.most > 0 && (told == 0 || told == r.per) {
		w.Most = s.limits.most
		w.Others = max(s.limits.most-s.limits.remaining-len(w.Slots), 0)
		w.Until = now - s.ago + r.per
	}
	if s.limits.day > 0 {
		w.remember(now, now-s.ago, r, s.limits)
	}
}

// remember takes what an answer told of the day's budget. Answers come in any order, and the least that is left is the
// latest word, unless a new day lies between two: then far more is left, and the later one is right.
func (w *window) remember(now, told int64, r rules, l limits) {
	newDay := func(before, after int) bool { return r.short(before, l.day) && after > l.day/2 }
	ends := told + min(cmp.Or(l.ends, dayTold), dayTold).Microseconds()
	switch {
	case ends <= now:
		return
	case w.Day == 0 || w.Ends <= now || told >= w.Told && newDay(w.Left, l.left):
		w.Told, w.Ends = told, ends
	case l.left <= w.Left && (told >= w.Told || !newDay(l.left, w.Left)):
		w.Told, w.Ends = max(w.Told, told), max(w.Ends, ends)
	default:
		return
	}
	w.Left, w.Day, w.Spare = l.left, l.day, 0
}

func (w *window) take(now int64, r rules, o order) uint64 {
	taken := slot{Mark: o.mark(), Free: now + min(o.hold, maxHold.Microseconds()) + r.per}
	w.Slots = append(w.Slots, taken)
	return taken.Mark
}

// ups lists when slots come free, earliest first, as well as it can be told: one that is held is a window away even
// if its answer comes at once.
func (w *window) ups(now int64, r rules, others int) []int64 {
	var ups []int64
	for _, s := range w.Slots {
		ups = append(ups, min(s.Free, now+r.per))
	}
	for range others {
		ups = append(ups, w.Until)
	}
	slices.Sort(ups)
	return ups
}

// nth is when the n-th slot from now on comes free.
func nth(ups []int64, now int64, r rules, size, n int) int64 {
	i := len(ups) + n - size - 1
	switch {
	case i < 0:
		return now
	case len(ups) == 0: // the account is closed and nothing is under way, so all slots are taken at once
		return now + int64(i/size+1)*r.per
	}
	return ups[i%len(ups)] + int64(i/len(ups))*r.per
}

// ends is when the window holds nothing any more.
func (w *window) ends() int64 {
	last := max(w.Closed, w.Bulk, w.Until, w.Ends, w.Spare)
	for _, s := range w.Slots {
		last = max(last, s.Free)
	}
	return last
}

// parseWindow reads a ledger's row. One that can't be read is as good as none: it would be outdated in a moment.
func parseWindow(state []byte) *window {
	w := &window{}
	if json.Unmarshal(state, w) != nil {
		*w = window{}
	}
	return w
}

func (w *window) bytes() []byte {
	state, _ := json.Marshal(w) // plain numbers: cannot fail
	return state
}
