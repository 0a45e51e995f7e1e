// Package names holds every name that crosses a process: workflow types, task queues, IDs, signals, queries,
// search attributes and the plain JSON that goes with them. It imports nothing of ours.
package names

import (
	"time"

	"go.temporal.io/sdk/temporal"
)

// Workflow types.
const (
	SyncContact  = "SyncContact"
	SyncContacts = "SyncContacts"
	PollChanges  = "PollChanges"
)

// Task queues. Bulk has slots of its own, so that pages never hold up a live change.
const (
	Workflows = "rankrsync"
	Live      = "rankrsync-live"
	Bulk      = "rankrsync-bulk"
)

// Messages to and questions for a running workflow.
const (
	ChangedSignal = "changed"
	SyncUpdate    = "sync"
	StatusQuery   = "status"
)

// Search attributes: attached only where the server knows them.
var (
	GhlLocation = temporal.NewSearchAttributeKeyKeyword("GhlLocation")
	GhlContact  = temporal.NewSearchAttributeKeyKeyword("GhlContact")
	SyncState   = temporal.NewSearchAttributeKeyKeyword("SyncState")
)

// Priorities, one for each kind of work: 1 goes first.
const (
	PriorityLive       = 1
	PriorityOperations = 2
	PriorityPolling    = 3
	PriorityReconcile  = 4
	PriorityBackfill   = 5
)

// Contact is the workflow ID of one contact's SyncContact.
func Contact(location, contact string) string { return "contact/" + location + "/" + contact }

// Contacts is the workflow ID of a location's SyncContacts.
func Contacts(location string) string { return "contacts/" + location }

// Poll is the ID of a location's poll schedule; each run's workflow ID is this and the time.
func Poll(location string) string { return "poll/" + location }

// ContactInput starts SyncContact.
type ContactInput struct {
	Location string `json:"location"`
	Contact  string `json:"contact"`
	// Carried is what a run hands to its successor by continue-as-new; people leave it out.
	Carried *ContactCarried `json:"carried,omitempty"`
}

// ContactCarried is the unfinished business of a SyncContact run.
type ContactCarried struct {
	Hint     *Hint `json:"hint,omitempty"` // a change not yet looked at
	Failures int   `json:"failures,omitempty"`
	Rounds   int   `json:"rounds,omitempty"`
}

// LocationInput starts SyncContacts and PollChanges.
type LocationInput struct {
	Location string `json:"location"`
	// Backlog is what a SyncContacts run hands to its successor; people leave it out.
	Backlog []Reference `json:"backlog,omitempty"`
}

// Hint says that a contact may have changed. It is never data: the record is read again.
type Hint struct {
	Contact string `json:"contact,omitempty"`
	// At is when the vendor says it happened. Zero: unknown, so the contact is always read.
	At time.Time `json:"at,omitzero"`
	// Received is when we heard of it, by our own clock: only for measuring how long a change takes.
	Received time.Time `json:"received,omitzero"`
}

// Merge makes one hint of two for the same contact: the newer At wins, and none at all wins over any, for then the
// contact must be read. The older Received wins: it has waited longest.
func (h Hint) Merge(other Hint) Hint {
	if h.Received.IsZero() || !other.Received.IsZero() && other.Received.Before(h.Received) {
		h.Received = other.Received
	}
	switch {
	case h.At.IsZero() || other.At.IsZero():
		h.At = time.Time{}
	case other.At.After(h.At):
		h.At = other.At
	}
	return h
}

// Reference is a hint in a location's backlog; one with NotBefore must wait.
type Reference struct {
	Hint
	NotBefore time.Time `json:"notBefore,omitzero"`
}

// Changed is the payload of the signal. To one contact's workflow it may be empty or carry that contact's hint;
// to a location's it carries up to MaxHints.
type Changed struct {
	Hints []Hint `json:"hints,omitempty"`
}

// MaxHints bounds one signal: 1,000 hints are under 80 kB, far from Temporal's limits for a payload (2 MB).
const MaxHints = 1000
