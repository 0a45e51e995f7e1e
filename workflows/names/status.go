package names

import "time"

// States of a run, as its status query tells them.
const (
	StateWorking    = "working"    // a round or a page is under way
	StateWaiting    = "waiting"    // for a quiet moment, or for another round to let go of the contact
	StateConfirming = "confirming" // in step; one more look is due, since an earlier write may still have landed
	StateRetrying   = "retrying"   // a system is away; it goes on by itself
	StatePaused     = "paused"     // by a person, who resumes it
	StateFinished   = "finished"
)

// ContactStatus answers the status query of SyncContact, AlignTasksAndNotes, SegmentContact and SyncBusiness.
type ContactStatus struct {
	State       string    `json:"state"`
	Rounds      int       `json:"rounds"`
	Failures    int       `json:"failures,omitempty"`    // rounds that failed in a row
	LastOutcome string    `json:"lastOutcome,omitempty"` // of the last round that did not fail
	Code        string    `json:"code,omitempty"`        // of the last failure or problem
	NextTry     time.Time `json:"nextTry,omitzero"`
	Unread      int       `json:"unread,omitempty"` // changes that came and were not looked at yet
}

// ContactsStatus answers SyncContacts' status query.
type ContactsStatus struct {
	State      string         `json:"state"`
	Waiting    int            `json:"waiting"`  // contacts not started
	InFlight   int            `json:"inFlight"` // contacts in pages under way
	Pages      int            `json:"pages"`    // pages under way
	Failures   int            `json:"failures,omitempty"`
	Code       string         `json:"code,omitempty"` // of the last failure
	NextTry    time.Time      `json:"nextTry,omitzero"`
	Oldest     time.Time      `json:"oldest,omitzero"` // since when the contact that waits longest does, in this run
	Outcomes   map[string]int `json:"outcomes,omitempty"`
	HandedOver int            `json:"handedOver,omitempty"`
}

// DueDateStatus answers AwaitDueDate's status query. A run that the server still holds back can't be asked.
type DueDateStatus struct {
	State string `json:"state"`
}

// PollStatus answers PollChanges' status query.
type PollStatus struct {
	State string    `json:"state"`
	Since time.Time `json:"since"` // the run's start
	Last  int64     `json:"last"`  // the number of the tick before, 0: none
}

// ConnectStatus answers ConnectLocation's status query.
type ConnectStatus struct {
	State      string `json:"state"`
	Doing      string `json:"doing,omitempty"`      // the activity under way: it is tried for as long as it takes
	Connection string `json:"connection,omitempty"` // how the location stood when the last round ended
	Code       string `json:"code,omitempty"`       // why it can't work
}
