// Command rankrsync-fakes is a fake GHL and a fake Rankr on loopback, for the demo and for trying things out. Each has
// a second address that only people and tests use: to edit contacts, turn knobs and read what was called.
//
// Once both serve, it prints one line of JSON with the addresses and what is needed to use them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

const (
	location   = "harbourStreetStudio1"
	rankrToken = "rankr-fake-token"
)

func main() {
	contacts := flag.Int("contacts", 25, "contacts that GHL already has")
	unlimited := flag.Bool("unlimited", false, "no rate limits")
	attached := flag.Bool("attached", false, "stop when standard input ends: a parent that dies takes the fakes with it")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *attached {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if err := run(ctx, *contacts, *unlimited); err != nil {
		fmt.Fprintln(os.Stderr, "rankrsync-fakes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, contacts int, unlimited bool) error {
	ghl, rankr := ghltest.New(), rankrtest.New()
	defer ghl.Close()
	ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = unlimited })
	ghl.Seed(location, contacts)
	rankr.Loud = func(format string, args ...any) { slog.Error("rankr: " + fmt.Sprintf(format, args...)) }
	rankr.Set(func(k *rankrtest.Knobs) {
		k.Tokens, k.Unlimited = map[string]string{rankrToken: ""}, unlimited
	})

	ready := stack.Fakes{
		Location: location, GHLToken: ghltest.Token(location), RankrToken: rankrToken, WebhookKey: ghl.PublicKey(),
	}
	for url, handler := range map[*string]http.Handler{
		&ready.GHL: ghl, &ready.GHLControl: ghl.Control(), &ready.Rankr: rankr, &ready.RankrControl: rankr.Control(),
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		*url = "http://" + listener.Addr().String()
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		defer server.Close()
		go server.Serve(listener) //nolint:errcheck // it returns when the server is closed
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
