package ghl

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

const (
	dictionaryAge = 10 * time.Minute // after this long a renamed field would be noticed
	missingAge    = time.Minute      // after this long a missing id is asked for again
)

// dictionary translates the ids of a location's custom fields into keys. It never changes: a newer one replaces it.
type dictionary struct {
	keys    map[string]string
	read    time.Time
	missing map[string]time.Time // ids it does not have, and when that was last made sure of
}

// lacks tells whether the dictionary must be read again before these ids can be translated. An id it has not been
// asked for yet may belong to a field that was made a moment ago: skipping its value would lose it until the contact
// changes again. An id that stays missing is that of a deleted field, whose values linger in contacts.
func (d *dictionary) lacks(ids []string, now time.Time) (lacking, old bool) {
	if d == nil {
		return true, false
	}
	for _, id := range ids {
		if _, known := d.keys[id]; !known && now.Sub(d.missing[id]) >= missingAge {
			return true, false
		}
	}
	return false, now.Sub(d.read) >= dictionaryAge
}

// keys returns the location's keys by id, good for these ids. Without ids it costs nothing.
func (c *Client) keys(ctx context.Context, location string, ids []string) (map[string]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	c.mu.Lock()
	d := c.dictionaries[location]
	c.mu.Unlock()
	lacking, old := d.lacks(ids, c.now())
	if !lacking && !old {
		return d.keys, nil
	}
	fresh, err := c.load(ctx, location, ids)
	switch {
	case err == nil:
		return fresh.keys, nil
	case lacking: // a value left out would look like one that was taken away
		return nil, err
	default: // an old dictionary is better than no contact
		return d.keys, nil
	}
}

// load reads the dictionary; whoever needs it meanwhile waits for the same call.
func (c *Client) load(ctx context.Context, location string, ids []string) (*dictionary, error) {
	flight := c.loads.DoChan(location, func() (any, error) {
		return c.customFields(context.WithoutCancel(ctx), location) // the others need it even if the first gives up
	})
	select {
	case <-ctx.Done():
		return nil, &crm.Error{Code: crm.GHLUnavailable, Operation: "ghl " + listCustomFields.Name}
	case result := <-flight:
		if result.Err != nil {
			return nil, result.Err
		}
		return c.keep(location, result.Val.(map[string]string), ids), nil
	}
}

// keep replaces the location's dictionary, and remembers which ids even the fresh one does not have.
func (c *Client) keep(location string, keys map[string]string, ids []string) *dictionary {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := &dictionary{keys: keys, read: c.now(), missing: map[string]time.Time{}}
	if old := c.dictionaries[location]; old != nil && len(old.missing) < 10_000 {
		for id := range old.missing {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		if _, known := keys[id]; !known {
			fresh.missing[id] = fresh.read
		}
	}
	c.dictionaries[location] = fresh
	return fresh
}

// customFields lists the keys of the contacts' custom fields by id: one call.
func (c *Client) customFields(ctx context.Context, location string) (map[string]string, error) {
	call := c.call(listCustomFields, location, location)
	call.Query = url.Values{"model": {"contact"}}
	var answer struct {
		CustomFields []struct {
			ID         text `json:"id"`
			FieldKey   text `json:"fieldKey"`
			LocationID text `json:"locationId"`
		} `json:"customFields"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, err
	}
	if answer.CustomFields == nil {
		return nil, c.rest.Foreign(call, meta)
	}
	keys := make(map[string]string, len(answer.CustomFields))
	for _, field := range answer.CustomFields {
		if field.LocationID != "" && string(field.LocationID) != location {
			return nil, c.rest.Foreign(call, meta)
		}
		key, ofContact := strings.CutPrefix(string(field.FieldKey), "contact.")
		if ofContact && key != "" {
			keys[string(field.ID)] = key
		}
	}
	return keys, nil
}
