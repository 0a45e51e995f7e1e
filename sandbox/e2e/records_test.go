package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

var record = flag.Bool("record", false, "write the histories that the replay tests of package workflows read")

// histories is where the replay tests look.
const histories = "../../workflows/testdata/histories"

// history reads all events of a run; run may be empty for the newest.
func (w *world) history(workflow, run string) *historypb.History {
	w.t.Helper()
	var all historypb.History
	events := w.client.GetWorkflowHistory(w.t.Context(), workflow, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(w.t, err)
		all.Events = append(all.Events, event)
	}
	return &all
}

// What a history says of the machine it was recorded on: the worker's identity, and its sticky queue.
var (
	identity = regexp.MustCompile(`"identity": "[^"]*"`)
	sticky   = regexp.MustCompile(`"name": "[^"]*:[0-9a-f-]{36}"`)
)

func (w *world) save(name, workflow string) {
	w.t.Helper()
	text, err := protojson.Marshal(w.history(workflow, ""))
	require.NoError(w.t, err)
	var indented bytes.Buffer
	require.NoError(w.t, json.Indent(&indented, text, "", " "))
	text = identity.ReplaceAll(indented.Bytes(), []byte(`"identity": "recorded"`))
	text = sticky.ReplaceAll(text, []byte(`"name": "recorded"`))
	require.NoError(w.t, os.MkdirAll(histories, 0o755))
	require.NoError(w.t, os.WriteFile(filepath.Join(histories, name+".json"), append(text, '\n'), 0o644))
}

