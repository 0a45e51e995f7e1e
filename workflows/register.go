package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// Register makes all workflows known to a worker of the queue [names.Workflows].
func Register(registry worker.WorkflowRegistry) {
	for name, run := range all {
		registry.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: name})
	}
}

// all has every workflow by its type.
var all = map[string]any{
	names.SyncContact:        SyncContact,
	names.SyncContacts:       SyncContacts,
	names.AlignTasksAndNotes: AlignTasksAndNotes,
	names.AwaitDueDate:       AwaitDueDate,
	names.SegmentContact:     SegmentContact,
	names.SyncBusiness:       SyncBusiness,
	names.PollChanges:        PollChanges,
	names.ConnectLocation:    ConnectLocation,
	names.Backfill:           Backfill,
	names.Reconcile:          Reconcile,
}
