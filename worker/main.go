// Worker runs the workflows and activities that keep GoHighLevel and Rankr in step.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/rankrsync/rankrsync/app"
)

func main() { os.Exit(run()) }

func run() int {
	config, err := app.Load(app.Worker)
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return app.ExitCode(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	log := app.NewLogger(config, os.Stderr)
	slog.SetDefault(log) // what the deeds say
	if err := app.Work(ctx, config, log); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return app.ExitCode(err)
	}
	return 0
}
