package rankr_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
)

// fullTask is a task with a value in every field.
func fullTask(externalID string) crm.Task {
	return crm.Task{
		ExternalID: externalID, Title: `Call "A" & <B> 🦆`, Body: "Line one\nLine two", Done: true, AssignedTo: "u1",
		Due: time.Date(2026, 12, 24, 9, 30, 15, 123_000_000, time.UTC),
	}
}

func TestTaskThatIsWrittenIsTheTaskThatIsRead(t *testing.T) {
	server, client := fake(t, nil)
	on := newTarget(t, server, rankrtest.Record{ExternalID: "E1"})
	require.NoError(t, server.RemoveTask(on.task))
	none, err := client.Tasks(t.Context(), "L", on.record)
	require.NoError(t, err)
	assert.Empty(t, none)

	want := fullTask("T1")
	made, err := client.CreateTask(t.Context(), "L", on.record, "key", want)
	require.NoError(t, err)
	want.ID, want.Contact = made.ID, on.record
	assert.Equal(t, want, made)
	bare, err := client.CreateTask(t.Context(), "L", on.record, "other key", crm.Task{ExternalID: "T2", Title: "x"})
	require.NoError(t, err)
	tasks, err := client.Tasks(t.Context(), "L", on.record)
	require.NoError(t, err)
	assert.Equal(t, []crm.Task{made, bare}, tasks)

	zone := time.FixedZone("UTC+2", 2*60*60)
	want.Title, want.Body, want.AssignedTo, want.Due = "Write", "", "", time.Date(2027, 1, 4, 2, 0, 0, 0, zone)
	want.Done = false // is not written by an update
	require.NoError(t, client.UpdateTask(t.Context(), "L", on.record, want))
	want.Done, want.Due = true, want.Due.UTC()
	assert.Equal(t, want, read(t, client, on.record)[0])
	want.Due = time.Time{}
	require.NoError(t, client.UpdateTask(t.Context(), "L", on.record, want))
	require.NoError(t, client.CompleteTask(t.Context(), "L", on.record, made.ID, false))
	want.Done = false
	assert.Equal(t, want, read(t, client, on.record)[0], "cleared and opened again")

	require.NoError(t, client.DeleteTask(t.Context(), "L", on.record, made.ID))
	require.NoError(t, client.DeleteTask(t.Context(), "L", on.record, made.ID), "gone is gone")
	require.ErrorIs(t, client.UpdateTask(t.Context(), "L", on.record, want), &crm.Error{Code: crm.RankrNotFound})
	require.ErrorIs(t, client.CompleteTask(t.Context(), "L", on.record, made.ID, true), &crm.Error{Code: crm.RankrNotFound})
	assert.Equal(t, []crm.Task{bare}, read(t, client, on.record))

	require.NoError(t, client.Delete(t.Context(), "L", on.record))
	require.NoError(t, client.DeleteTask(t.Context(), "L", on.record, bare.ID), "gone with its record")
	_, err = client.Tasks(t.Context(), "L", on.record)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrNotFound})
	assert.Empty(t, server.Tasks(""))
}

func read(t *testing.T, client *rankr.Client, record string) []crm.Task {
	t.Helper()
	tasks, err := client.Tasks(t.Context(), "L", record)
	require.NoError(t, err)
	return tasks
}

func TestTaskUpdateSendsAllFieldsButDoneAndLeavesOthersTasks(t *testing.T) {
	server, client := fake(t, nil)
	on := newTarget(t, server, rankrtest.Record{})
	before := server.Tasks(on.record)
	made, err := client.CreateTask(t.Context(), "L", on.record, "key", crm.Task{ExternalID: "T1", Title: "x"})
	require.NoError(t, err)
	require.NoError(t, client.UpdateTask(t.Context(), "L", on.record, made))
	calls := server.Calls()
	assert.Equal(t, []string{"externalId", "status", "title"}, calls[0].Properties)
	assert.Equal(t, []string{"assignedTo", "body", "dueDate", "externalId", "title"}, calls[1].Properties)
	assert.Equal(t, before, server.Tasks(on.record)[:1])
}

