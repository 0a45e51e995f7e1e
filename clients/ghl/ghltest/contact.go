package ghltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Contact is one contact as GHL keeps it. What GHL shows of it is another matter: reads, creates, searches and
// webhooks each have a shape of their own.
type Contact struct {
	ID       string `json:"id"`
	Location string `json:"locationId"`

	FirstName   string `json:"firstName,omitempty"`
	LastName    string `json:"lastName,omitempty"`
	Email       string `json:"email,omitempty"`
	Phone       string `json:"phone,omitempty"`
	CompanyName string `json:"companyName,omitempty"`
	Address1    string `json:"address1,omitempty"`
	City        string `json:"city,omitempty"`
	State       string `json:"state,omitempty"`
	PostalCode  string `json:"postalCode,omitempty"`
	Country     string `json:"country,omitempty"`
	Website     string `json:"website,omitempty"`
	Timezone    string `json:"timezone,omitempty"`
	DateOfBirth string `json:"dateOfBirth,omitempty"` // YYYY-MM-DD
	Gender      string `json:"gender,omitempty"`
	Source      string `json:"source,omitempty"`
	Type        string `json:"type,omitempty"`
	AssignedTo  string `json:"assignedTo,omitempty"`
	BusinessID  string `json:"businessId,omitempty"`

	DND         bool            `json:"dnd,omitempty"`
	DNDSettings json.RawMessage `json:"dndSettings,omitempty"`
	InboundDND  json.RawMessage `json:"inboundDndSettings,omitempty"`

	Tags         []string `json:"tags,omitempty"` // lower case
	CustomFields []Value  `json:"customFields,omitempty"`

	DateAdded   time.Time `json:"dateAdded"`
	DateUpdated time.Time `json:"dateUpdated"`

	// Raw lies over the documents that the API gives out, as it is: for values of the wrong type, nulls, and
	// whatever else a client must survive.
	Raw map[string]json.RawMessage `json:"raw,omitempty"`
}

// Value is the value of a custom field: a string, a number, a list of strings, or an object for files.
type Value struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

// clone shares nothing with c that could be changed.
func (c Contact) clone() Contact {
	c.Tags = slices.Clone(c.Tags)
	c.CustomFields = slices.Clone(c.CustomFields)
	c.Raw = maps.Clone(c.Raw)
	return c
}

// name is the full name as GHL shows it.
func (c *Contact) name() string { return strings.TrimSpace(c.FirstName + " " + c.LastName) }

// common is what all documents have under the same name. What has no value is left out.
func (c *Contact) common() map[string]any {
	document := map[string]any{
		"id": c.ID, "locationId": c.Location, "dnd": c.DND,
		"tags": orEmpty(c.Tags), "dateAdded": wireTime(c.DateAdded),
	}
	for name, value := range map[string]string{
		"firstName": c.FirstName, "lastName": c.LastName, "email": c.Email, "phone": c.Phone,
		"companyName": c.CompanyName, "city": c.City, "state": c.State, "postalCode": c.PostalCode,
		"country": c.Country, "website": c.Website, "source": c.Source, "assignedTo": c.AssignedTo,
	} {
		put(document, name, value)
	}
	if c.DNDSettings != nil {
		document["dndSettings"] = c.DNDSettings
	}
	return document
}

// read is the document of GET and PUT.
func (c *Contact) read() map[string]any {
	document := c.common()
	put(document, "name", c.name())
	put(document, "address1", c.Address1)
	put(document, "timezone", c.Timezone)
	put(document, "dateOfBirth", c.DateOfBirth)
	put(document, "type", c.Type)
	put(document, "businessId", c.BusinessID)
	put(document, "gender", c.Gender) // not in the spec, but seen
	c.lowerCase(document)
	document["customFields"] = orEmpty(c.CustomFields)
	document["dateUpdated"] = wireTime(c.DateUpdated)
	maps.Copy(document, raw(c.Raw))
	return document
}

// created is the document that a create answers with: no name, a birthday in parts, and fields nobody asked for.
func (c *Contact) created() map[string]any {
	document := c.common()
	put(document, "address1", c.Address1)
	put(document, "type", c.Type)
	put(document, "businessId", c.BusinessID)
	c.lowerCase(document)
	if born, ok := c.born(); ok {
		document["dateOfBirth"] = wireTime(born)
		document["birthMonth"], document["birthDay"] = int(born.Month()), born.Day()
	}
	document["customFields"] = orEmpty(c.CustomFields)
	document["dateUpdated"] = wireTime(c.DateUpdated)
	document["deleted"], document["bounceEmail"], document["unsubscribeEmail"] = false, false, false
	document["offers"], document["products"] = []string{}, []string{}
	maps.Copy(document, raw(c.Raw))
	return document
}

