package rankr

import (
	"context"
	"maps"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// task is a task as the contract shows it; see record for what has no value.
type task struct {
	item
	Title      string `json:"title"`
	Body       string `json:"body"`
	DueDate    string `json:"dueDate"`
	Status     string `json:"status"`
	AssignedTo string `json:"assignedTo"`
}

func (t task) toCRM(record string) crm.Task {
	return crm.Task{
		ID: t.ID, Contact: record, ExternalID: t.ExternalID, Title: t.Title, Body: t.Body, Due: parseTime(t.DueDate),
		Done: t.Status == "done", AssignedTo: t.AssignedTo,
	}
}

// taskChange is the body of an update: all fields but whether the task is done, which has a call of its own.
func taskChange(t crm.Task) map[string]any {
	body := map[string]any{
		"title": t.Title, "body": orNull(t.Body), "dueDate": timeOrNull(t.Due), "assignedTo": orNull(t.AssignedTo),
	}
	if t.ExternalID != "" {
		body["externalId"] = t.ExternalID
	}
	return body
}

// newTask is the body of a create: a new task has nothing to clear.
func newTask(t crm.Task) map[string]any {
	body := taskChange(t)
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	body["status"] = "open"
	if t.Done {
		body["status"] = "done"
	}
	return body
}

// Tasks returns all tasks of a record, each once.
func (c *Client) Tasks(ctx context.Context, location, record string) ([]crm.Task, error) {
	call, err := c.on(listTasks, location, record)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Tasks []task `json:"tasks"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return nil, err
	}
	tasks, ok := items(answer.Tasks, record)
	if !ok {
		return nil, c.rest.Foreign(call, meta)
	}
	return tasks, nil
}

// CreateTask makes a task, open or done, with its external id. Without an idempotency key it refuses.
func (c *Client) CreateTask(ctx context.Context, location, record, idempotencyKey string, t crm.Task) (crm.Task, error) {
	call, err := c.creating(createTask, location, idempotencyKey, newTask(t), record)
	if err != nil {
		return crm.Task{}, err
	}
	return c.task(ctx, call, record, func(got task) bool { return got.made(record, t.ExternalID) })
}

// UpdateTask writes all fields of the task but Done; what has no value is cleared, but an external id stays.
func (c *Client) UpdateTask(ctx context.Context, location, record string, t crm.Task) error {
	call, err := c.changing(updateTask, location, taskChange(t), record, t.ID)
	if err != nil {
		return err
	}
	_, err = c.task(ctx, call, record, func(got task) bool { return got.written(record, t.ID, t.ExternalID) })
	return err
}

// CompleteTask completes a task, or opens it again.
func (c *Client) CompleteTask(ctx context.Context, location, record, id string, done bool) error {
	call, err := c.changing(completeTask, location, map[string]any{"completed": done}, record, id)
	if err != nil {
		return err
	}
	_, err = c.task(ctx, call, record, func(got task) bool { return got.written(record, id, "") })
	return err
}

// task makes a call that is answered with one task; see contact.
func (c *Client) task(ctx context.Context, call rest.Call, record string, right func(task) bool) (crm.Task, error) {
	var answer struct {
		Task task `json:"task"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Task{}, err
	}
	if !right(answer.Task) {
		return crm.Task{}, c.rest.Foreign(call, meta)
	}
	return answer.Task.toCRM(record), nil
}

// DeleteTask deletes a task. One that is gone already, with its record or without, is as good.
func (c *Client) DeleteTask(ctx context.Context, location, record, id string) error {
	call, err := c.on(deleteTask, location, record, id)
	if err != nil {
		return err
	}
	return c.delete(ctx, call)
}
