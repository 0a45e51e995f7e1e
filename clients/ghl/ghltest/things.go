package ghltest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
)

// Tasks and notes hang on contacts, and are kept in the same way. A version of one is never changed, only replaced,
// so that events may tell of it later.

// thing is a task or a note.
type thing[T any] interface {
	*T
	subject
	key() string
	clone() *T
}

// find returns a task or note by its id alone.
func find[T any, P thing[T]](s *Server, on func(*record) *[]P, id string) (P, error) {
	rec, err := s.owner(id)
	if err != nil {
		return nil, err
	}
	rec.location.mu.Lock()
	defer rec.location.mu.Unlock()
	return pick(*on(rec), id)
}

// owner returns the contact that a task or note hangs on.
func (s *Server) owner(id string) (*record, error) {
	entry, ok := s.owners.Load(id)
	if !ok {
		return nil, ErrGone
	}
	return entry.(*record), nil
}

func pick[T any, P thing[T]](all []P, id string) (P, error) {
	i := slices.IndexFunc(all, func(p P) bool { return p.key() == id })
	if i < 0 {
		return nil, ErrGone
	}
	return all[i], nil
}

// all returns what hangs on a contact, oldest first.
func all[T any, P thing[T]](rec *record, on func(*record) *[]P) []P {
	rec.location.mu.Lock()
	defer rec.location.mu.Unlock()
	return slices.Clone(*on(rec))
}

// hang puts a new task or note on a contact that is still there.
func hang[T any, P thing[T]](s *Server, rec *record, on func(*record) *[]P, made P) error {
	rec.location.mu.Lock()
	defer rec.location.mu.Unlock()
	if rec.current.Load() == nil {
		return ErrGone
	}
	*on(rec) = append(*on(rec), made)
	s.owners.Store(made.key(), rec)
	return nil
}

// swap changes a task or note: change gets a copy to work on, and its error leaves everything as it was.
func swap[T any, P thing[T]](rec *record, on func(*record) *[]P, id string, change func(P) error) (before, after P, err error) {
	rec.location.mu.Lock()
	defer rec.location.mu.Unlock()
	if before, err = pick(*on(rec), id); err != nil {
		return nil, nil, err
	}
	after = before.clone()
	if err = change(after); err != nil {
		return nil, nil, err
	}
	things := *on(rec)
	things[slices.Index(things, before)] = after
	return before, after, nil
}

// unhang deletes a task or note for good.
func unhang[T any, P thing[T]](s *Server, rec *record, on func(*record) *[]P, id string) (P, error) {
	rec.location.mu.Lock()
	defer rec.location.mu.Unlock()
	before, err := pick(*on(rec), id)
	if err != nil {
		return nil, err
	}
	*on(rec) = slices.DeleteFunc(*on(rec), func(p P) bool { return p == before })
	s.owners.Delete(id)
	return before, nil
}

// copies returns what hangs on a contact, to keep.
func copies[T any, P thing[T]](s *Server, on func(*record) *[]P, contact string) []T {
	rec, _, err := s.contact(contact)
	if err != nil {
		return nil
	}
	things := all(rec, on)
	copied := make([]T, len(things))
	for i, p := range things {
		copied[i] = *p.clone()
	}
	return copied
}

// disown drops what hangs on a contact that is deleted. Whether GHL tells of each is not published; here nobody is
// told. The lock is held.
func (s *Server) disown(rec *record) {
	for _, t := range rec.tasks {
		s.owners.Delete(t.ID)
	}
	for _, n := range rec.notes {
		s.owners.Delete(n.ID)
	}
	rec.tasks, rec.notes = nil, nil
}

// need complains about properties that a body must have and has not.
func need(body map[string]json.RawMessage, names ...string) (wrong invalid) {
	for _, name := range names {
		if _, given := body[name]; !given {
			wrong = append(wrong, name+" should not be empty")
		}
	}
	return wrong
}

// fill makes a new task or note of a body, which must have the named properties.
func fill[T any](x *exchange, properties map[string]property[T], record *T, body map[string]json.RawMessage, names ...string) error {
	wrong := need(body, names...)
	var more invalid
	if errors.As(apply(x, properties, record, body, true), &more) {
		wrong = append(wrong, more...)
	}
	if wrong != nil {
		return wrong
	}
	return nil
}

// written reads the body of a write to what hangs on the contact of the path, and finds that contact.
func (x *exchange) written() (rec *record, body map[string]json.RawMessage, refusal answer, ok bool) {
	if body, ok = x.object(); !ok {
		return nil, nil, notAnObject, false
	}
	rec, _, refusal, ok = x.own()
	return rec, body, refusal, ok
}

// gone is the answer that a task or note is not there; see notFound.
func gone(err error, what string) answer {
	if errors.Is(err, ErrGone) {
		return refuse(http.StatusNotFound, what+" not found")
	}
	return failed(err)
}

// deleted is the answer to a delete.
func (x *exchange) deleted() answer {
	body := map[string]any{"succeded": true}
	if x.v3() {
		body["succeeded"] = true // beside the old spelling
	}
	return answer{http.StatusOK, body}
}

// of is a document of what hangs on a contact, as the answer shows it.
func (x *exchange) of(document map[string]any) map[string]any {
	if x.fault.Foreign {
		document["contactId"] = newID()
	}
	return x.seen(document)
}
