package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

func TestTaskEventsThatDoNotSayWhoseTaskItIsHaveAPollLookForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, `followUps: [{name: greet, on: created, title: '"New: " + task.title'}]`).With(
		stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all"}))
	w.ghl.Set(func(k *ghltest.Knobs) { k.ThinTaskEvents = true })
	ids := w.createMany(2)
	for _, id := range ids {
		w.mirror(id, named("Mira"))
	}
	w.calm(ids...)
	w.polled() // all open tasks were seen once: from now on one that is unknown is new
	for _, id := range ids {
		_, err := w.ghl.AddTask(id, ghltest.Task{Title: "Call back"})
		require.NoError(t, err)
	}
	for _, id := range ids {
		w.items(w.mirror(id, named("Mira")).ID, 2, 0) // the task and its follow-up
	}
	w.pollsEnded()
	w.calm(ids...)
	w.counts(w.starter, 2, "rankrsync_webhooks_total", `type="TaskCreate"`, `result="polled"`)
	assert.Len(t, w.rankr.Tasks(""), 4)
	assert.Empty(t, w.rankr.DoubledTasks())
}

func TestATokenWithoutTheScopesOfTasksAndBusinessesGoesOnWithContacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all"})
	w.ghl.Revoke(location, "locations/tasks.readonly", "businesses.readonly")
	contact := w.ghl.Quietly().Create(location, mira())
	found := w.polled()
	w.mirror(contact.ID, named("Mira"))
	assert.Empty(t, found.Parked)
	assert.Equal(t, crm.GHLScope, found.TasksCode)
	assert.Equal(t, crm.GHLScope, found.BusinessesCode)
	details := w.details(w.polls()[0])
	assert.Contains(t, details, "locations/tasks.readonly")
	assert.Contains(t, details, "businesses.readonly")

	_, err := w.ghl.Quietly().Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.polled()
	w.mirror(contact.ID, named("Mirabel"))
	_, err = w.ghl.AddNote(contact.ID, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	w.items(w.mirror(contact.ID, named("Mirabel")).ID, 0, 1)
	w.calm(contact.ID)
	w.problems(0, "")

	// With the scopes the next poll finds what was hidden.
	business := w.ghl.AddBusiness(location, ghltest.Business{Name: "Harbour Books"})
	_, err = w.ghl.Attach(contact.ID, business.ID)
	require.NoError(t, err)
	w.ghl.Grant(location, "locations/tasks.readonly", "businesses.readonly")
	found = w.polled()
	assert.Empty(t, found.TasksCode)
	assert.Empty(t, found.BusinessesCode)
	w.attached(contact.ID, w.company(business.ID, "Harbour Books").ID)
}

// A contact with a business, while businesses are hidden: only the business is a problem, and it solves itself.
func TestABusinessThatTheTokenMayNotSeeKeepsNothingElseOfItsContactBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, "segments: [{name: Leads, when: '\"lead\" in tags'}]\n").With(
		stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all"}))
	w.ghl.Revoke(location, "businesses.readonly")
	contact := w.ghl.Quietly().Create(location, mira())
	business := w.ghl.AddBusiness(location, ghltest.Business{Name: "Harbour Books"})
	_, err := w.ghl.Quietly().Attach(contact.ID, business.ID)
	require.NoError(t, err)
	w.polled()
	w.member(w.mirror(contact.ID, named("Mira")).ID, "Leads")
	_, err = w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.mirror(contact.ID, named("Mirabel"))
	w.calm(contact.ID)
	var open []problem
	w.answer(&open, "problems")
	for _, p := range open {
		assert.Contains(t, []crm.Code{crm.GHLScope, crm.NotLinked}, p.Code)
	}
	assert.NotEmpty(t, open)

	w.ghl.Grant(location, "businesses.readonly")
	w.polled()
	mirrored := w.company(business.ID, "Harbour Books").ID
	w.calm(contact.ID)
	w.polled() // the first one after the business came into step
	w.attached(contact.ID, mirrored)
	w.calm(contact.ID)
	w.problems(0, "")
}

// details are what a run says of itself, in its own words.
func (w *world) details(workflow string) string {
	w.t.Helper()
	answer, err := w.client.QueryWorkflow(w.t.Context(), workflow, "", "__temporal_workflow_metadata")
	require.NoError(w.t, err)
	var metadata sdkpb.WorkflowMetadata
	require.NoError(w.t, answer.Get(&metadata))
	return metadata.GetCurrentDetails()
}
