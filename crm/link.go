package crm

import (
	"errors"
	"slices"
	"time"
)

// Object is what is kept in step by one writer at a time: something of a contact, or a business.
type Object string

// The objects. Their names are the first words of workflow IDs, and labels of metrics.
const (
	ContactItself Object = "contact"
	TasksAndNotes Object = "tasks-notes"
	Segments      Object = "segments" // a contact's segments, its business, and what rules do when a tag is added
	ABusiness     Object = "business" // its Ref's Contact is the id of a GHL business
)

// Link is what is remembered of one GHL contact ever seen: its row in the store. A deleted contact's
// link stays behind as a tombstone, so that an older read can't bring it back.
type Link struct {
	Ref
	Object  Object
	Version int64     // grows with every change of the row; 0: there is no row yet
	Now     time.Time // the store's clock when the row was read; all comparisons of times use it

	LastRead time.Time // GHL's Date of the newest read that left a trace
	Covered  time.Time // GHL's Date of the read of the last finished round
	Finished time.Time // when the last round began that ended, well or not: the quiet period counts from here

	Holder      string    // a random token of the attempt that writes now; empty: nobody
	HeldUntil   time.Time // end of its lease
	UnsureSince time.Time // a write may have landed, or may still land, that we don't know of; zero: sure
	Intent      Intent    // what the holder, or a write we are unsure of, was about to do

	Generation  int    // counts deletes: a re-created contact needs another idempotency key
	RankrID     string // unique in a location; empty: not linked
	CreatedByUs bool   // else adopted: never deleted by us
	Deleted     bool   // gone in GHL, and brought into step

	Fields         Fingerprints // of what GHL had at the last finished round, by field
	Tags           []string     // the tags GHL had then
	DateUpdated    time.Time    // GHL's dateUpdated at the last round, one with a problem included: what the poll compares with
	MappingVersion string
	Records        map[string]string // of tasks and notes: Rankr's id by the same name as in Fields

	// Decision is, of a contact, what its last finished round decided beside the contact itself; of its segments, what
	// has been brought about.
	Decision Decision
	// Segmented and SegmentedRecord are, of a contact, the Decision and RankrID of its segments' link, which may be unsure;
	// read only.
	Segmented       Decision
	SegmentedRecord string
	SegmentedUnsure bool

	Problem Code // of the contact's open problem; empty: none. A finished round without one closes it.
	Parked  Code // why nothing of the whole location can run now; read only
}

// Why a change of a link did not happen; nothing was written.
var (
	// ErrMoved: the row is not what the caller read, or somebody holds it. Read it again.
	ErrMoved = errors.New("the link moved meanwhile")
	// ErrTaken: the Rankr record is linked to another contact of the location.
	ErrTaken = errors.New("the record is linked to another contact")
	// ErrBraked: the location had its share of deletes for this hour.
	ErrBraked = errors.New("the delete brake holds")
)

// Claim is what an attempt asks for before it writes: a lease, and what belongs to this one write.
type Claim struct {
	Holder  string        // a random token
	Lease   time.Duration // how long nobody else may write
	RankrID string        // the record to be written: reserved for this contact; empty: one is created
	Created bool          // that record was made by us
	Intent  Intent
	Delete  bool // takes a slot of the delete brake
}

// Intent is written down before a write, for the case that its answer never comes.
type Intent struct {
	Create bool     `json:"create,omitempty"`
	Fields []string `json:"fields,omitempty"` // names
	Tags   []string `json:"tags,omitempty"`
}

// With joins two intents.
func (i Intent) With(other Intent) Intent {
	fields := slices.Concat(i.Fields, other.Fields)
	slices.Sort(fields)
	return Intent{
		Create: i.Create || other.Create,
		Fields: slices.Compact(fields),
		Tags:   FoldTags(slices.Concat(i.Tags, other.Tags)),
	}
}

// Sure tells whether the fingerprints may be believed.
func (l Link) Sure() bool { return l.UnsureSince.IsZero() }

// Held tells whether somebody's lease on the contact has not run out.
func (l Link) Held() bool { return l.Holder != "" && l.Now.Before(l.HeldUntil) }

// Expired tells whether somebody held the contact and never let go.
func (l Link) Expired() bool { return l.Holder != "" && !l.Now.Before(l.HeldUntil) }
