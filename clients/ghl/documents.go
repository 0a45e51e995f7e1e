package ghl

import (
	"bytes"
	"context"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// document is one contact of a search's page. Only what every search needs is read at once, so that a value which can't be
// made sense of costs one contact and not its page.
type document struct {
	ID          text           `json:"id"`
	LocationID  text           `json:"locationId"`
	DateAdded   plain          `json:"dateAdded"`
	DateUpdated plain          `json:"dateUpdated"`
	SearchAfter jsontext.Value `json:"searchAfter"`
	whole       jsontext.Value
}

func (d document) key() text { return d.ID }

// UnmarshalJSONFrom reads the few named fields and keeps the whole.
func (d *document) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	whole, err := from.ReadValue()
	if err != nil {
		return err
	}
	type named document
	if err := json.Unmarshal(whole, (*named)(d), from.Options()); err != nil {
		return err
	}
	d.whole = whole.Clone()
	return nil
}

// of tells whether this can be a document of the location. It need not carry every field; but one that names another
// location is another's.
func (d document) of(location string) bool {
	return crm.ValidID(string(d.ID)) && tells(d.LocationID, location)
}

func (d document) toCRM() crm.Document {
	return crm.Document{Contact: string(d.ID), Updated: moment(d.DateUpdated)}
}

// mappedNames are the members that a document must have to be as good as the contact itself, for one that is missing may be one
// that searches never show. Some have two names.
var mappedNames = map[string]uint32{
	"email": 1 << 0, "firstName": 1 << 1, "lastName": 1 << 2, "phone": 1 << 3, "companyName": 1 << 4, "address1": 1 << 5,
	"address": 1 << 5, "city": 1 << 6, "state": 1 << 7, "postalCode": 1 << 8, "country": 1 << 9, "website": 1 << 10,
	"timezone": 1 << 11, "dateOfBirth": 1 << 12, "source": 1 << 13, "dnd": 1 << 14, "assignedTo": 1 << 15,
	"businessId": 1 << 16, "tags": 1 << 17, "customFields": 1 << 18, "dateUpdated": 1 << 19,
}

const allMapped = 1<<20 - 1

// complete tells whether the document holds every mapped field unaltered, so that it may stand in for the contact. Searches are
// known to show names in lower case: they count only with their raw form beside them, or where they can't have been changed.
func (d document) complete() bool {
	var have uint32
	members := jsontext.NewDecoder(bytes.NewReader(d.whole), rest.ReadOptions)
	if _, err := members.ReadToken(); err != nil {
		return false
	}
	for members.PeekKind() == '"' {
		name, err := members.ReadToken()
		if err != nil {
			return false
		}
		have |= mappedNames[name.String()]
		if members.SkipValue() != nil {
			return false
		}
	}
	return have == allMapped
}

// shownContact is the contact in a document, which may say its names twice: as people wrote them, too.
type shownContact struct {
	contact
	RawFirst text `json:"firstNameRaw"`
	RawLast  text `json:"lastNameRaw"`
}

// kept tells whether a name is as people wrote it: it has capitals, or letters that have none.
func kept(name text) bool {
	return string(name) != strings.ToLower(string(name)) || string(name) == strings.ToUpper(string(name))
}

// shown reads the contact out of the document, as far as that shows it; nil: it can't be read. Whole tells whether it is the
// contact as a read would return it.
func (c *Client) shown(ctx context.Context, location string, d document) (shown *crm.Contact, whole bool) {
	var found shownContact
	if json.Unmarshal(d.whole, &found, rest.ReadOptions) != nil {
		return nil, false
	}
	whole = d.complete() && found.DateUpdated.value != nil
	switch {
	case found.RawFirst != "" || found.RawLast != "":
		found.FirstName, found.LastName = found.RawFirst, found.RawLast
	case !kept(found.FirstName) && !kept(found.LastName):
		whole = false
	}
	found.LocationID = text(location)
	keys := map[string]string{}
	if whole {
		var err error
		if keys, err = c.keys(ctx, location, found.customFieldIDs()); err != nil {
			whole = false // the contact's own read finds out why
		}
	}
	read := found.toCRM(keys)
	if found.Tags == nil {
		read.Tags = nil // not told, unlike none
	}
	return &read, whole
}
