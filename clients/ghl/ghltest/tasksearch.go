package ghltest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// taskLimit is how many tasks a search shows unless it is told otherwise.
const taskLimit = 25

// taskSearch is the body of POST /locations/{locationId}/tasks/search. No filter asks for a date: GHL has none.
type taskSearch struct {
	ContactID  []string `json:"contactId"`
	Completed  *bool    `json:"completed"`
	AssignedTo []string `json:"assignedTo"`
	Query      string   `json:"query"`
	Limit      *int     `json:"limit"`
	Skip       int      `json:"skip"`
	BusinessID string   `json:"businessId"`
}

var taskSearchFields = []string{"contactId", "completed", "assignedTo", "query", "limit", "skip", "businessId"}

// searchTasks shows the newest tasks first; in which order GHL does is not documented. The spec has each task as a
// list of lists, which can't be; here it is what the other answers hold.
func searchTasks(x *exchange) answer {
	if x.id != x.location.id {
		return anotherTenant
	}
	q, refusal, ok := x.readTaskSearch()
	if !ok {
		return refusal
	}
	documents := []any{}
	for _, t := range q.page(x.location.tasks(q.matches)) {
		documents = append(documents, x.of(t.read()))
	}
	return answer{http.StatusOK, map[string]any{"tasks": documents}}
}

func (x *exchange) readTaskSearch() (q taskSearch, refusal answer, ok bool) {
	body, isObject := x.object()
	if !isObject {
		return q, notAnObject, false
	}
	var wrong invalid
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if !slices.Contains(taskSearchFields, name) {
			wrong = append(wrong, x.surplus(name, false))
		}
	}
	if json.Unmarshal(x.body, &q) != nil {
		wrong = append(wrong, "body must hold values of the documented types")
	}
	if q.Limit != nil && *q.Limit < 1 {
		wrong = append(wrong, "limit must not be less than 1")
	}
	if q.Skip < 0 {
		wrong = append(wrong, "skip must not be less than 0")
	}
	if wrong != nil {
		return q, refuse(http.StatusUnprocessableEntity, wrong...), false
	}
	return q, answer{}, true
}

// tasks returns the tasks of all contacts that match, newest first.
func (l *location) tasks(matches func(*Contact, *Task) bool) (found []*Task) {
	l.mu.Lock()
	for _, rec := range l.contacts {
		contact := rec.current.Load()
		for _, t := range rec.tasks {
			if matches(contact, t) {
				found = append(found, t)
			}
		}
	}
	l.mu.Unlock()
	slices.SortFunc(found, func(a, b *Task) int {
		if order := b.DateAdded.Compare(a.DateAdded); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return found
}

func (q taskSearch) matches(c *Contact, t *Task) bool {
	return (q.ContactID == nil || slices.Contains(q.ContactID, t.Contact)) &&
		(q.Completed == nil || *q.Completed == t.Completed) &&
		(q.AssignedTo == nil || slices.Contains(q.AssignedTo, t.AssignedTo)) &&
		(q.BusinessID == "" || q.BusinessID == c.BusinessID) &&
		(q.Query == "" || strings.Contains(strings.ToLower(t.Title), strings.ToLower(q.Query)))
}

func (q taskSearch) page(found []*Task) []*Task {
	limit := taskLimit
	if q.Limit != nil {
		limit = *q.Limit
	}
	start := min(q.Skip, len(found))
	return found[start : start+min(limit, len(found)-start)]
}
