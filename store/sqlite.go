package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteDialect is a file that the processes of one machine share.
var sqliteDialect = &dialect{
	name:    goose.DialectSQLite3,
	made:    "SELECT count(*) > 0 FROM sqlite_master WHERE name = 'goose_db_version'",
	connect: connectSQLite,
	alone:   aloneWithFile,
	check:   checkSQLite,
	slots:   openSlotsFile,
	writer: func(s *Store) *writer {
		return newWriter(1, maxGroup, func(group []change, results []error) error { return s.transactSQLite(group, results) })
	},
	unique: func(err error) bool {
		var e *sqlite.Error
		return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
	},
	again: func(err error) bool {
		var e *sqlite.Error
		return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
	},
}

// maxReaders bounds the connections that read at a time.
const maxReaders = 4

func file(url string) string { return strings.TrimPrefix(url, "sqlite:") }

func connectSQLite(url string, _ func() string) (read, write *sql.DB, err error) {
	path := file(url)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, err
	}
	if write, err = sql.Open("sqlite", dsn(path, "immediate")); err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1) // SQLite has one writer at a time anyway
	if read, err = sql.Open("sqlite", dsn(path, "deferred")); err != nil {
		return nil, write, err
	}
	read.SetMaxOpenConns(maxReaders)
	read.SetMaxIdleConns(maxReaders)
	return read, write, nil
}

// dsn sets FULL so that a commit survives a power cut: with NORMAL, WAL loses all since the last checkpoint.
func dsn(path, locking string) string {
	return path + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=" + locking
}

func aloneWithFile(ctx context.Context, url string, _ *sql.DB, do func() error) error {
	opening := flock.New(file(url) + ".lock")
	if _, err := opening.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	defer opening.Unlock() //nolint:errcheck // the lock ends with the process at the latest
	return do()
}

func checkSQLite(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return errors.New("the database file is damaged: restore a backup, or move the file away to start afresh (links are found again by external id)")
	}
	return nil
}

// transactSQLite commits a group with one disk flush. Each change has a savepoint, so that one that fails hurts nobody else.
func (s *Store) transactSQLite(group []change, results []error) error {
	ctx := context.Background()
	begun, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer begun.Rollback() //nolint:errcheck // after a commit it does nothing
	t := tx{session{on: begun, dialect: s.dialect}, s.clock}
	for i, c := range group {
		if len(group) == 1 {
			if err := c.do(c.ctx, t); err != nil {
				results[i] = err
				return begun.Rollback()
			}
			break
		}
		if _, err := begun.ExecContext(ctx, "SAVEPOINT one"); err != nil {
			return err
		}
		if results[i] = c.do(c.ctx, t); results[i] != nil {
			if _, err := begun.ExecContext(ctx, "ROLLBACK TO one"); err != nil {
				return err
			}
		}
		if _, err := begun.ExecContext(ctx, "RELEASE one"); err != nil {
			return err
		}
	}
	return begun.Commit()
}
