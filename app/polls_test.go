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
	away  error // what List fails with
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

func (s *schedules) List(context.Context, client.ScheduleListOptions) (client.ScheduleListIterator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return nil, s.away
	}
	var entries listed
	for id, schedule := range s.known {
		entries = append(entries, &client.ScheduleListEntry{ID: id, Paused: schedule.State.Paused, Note: schedule.State.Note})
	}
	return &entries, nil
}

// listed walks the entries.
type listed []*client.ScheduleListEntry

func (l *listed) HasNext() bool { return len(*l) > 0 }

func (l *listed) Next() (*client.ScheduleListEntry, error) {
	entry := (*l)[0]
	*l = (*l)[1:]
	return entry, nil
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

func (s *schedule) Describe(context.Context) (*client.ScheduleDescription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[s.id] == nil {
		return nil, serviceerror.NewNotFound("no schedule")
	}
	return &client.ScheduleDescription{Schedule: *s.known[s.id]}, nil
}

func (s *schedule) Pause(_ context.Context, o client.SchedulePauseOptions) error {
	return s.hold(true, o.Note)
}

func (s *schedule) Unpause(_ context.Context, o client.ScheduleUnpauseOptions) error {
	return s.hold(false, o.Note)
}

func (s *schedule) hold(paused bool, note string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[s.id] == nil {
		return serviceerror.NewNotFound("no schedule")
	}
	s.known[s.id].State = &client.ScheduleState{Paused: paused, Note: note}
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

func TestTheScheduleOfALocationThatIsNotOursAnyMoreIsPausedUntilItComesBack(t *testing.T) {
	server := &schedules{known: map[string]*client.Schedule{}}
	polls := Polls{server, never}
	var log logged
	ensure := func(locations ...string) {
		polls.Ensure(t.Context(), locations, 5*time.Minute, slog.New(slog.NewJSONHandler(&log, nil)))
	}
	ensure("L1", "L2", "L3")
	require.NoError(t, polls.Pause(t.Context(), "L3", "mine"))

	ensure("L1")
	assert.Len(t, server.known, 3, "none is deleted")
	assert.Equal(t, client.ScheduleState{}, *server.known["poll/L1"].State)
	assert.Equal(t, client.ScheduleState{Paused: true, Note: retired}, *server.known["poll/L2"].State)
	assert.Equal(t, client.ScheduleState{Paused: true, Note: "mine"}, *server.known["poll/L3"].State)
	assert.Equal(t, "L2", log.record("the poll is paused: the location is not in GHL_LOCATION_ID")["location"])

	ensure("L1", "L2", "L3")
	assert.Equal(t, client.ScheduleState{}, *server.known["poll/L2"].State, "ours to resume")
	assert.Equal(t, client.ScheduleState{Paused: true, Note: "mine"}, *server.known["poll/L3"].State, "a person's")

	ensure("L1")
	require.NoError(t, polls.Pause(t.Context(), "L2", "mine"))
	ensure("L1", "L2")
	assert.True(t, server.known["poll/L2"].State.Paused, "a person's pause takes ours over")

	polls.Ensure(t.Context(), []string{"L2"}, 0, slog.New(slog.DiscardHandler))
	assert.NotContains(t, server.known, "poll/L2")
	assert.Equal(t, retired, server.known["poll/L1"].State.Note, "also where polling is off")
}

func TestSchedulesOfOthersAreLeftAlone(t *testing.T) {
	action := func(workflow any, queue string) *client.Schedule {
		return &client.Schedule{
			Action: &client.ScheduleWorkflowAction{Workflow: workflow, TaskQueue: queue}, State: &client.ScheduleState{},
		}
	}
	server := &schedules{known: map[string]*client.Schedule{
		"poll/other-workflow": action("Other", names.Workflows),
		"poll/other-queue":    action(names.PollChanges, "other"),
		"others/L1":           action(names.PollChanges, names.Workflows),
	}}
	var log logged
	Polls{server, never}.Ensure(t.Context(), []string{"L1"}, time.Minute, slog.New(slog.NewJSONHandler(&log, nil)))
	for id, schedule := range server.known {
		assert.False(t, schedule.State.Paused, id)
	}
	assert.Empty(t, log.out.String())

	server.away = serviceerror.NewUnavailable("away")
	Polls{server, never}.Ensure(t.Context(), []string{"L1", "L2"}, time.Minute, slog.New(slog.NewJSONHandler(&log, nil)))
	assert.Contains(t, server.known, "poll/L2", "a list that fails keeps no location from being polled")
	assert.NotNil(t, log.record("the polls can't be listed: those of other locations go on"))
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
