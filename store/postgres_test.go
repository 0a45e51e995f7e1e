package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/internal/pgtest"
)

func openAt(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func raw(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestLeasesGoByTheDatabasesClock puts a clock of our own before PostgreSQL's: machines whose clocks differ must agree.
func TestLeasesGoByTheDatabasesClock(t *testing.T) {
	at := pgtest.New(t)
	db := raw(t, at)
	for _, statement := range []string{
		"CREATE SCHEMA fake",
		"CREATE TABLE fake.ahead AS SELECT interval '100 hours' AS by",
		"CREATE FUNCTION fake.statement_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.statement_timestamp() + by FROM fake.ahead'",
	} {
		_, err := db.Exec(statement)
		require.NoError(t, err)
	}
	s := openAt(t, at+"&search_path="+url.QueryEscape("fake,pg_catalog"))
	ahead := time.Now().Add(100 * time.Hour)
	was := link(t, s, ref)
	assert.WithinDuration(t, ahead, was.Now, time.Minute)
	held, err := s.Acquire(t.Context(), was, crm.Claim{Holder: "a", Lease: time.Minute})
	require.NoError(t, err)
	assert.WithinDuration(t, ahead, held.Now, time.Minute)
	assert.Equal(t, time.Minute, held.HeldUntil.Sub(held.Now))
	now := link(t, s, ref)
	assert.True(t, now.Held())
	require.ErrorIs(t, s.TakeOver(t.Context(), now), crm.ErrMoved)
	links, err := s.Links(t.Context(), ref.Location, crm.ContactItself, []string{ref.Contact})
	require.NoError(t, err)
	assert.WithinDuration(t, ahead, links[ref.Contact].Now, time.Minute)

	_, err = db.Exec("UPDATE fake.ahead SET by = '101 hours'")
	require.NoError(t, err)
	now = link(t, s, ref)
	assert.True(t, now.Expired())
	require.NoError(t, s.TakeOver(t.Context(), now))
	assert.WithinDuration(t, ahead.Add(time.Hour), link(t, s, ref).UnsureSince, time.Minute)

	slots, err := OpenSlots(t.Context(), at+"&search_path="+url.QueryEscape("fake,pg_catalog"), nil)
	require.NoError(t, err)
	defer slots.Close()
	_, clock, err := slots.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.WithinDuration(t, ahead.Add(time.Hour), clock, time.Minute)
	for _, until := range []time.Duration{0, 2 * time.Hour} { // past and future by that clock, both future by ours
		_, err = slots.Swap(t.Context(), fmt.Sprint(until), nil, []byte("x"), ahead.Add(until))
		require.NoError(t, err)
		slots.swept = time.Time{}
	}
	var left string
	require.NoError(t, db.QueryRow("SELECT string_agg(account, ' ') FROM fake.slots").Scan(&left))
	assert.Equal(t, "2h0m0s", left)
}

func TestTwoMachinesShareOneBrake(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		machines := []*Store{openAt(t, url), openAt(t, url)}
		var passed, braked atomic.Int64
		var all sync.WaitGroup
		for i := range 4 * brakeFloor {
			all.Go(func() {
				l := crm.Link{Ref: crm.Ref{Location: "loc", Contact: fmt.Sprint("c", i)}, Object: crm.ContactItself}
				_, err := machines[i%2].Acquire(context.Background(), l, crm.Claim{Holder: "h", Lease: time.Minute, Delete: true})
				switch {
				case err == nil:
					passed.Add(1)
				case errors.Is(err, crm.ErrBraked):
					braked.Add(1)
				default:
					assert.NoError(t, err)
				}
			})
		}
		all.Wait()
		assert.Equal(t, int64(brakeFloor), passed.Load())
		assert.Equal(t, int64(3*brakeFloor), braked.Load())
	})
}

func TestOfManyMachinesThatWantALinkOneGetsIt(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		machines := []*Store{openAt(t, url), openAt(t, url), openAt(t, url)}
		for round := range 20 {
			was := link(t, machines[0], ref)
			var won atomic.Int64
			var all sync.WaitGroup
			for i := range 4 * len(machines) {
				all.Go(func() {
					_, err := machines[i%len(machines)].Acquire(context.Background(), was, crm.Claim{Holder: fmt.Sprint(round, i), Lease: time.Minute})
					if err == nil {
						won.Add(1)
					} else {
						assert.ErrorIs(t, err, crm.ErrMoved)
					}
				})
			}
			all.Wait()
			require.Equal(t, int64(1), won.Load())
			held := link(t, machines[1], ref)
			require.NoError(t, machines[2].Release(t.Context(), held, held, false, nil))
		}
	})
}

