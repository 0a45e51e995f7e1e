package e2e

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// problem is what a script sees of one that starter problems lists.
type problem struct {
	Location string   `json:"location"`
	Contact  string   `json:"contact"`
	Code     crm.Code `json:"code"`
	Who      string   `json:"who"`
	Remedy   string   `json:"remedy"`
}

// answer runs a command that must succeed, and decodes what it prints.
func (w *world) answer(into any, args ...string) {
	w.t.Helper()
	result := w.run(append(args, "--output", "json")...)
	require.Equal(w.t, 0, result.Code, result.Stderr)
	require.NoError(w.t, json.Unmarshal([]byte(result.Stdout), into), result.Stdout)
}

// problems waits until starter problems lists so many, all with the code, and returns them.
func (w *world) problems(n int, code crm.Code) []problem {
	w.t.Helper()
	var found []problem
	w.eventually(func() string {
		found = nil
		w.answer(&found, "problems")
		if len(found) != n || slices.ContainsFunc(found, func(p problem) bool { return p.Code != code }) {
			text, _ := json.Marshal(found)
			return "these are open: " + string(text)
		}
		return ""
	})
	return found
}

type handedOver struct {
	HandedOver int `json:"handedOver"`
}

func TestDeletesBeyondTheBrakeWaitForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"QUIET_PERIOD": "0"})
	ids := w.createMany(22)
	w.eventually(w.outOfStep)
	for _, id := range ids {
		require.NoError(t, w.ghl.Delete(id))
	}
	var parked []string
	for _, p := range w.problems(2, crm.DeleteBrake) {
		assert.Equal(t, location, p.Location)
		assert.Contains(t, p.Remedy, "approve-deletes")
		parked = append(parked, p.Contact)
	}
	mirrored := func() (contacts []string) {
		for _, record := range w.rankr.All() {
			contacts = append(contacts, record.ExternalID)
		}
		return contacts
	}
	w.eventually(func() string {
		if len(mirrored()) > 2 {
			return "more than the parked are left"
		}
		return ""
	})
	w.idle()
	assert.ElementsMatch(t, parked, mirrored(), "the parked ones are still there")

	result := w.run("approve-deletes", "--location", location)
	assert.Equal(t, 2, result.Code, "nobody can be asked, and --yes is not given")
	assert.Contains(t, result.Stderr, "--yes")
	w.idle()
	assert.ElementsMatch(t, parked, mirrored(), "a refused approval approves nothing")

	var answer handedOver
	w.answer(&answer, "approve-deletes", "--location", location, "--yes")
	assert.Equal(t, 2, answer.HandedOver)
	w.eventually(w.outOfStep)
	w.problems(0, "")
	assert.Empty(t, w.rankr.All())
}

func TestARefusedGHLTokenParksTheLocationUntilItIsMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"QUIET_PERIOD": "0"})
	first := w.ghl.Create(location, mira())
	w.mirror(first.ID, named("Mira"))
	w.quiet(first.ID)

	const fresh = "pit-fresh"
	w.ghl.PutLocation(place(fresh)) // the token that the worker has is revoked
	_, err := w.ghl.Edit(first.ID, func(c *ghltest.Contact) { c.FirstName = "Mirabel" })
	require.NoError(t, err)
	w.quiet(first.ID)
	found := w.problems(1, crm.GHLToken)
	assert.Equal(t, first.ID, found[0].Contact)
	assert.Equal(t, "you", found[0].Who)
	assert.Contains(t, found[0].Remedy, "GHL_TOKEN")

	calls := w.ghl.Stats().Calls
	second := w.ghl.Create(location, ghltest.Contact{FirstName: "Second", Email: "second@example.com"})
	w.quiet(second.ID)
	w.problems(2, crm.GHLToken)
	assert.Equal(t, calls, w.ghl.Stats().Calls, "a parked location costs no calls")

	result := w.run("sync-contact", "--contact", first.ID, "--wait")
	assert.Equal(t, 4, result.Code, "the credentials are refused")
	assert.Contains(t, result.Stdout, crm.GHLToken)

	// A wish to try again, while nothing is mended, ends where it was.
	var answer handedOver
	w.answer(&answer, "problems", "--retry", "--yes")
	assert.Equal(t, 2, answer.HandedOver)
	w.eventually(func() string {
		if w.ghl.Stats().Calls == calls {
			return "nobody tried"
		}
		return ""
	})
	w.idle()
	w.problems(2, crm.GHLToken)

	w.worker.Stop(patience)
	w.settings["GHL_TOKEN"] = fresh
	w.startWorker()
	w.answer(&answer, "problems", "--retry", "--yes")
	assert.Equal(t, 2, answer.HandedOver)
	w.mirror(first.ID, named("Mirabel"))
	w.mirror(second.ID, named("Second"))
	w.problems(0, "")
}

