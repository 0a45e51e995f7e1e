// What a person's single command needs: a connection that answers now or not at all, and the store's problems.

package app

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/names"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// Dial connects to a Temporal server that must answer before ctx ends, and looks whether it knows our search attributes.
func Dial(ctx context.Context, options client.Options) (client.Client, func() bool, error) {
	temporal, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, nil, err
	}
	if err := answers(ctx, temporal, options.Namespace); err != nil {
		temporal.Close()
		return nil, nil, err
	}
	attributes := &SearchAttributes{}
	attributes.Discover(ctx, temporal, options.Namespace, false, slog.New(slog.DiscardHandler))
	return temporal, attributes.Known, nil
}

// storeAt is where the store is. Only here is it seen that a file which should say so does not.
func (c Config) storeAt() (string, error) {
	if err := c.StoreURL.check(); err != nil {
		return "", &SettingsError{[]string{"STORE_URL " + err.Error()}}
	}
	return c.StoreURL.Reveal(), nil
}

// OpenStore opens the store of the settings and makes it where it is missing.
func OpenStore(ctx context.Context, config Config) (*store.Store, error) {
	url, err := config.storeAt()
	if err != nil {
		return nil, err
	}
	memory, err := store.Open(ctx, url, store.WithURL(config.StoreURL.Reveal))
	if err != nil {
		return nil, &StoreError{config.StoreURL, err}
	}
	return memory, nil
}

// StoreError is a store that can't be opened or asked.
type StoreError struct {
	URL StoreURL
	err error
}

func (e *StoreError) Error() string {
	return "the store " + e.URL.String() + " can't be used: " + e.err.Error()
}

func (e *StoreError) Unwrap() error { return e.err }

// withStore opens the store that a worker made: a command that made an empty one in the wrong folder would only tell
// that all is well.
func withStore(ctx context.Context, config Config, do func(*store.Store) error) error {
	url, err := config.storeAt()
	if err != nil {
		return err
	}
	if err := store.Made(ctx, url); err != nil {
		return &StoreError{config.StoreURL, err}
	}
	memory, err := OpenStore(ctx, config)
	if err != nil {
		return err
	}
	defer memory.Close()
	if err := do(memory); err != nil {
		return &StoreError{config.StoreURL, err}
	}
	return nil
}

// Problems lists all open problems, of one location and with one code where these are given.
func Problems(ctx context.Context, config Config, location string, code crm.Code) (problems []crm.ProblemRecord, err error) {
	filter := store.Filter{Location: location}
	if code != "" {
		filter.Codes = []crm.Code{code}
	}
	err = withStore(ctx, config, func(memory *store.Store) (err error) {
		problems, err = memory.Problems(ctx, filter)
		return err
	})
	return problems, err
}

// ApproveDeletes approves the parked deletes of a location and returns what is to be deleted, which must be nudged.
func ApproveDeletes(ctx context.Context, config Config, location string) (targets []Target, err error) {
	err = withStore(ctx, config, func(memory *store.Store) error {
		if _, err := memory.ApproveDeletes(ctx, location); err != nil {
			return err
		}
		problems, err := memory.Problems(ctx, store.Filter{Location: location, Codes: []crm.Code{crm.DeleteBrake}})
		for _, each := range problems {
			if each.Approved {
				targets = append(targets, Target{each.Ref, each.Object})
			}
		}
		return err
	})
	return targets, err
}

// Unpark lets the given locations run again, as a poll that succeeds does: a person says that what parked them is mended.
func Unpark(ctx context.Context, config Config, locations iter.Seq[string]) error {
	return withStore(ctx, config, func(memory *store.Store) error {
		for location := range locations {
			if err := memory.Unpark(ctx, location); err != nil {
				return err
			}
		}
		return memory.Unpark(ctx, crm.Everywhere)
	})
}

// byHand is how a workflow starts that a person asks for.
func byHand(searchable func() bool) nudge.Options {
	return nudge.Options{SearchAttributes: searchable, Priority: names.PriorityOperations}
}

// Target is what a round is asked for. Of a business, the Ref's Contact is its id.
type Target struct {
	crm.Ref
	Object crm.Object
}

// Nudge asks for a round of each target. It returns once Temporal has them all.
func Nudge(ctx context.Context, temporal client.Client, searchable func() bool, targets []Target) error {
	nudger := nudge.New(temporal, byHand(searchable))
	defer closeNudger(nudger, slog.New(slog.DiscardHandler))
	singles := map[crm.Object]func(context.Context, string, names.Hint) error{ // which are not gathered in pages
		crm.TasksAndNotes: nudger.TasksAndNotes,
		crm.Segments:      nudger.Segments,
		crm.ABusiness:     nudger.Business,
	}
	contacts := map[string][]names.Hint{} // by location
	var group errgroup.Group
	group.SetLimit(8)
	for _, target := range targets {
		hint := names.Hint{Contact: target.Contact}
		single, ok := singles[target.Object]
		if !ok {
			contacts[target.Location] = append(contacts[target.Location], hint)
			continue
		}
		group.Go(func() error { return single(ctx, target.Location, hint) })
	}
	for location, hints := range contacts {
		for batch := range slices.Chunk(hints, names.MaxHints) {
			if err := nudger.Contacts(ctx, location, batch...); err != nil {
				return err
			}
		}
	}
	return group.Wait()
}

// ExitCode is the exit code of a long-running program that ended with err: 2 for settings, 3 for a system that can't be
// reached, 1 for anything else.
func ExitCode(err error) int {
	var settings *SettingsError
	var away *StoreError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &settings):
		return 2
	case errors.As(err, &away):
		return 3
	}
	return 1
}
