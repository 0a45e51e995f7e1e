package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/starter/webhook"
	"github.com/rankrsync/rankrsync/workflows/names"
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
	m.Change("L1", crm.ContactItself, crm.Updated, time.Now().Add(-50*time.Millisecond))
	m.Change("L1", crm.ContactItself, crm.Unchanged, time.Now())
	m.Change("L1", crm.ContactItself, crm.Deleted, time.Time{})
	m.Change("L1", crm.TasksAndNotes, crm.Updated, time.Time{})
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
		`rankrsync_changes_total{location="L1",object="tasks-notes",outcome="updated"} 1`,
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
	m.Change("L1", crm.ContactItself, crm.Created, time.Now())
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

// impatient starts the product's server with one of its deadlines, which must be there, cut to half a second.
func impatient(t *testing.T, handler http.HandlerFunc, deadline func(*http.Server) *time.Duration) (address string) {
	t.Helper()
	server := NewServer(handler, slog.New(slog.DiscardHandler))
	require.Positive(t, *deadline(server))
	*deadline(server) = 500 * time.Millisecond
	listener, err := Listen("HTTP_ADDR", "127.0.0.1:0", server)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- listener.Serve(ctx, time.Second) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-served)
	})
	return listener.Addr().String()
}

// dripping sends the start of a request and then a byte at a time, for ever. It returns all that the server said until
// it hung up.
func dripping(t *testing.T, address, start string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(conn, start)
	require.NoError(t, err)
	go func() {
		ticks := time.NewTicker(50 * time.Millisecond)
		defer ticks.Stop()
		for range ticks.C {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
		}
	}()
	said, err := io.ReadAll(conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server did not hang up")
	return string(said)
}

func TestHeadersThatDripAreCutOff(t *testing.T) {
	address := impatient(t, func(http.ResponseWriter, *http.Request) { t.Error("no request came") },
		func(s *http.Server) *time.Duration { return &s.ReadHeaderTimeout })
	dripping(t, address, "POST /webhooks/ghl HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	dripping(t, address, "")
}

func readTimeout(s *http.Server) *time.Duration { return &s.ReadTimeout }

func TestABodyThatDripsIsCutOff(t *testing.T) {
	read := make(chan error, 2)
	address := impatient(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
		w.WriteHeader(http.StatusBadRequest)
	}, readTimeout)
	for _, length := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		dripping(t, address, "POST /webhooks/ghl HTTP/1.1\r\nHost: x\r\n"+length+"\r\n\r\n")
		require.Error(t, <-read, length)
	}
}

func TestAWebhookWhoseBodyDripsIsNotTaken(t *testing.T) {
	environment(t, map[string]string{"GHL_LOCATION_ID": "L1"})
	config, err := Load(Serve)
	require.NoError(t, err)
	metrics, err := NewMetrics(true)
	require.NoError(t, err)
	public := front(config, nobody{}, nil, metrics, slog.New(slog.DiscardHandler))
	said := dripping(t, impatient(t, public.ServeHTTP, readTimeout),
		"POST /webhooks/ghl HTTP/1.1\r\nHost: x\r\nX-GHL-Signature: c2lnbmVk\r\nContent-Length: 1000000\r\n\r\n")
	assert.NotContains(t, said, "HTTP/1.1 2")
}

// nobody takes no hints.
type nobody struct{}

func (nobody) Contacts(context.Context, string, ...names.Hint) error { return errors.New("nobody") }

func (nobody) TasksAndNotes(context.Context, string, names.Hint) error { return errors.New("nobody") }

func (nobody) Poll(context.Context, string) error { return errors.New("nobody") }

func TestIdleConnectionsEnd(t *testing.T) {
	conn, err := net.Dial("tcp", impatient(t, Healthy, func(s *http.Server) *time.Duration { return &s.IdleTimeout }))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	answers := bufio.NewReader(conn)
	_, err = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	require.False(t, response.Close, "the connection is kept for the next request")
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	_, err = answers.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the server hangs up")
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