// pollState is what a script sees of a poll that starter poll list lists.
type pollState struct {
	Location string    `json:"location"`
	Paused   bool      `json:"paused"`
	Note     string    `json:"note"`
	Next     time.Time `json:"next"`
}

func TestAPausedPollStaysPausedOverARestartOfTheWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Settings{"POLL_INTERVAL": "15m", "POLL_SINCE": "all"})
	listed := func(fits func(pollState) bool) {
		t.Helper()
		w.eventually(func() string {
			var polls []pollState
			w.answer(&polls, "poll", "list")
			if len(polls) != 1 || polls[0].Location != location || !fits(polls[0]) {
				text, _ := json.Marshal(polls)
				return "the polls are " + string(text)
			}
			return ""
		})
	}
	listed(func(p pollState) bool { return !p.Paused && !p.Next.IsZero() })

	result := w.run("poll", "pause", "--location", "another")
	assert.Equal(t, 1, result.Code, "there is no such poll")
	assert.Contains(t, result.Stderr, "no poll is scheduled")
	require.Equal(t, 0, w.run("poll", "pause").Code)
	listed(func(p pollState) bool { return p.Paused && p.Note != "" && p.Next.IsZero() })

	w.worker.Stop(patience)
	w.settings["POLL_INTERVAL"] = "10m"
	w.startWorker()
	handle := w.client.ScheduleClient().GetHandle(t.Context(), names.Poll(location))
	w.eventually(func() string {
		schedule, err := handle.Describe(t.Context())
		switch {
		case err != nil:
			return err.Error()
		case schedule.Schedule.Spec.Intervals[0].Every != 10*time.Minute:
			return "the worker that was started anew has not updated the schedule"
		case !schedule.Schedule.State.Paused:
			require.FailNow(t, "the update has resumed the poll")
		}
		return ""
	})
	listed(func(p pollState) bool { return p.Paused })

	require.Equal(t, 0, w.run("poll", "resume").Code)
	listed(func(p pollState) bool { return !p.Paused && !p.Next.IsZero() })
	contact := w.ghl.Quietly().Create(location, mira())
	w.poll()
	w.mirror(contact.ID, named("Mira"))
}

func TestSyncContactTellsByItsExitCodeHowItEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Quietly().Create(location, mira())

	result := w.run("sync-contact", "--location", "another", "--contact", contact.ID, "--wait")
	assert.Equal(t, 1, result.Code)
	unknown := crm.Catalogue[crm.UnknownLocation]
	assert.Equal(t, "problem "+string(crm.UnknownLocation)+": "+unknown.Sentence+"; "+unknown.Remedy+"\n", result.Stdout)
	assert.Zero(t, w.ghl.Stats().Calls, "no system is asked about a location that is not ours")
	assert.Zero(t, w.rankr.Counters().Requests)

	var twins []rankrtest.Record
	for range 2 {
		twin, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "mira@example.com"}})
		require.NoError(t, err)
		twins = append(twins, twin)
	}
	result = w.run("sync-contact", "--contact", contact.ID, "--wait", "--output", "json")
	assert.Equal(t, 1, result.Code, "the answer is no")
	var outcome struct {
		Outcome crm.Outcome
		Code    crm.Code
		Remedy  string
	}
	require.NoError(t, json.Unmarshal([]byte(result.Stdout), &outcome))
	assert.Equal(t, crm.Problem, outcome.Outcome)
	assert.Equal(t, crm.Ambiguous, outcome.Code)
	assert.Equal(t, crm.Catalogue[crm.Ambiguous].Remedy, outcome.Remedy)
	w.quiet(contact.ID)

	require.NoError(t, w.rankr.Remove(twins[1].ID))
	w.worker.Stop(patience)
	result = w.run("sync-contact", "--contact", contact.ID, "--wait", "--timeout", "2s")
	assert.Equal(t, 5, result.Code, "nobody works")
	assert.Contains(t, result.Stderr, "goes on")
	assert.Empty(t, result.Stdout)
	w.startWorker()
	w.mirror(contact.ID, named("Mira"))
}
