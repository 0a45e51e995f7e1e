package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

func TestATokenIsRenewedByOneAtATime(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, clock := open(t, url)
		ctx := t.Context()
		none, err := s.Token(ctx, "location/L")
		require.NoError(t, err)
		assert.Zero(t, none.Version)
		require.NoError(t, s.PutToken(ctx, crm.SealedToken{Owner: "location/L", Kind: crm.LocationToken, Sealed: []byte{0, 255}, Expires: clock.Now()}))
		was, err := s.Token(ctx, "location/L")
		require.NoError(t, err)
		assert.Equal(t, []byte{0, 255}, was.Sealed)
		assert.Equal(t, crm.LocationToken, was.Kind)

		held, err := s.HoldToken(ctx, was, "first", time.Minute)
		require.NoError(t, err)
		_, err = s.HoldToken(ctx, was, "second", time.Minute)
		require.ErrorIs(t, err, crm.ErrMoved)
		seen, err := s.Token(ctx, "location/L")
		require.NoError(t, err)
		assert.True(t, seen.Held())
		_, err = s.HoldToken(ctx, seen, "second", time.Minute)
		require.ErrorIs(t, err, crm.ErrMoved)

		clock.pass(2 * time.Minute)
		seen, err = s.Token(ctx, "location/L")
		require.NoError(t, err)
		assert.False(t, seen.Held())
		taken, err := s.HoldToken(ctx, seen, "second", time.Minute)
		require.NoError(t, err)
		require.ErrorIs(t, s.SaveToken(ctx, held, held), crm.ErrMoved, "the lease was taken over")
		next := taken
		next.Sealed = []byte("new")
		require.NoError(t, s.SaveToken(ctx, taken, next))
		seen, err = s.Token(ctx, "location/L")
		require.NoError(t, err)
		assert.Equal(t, []byte("new"), seen.Sealed)
		assert.False(t, seen.Held())
		require.ErrorIs(t, s.Reseal(ctx, was, []byte("old")), crm.ErrMoved)
		require.NoError(t, s.Reseal(ctx, seen, []byte("newer")))
		owners, err := s.TokenOwners(ctx, "", 10)
		require.NoError(t, err)
		assert.Equal(t, []string{"location/L"}, owners)
		older := seen
		older.Version--
		require.ErrorIs(t, s.DropTokenOf(ctx, older), crm.ErrMoved)
		require.NoError(t, s.DropToken(ctx, "location/L"))
		seen, err = s.Token(ctx, "location/L")
		require.NoError(t, err)
		assert.Zero(t, seen.Version)
	})
}

func TestAFreshInstallTakesTheTokenFromWhoRenewsIt(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		ctx := t.Context()
		require.NoError(t, s.PutToken(ctx, crm.SealedToken{Owner: "o", Sealed: []byte("old")}))
		was, err := s.Token(ctx, "o")
		require.NoError(t, err)
		held, err := s.HoldToken(ctx, was, "h", time.Minute)
		require.NoError(t, err)
		require.NoError(t, s.PutToken(ctx, crm.SealedToken{Owner: "o", Sealed: []byte("installed")}))
		require.ErrorIs(t, s.SaveToken(ctx, held, held), crm.ErrMoved)
		require.ErrorIs(t, s.ReleaseToken(ctx, held), crm.ErrMoved)
		seen, err := s.Token(ctx, "o")
		require.NoError(t, err)
		assert.Equal(t, []byte("installed"), seen.Sealed)
	})
}

