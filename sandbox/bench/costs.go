package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

// This file counts what a change costs.

const (
	specimens = 10 // contacts that each kind of change is made to
	burst     = 20 // edits within a quiet period
)

// measureCosts is section e.
func (b *bench) measureCosts(ctx context.Context) error {
	const page = "page"
	locations, contacts := b.settle("cost", specimens)
	crowd := b.populate(page, b.page)
	rules, err := b.rules()
	if err != nil {
		return err
	}
	if err := b.serve(ctx, append(locations, page), unlimited.With(rules)); err != nil {
		return err
	}
	if _, err := b.flood(ctx, append(crowd, contacts...), 1); err != nil {
		return err
	}
	for _, c := range []struct {
		what          string
		reads, writes target
		actions       target
		locations     []string
		changes       int
		make          func(context.Context) error
	}{
		{"a single change", exactly(1), exactly(1), atMost(5), locations, specimens, b.each(contacts, b.oneChange)},
		{"a webhook with nothing new", exactly(1), exactly(0), target{}, locations, specimens, b.each(contacts, b.nothingNew)},
		{fmt.Sprintf("a burst of %d", burst), atMost(2), atMost(2), target{}, locations, specimens, b.each(contacts, b.aBurst)},
		{"a new note", atMost(2), atMost(1), target{}, locations, specimens, b.each(contacts, b.aNote)},
		{"a tag added that a segment's rule waits for", exactly(1), atMost(2), target{}, locations, specimens, b.each(contacts, b.aTag)},
		{"a change in a page", exactly(1), exactly(1), atMost(.2), []string{page}, len(crowd), b.crowd(crowd)},
	} {
		if err := b.settled(ctx); err != nil {
			return err
		}
		cost, err := b.cost(ctx, c.locations, c.make)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		share := func(n int) float64 { return float64(n) / float64(c.changes) }
		b.add(
			figure{What: c.what + ": GHL calls", Value: share(cost.reads), Target: c.reads},
			figure{What: c.what + ": Rankr writes", Value: share(cost.writes), Target: c.writes},
			figure{What: c.what + ": history events", Value: share(cost.events)},
			figure{What: c.what + ": billable actions", Value: share(cost.actions), Target: c.actions},
		)
	}
	return b.inStep(append(crowd, contacts...))
}

// cost is what some changes cost together.
type cost struct{ reads, writes, events, actions int }

// cost makes changes, waits until all is quiet, and counts. Heartbeats are in no history: the worker counts them.
func (b *bench) cost(ctx context.Context, locations []string, make func(context.Context) error) (cost, error) {
	since := time.Now()
	reads, writes := b.calls()
	beats, err := b.heartbeats(ctx)
	if err != nil {
		return cost{}, err
	}
	if err := make(ctx); err != nil {
		return cost{}, err
	}
	if err := b.drained(ctx, locations...); err != nil {
		return cost{}, err
	}
	left, err := b.history(ctx, since, locations...)
	if err != nil {
		return cost{}, err
	}
	actions, err := b.actions(ctx, left)
	if err != nil {
		return cost{}, err
	}
	readsNow, writesNow := b.calls()
	beatsNow, err := b.heartbeats(ctx)
	return cost{readsNow - reads, writesNow - writes, left.events(), actions + beatsNow - beats}, err
}

func (b *bench) heartbeats(ctx context.Context) (int, error) {
	n, err := b.worker.Metric(ctx, "temporal_request_total", `operation="RecordActivityTaskHeartbeat"`)
	return int(n), err
}

// each does the same to all contacts at the same time: they are in different locations.
func (b *bench) each(contacts []string, do func(context.Context, string) error) func(context.Context) error {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, contact := range contacts {
			group.Go(func() error { return do(ctx, contact) })
		}
		return group.Wait()
	}
}

func (b *bench) oneChange(ctx context.Context, contact string) error {
	_, err := b.change(ctx, contact)
	return err
}

func (b *bench) nothingNew(ctx context.Context, contact string) error {
	w, err := b.webhook(contact)
	if err != nil {
		return err
	}
	_, err = b.post(ctx, w)
	return err
}

// aBurst makes its edits in one second, half the quiet period.
func (b *bench) aBurst(ctx context.Context, contact string) error {
	for range burst {
		if err := b.edit(contact); err != nil {
			return err
		}
		if err := b.nothingNew(ctx, contact); err != nil {
			return err
		}
		if err := pause(ctx, time.Second/burst); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) aNote(ctx context.Context, contact string) error {
	note, err := b.ghl.Quietly().AddNote(contact, ghltest.Note{Body: "Likes tea"})
	if err != nil {
		return err
	}
	return b.tell(ctx, ghltest.NoteCreate, note.ID)
}

func (b *bench) aTag(ctx context.Context, contact string) error {
	if _, err := b.ghl.Quietly().Tag(contact, gold); err != nil {
		return err
	}
	return b.tell(ctx, ghltest.ContactTagUpdate, contact)
}

// tell posts an event about a contact, a task or a note.
func (b *bench) tell(ctx context.Context, kind, id string) error {
	body, err := b.ghl.Event(kind, id)
	if err != nil {
		return err
	}
	_, err = b.post(ctx, webhook{string(body), b.ghl.Sign(body)})
	return err
}

const gold = "gold"

// rules are settings with a segment for those who have the tag. The segment is there already: making it is no part of a change.
func (b *bench) rules() (stack.Settings, error) {
	if _, err := b.rankr.AddSegment(rankrtest.Segment{Name: "Gold"}); err != nil {
		return nil, err
	}
	file, err := filepath.Abs(filepath.Join(b.stack.Dir, "sync.yaml"))
	if err != nil {
		return nil, err
	}
	return stack.Settings{"SYNC_FILE": file}, os.WriteFile(file, []byte("segments: [{name: Gold, when: '\""+gold+"\" in tags'}]\n"), 0o600)
}

// crowd changes all contacts of a location at once.
func (b *bench) crowd(contacts []string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := b.editAll(ctx, contacts); err != nil {
			return err
		}
		_, err := b.flood(ctx, contacts, 1)
		return err
	}
}
