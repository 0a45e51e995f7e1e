package app

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// environment gives the test an empty working directory and exactly these variables.
func environment(t *testing.T, variables map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, field := range fields() {
		name := field.Tag.Get("envconfig")
		t.Setenv(name, variables[name]) // so that what Load does to the environment ends with the test
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// enough is the least a worker needs.
func enough() map[string]string {
	return map[string]string{
		"GHL_TOKEN": "pit-secret", "GHL_LOCATION_ID": "L1",
		"RANKR_BASE_URL": "https://rankr.example/v1/", "RANKR_TOKEN": "rankr-secret",
	}
}

func with(name, value string) map[string]string {
	variables := enough()
	variables[name] = value
	return variables
}

func TestTheLeastSettingsAreEnough(t *testing.T) {
	environment(t, enough())
	config, err := Load(Worker)
	require.NoError(t, err)
	assert.Equal(t, BaseURL("https://services.leadconnectorhq.com"), config.GHLBaseURL)
	assert.Equal(t, BaseURL("https://rankr.example/v1"), config.RankrBaseURL)
	assert.Equal(t, "pit-secret", config.GHLToken.Reveal())
	assert.Equal(t, 100, config.GHLRate.Calls)
	assert.Equal(t, 10*time.Second, config.GHLRate.Per)
	assert.Len(t, config.GHLWebhookKey.Keys, 1)
	assert.Equal(t, 5*time.Minute, config.PollInterval.Duration())
	assert.Equal(t, 2*time.Second, config.QuietPeriod.Duration())
	assert.Equal(t, PollSince{}, config.PollSince)
	assert.Equal(t, Address("127.0.0.1:9091"), config.OpsAddr)
	assert.True(t, bool(config.MetricsLocation))
	assert.Equal(t, slog.LevelInfo, config.LogLevel.Level)
}

func TestEverythingMissingOrWrongIsListedAtOnce(t *testing.T) {
	environment(t, map[string]string{
		"GHL_TOKEN": "pit-se cret", "POLL_INTERVAL": "5", "RANKR_RATE": "fast", "HTTP_ADDR": "8088", "GHL_WEBHOOK_KEY": "AAAA",
	})
	_, err := Load(Worker)
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	require.Len(t, settings.Problems, 8)
	text := err.Error()
	for _, want := range []string{
		"GHL_TOKEN holds a blank", "GHL_LOCATION_ID is not set: put there the id of the location", "RANKR_BASE_URL is not set",
		"RANKR_TOKEN is not set", "POLL_INTERVAL is not a time from 1m to 15m, or 0", "RANKR_RATE is not a rate like 100/10s",
		"HTTP_ADDR is not an address", "GHL_WEBHOOK_KEY can't be used (key 1: it is not a public key",
	} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "pit-se")
}

func TestEachProgramRequiresOnlyWhatItNeeds(t *testing.T) {
	environment(t, nil)
	_, err := Load(Command)
	require.NoError(t, err)
	_, err = Load(Serve)
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	assert.Len(t, settings.Problems, 1, "the receiver needs no token: %s", err)
}

func TestTheEnvironmentWinsOverTheFileAndTheFileOverTheDefault(t *testing.T) {
	environment(t, map[string]string{"LOG_LEVEL": "warn", "ON_DELETE": "", "TEMPORAL_NAMESPACE": ""})
	require.NoError(t, os.WriteFile(".env", []byte("# mine\nLOG_LEVEL=debug\nON_DELETE=keep\nQUIET_PERIOD=\nTEMPORAL_NAMESPACE=mine\n"), 0o600))
	config, err := Load(Command)
	require.NoError(t, err)
	assert.Equal(t, slog.LevelWarn, config.LogLevel.Level)
	assert.Equal(t, OnDelete("keep"), config.OnDelete)
	assert.Equal(t, "mine", os.Getenv("TEMPORAL_NAMESPACE"), "Temporal's SDK reads the environment only")

	origins := map[string]string{}
	for _, setting := range config.Settings() {
		origins[setting.Name] = setting.Origin
	}
	assert.Equal(t, "environment", origins["LOG_LEVEL"])
	assert.Equal(t, ".env", origins["ON_DELETE"])
	assert.Equal(t, "default", origins["QUIET_PERIOD"])
	assert.Equal(t, "not set", origins["GHL_TOKEN"])
}

func TestABrokenFileIsNamed(t *testing.T) {
	environment(t, enough())
	require.NoError(t, os.WriteFile(".env", []byte("GHL_TOKEN pit-secret\n"), 0o600))
	_, err := Load(Worker)
	require.ErrorContains(t, err, ".env can't be read")
	assert.NotContains(t, err.Error(), "pit-secret")
}

func TestSettingsThatCannotBeRightAreRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"GHL_BASE_URL":     {"ghl", "http://ghl.example", "ftp://x", "https://user:pw@x", "https://x/?a=b", "http://169.254.169.254"},
		"GHL_LOCATION_ID":  {"a/b", "L1,", "L1,L1", "../x"},
		"GHL_API_VERSION":  {"latest", "2021-07-28\r\nX: y"},
		"GHL_WEBHOOK_KEY":  {"MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
		"GHL_RATE":         {"100", "0/10s", "-1/1s", "x/10s"},
		"STORE_URL":        {"rankrsync.db", "sqlite:", "mysql://x", "postgres://host", "postgres://host/", "postgres:x", "postgres://u:pw@ho st/db"},
		"ON_DELETE":        {"maybe"},
		"POLL_INTERVAL":    {"30s", "16m", "-5m", "5"},
		"POLL_SINCE":       {"yesterday", "2026-01-31"},
		"QUIET_PERIOD":     {"-1s", "2m"},
		"OPS_ADDR":         {"localhost", ":99999", "127.0.0.1:http"},
		"LOG_LEVEL":        {"loud"},
		"LOG_FORMAT":       {"xml"},
		"METRICS_LOCATION": {"perhaps"},
	} {
		for _, value := range values {
			t.Run(name+"="+value, func(t *testing.T) {
				environment(t, with(name, value))
				_, err := Load(Worker)
				var settings *SettingsError
				require.ErrorAs(t, err, &settings)
				assert.Len(t, settings.Problems, 1)
				assert.True(t, strings.HasPrefix(settings.Problems[0], name+" "), settings.Problems[0])
			})
		}
	}
}

