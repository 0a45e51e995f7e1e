package workflows

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// TestRecordedHistoriesReplay runs today's code over the histories of earlier runs: one that is under way when a new
// version is installed must go on as it began. When this fails, versions.go says what to do; recording anew is right only
// where no run can be as old as the history. `make histories` records stories of the whole system; the others are
// single paths, taken with
//
//	temporal workflow show --workflow-id contact/L/C --output json > workflows/testdata/histories/<name>.json
//
// Each workflow needs at least one, and one for each path that matters: a retry, a wait, an update, a run that took over.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no history is recorded in workflows/testdata/histories: see this test's comment")
	}
	recorded := map[string]bool{}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			history := load(t, file)
			started := history.Events[0].GetWorkflowExecutionStartedEventAttributes()
			require.NotNil(t, started, "the first event is not a start")
			recorded[started.WorkflowType.GetName()] = true

			replayer := worker.NewWorkflowReplayer()
			Register(replayer)
			assert.NoError(t, replayer.ReplayWorkflowHistoryWithOptions(nil, history, worker.ReplayWorkflowHistoryOptions{
				OriginalExecution: workflow.Execution{ID: started.WorkflowId, RunID: started.OriginalExecutionRunId},
			}))
		})
	}
	for name := range all {
		assert.True(t, recorded[name], "no history of %s is recorded", name)
	}
}

func load(t *testing.T, file string) *historypb.History {
	open, err := os.Open(file)
	require.NoError(t, err)
	defer open.Close()
	history, err := client.HistoryFromJSON(open, client.HistoryJSONOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, history.Events)
	return history
}
