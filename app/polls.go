// Polls: one Temporal schedule per location, which starts PollChanges.

package app

import (
	"context"
	"errors"
	"hash/fnv"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// Polls handles the schedules of all locations.
type Polls struct {
	Temporal   client.ScheduleClient
	Searchable func() bool // whether the server knows our search attributes
}

// ErrNoPoll says that a location has no schedule: it is not ours, or polling is off.
var ErrNoPoll = errors.New("no poll is scheduled: check the id, and that POLL_INTERVAL is not 0")

// retired is the note of a schedule that we paused ourselves: a pause with any other is a person's.
const retired = "paused by rankrsync: the location is not in GHL_LOCATION_ID"

// Ensure makes or updates the schedule of each location, or removes them where the interval is 0. The schedules of
// other locations are paused until their location comes back, for their polls could only fail. What a person paused
// stays paused. A location that fails is logged and does not stop the others. It tells whether all are as they should be.
func (p Polls) Ensure(ctx context.Context, locations []string, interval time.Duration, log *slog.Logger) bool {
	var group errgroup.Group
	var failed atomic.Bool
	group.SetLimit(8)
	ours := map[string]bool{}
	for _, location := range locations {
		ours[location] = true
		group.Go(func() error {
			if err := p.ensure(ctx, location, interval); err != nil && ctx.Err() == nil {
				failed.Store(true)
				log.Warn("the poll can't be scheduled", "location", location, "error", err)
			}
			return nil
		})
	}
	for poll, err := range p.List(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("the polls can't be listed: those of other locations go on", "system", "temporal", "error", err)
			}
			break
		}
		if ours[poll.Location] || poll.Paused {
			continue
		}
		group.Go(func() error {
			switch paused, err := p.retire(ctx, poll.Location); {
			case err != nil && ctx.Err() == nil:
				log.Warn("the poll can't be paused", "location", poll.Location, "error", err)
			case paused:
				log.Info("the poll is paused: the location is not in GHL_LOCATION_ID", "location", poll.Location)
			}
			return nil
		})
	}
	_ = group.Wait()
	return !failed.Load()
}

func (p Polls) ensure(ctx context.Context, location string, interval time.Duration) error {
	handle := p.Temporal.GetHandle(ctx, names.Poll(location))
	if interval == 0 {
		return ignoreMissing(handle.Delete(ctx))
	}
	spec, policy, action := p.schedule(location, interval)
	_, err := p.Temporal.Create(ctx, client.ScheduleOptions{
		ID: names.Poll(location), Spec: spec, Action: action, Overlap: policy.Overlap, CatchupWindow: policy.CatchupWindow,
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return handle.Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			schedule := in.Description.Schedule
			schedule.Spec, schedule.Policy, schedule.Action = &spec, &policy, action
			if schedule.State.Paused && schedule.State.Note == retired { // else it goes back as it is: paused stays paused
				state := *schedule.State
				state.Paused, state.Note = false, ""
				schedule.State = &state
			}
			return &client.ScheduleUpdate{Schedule: &schedule}, nil
		},
	})
}

// retire pauses a schedule that starts our polls, unless it is paused already.
func (p Polls) retire(ctx context.Context, location string) (paused bool, err error) {
	handle := p.Temporal.GetHandle(ctx, names.Poll(location))
	description, err := handle.Describe(ctx)
	if err != nil {
		return false, ignoreMissing(err)
	}
	action, ok := description.Schedule.Action.(*client.ScheduleWorkflowAction)
	if !ok || action.Workflow != names.PollChanges || action.TaskQueue != names.Workflows || description.Schedule.State.Paused {
		return false, nil
	}
	err = handle.Pause(ctx, client.SchedulePauseOptions{Note: retired})
	return err == nil, ignoreMissing(err)
}

