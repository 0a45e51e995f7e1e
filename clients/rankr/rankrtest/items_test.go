package rankrtest_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
)

// made creates a task, a note, a business or a segment and returns it as it was answered.
func (r *rankr) made(path, body string, headers ...string) map[string]any {
	r.t.Helper()
	answered := r.do("POST", path, body, headers...)
	require.Equal(r.t, 201, answered.StatusCode, answered.body)
	return answered.item()
}

// item is the task, note, business or segment of an answer.
func (r reply) item() map[string]any {
	for _, noun := range []string{"task", "note", "business", "segment"} {
		if item, ok := r.body[noun].(map[string]any); ok {
			return item
		}
	}
	return nil
}

func TestTaskIsWhatWasSentAfterCreateUpdateAndComplete(t *testing.T) {
	r := start(t)
	tasks := "/contacts/" + r.create(`{}`) + "/tasks"
	assert.Equal(t, []any{}, r.do("GET", tasks, "").body["tasks"])
	task := r.made(tasks, `{"externalId":"t1","title":"Call","body":"back","dueDate":"2026-12-24T11:30:00+02:00","assignedTo":"u1"}`)
	assert.Equal(t, []any{"t1", "Call", "back", "2026-12-24T09:30:00Z", "u1", "open"}, shownTask(task))
	one := tasks + "/" + task["id"].(string)

	got := r.do("PUT", one, `{"body":null,"dueDate":null,"assignedTo":null}`).item()
	assert.Equal(t, []any{"t1", "Call", nil, nil, nil, "open"}, shownTask(got), "what was not sent stays")
	assert.Equal(t, "done", r.do("PUT", one+"/completed", `{"completed":true}`).item()["status"])
	assert.Equal(t, "done", r.do("PUT", one+"/completed", `{"completed":true}`).item()["status"], "twice is no error")
	assert.Equal(t, "open", r.do("PUT", one, `{"status":"open"}`).item()["status"])
	assert.Equal(t, "done", r.made(tasks, `{"title":"x","status":"done"}`)["status"])
	assert.Len(t, r.do("GET", tasks, "").body["tasks"], 2)

	assert.Equal(t, true, r.do("DELETE", one, "").body["succeeded"])
	for _, gone := range []reply{r.do("DELETE", one, ""), r.do("PUT", one, `{"title":"x"}`), r.do("PUT", one+"/completed", `{"completed":true}`)} {
		assert.Equal(t, 404, gone.StatusCode)
		assert.Equal(t, "no such task", gone.body["message"])
	}
}

func shownTask(task map[string]any) []any {
	return []any{task["externalId"], task["title"], task["body"], task["dueDate"], task["assignedTo"], task["status"]}
}

func TestNoteIsWhatWasSentAfterCreateAndUpdate(t *testing.T) {
	r := start(t)
	notes := "/contacts/" + r.create(`{}`) + "/notes"
	note := r.made(notes, `{"externalId":"n1","content":"Called","createdAt":"2026-11-02T15:04:05.123Z"}`)
	assert.Equal(t, []any{"n1", "Called", "2026-11-02T15:04:05.123Z"}, []any{note["externalId"], note["content"], note["createdAt"]})
	one := notes + "/" + note["id"].(string)
	got := r.do("PUT", one, `{"content":"Wrote"}`).item()
	assert.Equal(t, []any{"Wrote", "2026-11-02T15:04:05.123Z"}, []any{got["content"], got["createdAt"]})
	assert.Nil(t, r.do("PUT", one, `{"createdAt":null,"externalId":null}`).item()["createdAt"])
	assert.Equal(t, 200, r.do("DELETE", one, "").StatusCode)
	assert.Equal(t, "no such note", r.do("DELETE", one, "").body["message"])
}

func TestExternalIDIsUniquePerKindInTheAccount(t *testing.T) {
	r := start(t)
	for _, kind := range []struct{ plural, body string }{
		{"tasks", `{"externalId":"x1","title":"x"}`},
		{"notes", `{"externalId":"x1","content":"x"}`}, // the tasks have x1 already
	} {
		first, second := "/contacts/"+r.create(`{}`)+"/"+kind.plural, "/contacts/"+r.create(`{}`)+"/"+kind.plural
		winner := r.made(first, kind.body)
		other := r.made(second, strings.Replace(kind.body, "x1", "x2", 1))
		for _, refused := range []reply{
			r.do("POST", first, kind.body),
			r.do("POST", second, kind.body),
			r.do("PUT", second+"/"+other["id"].(string), `{"externalId":"x1"}`),
		} {
			assert.Equal(t, 409, refused.StatusCode)
			assert.Equal(t, winner["id"], refused.body["id"])
		}
		assert.Equal(t, 200, r.do("DELETE", first+"/"+winner["id"].(string), "").StatusCode)
		assert.Equal(t, 200, r.do("PUT", second+"/"+other["id"].(string), `{"externalId":"x1"}`).StatusCode)
	}
	assert.Empty(t, r.DoubledTasks())
	assert.Empty(t, r.DoubledNotes())
}

