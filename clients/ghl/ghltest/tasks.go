package ghltest

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"time"
)

// Task is one task of a contact. It has no date of its last change: GHL tells none.
type Task struct {
	ID       string `json:"id"`
	Location string `json:"locationId"`
	Contact  string `json:"contactId"`

	Title      string    `json:"title"`
	Body       string    `json:"body,omitempty"`
	AssignedTo string    `json:"assignedTo,omitempty"`
	Due        time.Time `json:"dueDate,omitzero"`
	Completed  bool      `json:"completed,omitempty"`
	DateAdded  time.Time `json:"dateAdded"` // only events tell it

	// Raw lies over the documents that the API gives out, as it is; see [Contact.Raw].
	Raw map[string]json.RawMessage `json:"raw,omitempty"`
}

func tasksOf(rec *record) *[]*Task { return &rec.tasks }

func (t *Task) key() string                      { return t.ID }
func (t *Task) home() (location, contact string) { return t.Location, t.Contact }

func (t *Task) clone() *Task {
	copied := *t
	copied.Raw = maps.Clone(t.Raw)
	return &copied
}

// common is what answers and events have under the same name.
func (t *Task) common() map[string]any {
	document := map[string]any{"id": t.ID, "contactId": t.Contact, "title": t.Title}
	put(document, "body", t.Body)
	put(document, "assignedTo", t.AssignedTo)
	if !t.Due.IsZero() {
		document["dueDate"] = wireTime(t.Due)
	}
	return document
}

// read is the document of all answers.
func (t *Task) read() map[string]any {
	document := t.common()
	document["completed"] = t.Completed
	maps.Copy(document, raw(t.Raw))
	return document
}

// told is what a webhook tells of a task: not whether it is completed.
func (t *Task) told() map[string]any {
	document := t.common()
	document["dateAdded"] = wireTime(t.DateAdded)
	return document
}

// taskProperties are all that the spec lets a body hold.
var taskProperties = map[string]property[Task]{
	"title":      {required, required, setTitle},
	"body":       {required, required, text(func(t *Task) *string { return &t.Body })},
	"dueDate":    {required, required, setDue},
	"completed":  {required, required, boolean(func(t *Task) *bool { return &t.Completed })},
	"assignedTo": {required, required, text(func(t *Task) *string { return &t.AssignedTo })},
}

func setTitle(_ *exchange, t *Task, value json.RawMessage) error {
	if err := setText(&t.Title, value); err != nil {
		return err
	}
	if t.Title == "" {
		return errors.New("should not be empty")
	}
	return nil
}

// setDue keeps whole milliseconds, as GHL shows them.
func setDue(_ *exchange, t *Task, value json.RawMessage) error {
	var due time.Time
	if json.Unmarshal(value, &due) != nil {
		return errors.New("must be a valid ISO 8601 date string")
	}
	t.Due = due.UTC().Truncate(time.Millisecond)
	return nil
}

// tellTask tells of a task's change: before is nil for a create, after for a delete. Edits and reopening are silent.
// That every way to complete a task tells of it is assumed.
func (s *Server) tellTask(before, after *Task) {
	switch {
	case before == nil:
		s.publish(event{kind: TaskCreate, about: after})
	case after == nil:
		s.publish(event{kind: TaskDelete, about: before})
	case after.Completed && !before.Completed:
		s.publish(event{kind: TaskComplete, about: after})
	}
}

func listTasks(x *exchange) answer {
	rec, _, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	documents := []any{}
	for _, t := range all(rec, tasksOf) {
		documents = append(documents, x.of(t.read()))
	}
	return answer{http.StatusOK, map[string]any{"tasks": documents}}
}

func getTask(x *exchange) answer {
	rec, _, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	t, err := pick(all(rec, tasksOf), x.item)
	if err != nil {
		return gone(err, "Task")
	}
	return x.task(http.StatusOK, t)
}

func (x *exchange) task(status int, t *Task) answer {
	return answer{status, map[string]any{"task": x.of(t.read())}}
}

func createTask(x *exchange) answer {
	rec, body, refusal, ok := x.written()
	if !ok {
		return refusal
	}
	made := &Task{}
	if err := fill(x, taskProperties, made, body, "title", "dueDate", "completed"); err != nil {
		return failed(err)
	}
	if err := x.server.addTask(rec, made); err != nil {
		return failed(err)
	}
	x.effect = true
	x.server.tellTask(nil, made)
	return x.task(http.StatusCreated, made)
}

