package activities_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

var due = time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)

// alignDeed runs the deed as a worker would.
func (w *world) alignDeed(in activities.Round) (crm.Result, error) {
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler))) // these rounds are many
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(w.tasks)
	value, err := env.ExecuteActivity(w.tasks.BringTasksAndNotesIntoStep, in)
	if err != nil {
		return crm.Result{}, err
	}
	var answer activities.Answer
	require.NoError(w.t, value.Get(&answer))
	return answer.Result, nil
}

// align runs one round after the quiet period.
func (w *world) align(contact string) crm.Result {
	w.t.Helper()
	w.pass(3 * time.Second)
	result, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: contact}})
	require.NoError(w.t, err)
	return result
}

// settle goes round as the workflow does, with a nudged contact's own rounds in between, until nothing is left to do.
func (w *world) settle(contact string) (result crm.Result, rounds int) {
	w.t.Helper()
	failures, wait := 0, 3*time.Second
	for rounds = 1; wait > 0; rounds++ {
		require.Less(w.t, rounds, 60, "it never comes to rest")
		w.pass(wait)
		var err error
		result, err = w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: contact}, Failures: failures})
		wait = result.Wait
		if failures = 0; err != nil {
			failures, wait = 1, 15*time.Second
		}
		for _, nudged := range w.nudged.take() {
			w.good(nudged)
		}
	}
	return result, rounds - 1
}

// linked is a world with Jane in both systems, and nothing counted yet.
func linked(t *testing.T) *world {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.calls()
	return w
}

func (w *world) record() string {
	w.t.Helper()
	record, ok := w.rankr.Mirror("jane")
	require.True(w.t, ok)
	return record.ID
}

func (w *world) addTask(task ghltest.Task) ghltest.Task {
	w.t.Helper()
	made, err := w.ghl.AddTask("jane", task)
	require.NoError(w.t, err)
	return made
}

func (w *world) addNote(body string) ghltest.Note {
	w.t.Helper()
	made, err := w.ghl.AddNote("jane", ghltest.Note{Body: body})
	require.NoError(w.t, err)
	return made
}

// inStep checks that Rankr mirrors each of Jane's tasks and notes exactly once, and nothing else under an id of GHL's.
func (w *world) inStep() {
	w.t.Helper()
	var want, have []string
	for _, task := range w.ghl.Tasks("jane") {
		want = append(want, fmt.Sprint("task ", task.ID, task.Title, task.Body, task.Due.UnixMilli(), task.Completed, task.AssignedTo))
	}
	for _, note := range w.ghl.Notes("jane") {
		want = append(want, fmt.Sprint("note ", note.ID, note.Body))
	}
	for _, task := range w.rankr.Tasks(w.record()) {
		if crm.ValidID(task.ExternalID) {
			have = append(have, fmt.Sprint("task ", task.ExternalID, task.Title, task.Body, task.Due.UnixMilli(), task.Done, task.AssignedTo))
		}
	}
	for _, note := range w.rankr.Notes(w.record()) {
		if note.ExternalID != "" {
			have = append(have, fmt.Sprint("note ", note.ExternalID, note.Content))
		}
	}
	assert.ElementsMatch(w.t, want, have)
	assert.Empty(w.t, w.rankr.DoubledTasks())
	assert.Empty(w.t, w.rankr.DoubledNotes())
}

