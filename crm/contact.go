package crm

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Contact is one contact as one of the two systems holds it, in the crm's words: field names are
// those of the Rankr contract, custom fields stand under "customFields.<key>".
type Contact struct {
	ID         string // in the system it was read from
	Location   string // GHL only
	ExternalID string // Rankr only: the GHL contact id, empty when the record is nobody's mirror
	Fields     Fields
	Tags       []string  // folded by [FoldTags]
	Business   string    // the id, in that system, of the business it is attached to; empty: none
	Segments   []string  // Rankr only: the ids of the segments it is in, sorted
	Added      time.Time // dateAdded as the system tells it; zero when it does not
	Updated    time.Time // dateUpdated as the system tells it; zero when it does not
	ETag       string    // Rankr only, optional
}

// Fields holds a contact's values by name. A name that is absent has no value; a value is never nil.
// Values are JSON-plain: string, bool, float64 or []string.
type Fields map[string]any

// CustomField is the prefix of a custom field's name: "customFields.pincode".
const CustomField = "customFields."

// StandardFields are the contact fields both systems have, in the order people read them.
var StandardFields = []string{
	"email", "firstName", "lastName", "phone", "companyName", "address1", "city", "state", "postalCode",
	"country", "website", "timezone", "dateOfBirth", "source", "dnd", "assignedTo",
}

// Location is what the mapping needs to know of a GHL location.
type Location struct {
	ID       string
	Name     string // as people call it
	Country  string // two capital letters, empty when unknown
	Timezone string
}

// Names returns the names of the fields that have a value, sorted.
func (f Fields) Names() []string { return slices.Sorted(maps.Keys(f)) }

// FoldTags trims and lower-cases tags, drops empty ones and duplicates, and sorts. GHL lower-cases tags
// on save, so comparing them unfolded would rewrite them for ever.
func FoldTags(tags []string) []string {
	folded := make([]string, 0, len(tags))
	for _, tag := range tags {
		if tag = strings.ToLower(strings.TrimSpace(tag)); tag != "" {
			folded = append(folded, tag)
		}
	}
	slices.Sort(folded)
	return slices.Compact(folded)
}
