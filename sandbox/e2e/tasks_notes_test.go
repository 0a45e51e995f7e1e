package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
)

// items waits until Rankr mirrors so many tasks and notes of the record.
func (w *world) items(record string, tasks, notes int) {
	w.t.Helper()
	w.eventually(func() string {
		if t, n := len(w.rankr.Tasks(record)), len(w.rankr.Notes(record)); t != tasks || n != notes {
			return fmt.Sprintf("Rankr has %d tasks and %d notes", t, n)
		}
		return ""
	})
}

func TestATaskAndANoteOfAContactAreMirroredByWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Create(location, mira())
	record := w.mirror(contact.ID, named("Mira")).ID
	w.quiet(contact.ID)
	own, err := w.rankr.AddNote(rankrtest.Note{Item: rankrtest.Item{ContactID: record}, Content: "The team's own"})
	require.NoError(t, err)

	task, err := w.ghl.AddTask(contact.ID, ghltest.Task{Title: "Call back", Due: time.Now().Add(24 * time.Hour)})
	require.NoError(t, err)
	w.items(record, 1, 1)
	w.aligned(contact.ID)
	calls, writes := w.ghl.Stats().Calls, w.writes()
	note, err := w.ghl.AddNote(contact.ID, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	w.items(record, 1, 2)
	w.aligned(contact.ID)
	assert.Equal(t, 2, w.ghl.Stats().Calls-calls, "a new note is two reads")
	assert.Equal(t, 1, w.writes()-writes, "and one write")

	_, err = w.ghl.CompleteTask(task.ID)
	require.NoError(t, err)
	w.eventually(func() string {
		if mirrored := w.rankr.Tasks(record); len(mirrored) != 1 || !mirrored[0].Done || mirrored[0].ExternalID != task.ID {
			return "the task is not done"
		}
		return ""
	})
	// An edit of a task fires nothing; who knows of it asks.
	_, err = w.ghl.EditTask(task.ID, func(t *ghltest.Task) { t.Title = "Call again" })
	require.NoError(t, err)
	result := w.run("align-tasks-notes", "--contact", contact.ID, "--wait")
	require.Equal(t, 0, result.Code, result.Stderr)
	assert.Contains(t, result.Stdout, "updated: tasks")
	assert.Equal(t, "Call again", w.rankr.Tasks(record)[0].Title)

	require.NoError(t, w.ghl.DeleteTask(task.ID))
	require.NoError(t, w.ghl.DeleteNote(note.ID))
	w.items(record, 0, 1)
	w.aligned(contact.ID)
	assert.Equal(t, []rankrtest.Note{own}, w.rankr.Notes(record), "what people made in Rankr stays")
}

func TestANoteOfAContactThatRankrDoesNotKnowBringsTheContactFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Quietly().Create(location, mira())
	_, err := w.ghl.AddNote(contact.ID, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	record := w.mirror(contact.ID, named("Mira")).ID
	w.items(record, 0, 1)
	w.aligned(contact.ID)
	assert.Len(t, w.rankr.All(), 1)
}

func TestAWorkerKilledBetweenTwoNotesDoublesNoneAndLosesNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	contact := w.ghl.Create(location, mira())
	record := w.mirror(contact.ID, named("Mira")).ID
	w.quiet(contact.ID)
	for i := range 20 {
		_, err := w.ghl.Quietly().AddNote(contact.ID, ghltest.Note{Body: fmt.Sprintf("Note %d", i)})
		require.NoError(t, err)
	}
	// The create in whose middle the worker dies takes effect later.
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{{Operation: "notes.create", Skip: 7, Times: 1, Delay: 3 * time.Second}}
	})
	result := w.run("align-tasks-notes", "--contact", contact.ID)
	require.Equal(t, 0, result.Code, result.Stderr)
	w.eventually(func() string {
		if n := w.rankr.Counters().Operations["notes.create"]; n < 8 {
			return fmt.Sprintf("%d notes were asked for", n)
		}
		return ""
	})
	w.worker.Kill()
	w.startWorker()
	w.items(record, 0, 20)
	w.aligned(contact.ID)
	assert.Len(t, w.rankr.Notes(record), 20)
	assert.Empty(t, w.rankr.DoubledNotes())
}
