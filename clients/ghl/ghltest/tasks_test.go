package ghltest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

var due = time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC)

// records are the documents of an answer under a name.
func (r reply) records(name string) (documents []map[string]any) {
	list, _ := r.body[name].([]any)
	for _, item := range list {
		documents = append(documents, item.(map[string]any))
	}
	return documents
}

func (r reply) record(name string) map[string]any {
	document, _ := r.body[name].(map[string]any)
	return document
}

func TestATaskLivesThroughTheAPI(t *testing.T) {
	a := start(t)
	tasks := "/contacts/" + a.Create(home, ghltest.Contact{}).ID + "/tasks"
	assert.Equal(t, []any{}, a.call("GET", tasks, nil).body["tasks"])
	r := a.call("POST", tasks, map[string]any{
		"title": "Call", "body": "soon", "dueDate": "2026-12-01T10:30:00.1239+01:00", "completed": false, "assignedTo": "u",
	})
	require.Equal(t, 201, r.status, r.text)
	made := r.record("task")
	assert.Equal(t, "2026-12-01T09:30:00.123Z", made["dueDate"])
	assert.Equal(t, false, made["completed"])
	one := tasks + "/" + made["id"].(string)

	r = a.call("PUT", one, map[string]any{"title": "Write", "body": ""})
	require.Equal(t, 200, r.status, r.text)
	assert.Equal(t, "Write", r.record("task")["title"])
	assert.NotContains(t, r.record("task"), "body", "what has no value is left out")
	assert.Equal(t, "u", r.record("task")["assignedTo"], "what is not named is left alone")
	assert.Equal(t, true, a.call("PUT", one+"/completed", map[string]any{"completed": true}).record("task")["completed"])
	assert.Equal(t, true, a.call("GET", one, nil).record("task")["completed"])
	assert.Equal(t, false, a.call("PUT", one+"/completed", map[string]any{"completed": false}).record("task")["completed"])
	assert.Len(t, a.call("GET", tasks, nil).records("tasks"), 1)

	assert.Equal(t, true, a.call("DELETE", one, nil).body["succeded"], "the wire misspells it")
	for _, method := range []string{"GET", "DELETE"} {
		assert.Equal(t, 404, a.call(method, one, nil).status)
	}
	assert.Equal(t, 404, a.call("PUT", one, map[string]any{"title": "x"}).status)
}

func TestANoteLivesThroughTheAPI(t *testing.T) {
	a := start(t)
	notes := "/contacts/" + a.Create(home, ghltest.Contact{}).ID + "/notes"
	assert.Equal(t, []any{}, a.call("GET", notes, nil).body["notes"])
	r := a.call("POST", notes, map[string]any{"body": "Likes tea", "userId": "u", "title": "t", "color": "#FFAA00", "pinned": true})
	require.Equal(t, 201, r.status, r.text)
	made := r.record("note")
	one := notes + "/" + made["id"].(string)
	assert.NotEmpty(t, made["dateAdded"])
	r = a.call("PUT", one, map[string]any{"body": "Likes coffee"})
	require.Equal(t, 200, r.status, r.text)
	made["body"] = "Likes coffee"
	assert.Equal(t, made, r.record("note"))
	assert.Equal(t, made, a.call("GET", one, nil).record("note"))
	assert.Equal(t, []map[string]any{made}, a.call("GET", notes, nil).records("notes"))
	assert.Equal(t, true, a.call("DELETE", one, nil).body["succeded"])
	assert.Equal(t, 404, a.call("GET", one, nil).status)
}

