package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// loading is a location that is loaded whole.
type loading struct {
	location string
	contacts int
	complete bool // GHL's search shows contacts whole; else each must be read
}

// measureBackfill is section g: locations of three sizes, and one of which each contact must be read; then one of them again with
// nothing to do. The worker's peak is told as it grows.
func (b *bench) measureBackfill(ctx context.Context) error {
	small := loading{"loadedSmall", b.backfill / 10, true}
	usual := loading{"loadedUsual", b.backfill, true}
	large := loading{"loadedLarge", 5 * b.backfill, true}
	thin := loading{"loadedThin", b.backfill, false}
	var locations []string
	for _, each := range []loading{small, usual, large, thin} {
		b.populate(each.location, each.contacts)
		locations = append(locations, each.location)
	}
	if err := b.serve(ctx, locations, unlimited); err != nil {
		return err
	}
	defer b.ghl.Set(func(k *ghltest.Knobs) { k.Complete = false })
	for _, pass := range []struct {
		loading
		words string
		least float64
		calls int // at most
	}{
		{small, "complete search documents", 0, 0},
		{usual, "complete search documents", 1_500, 0},
		{large, "complete search documents", 0, 0},
		{thin, "one read each", 1_000, 0},
		{usual, "second pass", 5_000, b.backfill/100 + 1},
	} {
		if err := b.load(ctx, pass.loading, fmt.Sprintf("%d contacts, %s", pass.contacts, pass.words), pass.least, pass.calls); err != nil {
			return err
		}
	}
	return b.reconcile(ctx, large)
}

// reconcile plants drifts in a location that is in step, and has them told.
func (b *bench) reconcile(ctx context.Context, l loading) error {
	if err := b.settled(ctx); err != nil {
		return err
	}
	b.ghl.Set(func(k *ghltest.Knobs) { k.Complete = l.complete })
	var ours []rankrtest.Record
	all := b.rankr.All()
	for _, record := range all {
		if contact, there := b.ghl.Contact(record.ExternalID); there && contact.Location == l.location {
			ours = append(ours, record)
		}
	}
	planted, drifts := map[string]string{}, l.contacts/100
	for i := range drifts {
		record := ours[i*len(ours)/drifts]
		var err error
		switch i % 3 {
		case 0:
			planted[record.ExternalID], err = names.DriftMissing, b.rankr.Remove(record.ID)
		case 1:
			planted[record.ExternalID] = names.DriftDifferent
			_, err = b.rankr.Edit(record.ID, func(r *rankrtest.Record) { r.Fields["city"] = "Elsewhere" })
		default:
			planted[record.ExternalID], err = names.DriftExtra, b.ghl.Quietly().Delete(record.ExternalID)
		}
		if err != nil {
			return err
		}
	}
	began := time.Now()
	run, err := b.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: names.ReconcileOf(l.location), TaskQueue: names.Workflows,
	}, names.Reconcile, names.ReconcileInput{Location: l.location})
	if err != nil {
		return err
	}
	var result names.ReconcileResult
	if err := run.Get(ctx, &result); err != nil {
		return err
	}
	took, found, wrong := time.Since(began), 0, 0
	for _, drift := range result.Drifts {
		if planted[drift.Contact] == drift.Kind {
			found++
		} else {
			wrong++
		}
	}
	peak, err := peakMemory(b.worker.PID())
	if err != nil {
		return err
	}
	words := fmt.Sprintf("%d contacts compared, %d drifts planted", l.contacts, len(planted))
	b.add(
		figure{What: words + ": found", Value: float64(found), Target: exactly(float64(len(planted)))},
		figure{What: words + ": made up", Value: float64(wrong), Target: exactly(0)},
		figure{What: words + ": compared", Value: float64(l.contacts) / took.Seconds(), Unit: "/s"},
		figure{What: words + ": GHL calls", Value: float64(result.GHLCalls), Target: atMost(float64(l.contacts/100 + len(planted) + 1))},
		figure{
			What: words + ": Rankr calls, for the records of all locations", Value: float64(result.RankrCalls),
			Target: atMost(float64(len(all)/100 + len(planted) + 1)),
		},
		figure{What: words + ": the worker's peak by then", Value: peak, Unit: "MB"},
	)
	return nil
}

// load runs a backfill to its end.
func (b *bench) load(ctx context.Context, l loading, words string, least float64, calls int) error {
	b.ghl.Set(func(k *ghltest.Knobs) { k.Complete = l.complete })
	reads, writes := b.calls()
	began, before := time.Now(), b.cpu()
	run, err := b.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: names.BackfillOf(l.location), TaskQueue: names.Workflows,
	}, names.Backfill, names.BackfillInput{Location: l.location})
	if err != nil {
		return err
	}
	var result names.BackfillResult
	if err := run.Get(ctx, &result); err != nil {
		return err
	}
	took, taken := time.Since(began), b.cpu()["worker"]-before["worker"]
	if result.Done != l.contacts {
		return fmt.Errorf("%d of %d contacts are loaded", result.Done, l.contacts)
	}
	readsAfter, writesAfter := b.calls()
	described, err := b.client.DescribeWorkflowExecution(ctx, names.BackfillOf(l.location), "")
	if err != nil {
		return err
	}
	peak, err := peakMemory(b.worker.PID())
	if err != nil {
		return err
	}
	speed, spent := figure{What: words + ": in step", Value: float64(l.contacts) / took.Seconds(), Unit: "/s"}, figure{
		What: words + ": GHL calls", Value: float64(readsAfter - reads),
	}
	if least > 0 {
		speed.Target = atLeast(least)
	}
	if calls > 0 {
		spent.Target = atMost(float64(calls))
	}
	b.add(
		speed, spent,
		figure{What: words + ": Rankr writes", Value: float64(writesAfter - writes)},
		figure{What: words + ": processor time of the worker, a contact", Value: taken.Seconds() * 1000 / float64(l.contacts), Unit: "ms"},
		figure{
			What: words + ": history events of the longest run", Value: float64(described.GetWorkflowExecutionInfo().GetHistoryLength()),
			Target: atMost(10_000),
		},
		figure{What: words + ": the worker's peak by then", Value: peak, Unit: "MB"},
	)
	return nil
}
