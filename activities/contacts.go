package activities

import (
	"context"
	"time"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Round asks for one contact to be brought into step.
type Round struct {
	crm.Ref
	Hint names.Hint `json:"hint,omitzero"`
	// Failures counts the workflow's failed rounds before this one: after the first, Rankr is asked first.
	Failures int `json:"failures,omitempty"`
}

// Answer is a round's result and what the workflow can't know by itself.
type Answer struct {
	crm.Result
	// Searchable tells that the server knows our search attributes, so the workflow may upsert them.
	Searchable bool `json:"searchable,omitempty"`
}

// PageRound asks for up to 50 contacts of one location to be brought into step.
type PageRound struct {
	Location string       `json:"location"`
	Hints    []names.Hint `json:"hints"`
}

// PageAnswer counts how the contacts of a page ended, and lists those that must wait.
type PageAnswer struct {
	Outcomes map[crm.Outcome]int `json:"outcomes,omitempty"`
	Waiting  []names.Reference   `json:"waiting,omitempty"`
	// HandedOver counts contacts that failed on their own account and went to their SyncContact.
	HandedOver int `json:"handedOver,omitempty"`
}

// Tick asks for one poll of a location.
type Tick struct {
	Location string `json:"location"`
	// Scheduled tells that the run came from the schedule, so that Last is what Temporal remembers. A run started
	// by hand can't tell.
	Scheduled bool `json:"scheduled,omitempty"`
	// Last is the number of the last tick that Temporal knows to have completed; 0: none.
	Last int64 `json:"last,omitempty"`
}

// TickAnswer is what a poll found. It is the result of PollChanges.
type TickAnswer struct {
	Tick      int64     `json:"tick"`
	Watermark time.Time `json:"watermark"` // everything changed before has been handed over
	Seen      int       `json:"seen"`      // search documents looked at
	Nudged    int       `json:"nudged"`    // contacts handed over
	Calls     int       `json:"calls"`     // GHL calls spent
	// Parked is the code for which the location is left alone until a poll succeeds again; empty: it works.
	Parked crm.Code `json:"parked,omitempty"`
}

// Nudger hands hints over to Temporal; it returns when Temporal has them. Package workflows/nudge is the one.
type Nudger interface {
	// Contact always goes to the contact's own SyncContact.
	Contact(ctx context.Context, location string, hint names.Hint) error
	// Contacts goes to SyncContact when it is one, else to the location's SyncContacts.
	Contacts(ctx context.Context, location string, hints ...names.Hint) error
}
