package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/starter/webhook"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestMetricsHaveTheNamesOthersRelyOn(t *testing.T) {
	m, err := NewMetrics(true)
	require.NoError(t, err)
	m.Change("L1", crm.Updated, time.Now().Add(-50*time.Millisecond))
	m.Change("L1", crm.Unchanged, time.Now())
	m.Change("L1", crm.Deleted, time.Time{})
	m.Requests("ghl")("contacts.get", 200, time.Second)
	m.Requests("rankr")("contacts.update", 0, time.Second)
	m.Webhook("ContactCreate", webhook.Accepted)
	m.Temporal().Counter("temporal_request").Inc(1)
	m.Temporal().Timer("temporal_request_latency").Record(time.Second)

	server := httptest.NewServer(Ops(m.Handler(), &Ready{}))
	defer server.Close()
	status, text := get(t, server.URL+"/metrics")
	assert.Equal(t, 200, status)
	for _, line := range []string{
		`rankrsync_changes_total{location="L1",object="contact",outcome="updated"} 1`,
		`rankrsync_changes_total{location="L1",object="contact",outcome="unchanged"} 1`,
		`rankrsync_change_latency_seconds_count{object="contact"} 1`,
		`rankrsync_change_latency_seconds_bucket{object="contact",le="0.1"} 1`,
		`rankrsync_api_requests_total{operation="contacts.get",status="200",system="ghl"} 1`,
		`rankrsync_api_requests_total{operation="contacts.update",status="0",system="rankr"} 1`,
		`rankrsync_webhooks_total{result="accepted",type="ContactCreate"} 1`,
		`temporal_request`,
		`go_goroutines`,
	} {
		assert.True(t, strings.Contains(text, line), line)
	}
	assert.Regexp(t, `temporal_request_latency_seconds_bucket\{[^}]*le="0.005"\}`, text)
}

func TestTheLocationCanBeLeftOutOfTheMetrics(t *testing.T) {
	m, err := NewMetrics(false)
	require.NoError(t, err)
	m.Change("L1", crm.Created, time.Now())
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	assert.Contains(t, recorder.Body.String(), `rankrsync_changes_total{object="contact",outcome="created"} 1`)
	assert.NotContains(t, recorder.Body.String(), "L1")
}

func TestReadinessNamesTheCheckThatFails(t *testing.T) {
	ready := &Ready{}
	var away error
	ready.Check("temporal", func(context.Context) error { return away })
	ready.Check("store", func(context.Context) error { return nil })
	server := httptest.NewServer(Ops(http.NotFoundHandler(), ready))
	defer server.Close()

	status, text := get(t, server.URL+"/readyz?verbose")
	assert.Equal(t, 200, status)
	assert.Equal(t, "[+] running ok\n[+] temporal ok\n[+] store ok\nready\n", text)

	away = errors.New("no answer")
	status, text = get(t, server.URL+"/readyz?verbose")
	assert.Equal(t, 503, status)
	assert.Contains(t, text, "[-] temporal: no answer\n[+] store ok\nnot ready\n")

	away = nil
	ready.Leave()
	status, _ = get(t, server.URL+"/readyz")
	assert.Equal(t, 503, status)
	status, _ = get(t, server.URL+"/healthz")
	assert.Equal(t, 200, status, "a program on its way out still runs")
}

func TestARequestInHandIsFinishedBeforeTheServerStops(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	}), slog.New(slog.DiscardHandler))
	listener, err := Listen("HTTP_ADDR", "127.0.0.1:0", server)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- listener.Serve(ctx, 5*time.Second) }()
	answer := make(chan string, 1)
	go func() {
		_, text := get(t, "http://"+listener.Addr().String())
		answer <- text
	}()
	<-entered
	stop()
	close(leave)
	assert.Equal(t, "done", <-answer)
	require.NoError(t, <-served)
}

func TestLargeHeadersAreRefused(t *testing.T) {
	server := NewServer(http.HandlerFunc(Healthy), slog.New(slog.DiscardHandler))
	listener, err := Listen("HTTP_ADDR", "127.0.0.1:0", server)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- listener.Serve(ctx, time.Second) }()
	request, err := http.NewRequest(http.MethodGet, "http://"+listener.Addr().String(), nil)
	require.NoError(t, err)
	request.Header.Set("X-Large", strings.Repeat("x", 1<<20))
	if response, err := http.DefaultClient.Do(request); err == nil { // else the server hung up in the middle of it
		response.Body.Close()
		assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
	}
	stop()
	require.NoError(t, <-served)
}

func TestAnAddressThatIsTakenIsASettingToCorrect(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := Listen("OPS_ADDR", Address(server.Listener.Addr().String()), NewServer(http.NotFoundHandler(), slog.Default()))
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	assert.Contains(t, err.Error(), "OPS_ADDR")
}

func TestLogsAreJSONAwayFromATerminal(t *testing.T) {
	var out bytes.Buffer
	NewLogger(Config{LogFormat: "auto"}, &out).Info("line\nbreak", "location", "L1")
	var record map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &record))
	assert.Equal(t, "L1", record["location"])
	assert.Equal(t, 1, strings.Count(out.String(), "\n"), "one record, one line")

	out.Reset()
	NewLogger(Config{LogFormat: "text"}, &out).Info("hello", "location", "L1")
	assert.Contains(t, out.String(), "hello location=L1")
	assert.NotContains(t, out.String(), "\x1b", "no colour away from a terminal")
}