func TestTasksAndNotesAreMirroredForTheFewestCalls(t *testing.T) {
	w := linked(t)
	task := w.addTask(ghltest.Task{Title: "Call back", Body: "about the offer", Due: due, AssignedTo: "user1"})
	w.addNote("Likes tea")
	result := w.align("jane")
	assert.Equal(t, crm.Updated, result.Outcome)
	assert.Equal(t, []string{"tasks", "notes"}, result.Fields)
	assert.Equal(t, w.record(), result.RankrID)
	w.inStep()
	ghl, rankr := w.calls()
	assert.Equal(t, []string{"contacts.tasks.list", "contacts.notes.list"}, ghl)
	assert.ElementsMatch(t, []string{"tasks.list", "notes.list", "tasks.create", "notes.create"}, rankr, "the first time it looks what is there")

	note := w.addNote("Has a dog")
	assert.Equal(t, []string{"notes"}, w.align("jane").Fields)
	w.inStep()
	ghl, rankr = w.calls()
	assert.Equal(t, []string{"contacts.tasks.list", "contacts.notes.list"}, ghl)
	assert.Equal(t, []string{"notes.create"}, rankr, "one new note is one write")

	assert.Equal(t, crm.Unchanged, w.align("jane").Outcome)
	ghl, rankr = w.calls()
	assert.Len(t, ghl, 2)
	assert.Empty(t, rankr)

	steps := []struct {
		name   string
		change func() error
		writes []string
	}{
		{"a task edited", func() error {
			_, err := w.ghl.EditTask(task.ID, func(t *ghltest.Task) { t.Title, t.Due = "Call again", due.Add(time.Hour) })
			return err
		}, []string{"tasks.update"}},
		{"a task completed", func() error { _, err := w.ghl.CompleteTask(task.ID); return err }, []string{"tasks.complete"}},
		{"a task reopened and edited", func() error {
			_, err := w.ghl.EditTask(task.ID, func(t *ghltest.Task) { t.Completed, t.Body = false, "" })
			return err
		}, []string{"tasks.update", "tasks.complete"}},
		{"a note edited", func() error {
			_, err := w.ghl.EditNote(note.ID, func(n *ghltest.Note) { n.Body = "Has two dogs" })
			return err
		}, []string{"notes.update"}},
		{"a task deleted", func() error { return w.ghl.DeleteTask(task.ID) }, []string{"tasks.delete"}},
		{"a note deleted", func() error { return w.ghl.DeleteNote(note.ID) }, []string{"notes.delete"}},
	}
	for _, step := range steps {
		require.NoError(t, step.change(), step.name)
		assert.Equal(t, crm.Updated, w.align("jane").Outcome, step.name)
		w.inStep()
		_, rankr := w.calls()
		assert.Equal(t, step.writes, rankr, step.name)
	}
}

func TestAHintOlderThanTheLastReadOfTasksAndNotesCostsNoCall(t *testing.T) {
	w := linked(t)
	w.addNote("a")
	w.align("jane")
	w.calls()
	result, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Hint: names.Hint{At: time.Now().Add(-time.Minute)}})
	require.NoError(t, err)
	assert.Equal(t, crm.Covered, result.Outcome)
	ghl, rankr := w.calls()
	assert.Empty(t, ghl)
	assert.Empty(t, rankr)
}

func TestWhatPeopleMadeInRankrIsNeverTouched(t *testing.T) {
	w := linked(t)
	task, err := w.rankr.AddTask(rankrtest.Task{Item: rankrtest.Item{ContactID: w.record()}, Title: "Their own"})
	require.NoError(t, err)
	note, err := w.rankr.AddNote(rankrtest.Note{Item: rankrtest.Item{ContactID: w.record()}, Content: "Their own"})
	require.NoError(t, err)
	made := w.addTask(ghltest.Task{Title: "Their own", Due: due})
	w.align("jane")
	require.NoError(t, w.ghl.DeleteTask(made.ID))
	w.settle("jane")
	w.inStep()
	assert.Equal(t, []rankrtest.Task{task}, w.rankr.Tasks(w.record()))
	assert.Equal(t, []rankrtest.Note{note}, w.rankr.Notes(w.record()))
}

func TestAContactThatIsNotInRankrYetComesFirst(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.addNote("a")
	result := w.align("jane")
	assert.Equal(t, crm.Waiting, result.Outcome)
	assert.Positive(t, result.Wait)
	assert.Equal(t, []string{"jane"}, w.nudged.take())
	ghl, rankr := w.calls()
	assert.Empty(t, append(ghl, rankr...), "waiting costs no call")

	w.good("jane")
	assert.Equal(t, crm.Updated, w.align("jane").Outcome)
	w.inStep()
}

func TestTasksAndNotesOfAContactWithAProblemWaitForItAndAPollResumesThem(t *testing.T) {
	w := newWorld(t)
	w.polls.Since = time.Now().Add(-time.Hour)
	poisoned := jane
	poisoned.Phone = "nonsense"
	w.ghl.Create(loc, poisoned)
	w.addNote("a")
	assert.Equal(t, crm.Problem, w.good("jane").Outcome)
	result := w.align("jane")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.NotLinked, result.Code)
	w.tick(activities.Tick{})
	assert.Empty(t, w.nudged.takeTasks(), "the contact is where it was")

	w.edit("jane", func(c *ghltest.Contact) { c.Phone = jane.Phone })
	w.good("jane")
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.nudged.takeTasks())
	w.align("jane")
	w.inStep()
	assert.Empty(t, w.problems())
}

func TestParkedTasksAndNotesAreResumedByAGoodPollAndContactsApart(t *testing.T) {
	w := linked(t)
	w.ghl.Fail(ghltest.Fault{Times: 2, Status: 401}) // the location, too
	assert.Equal(t, crm.GHLToken, w.align("jane").Code)
	assert.Equal(t, crm.Problem, w.good("jane").Outcome, "the token serves all of the location")
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.nudged.take())
	assert.Equal(t, []string{"jane"}, w.nudged.takeTasks())
	assert.Equal(t, crm.Unchanged, w.align("jane").Outcome)
}