func TestTaskOrNoteIsMadeOnceWhateverIsLost(t *testing.T) {
	server, client := fake(t, nil)
	on := newTarget(t, server, rankrtest.Record{})
	server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{ResetAfter: true, Times: 2}} })
	_, err := client.CreateTask(t.Context(), "L", on.record, "key", fullTask("T1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable})
	_, err = client.CreateNote(t.Context(), "L", on.record, "key", fullNote("T1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable})

	task, err := client.CreateTask(t.Context(), "L", on.record, "key", fullTask("T1"))
	require.NoError(t, err)
	note, err := client.CreateNote(t.Context(), "L", on.record, "key", fullNote("T1"))
	require.NoError(t, err, "a note may have the external id of a task, and its key")
	other := newTarget(t, server, rankrtest.Record{})
	_, err = client.CreateTask(t.Context(), "L", other.record, "another key", fullTask("T1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrDuplicate})
	assert.Equal(t, task.ID, err.(*crm.Error).ID, "the winner is named, whosever task it is")
	_, err = client.CreateNote(t.Context(), "L", other.record, "another key", fullNote("T1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrDuplicate})
	assert.Equal(t, note.ID, err.(*crm.Error).ID)
	assert.Len(t, server.TaskHistory("T1"), 1)
	assert.Len(t, server.NoteHistory("T1"), 1)
}

func TestTwoHundredTasksAndNotesAreOneCallEach(t *testing.T) {
	server, client := fake(t, nil)
	contact, err := server.Add(rankrtest.Record{})
	require.NoError(t, err)
	text := strings.Repeat("x", 10_000)
	for i := range 200 {
		item := rankrtest.Item{ContactID: contact.ID, ExternalID: fmt.Sprint("X", i)}
		_, err := server.AddTask(rankrtest.Task{Item: item, Title: "Call", Body: text})
		require.NoError(t, err)
		_, err = server.AddNote(rankrtest.Note{Item: item, Content: text})
		require.NoError(t, err)
	}
	notes, err := client.Notes(t.Context(), "L", contact.ID)
	require.NoError(t, err)
	assert.Len(t, notes, 200)
	assert.Len(t, read(t, client, contact.ID), 200)
	assert.Len(t, server.Calls(), 2)
}

func TestTaskOrNoteThatCanNotBeSentCostsNoCall(t *testing.T) {
	server, client := fake(t, nil)
	for _, id := range []string{"", "a/b", "..", "a\nb", "a%2Fb", "a?b=c", "{id}", "ä", strings.Repeat("x", 65)} {
		_, tasks := client.Tasks(t.Context(), "L", id)
		_, notes := client.Notes(t.Context(), "L", id)
		_, task := client.CreateTask(t.Context(), "L", id, "key", fullTask("T1"))
		_, note := client.CreateNote(t.Context(), "L", id, "key", fullNote("N1"))
		for _, err := range []error{
			tasks, notes, task, note,
			client.UpdateTask(t.Context(), "L", id, crm.Task{ID: "x"}), client.UpdateTask(t.Context(), "L", "x", crm.Task{ID: id}),
			client.UpdateNote(t.Context(), "L", id, crm.Note{ID: "x"}), client.UpdateNote(t.Context(), "L", "x", crm.Note{ID: id}),
			client.CompleteTask(t.Context(), "L", id, "x", true), client.CompleteTask(t.Context(), "L", "x", id, true),
			client.DeleteTask(t.Context(), "L", id, "x"), client.DeleteTask(t.Context(), "L", "x", id),
			client.DeleteNote(t.Context(), "L", id, "x"), client.DeleteNote(t.Context(), "L", "x", id),
		} {
			require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
			assert.Equal(t, []string{"id"}, err.(*crm.Error).Fields)
		}
	}
	_, err := client.CreateTask(t.Context(), "L", "x", "", fullTask("T1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
	_, err = client.CreateNote(t.Context(), "L", "x", "", fullNote("N1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
	assert.Empty(t, server.Calls())
}

func TestRefusedTaskAndNoteNameTheirFieldsAndNeverTheirValues(t *testing.T) {
	server, client := fake(t, nil)
	on := newTarget(t, server, rankrtest.Record{})
	long := strings.Repeat("canary", 20_000)
	task := fullTask("T1")
	task.Title, task.Body = long, long
	_, err := client.CreateTask(t.Context(), "L", on.record, "key", task)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid})
	assert.Equal(t, []string{"body", "title"}, err.(*crm.Error).Fields)
	assert.False(t, err.(*crm.Error).Landed)
	assert.NotContains(t, err.Error(), "canary")
	_, err = client.CreateNote(t.Context(), "L", on.record, "key", crm.Note{ExternalID: "N1", Content: long})
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid})
	assert.Equal(t, []string{"content"}, err.(*crm.Error).Fields)
	assert.Empty(t, server.TaskHistory("T1"))
	_, err = client.CreateTask(t.Context(), "L", on.record, "key", fullTask("T1"))
	require.NoError(t, err, "a refused key is still free")
}

func TestOddTasksAndNotesAreReadAsFarAsTheyGo(t *testing.T) {
	client := saying(t, 200, `{"tasks":[
		{"id":"T1","externalId":null,"title":null,"body":"","dueDate":"tomorrow","status":"waiting","assignedTo":null,"surprise":[1]},
		{"id":"T2","contactId":"R1","title":"x","dueDate":"2026-12-24T11:30:00+02:00","status":"done"},
		{"id":"T1","title":"again"}]}`)
	tasks, err := client.Tasks(t.Context(), "L", "R1")
	require.NoError(t, err)
	assert.Equal(t, []crm.Task{
		{ID: "T1", Contact: "R1"},
		{ID: "T2", Contact: "R1", Title: "x", Due: time.Date(2026, 12, 24, 9, 30, 0, 0, time.UTC), Done: true},
	}, tasks, "and a task that comes twice is one")

	client = saying(t, 200, `{"notes":[{"id":"N1","contactId":null,"content":null,"createdAt":""},{"id":"N1"}]}`)
	notes, err := client.Notes(t.Context(), "L", "R1")
	require.NoError(t, err)
	assert.Equal(t, []crm.Note{{ID: "N1", Contact: "R1"}}, notes)
}

// TestAnswersAboutSomebodyElsesTasksAreNoAnswers: believing one would delete or double what it does not show.
func TestAnswersAboutSomebodyElsesTasksAreNoAnswers(t *testing.T) {
	type do func(*rankr.Client) error
	tasks := func(c *rankr.Client) error { _, err := c.Tasks(t.Context(), "L", "R1"); return err }
	notes := func(c *rankr.Client) error { _, err := c.Notes(t.Context(), "L", "R1"); return err }
	create := func(c *rankr.Client) error {
		_, err := c.CreateTask(t.Context(), "L", "R1", "key", crm.Task{ExternalID: "E1"})
		return err
	}
	note := func(c *rankr.Client) error {
		_, err := c.CreateNote(t.Context(), "L", "R1", "key", crm.Note{ExternalID: "E1"})
		return err
	}
	for _, test := range []struct {
		body string
		do   do
	}{
		{`{}`, tasks},
		{`{"tasks":null}`, tasks},
		{`{"notes":[]}`, tasks},
		{`{"tasks":[{"title":"x"}]}`, tasks},
		{`{"tasks":[{"id":"../x"}]}`, tasks},
		{`{"tasks":[{"id":"T1","contactId":"R2"}]}`, tasks},
		{`{}`, notes},
		{`{"notes":null}`, notes},
		{`{"notes":[{"id":"N1","contactId":"R2"}]}`, notes},
		{`{"task":{"externalId":"E1"}}`, create},
		{`{"task":{"id":"T1","externalId":"E2"}}`, create},
		{`{"task":{"id":"T1","externalId":"E1","contactId":"R2"}}`, create},
		{`{"note":{"id":"N1","externalId":null}}`, note},
		{`{"note":{"id":"a b","externalId":"E1"}}`, note},
		{`{"task":{"id":"T2"}}`, func(c *rankr.Client) error { return c.UpdateTask(t.Context(), "L", "R1", crm.Task{ID: "T1"}) }},
		{`{"task":{"id":"T1","externalId":"E2"}}`, func(c *rankr.Client) error {
			return c.UpdateTask(t.Context(), "L", "R1", crm.Task{ID: "T1", ExternalID: "E1"})
		}},
		{`{"task":{"id":"T2"}}`, func(c *rankr.Client) error { return c.CompleteTask(t.Context(), "L", "R1", "T1", true) }},
		{`{"note":{"id":"N2"}}`, func(c *rankr.Client) error { return c.UpdateNote(t.Context(), "L", "R1", crm.Note{ID: "N1"}) }},
		{`{"succeeded":false}`, func(c *rankr.Client) error { return c.DeleteTask(t.Context(), "L", "R1", "T1") }},
		{`{}`, func(c *rankr.Client) error { return c.DeleteNote(t.Context(), "L", "R1", "N1") }},
	} {
		require.ErrorIs(t, test.do(saying(t, 200, test.body)), &crm.Error{Code: crm.RankrUnavailable}, test.body)
	}
}
