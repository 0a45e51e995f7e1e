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
	"github.com/rankrsync/rankrsync/crm/rules"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// followUp is a rule as sync.yaml has it.
type followUp struct{ name, on, when, title string }

var (
	welcome = followUp{name: "welcome", on: "created", title: `"New: " + task.title`}
	review  = followUp{name: "review", on: "completed", title: `"Done: " + task.title`}
	chase   = followUp{name: "chase", on: "overdue", title: `"Late: " + task.title`}
)

// follows lets the rules hold from now on.
func (w *world) follows(all ...followUp) {
	w.t.Helper()
	text := "followUps:\n"
	for _, rule := range all {
		text += fmt.Sprintf("  - name: %s\n    on: %s\n    title: '%s'\n    due: now + duration(\"24h\")\n", rule.name, rule.on, rule.title)
		if rule.when != "" {
			text += fmt.Sprintf("    when: '%s'\n", rule.when)
		}
	}
	parsed, err := rules.Parse("sync.yaml", []byte(text))
	require.NoError(w.t, err)
	w.tasks.Rules = parsed
}

// following is Jane in both systems, looked at once without a task, and then rules.
func following(t *testing.T, all ...followUp) *world {
	w := linked(t)
	w.follows(all...)
	w.settle("jane")
	w.calls()
	return w
}

// hear runs rounds for a hint of events.
func (w *world) hear(events ...string) crm.Result {
	w.t.Helper()
	w.pass(3 * time.Second)
	result, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Hint: names.Hint{At: time.Now(), Events: events}})
	require.NoError(w.t, err)
	return result
}

// followUps are the titles of what the rules had made for the team, sorted.
func (w *world) followUps() []string {
	titles := []string{}
	for _, task := range w.rankr.Tasks(w.record()) {
		if strings.HasPrefix(task.ExternalID, "followUp:") {
			titles = append(titles, task.Title)
		}
	}
	slices.Sort(titles)
	return titles
}

// row is what the store remembers of Jane's tasks and notes.
func (w *world) row() crm.Link {
	w.t.Helper()
	row, err := w.store.Link(w.t.Context(), crm.Ref{Location: loc, Contact: "jane"}, crm.TasksAndNotes)
	require.NoError(w.t, err)
	return row
}

func (w *world) complete(id string) {
	w.t.Helper()
	_, err := w.ghl.CompleteTask(id)
	require.NoError(w.t, err)
}

func (w *world) editTask(id string, change func(*ghltest.Task)) {
	w.t.Helper()
	_, err := w.ghl.EditTask(id, change)
	require.NoError(w.t, err)
}

// waits tells until when Temporal was asked to wait for a task of Jane's.
func (w *world) waits(task string) time.Time {
	w.nudged.mu.Lock()
	defer w.nudged.mu.Unlock()
	return w.nudged.due["jane/"+task].UTC()
}

func TestATaskIsFollowedWhenItIsCreatedCompletedAndOverdue(t *testing.T) {
	w := following(t, welcome, review, chase)
	task := w.addTask(ghltest.Task{Title: "Call", Due: time.Now().Add(time.Hour)})
	result := w.align("jane")
	assert.Equal(t, crm.Updated, result.Outcome)
	assert.Equal(t, []string{"tasks", "followUps"}, result.Fields)
	assert.Equal(t, []string{"New: Call"}, w.followUps())
	ghl, rankr := w.calls()
	assert.Len(t, ghl, 2)
	assert.Equal(t, []string{"tasks.create", "tasks.create"}, rankr)

	w.passInGHL(time.Hour + time.Minute)
	assert.Equal(t, []string{"followUps"}, w.align("jane").Fields)
	assert.Equal(t, []string{"Late: Call", "New: Call"}, w.followUps())
	assert.False(t, w.waits(task.ID).IsZero(), "what waited for it is about to end by itself")

	w.complete(task.ID)
	assert.Equal(t, []string{"tasks", "followUps"}, w.align("jane").Fields)
	assert.Equal(t, []string{"Done: Call", "Late: Call", "New: Call"}, w.followUps())
	w.calls()

	assert.Equal(t, crm.Unchanged, w.align("jane").Outcome)
	_, rankr = w.calls()
	assert.Empty(t, rankr)
	w.inStep()
	for _, made := range w.rankr.Tasks(w.record()) {
		if !crm.ValidID(made.ExternalID) {
			assert.WithinDuration(t, w.ghlClock().Add(24*time.Hour), made.Due, 2*time.Hour)
			assert.False(t, made.Done)
		}
	}
}