func TestRecordHistoriesForReplay(t *testing.T) {
	if !*record {
		t.Skip("records only with -record")
	}
	w := newWorld(t, rules(t, `
segments: [{name: VIPs, when: '"vip" in tags'}]
tagWorkflows: [{name: welcome, whenTagAdded: vip, addTags: [warm], task: {title: '"Call"', due: 'now + duration("48h")'}}]
followUps: [{name: chase, on: overdue, title: '"Overdue: " + task.title'}]
`).With(stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all"}))
	w.ghl.Seed(location, 30)
	w.poll()
	w.eventually(func() string {
		if n := len(w.rankr.All()); n != 30 {
			return fmt.Sprintf("Rankr has %d records", n)
		}
		return ""
	})
	w.pollsEnded()
	w.finished(names.Contacts(location), nil)
	w.save("SyncContacts-first-poll", names.Contacts(location))
	polls, err := w.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: "WorkflowType = 'PollChanges'"})
	require.NoError(t, err)
	w.save("PollChanges-first-poll", polls.GetExecutions()[len(polls.GetExecutions())-1].GetExecution().GetWorkflowId())

	contact := w.ghl.Create(location, mira())
	workflow := names.Contact(location, contact.ID)
	w.mirror(contact.ID, named("Mira"))
	w.quiet(contact.ID)
	w.save("SyncContact-created", workflow)

	for i := range 20 {
		_, err := w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = fmt.Sprintf("Mira %d", i+1) })
		require.NoError(t, err)
	}
	w.mirror(contact.ID, named("Mira 20"))
	w.quiet(contact.ID)
	w.save("SyncContact-burst", workflow)

	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = true })
	_, err = w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.eventually(func() string {
		if w.rankr.Counters().Statuses[http.StatusServiceUnavailable] < 2 {
			return "nobody asked Rankr twice"
		}
		return ""
	})
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = false })
	result := w.run("sync-contact", "--contact", contact.ID, "--wait")
	require.Equal(t, 0, result.Code, result.Stderr)
	w.quiet(contact.ID)
	w.save("SyncContact-outage-and-update", workflow)

	for range 2 {
		_, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "twins@example.com"}})
		require.NoError(t, err)
	}
	twin := w.ghl.Create(location, ghltest.Contact{FirstName: "Twin", Email: "twins@example.com"})
	w.quiet(twin.ID)
	w.save("SyncContact-problem", names.Contact(location, twin.ID))

	_, err = w.ghl.AddNote(contact.ID, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	w.aligned(contact.ID)
	w.save("AlignTasksAndNotes-created", names.TasksAndNotes(location, contact.ID))

	// A contact that its own workflow must bring to Rankr first, and more notes than one round may write.
	late := w.ghl.Quietly().Create(location, ghltest.Contact{FirstName: "Late", Email: "late@example.com"})
	for i := range 50 {
		_, err := w.ghl.Quietly().AddNote(late.ID, ghltest.Note{Body: fmt.Sprintf("Note %d", i+1)})
		require.NoError(t, err)
	}
	result = w.run("align-tasks-notes", "--contact", late.ID, "--wait")
	require.Equal(t, 0, result.Code, result.Stderr)
	w.aligned(late.ID)
	w.save("AlignTasksAndNotes-waits-and-goes-on", names.TasksAndNotes(location, late.ID))

	// A tag that rules wait for, and a business that its own workflow must mirror first.
	business := w.ghl.AddBusiness(location, ghltest.Business{Name: "Harbour Books"})
	_, err = w.ghl.Quietly().Attach(late.ID, business.ID)
	require.NoError(t, err)
	_, err = w.ghl.Tag(late.ID, "vip")
	require.NoError(t, err)
	w.attached(late.ID, w.company(business.ID, "Harbour Books").ID)
	w.finished(names.Segments(location, late.ID), nil)
	w.save("SegmentContact-tagged-and-attached", names.Segments(location, late.ID))
	w.calm(late.ID)
	w.save("SyncBusiness-asked-by-its-contact", names.Business(location, business.ID))

	task, err := w.ghl.AddTask(late.ID, ghltest.Task{Title: "Send offer", Due: time.Now().Add(3 * time.Second)})
	require.NoError(t, err)
	w.followUps(w.mirror(late.ID, named("Late")).ID, "Overdue: Send offer")
	w.finished(names.DueDate(location, late.ID, task.ID), nil)
	w.save("AwaitDueDate-overdue", names.DueDate(location, late.ID, task.ID))

	require.NoError(t, w.ghl.Delete(contact.ID))
	w.eventually(func() string {
		if _, there := w.rankr.Mirror(contact.ID); there {
			return "the record is still there"
		}
		return ""
	})
	w.quiet(contact.ID)
	w.save("SyncContact-deleted", workflow)

	w.before(location, 20)
	w.backfill(map[string]any{"location": location, "tasksAndNotes": true})
	w.finished(names.BackfillOf(location), nil)
	w.save("Backfill-tasks-and-notes", names.BackfillOf(location))
	w.backfill(map[string]any{"location": location, "report": true})
	w.finished(names.BackfillOf(location), nil)
	w.save("Backfill-report", names.BackfillOf(location))

	require.NoError(t, w.rankr.Remove(w.rankr.All()[0].ID))
	result = w.run("reconcile", "--repair", "--yes")
	require.Equal(t, 1, result.Code, result.Stderr) // of the twins a person must choose
	w.save("Reconcile-repaired", names.ReconcileOf(location))
}

// canary is in every personal value of the contact below, whatever is done to the value's case.
const canary = "kanarienvogel"

// ringing is in a phone number and in the text of a note.
const ringing = "3125550177"

// bunting is in a tag of it. The store may know tags, for it must tell those that GHL had from those that only Rankr has.
const bunting = "goldammer"

