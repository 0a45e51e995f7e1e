// Package e2e runs the real programs against a real Temporal server and the fakes, over real sockets: worker and
// starter are processes of their own, so that they can be killed; the fakes live in the test.
package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

const (
	location   = "locationOfTheTest"
	rankrToken = "rankr-test-token"
	// patience is how long a condition may take; far more than it needs.
	patience = 2 * time.Minute
)

// world is one test's server, programs and fakes.
type world struct {
	t        *testing.T
	stack    stack.Stack
	settings stack.Settings

	ghl      *ghltest.Server
	rankr    *rankrtest.Server
	temporal *stack.Temporal
	worker   *stack.Program
	starter  *stack.Program
	client   client.Client
}

// binaries is where make test builds them; without it there is nothing to test.
func binaries(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("E2E_BIN"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs("../../bin/race")
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(dir, "worker")); err != nil {
		t.Skip("the programs are not built: run make test")
	}
	return dir
}

// newWorld starts everything but what the settings turn off. The server keeps its files, so that it can be restarted.
func newWorld(t *testing.T, settings stack.Settings) *world {
	t.Helper()
	return newWorldOf(t, func(string) stack.Settings { return settings })
}

// newWorldOf is newWorld for settings that need to know where GHL is.
func newWorldOf(t *testing.T, settings func(ghlURL string) stack.Settings) *world {
	t.Helper()
	w := &world{t: t, stack: stack.Stack{Bin: binaries(t), Dir: t.TempDir(), Log: t.TempDir()}}
	t.Cleanup(w.showLogs)

	w.ghl = ghltest.New()
	w.ghl.FailOnUnknown(t)
	t.Cleanup(w.ghl.Close)
	w.ghl.PutLocation(place())
	ghl := httptest.NewServer(w.ghl)
	t.Cleanup(ghl.Close)
	var rankr string
	w.rankr, rankr = rankrtest.Start(t)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Tokens = map[string]string{rankrToken: ""} })

	w.startTemporal(freePort(t))
	w.settings = stack.Settings{
		"TEMPORAL_ADDRESS": w.temporal.Address, "TEMPORAL_NAMESPACE": w.temporal.Namespace,
		"GHL_BASE_URL": ghl.URL, "GHL_TOKEN": ghltest.Token(location), "GHL_LOCATION_ID": location, "GHL_WEBHOOK_KEY": w.ghl.PublicKey(),
		"RANKR_BASE_URL": rankr, "RANKR_TOKEN": rankrToken,
		"STORE_URL": "sqlite:rankrsync.db", "POLL_INTERVAL": "0", "LOG_LEVEL": "debug",
	}.With(settings(ghl.URL))
	w.startWorker()
	w.startStarter()
	w.ghl.Deliver(w.starter.HTTP + "/webhooks/ghl")

	var err error
	w.client, err = client.Dial(client.Options{
		HostPort: w.temporal.Address, Namespace: w.temporal.Namespace, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	return w
}

// place is the location of the test, with the tokens that it takes; none: [ghltest.Token] of it.
func place(tokens ...string) ghltest.Location {
	return ghltest.Location{
		ID: location, Name: "Test", Country: "US", Timezone: "America/Chicago", Tokens: tokens, CustomFields: ghltest.SeedFields,
	}
}

func (w *world) startTemporal(port int) {
	w.t.Helper()
	w.temporal = started(w.t, func() (*stack.Temporal, error) {
		return w.stack.Temporal(w.t.Context(), filepath.Join(w.stack.Dir, "temporal"), port, 0)
	})
	w.t.Cleanup(w.temporal.Kill)
}

func (w *world) startWorker() {
	w.t.Helper()
	w.worker = started(w.t, func() (*stack.Program, error) { return w.stack.Worker(w.t.Context(), w.settings) })
	w.t.Cleanup(w.worker.Kill)
}

func (w *world) startStarter() {
	w.t.Helper()
	w.starter = started(w.t, func() (*stack.Program, error) { return w.stack.Starter(w.t.Context(), w.settings) })
	w.t.Cleanup(w.starter.Kill)
}

// started tries a start up to three times: a port that was free when it was chosen may be taken when it is bound.
func started[T any](t *testing.T, start func() (T, error)) T {
	t.Helper()
	program, err := start()
	for range 2 {
		if err != nil {
			program, err = start()
		}
	}
	require.NoError(t, err)
	return program
}

// freePort is one that no outgoing connection gets: the kernel gives those higher ones. Clients go on dialling a server
// that was killed, and one of them could else get the very port that the server wants back.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.N(12_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	require.FailNow(t, "no port is free")
	return 0
}