func TestOldTasksFloodNobodyButWhatAHintTellsOfThemCounts(t *testing.T) {
	w := linked(t)
	w.follows(welcome, review, chase)
	var open, done ghltest.Task
	for i := range 45 {
		open = w.addTask(ghltest.Task{Title: fmt.Sprint("open ", i), Due: time.Now().Add(-time.Hour)})
		done = w.addTask(ghltest.Task{Title: fmt.Sprint("done ", i), Due: due, Completed: true})
	}
	w.settle("jane")
	w.inStep()
	assert.Empty(t, w.followUps())

	w.hear("created/"+open.ID, "completed/"+open.ID, "completed/"+done.ID, "overdue/"+done.ID)
	assert.Equal(t, []string{"Done: done 44", "New: open 44"}, w.followUps(), "as far as it is true of the task")
	w.hear("created/"+done.ID, "overdue/"+open.ID)
	assert.Equal(t, []string{"Done: done 44", "Late: open 44", "New: done 44", "New: open 44"}, w.followUps())
}

func TestAHintOfTheVeryFirstRoundCounts(t *testing.T) {
	w := linked(t)
	w.follows(welcome)
	w.addTask(ghltest.Task{Title: "old", Due: due})
	fresh := w.addTask(ghltest.Task{Title: "new", Due: due})
	w.hear("created/"+fresh.ID, "created/nonsense", "x/"+fresh.ID)
	assert.Equal(t, []string{"New: new"}, w.followUps())
	w.inStep()
}

func TestAnEventThatARoundReadBeforeItsHintCameIsNotCovered(t *testing.T) {
	w := linked(t)
	w.follows(welcome)
	task := w.addTask(ghltest.Task{Title: "new", Due: due})
	w.align("jane") // a note's webhook, say, was faster
	assert.Empty(t, w.followUps())
	hint := names.Hint{At: time.Now().Add(-time.Minute), Events: []string{"created/" + task.ID}}
	w.pass(3 * time.Second)
	_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Hint: hint})
	require.NoError(t, err)
	assert.Equal(t, []string{"New: new"}, w.followUps())

	w.calls()
	hint.Events = []string{"completed/" + task.ID}
	result, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Hint: hint})
	require.NoError(t, err)
	assert.Equal(t, crm.Covered, result.Outcome, "no rule waits for it")
}

func TestWhatAHintTellsIsNotForgottenWhileAProblemStandsInTheWay(t *testing.T) {
	for name, trouble := range map[string]struct {
		begins func(t *testing.T) *world
		ends   func(w *world)
	}{
		"the contact's": {
			func(t *testing.T) *world {
				w := newWorld(t)
				poisoned := jane
				poisoned.Phone = "nonsense"
				w.ghl.Create(loc, poisoned)
				assert.Equal(t, crm.Problem, w.good("jane").Outcome)
				return w
			},
			func(w *world) {
				w.edit("jane", func(c *ghltest.Contact) { c.Phone = jane.Phone })
				w.good("jane")
			},
		},
		"the token's": {
			func(t *testing.T) *world {
				w := linked(t)
				w.ghl.Fail(ghltest.Fault{Status: 401})
				return w
			},
			func(w *world) {
				w.ghl.Heal()
				w.tick(activities.Tick{})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := trouble.begins(t)
			w.follows(welcome)
			w.addTask(ghltest.Task{Title: "old", Due: due})
			fresh := w.addTask(ghltest.Task{Title: "new", Due: due})
			for range 2 { // the second is parked with its location
				assert.Equal(t, crm.Problem, w.hear("created/"+fresh.ID).Outcome)
			}
			assert.Equal(t, crm.Problem, w.hear().Outcome)
			trouble.ends(w)
			w.settle("jane")
			assert.Equal(t, []string{"New: new"}, w.followUps())
			assert.NotContains(t, w.row().Fields, "told/created/"+fresh.ID)
			w.inStep()
		})
	}
}

