// The worker: runs workflows and activities until it is told to stop, then lets what is in hand finish.

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"golang.org/x/oauth2"
	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows"
	"github.com/rankrsync/rankrsync/workflows/names"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// lease is how long a round may write; the contact of a killed worker rests as long.
const lease = 30 * time.Second

// What the worker takes on at once. Pages hold their slot while the gate makes them wait, so bulk has many; a slot
// costs a goroutine. The cache keeps workflows that are about to get a signal from being replayed.
const (
	workflowSlots = 200
	liveSlots     = 200
	bulkSlots     = 250
	cachedRuns    = 2000
	pollers       = 10
	bulkPollers   = 4
)

// drain is how long work in hand may take after the program was told to stop; whatever is not done by then is done
// again by another worker.
const drain = 25 * time.Second

// Work runs a worker until ctx ends.
func Work(ctx context.Context, config Config, log *slog.Logger) (err error) {
	config.LogSecrets(log)
	w := &workerProgram{config: config, log: log, ready: &Ready{}, attributes: &SearchAttributes{}}
	if w.metrics, err = NewMetrics(bool(config.MetricsLocation)); err != nil {
		return err
	}
	ops, err := Listen("OPS_ADDR", config.OpsAddr, NewServer(Ops(w.metrics.Handler(), w.ready), log))
	if err != nil {
		return err
	}
	defer ops.Close()
	if err := proveFirst(ctx, config); err != nil {
		return err
	}
	if w.records, err = OpenStore(ctx, config); err != nil {
		return err
	}
	defer w.records.Close()
	if w.oauth, err = newOAuth(ctx, config, w.records, w.metrics.Requests("ghl")); err != nil {
		return err
	}
	if w.slots, err = store.OpenSlots(ctx, config.StoreURL.Reveal(), config.StoreURL.Reveal); err != nil {
		return &StoreError{config.StoreURL, err}
	}
	defer w.slots.Close()
	if w.temporal, w.options, err = lazily(TemporalFlags{}, w.metrics, log); err != nil {
		return err
	}
	defer w.temporal.Close()
	w.nudger = nudge.New(w.temporal, nudge.Options{SearchAttributes: w.attributes.Known})
	defer closeNudger(w.nudger, log)

	w.checks()
	// The ops server outlives ctx: while the worker drains, it tells that it is not ready.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error { return ops.Serve(serving, time.Second) })
	group.Go(func() error {
		defer stopServing()
		return w.run(ctx)
	})
	return group.Wait()
}

// workerProgram is what the parts of a worker share.
type workerProgram struct {
	config     Config
	log        *slog.Logger
	metrics    *Metrics
	ready      *Ready
	records    *store.Store
	oauth      *oauth // nil: no app is set
	slots      *store.Slots
	temporal   client.Client
	options    client.Options
	attributes *SearchAttributes
	nudger     *nudge.Nudger
	running    atomic.Bool // all queues are served
}

// checks must stand before anybody can ask: without them /readyz would tell of a worker that serves nothing yet.
func (w *workerProgram) checks() {
	w.ready.Check("temporal", temporalCheck(w.temporal, w.options.Namespace))
	w.ready.Check("store", func(ctx context.Context) error { return storeCheck(w.records.Ping(ctx)) })
	w.ready.Check("queues", func(context.Context) error {
		if !w.running.Load() {
			return errors.New("not served yet")
		}
		return nil
	})
}

func (w *workerProgram) run(ctx context.Context) error {
	failed := make(chan error, 1)
	queues := w.start(ctx, failed)
	if queues == nil {
		return nil // told to stop before there was anything to do
	}
	w.running.Store(true)
	w.log.Info("worker runs", "address", w.options.HostPort, "namespace", w.options.Namespace, "locations", len(w.config.GHLLocations))
	background, cancel := context.WithCancel(ctx)
	defer cancel()
	go w.prepare(background)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	w.ready.Leave()
	w.log.Info("worker drains", "within", drain.String())
	stop(queues)
	return err
}

// start waits for Temporal and begins to serve the queues; a server that goes away in between is waited for again. Nil:
// ctx ended first.
func (w *workerProgram) start(ctx context.Context, failed chan<- error) []worker.Worker {
	for wait(ctx, w.temporal, w.options, w.log) == nil {
		queues := w.queues(failed)
		started := 0
		for ; started < len(queues); started++ {
			if err := queues[started].Start(); err != nil {
				w.log.Warn("the worker can't start yet; trying again", "system", "temporal", "error", err)
				break
			}
		}
		if started == len(queues) {
			return queues
		}
		stop(queues[:started])
	}
	return nil
}