func TestAScopeThatOnlyTasksAndNotesNeedStopsNoContact(t *testing.T) {
	w := linked(t)
	w.ghl.Set(func(k *ghltest.Knobs) {
		k.Faults = []ghltest.Fault{{Operation: "contacts.notes.list", Status: 401}}
	})
	assert.Equal(t, crm.Problem, w.align("jane").Outcome)
	assert.Equal(t, crm.Unchanged, w.good("jane").Outcome)
}

func TestManyTasksAndNotesTakeBoundedRoundsAndNoneIsDoubledOrMissing(t *testing.T) {
	w := linked(t)
	for i := range 200 {
		w.addTask(ghltest.Task{Title: fmt.Sprint("task ", i), Due: due, Completed: i%3 == 0})
		w.addNote(fmt.Sprint("note ", i))
	}
	result, rounds := w.settle("jane")
	assert.Equal(t, crm.Updated, result.Outcome)
	assert.Equal(t, 10, rounds, "forty writes each")
	w.inStep()
	ghl, rankr := w.calls()
	assert.Len(t, ghl, 20)
	assert.Len(t, rankr, 402, "two lists and a write for each")
	assert.Equal(t, crm.Unchanged, w.align("jane").Outcome)

	for _, note := range w.ghl.Notes("jane") {
		require.NoError(t, w.ghl.DeleteNote(note.ID))
	}
	_, rounds = w.settle("jane")
	assert.Equal(t, 5, rounds)
	w.inStep()
}

// edited is Jane with tasks and notes in step, and then a change of every kind waiting: nine writes, and five of what
// follows them.
func edited(t *testing.T) *world {
	w := linked(t)
	w.follows(welcome, review)
	var tasks []ghltest.Task
	for i := range 3 {
		tasks = append(tasks, w.addTask(ghltest.Task{Title: fmt.Sprint("task ", i), Due: due}))
	}
	notes := []ghltest.Note{w.addNote("one"), w.addNote("two")}
	w.settle("jane")
	w.inStep()
	w.addTask(ghltest.Task{Title: "new", Due: due})
	w.addTask(ghltest.Task{Title: "new and done", Due: due, Completed: true})
	_, err := w.ghl.EditTask(tasks[0].ID, func(t *ghltest.Task) { t.Title, t.Completed = "edited", true })
	require.NoError(t, err)
	_, err = w.ghl.CompleteTask(tasks[1].ID)
	require.NoError(t, err)
	require.NoError(t, w.ghl.DeleteTask(tasks[2].ID))
	w.addNote("three")
	_, err = w.ghl.EditNote(notes[0].ID, func(n *ghltest.Note) { n.Body = "edited" })
	require.NoError(t, err)
	require.NoError(t, w.ghl.DeleteNote(notes[1].ID))
	w.calls()
	return w
}

const writes = 14

// followed checks that what rules make of these changes was made, each once.
func (w *world) followed() {
	w.t.Helper()
	assert.Equal(w.t, []string{"Done: edited", "Done: new and done", "Done: task 1", "New: new", "New: new and done"}, w.followUps())
	w.onceEach()
}

// onceEach checks that nothing was made twice, not even with a delete in between.
func (w *world) onceEach() {
	w.t.Helper()
	made := map[string]int{}
	for _, event := range slices.Concat(w.rankr.TaskHistory(""), w.rankr.NoteHistory("")) {
		if event.Verb == "created" {
			made[event.ExternalID]++
		}
	}
	for id, n := range made {
		assert.Equal(w.t, 1, n, id)
	}
}

func TestAWriteWhoseAnswerIsLostDoublesNothingAndLosesNothing(t *testing.T) {
	for name, fault := range map[string]rankrtest.Fault{
		"reset before the effect": {ResetBefore: true},
		"reset after the effect":  {ResetAfter: true},
		"cut answer":              {Cut: true},
		"500 after the effect":    {Status: 500, AfterEffect: true},
		"500":                     {Status: 500},
		"somebody else's answer":  {Foreign: true},
		"429":                     {Status: 429, RetryAfter: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range writes {
				w := edited(t)
				fault.Skip, fault.Times = n, 1
				w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{fault} })
				w.settle("jane")
				assert.Empty(t, w.rankr.Knobs().Faults, "write %d was reached", n)
				w.inStep()
				w.followed()
			}
		})
	}
}

