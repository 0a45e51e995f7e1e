package crm

import (
	"context"
	"iter"
	"strings"
	"time"
)

// Task is one task of a contact as one of the two systems holds it.
type Task struct {
	ID         string // in the system it was read from
	Contact    string // the contact's id in that system
	ExternalID string // Rankr only: the GHL task id, empty when people made the task in Rankr
	Title      string
	Body       string
	Due        time.Time // zero: none
	Done       bool
	AssignedTo string // the assignee as the system names it; empty: nobody
}

// Note is one note of a contact as one of the two systems holds it.
type Note struct {
	ID         string
	Contact    string
	ExternalID string // Rankr only: the GHL note id, empty when people made the note in Rankr
	Content    string
	Created    time.Time // zero: unknown
}

// PolledTask is what is remembered of a task that a poll saw.
type PolledTask struct {
	Contact string
	Open    bool // as far as the last whole walk tells
	// Known is a fingerprint of the state, and of the record it belongs in, that was last found in step or handed over;
	// empty: neither ever was.
	Known string
}

// TaskEvent is what may happen to a task, and what a rule may wait for.
type TaskEvent string

// The events of a task.
const (
	TaskCreated   TaskEvent = "created"
	TaskCompleted TaskEvent = "completed"
	TaskOverdue   TaskEvent = "overdue" // its due date passed while it was open
)

// MapTask brings a task into the form of the contract: texts trimmed, the due date in UTC with whole milliseconds.
// Both sides go through it before they are compared.
func MapTask(t Task) Task {
	t.Title, t.Body, t.AssignedTo = tidy(t.Title), tidy(t.Body), strings.TrimSpace(t.AssignedTo)
	if !t.Due.IsZero() {
		t.Due = t.Due.UTC().Truncate(time.Millisecond)
	}
	return t
}

// MapNote does for a note what [MapTask] does for a task.
func MapNote(n Note) Note {
	n.Content = tidy(n.Content)
	if !n.Created.IsZero() {
		n.Created = n.Created.UTC().Truncate(time.Millisecond)
	}
	return n
}

func tidy(text string) string { return strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD")) }

// TaskSource is what a [Source] tells of tasks and notes. The lists hold all of the contact, in one call each.
type TaskSource interface {
	Tasks(ctx context.Context, ref Ref) ([]Task, time.Time, error)
	Notes(ctx context.Context, ref Ref) ([]Note, time.Time, error)
	// OpenTasks walks the tasks of a location that are not done, page by page, without the first skip of them. The walk
	// ends after the first error.
	OpenTasks(ctx context.Context, location string, skip int) iter.Seq2[TaskPage, error]
}

// TaskPage is one page of a location's tasks.
type TaskPage struct {
	Tasks []Task    // those of a contact
	Rows  int       // how many tasks the page held, of a contact or not
	At    time.Time // the system's Date of this page
}

// TaskDestination is what a [Destination] does with the tasks and notes of a record, named by Rankr's own id of it. The
// rules for errors, idempotency keys and Landed are the Destination's.
type TaskDestination interface {
	Tasks(ctx context.Context, location, record string) ([]Task, error)
	CreateTask(ctx context.Context, location, record, idempotencyKey string, task Task) (Task, error)
	// UpdateTask writes all fields of the task but Done.
	UpdateTask(ctx context.Context, location, record string, task Task) error
	CompleteTask(ctx context.Context, location, record, id string, done bool) error
	// DeleteTask is content when the task is gone already.
	DeleteTask(ctx context.Context, location, record, id string) error

	Notes(ctx context.Context, location, record string) ([]Note, error)
	CreateNote(ctx context.Context, location, record, idempotencyKey string, note Note) (Note, error)
	UpdateNote(ctx context.Context, location, record string, note Note) error
	// DeleteNote is content when the note is gone already.
	DeleteNote(ctx context.Context, location, record, id string) error
}
