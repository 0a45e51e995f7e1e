package connections_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/connections"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/internal/pgtest"
	"github.com/rankrsync/rankrsync/seal"
	"github.com/rankrsync/rankrsync/store"
)

var newKey = base64.StdEncoding.EncodeToString([]byte("the-next-key-of-32-random-bytes!"))

func keys(t testing.TB, texts ...string) *seal.Box {
	t.Helper()
	box, err := seal.New(texts)
	require.NoError(t, err)
	return box
}

// connect installs so many locations, all sealed with the old key.
func (w *world) connect(n int) {
	w.t.Helper()
	for i := range n {
		location := "L" + strconv.Itoa(i)
		w.ghl.PutLocation(ghltest.Location{ID: location})
		w.install(ghltest.Choice{Location: location})
	}
}

// with is a process that has the keys of the box.
func (w *world) with(box *seal.Box) *connections.Connections {
	return &connections.Connections{Store: w.store, Sealer: box, GHL: w.oauth}
}

// current counts the rows that the box's first key sealed.
func (w *world) current(box *seal.Box) (n int) {
	w.t.Helper()
	owners, err := w.store.TokenOwners(w.t.Context(), "", 1000)
	require.NoError(w.t, err)
	for _, owner := range owners {
		row, err := w.store.Token(w.t.Context(), owner)
		require.NoError(w.t, err)
		if box.Current(row.Sealed) {
			n++
		}
	}
	return n
}

func TestOnceAllIsSealedAnewTheOldKeyCanBeTakenOut(t *testing.T) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": sqlite, "postgres": pgtest.New} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fresh(t))
			w.connect(5)
			first := w.token("L0")
			require.NoError(t, w.store.PutToken(t.Context(), crm.SealedToken{Owner: "location/M", Kind: crm.MintedToken, Company: "K"})) // still to be minted
			both := keys(t, newKey, key)

			resealed, err := connections.Reseal(t.Context(), w.store, both)
			require.NoError(t, err)
			assert.Equal(t, connections.Resealed{Anew: 5}, resealed)
			resealed, err = connections.Reseal(t.Context(), w.store, both)
			require.NoError(t, err)
			assert.Equal(t, connections.Resealed{Already: 5}, resealed, "there is nothing to do")

			w.Connections = w.with(keys(t, newKey))
			assert.Equal(t, first, w.token("L0"), "the token is the same")
			for i := range 5 {
				w.token("L" + strconv.Itoa(i))
			}
		})
	}
}

// rows is a store where others act at chosen moments.
type rows struct {
	*store.Store
	before func(was crm.SealedToken) // a row is sealed anew
	after  func()                    // one was
}

func (r rows) Reseal(ctx context.Context, was crm.SealedToken, sealed []byte) error {
	if r.before != nil {
		r.before(was)
	}
	err := r.Store.Reseal(ctx, was, sealed)
	if r.after != nil {
		r.after()
	}
	return err
}

func TestSealingAnewThatWasStoppedGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.connect(5)
	both := keys(t, newKey, key)
	for stop := 1; stop <= 5; stop++ {
		stopping, cancel := context.WithCancel(t.Context())
		resealed, err := connections.Reseal(stopping, rows{Store: w.store, after: cancel}, both)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, connections.Resealed{Anew: 1, Already: stop - 1}, resealed)
		assert.Equal(t, stop, w.current(both))
		for i := range 5 { // those who have both keys go on
			_, err := w.with(both).Access(t.Context(), "location/L"+strconv.Itoa(i), "")
			require.NoError(t, err)
		}
	}
	resealed, err := connections.Reseal(t.Context(), w.store, both)
	require.NoError(t, err)
	assert.Equal(t, connections.Resealed{Already: 5}, resealed)
}

