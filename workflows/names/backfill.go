package names

import "time"

// BackfillInput starts Backfill.
type BackfillInput struct {
	Location string `json:"location"`
	// Report only reads both sides, and tells how the contacts would match and what it would cost.
	Report bool `json:"report,omitempty"`
	// Limit is how many contacts are looked at, the oldest first; 0: all.
	Limit int `json:"limit,omitempty"`
	// TasksAndNotes brings those of each contact into step as well: two GHL calls more for each.
	TasksAndNotes bool `json:"tasksAndNotes,omitempty"`
	// Carried is what a run hands to its successor by continue-as-new; people leave it out.
	Carried *BackfillCarried `json:"carried,omitempty"`
}

// BackfillCarried is the unfinished business of a run.
type BackfillCarried struct {
	BackfillCounts
	Pages     []ListedPage `json:"pages,omitempty"` // listed, and not yet done
	Next      string       `json:"next,omitempty"`  // where the listing goes on
	Listed    bool         `json:"listed,omitempty"`
	Paused    bool         `json:"paused,omitempty"`
	Failures  int          `json:"failures,omitempty"` // in a row
	NotBefore time.Time    `json:"notBefore,omitzero"`
	Started   time.Time    `json:"started,omitzero"`
}

// ListedPage is a page of contacts in which something is to be done: the contacts that follow a place in the listing, up to the
// last one.
type ListedPage struct {
	After    string `json:"after,omitempty"` // empty: from the first contact on
	Last     string `json:"last"`            // the id of the page's last contact
	Contacts int    `json:"contacts"`
}

// BackfillCounts is how far a backfill is.
type BackfillCounts struct {
	Total int `json:"total"` // contacts that GHL says there are
	Seen  int `json:"seen"`  // listed so far
	Known int `json:"known"` // in step already, which the listing alone could tell
	Done  int `json:"done"`  // of those listed: in step by now, known ones too
	// Outcomes counts how the others ended, problems among them: starter problems has those.
	Outcomes map[string]int `json:"outcomes,omitempty"`
	// HandedOver counts contacts that could not be finished here and went to their SyncContact.
	HandedOver int `json:"handedOver,omitempty"`
	Calls      int `json:"calls"` // GHL calls for listings and pages; those for single contacts are beside it
	// Left is how many calls GHL said were left today; -1: it did not say.
	Left int `json:"left"`
}

// BackfillResult is how a backfill ended; of a report, only Matches and what it cost are set beside the location.
type BackfillResult struct {
	Location string `json:"location"`
	BackfillCounts
	Matches *Matches `json:"matches,omitempty"`
}

// Matches tells how a location's contacts would find their records in Rankr, and what a backfill would cost.
type Matches struct {
	Contacts  int `json:"contacts"`
	Linked    int `json:"linked"` // in step already, or linked and moved since
	ByID      int `json:"byId"`   // a record carries the contact's id
	ByEmail   int `json:"byEmail"`
	ByPhone   int `json:"byPhone"`
	Ambiguous int `json:"ambiguous"` // two records would do: a person must choose
	New       int `json:"new"`       // a record would be created
	Records   int `json:"records"`   // that Rankr has

	// GHLCalls and RankrCalls are what a backfill would spend, at most; Left is what GHL said was left today, -1: it did not say.
	GHLCalls   int `json:"ghlCalls"`
	RankrCalls int `json:"rankrCalls"`
	Left       int `json:"left"`
}

// BackfillStatus answers Backfill's status query.
type BackfillStatus struct {
	State string `json:"state"`
	BackfillCounts
	Started  time.Time `json:"started,omitzero"`
	Pages    int       `json:"pages"` // under way
	Failures int       `json:"failures,omitempty"`
	Code     string    `json:"code,omitempty"` // of the last failure
	NextTry  time.Time `json:"nextTry,omitzero"`
}
