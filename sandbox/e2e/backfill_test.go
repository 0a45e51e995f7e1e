package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// before makes contacts that nobody told of: they were there before rankrsync.
func (w *world) before(location string, n int) {
	for i := range n {
		w.ghl.Quietly().Create(location, ghltest.Contact{
			FirstName: "Mira", LastName: fmt.Sprint("No ", i), Email: fmt.Sprintf("before%d@example.com", i), Country: "US", Tags: []string{"old"},
		})
	}
}

// backfill starts a Backfill as other programs do: by its name, with plain JSON.
func (w *world) backfill(input map[string]any) {
	w.t.Helper()
	_, err := w.client.ExecuteWorkflow(w.t.Context(), client.StartWorkflowOptions{
		ID: "backfill/" + location, TaskQueue: names.Workflows,
	}, "Backfill", input)
	require.NoError(w.t, err)
}

func TestABackfillWhoseWorkerAndServerAreKilledLeavesNobodyOutAndNobodyTwice(t *testing.T) {
	t.Parallel()
	const contacts = 700
	w := newWorld(t, stack.Settings{"GHL_RATE": "0", "RANKR_RATE": "0"})
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Unlimited = true
		k.Faults = []rankrtest.Fault{{Delay: 10 * time.Millisecond}}
	})
	w.before(location, contacts)
	for range 2 { // these are there already
		_, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "before7@example.com", "country": "US"}})
		require.NoError(t, err)
	}
	w.backfill(map[string]any{"location": location})
	reached := func(n int) {
		w.eventually(func() string {
			if have := len(w.rankr.All()); have < n {
				return fmt.Sprintf("Rankr has %d records, not yet %d", have, n)
			}
			return ""
		})
	}
	reached(60)
	w.worker.Kill()
	w.startWorker()
	reached(300)
	_, port, _ := strings.Cut(w.temporal.Address, ":")
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	w.temporal.Kill()
	w.startTemporal(n)
	var result names.BackfillResult
	w.finished("backfill/"+location, &result)
	w.idle()
	assert.Equal(t, contacts, result.Done)
	assert.Equal(t, contacts, result.Total)
	assert.Empty(t, w.rankr.Doubled(), "at no instant were there two")
	assert.Len(t, w.rankr.All(), contacts+1, "all, but for the one who must be chosen for, and the two candidates")
	assert.Contains(t, w.run("problems").Stdout, "RS-MATCH-AMBIGUOUS")
	gets := 0
	for _, call := range w.ghl.Calls() {
		if call.Operation == "contacts.get" {
			gets++
		}
	}
	assert.LessOrEqual(t, gets, contacts+2*6*100, "at most the pages that were open are read again")

	// What is in step costs its listing alone.
	w.ghl.Reset()
	requests := w.rankr.Counters().Requests
	w.backfill(map[string]any{"location": location})
	w.finished("backfill/"+location, &result)
	assert.Equal(t, contacts, result.Known)
	assert.Len(t, w.ghl.Calls(), 2)
	assert.Equal(t, requests, w.rankr.Counters().Requests)
}

func TestAReportSaysWhatABackfillWouldDoAndDoesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.before(location, 20)
	_, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "before7@example.com"}})
	require.NoError(t, err)
	w.backfill(map[string]any{"location": location, "report": true})
	var result names.BackfillResult
	w.finished("backfill/"+location, &result)
	require.NotNil(t, result.Matches)
	matches := *result.Matches
	matches.Left = 0
	assert.Equal(t, names.Matches{Contacts: 20, New: 19, ByEmail: 1, Records: 1, GHLCalls: 22, RankrCalls: 40}, matches)
	assert.Zero(t, w.writes())
}

func TestAPersonLoadsALocationAndFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	w.before(location, 30)
	assert.Equal(t, 1, w.run("backfill", "status").Code, "none was started")
	assert.Equal(t, 1, w.run("backfill", "pause").Code)

	report := w.run("backfill")
	assert.Equal(t, 0, report.Code, report.Stderr)
	assert.Contains(t, report.Stdout, "30 are new: a record is made")
	assert.Contains(t, report.Stderr, "nothing was written")
	assert.Zero(t, w.writes())

	taste := w.run("backfill", "--limit", "5", "--yes", "--follow")
	assert.Equal(t, 0, taste.Code, taste.Stderr)
	assert.Contains(t, taste.Stdout, "5 of 5 contacts are in step: 0 were before, created 5")
	assert.Len(t, w.rankr.All(), 5)

	for range 2 {
		_, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "before7@example.com"}})
		require.NoError(t, err)
	}
	all := w.run("backfill", "--yes", "--follow", "-o", "json")
	assert.Equal(t, 1, all.Code, "one has a problem")
	var result names.BackfillResult
	require.NoError(t, json.Unmarshal([]byte(all.Stdout), &result))
	assert.Equal(t, 30, result.Done)
	assert.Equal(t, map[string]int{"created": 24, "problem": 1}, result.Outcomes)
	assert.Contains(t, w.run("backfill", "status").Stdout, "30 of 30 contacts, finished, 1 problems")

	require.NoError(t, w.rankr.Remove(w.rankr.All()[5].ID)) // one of the two
	again := w.run("backfill", "--failed", "--yes")
	assert.Equal(t, 0, again.Code, again.Stderr)
	w.idle()
	w.problems(0, "")
	assert.Len(t, w.rankr.All(), 30)
}

func TestALocationThatConnectsMayBeLoadedAtOnce(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t)
	w.worker.Stop(patience)
	w.settings["BACKFILL"] = "start"
	w.startWorker()
	w.ghl.PutLocation(ghltest.Location{ID: "harbour", Country: "US"})
	w.before("harbour", 30)
	status, page := w.install(ghltest.Choice{Location: "harbour"})
	require.Equal(t, http.StatusOK, status, page)
	w.eventually(func() string {
		if n := len(w.rankr.All()); n != 30 {
			return fmt.Sprintf("Rankr has %d records", n)
		}
		return ""
	})
	var result names.BackfillResult
	w.finished("backfill/harbour", &result)
	assert.Equal(t, 30, result.Done)
	assert.Empty(t, w.rankr.Doubled())
}
