package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// rules are the settings of a worker with a sync.yaml.
func rules(t *testing.T, text string) stack.Settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return stack.Settings{"SYNC_FILE": file}
}

// newest is the newest run of a workflow: its id, empty where there is none, and whether it goes on.
func (w *world) newest(workflow string) (run string, open bool) {
	w.t.Helper()
	found, err := w.client.DescribeWorkflowExecution(w.t.Context(), workflow, "")
	if notFound := (*serviceerror.NotFound)(nil); err != nil {
		require.ErrorAs(w.t, err, &notFound)
		return "", false
	}
	info := found.GetWorkflowExecutionInfo()
	return info.GetExecution().GetRunId(), info.GetCloseTime() == nil
}

// calm waits until nothing is left to do for the contacts, and returns what it has cost so far. A webhook is delivered once
// Temporal has it, and whoever starts a workflow of the contact ends after that: where all have ended, and a second look
// finds the same, nothing is under way.
func (w *world) calm(contacts ...string) cost {
	w.t.Helper()
	workflows := []string{names.Contacts(location)}
	for _, contact := range contacts {
		workflows = append(workflows, names.Contact(location, contact), names.TasksAndNotes(location, contact), names.Segments(location, contact))
	}
	for _, business := range w.ghl.Businesses(location) {
		workflows = append(workflows, names.Business(location, business.ID))
	}
	var before string
	w.eventually(func() string {
		require.NoError(w.t, w.ghl.Settle(w.t.Context()))
		now := fmt.Sprint(len(w.ghl.Deliveries()), w.cost())
		for _, workflow := range workflows {
			run, open := w.newest(workflow)
			if open {
				return workflow + " is running"
			}
			now += " " + run
		}
		if now != before {
			before = now
			return "something has happened"
		}
		return ""
	})
	return w.cost()
}

// cost is what was asked of both systems.
type cost struct{ calls, requests, writes int }

func (w *world) cost() cost {
	return cost{w.ghl.Stats().Calls, w.rankr.Counters().Requests, w.writes()}
}

func (c cost) since(before cost) cost {
	return cost{c.calls - before.calls, c.requests - before.requests, c.writes - before.writes}
}

// member waits until the contact's record is in exactly the segments.
func (w *world) member(record string, segments ...string) {
	w.t.Helper()
	w.eventually(func() string {
		if have := w.rankr.SegmentsOf(record); !slices.Equal(have, segments) {
			return fmt.Sprintf("the record is in the segments %v", have)
		}
		return ""
	})
}

func TestATagThatARuleWaitsForPutsTheRecordIntoItsSegmentForOneReadAndTwoWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, "segments: [{name: VIPs, when: '\"vip\" in tags'}]\n"))
	ids := w.createMany(2)
	first, second := w.mirror(ids[0], named("Mira")).ID, w.mirror(ids[1], named("Mira")).ID
	_, err := w.ghl.Tag(ids[0], "VIP")
	require.NoError(t, err)
	w.member(first, "VIPs")
	before := w.calm(ids...)

	_, err = w.ghl.Tag(ids[1], "vip")
	require.NoError(t, err)
	w.member(second, "VIPs")
	spent := w.calm(ids...).since(before)
	assert.Equal(t, 1, spent.calls, "one read of the contact serves both workflows")
	assert.Equal(t, 2, spent.writes, "the tag and the membership")

	before = w.calm(ids...)
	run, _ := w.newest(names.Segments(location, ids[1]))
	_, err = w.ghl.Edit(ids[1], func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.mirror(ids[1], named("Mirabel"))
	assert.Equal(t, 1, w.calm(ids...).since(before).writes)
	after, _ := w.newest(names.Segments(location, ids[1]))
	assert.Equal(t, run, after, "an edit that decides nothing new starts nothing")

	_, err = w.ghl.Untag(ids[1], "vip")
	require.NoError(t, err)
	w.member(second)
	w.member(first, "VIPs")
	assert.Len(t, w.rankr.Segments(), 1)
	assert.Empty(t, w.rankr.DoubledSegments())
}

func TestAWorkerThatIsKilledInASegmentsRoundLeavesTheRightMembership(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, `
segments:
  - {name: VIPs, when: '"vip" in tags'}
  - {name: Leads, when: '"lead" in tags'}
`))
	contact := w.ghl.Create(location, mira())
	record := w.mirror(contact.ID, named("Mira")).ID
	w.member(record, "Leads")
	own, err := w.rankr.AddSegment(rankrtest.Segment{Name: "The team's own"})
	require.NoError(t, err)
	_, err = w.rankr.PutIntoSegment(record, own.ID)
	require.NoError(t, err)
	w.calm(contact.ID)
	// The write in whose middle the worker dies takes effect later.
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{{Operation: "contacts.setSegments", Times: 1, Delay: 3 * time.Second}}
	})
	before := w.rankr.Counters().Operations["contacts.setSegments"]
	_, err = w.ghl.Tag(contact.ID, "vip")
	require.NoError(t, err)
	w.eventually(func() string {
		if w.rankr.Counters().Operations["contacts.setSegments"] == before {
			return "nobody writes the membership"
		}
		return ""
	})
	w.worker.Kill()
	_, err = w.ghl.Untag(contact.ID, "lead")
	require.NoError(t, err)
	w.startWorker()
	w.member(record, "The team's own", "VIPs")
	w.calm(contact.ID)
	w.member(record, "The team's own", "VIPs")
	assert.Empty(t, w.rankr.DoubledSegments())
}
