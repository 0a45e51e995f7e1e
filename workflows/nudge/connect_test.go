package nudge

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/workflows/names"
)

var _ activities.Poller = (*Nudger)(nil)

// connectServer notes how ConnectLocation is signalled.
type connectServer struct {
	client.Client
	t       *testing.T
	options []client.StartWorkflowOptions
	inputs  []names.ConnectInput
	err     error
}

func (s *connectServer) SignalWithStartWorkflow(_ context.Context, id, name string, arg any,
	options client.StartWorkflowOptions, workflow any, input ...any,
) (client.WorkflowRun, error) {
	assert.Equal(s.t, "connect/L", id)
	assert.Equal(s.t, "changed", name)
	assert.Equal(s.t, "ConnectLocation", workflow)
	assert.Equal(s.t, []any{arg}, input, "the start and its signal are one round")
	s.options, s.inputs = append(s.options, options), append(s.inputs, arg.(names.ConnectInput))
	return nil, s.err
}

func TestAnInstallAndAnUninstallAreTheSameRunOfALocation(t *testing.T) {
	server := &connectServer{t: t}
	n := New(server, Options{SearchAttributes: func() bool { return true }})
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	require.NoError(t, n.Connect(t.Context(), "L"))
	require.NoError(t, n.Uninstalled(t.Context(), "L", at))
	assert.Equal(t, []names.ConnectInput{{Location: "L"}, {Location: "L", Uninstalled: at}}, server.inputs)
	for _, options := range server.options {
		assert.Equal(t, "rankrsync", options.TaskQueue)
		assert.Equal(t, 2, options.Priority.PriorityKey)
		assert.Equal(t, "L", options.Priority.FairnessKey)
		assert.Equal(t, enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, options.WorkflowIDConflictPolicy)
		location, _ := options.TypedSearchAttributes.GetKeyword(names.GhlLocation)
		assert.Equal(t, "L", location)
		assert.Equal(t, 1, options.TypedSearchAttributes.Size())
		assert.Contains(t, options.StaticSummary, "`L`")
	}
}

func TestAConnectionThatTemporalDoesNotTakeIsAnError(t *testing.T) {
	server := &connectServer{t: t, err: errors.New("away")}
	n := New(server, Options{})
	require.ErrorIs(t, n.Connect(t.Context(), "L"), server.err)
	require.ErrorIs(t, n.Uninstalled(t.Context(), "L", time.Now()), server.err)
	require.NoError(t, n.Close(t.Context()))
	require.ErrorIs(t, n.Connect(t.Context(), "L"), ErrClosed)
}

func TestWhoTriesAPollIsContentWithoutOne(t *testing.T) {
	schedule := &schedule{t: t}
	n := New(pollServer{schedule: schedule}, Options{})
	require.NoError(t, n.TryPoll(t.Context(), "L"))
	assert.Equal(t, 1, schedule.triggered)
	schedule.err = serviceerror.NewNotFound("no such schedule")
	require.NoError(t, n.TryPoll(t.Context(), "L"))
	schedule.err = errors.New("away")
	require.ErrorIs(t, n.TryPoll(t.Context(), "L"), schedule.err)
}
