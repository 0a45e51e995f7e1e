package activities

import (
	"context"
	"iter"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// Businesses mirrors the GHL businesses that contacts are attached to. All fields are needed.
type Businesses struct {
	Contacts    *Contacts // whose links, lease, clocks and way back to Temporal are shared
	Source      crm.BusinessSource
	Destination crm.BusinessDestination
}

// businessAge is for how long a read of a business is good enough, however many of its contacts change meanwhile.
const businessAge = 10 * time.Minute

// BringBusinessIntoStep does for a business what BringIntoStep does for a contact, under the same protocol with a row of
// its own. A business that was read less than ten minutes ago is not read again, unless a person or a poll asks: their hints
// do not say when they were received.
func (b *Businesses) BringBusinessIntoStep(ctx context.Context, in BusinessRound) (Answer, error) {
	ref := crm.Ref{Location: in.Location, Contact: in.Business}
	if !crm.ValidID(in.Business) {
		return Answer{}, leave(&crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: []string{"business"}})
	}
	if err := ref.Validate(); err != nil {
		return Answer{}, leave(err)
	}
	r := round{Contacts: b.asContacts(), ref: ref, object: crm.ABusiness, hint: in.Hint, doubt: retried(ctx, in.Failures)}
	if !in.Hint.Received.IsZero() {
		r.fresh = businessAge
	}
	result, err := r.guarded(ctx, &r, r.once)
	if err != nil {
		return Answer{}, leave(err)
	}
	return Answer{Result: result, Searchable: b.Contacts.Searchable()}, nil
}

// asContacts lets the protocol work on businesses: it sees them as contacts without tags, and without rules.
func (b *Businesses) asContacts() *Contacts {
	c := b.Contacts
	return &Contacts{
		Source:      businessSource{c.Source, b.Source},
		Destination: businessDestination{b.Destination},
		Links:       c.Links, Nudge: c.Nudge, Prints: c.Prints, StoreID: c.StoreID, Quiet: c.Quiet, Lease: c.Lease,
		KeepDeleted: c.KeepDeleted, Accounts: c.Accounts, Searchable: c.Searchable, Observe: c.Observe, of: c,
	}
}

// businessSource is a [crm.Source] of businesses.
type businessSource struct {
	contacts   crm.Source
	businesses crm.BusinessSource
}

func (s businessSource) Contact(ctx context.Context, ref crm.Ref) (crm.Contact, time.Time, error) {
	found, at, err := s.businesses.Business(ctx, ref.Location, ref.Contact)
	if err == nil && !found.Named() { // neither system takes one without
		err = &crm.Error{Code: crm.GHLInvalid, Operation: "ghl businesses.get", Fields: []string{"name"}}
	}
	return crm.Contact{ID: found.ID, Location: found.Location, Fields: found.Fields}, at, err
}

func (s businessSource) Location(ctx context.Context, location string) (crm.Location, time.Time, error) {
	return s.contacts.Location(ctx, location)
}

func (s businessSource) ChangedSince(ctx context.Context, location string, since time.Time) iter.Seq2[crm.Page, error] {
	return s.contacts.ChangedSince(ctx, location, since)
}

// businessDestination is a [crm.Destination] of businesses. They are matched by external id alone: two companies may well
// share an email or a phone number.
type businessDestination struct{ crm.BusinessDestination }

func (d businessDestination) Find(ctx context.Context, location string, keys crm.Keys) ([]crm.Contact, error) {
	found, err := d.FindBusiness(ctx, location, keys.ExternalID)
	contacts := make([]crm.Contact, len(found))
	for i, each := range found {
		contacts[i] = asContact(each)
	}
	return contacts, err
}

func (d businessDestination) Contact(ctx context.Context, location, id string) (crm.Contact, error) {
	found, err := d.ReadBusiness(ctx, location, id)
	return asContact(found), err
}

func (d businessDestination) Create(ctx context.Context, location, idempotencyKey string, contact crm.Contact) (crm.Contact, error) {
	made, err := d.CreateBusiness(ctx, location, idempotencyKey, crm.Business{ExternalID: contact.ExternalID, Fields: contact.Fields})
	return asContact(made), err
}

func (d businessDestination) Update(ctx context.Context, location, id, _ string, patch crm.Patch) error {
	return d.UpdateBusiness(ctx, location, id, patch)
}

func (d businessDestination) Delete(ctx context.Context, location, id string) error {
	return d.DeleteBusiness(ctx, location, id)
}

// AddTags and RemoveTags have nothing to do: businesses have no tags.
func (businessDestination) AddTags(context.Context, string, string, []string) error { return nil }

func (businessDestination) RemoveTags(context.Context, string, string, []string) error { return nil }

func asContact(b crm.Business) crm.Contact {
	return crm.Contact{ID: b.ID, ExternalID: b.ExternalID, Fields: b.Fields}
}
