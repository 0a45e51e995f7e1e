// Command demo shows what rankrsync does, in one command: it starts a Temporal server with its web UI, a fake GHL and
// a fake Rankr, a worker and the webhook receiver, and plays a short story with real signed webhooks.
//
// Each moment is checked against what the fakes hold. With ONCE=1 the demo ends after the story, with exit code 0 only
// if every moment ended as it should; else it stays up until Ctrl-C. With TEMPORAL_ADDRESS set, that server is used.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/process"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

const (
	contacts = 25
	vips     = 5                // of them, as they are seeded
	grace    = 10 * time.Second // for each program to stop
)

// rules is the worker's sync.yaml.
//
//go:embed sync.yaml
var rules []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Getenv("ONCE") != "")
	switch {
	case err == nil:
	case errors.Is(err, errStory):
		os.Exit(1) // it has been told already
	case ctx.Err() != nil:
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// errStory says that a moment did not end as it should.
var errStory = errors.New("the story did not end well")

func run(ctx context.Context, once bool) (err error) {
	dir, err := os.MkdirTemp("", "rankrsync-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			_ = os.RemoveAll(dir)
			return
		}
		fmt.Fprintln(os.Stderr, "The programs' logs are in", filepath.Join(dir, "logs"))
	}()
	t, err := raise(ctx, dir, once)
	defer t.strike()
	if err != nil {
		return err
	}
	s := &story{theatre: t}
	if err := s.play(ctx); err != nil {
		return err
	}
	if s.failed > 0 {
		fmt.Printf("\n%d of %d moments did not end as they should.\n", s.failed, s.told)
		err = errStory
	} else {
		fmt.Printf("\nAll %d moments ended as they should.\n", s.told)
	}
	if once {
		return err
	}
	t.invite()
	t.followRules(ctx)
	fmt.Println()
	return err
}

// theatre is everything that runs.
type theatre struct {
	stack    stack.Stack
	dir      string
	settings stack.Settings
	running  []*process.Process

	rules     string // the file
	fakes     *stack.Fakes
	ghl       ghltest.RemoteServer
	rankr     rankrtest.Remote
	worker    *stack.Program
	starter   *stack.Program
	temporal  client.Client
	namespace string
	ui        string // empty: not ours to know
}

// raise starts everything, the server first. What it started is in the theatre also when it fails.
func raise(ctx context.Context, dir string, once bool) (*theatre, error) {
	t := &theatre{dir: dir}
	self, err := os.Executable()
	if err != nil {
		return t, err
	}
	t.stack = stack.Stack{Bin: filepath.Dir(self), Dir: dir, Log: filepath.Join(dir, "logs")}
	began := time.Now()
	if err := t.findTemporal(ctx, once); err != nil {
		return t, err
	}
	if t.fakes, err = t.stack.Fakes(ctx, contacts); err != nil {
		return t, err
	}
	t.running = append(t.running, t.fakes.Process)
	t.ghl, t.rankr = ghltest.Remote(t.fakes.GHLControl), rankrtest.Remote{URL: t.fakes.RankrControl}

	t.rules = filepath.Join(dir, "sync.yaml")
	if err := os.WriteFile(t.rules, rules, 0o600); err != nil {
		return t, err
	}
	app, err := appSettings(t.fakes.GHL)
	if err != nil {
		return t, err
	}
	// Polls come when the story asks for one; 15 minutes is the longest there is.
	t.settings = t.settings.With(t.fakes.Settings()).With(app).With(stack.Settings{
		"STORE_URL": "sqlite:rankrsync.db", "POLL_INTERVAL": "15m", "POLL_SINCE": "all", "SYNC_FILE": t.rules,
	})
	if t.worker, err = t.stack.Worker(ctx, t.settings); err != nil {
		return t, err
	}
	t.running = append(t.running, t.worker.Process)
	if t.starter, err = t.stack.Starter(ctx, t.settings); err != nil {
		return t, err
	}
	t.running = append(t.running, t.starter.Process)
	if err := t.ghl.Deliver(ctx, t.starter.HTTP+"/webhooks/ghl"); err != nil {
		return t, err
	}
	fmt.Printf("Up in %s: a Temporal server, a fake GHL with %d contacts, a fake Rankr, a worker, a webhook receiver.\n",
		time.Since(began).Round(100*time.Millisecond), contacts)
	if t.ui != "" {
		fmt.Printf("Look at every run in the Temporal UI: %s\n", t.ui)
	}
	fmt.Printf("Its rules, a segment for VIPs, a task for new leads, follow-ups of tasks that are done or overdue: %s\n\n", t.rules)
	return t, nil
}