func TestRulesThatComeLaterTakeWhatIsThereAsItIs(t *testing.T) {
	w := linked(t)
	task := w.addTask(ghltest.Task{Title: "old", Due: time.Now().Add(-time.Hour)})
	w.addTask(ghltest.Task{Title: "old and done", Due: due, Completed: true})
	w.settle("jane")
	w.follows(welcome, review, chase)
	assert.Equal(t, crm.Unchanged, w.align("jane").Outcome)
	w.complete(task.ID)
	w.addTask(ghltest.Task{Title: "new", Due: due})
	w.align("jane")
	assert.Equal(t, []string{"Done: old", "New: new"}, w.followUps())

	w.follows()
	w.align("jane")
	for name := range w.row().Fields {
		assert.True(t, strings.HasPrefix(name, "task/"), name)
	}
}

func TestATaskCreatedAndCompletedBetweenTwoLooksIsFollowedForBoth(t *testing.T) {
	w := following(t, welcome, review)
	w.addTask(ghltest.Task{Title: "quick", Due: due, Completed: true})
	w.align("jane")
	assert.Equal(t, []string{"Done: quick", "New: quick"}, w.followUps())
}

func TestOnceIsOnceWhateverIsDeliveredTwiceAndWhateverPeopleDo(t *testing.T) {
	w := following(t, welcome, review, chase)
	task := w.addTask(ghltest.Task{Title: "a", Due: time.Now().Add(time.Hour)})
	w.align("jane")
	w.complete(task.ID)
	w.align("jane")
	made := w.rankr.Tasks(w.record())
	require.Len(t, made, 3)

	theirs, err := w.rankr.EditTask(made[1].ID, func(t *rankrtest.Task) { t.Title, t.Done = "as they like", true })
	require.NoError(t, err)
	require.NoError(t, w.rankr.RemoveTask(made[2].ID))
	for range 3 {
		w.editTask(task.ID, func(t *ghltest.Task) { t.Completed, t.Title = false, t.Title+"!" })
		w.hear("created/"+task.ID, "completed/"+task.ID)
		w.complete(task.ID)
		w.hear("created/"+task.ID, "completed/"+task.ID)
		w.pass(3 * time.Second)
		_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Failures: 1}) // with a look at Rankr
		require.NoError(t, err)
	}
	w.inStep()
	have := w.rankr.Tasks(w.record())
	require.Len(t, have, 2, "the one that they deleted stays deleted")
	assert.Equal(t, theirs, have[1])
	assert.Zero(t, w.row().Generation, "no mirror was deleted")
}

func TestAFollowUpOutlivesItsTaskAndWhatIsRememberedDoesNot(t *testing.T) {
	w := following(t, welcome, review, chase)
	task := w.addTask(ghltest.Task{Title: "a", Due: time.Now().Add(time.Hour)})
	w.align("jane")
	require.NoError(t, w.ghl.DeleteTask(task.ID))
	w.align("jane")
	w.inStep()
	assert.Equal(t, []string{"New: a"}, w.followUps())
	row := w.row()
	assert.Empty(t, row.Records)
	assert.Equal(t, crm.Fingerprints{"seen/": ""}, row.Fields)
}