func stop(queues []worker.Worker) {
	var stopping sync.WaitGroup
	for _, queue := range queues {
		stopping.Go(queue.Stop)
	}
	stopping.Wait()
}

// prepare brings the server in line with the settings. Nothing waits for it: each part is an improvement, or is made
// up for by the next start. Registering search attributes takes a while, so the polls are not kept waiting for it.
func (w *workerProgram) prepare(ctx context.Context) {
	polls := Polls{w.temporal.ScheduleClient(), w.attributes.Known}
	schedule := func() {
		// Where nothing else tells of changes, a poll that is missing means that nothing is synced: no giving up.
		for pause := time.Second; !w.ensure(ctx, polls); pause = min(2*pause, time.Minute) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}
	w.unpark(ctx)
	paceQueues(ctx, w.temporal, w.options.Namespace, w.config.GHLRate, w.log)
	w.attributes.Discover(ctx, w.temporal, w.options.Namespace, false, w.log)
	schedule()
	if w.attributes.Known() {
		return
	}
	w.attributes.Discover(ctx, w.temporal, w.options.Namespace, true, w.log)
	if w.attributes.Known() {
		schedule()
	}
}

// ensure makes the schedules, and takes those back whose location was disconnected meanwhile: its own workflow removes them after
// it noted that, so one of the two comes last. Without a list of all locations it does nothing, for those that are not listed are paused.
func (w *workerProgram) ensure(ctx context.Context, polls Polls) bool {
	locations, err := w.locations(ctx)
	if err != nil {
		return false
	}
	done := polls.Ensure(ctx, locations, w.config.PollInterval.Duration(), w.log)
	still, err := w.locations(ctx)
	if err != nil {
		return false
	}
	for _, location := range locations {
		if !slices.Contains(still, location) && polls.Remove(ctx, location) != nil {
			done = false
		}
	}
	return done
}

// locations are those of the settings and those that people connected.
func (w *workerProgram) locations(ctx context.Context) ([]string, error) {
	connected, err := w.oauth.locations(ctx)
	if err != nil && ctx.Err() == nil {
		w.log.Warn("the connected locations can't be listed", "code", crm.StoreUnavailable)
	}
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(w.config.GHLLocations, connected)))), err
}

// unpark lets the locations run again whose credentials may be right since this start. If they are not, the first round
// finds out for one call.
func (w *workerProgram) unpark(ctx context.Context) {
	locations, _ := w.locations(ctx) // those of the settings at least
	for _, location := range append([]string{crm.Everywhere}, locations...) {
		if code, err := w.records.Parked(ctx, location); err != nil || code == "" {
			continue
		}
		if err := w.records.Unpark(ctx, location); err != nil {
			w.log.Warn("the location stays parked", "location", location, "code", crm.StoreUnavailable)
		}
	}
}

// queues are the workers of the three task queues. All of them know the deeds; only the first runs workflows.
func (w *workerProgram) queues(failed chan<- error) []worker.Worker {
	worker.SetStickyWorkflowCacheSize(cachedRuns)
	fatal := func(err error) {
		select {
		case failed <- fmt.Errorf("worker: %w", err):
		default: // one is enough to stop
		}
	}
	decisions := worker.New(w.temporal, names.Workflows, worker.Options{
		MaxConcurrentWorkflowTaskExecutionSize: workflowSlots,
		MaxConcurrentWorkflowTaskPollers:       pollers,
		LocalActivityWorkerOnly:                true,
		WorkerStopTimeout:                      drain,
		OnFatalError:                           fatal,
	})
	workflows.Register(decisions)
	activitiesOf := func(queue string, slots, pollers int, interceptors ...interceptor.WorkerInterceptor) worker.Worker {
		return worker.New(w.temporal, queue, worker.Options{
			Interceptors:                       interceptors,
			MaxConcurrentActivityExecutionSize: slots,
			MaxConcurrentActivityTaskPollers:   pollers,
			DisableWorkflowWorker:              true,
			WorkerStopTimeout:                  drain,
			OnFatalError:                       fatal,
		})
	}
	all := []worker.Worker{
		decisions,
		activitiesOf(names.Live, liveSlots, pollers),
		activitiesOf(names.Bulk, bulkSlots, bulkPollers, &bulk{}),
	}
	for _, deeds := range w.deeds() {
		for _, each := range all {
			each.RegisterActivity(deeds)
		}
	}
	return all
}

