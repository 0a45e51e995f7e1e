package rankr_test

import (
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// accounts are those of three locations.
var accounts = map[string]string{"L1": "harbour", "L2": "harbour", "L3": "quay"}

// withAccounts starts a Rankr with these accounts, and a client that knows whose a location is.
func withAccounts(t *testing.T, gate *rest.Gate) (*rankrtest.Server, *rankr.Client) {
	t.Helper()
	server := rankrtest.New()
	server.Loud = t.Errorf
	server.Set(func(k *rankrtest.Knobs) {
		k.Tokens = map[string]string{"token of harbour": "harbour", "token of quay": "quay"}
	})
	wire := httptest.NewServer(server)
	t.Cleanup(wire.Close)
	return server, rankr.New(rest.New(rest.Options{
		System: "rankr", BaseURL: wire.URL, Gate: gate, Timeout: 5 * time.Second,
		Tokens: func(account string) (oauth2.TokenSource, error) {
			return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token of " + account}), nil
		},
	}), rankr.Options{Account: func(location string) string { return accounts[location] }})
}

func TestEachLocationsRecordsAreInItsOwnAccount(t *testing.T) {
	server, client := withAccounts(t, nil)
	for location, account := range map[string]string{"L1": "harbour", "L2": "harbour", "L3": "quay"} {
		made, err := client.Create(t.Context(), location, "key of "+location, crm.Contact{ExternalID: "E-" + location})
		require.NoError(t, err)
		record, ok := server.Get(made.ID)
		require.True(t, ok)
		assert.Equal(t, account, record.Account, location)
	}
}

func TestEveryCallUsesTheAccountOfItsLocation(t *testing.T) {
	server, url := rankrtest.Start(t)
	server.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	var asked []string
	client := rankr.New(rest.New(rest.Options{
		System: "rankr", BaseURL: url, Timeout: 5 * time.Second,
		Tokens: func(account string) (oauth2.TokenSource, error) {
			asked = append(asked, account)
			return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token"}), nil
		},
	}), rankr.Options{Account: func(location string) string { return "account of " + location }})
	for name, call := range everything(client, newTarget(t, server, rankrtest.Record{})) {
		asked = nil
		_ = call(t) // a contact that an earlier call deleted is no matter here
		assert.Equal(t, []string{"account of L"}, asked, name)
	}
}

// TestLocationsOfOneAccountShareItsLimit: Rankr counts an account's calls, whichever location they are for. What one account
// uses up is not missing in another's.
func TestLocationsOfOneAccountShareItsLimit(t *testing.T) {
	const limit = 20
	server, client := withAccounts(t, rest.NewGate(rest.Rate{Calls: limit, Per: time.Minute}, nil))
	server.Set(func(k *rankrtest.Knobs) { k.Limit, k.Interval = limit, time.Minute })
	passed := map[string]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 2 * limit {
		for location, account := range accounts {
			group.Go(func() {
				if _, err := client.Find(t.Context(), location, crm.Keys{ExternalID: "E1"}); err == nil {
					mu.Lock()
					defer mu.Unlock()
					passed[account]++
				}
			})
		}
	}
	group.Wait()
	counted := server.Counters()
	assert.Zero(t, counted.Statuses[429])
	assert.Equal(t, 2*counted.BusiestWindow, counted.Statuses[200], "both used up what the gate lets through")
	assert.Equal(t, passed["harbour"], passed["quay"], "two locations of an account get no more than one of another")
}
