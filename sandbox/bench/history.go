package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// This file reads what the server has written down: which runs there were, and what they would cost at Temporal Cloud.

// execution is one workflow run that has ended.
type execution struct {
	id, run string
	events  int
	bytes   int64
}

type executions []execution

func (r executions) of(workflow string) (some executions) {
	for _, run := range r {
		if run.id == workflow {
			some = append(some, run)
		}
	}
	return some
}

func (r executions) events() (n int) {
	for _, run := range r {
		n += run.events
	}
	return n
}

func (r executions) bytes() (n int64) {
	for _, run := range r {
		n += run.bytes
	}
	return n
}

// drained waits until no workflow of the locations runs.
func (b *bench) drained(ctx context.Context, locations ...string) error {
	return b.ended(ctx, of(locations))
}

// settled waits until no workflow runs at all and the quiet period is over, so that one measurement does not reach into
// the next. The server lists an end only when it gets to it, after a storm seconds later: until then it is still busy.
func (b *bench) settled(ctx context.Context) error {
	types := []string{names.SyncContact, names.SyncContacts, names.AlignTasksAndNotes, names.SegmentContact, names.SyncBusiness, emptyWorkflow}
	if err := b.ended(ctx, `WorkflowType IN ("`+strings.Join(types, `", "`)+`")`); err != nil {
		return err
	}
	return pause(ctx, 2500*time.Millisecond)
}

// ended waits until none of the selected workflows runs. What has just begun may not be listed yet, so it looks more
// than once.
func (b *bench) ended(ctx context.Context, which string) error {
	const looks = 10
	query := which + ` AND ExecutionStatus = "Running"`
	idle := 0
	err := until(ctx, func() (bool, error) {
		found, err := b.client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
		if err != nil {
			return false, err
		}
		idle++
		if found.GetCount() > 0 {
			idle = 0
		}
		return idle >= looks, pause(ctx, 20*time.Millisecond)
	})
	if err != nil {
		return fmt.Errorf("workflows still run (%s): %w", which, err)
	}
	return nil
}

// of is the part of a query that selects locations.
func of(locations []string) string {
	return `GhlLocation IN ("` + strings.Join(locations, `", "`) + `")`
}

// history lists the runs of the locations that began since then.
func (b *bench) history(ctx context.Context, since time.Time, locations ...string) (executions, error) {
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Query: of(locations) + ` AND StartTime >= "` + since.UTC().Format(time.RFC3339Nano) + `"`, PageSize: 1000,
	}
	var all executions
	for {
		found, err := b.client.ListWorkflow(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, e := range found.GetExecutions() {
			all = append(all, execution{
				id: e.GetExecution().GetWorkflowId(), run: e.GetExecution().GetRunId(),
				events: int(e.GetHistoryLength()), bytes: e.GetHistorySizeBytes(),
			})
		}
		if request.NextPageToken = found.GetNextPageToken(); len(request.NextPageToken) == 0 {
			break
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the server lists no run of %s", locations[0])
	}
	return all, nil
}

// actions counts what Temporal Cloud would bill for these runs, but for heartbeats.
func (b *bench) actions(ctx context.Context, all executions) (int, error) {
	n := 0
	for _, run := range all {
		var before *historypb.HistoryEvent
		events := b.client.GetWorkflowHistory(ctx, run.id, run.run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			if err != nil {
				return 0, err
			}
			n += actions(before, event)
			before = event
		}
	}
	return n, nil
}

// actions are the billable actions that an event stands for, by https://docs.temporal.io/cloud/actions. A signal with
// start is one; so are a signal, a schedule or retry of an activity, a timer, an upsert of search attributes, an update
// and a marker; a child workflow is two.
func actions(before, event *historypb.HistoryEvent) int {
	switch event.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		if event.GetWorkflowExecutionStartedEventAttributes().GetParentWorkflowExecution() != nil {
			return 0 // billed to the parent
		}
		return 1
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
		if before.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED {
			return 0 // it came with the start
		}
		return 1
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		return int(event.GetActivityTaskStartedEventAttributes().GetAttempt()) - 1
	case enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
		return 2
	case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
		enumspb.EVENT_TYPE_TIMER_STARTED,
		enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
		enumspb.EVENT_TYPE_MARKER_RECORDED:
		return 1
	}
	return 0
}