// deeds wires what activities need: the two systems behind their gates, the store, and the way back to Temporal.
func (w *workerProgram) deeds() []any {
	source := ghl.New(rest.New(rest.Options{
		System:  "ghl",
		BaseURL: string(w.config.GHLBaseURL),
		Tokens:  w.oauth.tokens(w.config.ghlTokens()),
		Gate:    rest.NewGate(w.config.GHLRate.Rate, w.slots),
		Observe: w.metrics.Requests("ghl"),
	}), ghl.Options{Version: string(w.config.GHLAPIVersion)})
	destination := rankr.New(rest.New(rest.Options{
		System:  "rankr",
		BaseURL: string(w.config.RankrBaseURL),
		Tokens:  w.config.rankrTokens(),
		Gate:    rest.NewGate(w.config.RankrRate.Rate, w.slots),
		Observe: w.metrics.Requests("rankr"),
	}), rankr.Options{Account: w.config.rankrAccount})
	contacts := &activities.Contacts{
		Source:      source,
		Destination: destination,
		Links:       w.records,
		Nudge:       w.nudger,
		Prints:      w.records.Fingerprinter(),
		StoreID:     w.records.ID(),
		Quiet:       w.config.QuietPeriod.Duration(),
		Lease:       lease,
		KeepDeleted: w.config.OnDelete == "keep",
		Searchable:  w.attributes.Known,
		Rules:       w.config.rules,
		Accounts:    w.config.rules.Accounts(),
		Observe:     w.metrics.Change,
	}
	contacts.Segments = &activities.Segments{Contacts: contacts, Source: source, Destination: destination}
	polls := &activities.Polls{
		Source: source, Destination: destination, Tasks: source, Businesses: source, Rules: w.config.rules, Prints: contacts.Prints,
		Ticks: w.records, Nudge: w.nudger, Since: w.config.PollSince.start(),
	}
	tasksAndNotes := &activities.TasksAndNotes{Contacts: contacts, Source: source, Destination: destination, Rules: w.config.rules}
	backfills := &activities.Backfills{Contacts: contacts, Source: source, Destination: destination, Links: w.records, TasksAndNotes: tasksAndNotes}
	deeds := []any{
		contacts,
		contacts.Segments,
		&activities.Businesses{Contacts: contacts, Source: source, Destination: destination},
		tasksAndNotes,
		backfills,
		&activities.Reconciles{Backfills: backfills},
		polls,
	}
	if w.oauth != nil {
		polls.Standing = w.records
		schedules := Polls{w.temporal.ScheduleClient(), w.attributes.Known}
		connect := &activities.Connect{
			Source: source, Fields: source, Connections: connected{w.records, w.oauth.Connections},
			Polls: scheduler{schedules, w.config.PollInterval.Duration()}, Parking: w.records, Nudge: w.nudger,
		}
		if w.config.Backfill == "start" {
			connect.Backfill = w.nudger
		}
		deeds = append(deeds, connect)
	}
	return deeds
}

// ghlTokens finds the token of a location. These are private integration tokens: good until they are revoked or replaced.
func (c Config) ghlTokens() func(string) (oauth2.TokenSource, error) {
	sources := map[string]oauth2.TokenSource{}
	for _, location := range c.GHLLocations {
		if _, ok := c.Token(location); ok {
			sources[location] = current{c.GHLToken, func() string {
				token, _ := c.Token(location)
				return token.Reveal()
			}}
		}
	}
	return func(location string) (oauth2.TokenSource, error) {
		if source, ok := sources[location]; ok {
			return source, nil
		}
		return nil, &crm.Error{Code: crm.UnknownLocation, Operation: "ghl token"}
	}
}

// current is a token as it is now: a file may hold another one at the next use.
type current struct {
	secret Secret
	reveal func() string
}

// Token is an [oauth2.TokenSource]'s.
func (c current) Token() (*oauth2.Token, error) { return &oauth2.Token{AccessToken: c.reveal()}, nil }

// Renew is a [rest.Renewer]'s: the file may have been replaced since the last look.
func (c current) Renew(string) (*oauth2.Token, error) {
	c.secret.again()
	return c.Token()
}

// start is where a first poll starts; the zero time means now, by GHL's clock.
func (p PollSince) start() time.Time {
	if p.All {
		return time.Unix(1, 0).UTC()
	}
	return p.At
}
