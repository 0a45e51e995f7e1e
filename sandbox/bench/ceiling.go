package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// This file measures what nothing on this server can exceed: one signal with start, one workflow, one activity that
// does nothing, on the product's own queues, without search attributes or summaries.

const (
	emptyWorkflow = "BenchEmpty"
	emptyActivity = "BenchNothing"
)

// measureCeiling is section a. The worker is in this process; the product's is not running yet.
func (b *bench) measureCeiling(ctx context.Context) error {
	done := &bells{}
	stop, err := b.emptyWorker(done)
	if err != nil {
		return err
	}
	defer stop()
	warm := min(b.singles, 50)
	if _, err := rate(ctx, 10, warm, b.emptyRun(done, "warm", &latencies{})); err != nil {
		return err
	}
	if err := b.settled(ctx); err != nil {
		return err
	}
	for _, n := range callers {
		before := b.cpu()
		var times latencies
		perSecond, err := rate(ctx, n, b.singles, b.emptyRun(done, fmt.Sprint(n), &times))
		if err != nil {
			return err
		}
		b.raw[n] = perSecond
		what := "empty activities, " + people(n)
		b.add(
			figure{What: what, Value: perSecond, Unit: "/s"},
			figure{What: what + ", p50", Value: times.percentile(.50), Unit: "ms"},
			figure{What: what + ", p99", Value: times.percentile(.99), Unit: "ms"},
		)
		if err := b.settled(ctx); err != nil {
			return err
		}
		b.addCPU("an empty activity, "+people(n), b.singles, before)
	}
	return nil
}

// emptyRun starts a workflow and returns when its activity ran.
func (b *bench) emptyRun(done *bells, name string, times *latencies) func(context.Context, int) error {
	return func(ctx context.Context, i int) error {
		id := fmt.Sprintf("bench/%s/%d", name, i)
		ran := done.listen(id)
		began := time.Now()
		options := client.StartWorkflowOptions{TaskQueue: names.Workflows}
		if _, err := b.client.SignalWithStartWorkflow(ctx, id, names.ChangedSignal, nil, options, emptyWorkflow); err != nil {
			return err
		}
		at, err := await(ctx, ran)
		times.add(at.Sub(began))
		return err
	}
}

// emptyWorker serves both queues with the options of the product's worker.
func (b *bench) emptyWorker(done *bells) (stop func(), err error) {
	const slots, pollers = 200, 10
	decisions := worker.New(b.client, names.Workflows, worker.Options{
		MaxConcurrentWorkflowTaskExecutionSize: slots, MaxConcurrentWorkflowTaskPollers: pollers, LocalActivityWorkerOnly: true,
	})
	decisions.RegisterWorkflowWithOptions(empty, workflow.RegisterOptions{Name: emptyWorkflow})
	deeds := worker.New(b.client, names.Live, worker.Options{
		MaxConcurrentActivityExecutionSize: slots, MaxConcurrentActivityTaskPollers: pollers, DisableWorkflowWorker: true,
	})
	deeds.RegisterActivityWithOptions(func(ctx context.Context) error {
		done.ring(activity.GetInfo(ctx).WorkflowExecution.ID, time.Now())
		return nil
	}, activity.RegisterOptions{Name: emptyActivity})
	if err := decisions.Start(); err != nil {
		return nil, err
	}
	if err := deeds.Start(); err != nil {
		decisions.Stop()
		return nil, err
	}
	return func() { deeds.Stop(); decisions.Stop() }, nil
}

// empty does nothing in one activity, and reads its signals as a workflow must before it may complete.
func empty(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{TaskQueue: names.Live, StartToCloseTimeout: 10 * time.Second})
	err := workflow.ExecuteActivity(ctx, emptyActivity).Get(ctx, nil)
	for workflow.GetSignalChannel(ctx, names.ChangedSignal).ReceiveAsync(nil) {
	}
	return err
}