func TestTasksAndNotesStaySingleWhenManyCreateAtOnce(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	contact := "/contacts/" + r.create(`{}`)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			key := []string{"Idempotency-Key", fmt.Sprint(i % 2)}
			r.do("POST", contact+"/tasks", `{"externalId":"x","title":"x"}`, key...)
			r.do("POST", contact+"/notes", `{"externalId":"x","content":"x"}`, key...)
		})
	}
	all.Wait()
	assert.Len(t, r.TaskHistory("x"), 1)
	assert.Len(t, r.NoteHistory("x"), 1)
}

func TestIdempotencyKeyOfATaskCountsOnItsPathOnly(t *testing.T) {
	r := start(t)
	key := []string{"Idempotency-Key", "k"}
	first, second := "/contacts/"+r.create(`{}`, key...), "/contacts/"+r.create(`{}`)
	assert.Equal(t, 422, r.do("POST", first+"/tasks", `{"title":7}`, key...).StatusCode)
	task := r.made(first+"/tasks", `{"title":"A"}`, key...)
	again := r.made(first+"/tasks", `{"title":"B"}`, key...)
	assert.Equal(t, task, again)
	assert.NotEqual(t, task["id"], r.made(second+"/tasks", `{"title":"A"}`, key...)["id"])
	r.made(first+"/notes", `{"content":"A"}`, key...)
	assert.Len(t, r.Tasks(""), 2)
	assert.Len(t, r.Notes(""), 1)
	require.NoError(t, r.RemoveTask(task["id"].(string)))
	assert.Equal(t, task, r.made(first+"/tasks", `{"title":"C"}`, key...), "also when it is gone")
}

func TestRefusedTasksAndNotesNameTheirFieldsAndWriteNothing(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	contact := "/contacts/" + r.create(`{}`)
	task := contact + "/tasks/" + r.made(contact+"/tasks", `{"title":"A"}`)["id"].(string)
	note := contact + "/notes/" + r.made(contact+"/notes", `{"content":"A"}`)["id"].(string)
	long := strings.Repeat("x", 64<<10+1)
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", contact + "/tasks", `{}`, "title"},
		{"POST", contact + "/tasks", `{"title":"B","body":null}`, "body"},
		{"POST", contact + "/tasks", `{"title":"B","completed":true}`, "completed"},
		{"POST", contact + "/notes", `{"createdAt":"2026-11-02T15:04:05Z"}`, "content"},
		{"POST", contact + "/notes", `{"content":"B","title":"x"}`, "title"},
		{"PUT", task, `{}`, "body"},
		{"PUT", task, `{"title":null}`, "title"},
		{"PUT", task, `{"title":7}`, "title"},
		{"PUT", task, `{"title":"` + long + `"}`, "title"},
		{"PUT", task, `{"title":"B","body":["x"]}`, "body"},
		{"PUT", task, `{"title":"B","dueDate":"tomorrow"}`, "dueDate"},
		{"PUT", task, `{"title":"B","dueDate":"2026-12-24"}`, "dueDate"},
		{"PUT", task, `{"title":"B","status":"waiting"}`, "status"},
		{"PUT", task, `{"title":"B","status":null}`, "status"},
		{"PUT", task, `{"title":"B","externalId":""}`, "externalId"},
		{"PUT", task, `{"title":"B","contactId":"x"}`, "contactId"},
		{"PUT", task + "/completed", `{"completed":"true"}`, "completed"},
		{"PUT", task + "/completed", `{"completed":true,"title":"B"}`, "title"},
		{"PUT", note, `{}`, "body"},
		{"PUT", note, `{"content":null}`, "content"},
		{"PUT", note, `{"content":"B","createdAt":7}`, "createdAt"},
		{"PUT", note, `{"content":"B","body":"x"}`, "body"},
	} {
		refused := r.do(c.method, c.path, c.body)
		assert.Equal(t, 422, refused.StatusCode, "%s %.60s", c.path, c.body)
		assert.Equal(t, []string{c.field}, refused.fields(), "%s %.60s", c.path, c.body)
	}
	require.Len(t, r.Tasks(""), 1)
	assert.Equal(t, 1, r.Tasks("")[0].Version)
	require.Len(t, r.Notes(""), 1)
	assert.Equal(t, 1, r.Notes("")[0].Version)
}

