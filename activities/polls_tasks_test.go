package activities_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// watched is a world whose polls look at tasks, with Jane in both systems and her task in step.
func watched(t *testing.T) (w *world, task ghltest.Task) {
	w = linked(t)
	w.polls.Tasks, w.polls.Prints = w.tasks.Source, w.store.Fingerprinter()
	task = w.addTask(ghltest.Task{ID: "t1", Title: "Call back", Due: due})
	w.settle("jane")
	w.tick(activities.Tick{})
	require.Empty(t, w.found(), "in step")
	w.calls()
	return w, task
}

func (w *world) editTaskSilently(id string, change func(*ghltest.Task)) {
	w.t.Helper()
	_, err := w.ghl.Quietly().EditTask(id, change)
	require.NoError(w.t, err)
}

// found returns whose tasks and notes were handed over since the last look, each with its events.
func (w *world) found() []string {
	w.nudged.mu.Lock()
	defer w.nudged.mu.Unlock()
	var found []string
	for _, hint := range w.nudged.tasks {
		found = append(found, strings.TrimSpace(hint.Contact+" "+strings.Join(hint.Events, ",")))
	}
	slices.Sort(found)
	w.nudged.tasks = nil
	return found
}

func TestAnIdleTickThatLooksAtTasksIsTwoCalls(t *testing.T) {
	w, _ := watched(t)
	answer := w.tick(activities.Tick{})
	assert.Empty(t, w.found())
	assert.Equal(t, 2, answer.Calls)
	assert.Equal(t, 1, answer.Tasks)
	assert.Zero(t, answer.Nudged)
	ghl, rankr := w.calls()
	assert.Equal(t, []string{"contacts.search", "locations.tasks.search"}, ghl)
	assert.Empty(t, rankr)
}

func TestATaskThatWasEditedSilentlyIsFoundAndComesIntoStep(t *testing.T) {
	w, task := watched(t)
	for _, change := range []func(*ghltest.Task){
		func(t *ghltest.Task) { t.Title = "Call again" },
		func(t *ghltest.Task) { t.Due = due.Add(time.Hour) },
		func(t *ghltest.Task) { t.AssignedTo = "user2" },
		func(t *ghltest.Task) { t.Title = "Call back" },
	} {
		w.editTaskSilently(task.ID, change)
		answer := w.tick(activities.Tick{})
		assert.Equal(t, []string{"jane"}, w.found())
		assert.Equal(t, 1, answer.Nudged)
		w.settle("jane")
		w.inStep()
		w.tick(activities.Tick{})
		assert.Empty(t, w.found())
	}
}

func TestOneHintHoldsAllOfAContact(t *testing.T) {
	w, task := watched(t)
	for i := range 250 {
		w.addTask(ghltest.Task{ID: fmt.Sprintf("more%03d", i), Title: "More", Due: due})
	}
	w.settle("jane")
	w.tick(activities.Tick{})
	w.found()
	for i := range 250 {
		w.editTaskSilently(fmt.Sprintf("more%03d", i), func(t *ghltest.Task) { t.Title = "Even more" })
	}
	w.editTaskSilently(task.ID, func(t *ghltest.Task) { t.Title = "Less" })
	answer := w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.found())
	assert.Equal(t, 251, answer.Tasks)
}

func TestATaskIsNewOnlyOnceAllWereSeen(t *testing.T) {
	w := linked(t)
	w.polls.Tasks, w.polls.Prints = w.tasks.Source, w.store.Fingerprinter()
	w.addTask(ghltest.Task{ID: "old", Title: "Old", Due: due})
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.found(), "it is not in Rankr, and may be years old")
	w.addTask(ghltest.Task{ID: "new2", Title: "New", Due: due})
	w.addTask(ghltest.Task{ID: "new1", Title: "New", Due: due})
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane created/new1,created/new2"}, w.found())
	w.tick(activities.Tick{})
	assert.Empty(t, w.found(), "Temporal has it: it is not handed over twice")
	w.settle("jane")
	w.inStep()
	w.tick(activities.Tick{})
	assert.Empty(t, w.found())
}

