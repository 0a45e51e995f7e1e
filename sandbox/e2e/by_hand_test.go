package e2e

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
)

// byHand is what a script sees of a command that asks for a round.
type byHand struct {
	Contact    string      `json:"contact"`
	Business   string      `json:"business"`
	WorkflowID string      `json:"workflowId"`
	Outcome    crm.Outcome `json:"outcome"`
	Fields     []string    `json:"fields"`
	RankrID    string      `json:"rankrId"`
	Code       crm.Code    `json:"code"`
}

// asked runs a command that asks for a round and waits for it, and returns its exit code and what it prints.
func (w *world) asked(args ...string) (int, byHand) {
	w.t.Helper()
	result := w.run(append(args, "--wait", "--output", "json")...)
	var answer byHand
	require.NoError(w.t, json.Unmarshal([]byte(result.Stdout), &answer), result.Stdout+result.Stderr)
	return result.Code, answer
}

func TestSegmentContactTellsWhatItBroughtAboutAndByItsExitCodeHowItEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, `
segments:
  - {name: VIPs, when: '"vip" in tags'}
  - {name: Rich, when: customFields.household_size > 1000}
`))
	vip := mira()
	vip.Tags = []string{"vip"}
	vip.CustomFields = []ghltest.Value{{ID: ghltest.SeedFields[1].ID, Value: 2000}}
	contact := w.ghl.Quietly().Create(location, vip)

	// A contact that Rankr does not know yet is brought there first.
	code, answer := w.asked("segment-contact", "--contact", contact.ID)
	record := w.mirror(contact.ID, named("Mira")).ID
	assert.Equal(t, 0, code)
	assert.Equal(t, byHand{
		Contact: contact.ID, WorkflowID: "segments/" + location + "/" + contact.ID, Outcome: crm.Updated, Fields: []string{"segments"}, RankrID: record,
	}, answer)
	w.member(record, "Rich", "VIPs")
	w.calm(contact.ID)

	code, answer = w.asked("segment-contact", "--contact", contact.ID)
	assert.Equal(t, 0, code)
	assert.Equal(t, crm.Unchanged, answer.Outcome)

	// What people change in Rankr stays until somebody asks.
	_, err := w.rankr.TakeOutOfSegment(record, w.rankr.Segments()[0].ID)
	require.NoError(t, err)
	result := w.run("segment-contact", "--contact", contact.ID, "--wait")
	assert.Equal(t, 0, result.Code, result.Stderr)
	assert.Equal(t, "updated: segments [Rankr "+record+"]\n", result.Stdout)
	w.member(record, "Rich", "VIPs")

	// A rule that can't be worked out leaves its segment as it is.
	_, err = w.ghl.Quietly().Edit(contact.ID, func(c *ghltest.Contact) { c.Tags, c.CustomFields = nil, nil })
	require.NoError(t, err)
	code, answer = w.asked("segment-contact", "--contact", contact.ID)
	assert.Equal(t, 1, code, "the answer is no")
	assert.Equal(t, crm.Problem, answer.Outcome)
	assert.Equal(t, crm.RuleFailed, answer.Code)
	w.member(record, "Rich")
	found := w.problems(1, crm.RuleFailed)
	assert.Equal(t, contact.ID, found[0].Contact)

	for _, wrong := range [][]string{{}, {"--contact", "a/b"}, {"--contact", contact.ID, "--timeout", "0s"}} {
		assert.Equal(t, 2, w.run(append([]string{"segment-contact"}, wrong...)...).Code, "%v", wrong)
	}
}

func TestSyncBusinessTellsHowItEndedAndReadsAlsoWhatWasReadAMomentAgo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	business := w.ghl.AddBusiness(location, ghltest.Business{Name: "Harbour Books"})
	code, answer := w.asked("sync-business", "--business", business.ID)
	assert.Equal(t, 0, code)
	assert.Equal(t, byHand{
		Business: business.ID, WorkflowID: "business/" + location + "/" + business.ID, Outcome: crm.Created, Fields: answer.Fields,
		RankrID: w.company(business.ID, "Harbour Books").ID,
	}, answer)

	_, err := w.ghl.EditBusiness(business.ID, func(b *ghltest.Business) { b.Name = "Harbour Books & Tea" })
	require.NoError(t, err)
	code, answer = w.asked("sync-business", "--business", business.ID)
	assert.Equal(t, 0, code)
	assert.Equal(t, crm.Updated, answer.Outcome)
	assert.Equal(t, []string{"name"}, answer.Fields)
	w.company(business.ID, "Harbour Books & Tea")
	code, answer = w.asked("sync-business", "--business", business.ID)
	assert.Equal(t, 0, code)
	assert.Equal(t, crm.Unchanged, answer.Outcome)
	assert.Equal(t, 3, w.ghl.Count("businesses.get"))

	w.ghl.Revoke(location, "businesses.readonly")
	code, answer = w.asked("sync-business", "--business", business.ID)
	assert.Equal(t, 4, code, "the credentials are refused")
	assert.Equal(t, crm.GHLScope, answer.Code)
	w.problems(1, crm.GHLScope)
	w.ghl.Grant(location, "businesses.readonly")

	require.NoError(t, w.ghl.DeleteBusiness(business.ID))
	code, answer = w.asked("sync-business", "--business", business.ID)
	assert.Equal(t, 0, code)
	assert.Equal(t, crm.Deleted, answer.Outcome)
	assert.Empty(t, w.rankr.Businesses())
	w.problems(0, "")
}

func TestOtherProgramsStartTheOtherWorkflowsByTheirNamesWithPlainJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, "segments: [{name: Leads, when: '\"lead\" in tags'}]\n"))
	contact := w.ghl.Quietly().Create(location, mira())
	business := w.ghl.Quietly().AddBusiness(location, ghltest.Business{Name: "Harbour Books"})
	_, err := w.ghl.Quietly().Attach(contact.ID, business.ID)
	require.NoError(t, err)
	start := func(kind, id, input string) (outcome any) {
		t.Helper()
		run, err := w.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "rankrsync"}, kind, json.RawMessage(input))
		require.NoError(t, err)
		var result map[string]any
		require.NoError(t, run.Get(t.Context(), &result))
		return result["outcome"]
	}
	assert.Equal(t, "created", start("SyncBusiness", "business/"+location+"/"+business.ID, `{"location":"`+location+`","business":"`+business.ID+`"}`))
	assert.Equal(t, "updated", start("SegmentContact", "segments/"+location+"/"+contact.ID, `{"location":"`+location+`","contact":"`+contact.ID+`"}`))
	w.member(w.mirror(contact.ID, named("Mira")).ID, "Leads")
	w.attached(contact.ID, w.company(business.ID, "Harbour Books").ID)
	assert.Equal(t, "unchanged", start("AlignTasksAndNotes", "tasks-notes/"+location+"/"+contact.ID, `{"location":"`+location+`","contact":"`+contact.ID+`"}`))

	for kind, input := range map[string]string{"SyncBusiness": `{"location":"l","contact":"c"}`, "SegmentContact": `{"location":"l","contact":"a/b"}`} {
		run, err := w.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "rankrsync"}, kind, json.RawMessage(input))
		require.NoError(t, err)
		require.ErrorContains(t, run.Get(t.Context(), nil), string(crm.InvalidInput), kind)
	}
}
