// The kinds of settings: each knows how it is written, refuses what can't be right in words that say what would be,
// and shows itself without giving a secret away.

package app

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/starter/webhook"
	"github.com/rankrsync/rankrsync/store"
)

// BaseURL is where a system's API is: scheme, host and perhaps a path.
type BaseURL string

// Decode reads the setting.
func (b *BaseURL) Decode(text string) error {
	u, err := crm.SecretsURL(text, "https://host")
	switch {
	case err != nil:
		return err
	case u.RawQuery != "":
		return errors.New("must be scheme, host and path only")
	}
	*b = BaseURL(strings.TrimRight(text, "/"))
	return nil
}

// TokenURL is where an OAuth 2.0 client gets its tokens.
type TokenURL string

// Decode reads the setting.
func (t *TokenURL) Decode(text string) error {
	_, err := crm.SecretsURL(text, "https://host/oauth/token")
	*t = TokenURL(text)
	return err
}

// KeyFile is the path of a file with keys.
type KeyFile string

// Decode reads the setting.
func (k *KeyFile) Decode(text string) error {
	if !filepath.IsAbs(text) {
		return errors.New("is not a full path like /run/secrets/keys")
	}
	*k = KeyFile(text)
	return nil
}

// Locations are the ids of the GHL locations that are kept in step.
type Locations []string

// Decode reads the setting.
func (l *Locations) Decode(text string) error {
	*l = nil
	for id := range strings.SplitSeq(text, ",") {
		id = strings.TrimSpace(id)
		switch {
		case !crm.ValidID(id):
			return errors.New("holds what is no location id (letters, digits, - and _, at most 64)")
		case slices.Contains(*l, id):
			return errors.New("names a location twice")
		}
		*l = append(*l, id)
	}
	return nil
}

// String shows the ids as they were written.
func (l Locations) String() string { return strings.Join(l, ",") }

// APIVersion is the value of GHL's Version header.
type APIVersion string

var apiVersion = regexp.MustCompile(`^(v\d+|\d{4}-\d{2}-\d{2})$`)

// Decode reads the setting.
func (v *APIVersion) Decode(text string) error {
	if !apiVersion.MatchString(text) {
		return errors.New("is not a version like 2021-07-28")
	}
	*v = APIVersion(text)
	return nil
}

// WebhookKeys are the public keys webhooks are verified with.
type WebhookKeys struct {
	Keys []ed25519.PublicKey
	text string
}

// Decode reads the setting.
func (k *WebhookKeys) Decode(text string) (err error) {
	k.text = text
	if k.Keys, err = webhook.ParseKeys(text); err != nil {
		return fmt.Errorf("can't be used (%w)", err)
	}
	return nil
}

// String shows the keys as they were written: they are public.
func (k WebhookKeys) String() string { return k.text }

// Rate is a vendor's limit; the zero Rate is no limit.
type Rate struct{ rest.Rate }

// Decode reads the setting.
func (r *Rate) Decode(text string) (err error) {
	if r.Rate, err = rest.ParseRate(text); err != nil {
		return errors.New("is not a rate like 100/10s, or 0")
	}
	return nil
}

// String shows the rate as it is written.
func (r Rate) String() string {
	if r.Calls == 0 {
		return "0"
	}
	return fmt.Sprintf("%d/%s", r.Calls, short(r.Per))
}

// PerSecond is the rate as a number; 0: no limit.
func (r Rate) PerSecond() float64 {
	if r.Calls == 0 {
		return 0
	}
	return float64(r.Calls) / r.Per.Seconds()
}

// StoreURL is where the store is, or file: and the full path of a file that says it. PostgreSQL's may hold a password: no print, log
// or encoder shows that.
type StoreURL struct{ Secret }

// NewStoreURL hides the password of a URL.
func NewStoreURL(url string) StoreURL { return StoreURL{NewSecret(url)} }

// Decode reads the setting.
func (s *StoreURL) Decode(text string) error {
	if strings.HasPrefix(text, "file:") {
		return s.Secret.Decode(text)
	}
	*s = NewStoreURL(text) // it may hold blanks: a file of SQLite's does
	return storeURL(text)
}

