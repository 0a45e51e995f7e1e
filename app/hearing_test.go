package app

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
)

// hears is what listens to installs, between a GHL and a store; started are the locations that were handed over.
func hears(t *testing.T) (heard hearing, vendor *ghltest.Server, started *[]string) {
	t.Helper()
	vendor = ghltest.New()
	vendor.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	wire := httptest.NewServer(vendor)
	t.Cleanup(func() { wire.Close(); vendor.Close() })
	config, err := loaded(t, map[string]string{
		"GHL_BASE_URL": wire.URL, "GHL_CLIENT_ID": ghltest.ClientID, "GHL_CLIENT_SECRET": ghltest.ClientSecret,
		"GHL_REDIRECT_URL": "https://app.example/oauth/callback", "SECRET_KEY": sealKey("one"),
	})
	require.NoError(t, err)
	records, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = records.Close() })
	o, err := newOAuth(t.Context(), config, records, nil)
	require.NoError(t, err)
	started = &[]string{}
	hand := func(_ context.Context, location string) error {
		*started = append(*started, location)
		return nil
	}
	return hearing{o, hand, func(ctx context.Context, location string, _ time.Time) error { return hand(ctx, location) }, slog.New(slog.DiscardHandler)}, vendor, started
}

// installs is what the callback does, once it has a code.
func (h hearing) installs(t *testing.T, vendor *ghltest.Server, choice ghltest.Choice, locations ...string) {
	t.Helper()
	code, err := vendor.Install(choice)
	require.NoError(t, err)
	grant, err := h.app.Exchange(t.Context(), crm.Secret(code), "")
	require.NoError(t, err)
	var installed []crm.InstalledLocation
	for _, location := range locations {
		installed = append(installed, crm.InstalledLocation{ID: location})
	}
	_, err = h.Install(t.Context(), grant, installed)
	require.NoError(t, err)
}

func TestAnInstallIsHeardBeforeAndAfterTheCallbackAndOfLocationsToCome(t *testing.T) {
	h, vendor, started := hears(t)
	told := func(location, company string) bool {
		t.Helper()
		ours, err := h.Installed(t.Context(), location, company, time.Now().Add(time.Second))
		require.NoError(t, err)
		return ours
	}
	vendor.PutLocation(ghltest.Location{ID: "A", Company: "K"})
	assert.False(t, told("A", "K"), "the callback has not finished, and starts it itself")
	assert.False(t, told("", "K"))
	assert.Empty(t, *started)
	h.installs(t, vendor, ghltest.Choice{Company: "K", Future: true}, "A")
	assert.True(t, told("A", "K"))
	assert.True(t, told("A", "K"), "twice is as good as once")
	assert.True(t, told("", "K"))
	vendor.PutLocation(ghltest.Location{ID: "B", Company: "K"})
	assert.True(t, told("B", ""), "GHL need not tell the company of a location that gets the app by itself")
	assert.False(t, told("S", "stranger"))
	assert.Equal(t, []string{"A", "A", "B"}, *started)

	require.NoError(t, h.Disconnect(t.Context(), "A"))
	ours, err := h.Installed(t.Context(), "A", "K", time.Now().Add(-time.Hour))
	require.NoError(t, err)
	assert.True(t, ours)
	assert.Len(t, *started, 3, "an install from before its end brings nobody back")
	assert.True(t, told("A", "K"), "it was installed again")
	known, err := h.records.Connection(t.Context(), "A")
	require.NoError(t, err)
	assert.Equal(t, crm.Connected, known.State)
}

func TestAnUninstallIsHeardOfALocationAndOfAllOfACompanys(t *testing.T) {
	h, vendor, started := hears(t)
	for _, id := range []string{"A", "B"} {
		vendor.PutLocation(ghltest.Location{ID: id, Company: "K"})
	}
	h.installs(t, vendor, ghltest.Choice{Company: "K"}, "A", "B")
	for name, c := range map[string]struct {
		location, company string
		ours              bool
		looked            []string
	}{
		"a location": {"B", "", true, []string{"B"}}, "a company": {"", "K", true, []string{"A", "B"}},
		"a stranger's": {"S", "", false, nil}, "a strange company's": {"", "stranger", false, nil},
	} {
		*started = nil
		ours, err := h.Uninstalled(t.Context(), c.location, c.company, time.Now())
		require.NoError(t, err)
		assert.Equal(t, c.ours, ours, name)
		assert.Equal(t, c.looked, *started, name)
	}
}
