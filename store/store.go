// Package store remembers what must outlive a process: which contact is linked to which record, how far the polls
// came, and which contacts wait for a person. It holds no values of contacts but their tags: fingerprints,
// names and ids. Losing it
// loses no CRM data; links are found again by external id.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/rankrsync/rankrsync/crm"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a database of links, ticks and problems. Its methods may be called from many goroutines.
type Store struct {
	read   *sql.DB // several connections: readers never wait for the writer
	write  *sql.DB // one connection: SQLite has one writer at a time anyway
	writer *writer
	now    func() time.Time
	id     string
	key    []byte
}

// Option changes how a store is opened.
type Option func(*Store)

// WithClock replaces the clock, which all leases and quiet periods are measured by.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// Open opens the store at a URL such as "sqlite:rankrsync.db", makes the file and its tables where they are missing,
// and checks it: a broken file is refused rather than half believed.
func Open(ctx context.Context, url string, options ...Option) (*Store, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" {
		return nil, errors.New(`store: the URL must look like "sqlite:rankrsync.db"`)
	}
	s := &Store{now: time.Now}
	for _, option := range options {
		option(s)
	}
	if err := s.open(ctx, path); err != nil {
		s.Close()
		return nil, fmt.Errorf("store: open: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", dsn(path, "immediate")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn(path, "deferred")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(maxReaders)
	s.read.SetMaxIdleConns(maxReaders)
	// Goose takes no lock on SQLite: processes that start together would migrate one file at a time only by luck.
	opening := flock.New(path + ".lock")
	if _, err := opening.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	defer opening.Unlock() //nolint:errcheck // the lock ends with the process at the latest
	if err := whenFree(ctx, s.check, s.migrate, s.identify); err != nil {
		return err
	}
	s.writer = newWriter(s.write)
	return nil
}

// maxReaders bounds the connections that read at a time.
const maxReaders = 4

// dsn sets FULL so that a commit survives a power cut: with NORMAL, WAL loses all since the last checkpoint.
func dsn(path, locking string) string {
	return path + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=" + locking
}

func (s *Store) check(ctx context.Context) error {
	var verdict string
	if err := s.write.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return errors.New("the database file is damaged: restore a backup, or move the file away to start afresh (links are found again by external id)")
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.write, files)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// whenFree takes the steps of opening, each again for up to five seconds while another process that just started has
// the file locked: switching a file to WAL does not heed SQLite's own time-out.
func whenFree(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		for attempt := 0; ; attempt++ {
			err := step(ctx)
			if err == nil {
				break
			}
			if !isBusy(err) || attempt == 100 || ctx.Err() != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// identify makes the store's id and the key of its fingerprints once, or reads them.
func (s *Store) identify(ctx context.Context) error {
	for name, fresh := range map[string]string{"store_id": rand.Text(), "fingerprint_key": newKey()} {
		if _, err := s.write.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", name, fresh); err != nil {
			return err
		}
	}
	if err := s.write.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'store_id'").Scan(&s.id); err != nil {
		return err
	}
	var key string
	if err := s.write.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'fingerprint_key'").Scan(&key); err != nil {
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
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

func isUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
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
