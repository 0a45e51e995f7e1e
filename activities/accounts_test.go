package activities_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
)

// tokenFile is a token source that reads a file at each use.
type tokenFile string

func (f tokenFile) Token() (*oauth2.Token, error) {
	text, err := os.ReadFile(string(f))
	return &oauth2.Token{AccessToken: string(text)}, err
}

// with gives the world a location for each account, and each account a file with its token: "token-of-" and its name. The
// account of "" is that of the settings; it is not named in the rules.
func (w *world) with(locations map[string]string) (tokens map[string]tokenFile) {
	tokens, opens := map[string]tokenFile{}, map[string]string{}
	for location, account := range locations {
		w.ghl.PutLocation(ghltest.Location{ID: location, Country: "CH"})
		tokens[account] = tokenFile(filepath.Join(w.t.TempDir(), "token"))
		require.NoError(w.t, os.WriteFile(string(tokens[account]), []byte("token-of-"+account), 0o600))
		opens["token-of-"+account] = account
		if account != "" {
			w.contacts.Accounts = append(w.contacts.Accounts, rules.Account{Name: account, Locations: []string{location}})
		}
	}
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Tokens = opens })
	destination := rankr.New(rest.New(rest.Options{System: "rankr", BaseURL: w.rankrURL, Timeout: 2 * time.Second, Tokens: func(account string) (oauth2.TokenSource, error) {
		token, ok := tokens[strings.TrimPrefix(account, "account ")]
		if !ok {
			return nil, &crm.Error{Code: crm.RankrAccount, Operation: "rankr token"}
		}
		return token, nil
	}}), rankr.Options{Account: func(location string) string { return "account " + w.contacts.Accounts.Of(location) }})
	w.contacts.Destination, w.tasks.Destination, w.segments.Destination = destination, destination, destination
	w.business.Destination, w.polls.Destination = destination, destination
	return tokens
}

// roundIn runs a contact's round in a location.
func (w *world) roundIn(location, contact string) crm.Result {
	w.t.Helper()
	w.pass(3 * time.Second)
	result, err := w.deed(activities.Round{Ref: crm.Ref{Location: location, Contact: contact}})
	require.NoError(w.t, err)
	return result
}

func (w *world) pollOf(location string) activities.TickAnswer {
	w.t.Helper()
	answer, err := w.poll(activities.Tick{Location: location})
	require.NoError(w.t, err)
	return answer
}

// TestARefusedAccountParksItsOwnLocationsOnly tries it with each account, that of the settings among them.
func TestARefusedAccountParksItsOwnLocationsOnly(t *testing.T) {
	accounts := map[string]string{"L1": "harbour", "L2": "quay", "L3": ""}
	for refused, locations := range map[string][]string{"harbour": {"L1", "L2", "L3"}, "": {"L3", "L2", "L1"}} { // the refused one first
		t.Run("account "+refused, func(t *testing.T) {
			w := newWorld(t)
			tokens := w.with(accounts)
			for _, location := range locations {
				w.ghl.Create(location, ghltest.Contact{ID: "ann-" + location, Email: "ann@example.com"})
				w.ghl.Create(location, ghltest.Contact{ID: "ben-" + location, Email: "ben@example.com"})
			}
			w.rankr.Set(func(k *rankrtest.Knobs) {
				delete(k.Tokens, "token-of-"+refused)
				k.Tokens["the new token"] = refused
			})
			for _, location := range locations {
				result := w.roundIn(location, "ann-"+location)
				if accounts[location] != refused {
					assert.Equal(t, crm.Created, result.Outcome, location)
					continue
				}
				assert.Equal(t, crm.RankrToken, result.Code)
				w.calls()
				result = w.roundIn(location, "ben-"+location)
				assert.Equal(t, crm.RankrToken, result.Code)
				if refused != "" {
					assert.Equal(t, []string{"accounts/harbour"}, result.Fields)
				}
				ghl, rankr := w.calls()
				assert.Empty(t, append(ghl, rankr...), "the second contact does not run into the same wall")
			}
			for _, location := range locations {
				answer := w.pollOf(location)
				w.nudged.take()
				if accounts[location] != refused {
					assert.Empty(t, answer.Parked, location)
					assert.Equal(t, crm.Created, w.roundIn(location, "ben-"+location).Outcome, "the others go on, whoever is polled meanwhile")
					continue
				}
				assert.Equal(t, crm.RankrToken, answer.Parked, location)
			}
			require.Len(t, w.problems(), 2)

			require.NoError(t, os.WriteFile(string(tokens[refused]), []byte("the new token"), 0o600))
			mended := locations[0]
			assert.Empty(t, w.pollOf(mended).Parked)
			assert.Subset(t, w.nudged.take(), []string{"ann-" + mended, "ben-" + mended})
			assert.Equal(t, crm.Created, w.roundIn(mended, "ann-"+mended).Outcome)
			assert.Equal(t, crm.Created, w.roundIn(mended, "ben-"+mended).Outcome)
			assert.Empty(t, w.problems())
			for _, record := range w.rankr.All() {
				assert.Equal(t, accounts[strings.Split(record.ExternalID, "-")[1]], record.Account)
			}
		})
	}
}

