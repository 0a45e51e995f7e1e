package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Slots is the ledger in which the processes of one installation share the vendors' rate limits: a few bytes an
// account, exchanged by compare and swap. What it holds is outdated after a window of seconds, or told again by the vendor's
// next answer, so it lives where nothing is synced to disk, a file of its own beside SQLite's or an unlogged table of
// PostgreSQL: an exchange costs no fsync, and after a power cut nothing is missed.
//
// Its rows are opaque here; package clients/rest knows what is in them.
type Slots struct {
	db      *sql.DB
	dialect *dialect
	load    *sql.Stmt
	insert  *sql.Stmt
	update  *sql.Stmt
	now     func() time.Time // nil: the database's own clock, which all machines share
	mu      sync.Mutex
	swept   time.Time
}

// OpenSlots opens the ledger that goes with the store at the URL: "sqlite:rankrsync.db" has rankrsync.db-slots
// beside it. A file that a power cut left unreadable is made anew. In PostgreSQL it is a table beside the store's, and again is what
// [WithURL] takes, or nil.
func OpenSlots(ctx context.Context, url string, again func() string) (*Slots, error) {
	d, err := dialectOf(url)
	if err != nil {
		return nil, err
	}
	s, err := d.slots(ctx, url, again)
	if err != nil {
		return nil, fmt.Errorf("store: slots: %w", d.hidden(err))
	}
	s.dialect = d
	return s, nil
}

func openSlotsFile(ctx context.Context, url string, _ func() string) (*Slots, error) {
	path := file(url) + "-slots"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	s, err := slotsFile(ctx, path)
	if broken(err) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
		s, err = slotsFile(ctx, path)
	}
	return s, err
}

func slotsFile(ctx context.Context, path string) (_ *Slots, err error) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	defer closeOn(&err, db)
	db.SetMaxOpenConns(1) // SQLite writes one at a time anyway
	if _, err = db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS slots (
		account TEXT PRIMARY KEY,
		state   BLOB NOT NULL,
		until   INTEGER NOT NULL -- milliseconds since 1970
	) WITHOUT ROWID`); err != nil {
		return nil, err
	}
	var verdict string
	if err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return nil, err
	}
	if verdict != "ok" {
		return nil, errDamaged
	}
	s := &Slots{db: db, now: time.Now}
	return s, s.prepare(ctx, "SELECT state FROM slots WHERE account = $1")
}

// openSlotsTable needs no check: PostgreSQL empties an unlogged table after a crash. Its rows change all the time; the room
// left on each page lets that go without new index entries.
func openSlotsTable(ctx context.Context, url string, again func() string) (_ *Slots, err error) {
	db, err := pool(url, again, pgSlots, map[string]string{"synchronous_commit": "off"})
	if err != nil {
		return nil, err
	}
	defer closeOn(&err, db)
	if err = aloneInDatabase(ctx, url, db, func() error {
		_, err := db.ExecContext(ctx, `CREATE UNLOGGED TABLE IF NOT EXISTS slots (
			account TEXT PRIMARY KEY,
			state   BYTEA NOT NULL,
			until   BIGINT NOT NULL -- milliseconds since 1970
		) WITH (fillfactor = 50)`)
		return err
	}); err != nil {
		return nil, err
	}
	s := &Slots{db: db}
	return s, s.prepare(ctx, "SELECT statement_timestamp(), s.state FROM (SELECT) one LEFT JOIN slots s ON s.account = $1")
}

func closeOn(err *error, db *sql.DB) {
	if *err != nil {
		_ = db.Close()
	}
}

func (s *Slots) prepare(ctx context.Context, load string) (err error) {
	for statement, text := range map[**sql.Stmt]string{
		&s.load:   load,
		&s.insert: "INSERT INTO slots (account, state, until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		&s.update: "UPDATE slots SET state = $1, until = $2 WHERE account = $3 AND state = $4",
	} {
		if *statement, err = s.db.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

var errDamaged = errors.New("the file is damaged")

// broken tells whether the file is no database, or a damaged one.
func broken(err error) bool {
	var e *sqlite.Error
	return errors.Is(err, errDamaged) || errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}

// Load returns the account's state, nil when there is none, and the ledger's clock, read before the state.
func (s *Slots) Load(ctx context.Context, account string) (state []byte, now time.Time, err error) {
	into := []any{&now, &state}
	if s.dialect.clock == "" {
		now, into = s.now(), into[1:]
	}
	err = s.load.QueryRowContext(ctx, account).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, now, nil
	}
	return state, now, s.dialect.hidden(err)
}

// Swap writes the new state if the old one still stands; nil stands for none. From until on, the row may go.
func (s *Slots) Swap(ctx context.Context, account string, old, new []byte, until time.Time) (bool, error) {
	var result sql.Result
	var err error
	if old == nil {
		result, err = s.insert.ExecContext(ctx, account, new, until.UnixMilli())
	} else {
		result, err = s.update.ExecContext(ctx, new, until.UnixMilli(), account, old)
	}
	if err != nil {
		return false, s.dialect.hidden(err)
	}
	rows, err := result.RowsAffected()
	if err != nil || rows == 0 {
		return false, err
	}
	return true, s.dialect.hidden(s.sweep(ctx))
}

// sweep deletes the rows of idle accounts once a minute, so that the ledger stays as small as what goes on.
func (s *Slots) sweep(ctx context.Context) error {
	now := time.Now()
	if s.now != nil {
		now = s.now()
	}
	s.mu.Lock()
	due := now.Sub(s.swept).Abs() >= time.Minute
	if due {
		s.swept = now
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	if s.now == nil {
		_, err := s.db.ExecContext(ctx, "DELETE FROM slots WHERE until < extract(epoch FROM statement_timestamp()) * 1000")
		return err
	}
	_, err := s.db.ExecContext(ctx, "DELETE FROM slots WHERE until < $1", now.UnixMilli())
	return err
}

// Close closes the ledger.
func (s *Slots) Close() error { return s.db.Close() }