// TestAMarkIsNeverLost lets the writer that lost its lease and the one that has it end at the same time, on two machines.
func TestAMarkIsNeverLost(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		c := &clock{now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)} // all of it in one millisecond
		var machines []*Store
		for range 2 {
			s, err := Open(t.Context(), url, WithClock(c.Now))
			require.NoError(t, err)
			defer s.Close()
			machines = append(machines, s)
		}
		for i := range 50 {
			ref := crm.Ref{Location: "loc", Contact: fmt.Sprint("c", i)}
			zombie, err := machines[0].Acquire(t.Context(), link(t, machines[0], ref), crm.Claim{Holder: "a"})
			require.NoError(t, err)
			require.NoError(t, machines[1].TakeOver(t.Context(), link(t, machines[1], ref)))
			held, err := machines[1].Acquire(t.Context(), link(t, machines[1], ref), crm.Claim{Holder: "b", Lease: time.Minute})
			require.NoError(t, err)
			next := held
			next.UnsureSince, next.Intent = time.Time{}, crm.Intent{}
			var all sync.WaitGroup
			all.Go(func() { assert.NoError(t, machines[0].Unsure(context.Background(), zombie)) })
			all.Go(func() { assert.NoError(t, machines[1].Release(context.Background(), held, next, false, nil)) })
			all.Wait()
			require.False(t, link(t, machines[0], ref).Sure())
		}
	})
}

// TestGroupsThatBlockEachOtherAreDoneApart makes two machines commit the same two links together, in opposite orders.
func TestGroupsThatBlockEachOtherAreDoneApart(t *testing.T) {
	at := pgtest.New(t)
	machines := []*Store{openAt(t, at), openAt(t, at)}
	refs := []crm.Ref{{Location: "loc", Contact: "a"}, {Location: "loc", Contact: "b"}}
	for _, ref := range refs {
		advance(t, machines[0], ref, func(*crm.Link) {})
	}
	var first sync.WaitGroup // both have their first link
	first.Add(2)
	touch := func(ref crm.Ref, met *sync.Once) change {
		return change{ctx: context.Background(), do: func(ctx context.Context, tx tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE links SET version = version + 1 WHERE contact = ?", ref.Contact)
			if met != nil {
				met.Do(func() { first.Done(); first.Wait() })
			}
			return err
		}}
	}
	var all sync.WaitGroup
	for m, s := range machines {
		all.Go(func() {
			results := make([]error, 2)
			assert.NoError(t, s.transactPostgres([]change{touch(refs[m], new(sync.Once)), touch(refs[1-m], nil)}, results))
			assert.NoError(t, errors.Join(results...))
		})
	}
	all.Wait()
	for _, ref := range refs {
		assert.Equal(t, int64(3), link(t, machines[0], ref).Version)
	}
}

func TestAServerThatWentAwayIsFoundAgain(t *testing.T) {
	at := pgtest.New(t)
	s := openAt(t, at)
	advance(t, s, ref, func(*crm.Link) {})
	_, err := raw(t, at).Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	require.NoError(t, err)
	was := crm.Link{Ref: ref, Object: crm.ContactItself, Version: 1}
	require.Eventually(t, func() bool { return s.Advance(t.Context(), was, was) == nil }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, 10*time.Second, time.Millisecond)
	assert.Equal(t, int64(2), link(t, s, ref).Version)
}

func TestAPasswordIsReplacedWhileTheProgramRuns(t *testing.T) {
	at, err := url.Parse(pgtest.New(t))
	require.NoError(t, err)
	owner := raw(t, at.String())
	role := "r" + strings.TrimPrefix(at.Path, "/")
	_, err = owner.Exec("CREATE ROLE " + role + " LOGIN PASSWORD 'first'; GRANT ALL ON DATABASE " + strings.TrimPrefix(at.Path, "/") + " TO " + role + "; GRANT ALL ON SCHEMA public TO " + role)
	require.NoError(t, err)
	var now atomic.Pointer[string]
	with := func(password string) string {
		u := *at
		u.User = url.UserPassword(role, password)
		text := u.String()
		now.Store(&text)
		return text
	}
	again := func() string { return *now.Load() }
	s, err := Open(t.Context(), with("first"), WithURL(again))
	require.NoError(t, err)
	slots, err := OpenSlots(t.Context(), again(), again)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, errors.Join(s.Close(), slots.Close()))
		_, err := owner.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
		assert.NoError(t, err)
	})
	_, err = owner.Exec("ALTER ROLE " + role + " PASSWORD 'second'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + role + "'")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return sqlState(s.Ping(t.Context())) == "28P01" }, 10*time.Second, time.Millisecond, "the old one is refused")
	with("second")
	for _, works := range []func() error{ // once those that were cut off are gone from the pools
		func() error { return s.Ping(t.Context()) },
		func() error {
			err := s.Advance(t.Context(), crm.Link{Ref: ref}, crm.Link{Ref: ref})
			if errors.Is(err, crm.ErrMoved) { // it is there from the try before
				return nil
			}
			return err
		},
		func() error { _, _, err := slots.Load(t.Context(), "ghl L"); return err },
	} {
		require.Eventually(t, func() bool { return works() == nil }, 10*time.Second, time.Millisecond)
	}
}

