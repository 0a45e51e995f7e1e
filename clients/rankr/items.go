package rankr

import (
	"time"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// item is what the contract shows of a task and of a note alike.
type item struct {
	ID         string `json:"id"`
	ContactID  string `json:"contactId"` // empty: Rankr does not tell
	ExternalID string `json:"externalId"`
}

// of tells whether the item can be one of the record's.
func (i item) of(record string) bool {
	return crm.ValidID(i.ID) && (i.ContactID == "" || i.ContactID == record)
}

// made tells whether a create's answer is about what was to be made.
func (i item) made(record, externalID string) bool { return i.of(record) && i.ExternalID == externalID }

// written tells whether a write's answer is about what was to be written. No external id was not sent.
func (i item) written(record, id, externalID string) bool {
	return i.of(record) && i.ID == id && (externalID == "" || i.ExternalID == externalID)
}

func (i item) key() string { return i.ID }

// items says a list in the crm's words, each item once: who took a doubled one for two would delete the second, and
// so both. It is false for a list that can't be what was asked for: the record's, or what has the external id.
func items[T any, I interface {
	of(asked string) bool
	key() string
	toCRM(asked string) T
}](list []I, asked string) ([]T, bool) {
	if list == nil { // "none" is an empty list: anything else is somebody else's answer
		return nil, false
	}
	said := make([]T, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, i := range list {
		if !i.of(asked) {
			return nil, false
		}
		if !seen[i.key()] {
			seen[i.key()] = true
			said = append(said, i.toCRM(asked))
		}
	}
	return said, true
}

// creating makes the request of a create, in a record or not. Without an idempotency key it refuses: an answer that gets
// lost would end in two of them.
func (c *Client) creating(o Operation, location, idempotencyKey string, body map[string]any, ids ...string) (rest.Call, error) {
	if idempotencyKey == "" {
		return rest.Call{}, o.refuse("Idempotency-Key")
	}
	call, err := c.changing(o, location, body, ids...)
	if err == nil {
		call.Header.Set("Idempotency-Key", idempotencyKey)
	}
	return call, err
}

// changing makes the request of a write with a body.
func (c *Client) changing(o Operation, location string, body map[string]any, ids ...string) (rest.Call, error) {
	call, err := c.on(o, location, ids...)
	call.Body = body
	return call, err
}

// setOrClear puts a text into a change: nil leaves it, and none clears it.
func setOrClear(body map[string]any, name string, text *string) {
	if text != nil {
		body[name] = orNull(*text)
	}
}

// orNull is how a change writes a text: none is cleared with null.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// timeOrNull is how a change writes a time: none is cleared with null.
func timeOrNull(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// parseTime returns no time for a text that is none.
func parseTime(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
