// Metrics: OpenTelemetry counters and histograms, served to Prometheus. Labels come from small fixed sets; the only id
// among them is the location's, which can be switched off.

package app

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/starter/webhook"
)

// Metrics counts what a program does.
type Metrics struct {
	registry  *prometheus.Registry
	meter     metric.Meter
	locations bool

	changes  metric.Int64Counter
	latency  metric.Float64Histogram
	requests metric.Int64Counter
	webhooks metric.Int64Counter
	installs metric.Int64Counter
}

// latencies are the bounds of the latency histograms in seconds: from a change that comes alone to one that waits for
// an outage to end.
var latencies = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}

// NewMetrics makes the metrics of a program. With locations, the metrics of changes carry the location as a label.
func NewMetrics(locations bool) (*Metrics, error) {
	m := &Metrics{registry: prometheus.NewRegistry(), locations: locations}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(m.registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	// The SDK's timers are in seconds, for which OpenTelemetry's usual bounds (5 to 10,000) are of no use.
	timers := sdk.NewView(sdk.Instrument{Name: "temporal_*", Kind: sdk.InstrumentKindHistogram},
		sdk.Stream{Aggregation: sdk.AggregationExplicitBucketHistogram{Boundaries: latencies}})
	m.meter = sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithView(timers)).Meter("rankrsync")
	if m.changes, err = m.meter.Int64Counter("rankrsync_changes", metric.WithDescription("Rounds that ended, by outcome.")); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if m.latency, err = m.meter.Float64Histogram("rankrsync_change_latency", metric.WithUnit("s"),
		metric.WithDescription("From hearing of a change to its write in Rankr."), metric.WithExplicitBucketBoundaries(latencies...)); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if m.requests, err = m.meter.Int64Counter("rankrsync_api_requests", metric.WithDescription("Calls that went out; status 0: no answer came.")); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if m.webhooks, err = m.meter.Int64Counter("rankrsync_webhooks", metric.WithDescription("Webhook requests, by how they ended.")); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if m.installs, err = m.meter.Int64Counter("rankrsync_installs", metric.WithDescription("Requests of the pages that people connect by, by how they ended.")); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return m, nil
}

// Handler serves everything that was counted.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Temporal is the handler for the SDK's own metrics; they keep their names (temporal_…).
func (m *Metrics) Temporal() client.MetricsHandler {
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter:                m.meter,
		UseMonotonicCounters: true,
		OnError:              func(error) {}, // a metric that can't be made is no reason to stop
	})
}

// Change counts a round of a contact, or of its tasks and notes. Received is when we heard of the change; zero: nobody
// told us.
func (m *Metrics) Change(location string, object crm.Object, outcome crm.Outcome, received time.Time) {
	labels := []attribute.KeyValue{attribute.String("object", string(object)), attribute.String("outcome", string(outcome))}
	if m.locations {
		labels = append(labels, attribute.String("location", location))
	}
	m.changes.Add(context.Background(), 1, metric.WithAttributes(labels...))
	if !received.IsZero() && wrote(outcome) {
		m.latency.Record(context.Background(), time.Since(received).Seconds(), metric.WithAttributes(labels[0]))
	}
}

// wrote tells whether an outcome means that Rankr was written to.
func wrote(outcome crm.Outcome) bool {
	switch outcome {
	case crm.Created, crm.Updated, crm.Adopted, crm.Deleted, crm.Unlinked:
		return true
	}
	return false
}

// Requests counts the calls to one system.
func (m *Metrics) Requests(system string) func(operation string, status int, took time.Duration) {
	return func(operation string, status int, _ time.Duration) {
		m.requests.Add(context.Background(), 1, metric.WithAttributes(
			attribute.String("system", system), attribute.String("operation", operation), attribute.String("status", strconv.Itoa(status))))
	}
}

// Webhook counts a webhook request.
func (m *Metrics) Webhook(kind string, result webhook.Result) {
	m.webhooks.Add(context.Background(), 1, metric.WithAttributes(
		attribute.String("type", kind), attribute.String("result", string(result))))
}

// Install counts a request of one of the pages that people connect by.
func (m *Metrics) Install(result string) {
	m.installs.Add(context.Background(), 1, metric.WithAttributes(attribute.String("result", result)))
}