func TestMoreNewTasksThanAHintHoldsAreFoundByTheNextTicks(t *testing.T) {
	w, _ := watched(t)
	for i := range 2*names.MaxEvents + 20 {
		w.addTask(ghltest.Task{ID: fmt.Sprintf("n%03d", i), Title: "New", Due: due})
	}
	events := map[string]bool{}
	for _, want := range []int{names.MaxEvents, names.MaxEvents, 20} {
		w.tick(activities.Tick{})
		found := w.found()
		require.Len(t, found, 1)
		_, told, _ := strings.Cut(found[0], " ")
		for _, event := range strings.Split(told, ",") {
			assert.False(t, events[event], event)
			events[event] = true
		}
		assert.Len(t, strings.Split(told, ","), want)
	}
	assert.Len(t, events, 2*names.MaxEvents+20)
}

func TestATaskThatIsNotOpenAnyMoreIsFoundOnce(t *testing.T) {
	for name, change := range map[string]func(*world) error{
		"completed": func(w *world) error { _, err := w.ghl.Quietly().CompleteTask("t1"); return err },
		"deleted":   func(w *world) error { return w.ghl.Quietly().DeleteTask("t1") },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := watched(t)
			require.NoError(t, change(w))
			w.tick(activities.Tick{})
			assert.Equal(t, []string{"jane completed/t1"}, w.found())
			w.settle("jane")
			w.inStep()
			w.tick(activities.Tick{})
			assert.Empty(t, w.found())
		})
	}
}

func TestATaskThatIsReopenedIsNotNew(t *testing.T) {
	w, task := watched(t)
	w.editTaskSilently(task.ID, func(t *ghltest.Task) { t.Completed = true })
	w.tick(activities.Tick{})
	w.settle("jane")
	w.found()
	w.editTaskSilently(task.ID, func(t *ghltest.Task) { t.Completed = false })
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.found())
	w.settle("jane")
	w.inStep()
}

func TestTasksOfAContactThatIsNotLinkedAreLeftAloneUntilItIs(t *testing.T) {
	w, _ := watched(t)
	w.ghl.Quietly().Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
	_, err := w.ghl.Quietly().AddTask("joe", ghltest.Task{ID: "joes", Title: "Call", Due: due})
	require.NoError(t, err)
	w.tick(activities.Tick{})
	assert.Empty(t, w.found())
	w.good("joe")
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"joe created/joes"}, w.found(), "it was made while polls looked, however long its contact took")
	require.NoError(t, w.ghl.Quietly().DeleteTask("joes"))
	require.NoError(t, w.ghl.Quietly().Delete("joe"))
	w.good("joe")
	w.tick(activities.Tick{})
	assert.Empty(t, w.found(), "there is nobody to align")
}

func TestOldTasksOfAContactThatComesLaterAreNotNew(t *testing.T) {
	w := newWorld(t)
	w.polls.Tasks, w.polls.Prints = w.tasks.Source, w.store.Fingerprinter()
	w.ghl.Create(loc, jane)
	w.addTask(ghltest.Task{ID: "old", Title: "Old", Due: due})
	w.tick(activities.Tick{})
	assert.Empty(t, w.found())
	w.good("jane")
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.found())
}

func TestARecordThatWasMadeAgainNeedsItsTasksAgain(t *testing.T) {
	w, _ := watched(t)
	require.NoError(t, w.rankr.Remove(w.record()))
	w.edit("jane", func(c *ghltest.Contact) { c.City = "Bern" })
	w.good("jane")
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.found())
	w.settle("jane")
	w.inStep()
}

func TestAStateThatCanNotComeIntoStepIsHandedOverOnce(t *testing.T) {
	w, task := watched(t)
	w.editTaskSilently(task.ID, func(t *ghltest.Task) { t.Title = "Refused" })
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Operation: "tasks.update", Status: 422}} })
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.found())
	assert.Equal(t, crm.Problem, w.align("jane").Outcome)
	for range 3 {
		w.tick(activities.Tick{})
		assert.Empty(t, w.found(), "the same state has its problem already")
	}
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = nil })
	w.editTaskSilently(task.ID, func(t *ghltest.Task) { t.Title = "Accepted" })
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.found(), "this may mend it")
	w.settle("jane")
	w.inStep()
	assert.Empty(t, w.problems())
}

