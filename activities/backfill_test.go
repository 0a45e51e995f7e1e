package activities_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

func (w *world) backfills() *activities.Backfills {
	return &activities.Backfills{
		Contacts: w.contacts, Source: w.contacts.Source.(*ghl.Client), Destination: w.contacts.Destination.(*rankr.Client),
		Links: w.store, TasksAndNotes: w.tasks,
	}
}

// perform runs a deed in an environment of its own.
func perform[T any](w *world, deeds, deed, in any) (answer T, err error) {
	w.t.Helper()
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(deeds)
	value, err := env.ExecuteActivity(deed, in)
	if err != nil {
		return answer, err
	}
	require.NoError(w.t, value.Get(&answer))
	return answer, nil
}

// loaded is how a whole backfill ended.
type loaded struct {
	seen, known, handedOver, pages int
	outcomes                       map[crm.Outcome]int
}

// load does what the workflow does, one page after the other.
func (w *world) load(tasksAndNotes bool) (all loaded) {
	w.t.Helper()
	w.pass(3 * time.Second)
	b := w.backfills()
	all.outcomes = map[crm.Outcome]int{}
	for next := ""; ; {
		listed, err := perform[activities.Listed](w, b, b.ListPages, activities.Listing{Location: loc, After: next, Seen: all.seen, All: tasksAndNotes})
		require.NoError(w.t, err)
		all.seen += listed.Seen
		all.known += listed.Known
		for _, page := range listed.Pages {
			answer, err := perform[activities.BackfillAnswer](w, b, b.BackfillPage,
				activities.PageOfBackfill{Location: loc, ListedPage: page, TasksAndNotes: tasksAndNotes})
			require.NoError(w.t, err)
			all.pages++
			all.known += answer.Known
			all.handedOver += answer.HandedOver
			for outcome, n := range answer.Outcomes {
				all.outcomes[outcome] += n
			}
		}
		if next = listed.Next; next == "" {
			return all
		}
	}
}

// stranger is a record that people made in Rankr.
func (w *world) stranger(fields map[string]any) {
	w.t.Helper()
	_, err := w.rankr.Add(rankrtest.Record{Fields: fields})
	require.NoError(w.t, err)
}

func (w *world) crowd(n int) {
	for i := range n {
		w.ghl.Create(loc, ghltest.Contact{
			ID: fmt.Sprintf("c%04d", i), FirstName: "Ann", LastName: fmt.Sprint("No ", i), Email: fmt.Sprintf("c%d@example.com", i),
			Address1: "Main Street 1", CustomFields: []ghltest.Value{{ID: "cf1", Value: "8000"}}, Tags: []string{"old"},
		})
	}
}

func TestABackfillBringsEveryContactAndASecondOneCostsItsListingAlone(t *testing.T) {
	for _, complete := range []bool{false, true} {
		t.Run(fmt.Sprint("complete documents: ", complete), func(t *testing.T) {
			w := newWorld(t)
			w.ghl.Set(func(k *ghltest.Knobs) { k.Complete = complete })
			w.crowd(620)
			w.calls()
			all := w.load(false)
			assert.Equal(t, loaded{seen: 620, pages: 7, outcomes: map[crm.Outcome]int{crm.Created: 620}}, all)
			ghlCalls, rankrCalls := w.calls()
			searches := 2 + 7
			gets := count(ghlCalls, "contacts.get")
			if complete {
				assert.Zero(t, gets, "a page shows its contacts whole")
			} else {
				assert.Equal(t, 620, gets)
			}
			assert.Equal(t, searches, count(ghlCalls, "contacts.search"))
			assert.Len(t, rankrCalls, 2*620, "each is looked for, and made")

			w.passInGHL(time.Minute)
			all = w.load(false)
			assert.Equal(t, loaded{seen: 620, known: 620, outcomes: map[crm.Outcome]int{}}, all)
			ghlCalls, rankrCalls = w.calls()
			assert.Equal(t, []string{"contacts.search", "contacts.search"}, ghlCalls)
			assert.Empty(t, rankrCalls)

			records := w.rankr.All()
			require.Len(t, records, 620)
			for i, record := range records {
				assert.Equal(t, "Main Street 1", record.Fields["address1"], i)
				assert.Equal(t, "8000", record.CustomFields["pincode"], i)
				assert.Equal(t, "Ann", record.Fields["firstName"], i)
			}
		})
	}
}

func TestABackfillFindsWhatMovesNoDate(t *testing.T) {
	w := newWorld(t)
	w.crowd(3)
	w.load(false)
	w.edit("c0001", func(c *ghltest.Contact) {
		c.Tags = []string{"old", "vip"}
		c.Raw = map[string]json.RawMessage{"dateUpdated": fmt.Appendf(nil, "%q", c.DateUpdated.Format(time.RFC3339Nano))}
	})
	all := w.load(false)
	assert.Equal(t, map[crm.Outcome]int{crm.Updated: 1}, all.outcomes)
	assert.Equal(t, 2, all.known)
}