func TestExternalIDsThatAreNotGHLsAreLeftAlone(t *testing.T) {
	w := following(t, welcome)
	theirs, err := w.rankr.AddTask(rankrtest.Task{Item: rankrtest.Item{ContactID: w.record(), ExternalID: "other:1"}, Title: "Another integration's"})
	require.NoError(t, err)
	note, err := w.rankr.AddNote(rankrtest.Note{Item: rankrtest.Item{ContactID: w.record(), ExternalID: "other:1"}, Content: "Another integration's"})
	require.NoError(t, err)
	w.addTask(ghltest.Task{Title: "a", Due: due})
	for range 2 {
		w.pass(3 * time.Second)
		_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Failures: 1})
		require.NoError(t, err)
	}
	assert.Contains(t, w.rankr.Tasks(w.record()), theirs)
	assert.Equal(t, []rankrtest.Note{note}, w.rankr.Notes(w.record()))
	assert.Equal(t, []string{"New: a"}, w.followUps())
}

func TestLongNamesStillMakeAnExternalIDThatRankrTakes(t *testing.T) {
	long := followUp{name: strings.Repeat("r", 40), on: "created", title: `"New: " + task.title`}
	other := followUp{name: strings.Repeat("r", 39) + "s", on: "created", title: `"Too: " + task.title`}
	w := following(t, long, other)
	w.addTask(ghltest.Task{ID: strings.Repeat("T", 64), Title: "a", Due: due})
	w.align("jane")
	assert.Equal(t, []string{"New: a", "Too: a"}, w.followUps())
	w.pass(3 * time.Second)
	lost := w.row()
	lost.Records = nil
	require.NoError(t, w.store.Advance(t.Context(), w.row(), lost))
	w.settle("jane")
	assert.Equal(t, []string{"New: a", "Too: a"}, w.followUps())
}

func TestAFollowUpThatIsElsewhereAlreadyIsTheOne(t *testing.T) {
	w := following(t, welcome)
	other, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "other@example.com"}})
	require.NoError(t, err)
	task := w.addTask(ghltest.Task{Title: "a", Due: due})
	_, err = w.rankr.AddTask(rankrtest.Task{Item: rankrtest.Item{ContactID: other.ID, ExternalID: "followUp:welcome:" + task.ID}, Title: "moved"})
	require.NoError(t, err)
	assert.Equal(t, crm.Updated, w.align("jane").Outcome)
	assert.Empty(t, w.followUps())
	assert.NotEmpty(t, w.row().Records["followUp/welcome/"+task.ID])
	assert.Equal(t, crm.Unchanged, w.align("jane").Outcome)
}

func TestARecordThatComesBackIsNotFollowedAgain(t *testing.T) {
	w := following(t, welcome)
	w.addTask(ghltest.Task{Title: "a", Due: due})
	w.align("jane")
	require.NoError(t, w.rankr.Remove(w.record()))
	w.addTask(ghltest.Task{Title: "b", Due: due})
	w.settle("jane")
	w.inStep()
	assert.Equal(t, []string{"New: b"}, w.followUps())
}

func TestManyEventsTakeBoundedRoundsAndEachIsFollowedOnce(t *testing.T) {
	w := following(t, welcome, review)
	for i := range 60 {
		w.addTask(ghltest.Task{Title: fmt.Sprint(i), Due: due})
	}
	_, rounds := w.settle("jane")
	assert.Equal(t, 3, rounds, "forty writes each")
	w.inStep()
	assert.Len(t, w.followUps(), 60)
	for _, task := range w.ghl.Tasks("jane") {
		w.complete(task.ID)
	}
	w.settle("jane")
	w.inStep()
	w.onceEach()
	assert.Len(t, w.followUps(), 120)
}

// numbered can't be worked out for a task whose body is no number.
var numbered = followUp{name: "numbered", on: "created", title: `"No. " + string(int(task.body))`}