func TestATokenThatIsRenewedMeanwhileIsNotOverwritten(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.connect(3)
	both := keys(t, newKey, key)
	var renewed string
	var once sync.Once
	resealed, err := connections.Reseal(t.Context(), rows{Store: w.store, before: func(crm.SealedToken) {
		once.Do(func() { // by a process that has the old key first still
			process := w.with(keys(t, key, newKey))
			old, err := process.Access(t.Context(), "location/L0", "")
			require.NoError(t, err)
			fresh, err := process.Access(t.Context(), "location/L0", old.Access)
			require.NoError(t, err)
			renewed = fresh.Access
		})
	}}, both)
	require.NoError(t, err)
	assert.Equal(t, connections.Resealed{Anew: 3}, resealed)
	w.Connections = w.with(keys(t, newKey))
	assert.Equal(t, renewed, w.token("L0"))
	assert.Equal(t, 1, w.ghl.TokenCounts("location/L0").Refreshes)
}

func TestATokenThatComesBehindItsBackIsSealedAnewToo(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.connect(3)
	both := keys(t, newKey, key)
	var once sync.Once
	resealed, err := connections.Reseal(t.Context(), rows{Store: w.store, after: func() {
		once.Do(func() { // before the owners that are still to come
			w.ghl.PutLocation(ghltest.Location{ID: "A"})
			w.install(ghltest.Choice{Location: "A"})
		})
	}}, both)
	require.NoError(t, err)
	assert.Equal(t, connections.Resealed{Anew: 4}, resealed)
	assert.Equal(t, 4, w.current(both))
}

func TestAllIsSealedAnewWhileEverybodyRenews(t *testing.T) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": sqlite, "postgres": pgtest.New} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fresh(t))
			w.connect(20)
			both := keys(t, newKey, key)
			process := w.with(both)
			var group sync.WaitGroup
			for i := range 20 {
				group.Go(func() {
					owner := "location/L" + strconv.Itoa(i)
					last := ""
					for range 5 {
						token, err := process.Access(context.Background(), owner, last)
						if !assert.NoError(t, err, owner) {
							return
						}
						last = token.Access
					}
				})
			}
			resealed, err := connections.Reseal(t.Context(), w.store, both)
			group.Wait()
			require.NoError(t, err)
			assert.Empty(t, resealed.Closed)
			assert.Equal(t, 20, w.current(both))
			w.Connections = w.with(keys(t, newKey))
			for i := range 20 {
				w.token("L" + strconv.Itoa(i))
				assert.Equal(t, 4, w.ghl.TokenCounts("location/L"+strconv.Itoa(i)).Refreshes, "none was lost, so none was needed twice")
			}
		})
	}
}

func TestATokenThatAProcessDiedWithIsTakenOver(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.connect(1)
	row, err := w.store.Token(t.Context(), "location/L0")
	require.NoError(t, err)
	_, err = w.store.HoldToken(t.Context(), row, "dead", time.Millisecond)
	require.NoError(t, err)

	resealed, err := connections.Reseal(t.Context(), w.store, keys(t, newKey, key))
	require.NoError(t, err)
	assert.Equal(t, connections.Resealed{Anew: 1}, resealed)
	after, err := w.store.Token(t.Context(), "location/L0")
	require.NoError(t, err)
	assert.Equal(t, row.Expires, after.Expires)
	assert.Empty(t, after.Holder)
}

func TestATokenThatNoKeyOpensIsNamedAndLeftAsItIs(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.connect(2)
	row, err := w.store.Token(t.Context(), "location/L0")
	require.NoError(t, err)
	row.Sealed = []byte("nobody sealed this")
	require.NoError(t, w.store.PutToken(t.Context(), row))

	resealed, err := connections.Reseal(t.Context(), w.store, keys(t, newKey, key))
	require.NoError(t, err)
	assert.Equal(t, connections.Resealed{Anew: 1, Closed: []string{"location/L0"}}, resealed)
	after, err := w.store.Token(t.Context(), "location/L0")
	require.NoError(t, err)
	assert.Equal(t, row.Sealed, after.Sealed)
}

// broken is a store that can be read and not written.
type broken struct{ *store.Store }

func (broken) Reseal(context.Context, crm.SealedToken, []byte) error { return errFull }

var errFull = errors.New("the disk is full")

func TestAStoreThatFailsEndsTheSealingAnew(t *testing.T) {
	w := newWorld(t, sqlite(t))
	w.connect(2)
	_, err := connections.Reseal(t.Context(), broken{w.store}, keys(t, newKey, key))
	require.ErrorIs(t, err, errFull)
}
