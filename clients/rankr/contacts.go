package rankr

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// A search ends after so many pages of so many records. Rankr names the record with our external id first; who
// matches by e-mail or phone behind hundreds of others is no candidate that a program could choose.
const (
	maxPages = 3
	pageSize = 100
)

// Find returns the records for which any of the keys matches, each once. Without a key it returns none: Rankr
// itself would list everybody.
func (c *Client) Find(ctx context.Context, location string, keys crm.Keys) ([]crm.Contact, error) {
	if keys == (crm.Keys{}) {
		return nil, nil
	}
	call := c.call(findContacts, location)
	call.Query = query(keys)
	var found []crm.Contact
	seen := map[string]bool{} // a record may move from one page to the next between two calls
	for range maxPages {
		records, next, _, err := c.page(ctx, call)
		if err != nil {
			return nil, err
		}
		for _, record := range records {
			if !seen[record.ID] {
				seen[record.ID] = true
				found = append(found, record)
			}
		}
		if next == "" {
			break
		}
		call.Query.Set("startAfter", next)
	}
	return found, nil
}

// page reads one page of records, and what leads to the next one; empty: nothing does.
func (c *Client) page(ctx context.Context, call rest.Call) (records []crm.Contact, next string, meta rest.Meta, err error) {
	var answer page
	if meta, err = c.rest.Do(ctx, call, &answer); err != nil {
		return nil, "", meta, err
	}
	if answer.Contacts == nil { // "none" is an empty list: anything else is somebody else's answer
		return nil, "", meta, c.rest.Foreign(call, meta)
	}
	for _, record := range answer.Contacts {
		if !crm.ValidID(record.ID) {
			return nil, "", meta, c.rest.Foreign(call, meta)
		}
		records = append(records, record.toCRM(""))
	}
	return records, answer.Next, meta, nil
}

func query(keys crm.Keys) url.Values {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for name, value := range map[string]string{"externalId": keys.ExternalID, "email": keys.Email, "phone": keys.Phone} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// Contact reads one record by Rankr's id.
func (c *Client) Contact(ctx context.Context, location, id string) (crm.Contact, error) {
	call, err := c.on(getContact, location, id)
	if err != nil {
		return crm.Contact{}, err
	}
	return c.contact(ctx, call, func(got record) bool { return got.ID == id })
}

// Create makes a record with the contact's external id, fields, tags and business. Without an idempotency key it refuses: an
// answer that gets lost would end in two records.
func (c *Client) Create(ctx context.Context, location, idempotencyKey string, contact crm.Contact) (crm.Contact, error) {
	body, refused := newContact(contact)
	if idempotencyKey == "" {
		refused = append(refused, "Idempotency-Key")
	}
	if refused != nil {
		return crm.Contact{}, createContact.refuse(refused...)
	}
	call := c.call(createContact, location)
	call.Header.Set("Idempotency-Key", idempotencyKey)
	call.Body = body
	return c.contact(ctx, call, func(got record) bool {
		return crm.ValidID(got.ID) && got.ExternalID == contact.ExternalID
	})
}

// Update writes what the patch holds and nothing else. An empty patch costs no call.
func (c *Client) Update(ctx context.Context, location, id, etag string, patch crm.Patch) error {
	if patch.Empty() {
		return nil
	}
	body, unknown := change(patch)
	if unknown != nil {
		return updateContact.refuse(unknown...)
	}
	call, err := c.on(updateContact, location, id)
	if err != nil {
		return err
	}
	if etag != "" {
		call.Header.Set("If-Match", etag)
	}
	call.Body = body
	_, err = c.contact(ctx, call, func(got record) bool {
		return got.ID == id && (patch.ExternalID == nil || got.ExternalID == *patch.ExternalID) &&
			(patch.Business == nil || got.BusinessID == *patch.Business)
	})
	return err
}

// contact makes a call that is answered with one record. A record that can't be the one that was asked for is no
// answer, and leaves open what became of a write.
func (c *Client) contact(ctx context.Context, call rest.Call, right func(record) bool) (crm.Contact, error) {
	var answer struct {
		Contact record `json:"contact"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Contact{}, err
	}
	if !right(answer.Contact) {
		return crm.Contact{}, c.rest.Foreign(call, meta)
	}
	return answer.Contact.toCRM(meta.ETag), nil
}

// AddTags adds tags to a record and leaves its others. No tags cost no call.
func (c *Client) AddTags(ctx context.Context, location, id string, tags []string) error {
	return c.changeTags(ctx, addTags, location, id, tags)
}

// RemoveTags removes tags from a record and leaves its others. No tags cost no call.
func (c *Client) RemoveTags(ctx context.Context, location, id string, tags []string) error {
	return c.changeTags(ctx, removeTags, location, id, tags)
}

func (c *Client) changeTags(ctx context.Context, o Operation, location, id string, tags []string) error {
	body := tagsBody{Tags: crm.FoldTags(tags)}
	if len(body.Tags) == 0 {
		return nil
	}
	call, err := c.on(o, location, id)
	if err != nil {
		return err
	}
	call.Body = body
	var answer tagsBody
	meta, err := c.rest.Do(ctx, call, &answer)
	if err == nil && answer.Tags == nil {
		return c.rest.Foreign(call, meta)
	}
	return err
}

// Delete deletes a record. One that is gone already is as good.
func (c *Client) Delete(ctx context.Context, location, id string) error {
	call, err := c.on(deleteContact, location, id)
	if err != nil {
		return err
	}
	return c.delete(ctx, call)
}

// delete makes a call that deletes something. It is content when that is gone already.
func (c *Client) delete(ctx context.Context, call rest.Call) error {
	var answer struct {
		Succeeded bool `json:"succeeded"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	switch {
	case errors.Is(err, &crm.Error{Code: crm.RankrNotFound}):
		return nil
	case err == nil && !answer.Succeeded:
		return c.rest.Foreign(call, meta)
	}
	return err
}