func TestAConnectionKeepsTheTimeOfAStateThatStays(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, clock := open(t, url)
		ctx := t.Context()
		began := clock.Now()
		c := crm.Connection{Location: "L", Company: "K", Name: "Harbour", Owner: "location/L", Kind: crm.MintedToken, Scopes: []string{"a", "b/c.readonly"}, State: crm.Connected, Installed: began}
		require.NoError(t, s.PutConnection(ctx, c))
		clock.pass(time.Hour)
		c.Name = ""
		require.NoError(t, s.PutConnection(ctx, c))
		seen, err := s.Connection(ctx, "L")
		require.NoError(t, err)
		c.Name, c.StateSince = "Harbour", began
		assert.Equal(t, c, seen)

		require.NoError(t, s.SetState(ctx, crm.CompanyOwner("K"), crm.Suspended))
		seen, err = s.Connection(ctx, "L")
		require.NoError(t, err)
		assert.Equal(t, crm.Suspended, seen.State, "it is minted from the company's token")
		assert.Equal(t, clock.Now(), seen.StateSince)
		require.NoError(t, s.SetState(ctx, crm.CompanyOwner("other"), crm.Connected))

		for _, step := range []struct {
			owner       string
			state, want crm.ConnectionState
		}{
			{"company/K", crm.Connected, crm.Connected},
			{"location/L", crm.WrongTenant, crm.WrongTenant},
			{"company/K", crm.Connected, crm.WrongTenant}, // that is the location's own
			{"location/L", crm.ScopesMissing, crm.ScopesMissing},
			{"company/K", crm.Connected, crm.ScopesMissing},
			{"company/K", crm.ReconnectNeeded, crm.ReconnectNeeded},
			{"company/K", crm.Connected, crm.Connected},
			{"location/L", crm.WrongTenant, crm.WrongTenant},
			{"location/L", crm.Connected, crm.Connected},
		} {
			require.NoError(t, s.SetState(ctx, step.owner, step.state))
			seen, err = s.Connection(ctx, "L")
			require.NoError(t, err)
			assert.Equal(t, step.want, seen.State, "after %s of %s", step.state, step.owner)
		}
		c.State = crm.Disconnected
		require.NoError(t, s.PutConnection(ctx, c))
		require.NoError(t, s.SetState(ctx, "location/L", crm.Connected))
		all, err := s.Connections(ctx)
		require.NoError(t, err)
		require.Len(t, all, 1)
		assert.Equal(t, crm.Disconnected, all[0].State, "what somebody disconnected stays so")
		none, err := s.Connection(ctx, "M")
		require.NoError(t, err)
		assert.Empty(t, none.Location)
	})
}

func TestScopesAreThoseOfTheTokenThatIsUsed(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		ctx := t.Context()
		for _, location := range []string{"L", "M"} {
			require.NoError(t, s.PutConnection(ctx, crm.Connection{Location: location, Owner: crm.LocationOwner(location), State: crm.Connected}))
		}
		require.NoError(t, s.SetScopes(ctx, "location/L", []string{"contacts.readonly", "locations.readonly"}))
		for location, want := range map[string][]string{"L": {"contacts.readonly", "locations.readonly"}, "M": {}} {
			connection, err := s.Connection(ctx, location)
			require.NoError(t, err)
			assert.Equal(t, want, connection.Scopes)
		}
		require.NoError(t, s.PutToken(ctx, crm.SealedToken{Owner: "company/K", Sealed: []byte("x")}))
		row, err := s.Token(ctx, "company/K")
		require.NoError(t, err)
		require.NoError(t, s.DropTokenOf(ctx, row))
		require.ErrorIs(t, s.DropTokenOf(ctx, row), crm.ErrMoved)
	})
}

func TestAStateIsUsedOnceByWhicheverProcess(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		one, clock := open(t, url)
		other, err := Open(t.Context(), url, WithClock(clock.Now))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, other.Close()) })
		ends := clock.Now().Add(10 * time.Minute)
		var used atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				switch err := []*Store{one, other}[i%2].UseState(context.Background(), []byte{0, 255}, ends); {
				case err == nil:
					used.Add(1)
				case !errors.Is(err, crm.ErrMoved):
					t.Error(err)
				}
			})
		}
		all.Wait()
		assert.Equal(t, int64(1), used.Load())
		require.ErrorIs(t, one.UseState(t.Context(), []byte{0, 255}, ends), crm.ErrMoved)
		require.NoError(t, other.UseState(t.Context(), []byte{0, 254}, ends))

		count := func() (n int) {
			require.NoError(t, one.read.QueryRowContext(t.Context(), "SELECT count(*) FROM used_states").Scan(&n))
			return n
		}
		assert.Equal(t, 2, count())
		clock.pass(15 * time.Minute)
		require.NoError(t, one.UseState(t.Context(), []byte("late"), ends))
		require.ErrorIs(t, one.UseState(t.Context(), []byte{0, 255}, ends), crm.ErrMoved, "whoever's clock is a little behind finds it used")
		clock.pass(15 * time.Minute)
		require.NoError(t, one.UseState(t.Context(), []byte("next"), clock.Now()))
		assert.Equal(t, 1, count(), "what ended is forgotten")
	})
}
