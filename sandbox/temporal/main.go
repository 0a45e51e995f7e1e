// Command rankrsync-temporal is a whole Temporal server with its web UI in one process, for one machine: the
// demo, `make run` and the tests use it, so that nobody has to install one. It listens on 127.0.0.1 only.
//
// Once it serves, it prints one line of JSON with its addresses. SIGTERM, SIGINT, the end of -for, or with
// -attached the end of standard input, stop it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.dir, "db", "", "directory of the SQLite files, made when missing (empty: everything in memory)")
	flag.IntVar(&o.port, "port", 7233, "gRPC port on 127.0.0.1 (0: a free one)")
	flag.IntVar(&o.uiPort, "ui-port", 8233, "web UI port on 127.0.0.1 (0: no UI, -1: a free one)")
	flag.StringVar(&o.logLevel, "log-level", "fatal", "debug, info, warn, error or fatal; logs go to standard error")
	life := flag.Duration("for", 0, "stop by itself after this long (0: never)")
	attached := flag.Bool("attached", false, "stop when standard input ends: a parent that dies takes the server with it")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if *life > 0 {
		ctx, cancel = context.WithTimeout(ctx, *life)
		defer cancel()
	}
	if *attached {
		var detach context.CancelFunc
		ctx, detach = context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			detach()
		}()
	}
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rankrsync-temporal:", err)
		os.Exit(1)
	}
}

// ready is the line that tells a parent where the server is.
type ready struct {
	Address   string `json:"address"`      // host:port of the gRPC frontend
	Namespace string `json:"namespace"`    //
	UI        string `json:"ui,omitempty"` // URL of the web UI
	Took      string `json:"took"`         // from start to serving
}

// run serves until ctx ends.
func run(ctx context.Context, o options, out io.Writer) error {
	began := time.Now()
	s, err := start(o)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := prepareNamespace(ctx, s.address); err != nil {
		if ctx.Err() != nil {
			return nil // stopped while starting
		}
		return err
	}
	if err := s.waitForUI(ctx); err != nil {
		return err
	}
	line := ready{Address: s.address, Namespace: namespace, UI: s.uiURL, Took: time.Since(began).Round(time.Millisecond).String()}
	if err := json.NewEncoder(out).Encode(line); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