func TestTasksAndNotesAreHeldAgainstTheirOwnProperties(t *testing.T) {
	a := start(t)
	contact := a.Create(home, ghltest.Contact{}).ID
	task, err := a.AddTask(contact, ghltest.Task{Title: "Call", Due: due})
	require.NoError(t, err)
	tasks := "/contacts/" + contact + "/tasks"
	one := tasks + "/" + task.ID
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		message      any
	}{
		{"POST", tasks, map[string]any{}, 422, []any{"title should not be empty", "dueDate should not be empty", "completed should not be empty"}},
		{"POST", tasks, map[string]any{"title": "", "dueDate": "soon", "completed": "no"}, 422, []any{"completed must be a boolean value", "dueDate must be a valid ISO 8601 date string", "title should not be empty"}},
		{"PUT", one, map[string]any{"body": nil, "title": 3}, 422, []any{"body should not be null", "title must be a string"}},
		{"PUT", one + "/completed", map[string]any{"title": "x"}, 422, []any{"property title should not exist"}},
		{"PUT", one + "/completed", map[string]any{}, 422, []any{"completed should not be empty"}},
		{"PUT", one, "[", 400, "Unexpected token in JSON"},
		{"PUT", tasks + "/nobody", map[string]any{"title": "x"}, 404, "Task not found"},
		{"POST", "/contacts/nobody/tasks", map[string]any{}, 404, "Contact not found"},
		{"GET", "/contacts/nobody/tasks", nil, 404, "Contact not found"},
		{"GET", "/contacts/nobody/notes", nil, 404, "Contact not found"},
		{"POST", "/contacts/" + contact + "/notes", map[string]any{"title": "x"}, 422, []any{"body should not be empty"}},
		{"GET", "/contacts/" + contact + "/notes/nobody", nil, 404, "Note not found"},
		{"DELETE", "/contacts/" + contact + "/notes/nobody", nil, 404, "Note not found"},
	} {
		r := a.call(c.method, c.path, c.body)
		assert.Equal(t, c.status, r.status, r.text)
		assert.Equal(t, c.message, r.body["message"], "%s %s", c.method, c.path)
	}
	after, _ := a.Task(task.ID)
	assert.Equal(t, task, after, "a refused change changes nothing")
	assert.Empty(t, a.Unknown())
	assert.Equal(t, 422, a.call("PUT", one, map[string]any{"contactId": contact}).status)
	assert.Len(t, a.Unknown(), 1, "no endpoint takes it")

	other := a.Create(home, ghltest.Contact{}).ID
	assert.Equal(t, 404, a.call("GET", "/contacts/"+other+"/tasks/"+task.ID, nil).status, "another contact's task")
	a.PutLocation(ghltest.Location{ID: "other"})
	a.token = ghltest.Token("other")
	assert.Equal(t, 403, a.call("GET", one, nil).status)
	assert.Equal(t, 403, a.call("POST", "/locations/"+home+"/tasks/search", map[string]any{}).status)
}

func TestALocationsTasksAreSearchedNewestFirst(t *testing.T) {
	a := start(t)
	ada, eve := a.Create(home, ghltest.Contact{BusinessID: "b"}).ID, a.Create(home, ghltest.Contact{}).ID
	for i := range 30 {
		contact := ada
		if i >= 28 {
			contact = eve
		}
		_, err := a.AddTask(contact, ghltest.Task{
			ID: fmt.Sprintf("T%02d", i), Title: fmt.Sprintf("Call %d", i), DateAdded: due.Add(time.Duration(i) * time.Minute),
			Completed: i == 3, AssignedTo: []string{"u", "v"}[i%2],
		})
		require.NoError(t, err)
	}
	a.PutLocation(ghltest.Location{ID: "other"})
	a.Create("other", ghltest.Contact{ID: "elsewhere"})
	_, err := a.AddTask("elsewhere", ghltest.Task{Title: "not ours"})
	require.NoError(t, err)
	search := func(body map[string]any) (ids []string) {
		t.Helper()
		r := a.call("POST", "/locations/"+home+"/tasks/search", body)
		require.Equal(t, 200, r.status, r.text)
		for _, task := range r.records("tasks") {
			ids = append(ids, task["id"].(string))
		}
		return ids
	}
	first := search(map[string]any{})
	assert.Len(t, first, 25)
	assert.Equal(t, "T29", first[0])
	assert.Equal(t, []string{"T04", "T03", "T02", "T01", "T00"}, search(map[string]any{"skip": 25}))
	assert.Equal(t, []string{"T00"}, search(map[string]any{"skip": 29, "limit": 10}))
	assert.Empty(t, search(map[string]any{"skip": 99}))
	assert.Equal(t, []string{"T29", "T28"}, search(map[string]any{"contactId": []string{eve}}))
	assert.Equal(t, []string{"T03"}, search(map[string]any{"completed": true}))
	assert.Equal(t, []string{"T28"}, search(map[string]any{"contactId": []string{eve}, "assignedTo": []string{"u"}, "completed": false}))
	assert.Equal(t, []string{"T07"}, search(map[string]any{"query": "call 7"}))
	assert.Len(t, search(map[string]any{"businessId": "b", "limit": 100}), 28)

	for _, body := range []map[string]any{{"limit": 0}, {"skip": -1}, {"contactId": eve}, {"completed": "no"}} {
		assert.Equal(t, 422, a.call("POST", "/locations/"+home+"/tasks/search", body).status, body)
	}
	assert.Empty(t, a.Unknown())
	assert.Equal(t, 422, a.call("POST", "/locations/"+home+"/tasks/search", map[string]any{"dateAdded": "x"}).status)
	assert.Len(t, a.Unknown(), 1)
}

