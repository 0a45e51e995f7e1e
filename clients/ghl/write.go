package ghl

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rankrsync/rankrsync/crm"
)

// GHL refuses a whole write for one property that the endpoint does not know, and takes different ones for making a
// contact and for changing it. So each body is made of what its endpoint takes, and of nothing that was read.

// fixed are the fields that can be set when a contact is made but not changed afterwards.
var fixed = []string{"companyName"}

// clearable are the fields that an update may set to null.
var clearable = []string{
	"email", "firstName", "lastName", "phone", "address1", "city", "state", "website", "timezone", "dateOfBirth",
	"source", "assignedTo",
}

// CreateContact makes a contact and returns its id; read it to see what GHL made of it. Where the location forbids
// duplicates, [crm.GHLDuplicate] carries the id of the contact that has the email or phone.
func (c *Client) CreateContact(ctx context.Context, location string, fields crm.Fields, tags []string) (string, error) {
	body, err := c.newContact(ctx, location, fields)
	if err != nil {
		return "", err
	}
	if len(tags) > 0 {
		body["tags"] = tags
	}
	id, _, err := c.written(ctx, createContact, location, "", body)
	return id, err
}

// UpsertContact changes the contact that GHL finds by email or phone, or makes one. It returns its id, and whether it
// was made. Tags are not sent, for they would replace all that the contact has; see [Client.AddTags].
func (c *Client) UpsertContact(ctx context.Context, location string, fields crm.Fields) (id string, made bool, err error) {
	if fields["email"] == nil && fields["phone"] == nil {
		return "", false, invalid("email", "phone") // nothing to find it by: every call would make another one
	}
	body, err := c.newContact(ctx, location, fields)
	if err != nil {
		return "", false, err
	}
	return c.written(ctx, upsertContact, location, "", body)
}

// UpdateContact writes what the patch holds. A company can't be changed, and some fields can't be cleared: that is
// [crm.InvalidInput] with their names.
func (c *Client) UpdateContact(ctx context.Context, ref crm.Ref, patch crm.Patch) error {
	if err := ref.Validate(); err != nil {
		return err
	}
	if err := writable(patch); err != nil {
		return err
	}
	body, err := c.body(ctx, ref.Location, patch.Set, patch.Clear)
	if err != nil {
		return err
	}
	_, _, err = c.written(ctx, updateContact, ref.Location, ref.Contact, body)
	return err
}

// DeleteContact deletes a contact with its tasks and notes. It is content when the contact is gone already.
func (c *Client) DeleteContact(ctx context.Context, ref crm.Ref) error {
	return c.remove(ctx, deleteContact, ref, "")
}

// AddTags adds tags to a contact, and returns all it has then.
func (c *Client) AddTags(ctx context.Context, ref crm.Ref, tags []string) ([]string, error) {
	return c.changeTags(ctx, addTags, ref, tags)
}

// RemoveTags takes tags from a contact, and returns all it has then.
func (c *Client) RemoveTags(ctx context.Context, ref crm.Ref, tags []string) ([]string, error) {
	return c.changeTags(ctx, removeTags, ref, tags)
}

func (c *Client) changeTags(ctx context.Context, o Operation, ref crm.Ref, tags []string) ([]string, error) {
	if err := ref.Validate(); err != nil {
		return nil, err
	}
	if len(tags) == 0 {
		return nil, invalid("tags")
	}
	call := c.call(o, ref.Location, ref.Contact)
	call.Body = struct {
		Tags []string `json:"tags"`
	}{tags}
	var answer struct {
		Tags []text `json:"tags"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, err
	}
	if answer.Tags == nil {
		return nil, c.rest.Foreign(call, meta)
	}
	return folded(answer.Tags), nil
}

// written makes a call that answers with the contact as saved. An empty id is that of a contact to be found or made.
func (c *Client) written(ctx context.Context, o Operation, location, id string, body map[string]any) (string, bool, error) {
	call := c.call(o, location, id)
	call.Body = body
	var answer struct {
		New     flag `json:"new"`
		Contact struct {
			ID         text `json:"id"`
			LocationID text `json:"locationId"`
		} `json:"contact"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return "", false, err
	}
	found := string(answer.Contact.ID)
	if !crm.ValidID(found) || id != "" && found != id || !tells(answer.Contact.LocationID, location) {
		return "", false, c.rest.Foreign(call, meta)
	}
	return found, bool(answer.New), nil
}

// newContact is the body of a create or an upsert.
func (c *Client) newContact(ctx context.Context, location string, fields crm.Fields) (map[string]any, error) {
	if err := validIDs(named{"location", location}); err != nil {
		return nil, err
	}
	body, err := c.body(ctx, location, fields, nil)
	if err == nil {
		body["locationId"] = location
	}
	return body, err
}

