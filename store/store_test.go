package store

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/internal/pgtest"
)

var ref = crm.Ref{Location: "loc", Contact: "c"}

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// backends give a test a store of its own that nobody made yet.
var backends = map[string]func(testing.TB) string{
	"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "deep", "store.db") },
	"postgres": pgtest.New,
}

// onEach runs a test with each kind of database: they must not differ.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for name, fresh := range backends {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func open(t *testing.T, url string) (*Store, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	s, err := Open(t.Context(), url, WithClock(c.Now))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, c
}

func link(t *testing.T, s *Store, ref crm.Ref) crm.Link {
	t.Helper()
	l, err := s.Link(t.Context(), ref, crm.ContactItself)
	require.NoError(t, err)
	return l
}

func advance(t *testing.T, s *Store, ref crm.Ref, change func(*crm.Link)) {
	t.Helper()
	was := link(t, s, ref)
	next := was
	change(&next)
	require.NoError(t, s.Advance(t.Context(), was, next))
}

func TestALinkComesBackAsItWasWritten(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, c := open(t, url)
		assert.Zero(t, link(t, s, ref).Version)
		want := crm.Link{
			Ref: ref, Object: crm.ContactItself, Records: map[string]string{"task/t": "r2"}, LastRead: c.now.Add(-time.Minute), Covered: c.now.Add(-2 * time.Minute), Finished: c.now, UnsureSince: c.now.Add(-time.Second),
			Intent: crm.Intent{Create: true, Fields: []string{"email"}, Tags: []string{"vip"}}, Generation: 3, RankrID: "r1", CreatedByUs: true,
			Fields: crm.Fingerprints{"email": "abc"}, Tags: []string{"vip"}, DateUpdated: c.now.Add(-time.Hour), MappingVersion: "1",
		}
		require.NoError(t, s.Advance(t.Context(), link(t, s, ref), want))
		want.Version, want.Now = 1, c.now
		assert.Equal(t, want, link(t, s, ref))

		links, err := s.Links(t.Context(), "loc", crm.ContactItself, []string{"c", "nobody"})
		require.NoError(t, err)
		assert.Equal(t, map[string]crm.Link{"c": want}, links)
	})
}

func TestOfTwoThatReadTheSameRowOnlyOneWins(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		for version := range int64(2) { // the first time the row is made, the second time it is changed
			was := link(t, s, ref)
			require.Equal(t, version, was.Version)
			require.NoError(t, s.Advance(t.Context(), was, was))
			assert.ErrorIs(t, s.Advance(t.Context(), was, was), crm.ErrMoved)
			_, err := s.Acquire(t.Context(), was, crm.Claim{Holder: "x", Lease: time.Minute})
			assert.ErrorIs(t, err, crm.ErrMoved)
		}
	})
}

func TestALeaseKeepsOthersOutUntilItEnds(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, c := open(t, url)
		held, err := s.Acquire(t.Context(), link(t, s, ref), crm.Claim{Holder: "a", Lease: time.Minute, Intent: crm.Intent{Fields: []string{"email"}}})
		require.NoError(t, err)
		assert.True(t, link(t, s, ref).Held())
		_, err = s.Acquire(t.Context(), link(t, s, ref), crm.Claim{Holder: "b", Lease: time.Minute})
		require.ErrorIs(t, err, crm.ErrMoved)
		require.ErrorIs(t, s.TakeOver(t.Context(), link(t, s, ref)), crm.ErrMoved, "it has not run out")

		c.pass(time.Minute)
		require.True(t, link(t, s, ref).Expired())
		require.NoError(t, s.TakeOver(t.Context(), link(t, s, ref)))
		taken := link(t, s, ref)
		assert.False(t, taken.Sure())
		assert.Equal(t, []string{"email"}, taken.Intent.Fields, "what may have been written is remembered")
		assert.ErrorIs(t, s.Release(t.Context(), held, held, false, nil), crm.ErrMoved)
	})
}

