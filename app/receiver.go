// The receiver: takes GHL's webhooks in until it is told to stop.

package app

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/starter/webhook"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// Receive runs the public and the private server of starter serve until ctx ends. It starts without Temporal, too, and
// tells senders to come again until the server is there.
func Receive(ctx context.Context, config Config, flags TemporalFlags, log *slog.Logger) error {
	config.LogSecrets(log)
	metrics, err := NewMetrics(bool(config.MetricsLocation))
	if err != nil {
		return err
	}
	temporal, options, err := lazily(flags, metrics, log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	ready := &Ready{}
	ready.Check("temporal", temporalCheck(temporal, options.Namespace))
	attributes := &SearchAttributes{}
	go attributes.watch(ctx, temporal, options.Namespace, log)

	installs, err := openOAuth(ctx, config, metrics)
	if err != nil {
		return err
	}
	defer installs.close()
	nudger := nudge.New(temporal, nudge.Options{SearchAttributes: attributes.Known})
	defer closeNudger(nudger, log)
	installs.handOverTo(nudger)
	public, err := Listen("HTTP_ADDR", config.HTTPAddr, NewServer(front(config, nudger, installs, metrics, log), log))
	if err != nil {
		return err
	}
	defer public.Close()
	ops, err := Listen("OPS_ADDR", config.OpsAddr, NewServer(Ops(metrics.Handler(), ready), log))
	if err != nil {
		return err
	}
	defer ops.Close()
	log.Info("webhooks are received", "address", public.Addr().String(), "ops", ops.Addr().String(), "locations", len(config.GHLLocations))

	// Readiness goes first, then the public server, and the private one last.
	stop := context.AfterFunc(ctx, func() {
		ready.Leave()
		log.Info("receiver drains", "within", drain.String())
	})
	defer stop()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error { return ops.Serve(serving, time.Second) })
	group.Go(func() error {
		defer stopServing()
		return public.Serve(ctx, drain)
	})
	return group.Wait()
}

// front is the public side.
func front(config Config, nudger webhook.Nudger, installs *oauth, metrics *Metrics, log *slog.Logger) http.Handler {
	ours := map[string]bool{}
	for _, location := range config.GHLLocations {
		ours[location] = true
	}
	options := webhook.Options{
		Keys:    config.GHLWebhookKey.Keys,
		Nudger:  nudger,
		Serves:  func(location string) bool { return ours[location] || installs.serves(location) },
		AppID:   config.GHLAppID,
		Observe: metrics.Webhook,
		Log:     log,
	}
	mux := http.NewServeMux()
	if installs != nil {
		options.AppID = cmp.Or(options.AppID, installs.app.App().ID())
		options.Installs = hearing{installs, installs.nudger.Connect, installs.nudger.Uninstalled, log}
		pages := installs.pages(config, metrics, log)
		mux.Handle("GET /oauth/install", pages)
		mux.Handle("GET /oauth/callback", pages)
	}
	mux.Handle("/webhooks/ghl", webhook.New(options))
	mux.HandleFunc("GET /healthz", Healthy)
	return mux
}

// closeNudger gives the hand-overs under way a moment to end. Whoever waits for one has been answered already.
func closeNudger(nudger *nudge.Nudger, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := nudger.Close(ctx); err != nil {
		log.Warn("some hints were not handed over to Temporal; the poll finds their changes", "system", "temporal")
	}
}