// writable refuses a patch that an update can't carry out.
func writable(patch crm.Patch) error {
	var refused []string
	if patch.ExternalID != nil {
		refused = append(refused, "externalId")
	}
	for _, name := range patch.Set.Names() {
		if slices.Contains(fixed, name) {
			refused = append(refused, name)
		}
	}
	for _, name := range patch.Clear {
		if !slices.Contains(clearable, name) && !strings.HasPrefix(name, crm.CustomField) {
			refused = append(refused, name)
		}
	}
	if refused != nil {
		return invalid(refused...)
	}
	return nil
}

// customValue is one custom field of a body.
type customValue struct {
	ID      string `json:"id"`
	Value   any    `json:"field_value,omitzero"` // the versions before v3
	ValueV3 any    `json:"fieldValue,omitzero"`
}

// body says fields in GHL's words: cleared ones are null, custom ones a list by id. A cleared custom field is an
// empty text, for that a null clears one is documented nowhere.
func (c *Client) body(ctx context.Context, location string, set crm.Fields, cleared []string) (map[string]any, error) {
	values := map[string]any{}
	for _, name := range cleared {
		values[name] = nil
		if strings.HasPrefix(name, crm.CustomField) {
			values[name] = ""
		}
	}
	maps.Copy(values, set)
	body, custom := map[string]any{}, map[string]any{}
	for name, value := range values {
		if key, ok := strings.CutPrefix(name, crm.CustomField); ok {
			custom[key] = value
			continue
		}
		if !slices.Contains(crm.StandardFields, name) {
			return nil, invalid(name)
		}
		body[name] = value
	}
	if len(custom) == 0 {
		return body, nil
	}
	list, err := c.customValues(ctx, location, custom)
	body["customFields"] = list
	return body, err
}

// customValues translates keys into the location's ids.
func (c *Client) customValues(ctx context.Context, location string, custom map[string]any) ([]customValue, error) {
	ids, err := c.customFieldIDs(ctx, location, slices.Collect(maps.Keys(custom)))
	if err != nil {
		return nil, err
	}
	list := make([]customValue, 0, len(custom))
	for _, key := range slices.Sorted(maps.Keys(custom)) {
		value := customValue{ID: ids[key]}
		if c.version == "v3" {
			value.ValueV3 = custom[key]
		} else {
			value.Value = custom[key]
		}
		list = append(list, value)
	}
	return list, nil
}

// customFieldIDs returns the ids of the location's custom fields by key. A key that even a fresh dictionary does not
// have is [crm.InvalidInput].
func (c *Client) customFieldIDs(ctx context.Context, location string, keys []string) (map[string]string, error) {
	c.mu.Lock()
	d := c.dictionaries[location]
	c.mu.Unlock()
	ids := d.ids()
	if lacksAny(ids, keys) != "" {
		fresh, err := c.load(ctx, location, nil)
		if err != nil {
			return nil, err
		}
		ids = fresh.ids()
	}
	if key := lacksAny(ids, keys); key != "" {
		return nil, invalid(crm.CustomField + key)
	}
	return ids, nil
}

func lacksAny(ids map[string]string, keys []string) string {
	for _, key := range keys {
		if ids[key] == "" {
			return key
		}
	}
	return ""
}

// ids is the dictionary the other way round.
func (d *dictionary) ids() map[string]string {
	ids := map[string]string{}
	if d != nil {
		for id, key := range d.keys {
			ids[key] = id
		}
	}
	return ids
}

// FindDuplicate returns the id of the contact that GHL takes for the one with this email or phone, which is the one
// that an upsert would change; empty when there is none.
func (c *Client) FindDuplicate(ctx context.Context, location, email, phone string) (string, error) {
	if err := validIDs(named{"location", location}); err != nil {
		return "", err
	}
	if email == "" && phone == "" {
		return "", invalid("email", "phone")
	}
	call := c.call(findDuplicate, location)
	call.Query = url.Values{"locationId": {location}}
	for name, value := range map[string]string{"email": email, "number": phone} {
		if value != "" {
			call.Query.Set(name, value)
		}
	}
	var answer struct {
		Contact jsontext.Value `json:"contact"` // no schema is published; null when there is none
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil || answer.Contact.Kind() == 'n' {
		return "", err
	}
	var found struct {
		ID         text `json:"id"`
		LocationID text `json:"locationId"`
	}
	if json.Unmarshal(answer.Contact, &found) != nil || !crm.ValidID(string(found.ID)) || !tells(found.LocationID, location) {
		return "", c.rest.Foreign(call, meta)
	}
	return string(found.ID), nil
}