func TestPersonalDataAndTokensStayInGHLAndRankr(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, privateRules).With(stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all"}))
	contact := ghltest.Contact{
		FirstName: "Kanarienvogel", LastName: "Kanarienvogel", Email: "kanarienvogel@example.com", Phone: "+1" + ringing, CompanyName: "Kanarienvogel",
		Address1: "Kanarienvogel 1", City: "Kanarienvogel", State: "Kanarienvogel", PostalCode: "KANARIENVOGEL", Country: "US",
		Website: "https://kanarienvogel.example", Source: "kanarienvogel",
		CustomFields: []ghltest.Value{{ID: ghltest.SeedFields[3].ID, Value: "kanarienvogel"}},
	}
	// Everything that makes errors, which is how personal data gets into places where nobody looks for it: refused
	// values, pages for people, cut and lost answers, two candidates.
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{
			{Operation: "contacts.find", Times: 1, ResetBefore: true},
			{Operation: "contacts.create", Times: 1, Cut: true},
			{Operation: "contacts.create", Times: 1, HTML: true, Status: http.StatusBadGateway},
		}
	})
	w.ghl.Fail(ghltest.Fault{Operation: "contacts.get", Times: 1, Cut: true})
	made := w.ghl.Create(location, contact)
	w.mirror(made.ID, named("Kanarienvogel"))
	w.quiet(made.ID)

	w.decideAndFollow(made.ID)

	for range 2 {
		_, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "kanarienvogel2@example.com"}})
		require.NoError(t, err)
	}
	twin := w.ghl.Create(location, ghltest.Contact{FirstName: "Kanarienvogel", Email: "kanarienvogel2@example.com", Tags: []string{"kanarienvogel"}})
	w.quiet(twin.ID)
	refused := contact
	refused.Email, refused.Phone = "kanarienvogel3@example.com", "+1kanarienvogel"
	odd := w.ghl.Create(location, refused)
	w.quiet(odd.ID)
	_, err := w.ghl.Quietly().Edit(made.ID, func(c *ghltest.Contact) { c.City = "Kanarienvogelstadt" })
	require.NoError(t, err)
	w.poll()
	w.mirror(made.ID, func(r rankrtest.Record) string {
		if r.Fields["city"] != "Kanarienvogelstadt" {
			return "the city is another"
		}
		return ""
	})
	w.quiet(made.ID)
	w.backfill(map[string]any{"location": location, "tasksAndNotes": true})
	w.finished(names.BackfillOf(location), nil)
	compared := w.run("reconcile", "--repair", "--yes")
	assert.Equal(t, 1, compared.Code, "some wait for a person")
	assert.Empty(t, leaks([]byte(compared.Stdout+compared.Stderr)))
	// Refused tokens; Rankr's first, for GHL's parks the location.
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Times: 1, Status: http.StatusUnauthorized}} })
	w.refused(made.ID, crm.RankrToken)
	w.answer(new(handedOver), "problems", "--retry", "--yes")
	w.idle()
	w.ghl.PutLocation(place("another"))
	w.refused(made.ID, crm.GHLToken)

	runs, err := w.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{})
	require.NoError(t, err)
	require.NotEmpty(t, runs.GetExecutions())
	kinds := map[string]bool{}
	for _, run := range runs.GetExecutions() {
		kinds[run.GetType().GetName()] = true
		text, err := protojson.Marshal(w.history(run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId()))
		require.NoError(t, err)
		assert.Empty(t, leaks(decoded(text)), "the history of %s", run.GetExecution().GetWorkflowId())
	}
	for _, kind := range []string{names.SyncContact, names.AlignTasksAndNotes, names.SegmentContact, names.SyncBusiness, names.AwaitDueDate, names.PollChanges, names.Backfill, names.Reconcile} {
		assert.True(t, kinds[kind], "no history of %s was looked at", kind)
	}
	for _, program := range []*stack.Program{w.worker, w.starter} {
		assert.Empty(t, leaks([]byte(w.exposition(program))), "the metrics of %s", program.Name)
	}
	for _, command := range []string{
		"problems", "config", "segment-contact --wait --contact " + made.ID, "align-tasks-notes --wait --contact " + made.ID,
	} {
		result := w.run(strings.Fields(command)...)
		assert.Empty(t, leaks([]byte(result.Stdout+result.Stderr)), "what starter %s prints", command)
	}
	for _, dir := range []string{w.stack.Dir, w.stack.Log} { // the store, Temporal's files, the logs
		require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			found := leaks(content)
			if strings.HasPrefix(entry.Name(), "rankrsync.db") {
				found = slices.DeleteFunc(found, func(private string) bool { return private == bunting })
			}
			assert.Empty(t, found, "the file %s", path)
			return err
		}))
	}
}

