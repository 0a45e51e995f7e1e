package ghl

import (
	"context"
	"iter"
	"net/url"
	"strconv"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// listLimit is the most contacts a page of a list may hold. Only a page that holds as many has one after it.
const listLimit = 100

// ContactsOfBusiness walks the contacts of a business in bulk calls. Its documents are good for their ids; the rest may
// be altered or missing. Contacts that come and go meanwhile may be seen twice or missed.
func (c *Client) ContactsOfBusiness(ctx context.Context, location, business string) iter.Seq2[crm.Page, error] {
	if err := validIDs(named{"location", location}, named{"business", business}); err != nil {
		return onlyError(err)
	}
	return c.list(ctx, c.call(listByBusiness, location, business), func(seen int, _ document) url.Values {
		return url.Values{"skip": {strconv.Itoa(seen)}}
	})
}

// ListContacts walks all contacts of a location in bulk calls; see ContactsOfBusiness for its documents. GHL has
// deprecated this list, and v3 has it no more: it is what is left when the search fails.
func (c *Client) ListContacts(ctx context.Context, location string) iter.Seq2[crm.Page, error] {
	if err := validIDs(named{"location", location}); err != nil {
		return onlyError(err)
	}
	return c.list(ctx, c.call(listContacts, location), func(_ int, last document) url.Values {
		added := strconv.FormatInt(moment(last.DateAdded).UnixMilli(), 10)
		return url.Values{"startAfter": {added}, "startAfterId": {string(last.ID)}}
	})
}

func onlyError(err error) iter.Seq2[crm.Page, error] {
	return func(yield func(crm.Page, error) bool) { yield(crm.Page{}, err) }
}

// list walks pages; after says how to ask for the page after one that ends with last. A page that comes again, and a
// list that goes on for too long, end the walk with an error.
func (c *Client) list(ctx context.Context, call rest.Call, after func(seen int, last document) url.Values) iter.Seq2[crm.Page, error] {
	return func(yield func(crm.Page, error) bool) {
		var seen int
		var first text
		query := url.Values{}
		for range maxPages {
			query.Set("locationId", call.Account)
			query.Set("limit", strconv.Itoa(listLimit))
			call.Query = query
			page, found, err := c.listPage(rest.WithBulk(ctx), call)
			if err == nil && len(found) > 0 && found[0].ID == first {
				err = c.rest.Foreign(call, rest.Meta{})
			}
			if !yield(page, err) || err != nil || len(found) < listLimit {
				return
			}
			seen, first = seen+len(found), found[0].ID
			query = after(seen, found[len(found)-1])
		}
		yield(crm.Page{}, c.rest.Foreign(call, rest.Meta{}))
	}
}

// listPage reads one page.
func (c *Client) listPage(ctx context.Context, call rest.Call) (crm.Page, []document, error) {
	var answer struct {
		Contacts []document `json:"contacts"`
		Count    plain      `json:"count"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Page{At: meta.Date}, nil, err
	}
	if answer.Contacts == nil {
		return crm.Page{At: meta.Date}, nil, c.rest.Foreign(call, meta)
	}
	count, _ := answer.Count.value.(float64)
	page := crm.Page{Total: int(count), At: meta.Date}
	for _, d := range answer.Contacts {
		if !d.of(call.Account) {
			return crm.Page{At: meta.Date}, nil, c.rest.Foreign(call, meta)
		}
		page.Documents = append(page.Documents, d.toCRM())
	}
	return page, answer.Contacts, nil
}
