// Connections: the locations that people connected by OAuth, beside those of GHL_LOCATION_ID.

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/connections"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/starter/connect"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// oauth is what connecting by OAuth needs. A nil *oauth has no connections.
type oauth struct {
	*connections.Connections
	app     *ghl.OAuth
	records *store.Store
	nudger  *nudge.Nudger // of the receiver only

	mu     sync.Mutex
	served map[string]time.Time // by connected location: until when that is believed
}

// newOAuth wires it; nil where no app is set. Keys that do not open what the store holds are a *[SettingsError], before anything
// is changed.
func newOAuth(ctx context.Context, config Config, records *store.Store, observe func(string, int, time.Duration)) (*oauth, error) {
	if config.GHLClientID == "" {
		return nil, nil
	}
	if err := config.GHLClientSecret.check(); err != nil {
		return nil, &SettingsError{[]string{"GHL_CLIENT_SECRET " + err.Error()}}
	}
	sealer, err := config.Sealer()
	if err != nil {
		return nil, err
	}
	if err := prove(ctx, sealer, records); err != nil {
		return nil, err
	}
	app := ghl.NewOAuth(rest.New(rest.Options{System: "ghl", BaseURL: string(config.GHLBaseURL), Observe: observe}), ghl.App{
		ClientID:    config.GHLClientID,
		Secret:      func() (crm.Secret, error) { return crm.Secret(config.GHLClientSecret.Reveal()), nil },
		RedirectURL: string(config.GHLRedirectURL),
		Scopes:      ghl.Scopes(),
		Consent:     string(config.GHLConsentURL),
		VersionID:   config.GHLVersionID,
	})
	return &oauth{Connections: &connections.Connections{Store: records, Sealer: sealer, GHL: app}, app: app, records: records}, nil
}

// proveFirst holds the keys against the proof of a store that is not open yet: opening it would bring its tables up to date, and with
// a wrong key nothing may change.
func proveFirst(ctx context.Context, config Config) error {
	if config.GHLClientID == "" {
		return nil
	}
	sealer, err := config.Sealer()
	if err != nil {
		return err
	}
	url, err := config.storeAt()
	if err != nil {
		return err
	}
	stored, err := store.SealProofAt(ctx, url)
	if err != nil {
		return &StoreError{config.StoreURL, err}
	}
	_, err = sealer.Prove(stored)
	return err
}

// prove holds the keys against the store's proof, or leaves one there.
func prove(ctx context.Context, sealer *Sealer, records *store.Store) error {
	for range 2 {
		stored, err := records.SealProof(ctx)
		if err != nil {
			return fmt.Errorf("the store can't be asked: %w", err)
		}
		fresh, err := sealer.Prove(stored)
		if err != nil || fresh == nil {
			return err
		}
		err = records.SaveSealProof(ctx, stored, fresh)
		if !errors.Is(err, crm.ErrMoved) { // another process that starts may have been first: its proof counts
			return err
		}
	}
	return errors.New("the store's proof of the keys changes all the time: is it being rotated?")
}

// tokens finds the token of a location: that of the settings, else that of its connection.
func (o *oauth) tokens(settings func(string) (oauth2.TokenSource, error)) func(string) (oauth2.TokenSource, error) {
	if o == nil {
		return settings
	}
	return func(location string) (oauth2.TokenSource, error) {
		if source, err := settings(location); err == nil {
			return source, nil
		}
		return o.Source(location), nil
	}
}

// freshness is for how long a location is believed to be connected.
const freshness = 5 * time.Second

// locations are those that are connected, whether their token works at the moment or not.
func (o *oauth) locations(ctx context.Context) ([]string, error) {
	if o == nil {
		return nil, nil
	}
	all, err := o.records.Connections(ctx)
	if err != nil {
		return nil, err
	}
	var connected []string
	for _, connection := range all {
		if connection.State != crm.Disconnected {
			connected = append(connected, connection.Location)
		}
	}
	return connected, nil
}

// maxServed bounds the locations that are remembered as connected.
const maxServed = 100_000

