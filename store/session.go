package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// dialect is one kind of database: all that differs between them. Every statement is written once, with ? for its
// parameters, in the SQL that both understand.
type dialect struct {
	name     goose.Dialect
	numbered bool   // parameters are $1, $2, … instead of ?
	lock     string // what a SELECT ends with so that its row stays as it is until the change is done
	brake    string // a statement that keeps other deletes of a location out until the change is done; empty: nobody else writes
	clock    string // the time of the database itself; empty: one machine uses it, whose clock serves
	made     string // asks whether migrations ever ran

	connect func(url string, again func() string) (read, write *sql.DB, err error)   // again: see [WithURL], or nil
	alone   func(ctx context.Context, url string, db *sql.DB, do func() error) error // keeps other processes out meanwhile
	check   func(ctx context.Context, db *sql.DB) error
	writer  func(*Store) *writer
	slots   func(ctx context.Context, url string, again func() string) (*Slots, error)

	unique, again func(error) bool  // the error is a double of a unique value; the same may well succeed again
	hide          func(error) error // takes out of an error whatever may be somebody's; nil: there is never any
}

func (d *dialect) hidden(err error) error {
	if d.hide == nil || err == nil {
		return err
	}
	return d.hide(err)
}

// session runs statements in its database's dialect.
type session struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	dialect *dialect
	undo    *bool // set once there is something to undo: a change, or a statement that failed; nil: nobody asks
}

// tx is the session of a change. Its clock is the one that leases and quiet periods are measured by.
type tx struct {
	session
	now func() time.Time
}

func (s session) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := s.on.ExecContext(ctx, s.text(query), args...)
	if s.undo != nil {
		if err != nil {
			*s.undo = true
		} else if n, err := result.RowsAffected(); err != nil || n > 0 {
			*s.undo = true
		}
	}
	return result, s.dialect.hidden(err)
}

func (s session) QueryContext(ctx context.Context, query string, args ...any) (*rows, error) {
	if s.undo != nil {
		*s.undo = true // it may be an UPDATE that returns something
	}
	found, err := s.on.QueryContext(ctx, s.text(query), args...)
	if err != nil {
		return nil, s.dialect.hidden(err)
	}
	return &rows{found, s.dialect}, nil
}

func (s session) QueryRowContext(ctx context.Context, query string, args ...any) row {
	return row{s.on.QueryRowContext(ctx, s.text(query), args...), s}
}

func (s session) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if s.undo != nil {
		*s.undo = true
	}
	statement, err := s.on.PrepareContext(ctx, s.text(query))
	return statement, s.dialect.hidden(err)
}

func (s session) text(query string) string {
	if s.dialect.numbered {
		return numbered(query)
	}
	return query
}

// rows and row are those of package sql, with what their errors quote hidden.
type rows struct {
	*sql.Rows
	dialect *dialect
}

func (r *rows) Scan(into ...any) error { return r.dialect.hidden(r.Rows.Scan(into...)) }
func (r *rows) Err() error             { return r.dialect.hidden(r.Rows.Err()) }

type row struct {
	*sql.Row
	of session
}

func (r row) Scan(into ...any) error {
	err := r.Row.Scan(into...)
	if err != nil && r.of.undo != nil {
		*r.of.undo = true
	}
	return r.of.dialect.hidden(err)
}

// numbered writes the parameters ? or ?1 as PostgreSQL wants them. No statement of ours has a question mark in a text.
func numbered(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 2*strings.Count(query, "?"))
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		b.WriteByte('$')
		if i+1 < len(query) && query[i+1] >= '1' && query[i+1] <= '9' {
			n = max(n, int(query[i+1]-'0')) // SQLite, too, counts on from the greatest
			continue
		}
		n++
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}
