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
		return onlyError[crm.Page](err)
	}
	return walkList(ctx, c, c.call(listByBusiness, location, business), c.listPage, skipSeen)
}

// ListContacts walks all contacts of a location in bulk calls; see ContactsOfBusiness for its documents. GHL has
// deprecated this list, and v3 has it no more: it is what is left when the search fails.
func (c *Client) ListContacts(ctx context.Context, location string) iter.Seq2[crm.Page, error] {
	if err := validIDs(named{"location", location}); err != nil {
		return onlyError[crm.Page](err)
	}
	return walkList(ctx, c, c.call(listContacts, location), c.listPage, func(_ int, last document) url.Values {
		added := strconv.FormatInt(moment(last.DateAdded).UnixMilli(), 10)
		return url.Values{"startAfter": {added}, "startAfterId": {string(last.ID)}}
	})
}

func onlyError[P any](err error) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) { yield(*new(P), err) }
}

// row is one of a list's page.
type row interface{ key() text }

// walkList walks the pages that read reads; after says how to ask for the page after one that ends with last. A page
// that comes again, and a list that goes on for too long, end the walk with an error.
func walkList[P any, R row](
	ctx context.Context, c *Client, call rest.Call, read func(context.Context, rest.Call) (P, []R, error), after func(seen int, last R) url.Values,
) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		var seen int
		var first text
		query := url.Values{}
		for range maxPages {
			query.Set("locationId", call.Account)
			query.Set("limit", strconv.Itoa(listLimit))
			call.Query = query
			page, found, err := read(rest.WithBulk(ctx), call)
			if err == nil && len(found) > 0 && found[0].key() == first {
				err = c.rest.Foreign(call, rest.Meta{})
			}
			if !yield(page, err) || err != nil || len(found) < listLimit {
				return
			}
			seen, first = seen+len(found), found[0].key()
			query = after(seen, found[len(found)-1])
		}
		yield(*new(P), c.rest.Foreign(call, rest.Meta{}))
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