// addTask puts a task on a contact. It gets what it lacks: an id, and a date.
func (s *Server) addTask(rec *record, t *Task) error {
	if t.ID == "" {
		t.ID = newID()
	}
	if t.DateAdded.IsZero() {
		t.DateAdded = s.now().UTC().Truncate(time.Millisecond)
	}
	current := rec.current.Load()
	if current == nil {
		return ErrGone
	}
	t.Location, t.Contact = rec.location.id, current.ID
	return hang(s, rec, tasksOf, t)
}

func updateTask(x *exchange) answer {
	return x.changeTask(func(t *Task, body map[string]json.RawMessage) error {
		return apply(x, taskProperties, t, body, false)
	})
}

func completeTask(x *exchange) answer {
	return x.changeTask(func(t *Task, body map[string]json.RawMessage) error {
		for name := range body {
			if name != "completed" {
				return invalid{x.surplus(name, taskProperties[name].set != nil)}
			}
		}
		if wrong := need(body, "completed"); wrong != nil {
			return wrong
		}
		return apply(x, taskProperties, t, body, false)
	})
}

func (x *exchange) changeTask(change func(*Task, map[string]json.RawMessage) error) answer {
	rec, body, refusal, ok := x.written()
	if !ok {
		return refusal
	}
	before, after, err := swap(rec, tasksOf, x.item, func(t *Task) error { return change(t, body) })
	if err != nil {
		return gone(err, "Task")
	}
	x.effect = true
	x.server.tellTask(before, after)
	return x.task(http.StatusOK, after)
}

func deleteTask(x *exchange) answer {
	rec, _, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	before, err := unhang(x.server, rec, tasksOf, x.item)
	if err != nil {
		return gone(err, "Task")
	}
	x.effect = true
	x.server.tellTask(before, nil)
	return x.deleted()
}

// AddTask puts a task on a contact and returns it as saved; see [Person.AddTask].
func (s *Server) AddTask(contact string, t Task) (Task, error) {
	return Person{s, false}.AddTask(contact, t)
}

// EditTask changes a task; see [Person.EditTask].
func (s *Server) EditTask(id string, change func(*Task)) (Task, error) {
	return Person{s, false}.EditTask(id, change)
}

// CompleteTask ticks a task off.
func (s *Server) CompleteTask(id string) (Task, error) { return Person{s, false}.CompleteTask(id) }

// DeleteTask deletes a task.
func (s *Server) DeleteTask(id string) error { return Person{s, false}.DeleteTask(id) }

// Task returns a task as it is now.
func (s *Server) Task(id string) (Task, bool) {
	t, err := find(s, tasksOf, id)
	if err != nil {
		return Task{}, false
	}
	return *t.clone(), true
}

// Tasks returns a contact's tasks, oldest first.
func (s *Server) Tasks(contact string) []Task { return copies(s, tasksOf, contact) }

// AddTask puts a task on a contact, which must be there, and returns it as saved. Without an ID it gets one.
func (p Person) AddTask(contact string, t Task) (Task, error) {
	rec, _, err := p.server.contact(contact)
	if err != nil {
		return Task{}, err
	}
	made := t.clone()
	if err := p.server.addTask(rec, made); err != nil {
		return Task{}, err
	}
	p.tellTask(nil, made)
	return *made.clone(), nil
}

// EditTask lets change work on a copy of the task, and saves it; its ids and dateAdded stay. No webhook tells of it,
// unless the task is completed by it.
func (p Person) EditTask(id string, change func(*Task)) (Task, error) {
	rec, err := p.server.owner(id)
	if err != nil {
		return Task{}, err
	}
	before, after, err := swap(rec, tasksOf, id, func(t *Task) error {
		kept := *t
		change(t)
		t.ID, t.Location, t.Contact, t.DateAdded = kept.ID, kept.Location, kept.Contact, kept.DateAdded
		return nil
	})
	if err != nil {
		return Task{}, err
	}
	p.tellTask(before, after)
	return *after.clone(), nil
}

// CompleteTask ticks a task off.
func (p Person) CompleteTask(id string) (Task, error) {
	return p.EditTask(id, func(t *Task) { t.Completed = true })
}

// DeleteTask deletes a task.
func (p Person) DeleteTask(id string) error {
	rec, err := p.server.owner(id)
	if err != nil {
		return err
	}
	before, err := unhang(p.server, rec, tasksOf, id)
	if err != nil {
		return err
	}
	p.tellTask(before, nil)
	return nil
}

func (p Person) tellTask(before, after *Task) {
	if !p.quiet {
		p.server.tellTask(before, after)
	}
}