// TestALocationWithoutAnAccountIsParkedUntilItHasOne: that costs Rankr no call, and nobody else's location waits.
func TestALocationWithoutAnAccountIsParkedUntilItHasOne(t *testing.T) {
	w := newWorld(t)
	w.with(map[string]string{"L1": "harbour"})
	w.ghl.Create("L1", ghltest.Contact{ID: "ann"})
	w.ghl.Create(loc, jane)
	assert.Equal(t, crm.RankrAccount, w.good("jane").Code)
	assert.Equal(t, crm.RankrAccount, w.pollOf(loc).Parked)
	assert.Equal(t, crm.RankrAccount, w.good("jane").Code)
	_, rankr := w.calls()
	assert.Empty(t, rankr)
	assert.Equal(t, crm.Created, w.roundIn("L1", "ann").Outcome)

	w.contacts.Accounts[0].Locations = append(w.contacts.Accounts[0].Locations, loc)
	w.nudged.take()
	assert.Empty(t, w.pollOf(loc).Parked)
	assert.Contains(t, w.nudged.take(), "jane")
	assert.Equal(t, crm.Created, w.good("jane").Outcome)
	assert.Empty(t, w.problems())
}

// TestSegmentsAreMadeInEachAccount: a segment's id in one account is none in another.
func TestSegmentsAreMadeInEachAccount(t *testing.T) {
	w := newWorld(t)
	loaded, err := rules.Parse("sync.yaml", []byte("segments: [{name: All, when: 'true'}]"))
	require.NoError(t, err)
	w.contacts.Rules = loaded
	accounts := map[string]string{"L1": "harbour", "L2": "quay"}
	w.with(accounts)
	for location, account := range accounts {
		w.ghl.Create(location, ghltest.Contact{ID: "ann-" + location})
		assert.Equal(t, crm.Created, w.roundIn(location, "ann-"+location).Outcome)
		env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
		env.RegisterActivity(w.segments)
		_, err := env.ExecuteActivity(w.segments.BringSegmentsIntoStep, activities.Round{Ref: crm.Ref{Location: location, Contact: "ann-" + location}})
		require.NoError(t, err)
		record, ok := w.rankr.Mirror("ann-" + location)
		require.True(t, ok)
		assert.Equal(t, account, record.Account)
		assert.Len(t, record.Segments, 1)
	}
	assert.Empty(t, w.problems())
	var made []string
	for _, segment := range w.rankr.Segments() {
		made = append(made, segment.Account)
	}
	assert.ElementsMatch(t, []string{"harbour", "quay"}, made)
	assert.Zero(t, w.rankr.Counters().Statuses[422], "no account is asked for another's segments")
}

// TestALocationThatMovesToAnotherAccountFollowsWithItsChanges is what docs/sync-yaml.md says of it: nothing is deleted in the
// old account, and what does not change stays there alone.
func TestALocationThatMovesToAnotherAccountFollowsWithItsChanges(t *testing.T) {
	w := newWorld(t)
	w.withRules("segments: [{name: All, when: 'true'}]")
	w.with(map[string]string{loc: "harbour", "L2": "quay"})
	acme := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme"})
	w.ghl.Create(loc, jane)
	w.attach("jane", acme.ID)
	w.addTask(ghltest.Task{Title: "Call", Due: due})
	w.good("jane")
	w.segment()
	w.settle("jane")
	old := w.mirror("jane")
	require.Len(t, old.Segments, 1)
	require.NotEmpty(t, old.BusinessID)

	for i := range w.contacts.Accounts {
		account := &w.contacts.Accounts[i]
		account.Locations = map[string][]string{"quay": {loc}}[account.Name]
	}
	w.calls()
	require.Equal(t, crm.Unchanged, w.good("jane").Outcome)
	_, calls := w.calls()
	assert.Empty(t, calls, "nothing tells that the record is in another account")

	w.edit("jane", func(c *ghltest.Contact) { c.City = "Chur" })
	require.Equal(t, crm.Created, w.good("jane").Outcome)
	w.settle("jane")
	for range 5 {
		w.pass(15 * time.Second)
		_, err := w.segmentDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}})
		for _, business := range w.nudged.takeHints(&w.nudged.businesses) {
			w.pass(3 * time.Second)
			_, err := w.businessDeed(activities.BusinessRound{Business: business.Contact})
			require.NoError(t, err)
		}
		if err == nil {
			break
		}
	}
	records := w.rankr.All()
	require.Len(t, records, 2)
	assert.Equal(t, old, records[0], "the old record stays as it was")
	moved := records[1]
	assert.Equal(t, "quay", moved.Account)
	assert.Len(t, moved.Segments, 1)
	assert.NotEqual(t, old.Segments, moved.Segments)
	assert.NotEmpty(t, moved.BusinessID)
	assert.NotEqual(t, old.BusinessID, moved.BusinessID)
	assert.Len(t, w.rankr.Tasks(moved.ID), 1)
	assert.Empty(t, w.problems())
}
