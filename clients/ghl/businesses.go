package ghl

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// business is GHL's business as far as it is mapped.
type business struct {
	ID          text `json:"id"`
	LocationID  text `json:"locationId"`
	Name        text `json:"name"`
	Email       text `json:"email"`
	Phone       text `json:"phone"`
	Website     text `json:"website"`
	Address     text `json:"address"`
	City        text `json:"city"`
	State       text `json:"state"`
	PostalCode  text `json:"postalCode"`
	Country     text `json:"country"`
	Description text `json:"description"`
}

func (w business) key() text { return w.ID }

// toCRM says a business in the crm's words; an empty text is no value.
func (w business) toCRM(location string) crm.Business {
	fields := crm.Fields{}
	for name, value := range map[string]text{
		"name": w.Name, "email": w.Email, "phone": w.Phone, "website": w.Website, "address": w.Address, "city": w.City,
		"state": w.State, "postalCode": w.PostalCode, "country": w.Country, "description": w.Description,
	} {
		if value != "" {
			fields[name] = string(value)
		}
	}
	return crm.Business{ID: string(w.ID), Location: location, Fields: fields}
}

// Business reads one business: one call. A field of a type that can't be made sense of is [crm.GHLInvalid] with the
// field's name.
func (c *Client) Business(ctx context.Context, location, id string) (crm.Business, time.Time, error) {
	if err := validIDs(named{"location", location}, named{"business", id}); err != nil {
		return crm.Business{}, time.Time{}, err
	}
	call := c.call(getBusiness, location, id)
	var answer struct {
		Business business `json:"business"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Business{}, meta.Date, err
	}
	found := answer.Business
	if string(found.ID) != id || string(found.LocationID) != location {
		return crm.Business{}, meta.Date, c.rest.Foreign(call, meta)
	}
	return found.toCRM(location), meta.Date, nil
}

// Businesses walks all businesses of a location in bulk calls. Those that come and go meanwhile may be seen twice or
// missed.
func (c *Client) Businesses(ctx context.Context, location string) iter.Seq2[crm.BusinessPage, error] {
	if err := validIDs(named{"location", location}); err != nil {
		return onlyError[crm.BusinessPage](err)
	}
	return walkList(ctx, c, c.call(listBusinesses, location), c.businessPage, skipSeen)
}

// businessPage reads one page.
func (c *Client) businessPage(ctx context.Context, call rest.Call) (crm.BusinessPage, []business, error) {
	var answer struct {
		Businesses []business `json:"businesses"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	page := crm.BusinessPage{At: meta.Date}
	if err != nil {
		return page, nil, err
	}
	if answer.Businesses == nil {
		return page, nil, c.rest.Foreign(call, meta)
	}
	for _, found := range answer.Businesses {
		if !crm.ValidID(string(found.ID)) || !tells(found.LocationID, call.Account) {
			return crm.BusinessPage{At: meta.Date}, nil, c.rest.Foreign(call, meta)
		}
		page.Businesses = append(page.Businesses, found.toCRM(call.Account))
	}
	return page, answer.Businesses, nil
}

// skipSeen asks for the page after as many rows as were seen.
func skipSeen[R any](seen int, _ R) url.Values { return url.Values{"skip": {strconv.Itoa(seen)}} }

// maxAttached is how many contacts one call may attach or detach.
const maxAttached = 50

// AttachToBusiness attaches contacts, at most 50, to a business; each leaves the one it was attached to.
func (c *Client) AttachToBusiness(ctx context.Context, location, business string, contacts ...string) error {
	if err := validIDs(named{"business", business}); err != nil {
		return err
	}
	return c.attach(ctx, location, &business, contacts)
}

// DetachFromBusiness takes contacts, at most 50, off the business that each is attached to.
func (c *Client) DetachFromBusiness(ctx context.Context, location string, contacts ...string) error {
	return c.attach(ctx, location, nil, contacts)
}

// attach writes the business of contacts; nil is none, and goes over as null.
func (c *Client) attach(ctx context.Context, location string, business *string, contacts []string) error {
	ids := []named{{"location", location}}
	for _, contact := range contacts {
		ids = append(ids, named{"contact", contact})
	}
	if err := validIDs(ids...); err != nil {
		return err
	}
	if len(contacts) == 0 || len(contacts) > maxAttached {
		return invalid("contacts")
	}
	call := c.call(attachContacts, location)
	call.Body = struct {
		LocationID string   `json:"locationId"`
		IDs        []string `json:"ids"`
		BusinessID *string  `json:"businessId"`
	}{location, contacts, business}
	var answer struct {
		Success flag `json:"success"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err == nil && !bool(answer.Success) {
		err = c.rest.Foreign(call, meta)
	}
	return err
}
