package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

func mira() ghltest.Contact {
	return ghltest.Contact{FirstName: "Mira", LastName: "Holm", Email: "mira@example.com", Phone: "+13125550188", Country: "US", Tags: []string{"lead"}}
}

func TestAContactsLifeInGHLIsLivedInRankr(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)

	contact := w.ghl.Create(location, mira())
	record := w.mirror(contact.ID, named("Mira"))
	assert.Equal(t, "mira@example.com", record.Fields["email"])
	assert.Equal(t, []string{"lead"}, record.Tags)
	w.quiet(contact.ID)
	assert.Equal(t, 1, w.ghl.Count("contacts.get"), "a create costs one read")
	assert.Equal(t, 1, w.writes(), "and one write")

	_, err := w.ghl.Tag(contact.ID, "VIP")
	require.NoError(t, err)
	w.mirror(contact.ID, func(r rankrtest.Record) string {
		if !slices.Contains(r.Tags, "vip") {
			return "the tag is missing"
		}
		return ""
	})
	w.quiet(contact.ID)
	assert.Equal(t, 2, w.ghl.Count("contacts.get"))
	assert.Equal(t, 2, w.writes())

	require.NoError(t, w.ghl.Delete(contact.ID))
	w.eventually(func() string {
		if len(w.rankr.All()) > 0 {
			return "the record is still there"
		}
		return ""
	})
}

func TestABurstOfTwentyEditsCostsTwoReadsAndTwoWritesAtMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Create(location, mira())
	w.mirror(contact.ID, named("Mira"))
	w.quiet(contact.ID)
	reads, writes := w.ghl.Count("contacts.get"), w.writes()

	for i := range 20 {
		_, err := w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mira " + strconv.Itoa(i+1) })
		require.NoError(t, err)
	}
	w.mirror(contact.ID, named("Mira 20"))
	w.quiet(contact.ID)
	assert.LessOrEqual(t, w.ghl.Count("contacts.get")-reads, 2)
	assert.LessOrEqual(t, w.writes()-writes, 2)
}

func TestAnEditThatChangesNothingCostsOneReadAndNoWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Create(location, mira())
	w.mirror(contact.ID, named("Mira"))
	w.quiet(contact.ID)
	reads, writes := w.ghl.Count("contacts.get"), w.writes()

	result := w.run("sync-contact", "--contact", contact.ID, "--wait", "--output", "json")
	require.Equal(t, 0, result.Code, result.Stderr)
	var answer struct{ Outcome crm.Outcome }
	require.NoError(t, json.Unmarshal([]byte(result.Stdout), &answer))
	assert.Equal(t, crm.Unchanged, answer.Outcome)
	assert.Equal(t, 1, w.ghl.Count("contacts.get")-reads)
	assert.Equal(t, 0, w.writes()-writes)
}

func TestAWorkerKilledInTheMiddleOfAWriteLeavesOneRecordInStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	// The first create takes effect only after the worker that asked for it is dead.
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{{Operation: "contacts.create", Times: 1, Delay: 3 * time.Second}}
	})
	contact := w.ghl.Create(location, mira())
	w.eventually(func() string {
		if !slices.ContainsFunc(w.rankr.Calls(), func(c rankrtest.Call) bool { return c.Operation == "contacts.create" }) {
			return "nobody creates the record"
		}
		return ""
	})
	w.worker.Kill()
	_, err := w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.startWorker()

	w.mirror(contact.ID, named("Mirabel"))
	w.quiet(contact.ID)
	assert.Len(t, w.rankr.All(), 1)
	assert.Empty(t, w.rankr.Doubled(), "at no instant were there two")
}

func TestAServerRestartedOnItsFilesGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = true })
	contact := w.ghl.Create(location, mira())
	require.NoError(t, w.ghl.Settle(t.Context()))
	w.eventually(func() string {
		if w.rankr.Counters().Requests == 0 {
			return "nobody asked Rankr"
		}
		return ""
	})
	_, port, _ := strings.Cut(w.temporal.Address, ":")
	n, err := strconv.Atoi(port)
	require.NoError(t, err)

	w.temporal.Kill()
	w.startTemporal(n)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = false })
	w.mirror(contact.ID, named("Mira"))
	var result crm.Result
	w.finished(names.Contact(location, contact.ID), &result)
	assert.Equal(t, crm.Created, result.Outcome, "the run that was open when the server was killed")
}