func TestARuleThatFailsIsAProblemAndKeepsNothingFromItsTurn(t *testing.T) {
	w := following(t, numbered, welcome, review)
	for i := range 50 {
		w.addTask(ghltest.Task{Title: fmt.Sprint(i), Body: "nonsense", Due: due, Completed: true})
	}
	w.addTask(ghltest.Task{Title: "50", Body: "7", Due: due})
	w.addNote("a")
	result, _ := w.settle("jane")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.RuleFailed, result.Code)
	assert.Equal(t, []string{"followUps/numbered"}, result.Fields)
	w.inStep()
	assert.Len(t, w.followUps(), 51+50+1)
	require.Len(t, w.problems(), 1)
	assert.Equal(t, crm.TasksAndNotes, w.problems()[0].Object)
	assert.Equal(t, []string{"followUps/numbered"}, w.problems()[0].Fields)

	w.calls()
	assert.Equal(t, crm.Problem, w.align("jane").Outcome)
	_, rankr := w.calls()
	assert.Empty(t, rankr)

	w.follows(followUp{name: "numbered", on: "created", title: `"No. " + task.body`}, welcome, review)
	result, _ = w.settle("jane")
	assert.Equal(t, crm.Updated, result.Outcome)
	assert.Len(t, w.followUps(), 51+50+51)
	assert.Empty(t, w.problems())
	w.onceEach()
}

func TestAContactWhoseFirstLookEndedWithAProblemHasNewTasksAllTheSame(t *testing.T) {
	w := linked(t)
	w.follows(welcome)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.MaxValue = 1000 })
	w.addTask(ghltest.Task{Title: "old", Body: strings.Repeat("x", 2000), Due: due})
	assert.Equal(t, crm.Problem, w.align("jane").Outcome)
	w.addTask(ghltest.Task{Title: "new", Due: due})
	assert.Equal(t, crm.Problem, w.align("jane").Outcome)
	assert.Equal(t, []string{"New: new"}, w.followUps())
}

func TestAFollowUpThatRankrRefusesIsAProblemAndKeepsNoOtherFromItsTurn(t *testing.T) {
	w := following(t, followUp{name: "aloud", on: "created", title: `"Read: " + task.body`})
	w.rankr.Set(func(k *rankrtest.Knobs) { k.MaxValue = 400 })
	for range 45 {
		w.addTask(ghltest.Task{Title: "long", Body: strings.Repeat("x", 398), Due: due}) // fits, and with a word before it does not
	}
	short := w.addTask(ghltest.Task{Title: "short", Body: "b", Due: due})
	result, _ := w.settle("jane")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.RankrInvalid, result.Code)
	w.inStep()
	w.editTask(short.ID, func(t *ghltest.Task) { t.Title = "edited" })
	w.settle("jane")
	w.inStep()
	assert.Equal(t, []string{"Read: b"}, w.followUps())
	require.Len(t, w.problems(), 1)

	w.follows(followUp{name: "aloud", on: "created", title: `"Read: " + task.title`})
	w.settle("jane")
	assert.Len(t, w.followUps(), 46)
	assert.Empty(t, w.problems())
	w.onceEach()
}

func TestWhatIsOwedIsOnlyMadeWhileItIsTrue(t *testing.T) {
	failing := followUp{name: "numbered", on: "completed", title: `"No. " + string(int(task.body))`}
	w := following(t, failing)
	task := w.addTask(ghltest.Task{Title: "a", Body: "nonsense", Due: due})
	w.align("jane")
	w.complete(task.ID)
	assert.Equal(t, crm.Problem, w.align("jane").Outcome)
	w.editTask(task.ID, func(t *ghltest.Task) { t.Completed, t.Body = false, "7" })
	assert.Equal(t, crm.Updated, w.align("jane").Outcome)
	assert.Empty(t, w.followUps())
	assert.Empty(t, w.problems())
	w.complete(task.ID)
	w.align("jane")
	assert.Equal(t, []string{"No. 7"}, w.followUps())
}

