package ghl

import (
	"context"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// note is GHL's note as far as it is mapped. It has no time of its last change.
type note struct {
	ID        text    `json:"id"`
	ContactID text    `json:"contactId"`
	Body      text    `json:"body"`
	DateAdded instant `json:"dateAdded"`
}

// of tells whether this can be a note of the contact.
func (w note) of(ref crm.Ref) bool {
	return crm.ValidID(string(w.ID)) && tells(w.ContactID, ref.Contact)
}

func (w note) toCRM(contact string) crm.Note {
	return crm.Note{ID: string(w.ID), Contact: contact, Content: string(w.Body), Created: w.DateAdded.Time}
}

// Notes reads all notes of a contact: one call. [crm.GHLNotFound] when there is no such contact; a field of a type
// that can't be made sense of is [crm.GHLInvalid] with the field's name.
func (c *Client) Notes(ctx context.Context, ref crm.Ref) ([]crm.Note, time.Time, error) {
	if err := ref.Validate(); err != nil {
		return nil, time.Time{}, err
	}
	call := c.call(listNotes, ref.Location, ref.Contact)
	var answer struct {
		Notes []note `json:"notes"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, meta.Date, err
	}
	if answer.Notes == nil {
		return nil, meta.Date, c.rest.Foreign(call, meta)
	}
	notes := make([]crm.Note, len(answer.Notes))
	for i, found := range answer.Notes {
		if !found.of(ref) {
			return nil, meta.Date, c.rest.Foreign(call, meta)
		}
		notes[i] = found.toCRM(ref.Contact)
	}
	return notes, meta.Date, nil
}

// Note reads one note of a contact.
func (c *Client) Note(ctx context.Context, ref crm.Ref, id string) (crm.Note, time.Time, error) {
	return c.note(ctx, getNote, ref, id, nil)
}

// CreateNote makes a note on a contact and returns it as saved; the date is GHL's. GHL has no idempotency key:
// whoever tries again after an error that may have landed must look for the note first.
func (c *Client) CreateNote(ctx context.Context, ref crm.Ref, content string) (crm.Note, error) {
	if missing := without(named{"body", content}); missing != nil {
		return crm.Note{}, missing
	}
	made, _, err := c.note(ctx, createNote, ref, "", noteBody{content})
	return made, err
}

// UpdateNote changes a note's content, and returns it as saved.
func (c *Client) UpdateNote(ctx context.Context, ref crm.Ref, id, content string) (crm.Note, error) {
	changed, _, err := c.note(ctx, updateNote, ref, id, noteBody{content})
	return changed, err
}

// noteBody leaves title, color, pin and author alone.
type noteBody struct {
	Body string `json:"body"`
}

// DeleteNote deletes a note. It is content when the note is gone already.
func (c *Client) DeleteNote(ctx context.Context, ref crm.Ref, id string) error {
	return c.remove(ctx, deleteNote, ref, id)
}

// note makes a call that answers with one note. An empty id is that of a note to be made.
func (c *Client) note(ctx context.Context, o Operation, ref crm.Ref, id string, body any) (crm.Note, time.Time, error) {
	call, err := c.itemCall(o, ref, id)
	if err != nil {
		return crm.Note{}, time.Time{}, err
	}
	call.Body = body
	var answer struct {
		Note note `json:"note"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Note{}, meta.Date, err
	}
	found := answer.Note
	if !found.of(ref) || id != "" && string(found.ID) != id {
		return crm.Note{}, meta.Date, c.rest.Foreign(call, meta)
	}
	return found.toCRM(ref.Contact), meta.Date, nil
}
