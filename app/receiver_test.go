package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

// record returns the first record with the message.
func (l *logged) record(message string) map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.out.Bytes()) {
		var record map[string]any
		if json.Unmarshal(line, &record) == nil && record["msg"] == message {
			return record
		}
	}
	return nil
}

func TestTheReceiverStartsWithoutTemporalAndTellsSendersToComeAgain(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	require.NoError(t, err)
	environment(t, map[string]string{
		"GHL_LOCATION_ID": "L1", "GHL_WEBHOOK_KEY": base64.StdEncoding.EncodeToString(spki),
		"HTTP_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0", "TEMPORAL_ADDRESS": "127.0.0.1:1",
	})
	config, err := Load(Serve)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var log logged
	ended := make(chan error, 1)
	go func() { ended <- Receive(ctx, config, TemporalFlags{}, slog.New(slog.NewJSONHandler(&log, nil))) }()
	require.Eventually(t, func() bool { return log.record("webhooks are received") != nil }, 5*time.Second, time.Millisecond)
	record := log.record("webhooks are received")
	public, ops := "http://"+record["address"].(string), "http://"+record["ops"].(string)

	post := func(body, signature string) int {
		request, err := http.NewRequest(http.MethodPost, public+"/webhooks/ghl", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("X-GHL-Signature", signature)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	body := `{"type":"ContactCreate","locationId":"L1","id":"C1"}`
	good := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(body)))
	assert.Equal(t, 503, post(body, good))
	assert.Equal(t, 401, post(body, "N/A"))
	status, _ := get(t, public+"/healthz")
	assert.Equal(t, 200, status)
	status, _ = get(t, public+"/metrics")
	assert.Equal(t, 404, status, "the private side is not on the public address")

	status, text := get(t, ops+"/readyz?verbose")
	assert.Equal(t, 503, status)
	assert.Contains(t, text, "[-] temporal: RS-TEMPORAL")
	_, text = get(t, ops+"/metrics")
	for _, line := range []string{
		`rankrsync_webhooks_total{result="unsigned",type="none"} 1`,
		`rankrsync_webhooks_total{result="unavailable",type="ContactCreate"} 1`,
	} {
		assert.True(t, strings.Contains(text, line), line)
	}

	stop()
	require.NoError(t, <-ended)
}

func TestTheWorkerStopsWhileItWaitsForTemporal(t *testing.T) {
	variables := enough()
	variables["OPS_ADDR"], variables["TEMPORAL_ADDRESS"] = "127.0.0.1:0", "127.0.0.1:1"
	environment(t, variables)
	config, err := Load(Worker)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var log logged
	ended := make(chan error, 1)
	go func() { ended <- Work(ctx, config, slog.New(slog.NewJSONHandler(&log, nil))) }()
	require.Eventually(t, func() bool { return log.record("Temporal does not answer; trying on") != nil }, 10*time.Second, time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	assert.FileExists(t, "rankrsync.db", "the store is made before there is work")
}