func TestARuleWhoseConditionDoesNotHoldMakesNothing(t *testing.T) {
	w := following(t, followUp{name: "rings", on: "created", when: `task.title startsWith "Ring"`, title: `"New: " + task.title`})
	w.addTask(ghltest.Task{Title: "Ring", Due: due})
	other := w.addTask(ghltest.Task{Title: "Write", Due: due})
	w.align("jane")
	w.editTask(other.ID, func(t *ghltest.Task) { t.Title = "Ring later" })
	w.hear("created/" + other.ID)
	assert.Equal(t, []string{"New: Ring"}, w.followUps(), "an event happens once")
}

func TestADueDateIsWaitedForOnceAndFollowsTheTask(t *testing.T) {
	w := following(t, chase)
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	task := w.addTask(ghltest.Task{Title: "a", Due: soon})
	other := w.addTask(ghltest.Task{Title: "b", Due: soon})
	assert.Equal(t, []string{"tasks"}, w.align("jane").Fields)
	assert.Equal(t, soon, w.waits(task.ID))

	w.nudged.due = nil
	assert.Equal(t, crm.Unchanged, w.align("jane").Outcome)
	assert.Empty(t, w.nudged.due, "it is remembered")

	w.editTask(task.ID, func(t *ghltest.Task) { t.Due = soon.Add(time.Hour) })
	w.align("jane")
	assert.Equal(t, soon.Add(time.Hour), w.waits(task.ID))

	w.passInGHL(90 * time.Minute)
	w.hear("overdue/" + task.ID) // of the time before it moved
	assert.Equal(t, []string{"Late: b"}, w.followUps())
	require.NoError(t, w.ghl.DeleteTask(other.ID))
	w.align("jane")

	w.passInGHL(time.Hour)
	w.hear("overdue/" + task.ID)
	assert.Equal(t, []string{"Late: a", "Late: b"}, w.followUps())
	assert.NotContains(t, w.row().Fields, "due/"+task.ID)
}

func TestNothingIsWaitedForInVain(t *testing.T) {
	for name, change := range map[string]func(w *world, id string){
		"done":    func(w *world, id string) { w.complete(id) },
		"deleted": func(w *world, id string) { require.NoError(w.t, w.ghl.DeleteTask(id)) },
		"undated": func(w *world, id string) { w.editTask(id, func(t *ghltest.Task) { t.Due = time.Time{} }) },
		"long past": func(w *world, id string) {
			w.editTask(id, func(t *ghltest.Task) { t.Due = time.Now().Add(-time.Hour) })
		},
		"other rule": func(w *world, id string) { w.follows(welcome) },
		"no rules":   func(w *world, id string) { w.tasks.Rules = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := following(t, chase)
			task := w.addTask(ghltest.Task{Title: "a", Due: time.Now().Add(time.Hour)})
			w.align("jane")
			require.False(t, w.waits(task.ID).IsZero())
			change(w, task.ID)
			w.align("jane")
			assert.Empty(t, w.nudged.due)
			assert.NotContains(t, w.row().Fields, "due/"+task.ID)
			w.inStep()
			assert.Equal(t, crm.Unchanged, w.align("jane").Outcome)
		})
	}
}

func TestAWaitEndsWithItsContact(t *testing.T) {
	w := following(t, chase)
	w.addTask(ghltest.Task{Title: "a", Due: time.Now().Add(time.Hour)})
	w.align("jane")
	require.NoError(t, w.ghl.Delete("jane"))
	w.good("jane")
	assert.Equal(t, crm.Gone, w.align("jane").Outcome)
	assert.Empty(t, w.nudged.due)
	assert.Empty(t, w.row().Fields)
}

