// Package store remembers what must outlive a process: which contact is linked to which record, how far the polls
// came, and which contacts wait for a person. It holds no values of contacts but their tags: fingerprints,
// names and ids. Losing it
// loses no CRM data; links are found again by external id.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// Store is a database of links, ticks and problems: a file of SQLite, or PostgreSQL where several machines share it.
// Its methods may be called from many goroutines.
type Store struct {
	dialect *dialect
	read    session // never waits for the writer
	readDB  *sql.DB
	write   *sql.DB
	writer  *writer
	clock   func() time.Time // nil: the database's own
	again   func() string    // the URL as it is now; nil: it stays
	link    string           // the query of [Store.Link]
	id      string
	key     []byte
}

// Option changes how a store is opened.
type Option func(*Store)

// WithClock replaces the clock, which all leases and quiet periods are measured by.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.clock = now } }

// WithURL has each new connection to PostgreSQL sign in with the user and the password of the URL that again returns then: they may be
// replaced while the program runs.
func WithURL(again func() string) Option { return func(s *Store) { s.again = again } }

// Open opens the store at a URL such as "sqlite:rankrsync.db" or "postgres://user:password@host/rankrsync", makes the
// file and the tables where they are missing, and checks it: a broken file is refused rather than half believed.
func Open(ctx context.Context, url string, options ...Option) (*Store, error) {
	d, err := dialectOf(url)
	if err != nil {
		return nil, err
	}
	s := &Store{dialect: d}
	for _, option := range options {
		option(s)
	}
	if s.clock == nil && d.clock == "" {
		s.clock = time.Now
	}
	if err := s.open(ctx, url); err != nil {
		s.Close() //nolint:errcheck // the error to tell is the other one
		return nil, fmt.Errorf("store: open: %w", d.hidden(err))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, url string) (err error) {
	if s.readDB, s.write, err = s.dialect.connect(url, s.again); err != nil {
		return err
	}
	s.read = session{on: s.readDB, dialect: s.dialect}
	s.link = "SELECT " + s.clocked() + selectLink
	// Goose takes no lock on SQLite, and none of PostgreSQL that would also cover the identity.
	err = s.dialect.alone(ctx, url, s.write, func() error {
		return whenFree(ctx, s.dialect.again, s.check, s.migrate, s.identify)
	})
	if err != nil {
		return err
	}
	s.writer = s.dialect.writer(s)
	return nil
}

// CheckURL tells what is wrong with a store's URL, without quoting it: it may hold a password.
func CheckURL(url string) error {
	_, err := dialectOf(url)
	return err
}

func dialectOf(text string) (*dialect, error) {
	if path, ok := strings.CutPrefix(text, "sqlite:"); ok && path != "" {
		return sqliteDialect, nil
	}
	u, err := url.Parse(text)
	if err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") && u.Opaque == "" && len(u.Path) > 1 {
		return postgresDialect, nil
	}
	return nil, errors.New(`store: the URL must look like "sqlite:rankrsync.db" or "postgres://user:password@host/rankrsync"`)
}

func (s *Store) check(ctx context.Context) error { return s.dialect.check(ctx, s.write) }

func (s *Store) migrate(ctx context.Context) error {
	_, err := migrate(ctx, s.dialect, s.write)
	return err
}

// whenFree takes the steps of opening, each again for up to five seconds while another process that just started has
// the file locked: switching a file to WAL does not heed SQLite's own time-out.
func whenFree(ctx context.Context, again func(error) bool, steps ...func(context.Context) error) error {
	for _, step := range steps {
		for attempt := 0; ; attempt++ {
			err := step(ctx)
			if err == nil {
				break
			}
			if !again(err) || attempt == 100 || ctx.Err() != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// identify makes the store's id and the key of its fingerprints once, or reads them.
func (s *Store) identify(ctx context.Context) error {
	db := session{on: s.write, dialect: s.dialect}
	for name, fresh := range map[string]string{"store_id": rand.Text(), "fingerprint_key": newKey()} {
		if _, err := db.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", name, fresh); err != nil {
			return err
		}
	}
	if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'store_id'").Scan(&s.id); err != nil {
		return err
	}
	var key string
	if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'fingerprint_key'").Scan(&key); err != nil {
		return err
	}
	var err error
	s.key, err = base64.StdEncoding.DecodeString(key)
	return err
}

func newKey() string {
	key := make([]byte, 32)
	rand.Read(key) //nolint:errcheck // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// ID names this store: it goes into idempotency keys, so that two installations never share one.
func (s *Store) ID() string { return s.id }

// Fingerprinter hashes with this store's own key.
func (s *Store) Fingerprinter() crm.Fingerprinter { return crm.NewFingerprinter(s.key) }

// Ping tells whether the store answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.read.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// Close waits for the writes in hand and closes the database.
func (s *Store) Close() error {
	if s.writer != nil {
		s.writer.close()
	}
	var err error
	for _, db := range []*sql.DB{s.readDB, s.write} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// now is the clock of what is about to be read; zero where the database tells it with each row, see clocked.
func (s *Store) now() time.Time {
	if s.clock == nil {
		return time.Time{}
	}
	return s.clock()
}

// clocked is a column with the time at which the database began to look, where that is the clock, to be scanned first.
func (s *Store) clocked() string {
	if s.clock == nil {
		return s.dialect.clock + ", "
	}
	return ""
}

// Times are kept in milliseconds; 0 is the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
