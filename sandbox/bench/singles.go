package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rankrsync/rankrsync/sandbox/stack"
)

// This file measures changes that come one by one, each in a location of its own, so that nothing can be gathered.

// measureSingles is section b. A contact's first round, which makes its record, is measured on the way; the figures
// that count are of changes to contacts that are linked.
func (b *bench) measureSingles(ctx context.Context) error {
	contacts, perSecond, err := b.linked(ctx, "single", b.singles)
	if err != nil {
		return err
	}
	b.add(figure{What: "first link (look-up and create), 50 callers", Value: perSecond, Unit: "/s"})
	if err := b.settled(ctx); err != nil {
		return err
	}
	for _, n := range callers {
		before := b.cpu()
		var times latencies
		perSecond, err := rate(ctx, n, len(contacts), func(ctx context.Context, i int) error {
			took, err := b.change(ctx, contacts[i])
			times.add(took)
			return err
		})
		if err != nil {
			return err
		}
		what := "contacts from POST to write, " + people(n)
		b.add(
			figure{What: what, Value: perSecond, Unit: "/s"},
			figure{What: what + ", p50", Value: times.percentile(.50), Unit: "ms"},
			figure{What: what + ", p99", Value: times.percentile(.99), Unit: "ms"},
		)
		if raw := b.raw[n]; raw > 0 {
			b.add(figure{What: "of the raw ceiling, " + people(n), Value: perSecond / raw, Target: atLeast(.8)})
		}
		if err := b.settled(ctx); err != nil {
			return err
		}
		b.addCPU("a change, "+people(n), len(contacts), before)
	}
	return b.inStep(contacts)
}

// measureIdle is section c.
func (b *bench) measureIdle(ctx context.Context) error {
	contacts, _, err := b.linked(ctx, "idle", b.idle)
	if err != nil {
		return err
	}
	if err := b.settled(ctx); err != nil {
		return err
	}
	var times latencies
	for _, contact := range contacts {
		took, err := b.change(ctx, contact)
		if err != nil {
			return err
		}
		times.add(took)
		if err := pause(ctx, 50*time.Millisecond); err != nil { // its workflow completes meanwhile
			return err
		}
	}
	b.add(
		figure{What: "from POST to write, p50", Value: times.percentile(.50), Unit: "ms", Target: atMost(20)},
		figure{What: "from POST to write, p99", Value: times.percentile(.99), Unit: "ms"},
	)
	return nil
}

// linked starts the product for n locations with one contact each, and brings each into step for the first time. It
// returns the contacts and how many became linked a second.
func (b *bench) linked(ctx context.Context, prefix string, n int) ([]string, float64, error) {
	locations, contacts := b.settle(prefix, n)
	if err := b.serve(ctx, locations, stack.Settings{}); err != nil {
		return nil, 0, err
	}
	perSecond, err := rate(ctx, 50, n, func(ctx context.Context, i int) error {
		_, err := b.told(ctx, contacts[i])
		return err
	})
	return contacts, perSecond, err
}

// people says how many callers there are.
func people(n int) string {
	if n == 1 {
		return "one caller"
	}
	return fmt.Sprintf("%d callers", n)
}