func TestADeletedContactTakesItsTasksAndNotesAlong(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	contact := a.Create(home, ghltest.Contact{}).ID
	task, err := a.AddTask(contact, ghltest.Task{Title: "Call"})
	require.NoError(t, err)
	note, err := a.AddNote(contact, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	l.take(a)
	require.NoError(t, a.Delete(contact))
	assert.Equal(t, []string{"ContactDelete"}, kinds(l.take(a)))
	assert.Empty(t, a.call("POST", "/locations/"+home+"/tasks/search", map[string]any{}).records("tasks"))
	assert.Equal(t, 404, a.call("GET", "/contacts/"+contact+"/tasks", nil).status)
	assert.ErrorIs(t, a.DeleteTask(task.ID), ghltest.ErrGone)
	assert.ErrorIs(t, a.DeleteNote(note.ID), ghltest.ErrGone)
	_, err = a.AddTask(contact, ghltest.Task{})
	assert.ErrorIs(t, err, ghltest.ErrGone)
}

func TestTaskEventsAreThreeAndTellOfNoEdit(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	contact := a.Quietly().Create(home, ghltest.Contact{}).ID
	tasks := "/contacts/" + contact + "/tasks"
	made := a.call("POST", tasks, map[string]any{"title": "Call", "body": "b", "dueDate": due, "completed": false, "assignedTo": "u"})
	one := tasks + "/" + made.record("task")["id"].(string)
	created := l.take(a)
	require.Equal(t, []string{"TaskCreate"}, kinds(created))
	looksLike(t, "TaskCreate", created[0])

	a.call("PUT", one, map[string]any{"title": "Write", "dueDate": due.Add(time.Hour), "assignedTo": "v"})
	a.call("GET", one, nil)
	assert.Empty(t, l.take(a), "edits are silent")
	a.call("PUT", one+"/completed", map[string]any{"completed": true})
	completed := l.take(a)
	require.Equal(t, []string{"TaskComplete"}, kinds(completed))
	looksLike(t, "TaskComplete", completed[0])
	a.call("PUT", one+"/completed", map[string]any{"completed": true})
	a.call("PUT", one+"/completed", map[string]any{"completed": false})
	assert.Empty(t, l.take(a), "nor does anything tell of a task that is open again")
	a.call("DELETE", one, nil)
	deleted := l.take(a)
	require.Equal(t, []string{"TaskDelete"}, kinds(deleted))
	looksLike(t, "TaskDelete", deleted[0])

	task, err := a.AddTask(contact, ghltest.Task{Title: "Call"})
	require.NoError(t, err)
	_, err = a.EditTask(task.ID, func(t *ghltest.Task) { t.Title = "Write" })
	require.NoError(t, err)
	_, err = a.CompleteTask(task.ID)
	require.NoError(t, err)
	require.NoError(t, a.DeleteTask(task.ID))
	assert.Equal(t, []string{"TaskComplete", "TaskCreate", "TaskDelete"}, kinds(l.take(a)))

	quiet, err := a.Quietly().AddTask(contact, ghltest.Task{Title: "Call"})
	require.NoError(t, err)
	_, err = a.Quietly().CompleteTask(quiet.ID)
	require.NoError(t, err)
	require.NoError(t, a.Quietly().DeleteTask(quiet.ID))
	assert.Empty(t, l.take(a))
}

func TestTaskCreateCanComeWithoutContactAndBody(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	a.Set(func(k *ghltest.Knobs) { k.ThinTaskEvents = true })
	contact := a.Quietly().Create(home, ghltest.Contact{}).ID
	task, err := a.AddTask(contact, ghltest.Task{Title: "Call", Body: "b"})
	require.NoError(t, err)
	event := l.take(a)[0]
	assert.Equal(t, task.ID, event["id"])
	assert.Equal(t, home, event["locationId"])
	assert.NotContains(t, event, "contactId")
	assert.NotContains(t, event, "body")
	assert.Equal(t, contact, a.Deliveries()[0].Contact)
	require.NoError(t, a.DeleteTask(task.ID))
	assert.Equal(t, contact, l.take(a)[0]["contactId"], "the others have it")
}

func TestEveryEffectOnANoteIsTold(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	contact := a.Quietly().Create(home, ghltest.Contact{}).ID
	notes := "/contacts/" + contact + "/notes"
	one := notes + "/" + a.call("POST", notes, map[string]any{"body": "Likes tea"}).record("note")["id"].(string)
	a.call("PUT", one, map[string]any{"body": "Likes coffee"})
	a.call("DELETE", one, nil)
	for _, event := range l.take(a) {
		looksLike(t, event["type"].(string), event)
	}
	note, err := a.AddNote(contact, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	_, err = a.EditNote(note.ID, func(n *ghltest.Note) { n.Body = "Likes coffee" })
	require.NoError(t, err)
	now, _ := a.Note(note.ID)
	assert.Equal(t, "Likes coffee", now.Body)
	require.NoError(t, a.DeleteNote(note.ID))
	assert.Equal(t, []string{"NoteCreate", "NoteDelete", "NoteUpdate"}, kinds(l.take(a)))
	_, err = a.Quietly().AddNote(contact, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	assert.Empty(t, l.take(a))
}

// looksLike holds an event against the official example of its type: the same names with the same types of values.
func looksLike(t *testing.T, kind string, event map[string]any) {
	t.Helper()
	assert.NotContains(t, event, "completed")
	for _, name := range []string{"appId", "versionId", "webhookId", "timestamp"} {
		assert.NotEmpty(t, event[name])
		delete(event, name)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "ghl", "webhooks", kind+".json"))
	if err != nil {
		t.Skip("the official example payloads are not at hand: ", err)
	}
	var example map[string]any
	require.NoError(t, json.Unmarshal(text, &example))
	for name, value := range example {
		assert.IsType(t, value, event[name], name)
	}
	for name := range event {
		assert.Contains(t, example, name)
	}
}

func TestTasksAndNotesCanBeChangedFromAnotherProcess(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	r, ctx := remote(t, a), t.Context()
	contact := a.Quietly().Create(home, ghltest.Contact{}).ID
	task, err := r.AddTask(ctx, contact, ghltest.Task{Title: "Call", Body: "b", Due: due})
	require.NoError(t, err)
	event, err := r.Event(ctx, ghltest.TaskDelete, task.ID)
	require.NoError(t, err)
	assert.Contains(t, string(event.Body), task.ID)
	task, err = r.EditTask(ctx, task.ID, map[string]any{"body": ""})
	require.NoError(t, err)
	assert.Empty(t, task.Body)
	assert.Equal(t, due, task.Due)
	task, err = r.CompleteTask(ctx, task.ID)
	require.NoError(t, err)
	tasks, err := r.Tasks(ctx, contact)
	require.NoError(t, err)
	assert.Equal(t, []ghltest.Task{task}, tasks)
	require.NoError(t, r.DeleteTask(ctx, task.ID))
	assert.ErrorIs(t, r.DeleteTask(ctx, task.ID), ghltest.ErrGone)

	note, err := r.AddNote(ctx, contact, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	note, err = r.EditNote(ctx, note.ID, map[string]any{"body": "Likes coffee"})
	require.NoError(t, err)
	notes, err := r.Notes(ctx, contact)
	require.NoError(t, err)
	assert.Equal(t, []ghltest.Note{note}, notes)
	_, err = r.Event(ctx, ghltest.NoteUpdate, note.ID)
	require.NoError(t, err)
	require.NoError(t, r.DeleteNote(ctx, note.ID))
	_, err = r.Event(ctx, ghltest.NoteUpdate, note.ID)
	assert.ErrorIs(t, err, ghltest.ErrGone)
	assert.Equal(t, []string{"NoteCreate", "NoteDelete", "NoteUpdate", "TaskComplete", "TaskCreate", "TaskDelete"}, kinds(l.take(a)))
}

func TestFaultsHappenToTasksAndNotesToo(t *testing.T) {
	a := start(t)
	contact := a.Create(home, ghltest.Contact{}).ID
	tasks := "/contacts/" + contact + "/tasks"
	a.Fail(ghltest.Fault{Operation: "contacts.tasks.*", Contact: contact, Status: 503, Landed: true, Times: 1})
	assert.Equal(t, 503, a.call("POST", tasks, map[string]any{"title": "Call", "dueDate": due, "completed": false}).status)
	require.Len(t, a.Tasks(contact), 1, "it landed")
	a.Fail(ghltest.Fault{Operation: "contacts.tasks.list", Foreign: true, Times: 1})
	assert.NotEqual(t, contact, a.call("GET", tasks, nil).records("tasks")[0]["contactId"])
	a.Set(func(k *ghltest.Knobs) { k.NotFoundAll = true })
	assert.Equal(t, 404, a.call("GET", tasks, nil).status)
	assert.Equal(t, 404, a.call("GET", "/contacts/"+contact+"/notes", nil).status)
}