// serves tells whether a location is connected. That it is not is never remembered: the first events of a location come a moment
// after it was connected, perhaps by another process. Where the store can't tell, the event is taken: it would be lost otherwise.
func (o *oauth) serves(location string) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	known := time.Now().Before(o.served[location])
	o.mu.Unlock()
	if known {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	connection, err := o.records.Connection(ctx, location)
	if err != nil {
		return true
	}
	if connection.Location == "" || connection.State == crm.Disconnected {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.served == nil || len(o.served) >= maxServed {
		o.served = map[string]time.Time{}
	}
	o.served[location] = time.Now().Add(freshness)
	return true
}

// hearing is a [webhook.Installs]: what GHL tells of installs is only a reason to look.
type hearing struct {
	*oauth
	connect func(ctx context.Context, location string) error
	gone    func(ctx context.Context, location string, at time.Time) error
	log     *slog.Logger
}

// Installed connects a location that is ours or our company's. An install that is older than the end of the connection does not
// bring it back: events come late and twice, and somebody may have disconnected a location that has the app still.
func (h hearing) Installed(ctx context.Context, location, company string, at time.Time) (bool, error) {
	if location == "" { // a company's: its people come through the callback
		token, err := h.records.Token(ctx, crm.CompanyOwner(company))
		return token.Version > 0, err
	}
	known, err := h.records.Connection(ctx, location)
	if err != nil {
		return false, err
	}
	if known.State == crm.Disconnected && !at.IsZero() && at.Before(known.StateSince) {
		return true, nil
	}
	if known.Location == "" || known.State == crm.Disconnected {
		if ours, err := h.Adopt(ctx, location, company); err != nil || !ours {
			return false, err
		}
	}
	h.log.Info("the app was installed", "location", location)
	return true, h.connect(ctx, location)
}

// Uninstalled has the locations looked at that may be gone.
func (h hearing) Uninstalled(ctx context.Context, location, company string, at time.Time) (bool, error) {
	all, err := h.records.Connections(ctx)
	if err != nil {
		return false, err
	}
	found := false
	for _, connection := range all {
		if connection.Location != location && (location != "" || connection.Company != company) {
			continue
		}
		found = true
		if err := h.gone(ctx, connection.Location, at); err != nil {
			return true, err
		}
	}
	return found, nil
}

// scheduler makes and removes poll schedules one at a time.
type scheduler struct {
	polls    Polls
	interval time.Duration
}

// SchedulePoll makes or updates a location's schedule; where polling is off there is none.
func (s scheduler) SchedulePoll(ctx context.Context, location string) error {
	return s.polls.ensure(ctx, location, s.interval)
}

// StopPoll removes it.
func (s scheduler) StopPoll(ctx context.Context, location string) error {
	return s.polls.Remove(ctx, location)
}

// connected is what the deeds know of connections.
type connected struct {
	*store.Store
	connections *connections.Connections
}

// Disconnect is [connections.Connections.Disconnect], and forgets the company's token, too, when that is of no use any more.
func (c connected) Disconnect(ctx context.Context, location string) error {
	if err := c.connections.Disconnect(ctx, location); err != nil {
		return err
	}
	return c.connections.ForgetCompany(ctx, location)
}

// openOAuth is newOAuth with a store of its own; close closes it.
func openOAuth(ctx context.Context, config Config, metrics *Metrics) (*oauth, error) {
	if config.GHLClientID == "" {
		return nil, nil
	}
	if err := proveFirst(ctx, config); err != nil {
		return nil, err
	}
	records, err := OpenStore(ctx, config)
	if err != nil {
		return nil, err
	}
	o, err := newOAuth(ctx, config, records, metrics.Requests("ghl"))
	if err != nil {
		_ = records.Close() // the error to tell is the other one
	}
	return o, err
}

// handOverTo says where installs go.
func (o *oauth) handOverTo(nudger *nudge.Nudger) {
	if o != nil {
		o.nudger = nudger
	}
}

func (o *oauth) close() {
	if o != nil {
		_ = o.records.Close() // everything is committed
	}
}

// pages are those that people see when they connect.
func (o *oauth) pages(config Config, metrics *Metrics, log *slog.Logger) http.Handler {
	return connect.New(connect.Options{
		OAuth:    o.app,
		AppID:    o.app.App().ID(),
		Secure:   strings.HasPrefix(string(config.GHLRedirectURL), "https:"),
		Sealer:   o.Sealer,
		UseState: o.records.UseState,
		Install:  o.Install,
		Start:    o.nudger.Connect,
		Backfill: config.Backfill == "start",
		Observe:  metrics.Install,
		Log:      log,
	})
}
