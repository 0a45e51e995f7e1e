package ghl

import (
	"context"
	"errors"
	"time"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// What is asked of the client is looked at before GHL is: an id that can't be one must not become part of a path,
// and what GHL is known to refuse need not cost a call.

// named is a value of the caller's and what it is called in an error.
type named struct{ name, value string }

// validIDs refuses what can't be an id.
func validIDs(ids ...named) error {
	for _, id := range ids {
		if !crm.ValidID(id.value) {
			return invalid(id.name)
		}
	}
	return nil
}

// without refuses empty values that GHL demands.
func without(values ...named) error {
	var missing []string
	for _, v := range values {
		if v.value == "" {
			missing = append(missing, v.name)
		}
	}
	if missing != nil {
		return invalid(missing...)
	}
	return nil
}

func invalid(names ...string) error {
	return &crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: names}
}

// itemCall makes a call about a contact's task or note. An operation that makes one needs no id.
func (c *Client) itemCall(o Operation, ref crm.Ref, id string) (rest.Call, error) {
	err := ref.Validate()
	if err == nil && o.ids() > 1 {
		err = validIDs(named{"id", id})
	}
	return c.call(o, ref.Location, ref.Contact, id), err
}

// succeeded is the answer to a delete; the older versions misspell it.
type succeeded struct {
	Misspelt flag `json:"succeded"`
	Spelt    flag `json:"succeeded"`
}

// remove deletes a contact, or a task or note of one, and is content when it is gone already.
func (c *Client) remove(ctx context.Context, o Operation, ref crm.Ref, id string) error {
	call, err := c.itemCall(o, ref, id)
	if err != nil {
		return err
	}
	var answer succeeded
	meta, err := c.rest.Do(ctx, call, &answer)
	switch {
	case errors.Is(err, &crm.Error{Code: crm.GHLNotFound}):
		return nil
	case err != nil:
		return err
	case !bool(answer.Misspelt || answer.Spelt):
		return c.rest.Foreign(call, meta)
	}
	return nil
}

// tells says whether a document is about what was asked for, as far as it tells.
func tells(said text, asked string) bool { return said == "" || string(said) == asked }

// isoTime is wireTime, but empty for no time.
func isoTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return wireTime(t)
}
