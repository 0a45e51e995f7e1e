package rankrtest

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Note is one note as the fake holds it.
type Note struct {
	Item
	Content string    `json:"content"`
	Created time.Time `json:"created,omitzero"` // as it was sent; zero: it was not
}

func (n *Note) set(k Knobs, name string, value any) string {
	switch name {
	case "content":
		return k.put(&n.Content, name, value, false)
	case "createdAt":
		return putTime(&n.Created, value)
	}
	return n.Item.set(k, name, value)
}

func (n *Note) wire() map[string]any {
	return map[string]any{"content": n.Content, "createdAt": timeOrNull(n.Created), "externalId": textOrNull(n.ExternalID)}
}

func (s *Server) listNotes(a *account, req request) answer  { return list(s, s.notes, a, req) }
func (s *Server) createNote(a *account, req request) answer { return create(s, s.notes, a, req) }
func (s *Server) updateNote(a *account, req request) answer { return update(s, s.notes, a, req) }
func (s *Server) deleteNote(a *account, req request) answer { return remove(s, s.notes, a, req) }

// AddNote makes a note as a person in Rankr does; its ContactID says where. What the fake gives it itself (account,
// id, dates, version) is ignored.
func (s *Server) AddNote(note Note) (Note, error) { return add(s, s.notes, note) }

// EditNote changes a note as a person in Rankr does: external id and contents.
func (s *Server) EditNote(id string, change func(*Note)) (Note, error) {
	return edit(s, s.notes, id, change)
}

// RemoveNote deletes a note as a person in Rankr does.
func (s *Server) RemoveNote(id string) error { return discard(s, s.notes, id) }

// Notes returns the notes of a contact, oldest first; empty: of every contact.
func (s *Server) Notes(contactID string) []Note { return shown(s, s.notes, contactID) }

// NoteHistory returns the changes of all notes that ever carried the external id, oldest first; empty: of all notes.
func (s *Server) NoteHistory(externalID string) []Event { return history(s, s.notes, externalID) }

// DoubledNotes returns the external ids that more than one note of an account had at any instant ever, sorted; see
// [Server.Doubled].
func (s *Server) DoubledNotes() []string { return doubled(s, s.notes) }

// Notes is [Server.Notes].
func (r Remote) Notes(ctx context.Context, contactID string) ([]Note, error) {
	return ask[[]Note](ctx, r, http.MethodGet, "/notes?contactId="+url.QueryEscape(contactID), nil)
}

// AddNote is [Server.AddNote].
func (r Remote) AddNote(ctx context.Context, note Note) (Note, error) {
	return ask[Note](ctx, r, http.MethodPost, "/notes", note)
}

// EditNote is [Server.EditNote]; a change that comes between its read and its write is lost.
func (r Remote) EditNote(ctx context.Context, id string, change func(*Note)) (Note, error) {
	return remoteEdit(ctx, r, "notes", id, change)
}

// RemoveNote is [Server.RemoveNote].
func (r Remote) RemoveNote(ctx context.Context, id string) error {
	_, err := ask[any](ctx, r, http.MethodDelete, "/notes/"+url.PathEscape(id), nil)
	return err
}

// NoteHistory is [Server.NoteHistory].
func (r Remote) NoteHistory(ctx context.Context, externalID string) ([]Event, error) {
	return ask[[]Event](ctx, r, http.MethodGet, "/notes/history?externalId="+url.QueryEscape(externalID), nil)
}

// DoubledNotes is [Server.DoubledNotes].
func (r Remote) DoubledNotes(ctx context.Context) ([]string, error) {
	return ask[[]string](ctx, r, http.MethodGet, "/notes/doubled", nil)
}