func TestWhileTemporalIsAwayWebhooksAreRefusedAndComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Quietly().Create(location, mira())
	body, err := w.ghl.Event(ghltest.ContactCreate, contact.ID)
	require.NoError(t, err)
	_, port, _ := strings.Cut(w.temporal.Address, ":")
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	w.temporal.Kill()

	status, header := w.post(body, w.ghl.Sign(body))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.NotEmpty(t, header.Get("Retry-After"))

	_, err = w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.startTemporal(n)
	w.mirror(contact.ID, named("Mirabel"))
}

func TestAPollFindsWhatNoWebhookTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all"})
	contact := w.ghl.Quietly().Create(location, mira())
	w.poll()
	w.mirror(contact.ID, named("Mira"))

	_, err := w.ghl.Quietly().Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.poll()
	w.mirror(contact.ID, named("Mirabel"))
	w.quiet(contact.ID)

	calls := w.ghl.Stats().Calls
	w.poll()
	w.eventually(func() string {
		if w.ghl.Stats().Calls == calls {
			return "no poll ran"
		}
		return ""
	})
	w.pollsEnded()
	assert.Equal(t, calls+3, w.ghl.Stats().Calls, "an idle poll looks once for contacts, tasks and businesses each")
}

// poll asks for a poll; the worker makes the schedule soon after its start.
func (w *world) poll() {
	w.t.Helper()
	w.pollsEnded()
	w.eventually(func() string {
		if result := w.run("poll", "now"); result.Code != 0 {
			return result.Stderr
		}
		return ""
	})
}

// pollsEnded waits until no poll runs: one that is asked for meanwhile would be left out.
func (w *world) pollsEnded() {
	w.t.Helper()
	w.eventually(func() string {
		open, err := w.client.CountWorkflow(w.t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: "WorkflowType = 'PollChanges' AND ExecutionStatus = 'Running'",
		})
		switch {
		case err != nil:
			return err.Error()
		case open.GetCount() > 0:
			return "a poll is running"
		}
		return ""
	})
}

func TestOtherProgramsStartSyncContactByItsNameWithPlainJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Quietly().Create(location, mira())
	// What the temporal CLI and tctl send: a type name, a queue, and one JSON document.
	run, err := w.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "contact/" + location + "/" + contact.ID, TaskQueue: "rankrsync",
	}, "SyncContact", json.RawMessage(`{"location":"`+location+`","contact":"`+contact.ID+`"}`))
	require.NoError(t, err)
	var result map[string]any
	require.NoError(t, run.Get(t.Context(), &result))
	assert.Equal(t, "created", result["outcome"])
	w.mirror(contact.ID, named("Mira"))
}

func TestInputThatCannotBeUsedFailsAtOnceAndCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, input := range []string{
		`{}`, `{"location":"","contact":""}`, `{"location":"l","contact":"../x"}`, `{"location":"l","contact":"a/b"}`,
		`{"location":"l","contact":"a\nb"}`, `{"location":"l","contact":"` + strings.Repeat("x", 4096) + `"}`,
	} {
		run, err := w.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "rankrsync"}, "SyncContact", json.RawMessage(input))
		require.NoError(t, err)
		require.ErrorContains(t, run.Get(t.Context(), nil), string(crm.InvalidInput), input)
	}
	assert.Zero(t, w.ghl.Stats().Calls)
	assert.Zero(t, w.rankr.Counters().Requests)
}