func TestSettingsShowThemselvesAsTheyAreWritten(t *testing.T) {
	for name, value := range map[string]string{
		"GHL_BASE_URL": "http://127.0.0.1:1234", "GHL_LOCATION_ID": "L1,L2", "GHL_RATE": "0", "RANKR_RATE": "50/1m",
		"POLL_INTERVAL": "15m", "POLL_SINCE": "2026-01-31T00:00:00Z", "QUIET_PERIOD": "500ms", "LOG_LEVEL": "error",
		"METRICS_LOCATION": "false", "OPS_ADDR": ":9000",
	} {
		environment(t, with(name, value))
		config, err := Load(Worker)
		require.NoError(t, err)
		for _, setting := range config.Settings() {
			if setting.Name == name {
				assert.Equal(t, value, setting.Value)
			}
		}
	}
}

func TestOneTokenServesAllLocationsOrEachHasItsOwn(t *testing.T) {
	environment(t, map[string]string{"GHL_LOCATION_ID": "L1, L2", "GHL_TOKEN": "one"})
	config, err := Load(Serve)
	require.NoError(t, err)
	for location, want := range map[string]string{"L1": "one", "L2": "one"} {
		token, ok := config.Token(location)
		assert.True(t, ok)
		assert.Equal(t, want, token.Reveal())
	}
	_, ok := config.Token("L3")
	assert.False(t, ok)

	t.Setenv("GHL_TOKEN", "one,two")
	config, err = Load(Serve)
	require.NoError(t, err)
	token, _ := config.Token("L2")
	assert.Equal(t, "two", token.Reveal())

	t.Setenv("GHL_TOKEN", "one,two,three")
	_, err = Load(Serve)
	require.ErrorContains(t, err, "GHL_TOKEN holds 3 tokens for 2 locations")
	assert.NotContains(t, err.Error(), "three")
}

func TestSecretsAreNeverShown(t *testing.T) {
	environment(t, with("STORE_URL", "postgres://anna:pg-secret@db.example:5432/rankrsync?sslmode=verify-full&sslpassword=ssl-secret&password=other-secret"))
	config, err := Load(Worker)
	require.NoError(t, err)
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb, config)
		fmt.Fprintf(&shown, verb, config.GHLToken)
		fmt.Fprintf(&shown, verb, &config.RankrToken)
		fmt.Fprintf(&shown, verb, config.StoreURL)
		fmt.Fprintf(&shown, verb, &StoreError{config.StoreURL, io.EOF})
	}
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "token", config.GHLToken, "config", config)
	slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "token", config.GHLToken, "config", config)
	require.NoError(t, json.NewEncoder(&shown).Encode(config))
	require.NoError(t, json.NewEncoder(&shown).Encode(config.Settings()))
	for _, secret := range []string{"pit-secret", "rankr-secret", fmt.Sprintf("%x", "pit-secret"), "pg-secret", fmt.Sprintf("%x", "pg-secret"), "ssl-secret", "other-secret"} {
		assert.NotContains(t, shown.String(), secret)
	}
	assert.Contains(t, shown.String(), "postgres://anna:xxxxx@db.example:5432/rankrsync", "where it is may be seen")
}

func TestTheConfigurationPageIsFresh(t *testing.T) {
	path := filepath.Join("..", "docs", "configuration.md")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(Page()), 0o644))
	}
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, Page(), string(page), "run go generate ./app")
}

func TestEverySettingIsDescribed(t *testing.T) {
	for _, field := range fields() {
		assert.NotEmpty(t, field.Tag.Get("desc"), field.Name)
		assert.NotContains(t, field.Tag.Get("desc"), "|", "it stands in a table")
	}
}
