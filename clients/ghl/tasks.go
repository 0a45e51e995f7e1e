package ghl

import (
	"context"
	"iter"
	"time"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// task is GHL's task as far as it is mapped. It has no time of its last change.
type task struct {
	ID         text    `json:"id"`
	ContactID  text    `json:"contactId"`
	LocationID text    `json:"locationId"` // in no spec; told, it must be the right one
	Title      text    `json:"title"`
	Body       text    `json:"body"`
	AssignedTo text    `json:"assignedTo"`
	DueDate    instant `json:"dueDate"`
	Completed  flag    `json:"completed"`
}

// of tells whether this can be a task of the contact. A list that is asked for by contact need not repeat it.
func (w task) of(ref crm.Ref) bool {
	return crm.ValidID(string(w.ID)) && tells(w.ContactID, ref.Contact) && tells(w.LocationID, ref.Location)
}

func (w task) toCRM(contact string) crm.Task {
	return crm.Task{
		ID: string(w.ID), Contact: contact, Title: string(w.Title), Body: string(w.Body),
		Due: w.DueDate.Time, Done: bool(w.Completed), AssignedTo: string(w.AssignedTo),
	}
}

// Tasks reads all tasks of a contact: one call. [crm.GHLNotFound] when there is no such contact; a field of a type
// that can't be made sense of is [crm.GHLInvalid] with the field's name.
func (c *Client) Tasks(ctx context.Context, ref crm.Ref) ([]crm.Task, time.Time, error) {
	if err := ref.Validate(); err != nil {
		return nil, time.Time{}, err
	}
	call := c.call(listTasks, ref.Location, ref.Contact)
	var answer struct {
		Tasks []task `json:"tasks"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, meta.Date, err
	}
	if answer.Tasks == nil {
		return nil, meta.Date, c.rest.Foreign(call, meta)
	}
	tasks := make([]crm.Task, len(answer.Tasks))
	for i, found := range answer.Tasks {
		if !found.of(ref) {
			return nil, meta.Date, c.rest.Foreign(call, meta)
		}
		tasks[i] = found.toCRM(ref.Contact)
	}
	return tasks, meta.Date, nil
}

const (
	taskLimit        = 100 // tasks a page that we ask for; GHL's maximum is not published
	defaultTaskLimit = 25  // what GHL gives unasked, and so in any case
	maxTaskPages     = 2000
)

type taskSearchBody struct {
	Limit     int   `json:"limit"`
	Skip      int   `json:"skip"`
	Completed *bool `json:"completed,omitzero"`
}

// SearchTasks walks all tasks of a location in bulk calls; there is no filter by date. Tasks that are added or
// deleted meanwhile may be seen twice or missed: only the next walk makes up for that. Tasks without a contact are
// left out. After 2,000 pages, or when pages repeat, the walk ends with an error.
func (c *Client) SearchTasks(ctx context.Context, location string) iter.Seq2[crm.TaskPage, error] {
	return c.walkTasks(ctx, location, 0, false)
}

// OpenTasks walks the tasks of a location that are not done, without the first skip of them; see SearchTasks. A task
// that is completed meanwhile makes all after it move up, so that one of them may be missed. A skip beyond the end is
// one empty page.
func (c *Client) OpenTasks(ctx context.Context, location string, skip int) iter.Seq2[crm.TaskPage, error] {
	return c.walkTasks(ctx, location, skip, true)
}

// walkTasks walks the tasks of a location from the start-th on, all or only the open ones.
func (c *Client) walkTasks(ctx context.Context, location string, start int, open bool) iter.Seq2[crm.TaskPage, error] {
	if err := validIDs(named{"location", location}); err != nil {
		return onlyError[crm.TaskPage](err)
	}
	if start < 0 {
		return onlyError[crm.TaskPage](invalid("skip"))
	}
	var completed *bool
	if open {
		completed = new(false)
	}
	return func(yield func(crm.TaskPage, error) bool) {
		call := c.call(searchTasks, location, location)
		skip, fullest, first := start, defaultTaskLimit, "" // each walk has its own
		for range maxTaskPages {
			call.Body = taskSearchBody{taskLimit, skip, completed}
			found, meta, err := c.searchTasks(rest.WithBulk(ctx), call, location)
			if err == nil && len(found) > 0 && string(found[0].ID) == first {
				err = c.rest.Foreign(call, meta) // skip does nothing: what comes after this page can't be reached
			}
			page := crm.TaskPage{Tasks: withContact(found, open), Rows: len(found), At: meta.Date}
			if !yield(page, err) || err != nil || len(found) < fullest {
				return
			}
			skip, fullest, first = skip+len(found), min(len(found), taskLimit), string(found[0].ID)
		}
		yield(crm.TaskPage{}, c.rest.Foreign(call, rest.Meta{}))
	}
}

// searchTasks reads one page.
func (c *Client) searchTasks(ctx context.Context, call rest.Call, location string) ([]task, rest.Meta, error) {
	var answer struct {
		Tasks []task `json:"tasks"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, meta, err
	}
	if answer.Tasks == nil {
		return nil, meta, c.rest.Foreign(call, meta)
	}
	for _, found := range answer.Tasks {
		if !crm.ValidID(string(found.ID)) || !tells(found.LocationID, location) {
			return nil, meta, c.rest.Foreign(call, meta)
		}
	}
	return answer.Tasks, meta, nil
}

// withContact leaves out tasks that are nobody's and, where only open ones were asked for, those that are done: whether
// GHL heeds the filter need not be trusted.
func withContact(found []task, open bool) (tasks []crm.Task) {
	for _, w := range found {
		if crm.ValidID(string(w.ContactID)) && !(open && bool(w.Completed)) {
			tasks = append(tasks, w.toCRM(string(w.ContactID)))
		}
	}
	return tasks
}

// Task reads one task of a contact.
func (c *Client) Task(ctx context.Context, ref crm.Ref, id string) (crm.Task, time.Time, error) {
	return c.task(ctx, getTask, ref, id, nil)
}

// CreateTask makes a task on a contact and returns it as saved. It needs a title and a due date. GHL has no
// idempotency key: whoever tries again after an error that may have landed must look for the task first.
func (c *Client) CreateTask(ctx context.Context, ref crm.Ref, task crm.Task) (crm.Task, error) {
	if missing := without(named{"title", task.Title}, named{"dueDate", isoTime(task.Due)}); missing != nil {
		return crm.Task{}, missing
	}
	made, _, err := c.task(ctx, createTask, ref, "", struct {
		Title      string `json:"title"`
		Body       string `json:"body,omitzero"`
		DueDate    string `json:"dueDate"`
		Completed  bool   `json:"completed"`
		AssignedTo string `json:"assignedTo,omitzero"`
	}{task.Title, task.Body, isoTime(task.Due), task.Done, task.AssignedTo})
	return made, err
}

// TaskPatch is what an update changes of a task: nil leaves a field as it is.
type TaskPatch struct {
	Title      *string
	Body       *string
	AssignedTo *string
	Due        *time.Time
}

// UpdateTask changes fields of a task and returns it as saved.
func (c *Client) UpdateTask(ctx context.Context, ref crm.Ref, id string, patch TaskPatch) (crm.Task, error) {
	var due *string
	if patch.Due != nil {
		text := wireTime(*patch.Due)
		due = &text
	}
	changed, _, err := c.task(ctx, updateTask, ref, id, struct {
		Title      *string `json:"title,omitzero"`
		Body       *string `json:"body,omitzero"`
		DueDate    *string `json:"dueDate,omitzero"`
		AssignedTo *string `json:"assignedTo,omitzero"`
	}{patch.Title, patch.Body, due, patch.AssignedTo})
	return changed, err
}

// CompleteTask completes or reopens a task, and returns it as saved.
func (c *Client) CompleteTask(ctx context.Context, ref crm.Ref, id string, done bool) (crm.Task, error) {
	changed, _, err := c.task(ctx, completeTask, ref, id, struct {
		Completed bool `json:"completed"`
	}{done})
	return changed, err
}

// DeleteTask deletes a task. It is content when the task is gone already.
func (c *Client) DeleteTask(ctx context.Context, ref crm.Ref, id string) error {
	return c.remove(ctx, deleteTask, ref, id)
}

// task makes a call that answers with one task. An empty id is that of a task to be made.
func (c *Client) task(ctx context.Context, o Operation, ref crm.Ref, id string, body any) (crm.Task, time.Time, error) {
	call, err := c.itemCall(o, ref, id)
	if err != nil {
		return crm.Task{}, time.Time{}, err
	}
	call.Body = body
	var answer struct {
		Task task `json:"task"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Task{}, meta.Date, err
	}
	found := answer.Task
	if !found.of(ref) || id != "" && string(found.ID) != id {
		return crm.Task{}, meta.Date, c.rest.Foreign(call, meta)
	}
	return found.toCRM(ref.Contact), meta.Date, nil
}