func TestTaskOrNoteIsFoundUnderItsOwnContactAndKindOnly(t *testing.T) {
	r := start(t)
	mine, other := "/contacts/"+r.create(`{}`), "/contacts/"+r.create(`{}`)
	id := r.made(mine+"/tasks", `{"title":"A"}`)["id"].(string)
	assert.Equal(t, 404, r.do("DELETE", other+"/tasks/"+id, "").StatusCode)
	assert.Equal(t, 404, r.do("DELETE", mine+"/notes/"+id, "").StatusCode)
	assert.Equal(t, 422, r.do("DELETE", mine+"/tasks/a%2Fb", "").StatusCode)
	assert.Equal(t, 404, r.do("PUT", mine+"/tasks/none/completed", `{"completed":true}`).StatusCode)
	for _, path := range []string{"/contacts/none/tasks", "/contacts/none/notes"} {
		assert.Equal(t, "no such contact", r.do("GET", path, "").body["message"])
		assert.Equal(t, 404, r.do("POST", path, `{}`).StatusCode)
	}
	r.Set(func(k *rankrtest.Knobs) { k.Tokens = map[string]string{"token": "another account"} })
	assert.Equal(t, 404, r.do("GET", mine+"/tasks", "").StatusCode)
	assert.Equal(t, 404, r.do("DELETE", mine+"/tasks/"+id, "").StatusCode)
	assert.Len(t, r.Tasks(""), 1)
}

func TestTasksAndNotesGoWithTheirContact(t *testing.T) {
	r := start(t)
	contact := r.create(`{"externalId":"ghl1"}`)
	r.made("/contacts/"+contact+"/tasks", `{"externalId":"t1","title":"A"}`)
	r.made("/contacts/"+contact+"/notes", `{"externalId":"n1","content":"A"}`)
	kept := r.create(`{}`)
	r.made("/contacts/"+kept+"/notes", `{"content":"A"}`)
	assert.Equal(t, 200, r.do("DELETE", "/contacts/"+contact, "").StatusCode)
	assert.Empty(t, r.Tasks(""))
	assert.Len(t, r.Notes(""), 1)
	r.made("/contacts/"+kept+"/tasks", `{"externalId":"t1","title":"A"}`) // it is free again
	history := r.TaskHistory("t1")
	require.Len(t, history, 3)
	assert.Equal(t, []any{"deleted", contact, "t1"}, []any{history[1].Verb, history[1].ContactID, history[1].ExternalID})
	assert.Len(t, r.NoteHistory("n1"), 2)
	assert.Len(t, r.History("ghl1"), 2, "a contact's history is its own")
}

func TestDoubledTasksAndNotesAreSeenEvenAfterOneIsGone(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.NoUnique, k.NoIdempotency = true, true })
	contact := "/contacts/" + r.create(`{}`)
	for range 2 {
		r.made(contact+"/tasks", `{"externalId":"t1","title":"A"}`, "Idempotency-Key", "k")
	}
	require.NoError(t, r.RemoveTask(r.Tasks("")[1].ID))
	assert.Equal(t, []string{"t1"}, r.DoubledTasks())
	r.made(contact+"/notes", `{"externalId":"n1","content":"A"}`)
	other := r.made(contact+"/notes", `{"content":"A"}`)["id"].(string)
	_, err := r.EditNote(other, func(n *rankrtest.Note) { n.ExternalID = "n1" })
	require.NoError(t, err)
	require.NoError(t, r.RemoveNote(other))
	assert.Equal(t, []string{"n1"}, r.DoubledNotes())
	assert.Empty(t, r.Doubled(), "contacts are counted apart")
}

func TestPeopleChangeTasksAndNotesWithoutACall(t *testing.T) {
	r := start(t)
	contact, err := r.Add(rankrtest.Record{})
	require.NoError(t, err)
	task, err := r.AddTask(rankrtest.Task{Item: rankrtest.Item{ContactID: contact.ID, ExternalID: "t1"}, Title: "A"})
	require.NoError(t, err)
	_, err = r.AddTask(rankrtest.Task{Item: rankrtest.Item{ContactID: contact.ID, ExternalID: "t1"}})
	require.ErrorContains(t, err, "taken", "people can't double it either")
	_, err = r.AddNote(rankrtest.Note{Item: rankrtest.Item{ContactID: "none"}})
	require.Error(t, err)
	edited, err := r.EditTask(task.ID, func(task *rankrtest.Task) { task.Title, task.Done, task.ContactID = "B", true, "moved" })
	require.NoError(t, err)
	assert.Equal(t, []any{"B", true, contact.ID, 2}, []any{edited.Title, edited.Done, edited.ContactID, edited.Version})
	assert.Equal(t, []rankrtest.Task{edited}, r.Tasks(contact.ID))
	require.NoError(t, r.RemoveTask(task.ID))
	require.Error(t, r.RemoveTask(task.ID))
	assert.Empty(t, r.Calls())
	verbs := []string{}
	for _, event := range r.TaskHistory("t1") {
		verbs = append(verbs, event.By+" "+event.Verb)
	}
	assert.Equal(t, []string{"person created", "person updated", "person deleted"}, verbs)
}