func storeURL(text string) error {
	if store.CheckURL(text) != nil {
		return errors.New("is not like sqlite:rankrsync.db or postgres://user:password@host/rankrsync")
	}
	return nil
}

// String shows the URL with its passwords masked.
func (s StoreURL) String() string {
	text := s.Reveal()
	switch {
	case s.file != nil:
		return s.Secret.String()
	case strings.HasPrefix(text, "sqlite:"):
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "********"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "password") {
			query.Set(name, "xxxxx")
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}

// Format covers every verb: %#v and %x would otherwise show the text itself.
func (s StoreURL) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue is what a log shows.
func (s StoreURL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what JSON and its like show.
func (s StoreURL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// OnDelete is what becomes of a record whose contact was deleted: "delete" or "keep".
type OnDelete string

// Decode reads the setting.
func (o *OnDelete) Decode(text string) error { return oneOf(o, text, "delete", "keep") }

// Backfill is what becomes of the contacts that a location has when it is connected: "offer" or "start".
type Backfill string

// Decode reads the setting.
func (b *Backfill) Decode(text string) error { return oneOf(b, text, "offer", "start") }

// LogFormat is "auto", "text" or "json".
type LogFormat string

// Decode reads the setting.
func (f *LogFormat) Decode(text string) error { return oneOf(f, text, "auto", "text", "json") }

func oneOf[T ~string](target *T, text string, choices ...string) error {
	text = strings.ToLower(text)
	if !slices.Contains(choices, text) {
		return fmt.Errorf("is not %s or %s", strings.Join(choices[:len(choices)-1], ", "), choices[len(choices)-1])
	}
	*target = T(text)
	return nil
}

// LogLevel is the least level that is logged.
type LogLevel struct{ slog.Level }

// Decode reads the setting.
func (l *LogLevel) Decode(text string) error {
	if err := l.UnmarshalText([]byte(text)); err != nil {
		return errors.New("is not debug, info, warn or error")
	}
	return nil
}

// String shows the level as it is written.
func (l LogLevel) String() string { return strings.ToLower(l.Level.String()) }

// Switch is on or off.
type Switch bool

// Decode reads the setting.
func (s *Switch) Decode(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("is not true or false")
	}
	*s = Switch(on)
	return nil
}

// PollInterval is the time between two polls of a location; 0: no polls.
type PollInterval time.Duration

// Decode reads the setting.
func (p *PollInterval) Decode(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d != 0 && (d < time.Minute || d > 15*time.Minute) {
		return errors.New("is not a time from 1m to 15m, or 0")
	}
	*p = PollInterval(d)
	return nil
}

// String shows the interval as it is written.
func (p PollInterval) String() string { return short(time.Duration(p)) }

// Pause is a short time.
type Pause time.Duration

// Decode reads the setting.
func (p *Pause) Decode(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > time.Minute {
		return errors.New("is not a time from 0 to 1m")
	}
	*p = Pause(d)
	return nil
}

// String shows the pause as it is written.
func (p Pause) String() string { return short(time.Duration(p)) }

// short writes a duration as people do: 5m, not 5m0s.
func short(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// PollSince is where a location's first poll starts.
type PollSince struct {
	All bool      // everything there is
	At  time.Time // zero, and not All: now
}

// Decode reads the setting.
func (p *PollSince) Decode(text string) error {
	*p = PollSince{All: text == "all"}
	if text == "now" || text == "all" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errors.New("is not now, all or a time like 2026-01-31T00:00:00Z")
	}
	p.At = at.UTC()
	return nil
}

// String shows the start as it is written.
func (p PollSince) String() string {
	switch {
	case p.All:
		return "all"
	case p.At.IsZero():
		return "now"
	}
	return p.At.Format(time.RFC3339)
}

// Address is where a server listens: host and port.
type Address string

// Decode reads the setting.
func (a *Address) Decode(text string) error {
	_, port, err := net.SplitHostPort(text)
	if n, err2 := strconv.Atoi(port); err != nil || err2 != nil || n < 0 || n > 65535 {
		return errors.New("is not an address like 127.0.0.1:8088")
	}
	*a = Address(text)
	return nil
}
