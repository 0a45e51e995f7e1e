package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/sandbox/process"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// This file measures many changes at once: how fast they are taken in, how fast they are brought into step, what that
// does to others, and how much memory it takes.

// unlimited lets the gate pass everything: a storm of one location would otherwise be as slow as GHL's limit.
var unlimited = stack.Settings{"GHL_RATE": "0"}

// measureStorm is section d: three storms, of new contacts, of changes, and of changes while another location has a
// trickle of its own.
func (b *bench) measureStorm(ctx context.Context) error {
	const location, other = "storm", "trickle"
	contacts, others := b.populate(location, b.storm), b.populate(other, 100)
	if err := b.serve(ctx, []string{location, other}, unlimited); err != nil {
		return err
	}
	if _, err := b.flood(ctx, others, 1); err != nil {
		return err
	}
	first, err := b.flood(ctx, contacts, 1)
	if err != nil {
		return err
	}
	b.add(figure{What: "first link, contacts in step", Value: first.inStep, Unit: "/s"})
	if err := b.stormOfChanges(ctx, location, contacts); err != nil {
		return err
	}
	return b.stormBesideTrickle(ctx, contacts, others)
}

// stormOfChanges has every contact change once, and GHL tell of it twice.
func (b *bench) stormOfChanges(ctx context.Context, location string, contacts []string) error {
	if err := b.editAll(ctx, contacts); err != nil {
		return err
	}
	since, before := time.Now(), b.cpu()
	changes, err := b.flood(ctx, contacts, 2)
	if err != nil {
		return err
	}
	b.add(
		figure{What: "webhooks accepted", Value: changes.accepted, Unit: "/s", Target: atLeast(4000)},
		figure{What: "webhooks answered with 503", Value: float64(changes.refused)},
		figure{What: "contacts in step", Value: changes.inStep, Unit: "/s", Target: atLeast(1200)},
	)
	b.addCPU("a contact", len(contacts), before)
	if err := b.drained(ctx, location); err != nil {
		return err
	}
	b.add(figure{What: "until nothing was under way", Value: time.Since(since).Seconds(), Unit: "s"})
	return b.stormHistory(ctx, location, since)
}

// stormBesideTrickle tells what the same storm does to others.
func (b *bench) stormBesideTrickle(ctx context.Context, contacts, others []string) error {
	if err := b.editAll(ctx, contacts); err != nil {
		return err
	}
	stop := b.trickle(ctx, others)
	changes, err := b.flood(ctx, contacts, 2)
	times, trickleErr := stop()
	if err := errors.Join(err, trickleErr); err != nil {
		return err
	}
	b.add(
		figure{What: "beside a trickle of 20/s in another location: contacts in step", Value: changes.inStep, Unit: "/s"},
		figure{What: "the trickle, from POST to write, p50", Value: times.percentile(.50), Unit: "ms"},
		figure{What: "the trickle, from POST to write, p99", Value: times.percentile(.99), Unit: "ms"},
	)
	return nil
}

// editAll changes every contact, once nothing is under way.
func (b *bench) editAll(ctx context.Context, contacts []string) error {
	if err := b.settled(ctx); err != nil {
		return err
	}
	for _, contact := range contacts {
		if err := b.edit(contact); err != nil {
			return err
		}
	}
	return nil
}

// stormHistory tells what the location's workflow left behind.
func (b *bench) stormHistory(ctx context.Context, location string, since time.Time) error {
	left, err := b.history(ctx, since, location)
	if err != nil {
		return err
	}
	runs := left.of(names.Contacts(location))
	b.add(
		figure{What: "runs of " + names.Contacts(location), Value: float64(len(runs))},
		figure{What: "their history events", Value: float64(runs.events())},
		figure{What: "their size", Value: float64(runs.bytes()) / 1e6, Unit: "MB"},
	)
	return nil
}

// measureMemory is section f. GHL answers only once all webhooks are accepted, so that all contacts are in flight. The
// server has been running since the first section.
func (b *bench) measureMemory(ctx context.Context) error {
	const location = "flood"
	contacts := b.populate(location, b.sizes.flood)
	if err := b.serve(ctx, []string{location}, unlimited); err != nil {
		return err
	}
	release := b.valve.hold()
	defer release()
	b.writes.watch(contacts)
	events, err := b.webhooks(contacts)
	if err != nil {
		return err
	}
	if _, _, err := b.deliver(ctx, events); err != nil {
		return err
	}
	release()
	if err := b.written(ctx); err != nil {
		return err
	}
	for _, program := range []*process.Process{b.worker.Process, b.starter.Process, b.temporal.Process} {
		peak, err := peakMemory(program.PID())
		if err != nil {
			return err
		}
		b.add(figure{What: fmt.Sprintf("%s, peak with %d contacts in flight", program.Name, len(contacts)), Value: peak, Unit: "MB"})
	}
	return b.inStep(contacts)
}

// flood is what came of a storm.
type flood struct {
	accepted, inStep float64 // a second
	refused          int     // answers with 503
}

// flood tells of each contact so many times, as fast as it is accepted, and waits until all are in step.
func (b *bench) flood(ctx context.Context, contacts []string, times int) (flood, error) {
	var events []webhook // made beforehand: that is GHL's work
	for range times {
		once, err := b.webhooks(contacts)
		if err != nil {
			return flood{}, err
		}
		events = append(events, once...)
	}
	b.writes.watch(contacts)
	began := time.Now()
	took, refused, err := b.deliver(ctx, events)
	if err != nil {
		return flood{}, err
	}
	if err := b.written(ctx); err != nil {
		return flood{}, err
	}
	_, last := b.writes.missing()
	return flood{
		accepted: float64(len(events)) / took.Seconds(),
		inStep:   float64(len(contacts)) / last.Sub(began).Seconds(),
		refused:  refused,
	}, b.inStep(contacts)
}

// deliver posts webhooks as fast as they are accepted, and returns how long that took and how many answers were 503.
func (b *bench) deliver(ctx context.Context, events []webhook) (time.Duration, int, error) {
	group, ctx := errgroup.WithContext(ctx)
	var next, refusals atomic.Int64
	began := time.Now()
	for range posters {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(events) {
					return nil
				}
				refused, err := b.post(ctx, events[i])
				refusals.Add(int64(refused))
				if err != nil {
					return err
				}
			}
		})
	}
	err := group.Wait()
	return time.Since(began), int(refusals.Load()), err
}

// written waits until every contact that is watched was written to.
func (b *bench) written(ctx context.Context) error {
	err := until(ctx, func() (bool, error) {
		missing, _ := b.writes.missing()
		return missing == 0, nil
	})
	if err != nil {
		missing, _ := b.writes.missing()
		return fmt.Errorf("%d contacts were not written to: %w", missing, err)
	}
	return nil
}

// trickle changes one contact after the other, 20 a second however long each takes, until it is stopped. Stopping it
// returns the times from POST to write.
func (b *bench) trickle(ctx context.Context, contacts []string) (stop func() (*latencies, error)) {
	ctx, cancel := context.WithCancel(ctx)
	times := &latencies{}
	var group errgroup.Group
	ticking := make(chan struct{})
	go func() {
		defer close(ticking)
		for i := 0; pause(ctx, 50*time.Millisecond) == nil; i++ {
			group.Go(func() error {
				took, err := b.change(context.WithoutCancel(ctx), contacts[i%len(contacts)])
				times.add(took)
				return err
			})
		}
	}()
	return func() (*latencies, error) {
		cancel()
		<-ticking
		err := group.Wait()
		return times, err
	}
}
