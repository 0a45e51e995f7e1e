package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/rankrsync/rankrsync/crm"
)

// postgresDialect is a PostgreSQL server that the processes of several machines share. Its clock is the one of all of them.
var postgresDialect = &dialect{
	name:     goose.DialectPostgres,
	numbered: true,
	lock:     " FOR UPDATE",
	brake:    "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))",
	clock:    "statement_timestamp()",
	made:     "SELECT to_regclass('goose_db_version') IS NOT NULL",
	connect:  connectPostgres,
	alone:    aloneInDatabase,
	check:    checkPostgres,
	slots:    openSlotsTable,
	writer: func(s *Store) *writer {
		return newWriter(pgWriters, pgGroup, func(group []change, results []error) error { return s.transactPostgres(group, results) })
	},
	unique: func(err error) bool { return sqlState(err) == "23505" },
	again: func(err error) bool {
		switch sqlState(err) {
		case "40001", "40P01": // serialization failure, deadlock
			return true
		}
		return false
	},
	hide: hidePostgres,
}

// The connections of a process. Groups save round trips and transactions, several writers don't wait for each other's disk
// flush: 4 with groups of 16 write twice as much as 8 that commit each change by itself.
const (
	pgReaders = 8
	pgWriters = 4
	pgGroup   = 16
	pgSlots   = 4
	pgIdle    = 5 * time.Minute
)

// pgPatience is how long one transaction may take. It is much less than a lease: the end of a lease is reckoned from when
// its transaction began.
const pgPatience = 5 * time.Second

// pgLongPatience is that of a change of a whole location, which no lease begins with.
const pgLongPatience = 2 * time.Minute

func connectPostgres(url string, again func() string) (read, write *sql.DB, err error) {
	if read, err = pool(url, again, pgReaders, nil); err != nil {
		return nil, nil, err
	}
	// A process that froze in the middle of a change must not keep its rows from everybody.
	write, err = pool(url, again, pgWriters, map[string]string{"idle_in_transaction_session_timeout": "10s"})
	return read, write, err
}

// pool connects as the URL says. Where again is not nil, each new connection signs in with the user and the password of the URL that it
// returns then; one that can't be read changes nothing.
func pool(url string, again func() string, connections int, parameters map[string]string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "rankrsync"
	}
	for name, value := range parameters {
		config.RuntimeParams[name] = value
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = pgPatience
	}
	var options []stdlib.OptionOpenDB
	if again != nil {
		options = append(options, stdlib.OptionBeforeConnect(func(_ context.Context, config *pgx.ConnConfig) error {
			if now, err := pgx.ParseConfig(again()); err == nil {
				config.User, config.Password = now.User, now.Password
			}
			return nil
		}))
	}
	db := stdlib.OpenDB(*config, options...)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(pgIdle)
	return db, nil
}

// aloneInDatabase holds a lock of the session: it ends with the connection, whatever becomes of the process.
func aloneInDatabase(ctx context.Context, _ string, db *sql.DB, do func() error) error {
	const key = 0x72616e6b72 // "rankr"
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", key); err != nil {
		return err
	}
	defer func() {
		if _, err := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", key); err != nil {
			drop(conn)
		}
	}()
	return do()
}

func checkPostgres(ctx context.Context, db *sql.DB) error {
	var encoding string
	if err := db.QueryRowContext(ctx, "SHOW server_encoding").Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return &failure{reason: "the database's encoding is " + encoding + ": make one with UTF8"}
	}
	return nil
}

// transactPostgres commits a group together. Where one of it fails half-way, or another machine is in the way, each is done by
// itself.
func (s *Store) transactPostgres(group []change, results []error) error {
	err := s.together(group, results)
	if !errors.Is(err, errApart) && !s.dialect.again(err) {
		return err
	}
	for i := range group {
		for attempt := 1; ; attempt++ {
			results[i] = nil
			if err = s.together(group[i:i+1], results[i:i+1]); err != nil {
				results[i] = err
			}
			if !s.dialect.again(results[i]) || attempt == pgAttempts {
				break
			}
			time.Sleep(rand.N(time.Duration(attempt) * 10 * time.Millisecond))
		}
	}
	return nil
}

// pgAttempts is how often a change is tried that others are in the way of.
const pgAttempts = 10

// errApart says that a group can't be committed together.
var errApart = errors.New("store: one of the group failed")