func TestAReleaseKeepsTheMarkOfAWriterThatLostItsLease(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, c := open(t, url)
		zombie, err := s.Acquire(t.Context(), link(t, s, ref), crm.Claim{Holder: "a", Lease: time.Minute, Intent: crm.Intent{Fields: []string{"city"}}})
		require.NoError(t, err)
		c.pass(time.Minute)
		require.NoError(t, s.TakeOver(t.Context(), link(t, s, ref)))
		c.pass(time.Minute)
		held, err := s.Acquire(t.Context(), link(t, s, ref), crm.Claim{Holder: "b", Lease: time.Minute})
		require.NoError(t, err)
		require.NoError(t, s.Unsure(t.Context(), zombie))
		next := held
		next.UnsureSince, next.Intent = time.Time{}, crm.Intent{}
		require.NoError(t, s.Release(t.Context(), held, next, false, nil))
		after := link(t, s, ref)
		assert.Equal(t, c.now, after.UnsureSince)
		assert.Equal(t, []string{"city"}, after.Intent.Fields)
	})
}

func TestARecordBelongsToOneContactOfALocation(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		advance(t, s, ref, func(l *crm.Link) { l.RankrID = "r1" })
		other := crm.Ref{Location: "loc", Contact: "d"}
		_, err := s.Acquire(t.Context(), link(t, s, other), crm.Claim{Holder: "x", Lease: time.Minute, RankrID: "r1"})
		require.ErrorIs(t, err, crm.ErrTaken)
		assert.Zero(t, link(t, s, other).Version, "nothing was written")
		advance(t, s, crm.Ref{Location: "elsewhere", Contact: "d"}, func(l *crm.Link) { l.RankrID = "r1" })
		for object, want := range map[crm.Object]error{crm.ABusiness: crm.ErrTaken, crm.TasksAndNotes: nil, crm.Segments: nil} {
			for _, contact := range []string{"c", "d"} {
				was, err := s.Link(t.Context(), crm.Ref{Location: "loc", Contact: contact}, object)
				require.NoError(t, err)
				next := was
				next.RankrID = "r2"
				if err = s.Advance(t.Context(), was, next); contact == "d" {
					require.ErrorIs(t, err, want, "what belongs to a contact follows its row: %s", object)
				} else {
					require.NoError(t, err)
				}
			}
		}
	})
}

func TestTheBrakeParksDeletesPastTheHourlyShare(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, c := open(t, url)
		remove := func(i int) error {
			ref := crm.Ref{Location: "loc", Contact: fmt.Sprint("c", i)}
			_, err := s.Acquire(t.Context(), link(t, s, ref), crm.Claim{Holder: fmt.Sprint(i), Lease: time.Minute, Delete: true})
			return err
		}
		for i := range brakeFloor {
			require.NoError(t, remove(i))
		}
		require.ErrorIs(t, remove(20), crm.ErrBraked)
		parked := crm.Ref{Location: "loc", Contact: "c20"}
		was := link(t, s, parked)
		require.NoError(t, s.Park(t.Context(), was, was, crm.ProblemRecord{Ref: parked, Object: crm.ContactItself, Code: crm.DeleteBrake, Operation: "contacts.delete"}))

		contacts, err := s.ApproveDeletes(t.Context(), "loc")
		require.NoError(t, err)
		assert.Equal(t, []string{"c20"}, contacts)
		require.NoError(t, remove(20), "approved")
		require.ErrorIs(t, remove(21), crm.ErrBraked)
		c.pass(brakeWindow)
		require.NoError(t, remove(21), "an hour later there is room again")
	})
}

func TestProblemsCountAttemptsAndCloseWithAGoodRound(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, c := open(t, url)
		park := func(code crm.Code) {
			was := link(t, s, ref)
			next := was
			next.Problem = code
			require.NoError(t, s.Park(t.Context(), was, next, crm.ProblemRecord{Ref: ref, Object: crm.ContactItself, Code: code, Operation: "rankr contacts.update", Fields: []string{"phone"}, TraceID: "t"}))
		}
		park(crm.RankrInvalid)
		c.pass(time.Hour)
		park(crm.RankrInvalid)
		problems, err := s.Problems(t.Context(), Filter{Location: "loc", Codes: []crm.Code{crm.RankrInvalid}})
		require.NoError(t, err)
		require.Len(t, problems, 1)
		assert.Equal(t, crm.ProblemRecord{
			Ref: ref, Object: crm.ContactItself, Code: crm.RankrInvalid, Operation: "rankr contacts.update", Fields: []string{"phone"}, TraceID: "t",
			FirstSeen: c.now.Add(-time.Hour), LastSeen: c.now, Attempts: 2,
		}, problems[0])
		assert.Equal(t, crm.RankrInvalid, link(t, s, ref).Problem)

		park(crm.Ambiguous)
		problems, err = s.Problems(t.Context(), Filter{})
		require.NoError(t, err)
		assert.Equal(t, 1, problems[0].Attempts, "another problem counts from one")

		advance(t, s, ref, func(l *crm.Link) { l.Problem = "" })
		problems, err = s.Problems(t.Context(), Filter{})
		require.NoError(t, err)
		assert.Empty(t, problems)
	})
}

