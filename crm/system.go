package crm

import (
	"context"
	"iter"
	"time"
)

// Source is a system that is read: GHL. Every time that comes with an answer is the system's own clock, its
// Date header, so that times of one system are only ever compared with each other. All errors are *Error.
type Source interface {
	// Contact reads one contact with the fields and tags under the crm's names. [GHLNotFound] only when the
	// system itself says so.
	Contact(ctx context.Context, ref Ref) (Contact, time.Time, error)
	// Location reads the location afresh: a good answer is the evidence a delete needs.
	Location(ctx context.Context, location string) (Location, time.Time, error)
	// ChangedSince walks the pages of contacts whose dateUpdated is at or after since, oldest first.
	// The walk ends after the first error.
	ChangedSince(ctx context.Context, location string, since time.Time) iter.Seq2[Page, error]
}

// SourceWriter is what rules do in the system that is read when a tag is added. It has no idempotency keys: whoever
// makes a task looks for it first.
type SourceWriter interface {
	// AddTags and RemoveTags return the contact's tags after it.
	AddTags(ctx context.Context, ref Ref, tags []string) ([]string, error)
	RemoveTags(ctx context.Context, ref Ref, tags []string) ([]string, error)
	CreateTask(ctx context.Context, ref Ref, task Task) (Task, error)
}

// ContactWalker lists a location's contacts, whether they moved or not.
type ContactWalker interface {
	// ContactsAfter reads one page of at most limit contacts, in the order in which they were added: those that follow the
	// document whose After is given, or the first ones.
	ContactsAfter(ctx context.Context, location, after string, limit int) (Page, error)
}

// RecordWalker lists a destination's contacts.
type RecordWalker interface {
	// Records reads one page of them: those that follow what an earlier page returned as next, or the first ones. Next is empty
	// after the last page.
	Records(ctx context.Context, location, after string) (records []Contact, next string, err error)
}

// Page is one page of a search.
type Page struct {
	Documents []Document
	Total     int       // what the system says the whole search holds
	At        time.Time // the system's Date of this page
	Left      int       // calls left today, of [ContactWalker]'s pages; -1: the system does not say
}

// Document is one search document: enough to tell whether a contact moved.
type Document struct {
	Contact string
	Updated time.Time // dateUpdated

	// The rest comes with [ContactWalker.ContactsAfter] only.

	After string // leads to the documents that follow this one
	// Shown is the contact as far as the document shows it, under the crm's names; nil: it can't be read. Its Tags are nil where it
	// does not tell. The index may lag behind the contact itself.
	Shown *Contact
	// Whole tells that Shown holds all that a read of the contact would, unaltered.
	Whole bool
}

// Destination is a system that is written: Rankr. All errors are *Error; an error of a write with Landed set
// means that it may have taken effect, or may still.
type Destination interface {
	// Find returns the records for which any of the given keys matches.
	Find(ctx context.Context, location string, keys Keys) ([]Contact, error)
	// Contact reads one record by Rankr's own id; [RankrNotFound] only when Rankr itself says so.
	Contact(ctx context.Context, location, id string) (Contact, error)
	// Create makes a record. The same idempotency key within 24 h gives the same answer and no second record.
	// [RankrDuplicate] carries the winner's id.
	Create(ctx context.Context, location, idempotencyKey string, contact Contact) (Contact, error)
	// Update writes what the patch holds. With an etag, [RankrMoved] when the record changed since.
	Update(ctx context.Context, location, id, etag string, patch Patch) error
	AddTags(ctx context.Context, location, id string, tags []string) error
	RemoveTags(ctx context.Context, location, id string, tags []string) error
	// Delete is content when the record is gone already.
	Delete(ctx context.Context, location, id string) error
}

// Keys are what a contact may be found by. Empty ones are left out.
type Keys struct{ ExternalID, Email, Phone string }

// Patch is a partial update: fields to set, fields to clear, and the external id where it changes.
type Patch struct {
	Set        Fields
	Clear      []string
	ExternalID *string // nil: leave it; empty: clear it
	Business   *string // the id of a business in that system; nil: leave it; empty: detach
}

// Empty tells whether there is nothing to write.
func (p Patch) Empty() bool {
	return len(p.Set) == 0 && len(p.Clear) == 0 && p.ExternalID == nil && p.Business == nil
}