func TestAContactThatComesBackIsNewAndItsTasksAreOld(t *testing.T) {
	w := following(t, welcome)
	require.NoError(t, w.ghl.Delete("jane"))
	w.good("jane")
	assert.Equal(t, crm.Gone, w.align("jane").Outcome)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.addTask(ghltest.Task{Title: "restored", Due: due})
	w.settle("jane")
	w.inStep()
	assert.Empty(t, w.followUps())
	w.addTask(ghltest.Task{Title: "new", Due: due})
	w.settle("jane")
	assert.Equal(t, []string{"New: new"}, w.followUps())
}

func TestATaskThatIsDueInYearsIsLookedAtWithinOne(t *testing.T) {
	w := following(t, chase)
	far := time.Now().AddDate(3, 0, 0).UTC().Truncate(time.Millisecond)
	task := w.addTask(ghltest.Task{Title: "a", Due: far})
	w.align("jane")
	year := 365 * 24 * time.Hour
	assert.WithinDuration(t, time.Now().Add(year), w.waits(task.ID), time.Minute)

	w.passInGHL(year)
	w.hear("overdue/" + task.ID)
	assert.Empty(t, w.followUps())
	assert.WithinDuration(t, time.Now().Add(2*year), w.waits(task.ID), time.Minute)
}

func TestAWaitThatEndsBeforeGHLsClockSaysSoIsAskedForAgain(t *testing.T) {
	w := following(t, chase)
	w.passInGHL(-time.Hour)
	task := w.addTask(ghltest.Task{Title: "a", Due: time.Now()})
	w.align("jane")
	w.nudged.due = nil
	w.hear("overdue/" + task.ID)
	assert.Empty(t, w.followUps())
	assert.WithinDuration(t, time.Now().Add(time.Hour), w.waits(task.ID), time.Minute, "when it is due by GHL's clock")
	w.passInGHL(time.Hour + 2*time.Second) // its Date has whole seconds
	w.hear("overdue/" + task.ID)
	assert.Equal(t, []string{"Late: a"}, w.followUps())
}

func TestADueDateThatPassesWhileTemporalIsAwayIsNotLost(t *testing.T) {
	w := following(t, chase)
	task := w.addTask(ghltest.Task{Title: "a", Due: time.Now().Add(time.Hour)})
	w.nudged.fail = errors.New("away")
	w.pass(3 * time.Second)
	_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}})
	require.ErrorContains(t, err, string(crm.TemporalAway))
	assert.Contains(t, w.row().Fields, "due/"+task.ID)
	w.inStep()

	w.passInGHL(2 * time.Hour)
	w.nudged.fail = nil
	w.settle("jane")
	assert.Equal(t, []string{"Late: a"}, w.followUps())
}

func TestAWorkerKilledAndThenARankrThatFailsLoseNoEventAndDoubleNone(t *testing.T) {
	for n := range writes {
		t.Run(fmt.Sprint("killed after write ", n), func(t *testing.T) {
			t.Parallel()
			for skip := range writes - n + 2 { // two lists come first
				w := edited(t)
				left := n
				rankr := dying{w.tasks.Destination, w.store, &left, true}
				w.tasks.Destination, w.contacts.Links = rankr, rankr
				w.pass(3 * time.Second)
				_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}})
				require.Error(t, err)
				w.pass(w.contacts.Lease)
				w.rankr.Set(func(k *rankrtest.Knobs) {
					k.Faults = []rankrtest.Fault{{Skip: skip, Times: 1, Status: 500, AfterEffect: skip%2 == 0}}
				})
				w.settle("jane")
				w.inStep()
				w.followed()
			}
		})
	}
}

// tries are the idempotency keys with which follow-ups were asked for since the calls were last counted.
func (w *world) tries() (keys []string) {
	for _, call := range w.rankr.Calls() {
		if call.Operation == "tasks.create" && !crm.ValidID(call.ItemExternalID) {
			keys = append(keys, call.Key)
		}
	}
	return keys
}

