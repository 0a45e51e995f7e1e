package rankr

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// business is a business as the contract shows it; see record for what has no value.
type business struct {
	ID          string `json:"id"`
	ExternalID  string `json:"externalId"`
	Name        string `json:"name"`
	Email       string `json:"email"`
	Phone       string `json:"phone"`
	Website     string `json:"website"`
	Address     string `json:"address"`
	City        string `json:"city"`
	State       string `json:"state"`
	PostalCode  string `json:"postalCode"`
	Country     string `json:"country"`
	Description string `json:"description"`
}

// of tells whether the business can be one that was searched for.
func (b business) of(externalID string) bool { return crm.ValidID(b.ID) && b.ExternalID == externalID }

func (b business) key() string { return b.ID }

func (b business) toCRM(string) crm.Business {
	fields := crm.Fields{}
	for name, text := range map[string]string{
		"name": b.Name, "email": b.Email, "phone": b.Phone, "website": b.Website, "address": b.Address, "city": b.City,
		"state": b.State, "postalCode": b.PostalCode, "country": b.Country, "description": b.Description,
	} {
		if text != "" {
			fields[name] = text
		}
	}
	return crm.Business{ID: b.ID, ExternalID: b.ExternalID, Fields: fields}
}

// newBusiness is the body of a create. It names what keeps the business from being sent.
func newBusiness(b crm.Business) (body map[string]any, refused []string) {
	body, refused = businessChange(crm.Patch{Set: b.Fields})
	if !b.Named() && !slices.Contains(refused, "name") {
		refused = append(refused, "name")
	}
	if b.ExternalID != "" {
		body["externalId"] = b.ExternalID
	}
	return body, refused
}

// businessChange is the body of an update. It names what can't be sent: fields that the contract does not have, for Rankr
// would refuse the whole business for them, and a name without a value.
func businessChange(patch crm.Patch) (body map[string]any, refused []string) {
	body = map[string]any{}
	for _, name := range patch.Clear {
		body[name] = nil
	}
	maps.Copy(body, patch.Set)
	for name, value := range body {
		if !slices.Contains(crm.BusinessFields, name) || name == "name" && (value == nil || value == "") {
			refused = append(refused, name)
		}
	}
	if patch.Business != nil {
		refused = append(refused, "businessId")
	}
	slices.Sort(refused)
	setOrClear(body, "externalId", patch.ExternalID)
	return body, refused
}

// FindBusiness returns the businesses with the external id, each once. Without one it returns none: Rankr itself would
// list all.
func (c *Client) FindBusiness(ctx context.Context, location, externalID string) ([]crm.Business, error) {
	if externalID == "" {
		return nil, nil
	}
	call := c.call(findBusinesses, location)
	call.Query = url.Values{"externalId": {externalID}, "limit": {strconv.Itoa(pageSize)}}
	var answer struct {
		Businesses []business `json:"businesses"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, err
	}
	found, ok := items(answer.Businesses, externalID)
	if !ok {
		return nil, c.rest.Foreign(call, meta)
	}
	return found, nil
}

// ReadBusiness reads one business by Rankr's id.
func (c *Client) ReadBusiness(ctx context.Context, location, id string) (crm.Business, error) {
	call, err := c.on(getBusiness, location, id)
	if err != nil {
		return crm.Business{}, err
	}
	return c.business(ctx, call, func(got business) bool { return got.ID == id })
}

// CreateBusiness makes a business with its external id. Without an idempotency key it refuses.
func (c *Client) CreateBusiness(ctx context.Context, location, idempotencyKey string, b crm.Business) (crm.Business, error) {
	body, refused := newBusiness(b)
	if refused != nil {
		return crm.Business{}, createBusiness.refuse(refused...)
	}
	call, err := c.creating(createBusiness, location, idempotencyKey, body)
	if err != nil {
		return crm.Business{}, err
	}
	return c.business(ctx, call, func(got business) bool { return got.of(b.ExternalID) })
}

// UpdateBusiness writes what the patch holds and nothing else. An empty patch costs no call.
func (c *Client) UpdateBusiness(ctx context.Context, location, id string, patch crm.Patch) error {
	if patch.Empty() {
		return nil
	}
	body, refused := businessChange(patch)
	if refused != nil {
		return updateBusiness.refuse(refused...)
	}
	call, err := c.changing(updateBusiness, location, body, id)
	if err != nil {
		return err
	}
	_, err = c.business(ctx, call, func(got business) bool {
		return got.ID == id && (patch.ExternalID == nil || got.ExternalID == *patch.ExternalID)
	})
	return err
}

// business makes a call that is answered with one business; see contact.
func (c *Client) business(ctx context.Context, call rest.Call, right func(business) bool) (crm.Business, error) {
	var answer struct {
		Business business `json:"business"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Business{}, err
	}
	if !right(answer.Business) {
		return crm.Business{}, c.rest.Foreign(call, meta)
	}
	return answer.Business.toCRM(""), nil
}

// DeleteBusiness deletes a business. One that is gone already is as good.
func (c *Client) DeleteBusiness(ctx context.Context, location, id string) error {
	call, err := c.on(deleteBusiness, location, id)
	if err != nil {
		return err
	}
	return c.delete(ctx, call)
}
