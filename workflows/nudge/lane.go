package nudge

import "github.com/rankrsync/rankrsync/workflows/names"

// target says what a lane's batches become.
type target int

const (
	contacts      target = iota // a signal to SyncContact or, of several contacts, to SyncContacts
	tasksAndNotes               // a signal to AlignTasksAndNotes
	segments                    // a signal to SegmentContact
	business                    // a signal to SyncBusiness; the hint's contact is the business
	poll                        // a run of the location's poll schedule
)

// lane is what goes to one workflow ID. The Nudger's lock guards it.
type lane struct {
	id, location string
	target       target
	batches      []*batch      // those that wait; all but the last are full
	filled       chan struct{} // holds a token when a batch became full since the last was taken
}

// batch becomes one signal, or one poll.
type batch struct {
	hints   []names.Hint
	place   map[string]int // of a contact in hints
	entered int            // hints before merging
	bytes   int
	done    chan struct{}
	err     error // valid once done is closed
}

// add merges the hint into the last batch, or begins another when that has no room.
func (l *lane) add(hint names.Hint) *batch {
	if len(l.batches) > 0 {
		last := l.batches[len(l.batches)-1]
		if i, known := last.place[hint.Contact]; known {
			last.hints[i] = l.merge(last.hints[i], hint)
			return last
		}
		if len(last.hints) < names.MaxHints {
			l.append(last, hint)
			return last
		}
	}
	b := &batch{place: map[string]int{}, done: make(chan struct{})}
	l.batches = append(l.batches, b)
	l.append(b, hint)
	return b
}

func (l *lane) merge(one, other names.Hint) names.Hint {
	if l.target == business {
		return one.MergeOfBusiness(other)
	}
	return one.Merge(other)
}

func (l *lane) append(b *batch, hint names.Hint) {
	b.place[hint.Contact] = len(b.hints)
	b.hints = append(b.hints, hint)
	if b.full() {
		select {
		case l.filled <- struct{}{}:
		default: // told already
		}
	}
}

// full tells whether the batch can't take one more contact.
func (b *batch) full() bool { return len(b.hints) == names.MaxHints }

// take removes the first batch. From now on the token tells of a batch that fills up later.
func (l *lane) take() *batch {
	select {
	case <-l.filled:
	default:
	}
	b := l.batches[0]
	l.batches[0] = nil
	l.batches = l.batches[1:]
	return b
}