func TestTheKeyOfAFollowUpIsTheSameWhateverItSays(t *testing.T) {
	w := following(t, welcome)
	task := w.addTask(ghltest.Task{Title: "a", Due: due})
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{{Operation: "tasks.create", Skip: 1, Times: 1, Status: 500}}
	})
	w.pass(3 * time.Second)
	_, err := w.alignDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}})
	require.Error(t, err)
	w.editTask(task.ID, func(t *ghltest.Task) { t.Title = "b" })
	w.settle("jane")
	assert.Equal(t, []string{"New: b"}, w.followUps())
	keys := w.tries()
	require.Len(t, keys, 2)
	assert.Equal(t, keys[0], keys[1])
}

func TestAFollowUpThatAKilledWorkerMadeIsSeenAndNotAskedForAgain(t *testing.T) {
	w := following(t, welcome)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.NoUnique, k.NoIdempotency = true, true })
	w.addTask(ghltest.Task{Title: "a", Due: due})
	left := 1
	rankr := dying{w.tasks.Destination, w.store, &left, true}
	w.tasks.Destination, w.contacts.Links = rankr, rankr
	w.settle("jane")
	assert.Negative(t, left)
	assert.Equal(t, []string{"New: a"}, w.followUps())
	assert.Len(t, w.tries(), 1)
}

// mortal is a way to Temporal before whose nth call about due dates, or after it, the worker is gone.
type mortal struct {
	activities.Nudger
	activities.Links
	left  *int
	after bool
}

func (m mortal) call(do func() error) error {
	return dying{left: m.left, after: m.after}.write(do)
}

func (m mortal) DueDate(ctx context.Context, location, contact, task string, due time.Time) error {
	return m.call(func() error { return m.Nudger.DueDate(ctx, location, contact, task, due) })
}

func (m mortal) NoDueDate(ctx context.Context, location, contact, task string) error {
	return m.call(func() error { return m.Nudger.NoDueDate(ctx, location, contact, task) })
}

func (m mortal) Release(ctx context.Context, held, next crm.Link, unsure bool, problem *crm.ProblemRecord) error {
	return dying{Links: m.Links, left: m.left}.Release(ctx, held, next, unsure, problem)
}

func TestAWorkerKilledAtAnyCallAboutDueDatesLeavesExactlyTheRightWaits(t *testing.T) {
	for name, after := range map[string]bool{"before its effect": false, "after its effect": true} {
		t.Run(name, func(t *testing.T) {
			for n := range 4 {
				w := following(t, welcome, chase)
				moved := w.addTask(ghltest.Task{Title: "moved", Due: due.AddDate(1, 0, 0)})
				done := w.addTask(ghltest.Task{Title: "done", Due: due.AddDate(1, 0, 0)})
				gone := w.addTask(ghltest.Task{Title: "gone", Due: due.AddDate(1, 0, 0)})
				w.settle("jane")
				w.editTask(moved.ID, func(t *ghltest.Task) { t.Due = due.AddDate(1, 0, 1) })
				w.complete(done.ID)
				require.NoError(t, w.ghl.DeleteTask(gone.ID))
				fresh := w.addTask(ghltest.Task{Title: "fresh", Due: due.AddDate(1, 0, 2)})
				w.passInGHL(time.Until(due.AddDate(0, 9, 0))) // all of them within a year

				left := n
				w.contacts.Nudge = mortal{w.nudged, w.store, &left, after}
				w.contacts.Links = mortal{w.nudged, w.store, &left, after}
				w.settle("jane")
				assert.Negative(t, left, "call %d was reached", n)
				assert.Equal(t, map[string]time.Time{"jane/" + moved.ID: due.AddDate(1, 0, 1), "jane/" + fresh.ID: due.AddDate(1, 0, 2)}, w.nudged.due)
				w.inStep()
				w.onceEach()
				assert.Len(t, w.followUps(), 4)
			}
		})
	}
}