func TestFaultHitsTheTaskItNamesOrAllOfItsContact(t *testing.T) {
	r := bare(t)
	contact := "/contacts/" + r.create(`{"externalId":"ghl1"}`)
	id := r.made(contact+"/tasks", `{"externalId":"t1","title":"A"}`)["id"].(string)
	r.hit(rankrtest.Fault{ExternalID: "t1", Status: 500})
	assert.Equal(t, 200, r.do("GET", contact+"/tasks", "").StatusCode)
	assert.Equal(t, 500, r.do("DELETE", contact+"/tasks/"+id, "").StatusCode)
	assert.Equal(t, 500, r.do("POST", contact+"/tasks", `{"externalId":"t1","title":"A"}`).StatusCode)
	r.hit(rankrtest.Fault{Operation: "tasks.*", ExternalID: "ghl1", Status: 500})
	assert.Equal(t, 500, r.do("GET", contact+"/tasks", "").StatusCode)
	assert.Equal(t, 200, r.do("GET", contact+"/notes", "").StatusCode)
	call := r.Calls()[3]
	assert.Equal(t, []any{"tasks.delete", "ghl1", id, "t1"}, []any{call.Operation, call.ExternalID, call.ItemID, call.ItemExternalID})
}

func TestRankrMayKeepOrChangeWhatATaskOrNoteSays(t *testing.T) {
	r := start(t)
	contact := "/contacts/" + r.create(`{}`)
	r.Set(func(k *rankrtest.Knobs) { k.KeepOld, k.Normalise = []string{"body"}, []string{"title", "content"} })
	task := r.made(contact+"/tasks", `{"title":"a","body":"old"}`)
	got := r.do("PUT", contact+"/tasks/"+task["id"].(string), `{"title":"b","body":"new"}`).item()
	assert.Equal(t, []any{"A", "B", "old"}, []any{task["title"], got["title"], got["body"]})
	assert.Equal(t, "C", r.made(contact+"/notes", `{"content":"c"}`)["content"])
}

func TestRemoteReachesTasksAndNotes(t *testing.T) {
	ctx := t.Context()
	r := start(t)
	control := httptest.NewServer(r.Control())
	t.Cleanup(control.Close)
	remote := rankrtest.Remote{URL: control.URL}
	contact, err := remote.Add(ctx, rankrtest.Record{})
	require.NoError(t, err)
	item := rankrtest.Item{ContactID: contact.ID, ExternalID: "x1"}
	due := time.Date(2026, 12, 24, 9, 30, 0, 0, time.UTC)

	task, err := remote.AddTask(ctx, rankrtest.Task{Item: item, Title: "A", Due: due})
	require.NoError(t, err)
	_, err = remote.AddTask(ctx, rankrtest.Task{Item: item, Title: "A"})
	require.ErrorContains(t, err, "taken")
	task, err = remote.EditTask(ctx, task.ID, func(task *rankrtest.Task) { task.Done = true })
	require.NoError(t, err)
	tasks, err := remote.Tasks(ctx, contact.ID)
	require.NoError(t, err)
	assert.Equal(t, []rankrtest.Task{task}, tasks)
	assert.Equal(t, []any{"A", due, true}, []any{task.Title, task.Due, task.Done})
	require.NoError(t, remote.RemoveTask(ctx, task.ID))
	require.Error(t, remote.RemoveTask(ctx, task.ID))
	_, err = remote.EditTask(ctx, task.ID, func(*rankrtest.Task) {})
	require.Error(t, err)
	history, err := remote.TaskHistory(ctx, "x1")
	require.NoError(t, err)
	assert.Len(t, history, 3)
	doubled, err := remote.DoubledTasks(ctx)
	require.NoError(t, err)
	assert.Empty(t, doubled)

	note, err := remote.AddNote(ctx, rankrtest.Note{Item: item, Content: "A"})
	require.NoError(t, err)
	note, err = remote.EditNote(ctx, note.ID, func(note *rankrtest.Note) { note.Content = "B" })
	require.NoError(t, err)
	notes, err := remote.Notes(ctx, "")
	require.NoError(t, err)
	assert.Equal(t, []rankrtest.Note{note}, notes)
	require.NoError(t, remote.RemoveNote(ctx, note.ID))
	history, err = remote.NoteHistory(ctx, "x1")
	require.NoError(t, err)
	assert.Len(t, history, 3)
	doubled, err = remote.DoubledNotes(ctx)
	require.NoError(t, err)
	assert.Empty(t, doubled)
}
