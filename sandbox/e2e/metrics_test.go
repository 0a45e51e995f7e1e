package e2e

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/sandbox/stack"
)

// exposition reads all metrics of a program.
func (w *world) exposition(program *stack.Program) string {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, program.Ops+"/metrics", nil)
	require.NoError(w.t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	require.Equal(w.t, http.StatusOK, answer.StatusCode)
	text, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	return string(text)
}

// counts waits until a metric of a program, over all label sets that hold the labels, has the value.
func (w *world) counts(program *stack.Program, value float64, metric string, labels ...string) {
	w.t.Helper()
	w.eventually(func() string {
		have, err := program.Metric(w.t.Context(), metric, labels...)
		switch {
		case err != nil:
			return err.Error()
		case have != value:
			return fmt.Sprintf("%s%v of %s is %v, not %v", metric, labels, program.Name, have, value)
		}
		return ""
	})
}

func TestTheMetricsCountOneContactOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Create(location, mira())
	w.mirror(contact.ID, named("Mira"))
	w.quiet(contact.ID)
	status, _ := w.post([]byte("{}"), w.ghl.Sign([]byte("another body")))
	require.Equal(t, http.StatusUnauthorized, status)

	w.counts(w.worker, 1, "rankrsync_changes_total", `object="contact"`, `outcome="created"`, `location="`+location+`"`)
	w.counts(w.worker, 1, "rankrsync_changes_total")
	w.counts(w.worker, 1, "rankrsync_change_latency_seconds_count", `object="contact"`)
	w.counts(w.worker, 1, "rankrsync_api_requests_total", `system="ghl"`, `operation="contacts.get"`, `status="200"`)
	w.counts(w.worker, 1, "rankrsync_api_requests_total", `system="rankr"`, `operation="contacts.find"`, `status="200"`)
	w.counts(w.worker, 1, "rankrsync_api_requests_total", `system="rankr"`, `operation="contacts.create"`, `status="201"`)
	w.counts(w.worker, float64(w.ghl.Stats().Calls+w.rankr.Counters().Requests), "rankrsync_api_requests_total")
	w.counts(w.starter, 1, "rankrsync_webhooks_total", `type="ContactCreate"`, `result="accepted"`)
	w.counts(w.starter, 1, "rankrsync_webhooks_total", `type="none"`, `result="forged"`)
	w.counts(w.starter, 2, "rankrsync_webhooks_total")

	latency, err := w.worker.Metric(t.Context(), "rankrsync_change_latency_seconds_sum")
	require.NoError(t, err)
	assert.Positive(t, latency)
	assert.Less(t, latency, patience.Seconds())
	for _, program := range []*stack.Program{w.worker, w.starter} {
		assert.NotContains(t, w.exposition(program), contact.ID, "no id but the location's is a label")
	}
}

func TestTheMetricsHideTheLocationWhereTheSettingSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"METRICS_LOCATION": "false"})
	contact := w.ghl.Create(location, mira())
	w.mirror(contact.ID, named("Mira"))
	w.quiet(contact.ID)
	w.counts(w.worker, 1, "rankrsync_changes_total", `outcome="created"`)
	for _, program := range []*stack.Program{w.worker, w.starter} {
		assert.NotContains(t, w.exposition(program), location)
	}
}