// dying is a Rankr before whose nth write, or after it, the worker is gone: nothing more is written, and the store never
// hears how the round ended.
type dying struct {
	crm.TaskDestination
	activities.Links
	left  *int // writes until then
	after bool
}

var errKilled = errors.New("killed")

func (d dying) write(do func() error) error {
	*d.left--
	dies := *d.left == -1
	if dies && !d.after {
		return errKilled
	}
	err := do()
	if dies {
		return errKilled
	}
	return err
}

func (d dying) Release(ctx context.Context, held, next crm.Link, unsure bool, problem *crm.ProblemRecord) error {
	if *d.left == -1 {
		*d.left--
		return errKilled
	}
	return d.Links.Release(ctx, held, next, unsure, problem)
}

func (d dying) CreateTask(ctx context.Context, l, r, key string, task crm.Task) (made crm.Task, err error) {
	err = d.write(func() error { made, err = d.TaskDestination.CreateTask(ctx, l, r, key, task); return err })
	return made, err
}

func (d dying) UpdateTask(ctx context.Context, l, r string, task crm.Task) error {
	return d.write(func() error { return d.TaskDestination.UpdateTask(ctx, l, r, task) })
}

func (d dying) CompleteTask(ctx context.Context, l, r, id string, done bool) error {
	return d.write(func() error { return d.TaskDestination.CompleteTask(ctx, l, r, id, done) })
}

func (d dying) DeleteTask(ctx context.Context, l, r, id string) error {
	return d.write(func() error { return d.TaskDestination.DeleteTask(ctx, l, r, id) })
}

func (d dying) CreateNote(ctx context.Context, l, r, key string, note crm.Note) (made crm.Note, err error) {
	err = d.write(func() error { made, err = d.TaskDestination.CreateNote(ctx, l, r, key, note); return err })
	return made, err
}

func (d dying) UpdateNote(ctx context.Context, l, r string, note crm.Note) error {
	return d.write(func() error { return d.TaskDestination.UpdateNote(ctx, l, r, note) })
}

func (d dying) DeleteNote(ctx context.Context, l, r, id string) error {
	return d.write(func() error { return d.TaskDestination.DeleteNote(ctx, l, r, id) })
}

func TestAWorkerKilledAtAnyWriteDoublesNothingAndLosesNothing(t *testing.T) {
	for name, after := range map[string]bool{"before its effect": false, "after its effect": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range writes {
				w := edited(t)
				left := n
				rankr := dying{w.tasks.Destination, w.store, &left, after}
				w.tasks.Destination, w.contacts.Links = rankr, rankr
				w.settle("jane")
				assert.Negative(t, left, "write %d was reached", n)
				w.inStep()
				w.followed()
			}
		})
	}
}

func TestWhatSomebodyDeletedInRankrIsMadeAgain(t *testing.T) {
	w := linked(t)
	task, note := w.addTask(ghltest.Task{Title: "a", Due: due}), w.addNote("a")
	w.align("jane")
	require.NoError(t, w.rankr.RemoveTask(w.rankr.Tasks(w.record())[0].ID))
	require.NoError(t, w.rankr.RemoveNote(w.rankr.Notes(w.record())[0].ID))
	_, err := w.ghl.EditTask(task.ID, func(t *ghltest.Task) { t.Title = "b" })
	require.NoError(t, err)
	_, err = w.ghl.EditNote(note.ID, func(n *ghltest.Note) { n.Body = "b" })
	require.NoError(t, err)
	w.settle("jane")
	w.inStep()
	assert.Len(t, w.rankr.Tasks(w.record()), 1)
	assert.Len(t, w.rankr.Notes(w.record()), 1)
}

func TestALookFindsWhatSomebodyDeletedInRankr(t *testing.T) {
	w := linked(t)
	w.addTask(ghltest.Task{Title: "a", Due: due})
	w.addNote("a")
	w.align("jane")
	require.NoError(t, w.rankr.RemoveTask(w.rankr.Tasks(w.record())[0].ID))
	w.pass(3 * time.Second)
	_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Failures: 1})
	require.NoError(t, err)
	w.inStep()
}

func TestARecordThatSomebodyDeletedInRankrComesBackWithItsTasksAndNotes(t *testing.T) {
	w := linked(t)
	w.addTask(ghltest.Task{Title: "a", Due: due})
	w.align("jane")
	require.NoError(t, w.rankr.Remove(w.record()))
	w.addNote("b")
	w.settle("jane")
	w.inStep()
}