// A page of the index may show what the contact was a while ago.
func TestAnOldPageNeverWinsOverANewerRead(t *testing.T) {
	w := newWorld(t)
	w.ghl.Set(func(k *ghltest.Knobs) { k.Complete = true })
	w.crowd(1)
	w.load(false)
	w.ghl.Set(func(k *ghltest.Knobs) { k.Lag = time.Hour })
	w.passInGHL(time.Minute)
	w.edit("c0000", func(c *ghltest.Contact) { c.City = "Bern" })
	w.good("c0000")
	w.calls()
	all := w.load(false)
	assert.Equal(t, 1, all.known, "the link knows a later change than the page")
	record := w.rankr.All()[0]
	assert.Equal(t, "Bern", record.Fields["city"])
}

func TestAPoisonedContactDoesNotStopTheRestAndIsNotTriedAgainUnasked(t *testing.T) {
	w := newWorld(t)
	w.crowd(5)
	w.ghl.Create(loc, ghltest.Contact{ID: "poison", Phone: "nonsense"})
	w.stranger(map[string]any{"email": "c3@example.com"})
	w.stranger(map[string]any{"email": "c3@example.com"})
	all := w.load(false)
	assert.Equal(t, 4, all.outcomes[crm.Created])
	assert.Equal(t, 2, all.outcomes[crm.Problem])
	problems := w.problems()
	require.Len(t, problems, 2)
	assert.Equal(t, []crm.Code{crm.Ambiguous, crm.RankrInvalid}, []crm.Code{problems[0].Code, problems[1].Code})
	w.calls()
	w.load(false)
	_, rankrCalls := w.calls()
	assert.Empty(t, rankrCalls, "they wait for a person")
}

func TestABackfillThatMeetsASystemThatIsAwayGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	w.crowd(20)
	b := w.backfills()
	listed, err := perform[activities.Listed](w, b, b.ListPages, activities.Listing{Location: loc})
	require.NoError(t, err)
	require.Len(t, listed.Pages, 1)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Operation: "contacts.create", Status: 503}} })
	_, err = perform[activities.BackfillAnswer](w, b, b.BackfillPage, activities.PageOfBackfill{Location: loc, ListedPage: listed.Pages[0]})
	require.Error(t, err)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = nil })
	w.pass(time.Minute)
	all := w.load(false)
	assert.Equal(t, 20, all.known+all.outcomes[crm.Created]+all.outcomes[crm.Adopted]+all.outcomes[crm.Unchanged]+all.outcomes[crm.Updated]+all.handedOver)
	assert.Len(t, w.rankr.All(), 20, "none is there twice")
}

func TestABackfillBringsTasksAndNotesWhereThatIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.crowd(2)
	_, err := w.ghl.AddTask("c0001", ghltest.Task{Title: "Call", Due: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	w.load(false)
	assert.Empty(t, w.rankr.Tasks(w.rankr.All()[1].ID))
	w.load(true)
	tasks := 0
	for _, record := range w.rankr.All() {
		tasks += len(w.rankr.Tasks(record.ID))
	}
	assert.Equal(t, 1, tasks)
}

func TestASurveyTellsHowContactsFindTheirRecordsAndWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.crowd(6)
	w.good("c0000")
	_, err := w.rankr.Add(rankrtest.Record{ExternalID: "c0001"})
	require.NoError(t, err)
	w.stranger(map[string]any{"email": "c2@example.com"})
	w.edit("c0003", func(c *ghltest.Contact) { c.Phone = "044 668 18 00" })
	w.stranger(map[string]any{"phone": "+41446681800"})
	w.stranger(map[string]any{"email": "c4@example.com"})
	w.stranger(map[string]any{"email": "c4@example.com"})
	w.calls()
	b := w.backfills()
	matches, err := perform[names.Matches](w, b, b.Survey, activities.SurveyRound{Location: loc})
	require.NoError(t, err)
	assert.Equal(t, names.Matches{
		Contacts: 6, Linked: 1, ByID: 1, ByEmail: 1, ByPhone: 1, Ambiguous: 1, New: 1, Records: 6,
		GHLCalls: 1 + 1 + 5, RankrCalls: 10, Left: matches.Left,
	}, matches)
	_, rankrCalls := w.calls()
	assert.Equal(t, []string{"contacts.find"}, rankrCalls)
}

func TestAListingRefusesAPlaceThatCouldHoldAValue(t *testing.T) {
	w := newWorld(t)
	b := w.backfills()
	for _, after := range []string{`["jane@example.com"]`, `{}`, `[]`, `[[1]]`, `[null]`, `x`} {
		_, err := perform[activities.Listed](w, b, b.ListPages, activities.Listing{Location: loc, After: after})
		require.Error(t, err, after)
		assert.Contains(t, err.Error(), string(crm.InvalidInput))
	}
	_, err := perform[activities.Listed](w, b, b.ListPages, activities.Listing{Location: "a/b"})
	require.Error(t, err)
}
