package activities_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

func (w *world) compare() names.ReconcileResult {
	w.t.Helper()
	r := &activities.Reconciles{Backfills: w.backfills()}
	result, err := perform[names.ReconcileResult](w, r, r.Compare, activities.CompareRound{Location: loc})
	require.NoError(w.t, err)
	return result
}

// repair does what the workflow does with what was found, and the rounds that it asks for.
func (w *world) repair(drifts []names.Drift) {
	w.t.Helper()
	r := &activities.Reconciles{Backfills: w.backfills()}
	var contacts []string
	for _, drift := range drifts {
		contacts = append(contacts, drift.Contact)
	}
	w.nudged.take()
	_, err := perform[int](w, r, r.Repair, activities.Repairs{Location: loc, Contacts: contacts})
	require.NoError(w.t, err)
	assert.ElementsMatch(w.t, contacts, w.nudged.take())
	for _, contact := range contacts {
		w.good(contact)
	}
}

func (w *world) mirrorOf(contact string) rankrtest.Record {
	w.t.Helper()
	record, there := w.rankr.Mirror(contact)
	require.True(w.t, there, contact)
	return record
}

func TestWhatIsInStepIsNoDriftAndCostsItsPagesAlone(t *testing.T) {
	for _, complete := range []bool{false, true} {
		w := newWorld(t)
		w.ghl.Set(func(k *ghltest.Knobs) { k.Complete = complete })
		w.crowd(250)
		w.load(false)
		w.stranger(map[string]any{"email": "made@rankr.example"})
		_, err := w.rankr.Add(rankrtest.Record{ExternalID: "ofAnotherLocation"})
		require.NoError(t, err)
		_, err = w.rankr.Edit(w.mirrorOf("c0007").ID, func(r *rankrtest.Record) {
			r.Tags, r.Fields["website"] = append(r.Tags, "theirs"), "https://theirs.example"
		})
		require.NoError(t, err)
		result := w.compare()
		assert.Equal(t, names.ReconcileResult{
			Location: loc, Contacts: 250, Records: 252, Counts: map[string]int{}, Drifts: []names.Drift{}, GHLCalls: 1, RankrCalls: 3,
		}, result)
	}
}

// Each is planted where neither side told anybody.
func TestEveryPlantedDriftIsFoundNoneIsMadeUpAndARepairMendsThem(t *testing.T) {
	for _, complete := range []bool{false, true} {
		t.Run(fmt.Sprint("complete documents: ", complete), func(t *testing.T) {
			w := newWorld(t)
			w.ghl.Set(func(k *ghltest.Knobs) { k.Complete = complete })
			w.crowd(120)
			w.load(false)
			w.calls()
			edit := func(contact string, change func(*rankrtest.Record)) {
				_, err := w.rankr.Edit(w.mirrorOf(contact).ID, change)
				require.NoError(t, err)
			}
			edit("c0001", func(r *rankrtest.Record) { r.Fields["firstName"] = "Nobody" })
			edit("c0002", func(r *rankrtest.Record) { r.CustomFields["pincode"] = "9999" }) // which no thin page shows
			edit("c0003", func(r *rankrtest.Record) { r.Tags = nil })
			edit("c0004", func(r *rankrtest.Record) { delete(r.Fields, "address1") })
			require.NoError(t, w.rankr.Remove(w.mirrorOf("c0005").ID))
			w.edit("c0006", func(c *ghltest.Contact) { c.City = "Bern" })
			w.ghl.Create(loc, ghltest.Contact{ID: "late", Email: "late@example.com"})
			require.NoError(t, w.ghl.Delete("c0008"))
			edit("c0009", func(r *rankrtest.Record) { r.ExternalID = "c0009gone" })

			result := w.compare()
			kinds := map[string]string{}
			for _, drift := range result.Drifts {
				kinds[drift.Contact] = fmt.Sprint(drift.Kind, drift.Fields)
			}
			assert.Equal(t, map[string]string{
				"c0001": "different[firstName]", "c0002": "different[customFields.pincode]", "c0003": "different[tags]",
				"c0004": "different[address1]", "c0005": "missing[]", "c0006": "different[city]", "late": "missing[]",
				"c0008": "extra[]", "c0009": "missing[]",
			}, kinds)
			assert.LessOrEqual(t, result.GHLCalls, 1+len(kinds))
			assert.LessOrEqual(t, result.RankrCalls, 2+len(kinds))
			ghlCalls, rankrCalls := w.calls()
			assert.LessOrEqual(t, len(ghlCalls), 1+len(kinds))
			assert.Len(t, rankrCalls, result.RankrCalls)

			w.pass(time.Minute)
			w.repair(result.Drifts)
			w.pass(time.Minute)
			assert.Empty(t, w.compare().Drifts)
		})
	}
}

func TestTwoRecordsOfOneContactAreAPersonsToChoose(t *testing.T) {
	w := newWorld(t)
	w.crowd(2)
	w.good("c0000")
	w.stranger(map[string]any{"email": "c1@example.com"})
	w.stranger(map[string]any{"email": "c1@example.com"})
	require.Equal(t, crm.Problem, w.good("c0001").Outcome)
	result := w.compare()
	assert.Equal(t, []names.Drift{{Kind: names.DriftMissing, Contact: "c0001", Code: string(crm.Ambiguous)}}, result.Drifts)
}
