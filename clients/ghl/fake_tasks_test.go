package ghl_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
)

var due = time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC)

func TestTasksGoThereAndBack(t *testing.T) {
	server, client := fake(t, nil)
	ctx, ref := t.Context(), crm.Ref{Location: "L", Contact: server.Create("L", ghltest.Contact{}).ID}
	made, err := client.CreateTask(ctx, ref, crm.Task{Title: "Call", Body: "b", Due: due, AssignedTo: "U"})
	require.NoError(t, err)
	assert.Equal(t, crm.Task{ID: made.ID, Contact: ref.Contact, Title: "Call", Body: "b", Due: due, AssignedTo: "U"}, made)

	title, body, nobody, later := "Write", "", "", due.Add(time.Hour)
	changed, err := client.UpdateTask(ctx, ref, made.ID, ghl.TaskPatch{Title: &title, Body: &body, AssignedTo: &nobody, Due: &later})
	require.NoError(t, err)
	assert.Equal(t, crm.Task{ID: made.ID, Contact: ref.Contact, Title: "Write", Due: later}, changed)
	changed, err = client.CompleteTask(ctx, ref, made.ID, true)
	require.NoError(t, err)
	assert.True(t, changed.Done)

	tasks, at, err := client.Tasks(ctx, ref)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), at, time.Minute)
	assert.Equal(t, []crm.Task{changed}, tasks)
	one, _, err := client.Task(ctx, ref, made.ID)
	require.NoError(t, err)
	assert.Equal(t, changed, one)

	require.NoError(t, client.DeleteTask(ctx, ref, made.ID))
	require.NoError(t, client.DeleteTask(ctx, ref, made.ID))
	tasks, _, err = client.Tasks(ctx, ref)
	require.NoError(t, err)
	assert.Empty(t, tasks)
}

func TestNotesGoThereAndBack(t *testing.T) {
	server, client := fake(t, nil)
	ctx, ref := t.Context(), crm.Ref{Location: "L", Contact: server.Create("L", ghltest.Contact{}).ID}
	made, err := client.CreateNote(ctx, ref, "Likes tea")
	require.NoError(t, err)
	assert.Equal(t, "Likes tea", made.Content)
	assert.WithinDuration(t, time.Now(), made.Created, time.Minute)
	changed, err := client.UpdateNote(ctx, ref, made.ID, "Likes coffee")
	require.NoError(t, err)
	assert.Equal(t, "Likes coffee", changed.Content)
	notes, _, err := client.Notes(ctx, ref)
	require.NoError(t, err)
	assert.Equal(t, []crm.Note{changed}, notes)
	one, _, err := client.Note(ctx, ref, made.ID)
	require.NoError(t, err)
	assert.Equal(t, changed, one)
	require.NoError(t, client.DeleteNote(ctx, ref, made.ID))
	require.NoError(t, client.DeleteNote(ctx, ref, made.ID))
	assert.Empty(t, server.Notes(ref.Contact))
}

func TestTasksAndNotesOfAContactThatIsGoneAreNotFound(t *testing.T) {
	server, client := fake(t, nil)
	ref := crm.Ref{Location: "L", Contact: server.Create("L", ghltest.Contact{}).ID}
	require.NoError(t, server.Delete(ref.Contact))
	_, _, err := client.Tasks(t.Context(), ref)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLNotFound})
	_, _, err = client.Notes(t.Context(), ref)
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLNotFound})
	_, err = client.CreateTask(t.Context(), ref, crm.Task{Title: "Call", Due: due})
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLNotFound})
}

func TestTheTaskSearchFindsEveryTaskOnce(t *testing.T) {
	server, client := fake(t, nil)
	var want, got []string
	for range 5 {
		contact := server.Create("L", ghltest.Contact{}).ID
		for i := range 50 {
			task, err := server.AddTask(contact, ghltest.Task{Title: fmt.Sprintf("Call %d", i)})
			require.NoError(t, err)
			want = append(want, contact+" "+task.ID)
		}
	}
	for page, err := range client.SearchTasks(t.Context(), "L") {
		require.NoError(t, err)
		for _, task := range page.Tasks {
			got = append(got, task.Contact+" "+task.ID)
		}
	}
	assert.Equal(t, slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got)))
	assert.Equal(t, 3, server.Count("locations.tasks.search"))
}

func TestTheOpenTasksAreWalkedFromWhereverOneStarts(t *testing.T) {
	server, client := fake(t, nil)
	contact := server.Create("L", ghltest.Contact{}).ID
	var want []string // newest first
	for i := range 260 {
		task, err := server.AddTask(contact, ghltest.Task{Title: "Call", Completed: i%2 == 0, DateAdded: due.Add(-time.Duration(i) * time.Minute)})
		require.NoError(t, err)
		if !task.Completed {
			want = append(want, task.ID)
		}
	}
	for skip, calls := range map[int]int{0: 2, 7: 2, 100: 2, 130: 1, 131: 1, 9999: 1} {
		walk := client.OpenTasks(t.Context(), "L", skip)
		server.Reset()
		for range 2 { // a walk can be walked again
			got := []string{}
			for page, err := range walk {
				require.NoError(t, err)
				assert.Len(t, page.Tasks, page.Rows)
				for _, task := range page.Tasks {
					assert.False(t, task.Done)
					got = append(got, task.ID)
				}
			}
			assert.Equal(t, want[min(skip, len(want)):], got, skip)
		}
		assert.Equal(t, 2*calls, server.Count("locations.tasks.search"), skip)
	}
}

func TestTasksAndNotesSurviveEveryFaultOfTheFake(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	ref := crm.Ref{Location: "L", Contact: server.Create("L", ghltest.Contact{}).ID}
	task, err := server.AddTask(ref.Contact, ghltest.Task{Title: "Call"})
	require.NoError(t, err)
	_, err = server.AddNote(ref.Contact, ghltest.Note{Body: "Likes tea"})
	require.NoError(t, err)
	for name, test := range map[string]struct {
		fault ghltest.Fault
		want  crm.Code
	}{
		"down": {ghltest.Fault{Status: 503}, crm.GHLUnavailable}, "cut": {ghltest.Fault{Cut: true}, crm.GHLUnavailable},
		"HTML": {ghltest.Fault{HTML: true}, crm.GHLUnavailable}, "empty": {ghltest.Fault{Empty: true}, crm.GHLUnavailable},
		"foreign": {ghltest.Fault{Foreign: true}, crm.GHLUnavailable}, "reset": {ghltest.Fault{ResetAfter: true}, crm.GHLUnavailable},
		"limited": {ghltest.Fault{Status: 429, RetryAfter: "7"}, crm.GHLRateLimited}, "token": {ghltest.Fault{Status: 401}, crm.GHLToken},
	} {
		server.Fail(test.fault)
		_, _, err := client.Tasks(t.Context(), ref)
		assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		_, _, err = client.Notes(t.Context(), ref)
		assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		_, err = client.CompleteTask(t.Context(), ref, task.ID, true)
		assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		for _, err := range client.SearchTasks(t.Context(), "L") {
			if name != "foreign" { // a search names the contacts itself
				assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
			}
		}
		for _, err := range client.OpenTasks(t.Context(), "L", 0) {
			if name != "foreign" {
				assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
			}
		}
		server.Heal()
	}
}
