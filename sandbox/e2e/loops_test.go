package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
)

const loopRules = `
tagWorkflows:
  - name: welcome
    whenTagAdded: new lead
    addTags: [nurture]
    removeTags: [cold]
    task: {title: '"Call " + contact.firstName', due: 'now + duration("48h")'}
  - name: nurturing
    whenTagAdded: nurture
    addTags: [warm]
followUps:
  - {name: called, on: completed, title: '"After: " + task.title'}
  - {name: chase, on: overdue, title: '"Overdue: " + task.title'}
`

// Our own writes in GHL come back as webhooks, from the fake's real sender.
func TestWhatRulesWriteInGHLComesBackAndGoesRoundNoFurther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, loopRules))
	w.ghl.Set(func(k *ghltest.Knobs) { k.DuplicateWebhooks = 1 })
	contact := w.ghl.Create(location, mira())
	_, err := w.ghl.Tag(contact.ID, "cold")
	require.NoError(t, err)
	record := w.mirror(contact.ID, named("Mira")).ID
	before := w.calm(contact.ID)

	_, err = w.ghl.Tag(contact.ID, "new lead")
	require.NoError(t, err)
	w.eventually(func() string {
		have, _ := w.rankr.Get(record)
		if !assert.ObjectsAreEqual([]string{"lead", "new lead", "nurture", "warm"}, slices.Sorted(slices.Values(have.Tags))) || len(w.rankr.Tasks(record)) != 1 {
			return fmt.Sprint("the tags and the task are not in Rankr: ", have.Tags)
		}
		return ""
	})
	spent := w.calm(contact.ID).since(before)
	assert.LessOrEqual(t, spent.calls, 20, "%+v", spent)
	assert.LessOrEqual(t, spent.writes, 8, "%+v", spent)
	assert.Len(t, w.ghl.Tasks(contact.ID), 1)

	quiet := w.calm(contact.ID)
	time.Sleep(3 * time.Second) // longer than the quiet period: a loop would have gone round
	assert.Equal(t, quiet, w.calm(contact.ID), "nothing goes round")
}

func TestAFollowUpIsMadeOnceHoweverOftenItsEventComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, loopRules))
	w.ghl.Set(func(k *ghltest.Knobs) { k.DuplicateWebhooks = 2 })
	contact := w.ghl.Create(location, mira())
	record := w.mirror(contact.ID, named("Mira")).ID
	called, err := w.ghl.AddTask(contact.ID, ghltest.Task{Title: "Call", Due: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	late, err := w.ghl.AddTask(contact.ID, ghltest.Task{Title: "Send offer", Due: time.Now().Add(24 * time.Hour)})
	require.NoError(t, err)
	w.items(record, 2, 0)
	w.calm(contact.ID)

	_, err = w.ghl.CompleteTask(called.ID)
	require.NoError(t, err)
	w.followUps(record, "After: Call")
	_, err = w.ghl.EditTask(late.ID, func(t *ghltest.Task) { t.Due = time.Now().Add(3 * time.Second) }) // fires nothing
	require.NoError(t, err)
	result := w.run("align-tasks-notes", "--contact", contact.ID, "--wait")
	require.Equal(t, 0, result.Code, result.Stderr)
	w.followUps(record, "After: Call", "Overdue: Send offer")
	w.calm(contact.ID)
	w.followUps(record, "After: Call", "Overdue: Send offer")
	assert.Empty(t, w.rankr.DoubledTasks())
}

// followUps waits until the team has exactly these tasks beside the mirrored ones.
func (w *world) followUps(record string, titles ...string) {
	w.t.Helper()
	w.eventually(func() string {
		var have []string
		for _, task := range w.rankr.Tasks(record) {
			if followUp(task) {
				have = append(have, task.Title)
			}
		}
		if !assert.ObjectsAreEqual(titles, slices.Sorted(slices.Values(have))) {
			return "the team has other follow-ups"
		}
		return ""
	})
}

func TestAWorkerThatIsKilledInATagWorkflowLeavesOneTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rules(t, loopRules))
	contact := w.ghl.Create(location, mira())
	record := w.mirror(contact.ID, named("Mira")).ID
	w.calm(contact.ID)
	w.ghl.Fail(ghltest.Fault{Operation: "contacts.tasks.create", Hold: 2 * time.Second, Times: 1}) // it lands, and its answer takes its time
	_, err := w.ghl.Tag(contact.ID, "new lead")
	require.NoError(t, err)
	w.eventually(func() string {
		if len(w.ghl.Tasks(contact.ID)) == 0 {
			return "the task is not made yet"
		}
		return ""
	})
	w.worker.Kill()
	w.startWorker()
	w.items(record, 1, 0)
	w.calm(contact.ID)
	assert.Len(t, w.ghl.Tasks(contact.ID), 1, "the new worker knows the task by its reference")
	w.eventually(func() string {
		if have, _ := w.rankr.Get(record); !assert.ObjectsAreEqual([]string{"lead", "new lead", "nurture", "warm"}, slices.Sorted(slices.Values(have.Tags))) {
			return fmt.Sprint("Rankr has the tags ", have.Tags)
		}
		return ""
	})
}

func followUp(task rankrtest.Task) bool { return strings.HasPrefix(task.ExternalID, "followUp:") }