// found is the document of a search. Unless complete, it is the worst that has been reported: names in lower case
// only, address for address1, the date of birth as an epoch, no custom fields, no time zone, and null for what has
// no value.
func (c *Contact) found(complete bool) map[string]any {
	document := c.common()
	for _, name := range []string{
		"firstName", "lastName", "email", "phone", "companyName", "city", "state", "postalCode", "country", "website",
		"source", "assignedTo", "businessName", "dateOfBirth", "address",
	} {
		if _, has := document[name]; !has {
			document[name] = nil
		}
	}
	put(document, "address", c.Address1)
	put(document, "type", c.Type)
	put(document, "businessId", c.BusinessID)
	put(document, "contactName", strings.ToLower(c.name()))
	put(document, "firstName", strings.ToLower(c.FirstName))
	put(document, "lastName", strings.ToLower(c.LastName))
	put(document, "firstNameLowerCase", strings.ToLower(c.FirstName))
	put(document, "lastNameLowerCase", strings.ToLower(c.LastName))
	if born, ok := c.born(); ok {
		document["dateOfBirth"] = born.UnixMilli()
	}
	if c.InboundDND != nil {
		document["inboundDndSettings"] = c.InboundDND
	}
	delete(document, "dndSettings") // documented once, but reported missing
	document["dateUpdated"] = wireTime(c.DateUpdated)
	for _, name := range []string{"additionalEmails", "additionalPhones", "followers", "opportunities"} {
		document[name] = []any{}
	}
	document["validEmail"], document["phoneLabel"] = nil, nil
	if complete {
		c.complete(document)
	}
	maps.Copy(document, raw(c.Raw))
	return document
}

// complete adds what makes a search document as good as one of GET, and null for what has no value.
func (c *Contact) complete(document map[string]any) {
	for _, name := range []string{"address1", "timezone", "businessId"} {
		if _, has := document[name]; !has {
			document[name] = nil
		}
	}
	put(document, "firstNameRaw", c.FirstName)
	put(document, "lastNameRaw", c.LastName)
	put(document, "address1", c.Address1)
	put(document, "dateOfBirth", c.DateOfBirth)
	put(document, "timezone", c.Timezone)
	document["customFields"] = orEmpty(c.CustomFields)
	if c.DNDSettings != nil {
		document["dndSettings"] = c.DNDSettings
	}
}

// told is what a webhook tells of a contact.
func (c *Contact) told() map[string]any {
	document := c.common()
	put(document, "name", c.name())
	put(document, "address1", c.Address1)
	if born, ok := c.born(); ok {
		document["dateOfBirth"] = wireTime(born)
	}
	document["attachments"] = []any{} // never filled
	document["customFields"] = orEmpty(c.CustomFields)
	return document
}

func (c *Contact) lowerCase(document map[string]any) {
	put(document, "firstNameLowerCase", strings.ToLower(c.FirstName))
	put(document, "lastNameLowerCase", strings.ToLower(c.LastName))
	put(document, "fullNameLowerCase", strings.ToLower(c.name()))
	put(document, "emailLowerCase", strings.ToLower(c.Email))
}

func (c *Contact) born() (time.Time, bool) {
	born, err := time.Parse(time.DateOnly, c.DateOfBirth)
	return born, err == nil
}

// put leaves out what has no value, as GHL does.
func put(document map[string]any, name, value string) {
	if value != "" {
		document[name] = value
	}
}

// raw makes overlaid values ready to be copied into a document.
func raw(overlay map[string]json.RawMessage) map[string]any {
	values := make(map[string]any, len(overlay))
	for name, value := range overlay {
		values[name] = value
	}
	return values
}

// orEmpty makes JSON's [] of a nil slice.
func orEmpty[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// wireTime is GHL's form of a moment: UTC, in milliseconds.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// alphabet is what GHL's ids are made of.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID makes an id of 20 characters, as GHL's are.
func newID() string { return idFrom(rand.Uint64) }

func idFrom(random func() uint64) string {
	id := make([]byte, 20)
	for i := range id {
		id[i] = alphabet[random()%uint64(len(alphabet))]
	}
	return string(id)
}

func newUUID() string {
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}
