package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// AwaitDueDate asks for a round of a contact's tasks and notes once one of its tasks is due. The wait is not in here: the
// server starts the run that much later, so one that waits has no history to keep. Another due date replaces the run, since
// a signal would not move its time, and a task that is done ends it.
func AwaitDueDate(ctx workflow.Context, input names.DueDateInput) error {
	status := names.DueDateStatus{State: names.StateWorking}
	if err := workflow.SetQueryHandler(ctx, names.StatusQuery, func() (names.DueDateStatus, error) { return status, nil }); err != nil {
		return err
	}
	task := activities.DueTask{Location: input.Location, Contact: input.Contact, Task: input.Task}
	if err := refused(task.Validate()); err != nil {
		return err
	}
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, oneQuestion(task.Location)), names.AskForTasksAndNotes, task).Get(ctx, nil)
	if err != nil {
		if never := failed(err).never; never != nil {
			return never
		}
		return err
	}
	status.State = names.StateFinished
	return nil
}
