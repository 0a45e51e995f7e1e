// What a person's commands need of connections: how they stand, the link, an end, other keys, and the store's tables.

package app

import (
	"context"
	"errors"
	"net/url"
	"path"
	"slices"
	"time"

	"github.com/rankrsync/rankrsync/connections"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
)

// Account is a connected location with the end of the token that is used for it.
type Account struct {
	crm.Connection
	Expires time.Time // zero: never, or there is none yet
}

// Accounts lists all locations that people connected, those too that were disconnected.
func Accounts(ctx context.Context, config Config) (accounts []Account, err error) {
	err = withStore(ctx, config, func(memory *store.Store) error {
		accounts, err = readAccounts(ctx, memory)
		return err
	})
	return accounts, err
}

func readAccounts(ctx context.Context, memory *store.Store) ([]Account, error) {
	all, err := memory.Connections(ctx)
	if err != nil {
		return nil, err
	}
	accounts := make([]Account, len(all))
	for i, connection := range all {
		token, err := memory.Token(ctx, connection.Owner)
		if err != nil {
			return nil, err
		}
		if token.Held() && connection.State == crm.Connected {
			connection.State = crm.Refreshing
		}
		accounts[i] = Account{connection, token.Expires}
	}
	return accounts, nil
}

// lookEvery is how often a person's wait looks.
const lookEvery = time.Second

// AwaitInstall waits until somebody installed the app for a location since before was read: a new one, or one of these once
// more. An agency's locations come one after another, so it ends when a second look finds no more. When ctx ends it
// returns what it found so far.
func AwaitInstall(ctx context.Context, config Config, before []Account) (installed []Account, err error) {
	err = withStore(ctx, config, func(memory *store.Store) error {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			now, err := readAccounts(ctx, memory)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			found := installedSince(before, now)
			if len(found) > 0 && len(found) == len(installed) {
				return nil
			}
			installed = found
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
	return installed, err
}

// installedSince compares times of one location only, so that no clock is held against another machine's.
func installedSince(before, now []Account) []Account {
	last := map[string]time.Time{}
	for _, account := range before {
		last[account.Location] = account.Installed
	}
	return slices.DeleteFunc(now, func(account Account) bool {
		at, known := last[account.Location]
		return known && !account.Installed.After(at)
	})
}

// InstallLink is the link that people connect by. Its error is a *[SettingsError] that names all that is missing.
func (c Config) InstallLink() (string, error) {
	var problems []string
	for _, name := range []string{"GHL_CLIENT_ID", "GHL_REDIRECT_URL"} {
		if c.origins[name] == fromNowhere {
			problems = append(problems, name+" is not set: connecting by a link needs it, see docs/connect.md")
		}
	}
	if problems != nil {
		return "", &SettingsError{problems}
	}
	redirect, err := url.Parse(string(c.GHLRedirectURL))
	if err != nil || path.Base(redirect.Path) != "callback" {
		return "", &SettingsError{[]string{"GHL_REDIRECT_URL does not end in /oauth/callback, where starter serve has the page that people come back to"}}
	}
	return redirect.JoinPath("../install").String(), nil
}

// DisconnectAccount forgets a location's token and keeps its links; [crm.UnknownLocation] where nobody connected it. It needs
// neither keys nor GHL, and doing it twice is fine.
func DisconnectAccount(ctx context.Context, config Config, location string) error {
	return withStore(ctx, config, func(memory *store.Store) error {
		return (&connections.Connections{Store: memory}).Disconnect(ctx, location)
	})
}

// Connected tells whether somebody connected the location, whatever its state.
func Connected(ctx context.Context, config Config, location string) (connected bool, err error) {
	err = withStore(ctx, config, func(memory *store.Store) error {
		connection, err := memory.Connection(ctx, location)
		connected = connection.Location != ""
		return err
	})
	return connected, err
}

// RotateSecrets seals with the first key what is sealed with another, the store's proof last: from then on the other keys
// need not be there. Where a token can't be opened the proof stays as it is. Keys that can't be used are a *[SettingsError].
func RotateSecrets(ctx context.Context, config Config) (resealed connections.Resealed, err error) {
	sealer, err := config.Sealer()
	if err != nil {
		return resealed, err
	}
	err = withStore(ctx, config, func(memory *store.Store) error {
		if err := prove(ctx, sealer, memory); err != nil {
			return err
		}
		if resealed, err = connections.Reseal(ctx, memory, sealer); err != nil || resealed.Closed != nil {
			return err
		}
		return renewProof(ctx, sealer, memory)
	})
	return resealed, err
}

// renewProof has the first key in the store's proof.
func renewProof(ctx context.Context, sealer *Sealer, records *store.Store) error {
	for {
		stored, err := records.SealProof(ctx)
		if err != nil || sealer.Current(stored) {
			return err
		}
		fresh, err := sealer.Proof()
		if err != nil {
			return err
		}
		err = records.SaveSealProof(ctx, stored, fresh)
		if !errors.Is(err, crm.ErrMoved) { // else another rotation was faster
			return err
		}
	}
}

// Migrations lists the steps of the store's tables, taken and to come. It makes no store.
func Migrations(ctx context.Context, config Config) ([]store.Migration, error) {
	url, err := config.storeAt()
	if err != nil {
		return nil, err
	}
	steps, err := store.MigrationStatus(ctx, url)
	if err != nil {
		return nil, &StoreError{config.StoreURL, err}
	}
	return steps, nil
}

// Migrate takes the steps that are still to come and returns them.
func Migrate(ctx context.Context, config Config) ([]store.Migration, error) {
	url, err := config.storeAt()
	if err != nil {
		return nil, err
	}
	steps, err := store.Migrate(ctx, url)
	if err != nil {
		return nil, &StoreError{config.StoreURL, err}
	}
	return steps, nil
}
