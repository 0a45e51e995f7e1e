package rankr

import (
	"context"
	"maps"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// note is a note as the contract shows it; see record for what has no value.
type note struct {
	item
	Content   string `json:"content"`
	CreatedAt string `json:"createdAt"`
}

func (n note) toCRM(record string) crm.Note {
	return crm.Note{ID: n.ID, Contact: record, ExternalID: n.ExternalID, Content: n.Content, Created: parseTime(n.CreatedAt)}
}

// noteChange is the body of an update.
func noteChange(n crm.Note) map[string]any {
	body := map[string]any{"content": n.Content, "createdAt": timeOrNull(n.Created)}
	if n.ExternalID != "" {
		body["externalId"] = n.ExternalID
	}
	return body
}

// newNote is the body of a create: a new note has nothing to clear.
func newNote(n crm.Note) map[string]any {
	body := noteChange(n)
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	return body
}

// Notes returns all notes of a record, each once.
func (c *Client) Notes(ctx context.Context, location, record string) ([]crm.Note, error) {
	call, err := c.on(listNotes, location, record)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Notes []note `json:"notes"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, err
	}
	notes, ok := items(answer.Notes, record)
	if !ok {
		return nil, c.rest.Foreign(call, meta)
	}
	return notes, nil
}

// CreateNote makes a note with its external id. Without an idempotency key it refuses.
func (c *Client) CreateNote(ctx context.Context, location, record, idempotencyKey string, n crm.Note) (crm.Note, error) {
	call, err := c.creating(createNote, location, idempotencyKey, newNote(n), record)
	if err != nil {
		return crm.Note{}, err
	}
	return c.note(ctx, call, record, func(got note) bool { return got.made(record, n.ExternalID) })
}

// UpdateNote writes all fields of the note; a time that is unknown is cleared, but an external id stays.
func (c *Client) UpdateNote(ctx context.Context, location, record string, n crm.Note) error {
	call, err := c.changing(updateNote, location, noteChange(n), record, n.ID)
	if err != nil {
		return err
	}
	_, err = c.note(ctx, call, record, func(got note) bool { return got.written(record, n.ID, n.ExternalID) })
	return err
}

// note makes a call that is answered with one note; see contact.
func (c *Client) note(ctx context.Context, call rest.Call, record string, right func(note) bool) (crm.Note, error) {
	var answer struct {
		Note note `json:"note"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Note{}, err
	}
	if !right(answer.Note) {
		return crm.Note{}, c.rest.Foreign(call, meta)
	}
	return answer.Note.toCRM(record), nil
}

// DeleteNote deletes a note. One that is gone already, with its record or without, is as good.
func (c *Client) DeleteNote(ctx context.Context, location, record, id string) error {
	call, err := c.on(deleteNote, location, record, id)
	if err != nil {
		return err
	}
	return c.delete(ctx, call)
}