// privateRules work on personal values: one can't be worked out for a contact that has said how it was met.
const privateRules = `
segments:
  - {name: Friends, when: 'contact.firstName startsWith "K" && "vip" in tags'}
  - {name: Rich, when: 'default(customFields.how_we_met, 0) > 1000'}
tagWorkflows:
  - name: welcome
    whenTagAdded: vip
    addTags: [warm]
    task: {title: '"Call " + contact.firstName', body: contact.email, due: 'now + duration("48h")'}
followUps:
  - {name: greet, on: created, title: '"New: " + task.title', body: task.body}
  - {name: chase, on: overdue, title: '"Overdue: " + task.title'}
  - {name: odd, on: completed, title: task.title, when: 'int(task.title) > 1'}
`

// decideAndFollow gives a contact a tag that rules wait for, a business and tasks, all of it personal, while much goes wrong.
func (w *world) decideAndFollow(contact string) {
	w.t.Helper()
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{
			{Operation: "contacts.setSegments", Times: 1, Status: http.StatusBadGateway, HTML: true},
			{Operation: "businesses.create", Times: 1, Cut: true},
			{Operation: "tasks.create", Times: 1, Foreign: true},
		}
	})
	w.ghl.Fail(ghltest.Fault{Operation: "businesses.get", Times: 1, HTML: true, Status: http.StatusBadGateway})
	business := w.ghl.AddBusiness(location, ghltest.Business{Name: "Kanarienvogel & Co", Email: "kanarienvogel@example.com", City: "Kanarienvogel"})
	_, err := w.ghl.Quietly().Attach(contact, business.ID)
	require.NoError(w.t, err)
	_, err = w.ghl.Tag(contact, "vip", "Goldammer")
	require.NoError(w.t, err)
	task, err := w.ghl.AddTask(contact, ghltest.Task{Title: "Feed Kanarienvogel", Body: "Kanarienvogel", Due: time.Now().Add(3 * time.Second)})
	require.NoError(w.t, err)
	_, err = w.ghl.AddNote(contact, ghltest.Note{Body: "Kanarienvogel asks to be called at " + ringing})
	require.NoError(w.t, err)
	record := w.mirror(contact, named("Kanarienvogel")).ID
	w.followUps(record, "New: Call Kanarienvogel", "New: Feed Kanarienvogel", "Overdue: Feed Kanarienvogel")
	_, err = w.ghl.CompleteTask(task.ID) // its rule asks for a number
	require.NoError(w.t, err)
	w.attached(contact, w.company(business.ID, "Kanarienvogel & Co").ID)
	w.member(record, "Friends")
	w.calm(contact)
	assert.Len(w.t, w.rankr.Notes(record), 1)
	w.problems(2, crm.RuleFailed)
}

// refused changes a contact, and waits until that has become a problem with the code.
func (w *world) refused(contact string, code crm.Code) {
	w.t.Helper()
	_, err := w.ghl.Edit(contact, func(c *ghltest.Contact) { c.City = "Kanarienvogel: " + string(code) })
	require.NoError(w.t, err)
	w.quiet(contact)
	assert.Contains(w.t, w.run("problems").Stdout, code)
}

// leaks names what the text holds of that which must be in GHL and Rankr alone.
func leaks(text []byte) (found []string) {
	text = bytes.ToLower(text)
	for _, private := range []string{canary, bunting, ringing, ghltest.Token(location), rankrToken} {
		if bytes.Contains(text, []byte(strings.ToLower(private))) {
			found = append(found, private)
		}
	}
	return found
}

var base64Data = regexp.MustCompile(`"data":\s*"([A-Za-z0-9+/=]+)"`)

// decoded appends what the payloads of a history hold.
func decoded(history []byte) []byte {
	all := bytes.Clone(history)
	for _, found := range base64Data.FindAllSubmatch(history, -1) {
		if payload, err := base64.StdEncoding.DecodeString(string(found[1])); err == nil {
			all = append(append(all, '\n'), payload...)
		}
	}
	return all
}

func TestALeakIsSeenInsideAPayload(t *testing.T) {
	for _, private := range []string{"Kanarienvogel", "Goldammer", ringing, ghltest.Token(location), rankrToken} {
		payload, err := json.Marshal(map[string]any{"data": []byte(`{"name":"` + private + `"}`)})
		require.NoError(t, err)
		assert.Empty(t, leaks(payload))
		assert.Len(t, leaks(decoded([]byte(strings.ReplaceAll(string(payload), `":"`, `": "`)))), 1)
	}
}
