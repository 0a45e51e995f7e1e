// Backfills, asked for and looked after by a person.

package app

import (
	"context"
	"errors"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// ErrNoBackfill tells that no backfill of the location is under way.
var ErrNoBackfill = errors.New("no backfill of the location is under way")

// Backfills starts backfills and looks after them.
type Backfills struct {
	Temporal   client.Client
	Searchable func() bool // whether the server knows our search attributes
}

// Start starts a backfill, or a report, unless one is under way: that one is left as it is, and started is false.
func (b Backfills) Start(ctx context.Context, input names.BackfillInput) (started bool, err error) {
	options := byHand(b.Searchable).Start(names.Backfill, input.Location, "")
	options.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL
	options.WorkflowExecutionErrorWhenAlreadyStarted = true
	_, err = b.Temporal.ExecuteWorkflow(ctx, options, names.Backfill, input)
	if running := (*serviceerror.WorkflowExecutionAlreadyStarted)(nil); errors.As(err, &running) {
		return false, nil
	}
	return err == nil, err
}

// Result waits for the end of the newest backfill.
func (b Backfills) Result(ctx context.Context, location string) (result names.BackfillResult, err error) {
	err = b.Temporal.GetWorkflow(ctx, names.BackfillOf(location), "").Get(ctx, &result)
	return result, err
}

// Status tells how far the newest backfill is, also when it has ended.
func (b Backfills) Status(ctx context.Context, location string) (status names.BackfillStatus, err error) {
	value, err := b.Temporal.QueryWorkflow(ctx, names.BackfillOf(location), "", names.StatusQuery)
	if err != nil {
		return status, missing(err, ErrNoBackfill)
	}
	return status, value.Get(&status)
}

// Pause holds a backfill: pages under way end, no more begin.
func (b Backfills) Pause(ctx context.Context, location string) error {
	return missing(b.Temporal.SignalWorkflow(ctx, names.BackfillOf(location), "", names.PauseSignal, nil), ErrNoBackfill)
}

// Resume lets it go on.
func (b Backfills) Resume(ctx context.Context, location string) error {
	return missing(b.Temporal.SignalWorkflow(ctx, names.BackfillOf(location), "", names.ResumeSignal, nil), ErrNoBackfill)
}

// Cancel ends it. What is in step by then stays so.
func (b Backfills) Cancel(ctx context.Context, location string) error {
	return missing(b.Temporal.CancelWorkflow(ctx, names.BackfillOf(location), ""), ErrNoBackfill)
}