// schedule says when and what. Locations start at different moments of the interval, so that they don't ask GHL all at
// once; a tick that was missed is made up for by the next one, so that only the last is caught up with.
func (p Polls) schedule(location string, interval time.Duration) (client.ScheduleSpec, client.SchedulePolicies, *client.ScheduleWorkflowAction) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(location))
	spec := client.ScheduleSpec{
		Intervals: []client.ScheduleIntervalSpec{{
			Every:  interval,
			Offset: time.Duration(hash.Sum32()) * time.Millisecond % interval,
		}},
		Jitter: interval / 10,
	}
	policy := client.SchedulePolicies{Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: interval}
	action := &client.ScheduleWorkflowAction{
		ID:            names.Poll(location),
		Workflow:      names.PollChanges,
		Args:          []any{names.LocationInput{Location: location}},
		TaskQueue:     names.Workflows,
		StaticSummary: "Look for changes in GHL location `" + location + "` that no webhook told of",
		Priority:      temporal.Priority{PriorityKey: names.PriorityPolling, FairnessKey: location},
	}
	if p.Searchable() {
		action.TypedSearchAttributes = temporal.NewSearchAttributes(names.GhlLocation.ValueSet(location))
	}
	return spec, policy, action
}

// Poll is the schedule of one location as people see it.
type Poll struct {
	Location string    `json:"location"`
	Paused   bool      `json:"paused"`
	Note     string    `json:"note,omitempty"`
	Last     time.Time `json:"last,omitzero"`
	Next     time.Time `json:"next,omitzero"`
}

// List walks the schedules of all locations.
func (p Polls) List(ctx context.Context) iter.Seq2[Poll, error] {
	return func(yield func(Poll, error) bool) {
		entries, err := p.Temporal.List(ctx, client.ScheduleListOptions{PageSize: 200})
		for err == nil && entries.HasNext() {
			var entry *client.ScheduleListEntry
			if entry, err = entries.Next(); err != nil {
				break
			}
			location, ours := strings.CutPrefix(entry.ID, names.Poll(""))
			if ours && !yield(poll(location, entry), nil) {
				return
			}
		}
		if err != nil {
			yield(Poll{}, err)
		}
	}
}

func poll(location string, entry *client.ScheduleListEntry) Poll {
	p := Poll{Location: location, Paused: entry.Paused, Note: entry.Note}
	if n := len(entry.RecentActions); n > 0 {
		p.Last = entry.RecentActions[n-1].ActualTime.UTC()
	}
	if len(entry.NextActionTimes) > 0 && !entry.Paused {
		p.Next = entry.NextActionTimes[0].UTC()
	}
	return p
}

// Now starts a poll at once. While one runs, another is not started: the one that runs finds the change, or the next.
func (p Polls) Now(ctx context.Context, location string) error {
	return missing(p.Temporal.GetHandle(ctx, names.Poll(location)).Trigger(ctx, client.ScheduleTriggerOptions{}), ErrNoPoll)
}

// Pause stops a location's polls until Resume; a restart of the worker keeps them stopped.
func (p Polls) Pause(ctx context.Context, location, note string) error {
	return missing(p.Temporal.GetHandle(ctx, names.Poll(location)).Pause(ctx, client.SchedulePauseOptions{Note: note}), ErrNoPoll)
}

// Resume lets a location be polled again.
func (p Polls) Resume(ctx context.Context, location, note string) error {
	return missing(p.Temporal.GetHandle(ctx, names.Poll(location)).Unpause(ctx, client.ScheduleUnpauseOptions{Note: note}), ErrNoPoll)
}

// Remove takes a location's schedule away; one that is not there is fine.
func (p Polls) Remove(ctx context.Context, location string) error {
	return p.ensure(ctx, location, 0)
}

// missing is what the server's "not found" means to a person; all other errors are left as they are.
func missing(err, means error) error {
	if err != nil && ignoreMissing(err) == nil {
		return means
	}
	return err
}

func ignoreMissing(err error) error {
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		return nil
	}
	return err
}
