// The service account: what connects without anybody opening the link, where GHL gives the app a token of its own.

package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/starter/connect"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// ServiceAccount is what a token of the app itself connected.
type ServiceAccount struct {
	Accounts  []Account
	Missed    error // why GHL did not tell all locations that have the app
	Unstarted error // why Temporal did not take one of them; they are kept all the same
}

// CheckServiceAccount tells whether what a service account needs is set. Its error is a *[SettingsError] that names all that is
// missing.
func (c Config) CheckServiceAccount() error {
	var problems []string
	for _, name := range []string{"GHL_CLIENT_ID", "GHL_CLIENT_SECRET"} {
		if c.origins[name] == fromNowhere {
			problems = append(problems, name+" is not set: a service account needs it, see docs/connect.md")
		}
	}
	var keys *SettingsError
	if _, err := c.Sealer(); errors.As(err, &keys) {
		problems = append(problems, keys.Problems...)
	}
	if problems != nil {
		return &SettingsError{problems}
	}
	return nil
}

// ConnectServiceAccount asks GHL for a token of the app itself, keeps it for the location or company that it is for, and starts
// what is connected by that. Doing it twice is as good as once. Its errors are a *[SettingsError], a *[StoreError], and GHL's own,
// after which nothing is kept.
func ConnectServiceAccount(ctx context.Context, config Config, temporal client.Client, searchable func() bool) (ServiceAccount, error) {
	var answer ServiceAccount
	var refused error // it is not the store's
	err := withStore(ctx, config, func(memory *store.Store) error {
		o, err := newOAuth(ctx, config, memory, nil)
		if err != nil {
			return err
		}
		grant, err := o.app.ClientCredentials(ctx)
		if err != nil {
			refused = err
			return nil
		}
		connections, missed, err := connect.Keep(ctx, o.app, o.Install, grant, o.app.App().ID())
		answer.Missed = missed
		if err != nil {
			return err
		}
		answer.Unstarted = startAll(ctx, nudge.New(temporal, byHand(searchable)), connections)
		accounts, err := readAccounts(ctx, memory)
		answer.Accounts = slices.DeleteFunc(accounts, func(a Account) bool {
			return !slices.ContainsFunc(connections, func(c crm.Connection) bool { return c.Location == a.Location })
		})
		return err
	})
	return answer, cmp.Or(err, refused)
}

// startAll starts each connection's ConnectLocation, and closes the nudger; that one can't be started keeps no other from it.
func startAll(ctx context.Context, nudger *nudge.Nudger, connections []crm.Connection) error {
	defer closeNudger(nudger, slog.New(slog.DiscardHandler))
	var group errgroup.Group
	group.SetLimit(8)
	for _, connection := range connections {
		group.Go(func() error { return nudger.Connect(ctx, connection.Location) })
	}
	return group.Wait()
}
