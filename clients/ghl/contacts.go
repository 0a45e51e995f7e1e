package ghl

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// Contact reads one contact: one call, and one more when the location's custom fields have to be looked up. A field
// of a type that can't be made sense of is [crm.GHLInvalid] with the field's name.
func (c *Client) Contact(ctx context.Context, ref crm.Ref) (crm.Contact, time.Time, error) {
	if err := ref.Validate(); err != nil {
		return crm.Contact{}, time.Time{}, err
	}
	call := c.call(getContact, ref.Location, ref.Contact)
	var answer struct {
		Contact contact `json:"contact"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Contact{}, meta.Date, err
	}
	found := answer.Contact
	if string(found.ID) != ref.Contact || string(found.LocationID) != ref.Location {
		return crm.Contact{}, meta.Date, c.rest.Foreign(call, meta)
	}
	keys, err := c.keys(ctx, ref.Location, found.customFieldIDs())
	if errors.Is(err, &crm.Error{Code: crm.GHLNotFound}) {
		// The field list is not there, the contact is: taken for the contact's own 404 this would delete it.
		return crm.Contact{}, meta.Date, c.rest.Foreign(call, meta)
	}
	if err != nil {
		return crm.Contact{}, meta.Date, err
	}
	return found.toCRM(keys), meta.Date, nil
}

const (
	pageLimit = 100 // documents a page; GHL allows 500
	// maxPages ends a walk through half a million documents. Nobody's poll is that long, but a search that always
	// has another page would be endless.
	maxPages = 5000
)

// searchBody is a query for changed contacts. The spec leaves it open; the fields are those of GHL's search page.
type searchBody struct {
	LocationID  string         `json:"locationId"` // on every page: GHL answers 403 to a second page without it
	PageLimit   int            `json:"pageLimit"`
	Filters     []searchFilter `json:"filters,omitempty"`
	Sort        []searchSort   `json:"sort"`
	SearchAfter jsontext.Value `json:"searchAfter,omitzero"` // the last document's own, untouched
}

type searchFilter struct {
	Field    string      `json:"field"`
	Operator string      `json:"operator"`
	Value    searchRange `json:"value"`
}

type searchRange struct {
	From string `json:"gte"`
}

type searchSort struct {
	Field     string `json:"field"`
	Direction string `json:"direction"`
}

// ChangedSince walks the search for contacts whose dateUpdated is at or after since, oldest first. Its calls are bulk
// calls. A contact that changes during the walk moves to the end and is seen again. The walk ends with an empty page,
// or with one that completes the total; without a way to the rest, and after 5,000 pages, it ends with an error.
func (c *Client) ChangedSince(ctx context.Context, location string, since time.Time) iter.Seq2[crm.Page, error] {
	return func(yield func(crm.Page, error) bool) {
		if err := validIDs(named{"location", location}); err != nil {
			yield(crm.Page{}, err)
			return
		}
		call := c.call(searchContacts, location)
		body := searchBody{
			LocationID: location, PageLimit: pageLimit,
			Filters: []searchFilter{{"dateUpdated", "range", searchRange{wireTime(since)}}},
			Sort:    []searchSort{{"dateUpdated", "asc"}},
		}
		seen := 0
		for range maxPages {
			call.Body = body
			page, documents, err := c.search(rest.WithBulk(ctx), call, location)
			if !yield(page, err) || err != nil {
				return
			}
			next := cursorOf(documents)
			seen += len(page.Documents)
			if len(page.Documents) == 0 || len(page.Documents) < pageLimit && seen >= page.Total {
				return
			}
			if next == nil || bytes.Equal(next, body.SearchAfter) {
				if seen >= page.Total {
					return
				}
				break // there is more, and no way to it: the watermark must not move past what nobody saw
			}
			body.SearchAfter = next
		}
		yield(crm.Page{}, c.rest.Foreign(call, rest.Meta{}))
	}
}

// ContactsAfter reads one page of at most limit contacts (500 at most), in the order in which they were added: those that follow
// the document whose After is given, or the first ones. It is a bulk call.
func (c *Client) ContactsAfter(ctx context.Context, location, after string, limit int) (crm.Page, error) {
	if err := validIDs(named{"location", location}); err != nil {
		return crm.Page{}, err
	}
	call := c.call(searchContacts, location)
	body := searchBody{LocationID: location, PageLimit: limit, Sort: []searchSort{{"dateAdded", "asc"}}}
	if after != "" {
		body.SearchAfter = jsontext.Value(after)
		if !usable(body.SearchAfter) {
			return crm.Page{}, &crm.Error{Code: crm.InvalidInput, Operation: "ghl " + searchContacts.Name, Fields: []string{"after"}}
		}
	}
	call.Body = body
	page, documents, err := c.search(rest.WithBulk(ctx), call, location)
	if err != nil {
		return page, err
	}
	for i, d := range documents {
		if !usable(d.SearchAfter) {
			return page, c.rest.Foreign(call, rest.Meta{})
		}
		listed := &page.Documents[i]
		listed.After = string(d.SearchAfter)
		listed.Shown, listed.Whole = c.shown(ctx, location, d)
	}
	return page, nil
}

// usable tells whether a cursor may be written down: it is a short list of ids and numbers, and so no value of a contact's.
func usable(cursor jsontext.Value) bool {
	var parts []any
	if len(cursor) > 300 || json.Unmarshal(cursor, &parts) != nil || len(parts) == 0 {
		return false
	}
	for _, part := range parts {
		if said, ok := part.(string); ok && !crm.ValidID(said) {
			return false
		} else if _, number := part.(float64); !ok && !number {
			return false
		}
	}
	return true
}

// cursorOf leads past the last document that has one.
func cursorOf(documents []document) jsontext.Value {
	if len(documents) == 0 {
		return nil
	}
	return documents[len(documents)-1].SearchAfter
}

// search reads one page.
func (c *Client) search(ctx context.Context, call rest.Call, location string) (crm.Page, []document, error) {
	var answer struct {
		Contacts []document `json:"contacts"`
		Total    plain      `json:"total"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Page{At: meta.Date}, nil, err
	}
	if answer.Contacts == nil {
		return crm.Page{At: meta.Date}, nil, c.rest.Foreign(call, meta)
	}
	total, _ := answer.Total.value.(float64)
	page := crm.Page{Total: int(total), At: meta.Date, Left: meta.DailyLeft}
	for _, d := range answer.Contacts {
		if !d.of(location) {
			return crm.Page{At: meta.Date}, nil, c.rest.Foreign(call, meta)
		}
		page.Documents = append(page.Documents, d.toCRM())
	}
	return page, answer.Contacts, nil
}

// wireTime writes a time the way GHL does. Before 1970 there was no GHL.
func wireTime(t time.Time) string {
	if t.Unix() < 0 {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