func TestATickThatDiesBetweenHandOverAndMemoryRepeatsIt(t *testing.T) {
	w, task := watched(t)
	w.editTaskSilently(task.ID, func(t *ghltest.Task) { t.Title = "Call again" })
	w.addTask(ghltest.Task{ID: "new", Title: "New", Due: due})
	w.nudged.fail = errors.New("Temporal is away")
	_, err := w.poll(activities.Tick{})
	require.Error(t, err)
	w.nudged.fail = nil

	w.polls.Ticks = forgetful{w.store}
	_, err = w.poll(activities.Tick{})
	require.Error(t, err)
	assert.Equal(t, []string{"jane created/new"}, w.found())
	w.polls.Ticks = w.store
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane created/new"}, w.found())
	w.tick(activities.Tick{})
	assert.Empty(t, w.found())
}

// forgetful is a store that dies before it remembers tasks.
type forgetful struct{ activities.Ticks }

func (forgetful) SaveTasks(context.Context, string, map[string]crm.PolledTask, bool) error {
	return errors.New("killed")
}

func TestHandOversOfTasksThatTemporalForgotAreRepeated(t *testing.T) {
	w := linked(t)
	w.polls.Tasks, w.polls.Prints = w.tasks.Source, w.store.Fingerprinter()
	w.addTask(ghltest.Task{Title: "Call", Due: due})
	w.tick(activities.Tick{Scheduled: true})
	assert.Equal(t, []string{"jane"}, w.found())
	w.tick(activities.Tick{Scheduled: true, Last: 1})
	assert.Empty(t, w.found())
	w.tick(activities.Tick{Scheduled: true, Last: 1})
	assert.Equal(t, []string{"jane"}, w.found(), "it knows nothing of the second tick, and perhaps nothing of its hand-overs")
}

func TestATaskThatIsDueAndThatNobodyWaitsForAnyMoreIsFoundOnce(t *testing.T) {
	w := following(t, chase)
	w.polls.Tasks, w.polls.Prints = w.tasks.Source, w.store.Fingerprinter()
	w.addTask(ghltest.Task{ID: "late", Title: "Call", Due: time.Now().Add(time.Hour)})
	w.settle("jane")
	require.False(t, w.waits("late").IsZero())
	w.tick(activities.Tick{})
	require.Empty(t, w.found())

	w.passInGHL(time.Hour + 5*time.Minute)
	w.tick(activities.Tick{})
	assert.Empty(t, w.found(), "AwaitDueDate may be about to tell")
	w.passInGHL(10 * time.Minute)
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane overdue/late"}, w.found())
	w.tick(activities.Tick{})
	assert.Empty(t, w.found(), "once")
	w.hear("overdue/late")
	assert.Equal(t, []string{"Late: Call"}, w.followUps())
	w.tick(activities.Tick{})
	assert.Empty(t, w.found())
}

func TestALongWalkGoesOnAtTheNextTick(t *testing.T) {
	w, _ := watched(t)
	for i := range 250 {
		w.addTask(ghltest.Task{ID: fmt.Sprintf("more%03d", i), Title: "More", Due: due, DateAdded: due.Add(-time.Duration(i) * time.Hour)})
	}
	w.settle("jane")
	w.tick(activities.Tick{})
	w.found()
	w.calls()

	w.polls.TaskPages = 1
	w.editTaskSilently("more249", func(t *ghltest.Task) { t.Title = "The last" })
	require.NoError(t, w.ghl.Quietly().DeleteTask("more000"))
	answer, stops := activities.TickAnswer{}, []int{}
	for len(stops) == 0 || answer.TasksFrom > 0 {
		require.Less(t, len(stops), 9)
		answer = w.tick(activities.Tick{LastTasks: answer.TasksFrom})
		ghl, _ := w.calls()
		assert.Len(t, ghl, 2)
		stops = append(stops, answer.TasksFrom)
	}
	assert.Equal(t, []int{75, 150, 225, 250, 0}, stops, "some are looked at again: those that are done make the others move up")
	assert.Equal(t, []string{"jane"}, w.found(), "that one is gone, only a whole walk can tell")

	w.polls.TaskPages = 0
	w.settle("jane")
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane completed/more000"}, w.found())
}

