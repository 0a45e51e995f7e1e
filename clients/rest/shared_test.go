package rest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/internal/pgtest"
	"github.com/rankrsync/rankrsync/store"
)

// TestGatesOfTwoProcessesShareOneLimit lets two clients, each with a gate and a ledger connection of its own as two
// processes have them, call a vendor that counts strictly, in a window scaled down from 10 s.
func TestGatesOfTwoProcessesShareOneLimit(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { shareOneLimit(t, "sqlite:"+filepath.Join(t.TempDir(), "s.db")) })
	t.Run("postgres", func(t *testing.T) { shareOneLimit(t, pgtest.New(t)) })
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func shareOneLimit(t *testing.T, url string) {
	const limit, per, long = 30, 300 * time.Millisecond, 1500 * time.Millisecond
	var mu sync.Mutex
	var calls []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		calls = append(calls, time.Now())
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{}`)
	}))
	defer server.Close()
	end := time.Now().Add(long)
	var callers sync.WaitGroup
	for range 2 {
		ledger, err := store.OpenSlots(t.Context(), url, nil)
		require.NoError(t, err)
		defer ledger.Close()
		client := rest.New(rest.Options{
			System: "ghl", BaseURL: server.URL, Gate: rest.NewGate(rest.Rate{Calls: limit, Per: per}, ledger),
			Tokens: func(string) (oauth2.TokenSource, error) { return oauth2.StaticTokenSource(&oauth2.Token{}), nil },
		})
		for i := range 12 {
			ctx := context.Background()
			if i%2 == 0 {
				ctx = rest.WithBulk(ctx)
			}
			callers.Go(func() {
				for time.Now().Before(end) {
					_, err := client.Do(ctx, rest.Call{Operation: "contacts.get", Method: "GET", Path: "x", Account: "L"}, nil)
					limited, ok := errors.AsType[*crm.Error](err)
					if err == nil {
						continue
					}
					if !assert.True(t, ok) || !assert.Equal(t, crm.GHLRateLimited, limited.Code) {
						return
					}
					time.Sleep(min(limited.Wait, time.Until(end))) // as its workflow would
				}
			})
		}
	}
	callers.Wait()
	worst, first := 0, 0
	slices.SortFunc(calls, time.Time.Compare)
	for last := range calls {
		for calls[last].Sub(calls[first]) >= per {
			first++
		}
		worst = max(worst, last-first+1)
	}
	used := float64(len(calls)) / (float64(limit-2) * float64(long/per+1)) // one burst at each end
	t.Logf("%d calls in %v, at most %d of %d in any %v, %.0f %% of the limit used", len(calls), long, worst, limit, per, 100*used)
	assert.LessOrEqual(t, worst, limit)
	assert.Greater(t, used, 0.3, "on any machine")
}

// BenchmarkOneCallInALocationOfItsOwn is what gate and ledger add to a single change.
func BenchmarkOneCallInALocationOfItsOwn(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{}`)
	}))
	defer server.Close()
	ledger, err := store.OpenSlots(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "s.db"), nil)
	require.NoError(b, err)
	defer ledger.Close()
	for _, with := range []struct {
		name string
		gate *rest.Gate
	}{
		{"without a gate", nil},
		{"with a gate", rest.NewGate(rest.Rate{Calls: 100, Per: 10 * time.Second}, nil)},
		{"with a shared gate", rest.NewGate(rest.Rate{Calls: 100, Per: 10 * time.Second}, ledger)},
	} {
		b.Run(with.name, func(b *testing.B) {
			client := rest.New(rest.Options{
				System: "ghl", BaseURL: server.URL, Gate: with.gate,
				Tokens: func(string) (oauth2.TokenSource, error) { return oauth2.StaticTokenSource(&oauth2.Token{}), nil },
			})
			n := 0
			for b.Loop() {
				n++
				_, err := client.Do(b.Context(), rest.Call{Method: "GET", Path: "x", Account: strconv.Itoa(n)}, nil)
				require.NoError(b, err)
			}
		})
	}
}