func TestAllRunsOfAContactAreFoundBySearchAttribute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	known, err := w.client.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: w.temporal.Namespace})
	require.NoError(t, err)
	for _, key := range []string{names.GhlLocation.GetName(), names.GhlContact.GetName(), names.SyncState.GetName()} {
		assert.Contains(t, known.GetCustomAttributes(), key, "the embedded server registers what package names names")
	}

	contact := w.ghl.Create(location, mira())
	w.mirror(contact.ID, named("Mira"))
	w.quiet(contact.ID)
	_, err = w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.mirror(contact.ID, named("Mirabel"))
	w.quiet(contact.ID)
	w.eventually(func() string {
		found, err := w.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
			Query: "GhlLocation = '" + location + "' AND GhlContact = '" + contact.ID + "'",
		})
		switch {
		case err != nil:
			return err.Error()
		case len(found.GetExecutions()) != 2:
			return strconv.Itoa(len(found.GetExecutions())) + " runs are found"
		}
		return ""
	})
}

func TestAnAmbiguousContactIsAProblemThatClosesItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var twins []rankrtest.Record
	for range 2 {
		record, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "mira@example.com"}})
		require.NoError(t, err)
		twins = append(twins, record)
	}
	contact := w.ghl.Create(location, mira())
	w.quiet(contact.ID)
	result := w.run("problems", "--output", "json")
	assert.Contains(t, result.Stdout, string(crm.Ambiguous))
	assert.Contains(t, result.Stdout, contact.ID)
	for _, twin := range twins {
		assert.Contains(t, result.Stdout, twin.ID, "both candidates are named")
	}
	assert.Zero(t, w.writes())

	require.NoError(t, w.rankr.Remove(twins[1].ID))
	result = w.run("sync-contact", "--contact", contact.ID, "--wait", "--output", "json")
	require.Equal(t, 0, result.Code, result.Stderr+result.Stdout)
	assert.Equal(t, twins[0].ID, w.mirror(contact.ID, named("Mira")).ID)
	assert.NotContains(t, w.run("problems", "--output", "json").Stdout, contact.ID)
}

func TestAForgedWebhookIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Quietly().Create(location, mira())
	body, err := w.ghl.Event(ghltest.ContactCreate, contact.ID)
	require.NoError(t, err)
	for _, signature := range []string{"", "N/A", "bm8=", w.ghl.Sign([]byte("another body"))} {
		status, _ := w.post(body, signature)
		assert.Equal(t, http.StatusUnauthorized, status, "%q", signature)
	}
	assert.Zero(t, w.ghl.Stats().Calls)
}

func TestAStormInOneLocationIsBroughtIntoStepByPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.ghl.Set(func(k *ghltest.Knobs) { k.DuplicateWebhooks, k.ReorderWebhooks = 1, 200*time.Millisecond })
	const many = 60 // within the vendors' 100 calls in 10 s
	var ids []string
	for i := range many {
		contact := mira()
		contact.Email, contact.Phone = "mira"+strconv.Itoa(i)+"@example.com", ""
		ids = append(ids, w.ghl.Create(location, contact).ID)
	}
	require.NoError(t, w.ghl.Settle(t.Context()))
	for _, id := range ids {
		w.mirror(id, named("Mira"))
	}
	assert.Len(t, w.rankr.All(), many)
	assert.Empty(t, w.rankr.Doubled())
	assert.Zero(t, w.ghl.Stats().Violations, "no call over GHL's limit")
	assert.Zero(t, w.rankr.Counters().Statuses[http.StatusTooManyRequests])
	var result struct{ Outcomes map[string]int }
	w.finished(names.Contacts(location), &result)
	assert.NotEmpty(t, result.Outcomes)
}

func TestMakeRunListsAllThatIsMissingBeforeItStartsAnything(t *testing.T) {
	t.Parallel()
	s := stack.Stack{Bin: binaries(t), Dir: t.TempDir()}
	result, err := s.Run(t.Context(), nil, "run")
	require.NoError(t, err)
	assert.Equal(t, 2, result.Code)
	for _, name := range []string{"GHL_TOKEN", "GHL_LOCATION_ID", "RANKR_BASE_URL", "RANKR_TOKEN"} {
		assert.Contains(t, result.Stderr, name)
	}
	assert.Empty(t, result.Stdout)
	left, err := filepath.Glob(filepath.Join(s.Dir, "*"))
	require.NoError(t, err)
	assert.Empty(t, left, "no file was made")
}