func TestAParkedLocationIsSeenWithEveryLink(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		require.NoError(t, s.ParkLocation(t.Context(), "loc", crm.GHLToken))
		assert.Equal(t, crm.GHLToken, link(t, s, ref).Parked)
		assert.Empty(t, link(t, s, crm.Ref{Location: "other", Contact: "c"}).Parked)
		require.NoError(t, s.Unpark(t.Context(), "loc"))
		require.NoError(t, s.ParkLocation(t.Context(), crm.Everywhere, crm.RankrToken))
		assert.Equal(t, crm.RankrToken, link(t, s, ref).Parked)
	})
}

func TestTicksMoveForwardOnlyAndRememberWhereTheyWere(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, c := open(t, url)
		start := c.now
		require.NoError(t, s.SaveTick(t.Context(), "loc", 1, start))
		require.ErrorIs(t, s.SaveTick(t.Context(), "loc", 1, start.Add(time.Hour)), crm.ErrMoved)
		require.NoError(t, s.Progress(t.Context(), "loc", 1, start.Add(time.Minute)))
		require.ErrorIs(t, s.Progress(t.Context(), "loc", 1, start), crm.ErrMoved)
		require.NoError(t, s.SaveTick(t.Context(), "loc", 2, start.Add(time.Hour)))
		number, watermark, err := s.TickBefore(t.Context(), "loc", 1)
		require.NoError(t, err)
		assert.Equal(t, int64(1), number)
		assert.Equal(t, start.Add(time.Minute), watermark)
		number, _, err = s.TickBefore(t.Context(), "loc", 0)
		require.NoError(t, err)
		assert.Equal(t, int64(1), number, "the oldest that is known")

		c.pass(tickRetention + time.Hour)
		require.NoError(t, s.SaveTick(t.Context(), "loc", 3, c.now))
		number, _, err = s.TickBefore(t.Context(), "loc", 2)
		require.NoError(t, err)
		assert.Equal(t, int64(3), number, "old ticks go")
	})
}

func TestConcurrentWritersShareCommitsAndOneFailureHurtsNobodyElse(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		advance(t, s, crm.Ref{Location: "loc", Contact: "taken"}, func(l *crm.Link) { l.RankrID = "r" })
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				ref := crm.Ref{Location: "loc", Contact: fmt.Sprint("c", i)}
				was, err := s.Link(context.Background(), ref, crm.ContactItself)
				assert.NoError(t, err)
				next := was
				if i%10 == 0 {
					next.RankrID = "r"
				}
				err = s.Advance(context.Background(), was, next)
				if i%10 == 0 {
					assert.ErrorIs(t, err, crm.ErrTaken)
				} else {
					assert.NoError(t, err)
				}
			})
		}
		all.Wait()
		var n int
		require.NoError(t, s.read.QueryRowContext(t.Context(), "SELECT count(*) FROM links").Scan(&n))
		assert.Equal(t, 181, n)
	})
}

func TestAStoreKeepsItsIdentityAndAnotherHasItsOwn(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		first, err := Open(t.Context(), url)
		require.NoError(t, err)
		id, print := first.ID(), first.Fingerprinter().Bytes([]byte("x"))
		require.NoError(t, first.Close())
		again, err := Open(t.Context(), url)
		require.NoError(t, err)
		defer again.Close()
		assert.Equal(t, id, again.ID())
		assert.Equal(t, print, again.Fingerprinter().Bytes([]byte("x")))
		other, _ := open(t, backends["sqlite"](t))
		assert.NotEqual(t, id, other.ID())
		assert.NotEqual(t, print, other.Fingerprinter().Bytes([]byte("x")))
	})
}

func TestTwoProcessesMayStartAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		stores := make([]*Store, 4)
		var all sync.WaitGroup
		for i := range stores {
			all.Go(func() {
				var err error
				stores[i], err = Open(context.Background(), url)
				assert.NoError(t, err)
			})
		}
		all.Wait()
		for _, s := range stores {
			require.NotNil(t, s)
			assert.Equal(t, stores[0].ID(), s.ID())
			require.NoError(t, s.Close())
		}
	})
}

func TestABrokenFileIsRefusedAndLeftAlone(t *testing.T) {
	for name, content := range map[string]string{
		"no database": "this is not a database, but it is long enough to have a header of one hundred bytes or more, is it not? yes it is",
	} {
		file := filepath.Join(t.TempDir(), "store.db")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := Open(t.Context(), "sqlite:"+file)
		require.Error(t, err, name)
		after, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, content, string(after), name)
	}
	_, err := Open(t.Context(), "mysql://x")
	assert.ErrorContains(t, err, `"sqlite:rankrsync.db"`)
}

func TestAClosedStoreAnswersInsteadOfHanging(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), url)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		assert.Error(t, s.Advance(t.Context(), crm.Link{Ref: ref}, crm.Link{Ref: ref}))
	})
}

func TestWhatWasAcknowledgedSurvivesKillMinus9(t *testing.T) {
	if url := os.Getenv("STORE_TEST_URL"); url != "" {
		writeUntilKilled(t, url)
		return
	}
	onEach(t, func(t *testing.T, url string) {
		for round := range 3 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestWhatWasAcknowledgedSurvivesKillMinus9$")
			cmd.Env = append(os.Environ(), "STORE_TEST_URL="+url, fmt.Sprint("STORE_TEST_ROUND=", round))
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			var acknowledged int
			for acknowledged < 50 {
				var n int
				_, err := fmt.Fscanf(out, "written %d\n", &n)
				require.NoError(t, err)
				acknowledged++
			}
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
			s, err := Open(t.Context(), url)
			require.NoError(t, err)
			var n int
			require.NoError(t, s.read.QueryRowContext(t.Context(), "SELECT count(*) FROM links WHERE location = ?", fmt.Sprint(round)).Scan(&n))
			assert.GreaterOrEqual(t, n, acknowledged)
			require.NoError(t, s.Close())
		}
	})
}

func writeUntilKilled(t *testing.T, url string) {
	s, err := Open(t.Context(), url)
	require.NoError(t, err)
	for i := range 10_000 {
		l := crm.Link{Ref: crm.Ref{Location: os.Getenv("STORE_TEST_ROUND"), Contact: fmt.Sprint("c", i)}}
		require.NoError(t, s.Advance(t.Context(), l, l))
		fmt.Printf("written %d\n", i)
	}
}

func TestHostileTextIsOnlyText(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		evil := crm.Ref{Location: "loc", Contact: `'; DROP TABLE links; --`}
		advance(t, s, evil, func(l *crm.Link) { l.Tags = []string{"%_", "\u202e", `"`} })
		assert.Equal(t, []string{"%_", "\u202e", `"`}, link(t, s, evil).Tags)
	})
}

// BenchmarkOneRoundsWrites is what a round that writes costs at the store: a look, and two changes of its link.
func BenchmarkOneRoundsWrites(b *testing.B) {
	for _, name := range []string{"sqlite", "postgres"} {
		for _, callers := range []int{2, 32} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				s, err := Open(context.Background(), backends[name](b))
				require.NoError(b, err)
				defer s.Close()
				b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						ref := crm.Ref{Location: "loc", Contact: fmt.Sprintf("%p-%d", pb, i)}
						was, err := s.Link(context.Background(), ref, crm.ContactItself)
						if err != nil {
							b.Error(err)
						}
						held, err := s.Acquire(context.Background(), was, crm.Claim{Holder: "h", Lease: time.Minute})
						if err == nil {
							err = s.Release(context.Background(), held, held, false, nil)
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
			})
		}
	}
}
