package app

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/internal/pgtest"
	"github.com/rankrsync/rankrsync/store"
)

// parked gives the store n problems of a location with one code.
func parked(t *testing.T, records *store.Store, location string, code crm.Code, n int) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(100) // what comes together is committed together
	for i := range n {
		group.Go(func() error {
			link := crm.Link{Ref: crm.Ref{Location: location, Contact: fmt.Sprint("C", i)}, Object: crm.ContactItself, Problem: code}
			return records.Park(context.Background(), link, link, crm.ProblemRecord{Ref: link.Ref, Object: link.Object, Code: code})
		})
	}
	require.NoError(t, group.Wait())
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestPeopleSeeAllProblems(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { peopleSeeAllProblems(t, "sqlite:rankrsync.db") })
	t.Run("postgres", func(t *testing.T) { peopleSeeAllProblems(t, pgtest.New(t)) })
}

func peopleSeeAllProblems(t *testing.T, url string) {
	environment(t, with("STORE_URL", url))
	config, err := Load(Command)
	require.NoError(t, err)
	records, err := OpenStore(t.Context(), config)
	require.NoError(t, err)
	defer records.Close()
	parked(t, records, "L1", crm.RankrInvalid, 1201)
	parked(t, records, "L2", crm.DeleteBrake, 3)

	for _, test := range []struct {
		location string
		code     crm.Code
		want     int
	}{
		{"", "", 1204}, {"L1", "", 1201}, {"", crm.DeleteBrake, 3}, {"L1", crm.DeleteBrake, 0}, {"L3", "", 0},
	} {
		problems, err := Problems(t.Context(), config, test.location, test.code)
		require.NoError(t, err)
		assert.Len(t, problems, test.want, "%q %q", test.location, test.code)
	}
}

func TestApprovedDeletesAreOfContactsAndOfBusinesses(t *testing.T) {
	environment(t, enough())
	config, err := Load(Command)
	require.NoError(t, err)
	records, err := OpenStore(t.Context(), config)
	require.NoError(t, err)
	defer records.Close()
	parked(t, records, "L", crm.DeleteBrake, 2)
	parked(t, records, "L2", crm.DeleteBrake, 1)
	acme := crm.Link{Ref: crm.Ref{Location: "L", Contact: "B"}, Object: crm.ABusiness, Problem: crm.DeleteBrake}
	require.NoError(t, records.Park(t.Context(), crm.Link{Ref: acme.Ref, Object: acme.Object}, acme,
		crm.ProblemRecord{Ref: acme.Ref, Object: acme.Object, Code: acme.Problem}))

	targets, err := ApproveDeletes(t.Context(), config, "L")
	require.NoError(t, err)
	assert.ElementsMatch(t, []Target{
		{crm.Ref{Location: "L", Contact: "C0"}, crm.ContactItself},
		{crm.Ref{Location: "L", Contact: "C1"}, crm.ContactItself},
		{acme.Ref, crm.ABusiness},
	}, targets)
}

func TestAStoreThatNobodyMadeIsNotMadeByLooking(t *testing.T) {
	environment(t, enough())
	config, err := Load(Command)
	require.NoError(t, err)
	_, err = Problems(t.Context(), config, "", "")
	var away *StoreError
	require.ErrorAs(t, err, &away)
	assert.NoFileExists(t, "rankrsync.db")

	config.StoreURL = NewStoreURL(pgtest.New(t))
	for range 2 {
		_, err = Problems(t.Context(), config, "", "")
		require.ErrorAs(t, err, &away)
		assert.ErrorContains(t, err, "nobody made one there yet")
	}
}
