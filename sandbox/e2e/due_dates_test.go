package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// waits tells how the newest run that waits for a due date stands, and until when it is held back.
func (w *world) waits(workflow, run string) (enumspb.WorkflowExecutionStatus, time.Time) {
	w.t.Helper()
	found, err := w.client.DescribeWorkflowExecution(w.t.Context(), workflow, run)
	require.NoError(w.t, err)
	info := found.GetWorkflowExecutionInfo()
	return info.GetStatus(), info.GetExecutionTime().AsTime()
}

func TestADueDateThatMovesIsWaitedForAnewAndATaskThatIsDoneIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, `followUps: [{name: chase, on: overdue, title: '"Overdue: " + task.title'}]`))
	contact := w.ghl.Create(location, mira())
	record := w.mirror(contact.ID, named("Mira")).ID
	due := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	task, err := w.ghl.AddTask(contact.ID, ghltest.Task{Title: "Send offer", Due: due})
	require.NoError(t, err)
	w.items(record, 1, 0)
	w.calm(contact.ID)
	workflow := names.DueDate(location, contact.ID, task.ID)
	first, open := w.newest(workflow)
	require.True(t, open)
	_, until := w.waits(workflow, first)
	assert.WithinDuration(t, due, until, 5*time.Second)

	result := w.run("align-tasks-notes", "--contact", contact.ID, "--wait")
	require.Equal(t, 0, result.Code, result.Stderr)
	same, _ := w.newest(workflow)
	assert.Equal(t, first, same, "the same due date is waited for once")

	moved := due.Add(48 * time.Hour)
	_, err = w.ghl.EditTask(task.ID, func(t *ghltest.Task) { t.Due = moved }) // fires nothing
	require.NoError(t, err)
	result = w.run("align-tasks-notes", "--contact", contact.ID, "--wait")
	require.Equal(t, 0, result.Code, result.Stderr)
	second, open := w.newest(workflow)
	assert.True(t, open)
	assert.NotEqual(t, first, second)
	_, until = w.waits(workflow, second)
	assert.WithinDuration(t, moved, until, 5*time.Second)
	status, _ := w.waits(workflow, first)
	assert.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, status, "it is replaced")

	_, err = w.ghl.CompleteTask(task.ID)
	require.NoError(t, err)
	w.eventually(func() string {
		if run, open := w.newest(workflow); open || run != second {
			return "the task is done and waited for"
		}
		return ""
	})
	w.calm(contact.ID)
	w.items(record, 1, 0)
}