// together does a group in one transaction. The database's clock comes with its beginning, in the same message.
func (s *Store) together(group []change, results []error) error {
	patience := pgPatience
	if group[0].long { // alone
		patience = pgLongPatience
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return s.dialect.hidden(err)
	}
	defer conn.Close()
	now, err := begin(ctx, conn)
	if err != nil {
		return s.dialect.hidden(err)
	}
	undo := false
	t := tx{session{conn, s.dialect, &undo}, s.clock}
	if t.now == nil {
		t.now = func() time.Time { return now }
	}
	for i, c := range group {
		undo = false
		results[i] = s.dialect.hidden(c.do(ctx, t))
		if results[i] == nil || len(group) > 1 && !undo {
			continue
		}
		rollback(ctx, conn)
		if len(group) > 1 {
			return errApart
		}
		if s.dialect.again(results[i]) {
			return results[i]
		}
		return nil
	}
	return s.dialect.hidden(commit(ctx, conn))
}

func begin(ctx context.Context, conn *sql.Conn) (now time.Time, err error) {
	err = conn.Raw(func(raw any) error {
		batch := &pgx.Batch{}
		batch.Queue("begin isolation level read committed")
		batch.Queue("SELECT statement_timestamp()")
		results := raw.(*stdlib.Conn).Conn().SendBatch(ctx, batch)
		_, err := results.Exec()
		return errors.Join(err, results.QueryRow().Scan(&now), results.Close())
	})
	return now.UTC(), err
}

// commit fails where PostgreSQL rolled back instead, which is no error to it.
func commit(ctx context.Context, conn *sql.Conn) error {
	return conn.Raw(func(raw any) error {
		tag, err := raw.(*stdlib.Conn).Conn().Exec(ctx, "commit")
		if err == nil && tag.String() != "COMMIT" {
			err = &failure{reason: "PostgreSQL rolled the transaction back"}
		}
		return err
	})
}

func rollback(ctx context.Context, conn *sql.Conn) {
	if _, err := conn.ExecContext(ctx, "rollback"); err != nil {
		drop(conn)
	}
}

// drop closes a connection whose state is not known any more.
func drop(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// failure is what is told of an error of PostgreSQL. The error itself quotes values of rows, statements and settings, so nothing
// of it is kept but the code.
type failure struct{ reason, state string }

func (f *failure) Error() string {
	if f.state != "" {
		return f.reason + " (SQLSTATE " + f.state + ")"
	}
	return f.reason
}

func sqlState(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.state
	}
	return ""
}

// reasons are in words what a code or its class says.
var reasons = map[string]string{
	"08":    "the connection to PostgreSQL failed",
	"25006": "PostgreSQL only lets it be read: it is a standby, or set so",
	"28":    "PostgreSQL refuses the user or the password",
	"3D000": "PostgreSQL has no such database",
	"42501": "PostgreSQL does not let the user do what is needed: it must own the database or a schema in it",
	"53100": "PostgreSQL's disk is full",
	"53300": "PostgreSQL has no connection left",
	"57P03": "PostgreSQL is starting or stopping",
}

func hidePostgres(err error) error {
	var (
		known       *failure
		answered    *pgconn.PgError
		malformed   *pgconn.ParseConfigError
		unreachable *pgconn.ConnectError
		certificate *tls.CertificateVerificationError
		network     net.Error
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, sql.ErrNoRows), errors.Is(err, crm.ErrMoved), errors.Is(err, crm.ErrTaken), errors.Is(err, crm.ErrBraked):
		return err
	case errors.As(err, &answered):
		for _, code := range []string{answered.Code, answered.Code[:min(2, len(answered.Code))]} {
			if reason := reasons[code]; reason != "" {
				return &failure{reason, answered.Code}
			}
		}
		return &failure{"PostgreSQL refused a statement", answered.Code}
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &malformed):
		return &failure{reason: "the URL holds what PostgreSQL's clients don't know, or names a file that can't be read"}
	case errors.As(err, &certificate):
		return &failure{reason: "PostgreSQL's certificate is not trusted"}
	case errors.As(err, &unreachable):
		return &failure{reason: "PostgreSQL can't be reached"}
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.As(err, &network):
		return &failure{reason: "the connection to PostgreSQL failed"}
	}
	return &failure{reason: "PostgreSQL can't be used"}
}
