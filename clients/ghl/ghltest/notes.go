package ghltest

import (
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// Note is one note of a contact. It has no date of its last change: GHL tells none.
type Note struct {
	ID       string `json:"id"`
	Location string `json:"locationId"`
	Contact  string `json:"contactId"`

	Body      string    `json:"body"`
	UserID    string    `json:"userId,omitempty"`
	Title     string    `json:"title,omitempty"`
	Color     string    `json:"color,omitempty"`
	Pinned    bool      `json:"pinned,omitempty"`
	DateAdded time.Time `json:"dateAdded"`

	// Raw lies over the documents that the API gives out, as it is; see [Contact.Raw].
	Raw map[string]json.RawMessage `json:"raw,omitempty"`
}

func notesOf(rec *record) *[]*Note { return &rec.notes }

func (n *Note) key() string                      { return n.ID }
func (n *Note) home() (location, contact string) { return n.Location, n.Contact }

func (n *Note) clone() *Note {
	copied := *n
	copied.Raw = maps.Clone(n.Raw)
	return &copied
}

// read is the document of all answers.
func (n *Note) read() map[string]any {
	document := n.told()
	document["pinned"] = n.Pinned
	put(document, "userId", n.UserID)
	put(document, "title", n.Title)
	put(document, "color", n.Color)
	maps.Copy(document, raw(n.Raw))
	return document
}

// told is what a webhook tells of a note.
func (n *Note) told() map[string]any {
	return map[string]any{
		"id": n.ID, "contactId": n.Contact, "body": n.Body, "dateAdded": wireTime(n.DateAdded),
	}
}

// noteProperties are all that the spec lets a body hold.
var noteProperties = map[string]property[Note]{
	"body":   {required, required, text(func(n *Note) *string { return &n.Body })},
	"userId": {required, required, text(func(n *Note) *string { return &n.UserID })},
	"title":  {required, required, text(func(n *Note) *string { return &n.Title })},
	"color":  {required, required, text(func(n *Note) *string { return &n.Color })},
	"pinned": {required, required, boolean(func(n *Note) *bool { return &n.Pinned })},
}

// tellNote tells of a note's change: before is nil for a create, after for a delete.
func (s *Server) tellNote(before, after *Note) {
	switch {
	case before == nil:
		s.publish(event{kind: NoteCreate, about: after})
	case after == nil:
		s.publish(event{kind: NoteDelete, about: before})
	default:
		s.publish(event{kind: NoteUpdate, about: after})
	}
}

func listNotes(x *exchange) answer {
	rec, _, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	documents := []any{}
	for _, n := range all(rec, notesOf) {
		documents = append(documents, x.of(n.read()))
	}
	return answer{http.StatusOK, map[string]any{"notes": documents}}
}

func getNote(x *exchange) answer {
	rec, _, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	n, err := pick(all(rec, notesOf), x.item)
	if err != nil {
		return gone(err, "Note")
	}
	return x.note(http.StatusOK, n)
}

func (x *exchange) note(status int, n *Note) answer {
	return answer{status, map[string]any{"note": x.of(n.read())}}
}

func createNote(x *exchange) answer {
	rec, body, refusal, ok := x.written()
	if !ok {
		return refusal
	}
	made := &Note{}
	if err := fill(x, noteProperties, made, body, "body"); err != nil {
		return failed(err)
	}
	if err := x.server.addNote(rec, made); err != nil {
		return failed(err)
	}
	x.effect = true
	x.server.tellNote(nil, made)
	return x.note(http.StatusCreated, made)
}

// addNote puts a note on a contact. It gets what it lacks: an id, and a date.
func (s *Server) addNote(rec *record, n *Note) error {
	if n.ID == "" {
		n.ID = newID()
	}
	if n.DateAdded.IsZero() {
		n.DateAdded = s.now().UTC().Truncate(time.Millisecond)
	}
	current := rec.current.Load()
	if current == nil {
		return ErrGone
	}
	n.Location, n.Contact = rec.location.id, current.ID
	return hang(s, rec, notesOf, n)
}

func updateNote(x *exchange) answer {
	rec, body, refusal, ok := x.written()
	if !ok {
		return refusal
	}
	before, after, err := swap(rec, notesOf, x.item, func(n *Note) error {
		return apply(x, noteProperties, n, body, false)
	})
	if err != nil {
		return gone(err, "Note")
	}
	x.effect = true
	x.server.tellNote(before, after)
	return x.note(http.StatusOK, after)
}

func deleteNote(x *exchange) answer {
	rec, _, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	before, err := unhang(x.server, rec, notesOf, x.item)
	if err != nil {
		return gone(err, "Note")
	}
	x.effect = true
	x.server.tellNote(before, nil)
	return x.deleted()
}

// AddNote puts a note on a contact and returns it as saved; see [Person.AddNote].
func (s *Server) AddNote(contact string, n Note) (Note, error) {
	return Person{s, false}.AddNote(contact, n)
}

// EditNote changes a note; see [Person.EditNote].
func (s *Server) EditNote(id string, change func(*Note)) (Note, error) {
	return Person{s, false}.EditNote(id, change)
}

// DeleteNote deletes a note.
func (s *Server) DeleteNote(id string) error { return Person{s, false}.DeleteNote(id) }

// Note returns a note as it is now.
func (s *Server) Note(id string) (Note, bool) {
	n, err := find(s, notesOf, id)
	if err != nil {
		return Note{}, false
	}
	return *n.clone(), true
}

// Notes returns a contact's notes, oldest first.
func (s *Server) Notes(contact string) []Note { return copies(s, notesOf, contact) }

// AddNote puts a note on a contact, which must be there, and returns it as saved. Without an ID it gets one.
func (p Person) AddNote(contact string, n Note) (Note, error) {
	rec, _, err := p.server.contact(contact)
	if err != nil {
		return Note{}, err
	}
	made := n.clone()
	if err := p.server.addNote(rec, made); err != nil {
		return Note{}, err
	}
	p.tellNote(nil, made)
	return *made.clone(), nil
}

// EditNote lets change work on a copy of the note, and saves it; its ids and dateAdded stay.
func (p Person) EditNote(id string, change func(*Note)) (Note, error) {
	rec, err := p.server.owner(id)
	if err != nil {
		return Note{}, err
	}
	before, after, err := swap(rec, notesOf, id, func(n *Note) error {
		kept := *n
		change(n)
		n.ID, n.Location, n.Contact, n.DateAdded = kept.ID, kept.Location, kept.Contact, kept.DateAdded
		return nil
	})
	if err != nil {
		return Note{}, err
	}
	p.tellNote(before, after)
	return *after.clone(), nil
}

// DeleteNote deletes a note.
func (p Person) DeleteNote(id string) error {
	rec, err := p.server.owner(id)
	if err != nil {
		return err
	}
	before, err := unhang(p.server, rec, notesOf, id)
	if err != nil {
		return err
	}
	p.tellNote(before, nil)
	return nil
}

func (p Person) tellNote(before, after *Note) {
	if !p.quiet {
		p.server.tellNote(before, after)
	}
}
