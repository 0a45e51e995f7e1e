// Command run keeps a GHL and a Rankr in step on one machine: the embedded Temporal server with its files in ./data,
// a worker and the webhook receiver. It is `make run`.
//
// Settings come from the environment or the file .env. With TEMPORAL_ADDRESS set, that server is used instead.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/joho/godotenv"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/sandbox/process"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

const (
	data  = "data"
	grace = 30 * time.Second // what the worker has in hand may finish
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "make run:", err)
		os.Exit(app.ExitCode(err))
	}
}

func run(ctx context.Context) error {
	config, err := app.Load(app.Worker) // what it needs is all that anybody needs: say what is missing before anything starts
	if err != nil {
		return err
	}
	settings, err := environment()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s := stack.Stack{Bin: filepath.Dir(self)}

	var ui string
	var running []*process.Process
	defer func() {
		for i := len(running) - 1; i >= 0; i-- { // the server last: the others still need it
			running[i].Stop(grace)
		}
	}()
	if settings["TEMPORAL_ADDRESS"] == "" {
		temporal, err := s.Temporal(ctx, data, 7233, 8233)
		if err != nil {
			return err
		}
		running = append(running, temporal.Process)
		settings["TEMPORAL_ADDRESS"], ui = temporal.Address, temporal.UI
	}
	worker, err := s.Worker(ctx, settings.With(stack.Settings{"OPS_ADDR": "127.0.0.1:9091"}))
	if err != nil {
		return err
	}
	running = append(running, worker.Process)
	starter, err := s.Starter(ctx, settings.With(stack.Settings{"OPS_ADDR": "127.0.0.1:9090", "HTTP_ADDR": string(config.HTTPAddr)}))
	if err != nil {
		return err
	}
	running = append(running, starter.Process)

	fmt.Printf(`
Keeping %s in step with %s. Ctrl-C stops it; ./%s and %s keep what it knows.
  webhooks     %s/webhooks/ghl (POST)
  without any  each location is polled every %s; see: bin/starter poll list
  Temporal UI  %s
  problems     bin/starter problems

`, strings.Join(config.GHLLocations, ", "), config.RankrBaseURL, data, config.StoreURL, starter.HTTP, config.PollInterval, or(ui, "that of "+settings["TEMPORAL_ADDRESS"]))
	return watch(ctx, running)
}

// watch returns when ctx ends, or with an error when a program does.
func watch(ctx context.Context, running []*process.Process) error {
	ended := make(chan *process.Process, len(running))
	for _, p := range running {
		go func() {
			<-p.Done()
			ended <- p
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case p := <-ended:
		return fmt.Errorf("%s ended: exit code %d", p.Name, p.ExitCode())
	}
}

// environment is ours, with what .env has for the names that it lacks.
func environment() (stack.Settings, error) {
	settings := stack.Settings{}
	file, err := godotenv.Read(".env")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for name, value := range file {
		settings[name] = value
	}
	for _, variable := range os.Environ() {
		if name, value, ok := strings.Cut(variable, "="); ok && value != "" {
			settings[name] = value
		}
	}
	return settings, nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
