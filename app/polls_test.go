package app

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// schedules is a Temporal server that knows schedules only.
type schedules struct {
	client.ScheduleClient
	mu    sync.Mutex
	known map[string]*client.Schedule
}

func (s *schedules) Create(_ context.Context, o client.ScheduleOptions) (client.ScheduleHandle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[o.ID] != nil {
		return nil, temporal.ErrScheduleAlreadyRunning
	}
	s.known[o.ID] = &client.Schedule{
		Spec: &o.Spec, Action: o.Action, State: &client.ScheduleState{},
		Policy: &client.SchedulePolicies{Overlap: o.Overlap, CatchupWindow: o.CatchupWindow},
	}
	return nil, nil
}

func (s *schedules) GetHandle(_ context.Context, id string) client.ScheduleHandle {
	return &schedule{schedules: s, id: id}
}

type schedule struct {
	client.ScheduleHandle
	*schedules
	id string
}

func (s *schedule) Update(_ context.Context, o client.ScheduleUpdateOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	update, err := o.DoUpdate(client.ScheduleUpdateInput{Description: client.ScheduleDescription{Schedule: *s.known[s.id]}})
	if err == nil {
		s.known[s.id] = update.Schedule
	}
	return err
}

func (s *schedule) Delete(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[s.id] == nil {
		return serviceerror.NewNotFound("no schedule")
	}
	delete(s.known, s.id)
	return nil
}

func (s *schedule) Pause(context.Context, client.SchedulePauseOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[s.id] == nil {
		return serviceerror.NewNotFound("no schedule")
	}
	s.known[s.id].State.Paused = true
	return nil
}

func never() bool { return false }

func TestAPollThatIsThereIsUpdatedAndKeepsItsPause(t *testing.T) {
	server := &schedules{known: map[string]*client.Schedule{}}
	polls := Polls{server, never}
	log := slog.New(slog.DiscardHandler)
	polls.Ensure(context.Background(), []string{"L1", "L2"}, 5*time.Minute, log)
	require.Len(t, server.known, 2)
	require.NoError(t, polls.Pause(context.Background(), "L1", "mine"))

	polls.Ensure(context.Background(), []string{"L1", "L2"}, 10*time.Minute, log)
	paused := server.known["poll/L1"]
	assert.True(t, paused.State.Paused)
	assert.Equal(t, 10*time.Minute, paused.Spec.Intervals[0].Every)
	assert.Equal(t, enums.SCHEDULE_OVERLAP_POLICY_SKIP, paused.Policy.Overlap)
	assert.Equal(t, 10*time.Minute, paused.Policy.CatchupWindow)
	assert.False(t, server.known["poll/L2"].State.Paused)
}

func TestNoIntervalMeansNoPoll(t *testing.T) {
	server := &schedules{known: map[string]*client.Schedule{}}
	polls := Polls{server, never}
	log := slog.New(slog.DiscardHandler)
	polls.Ensure(context.Background(), []string{"L1"}, time.Minute, log)
	polls.Ensure(context.Background(), []string{"L1", "L2"}, 0, log)
	assert.Empty(t, server.known)
	assert.ErrorIs(t, polls.Pause(context.Background(), "L1", ""), ErrNoPoll)
}

func TestPollsOfDifferentLocationsStartAtDifferentMoments(t *testing.T) {
	offsets := map[time.Duration]bool{}
	for _, location := range []string{"L1", "L2", "L3", "ve9EPM428h8vShlRW1KT"} {
		spec, _, action := Polls{nil, never}.schedule(location, 5*time.Minute)
		offset := spec.Intervals[0].Offset
		assert.True(t, offset >= 0 && offset < 5*time.Minute)
		offsets[offset] = true
		assert.Equal(t, []any{names.LocationInput{Location: location}}, action.Args)
		assert.Equal(t, temporal.Priority{PriorityKey: names.PriorityPolling, FairnessKey: location}, action.Priority)
		assert.Zero(t, action.TypedSearchAttributes.Size(), "an attribute the server does not know would fail every start")
	}
	assert.Len(t, offsets, 4)
	_, _, action := Polls{nil, func() bool { return true }}.schedule("L1", time.Minute)
	assert.Equal(t, 1, action.TypedSearchAttributes.Size())
}