func TestNothingOfPostgreSQLsErrorsIsTold(t *testing.T) {
	at := pgtest.New(t)
	s := openAt(t, at)
	secret := crm.Ref{Location: "loc", Contact: "anna@example.com\x00"} // no text for PostgreSQL
	err := s.Advance(t.Context(), crm.Link{Ref: secret}, crm.Link{Ref: secret})
	require.EqualError(t, err, "PostgreSQL refused a statement (SQLSTATE 22021)")
	_, err = s.Link(t.Context(), secret, crm.ContactItself)
	require.EqualError(t, err, "PostgreSQL refused a statement (SQLSTATE 22021)")

	good, err := url.Parse(at)
	require.NoError(t, err)
	password, _ := good.User.Password()
	for want, change := range map[string]func(*url.URL){
		"PostgreSQL refuses the user or the password (SQLSTATE 28P01)": func(u *url.URL) { u.User = url.UserPassword("anna", "hunter2") },
		"PostgreSQL has no such database (SQLSTATE 3D000)":             func(u *url.URL) { u.Path = "/nowhere" },
		"PostgreSQL can't be reached":                                  func(u *url.URL) { u.Host = "127.0.0.1:1" },
		"the URL holds what PostgreSQL's clients don't know":           func(u *url.URL) { u.RawQuery = "sslmode=hunter2" },
		"PostgreSQL refused a statement (SQLSTATE 42704)":              func(u *url.URL) { u.RawQuery += "&hunter2=1" },
	} {
		u := *good
		change(&u)
		for _, open := range []func() error{
			func() error { _, err := Open(t.Context(), u.String()); return err },
			func() error { _, err := OpenSlots(t.Context(), u.String(), nil); return err },
			func() error { _, err := MigrationStatus(t.Context(), u.String()); return err },
			func() error { _, err := Migrate(t.Context(), u.String()); return err },
		} {
			err := open()
			require.ErrorContains(t, err, want)
			for _, hidden := range []string{password, "hunter2", "anna"} {
				for _, verb := range []string{"%v", "%+v", "%#v"} {
					assert.NotContains(t, fmt.Sprintf(verb, err), hidden)
				}
			}
		}
	}
}

func TestADatabaseThatCannotHoldEveryTagIsRefused(t *testing.T) {
	at := pgtest.New(t)
	_, err := raw(t, at).Exec("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
	require.NoError(t, err)
	defer raw(t, at).Exec("DROP DATABASE latin WITH (FORCE)") //nolint:errcheck // the server goes anyway
	u, err := url.Parse(at)
	require.NoError(t, err)
	u.Path = "/latin"
	_, err = Open(t.Context(), u.String())
	assert.ErrorContains(t, err, "make one with UTF8")
}

func TestMigrationsAreTakenOnceAndAskingChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		pending, err := MigrationStatus(t.Context(), url)
		require.NoError(t, err)
		require.NotEmpty(t, pending)
		assert.Equal(t, "00001_links.sql", pending[0].Name)
		for _, step := range pending {
			assert.Zero(t, step.Applied, step.Name)
		}
		require.ErrorIs(t, Made(t.Context(), url), fs.ErrNotExist)

		var taken atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				steps, err := Migrate(context.Background(), url)
				assert.NoError(t, err)
				taken.Add(int64(len(steps)))
			})
		}
		all.Wait()
		assert.Equal(t, int64(len(pending)), taken.Load())
		require.NoError(t, Made(t.Context(), url))
		done, err := MigrationStatus(t.Context(), url)
		require.NoError(t, err)
		require.Len(t, done, len(pending))
		for i, step := range done {
			assert.Equal(t, pending[i].Name, step.Name)
			assert.WithinDuration(t, time.Now(), step.Applied, time.Hour)
		}
		openAt(t, url)
	})
}

func TestPollsAskPostgreSQLByIndex(t *testing.T) {
	at := pgtest.New(t)
	openAt(t, at)
	db := raw(t, at)
	db.SetMaxOpenConns(1)
	_, err := db.Exec("SET enable_seqscan = off") // of a table as small as this one, it would read all
	require.NoError(t, err)
	for query, index := range polls {
		var plan strings.Builder
		rows, err := db.Query("EXPLAIN " + query)
		require.NoError(t, err)
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			plan.WriteString(line + "\n")
		}
		require.NoError(t, rows.Err())
		assert.Contains(t, plan.String(), index)
	}
}

func TestParametersAreNumbered(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1":                      "SELECT 1",
		"a = ? AND b IN (?, ?)":         "a = $1 AND b IN ($2, $3)",
		"a = ?1 OR b = ?1 OR c = ?2":    "a = $1 OR b = $1 OR c = $2",
		"a < ?1 AND b = ?1 AND c = ?":   "a < $1 AND b = $1 AND c = $2",
		"LIMIT ?":                       "LIMIT $1",
		strings.Repeat("?,", 11) + "??": "$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12$13",
	} {
		assert.Equal(t, want, numbered(query))
	}
}