func TestAStoreThatWasRestoredStartsTheWalkAnew(t *testing.T) {
	w, _ := watched(t)
	w.editTaskSilently("t1", func(t *ghltest.Task) { t.Title = "Call again" })
	w.tick(activities.Tick{Scheduled: true, Last: 99, LastTasks: 1975})
	assert.Equal(t, []string{"jane"}, w.found())
}

func TestAMissingScopeForTasksStopsNothingElse(t *testing.T) {
	w, task := watched(t)
	w.ghl.Revoke(loc, "locations/tasks.readonly")
	w.editTaskSilently(task.ID, func(t *ghltest.Task) { t.Title = "Call again" })
	w.edit("jane", func(c *ghltest.Contact) { c.City = "Bern" })
	answer := w.tick(activities.Tick{LastTasks: 0})
	assert.Equal(t, crm.GHLScope, answer.TasksCode)
	assert.Empty(t, answer.Parked)
	assert.Equal(t, []string{"jane"}, w.nudged.take())
	assert.Empty(t, w.found())
	assert.Equal(t, crm.Updated, w.good("jane").Outcome)

	w.ghl.Grant(loc, "locations/tasks.readonly")
	answer = w.tick(activities.Tick{})
	assert.Empty(t, answer.TasksCode)
	assert.Equal(t, []string{"jane"}, w.found())
}

func TestWhatWasFoundIsHandedOverAlthoughTheWalkFails(t *testing.T) {
	w, _ := watched(t)
	for i := range 150 {
		w.addTask(ghltest.Task{ID: fmt.Sprintf("more%03d", i), Title: "More", Due: due})
	}
	w.ghl.Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
	require.NoError(t, w.store.ParkLocation(t.Context(), loc, crm.GHLToken))
	w.ghl.Fail(ghltest.Fault{Operation: "locations.tasks.search", Skip: 1, Status: 503})
	_, err := w.poll(activities.Tick{})
	require.Error(t, err)
	assert.NotEmpty(t, w.found())
	assert.Contains(t, w.nudged.take(), "joe")
	code, err := w.store.Parked(t.Context(), loc)
	require.NoError(t, err)
	assert.Empty(t, code, "the location works, whatever becomes of its tasks")
}

func TestAWalkOfSeveralTicksHasSeenAllAtItsEnd(t *testing.T) {
	w := linked(t)
	w.polls.Tasks, w.polls.Prints, w.polls.TaskPages = w.tasks.Source, w.store.Fingerprinter(), 1
	for i := range 150 {
		w.addTask(ghltest.Task{ID: fmt.Sprintf("old%03d", i), Title: "Old", Due: due})
	}
	answer := w.tick(activities.Tick{})
	for range 9 {
		assert.Subset(t, []string{"jane"}, w.found(), "none of them is known to be new")
		if answer.TasksFrom == 0 {
			break
		}
		answer = w.tick(activities.Tick{LastTasks: answer.TasksFrom})
	}
	require.Zero(t, answer.TasksFrom)
	w.settle("jane")
	w.addTask(ghltest.Task{ID: "new", Title: "New", Due: due})
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane created/new"}, w.found())
}

func TestANewTaskThatAFirstRoundTookForAnOldOneIsToldOf(t *testing.T) {
	w, _ := watched(t)
	w.addTask(ghltest.Task{ID: "known", Title: "New", Due: due})
	w.addTask(ghltest.Task{ID: "mistaken", Title: "New", Due: due})
	w.settle("jane")
	was := w.row()
	next := was
	next.Fields["seen/known"], next.Fields["seen/mistaken"] = "open", "old open"
	require.NoError(t, w.store.Advance(t.Context(), was, next))
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane created/mistaken"}, w.found())
}
