package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

// This file has everything that runs: the server and the fakes for the whole of a run, worker and starter for one
// section, so that their memory and connections are that section's own.

const (
	// grace is how long a program may take to stop.
	grace = 40 * time.Second
	// patience is how long anything may take that is waited for; far more than it needs.
	patience = 3 * time.Minute
	// posters is how many connections a storm comes over. A webhook is answered once Temporal has it, and what comes
	// meanwhile is gathered, so many must be waiting at a time.
	posters = 500
)

// rig is a server, two fakes and, while a section runs, the product's programs.
type rig struct {
	*fakes
	stack    stack.Stack
	temporal *stack.Temporal
	client   client.Client
	worker   *stack.Program // nil between the sections
	starter  *stack.Program
	http     *http.Client
}

// newRig starts server and fakes. What it started is in the rig also when it fails.
func newRig(ctx context.Context, bin, dir string) (*rig, error) {
	r := &rig{http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * posters}, Timeout: time.Minute}}
	bin, err := filepath.Abs(bin) // the programs work in another directory
	if err != nil {
		return r, err
	}
	r.stack = stack.Stack{Bin: bin, Dir: dir, Log: filepath.Join(dir, "logs")}
	if r.fakes, err = newFakes(); err != nil {
		return r, err
	}
	if r.temporal, err = r.stack.Temporal(ctx, filepath.Join(dir, "temporal"), 0, 0); err != nil {
		return r, err
	}
	r.client, err = client.DialContext(ctx, client.Options{
		HostPort: r.temporal.Address, Namespace: r.temporal.Namespace, Logger: slog.New(slog.DiscardHandler),
	})
	return r, err
}

// serve starts worker and starter for these locations.
func (r *rig) serve(ctx context.Context, locations []string, settings stack.Settings) error {
	tokens := make([]string, len(locations))
	for i, location := range locations {
		tokens[i] = ghltest.Token(location)
	}
	settings = stack.Settings{
		"TEMPORAL_ADDRESS": r.temporal.Address, "TEMPORAL_NAMESPACE": r.temporal.Namespace,
		"GHL_BASE_URL": r.ghlURL, "GHL_LOCATION_ID": strings.Join(locations, ","), "GHL_TOKEN": strings.Join(tokens, ","),
		"GHL_WEBHOOK_KEY": r.ghl.PublicKey(),
		"RANKR_BASE_URL":  r.rankrURL, "RANKR_TOKEN": rankrToken, "RANKR_RATE": "0",
		"STORE_URL": "sqlite:rankrsync.db", "POLL_INTERVAL": "0",
	}.With(settings)
	var err error
	if r.worker, err = r.stack.Worker(ctx, settings); err != nil {
		return err
	}
	r.starter, err = r.stack.Starter(ctx, settings)
	return err
}

// rest stops worker and starter.
func (r *rig) rest() {
	for _, program := range []*stack.Program{r.starter, r.worker} {
		if program != nil {
			program.Stop(grace)
		}
	}
	r.starter, r.worker = nil, nil
	r.http.CloseIdleConnections()
}

// close stops everything, the server last: the others still need it.
func (r *rig) close() {
	r.rest()
	if r.client != nil {
		r.client.Close()
	}
	if r.temporal != nil {
		r.temporal.Stop(grace)
	}
	if r.fakes != nil {
		r.fakes.close()
	}
}

// post delivers a webhook as GHL does: any answer but a 2xx, and it comes again. It returns how often it was refused.
func (r *rig) post(ctx context.Context, w webhook) (refused int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for ; ; refused++ {
		status, err := r.try(ctx, w)
		switch {
		case err != nil:
			return refused, err
		case status == http.StatusOK:
			return refused, nil
		case status != http.StatusServiceUnavailable:
			return refused, fmt.Errorf("a webhook was answered with %d", status)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return refused, err
		}
	}
}

func (r *rig) try(ctx context.Context, w webhook) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.starter.HTTP+"/webhooks/ghl", strings.NewReader(w.body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(ghltest.SignatureHeader, w.signature)
	response, err := r.http.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// change edits a contact, tells of it by webhook, and returns how long it took from then to the write in Rankr.
func (r *rig) change(ctx context.Context, contact string) (time.Duration, error) {
	if err := r.edit(contact); err != nil {
		return 0, err
	}
	return r.told(ctx, contact)
}

// told tells of a contact by webhook, and returns how long it took from then to the write in Rankr.
func (r *rig) told(ctx context.Context, contact string) (time.Duration, error) {
	w, err := r.webhook(contact)
	if err != nil {
		return 0, err
	}
	written := r.writes.listen(contact)
	began := time.Now()
	if _, err := r.post(ctx, w); err != nil {
		return 0, err
	}
	at, err := await(ctx, written)
	if err != nil {
		return 0, fmt.Errorf("the write of %s: %w", contact, err)
	}
	return at.Sub(began), nil
}