// findTemporal takes the server that the environment names, or starts ours.
func (t *theatre) findTemporal(ctx context.Context, once bool) error {
	if os.Getenv("TEMPORAL_ADDRESS") != "" {
		t.settings = stack.Settings{}
		for _, variable := range os.Environ() {
			if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "TEMPORAL_") {
				t.settings[name] = value
			}
		}
		t.ui = strings.TrimSuffix(os.Getenv("TEMPORAL_UI"), "/")
	} else {
		server, err := t.startTemporal(ctx, once)
		if err != nil {
			return err
		}
		t.running = append(t.running, server.Process)
		t.settings = stack.Settings{"TEMPORAL_ADDRESS": server.Address, "TEMPORAL_NAMESPACE": server.Namespace}
		t.ui = server.UI
	}
	return t.dial(ctx)
}

// startTemporal puts the UI where people expect it, unless something else is there.
func (t *theatre) startTemporal(ctx context.Context, once bool) (*stack.Temporal, error) {
	const usual, free = 8233, -1
	files := filepath.Join(t.dir, "temporal")
	if !once {
		if server, err := t.stack.Temporal(ctx, files, 0, usual); err == nil {
			return server, nil
		}
	}
	return t.stack.Temporal(ctx, files, 0, free)
}

func (t *theatre) dial(ctx context.Context) error {
	options, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{EnvLookup: lookup(t.settings)})
	if err != nil {
		return err
	}
	options.Logger = quiet{}
	if t.temporal, err = client.DialContext(ctx, options); err != nil {
		return err
	}
	t.namespace = options.Namespace
	if t.namespace == "" {
		t.namespace = client.DefaultNamespace
	}
	return nil
}

// invite tells what there is to try while everything is up.
func (t *theatre) invite() {
	env := filepath.Join(t.dir, "env")
	var b strings.Builder
	for name, value := range t.settings.With(stack.Settings{"STORE_URL": "sqlite:" + filepath.Join(t.dir, "rankrsync.db")}) {
		fmt.Fprintf(&b, "export %s='%s'\n", name, value)
	}
	if err := os.WriteFile(env, []byte(b.String()), 0o600); err != nil {
		return
	}
	fmt.Printf(`
Everything stays up until Ctrl-C. To try, in another terminal:

  # edit a contact in the fake GHL; its webhook does the rest
  curl -s -X PATCH %s/contacts/%s -d '{"firstName":"Robin"}'

  # see what Rankr holds
  curl -s %s/records

  # as a person would
  . %s
  bin/starter problems
  bin/starter sync-contact --contact %s --wait

  # change the rules; once the file is saved the worker starts again with them
  %s

`, t.fakes.GHLControl, t.someContact(), t.fakes.RankrControl, env, t.someContact(), t.rules)
	if t.ui != "" {
		fmt.Printf("  Temporal UI: %s\n", t.ui)
	}
}

// followRules starts the worker again with the rules whenever their file changes, until ctx ends: a worker reads them once.
func (t *theatre) followRules(ctx context.Context) {
	before, _ := os.ReadFile(t.rules)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		now, err := os.ReadFile(t.rules)
		if err != nil || bytes.Equal(now, before) {
			continue
		}
		before = now
		t.worker.Stop(grace)
		worker, err := t.stack.Worker(ctx, t.settings)
		if err != nil { // the one that ended stays until the file is changed again
			why := err.Error()
			if i := strings.LastIndex(why, "\nworker: "); i >= 0 { // after its log comes what it has to say
				why = why[i:]
			}
			fmt.Println("  the worker does not start:", strings.TrimSpace(why))
			continue
		}
		t.running[slices.Index(t.running, t.worker.Process)], t.worker = worker.Process, worker
		fmt.Println("  the worker has the new rules")
	}
}

func (t *theatre) someContact() string {
	all, err := t.ghl.Contacts(context.Background(), t.fakes.Location)
	if err != nil || len(all) == 0 {
		return "CONTACT"
	}
	return all[0].ID
}

// strike ends everything, the server last: the others still need it.
func (t *theatre) strike() {
	if t.temporal != nil {
		t.temporal.Close()
	}
	for _, p := range slices.Backward(t.running) {
		p.Stop(grace)
	}
}

// lookup lets Temporal's settings be read from a map.
type lookup stack.Settings

func (l lookup) Environ() []string {
	var all []string
	for name, value := range l {
		all = append(all, name+"="+value)
	}
	return all
}

func (l lookup) LookupEnv(name string) (string, bool) {
	value, ok := l[name]
	return value, ok
}

// quiet is a logger for the SDK: what matters here is told by the story.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