// run runs the starter as a person would.
func (w *world) run(args ...string) stack.Result {
	w.t.Helper()
	result, err := w.stack.Run(w.t.Context(), w.settings, "starter", args...)
	require.NoError(w.t, err)
	return result
}

// eventually waits until look finds nothing wrong.
func (w *world) eventually(look func() (wrong string)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		wrong := look()
		if wrong == "" {
			return
		}
		select {
		case <-ctx.Done():
			require.FailNow(w.t, "this stayed wrong: "+wrong)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// mirror waits until Rankr has exactly one record of the contact and fits finds nothing wrong with it.
func (w *world) mirror(contact string, fits func(rankrtest.Record) (wrong string)) rankrtest.Record {
	w.t.Helper()
	var record rankrtest.Record
	w.eventually(func() string {
		var found []rankrtest.Record
		for _, r := range w.rankr.All() {
			if r.ExternalID == contact {
				found = append(found, r)
			}
		}
		if len(found) != 1 {
			return fmt.Sprintf("Rankr has %d records of the contact", len(found))
		}
		record = found[0]
		return fits(record)
	})
	return record
}

// named says that the record has the first name.
func named(name string) func(rankrtest.Record) string {
	return func(r rankrtest.Record) string {
		if r.Fields["firstName"] != name {
			return fmt.Sprintf("the first name is %q", r.Fields["firstName"])
		}
		return ""
	}
}

// finished waits until the newest run of the workflow has completed, and returns its result.
func (w *world) finished(workflow string, result any) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.eventually(func() string {
		run, err := w.client.DescribeWorkflowExecution(ctx, workflow, "")
		switch {
		case err != nil:
			return err.Error()
		case run.GetWorkflowExecutionInfo().GetCloseTime() == nil:
			return workflow + " is running"
		}
		return ""
	})
	require.NoError(w.t, w.client.GetWorkflow(ctx, workflow, "").Get(ctx, result))
}

// quiet waits until every webhook was delivered and the contact's workflow has completed: what that cost is known.
func (w *world) quiet(contact string) {
	w.t.Helper()
	require.NoError(w.t, w.ghl.Settle(w.t.Context()))
	w.finished(names.Contact(location, contact), nil)
}

// aligned waits until every webhook was delivered and the workflow of the contact's tasks and notes has completed.
func (w *world) aligned(contact string) {
	w.t.Helper()
	require.NoError(w.t, w.ghl.Settle(w.t.Context()))
	w.finished(names.TasksAndNotes(location, contact), nil)
}

// writes is how many writes Rankr has carried out.
func (w *world) writes() int {
	n := 0
	for _, effects := range w.rankr.Counters().Effects {
		n += effects
	}
	return n
}

// post sends a webhook as it stands, and returns the answer's status and header.
func (w *world) post(body []byte, signature string) (int, http.Header) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.starter.HTTP+"/webhooks/ghl", strings.NewReader(string(body)))
	require.NoError(w.t, err)
	request.Header.Set(ghltest.SignatureHeader, signature)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header
}

// showLogs shows the end of each program's log when the test failed, and that no program ran into a data race.
func (w *world) showLogs() {
	logs, _ := filepath.Glob(filepath.Join(w.stack.Log, "*.log"))
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if strings.Contains(string(text), "WARNING: DATA RACE") {
			w.t.Errorf("data race in %s", filepath.Base(path))
		}
		if w.t.Failed() {
			const enough = 20_000
			w.t.Logf("%s ends with:\n%s", filepath.Base(path), text[max(0, len(text)-enough):])
		}
	}
}