func TestTasksAndNotesOfAContactThatIsGoneInGHLAreNobodysBusiness(t *testing.T) {
	w := linked(t)
	w.addNote("a")
	w.align("jane")
	require.NoError(t, w.ghl.Delete("jane"))
	assert.Equal(t, crm.Gone, w.align("jane").Outcome)
	assert.Equal(t, []string{"jane"}, w.nudged.take(), "nobody told its own workflow yet")
	assert.Equal(t, crm.Deleted, w.good("jane").Outcome)
	w.calls()
	assert.Equal(t, crm.Gone, w.align("jane").Outcome)
	ghl, rankr := w.calls()
	assert.Empty(t, append(ghl, rankr...))
	link, err := w.store.Link(t.Context(), crm.Ref{Location: loc, Contact: "jane"}, crm.TasksAndNotes)
	require.NoError(t, err)
	assert.True(t, link.Deleted)
	assert.Empty(t, link.Records)
}

func TestANoteThatRankrRefusesIsAProblemAndKeepsNoOtherFromItsTurn(t *testing.T) {
	w := linked(t)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.MaxValue = 1000 })
	poison := w.addNote(strings.Repeat("x", 2000))
	for i := range 50 {
		w.addNote(fmt.Sprint("note ", i))
	}
	result, _ := w.settle("jane")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.RankrInvalid, result.Code)
	assert.Len(t, w.rankr.Notes(w.record()), 50)
	require.Len(t, w.problems(), 1)
	assert.Equal(t, crm.TasksAndNotes, w.problems()[0].Object)

	_, err := w.ghl.EditNote(poison.ID, func(n *ghltest.Note) { n.Body = "short" })
	require.NoError(t, err)
	w.settle("jane")
	w.inStep()
	assert.Empty(t, w.problems())
}

func TestMoreThanOneRoundHoldsThatRankrRefusesKeepNoOtherFromItsTurn(t *testing.T) {
	w := linked(t)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.MaxValue = 1000 })
	for range 100 {
		w.addTask(ghltest.Task{Title: "a", Body: strings.Repeat("x", 2000), Due: due})
	}
	for i := range 5 {
		w.addNote(fmt.Sprint("note ", i))
	}
	result, rounds := w.settle("jane")
	assert.Equal(t, crm.RankrInvalid, result.Code)
	assert.Less(t, rounds, 10)
	assert.Len(t, w.rankr.Notes(w.record()), 5)

	w.rankr.Set(func(k *rankrtest.Knobs) { k.MaxValue = 5000 })
	w.settle("jane")
	w.inStep()
	assert.Empty(t, w.problems())
	for name := range w.row().Fields {
		assert.NotContains(t, name, "refused/")
	}
}

func TestATaskThatAnotherContactsRecordHoldsIsAProblem(t *testing.T) {
	w := linked(t)
	other, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "other@example.com"}})
	require.NoError(t, err)
	task := w.addTask(ghltest.Task{Title: "a", Due: due})
	_, err = w.rankr.AddTask(rankrtest.Task{Item: rankrtest.Item{ContactID: other.ID, ExternalID: task.ID}, Title: "a"})
	require.NoError(t, err)
	result, _ := w.settle("jane")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.MatchTaken, result.Code)
	assert.Len(t, w.rankr.Tasks(other.ID), 1, "it stays where it is")
}

func TestAStoreThatLostTasksAndNotesFindsThemAgain(t *testing.T) {
	w := linked(t)
	w.addTask(ghltest.Task{Title: "a", Due: due})
	w.addNote("a")
	w.align("jane")
	ref := crm.Ref{Location: loc, Contact: "jane"}
	was, err := w.store.Link(t.Context(), ref, crm.TasksAndNotes)
	require.NoError(t, err)
	lost := was
	lost.Fields, lost.Records = nil, nil
	require.NoError(t, w.store.Advance(t.Context(), was, lost))
	w.settle("jane")
	w.inStep()
	w.onceEach()
}

func TestWhileRankrIsAwayNothingIsReadTwice(t *testing.T) {
	w := linked(t)
	w.addNote("a")
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = true })
	for failures := range 4 {
		w.pass(time.Minute)
		_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Failures: failures})
		require.Error(t, err)
	}
	ghl, _ := w.calls()
	assert.LessOrEqual(t, len(ghl), 2)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = false })
	w.settle("jane")
	w.inStep()
}

func TestBadIDsOfTasksAndNotesAreRefusedBeforeAnyCall(t *testing.T) {
	w := linked(t)
	_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "../jane"}})
	require.Error(t, err)
	assert.Contains(t, err.Error(), string(crm.InvalidInput))
	ghl, rankr := w.calls()
	assert.Empty(t, append(ghl, rankr...))
}
