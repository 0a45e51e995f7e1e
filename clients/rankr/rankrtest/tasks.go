package rankrtest

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Task is one task as the fake holds it.
type Task struct {
	Item
	Title      string    `json:"title"`
	Body       string    `json:"body,omitempty"`
	Due        time.Time `json:"due,omitzero"` // zero: none
	Done       bool      `json:"done"`
	AssignedTo string    `json:"assignedTo,omitempty"`
}

func (t *Task) set(k Knobs, name string, value any) string {
	switch name {
	case "title":
		return k.put(&t.Title, name, value, false)
	case "body":
		return k.put(&t.Body, name, value, true)
	case "assignedTo":
		return k.put(&t.AssignedTo, name, value, true)
	case "dueDate":
		return putTime(&t.Due, value)
	case "status":
		if value != "open" && value != "done" {
			return "must be open or done"
		}
		t.Done = value == "done"
		return ""
	}
	return t.Item.set(k, name, value)
}

func (t *Task) wire() map[string]any {
	status := "open"
	if t.Done {
		status = "done"
	}
	return map[string]any{
		"title": t.Title, "body": textOrNull(t.Body), "dueDate": timeOrNull(t.Due), "status": status,
		"assignedTo": textOrNull(t.AssignedTo), "externalId": textOrNull(t.ExternalID),
	}
}

func (s *Server) listTasks(a *account, req request) answer  { return list(s, s.tasks, a, req) }
func (s *Server) createTask(a *account, req request) answer { return create(s, s.tasks, a, req) }
func (s *Server) updateTask(a *account, req request) answer { return update(s, s.tasks, a, req) }
func (s *Server) deleteTask(a *account, req request) answer { return remove(s, s.tasks, a, req) }

func (s *Server) completeTask(a *account, req request) answer {
	return change(s, s.tasks, a, req, func(next *Task) (errs []FieldError) {
		for _, name := range slices.Sorted(maps.Keys(req.body)) {
			if name != "completed" {
				errs = append(errs, FieldError{name, "unknown property"})
			}
		}
		done, ok := req.body["completed"].(bool)
		if !ok {
			errs = append(errs, FieldError{"completed", "must be true or false"})
		}
		next.Done = done
		return errs
	})
}

// AddTask makes a task as a person in Rankr does; its ContactID says where. What the fake gives it itself (account,
// id, dates, version) is ignored.
func (s *Server) AddTask(task Task) (Task, error) { return add(s, s.tasks, task) }

// EditTask changes a task as a person in Rankr does: external id and contents.
func (s *Server) EditTask(id string, change func(*Task)) (Task, error) {
	return edit(s, s.tasks, id, change)
}

// RemoveTask deletes a task as a person in Rankr does.
func (s *Server) RemoveTask(id string) error { return discard(s, s.tasks, id) }

// Tasks returns the tasks of a contact, oldest first; empty: of every contact.
func (s *Server) Tasks(contactID string) []Task { return shown(s, s.tasks, contactID) }

// TaskHistory returns the changes of all tasks that ever carried the external id, oldest first; empty: of all tasks.
func (s *Server) TaskHistory(externalID string) []Event { return history(s, s.tasks, externalID) }

// DoubledTasks returns the external ids that more than one task of an account had at any instant ever, sorted; see
// [Server.Doubled].
func (s *Server) DoubledTasks() []string { return doubled(s, s.tasks) }

// Tasks is [Server.Tasks].
func (r Remote) Tasks(ctx context.Context, contactID string) ([]Task, error) {
	return ask[[]Task](ctx, r, http.MethodGet, "/tasks?contactId="+url.QueryEscape(contactID), nil)
}

// AddTask is [Server.AddTask].
func (r Remote) AddTask(ctx context.Context, task Task) (Task, error) {
	return ask[Task](ctx, r, http.MethodPost, "/tasks", task)
}

// EditTask is [Server.EditTask]; a change that comes between its read and its write is lost.
func (r Remote) EditTask(ctx context.Context, id string, change func(*Task)) (Task, error) {
	return remoteEdit(ctx, r, "tasks", id, change)
}

// RemoveTask is [Server.RemoveTask].
func (r Remote) RemoveTask(ctx context.Context, id string) error {
	_, err := ask[any](ctx, r, http.MethodDelete, "/tasks/"+url.PathEscape(id), nil)
	return err
}

// TaskHistory is [Server.TaskHistory].
func (r Remote) TaskHistory(ctx context.Context, externalID string) ([]Event, error) {
	return ask[[]Event](ctx, r, http.MethodGet, "/tasks/history?externalId="+url.QueryEscape(externalID), nil)
}

// DoubledTasks is [Server.DoubledTasks].
func (r Remote) DoubledTasks(ctx context.Context) ([]string, error) {
	return ask[[]string](ctx, r, http.MethodGet, "/tasks/doubled", nil)
}
