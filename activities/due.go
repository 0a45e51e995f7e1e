package activities

import (
	"context"
	"time"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// DueTask names a task of a GHL contact that is due.
type DueTask struct {
	Location string `json:"location"`
	Contact  string `json:"contact"`
	Task     string `json:"task"`
}

// Validate returns an error that names the ids which can't be real, or nil.
func (d DueTask) Validate() error {
	var bad []string
	for _, id := range []struct{ name, value string }{
		{"location", d.Location}, {"contact", d.Contact}, {"task", d.Task},
	} {
		if !crm.ValidID(id.value) {
			bad = append(bad, id.name)
		}
	}
	if bad != nil {
		return &crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: bad}
	}
	return nil
}

// AskForTasksAndNotes asks for a round of the contact's tasks and notes that knows that the task may be overdue. Whether it
// is, that round sees: it may be done by now, or due later. Asking twice does no harm.
func (t *TasksAndNotes) AskForTasksAndNotes(ctx context.Context, in DueTask) error {
	if err := in.Validate(); err != nil {
		return leave(err)
	}
	hint := names.Hint{Contact: in.Contact, Received: time.Now(), Events: []string{string(crm.TaskOverdue) + "/" + in.Task}}
	return leave(nudgeError(t.Contacts.Nudge.TasksAndNotes(ctx, in.Location, hint)))
}
