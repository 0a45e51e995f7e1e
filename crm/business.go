package crm

import (
	"context"
	"iter"
	"strings"
	"time"
)

// Business is one business (a company that contacts are attached to) as one of the two systems holds it.
type Business struct {
	ID         string // in the system it was read from
	Location   string // GHL only
	ExternalID string // Rankr only: the GHL business id, empty when the record is nobody's mirror
	Fields     Fields // those of [BusinessFields] that have a value
}

// BusinessFields are the fields of a business that both systems have, in the order people read them.
var BusinessFields = []string{"name", "email", "phone", "website", "address", "city", "state", "postalCode", "country", "description"}

// MapBusiness does for a business what [Map] does for a contact.
func MapBusiness(b Business, location Location) Business {
	contact := Map(Contact{Fields: b.Fields}, location)
	b.Fields = contact.Fields
	return b
}

// NeedsCountry tells whether the business's phone can only be understood with its location's country.
func (b Business) NeedsCountry() bool { return Contact{Fields: b.Fields}.NeedsCountry() }

// Named tells whether the business has the one field that both systems require.
func (b Business) Named() bool {
	name, _ := b.Fields["name"].(string)
	return strings.TrimSpace(name) != ""
}

// BusinessSource is what a [Source] tells of businesses. All errors are *Error.
type BusinessSource interface {
	// Business reads one business; [GHLNotFound] only when the system itself says so.
	Business(ctx context.Context, location, id string) (Business, time.Time, error)
	// Businesses walks all businesses of a location, page by page. The walk ends after the first error.
	Businesses(ctx context.Context, location string) iter.Seq2[BusinessPage, error]
	// ContactsOfBusiness walks the contacts that are attached to a business; its documents are good for their ids only.
	ContactsOfBusiness(ctx context.Context, location, business string) iter.Seq2[Page, error]
}

// BusinessPage is one page of a location's businesses.
type BusinessPage struct {
	Businesses []Business
	At         time.Time // the system's Date of this page
}

// BusinessDestination is what a [Destination] does with businesses. The rules for errors, idempotency keys and Landed are
// the Destination's.
type BusinessDestination interface {
	// FindBusiness returns the businesses with the external id: at most one where the system keeps them apart.
	FindBusiness(ctx context.Context, location, externalID string) ([]Business, error)
	// ReadBusiness reads one by Rankr's own id; [RankrNotFound] only when Rankr itself says so.
	ReadBusiness(ctx context.Context, location, id string) (Business, error)
	CreateBusiness(ctx context.Context, location, idempotencyKey string, business Business) (Business, error)
	UpdateBusiness(ctx context.Context, location, id string, patch Patch) error
	// DeleteBusiness is content when the business is gone already.
	DeleteBusiness(ctx context.Context, location, id string) error
}
