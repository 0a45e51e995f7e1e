package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Slots is the ledger in which the processes of one installation share the vendors' rate limits: a few bytes an
// account, exchanged by compare and swap. What it holds is outdated after a window of seconds, so it lives in a file
// of its own that is never synced to disk: an exchange costs no fsync, and after a power cut nothing is missed.
//
// Its rows are opaque here; package clients/rest knows what is in them. The two statements are plain SQL that
// PostgreSQL runs as well, where the clock must be the database's, since several machines share it.
type Slots struct {
	db     *sql.DB
	load   *sql.Stmt
	insert *sql.Stmt
	update *sql.Stmt
	now    func() time.Time
	mu     sync.Mutex
	swept  time.Time
}

const slotsTable = `CREATE TABLE IF NOT EXISTS slots (
	account TEXT PRIMARY KEY,
	state   BLOB NOT NULL,
	until   INTEGER NOT NULL -- milliseconds since 1970
) WITHOUT ROWID`

// OpenSlots opens the ledger that goes with the store at the URL: "sqlite:rankrsync.db" has rankrsync.db-slots
// beside it. A file that a power cut left unreadable is made anew.
func OpenSlots(ctx context.Context, url string) (*Slots, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" {
		return nil, errors.New(`store: the URL must look like "sqlite:rankrsync.db"`)
	}
	path += "-slots"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("store: slots: %w", err)
	}
	s, err := openSlots(ctx, path)
	if broken(err) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("store: slots: %w", err)
			}
		}
		s, err = openSlots(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("store: slots: %w", err)
	}
	return s, nil
}

func openSlots(ctx context.Context, path string) (_ *Slots, err error) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	db.SetMaxOpenConns(1) // SQLite writes one at a time anyway
	s := &Slots{db: db, now: time.Now}
	if _, err = db.ExecContext(ctx, slotsTable); err != nil {
		return nil, err
	}
	var verdict string
	if err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return nil, err
	}
	if verdict != "ok" {
		return nil, errDamaged
	}
	for statement, text := range map[**sql.Stmt]string{
		&s.load:   "SELECT state FROM slots WHERE account = $1",
		&s.insert: "INSERT INTO slots (account, state, until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		&s.update: "UPDATE slots SET state = $1, until = $2 WHERE account = $3 AND state = $4",
	} {
		if *statement, err = db.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

var errDamaged = errors.New("the file is damaged")

// broken tells whether the file is no database, or a damaged one.
func broken(err error) bool {
	var e *sqlite.Error
	return errors.Is(err, errDamaged) || errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}

// Load returns the account's state, nil when there is none, and the ledger's clock, read before the state.
func (s *Slots) Load(ctx context.Context, account string) (state []byte, now time.Time, err error) {
	now = s.now()
	err = s.load.QueryRowContext(ctx, account).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, now, nil
	}
	return state, now, err
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
		return false, err
	}
	rows, err := result.RowsAffected()
	if err != nil || rows == 0 {
		return false, err
	}
	return true, s.sweep(ctx)
}

// sweep deletes the rows of idle accounts once a minute, so that the file stays as small as what goes on.
func (s *Slots) sweep(ctx context.Context) error {
	now := s.now()
	s.mu.Lock()
	due := now.Sub(s.swept).Abs() >= time.Minute
	if due {
		s.swept = now
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	_, err := s.db.ExecContext(ctx, "DELETE FROM slots WHERE until < $1", now.UnixMilli())
	return err
}

// Close closes the ledger.
func (s *Slots) Close() error { return s.db.Close() }
