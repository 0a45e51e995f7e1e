package ghl

import (
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

const (
	oneTask = `{"id":"T1","contactId":"C","title":"Call","body":"soon","assignedTo":"U","dueDate":"2026-12-01T09:30:00.000Z","completed":true}`
	oneNote = `{"id":"N1","contactId":"C","body":"Likes tea","userId":"U","dateAdded":"2026-11-24T09:00:00.000Z","pinned":true}`
)

var due = time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC)

func TestTasksAreReadInTheCRMsWords(t *testing.T) {
	_, c := scripted(t, map[string]string{"contacts.tasks.list": `{"tasks":[` + oneTask + `,
		{"id":"T2","title":7,"body":null,"dueDate":null,"completed":"false","deleted":false},
		{"id":"T3","title":"x","dueDate":"2026-12-01T10:30:00+01:00"},{"id":"T4","dueDate":1796117400000},{"id":"T5","dueDate":""}],"traceId":"x"}`})
	tasks, at, err := c.Tasks(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, clock, at)
	assert.Equal(t, []crm.Task{
		{ID: "T1", Contact: "C", Title: "Call", Body: "soon", AssignedTo: "U", Due: due, Done: true},
		{ID: "T2", Contact: "C", Title: "7"},
		{ID: "T3", Contact: "C", Title: "x", Due: due},
		{ID: "T4", Contact: "C", Due: due},
		{ID: "T5", Contact: "C"},
	}, tasks)
}

func TestNotesAreReadInTheCRMsWords(t *testing.T) {
	_, c := scripted(t, map[string]string{"contacts.notes.list": `{"notes":[` + oneNote + `,{"id":"N2","body":""}]}`})
	notes, at, err := c.Notes(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, clock, at)
	assert.Equal(t, []crm.Note{{ID: "N1", Contact: "C", Content: "Likes tea", Created: clock.Add(-time.Hour)}, {ID: "N2", Contact: "C"}}, notes)
}

func TestAContactWithoutTasksAndNotesHasEmptyLists(t *testing.T) {
	_, c := scripted(t, map[string]string{"contacts.tasks.list": `{"tasks":[]}`, "contacts.notes.list": `{"notes":[]}`})
	tasks, _, err := c.Tasks(t.Context(), ref)
	require.NoError(t, err)
	assert.Empty(t, tasks)
	notes, _, err := c.Notes(t.Context(), ref)
	require.NoError(t, err)
	assert.Empty(t, notes)
}

// itemCalls are all calls about tasks and notes of a contact, by operation.
func itemCalls(t *testing.T, c *Client) map[string]func() error {
	ctx, text := t.Context(), "x"
	return map[string]func() error{
		"contacts.tasks.list":     func() error { _, _, err := c.Tasks(ctx, ref); return err },
		"contacts.tasks.get":      func() error { _, _, err := c.Task(ctx, ref, "T1"); return err },
		"contacts.tasks.create":   func() error { _, err := c.CreateTask(ctx, ref, crm.Task{Title: "x", Due: due}); return err },
		"contacts.tasks.update":   func() error { _, err := c.UpdateTask(ctx, ref, "T1", TaskPatch{Title: &text}); return err },
		"contacts.tasks.complete": func() error { _, err := c.CompleteTask(ctx, ref, "T1", true); return err },
		"contacts.tasks.delete":   func() error { return c.DeleteTask(ctx, ref, "T1") },
		"contacts.notes.list":     func() error { _, _, err := c.Notes(ctx, ref); return err },
		"contacts.notes.get":      func() error { _, _, err := c.Note(ctx, ref, "N1"); return err },
		"contacts.notes.create":   func() error { _, err := c.CreateNote(ctx, ref, "x"); return err },
		"contacts.notes.update":   func() error { _, err := c.UpdateNote(ctx, ref, "N1", "x"); return err },
		"contacts.notes.delete":   func() error { return c.DeleteNote(ctx, ref, "N1") },
	}
}

// itemAnswer wraps a task or note as the operation's answer.
func itemAnswer(operation, item string) string {
	things := strings.Split(operation, ".")[1]
	switch {
	case strings.HasSuffix(operation, ".list"):
		return fmt.Sprintf(`{"%s":[%s]}`, things, item)
	case strings.HasSuffix(operation, ".delete"):
		return `{"succeded":` + item + `}`
	default:
		return fmt.Sprintf(`{"%s":%s}`, strings.TrimSuffix(things, "s"), item)
	}
}

func TestAnswersThatAreNotAboutTheTaskOrNoteAskedForAreNone(t *testing.T) {
	s, c := scripted(t, nil)
	for operation, call := range itemCalls(t, c) {
		for _, item := range []string{
			`null`, `{}`, `{"id":""}`, `{"id":"../x"}`, `{"id":"T1","contactId":"X"}`, `{"id":"N1","contactId":"X"}`, `false`, `"no"`,
		} {
			s.say(operation, 200, itemAnswer(operation, item))
			err := call()
			assert.Equal(t, crm.GHLUnavailable, codeOf(t, err), "%s %s", operation, item)
		}
		for _, body := range []string{`{}`, `{"tasks":null,"notes":null,"task":null,"note":null}`, `<html>`, `{"tasks":[`} {
			s.say(operation, 200, body)
			assert.Equal(t, crm.GHLUnavailable, codeOf(t, call()), "%s %s", operation, body)
		}
		list, get := strings.HasSuffix(operation, ".list"), strings.Contains(operation, ".create")
		if !list && !get && !strings.HasSuffix(operation, ".delete") {
			s.say(operation, 200, itemAnswer(operation, `{"id":"another","contactId":"C"}`))
			assert.Equal(t, crm.GHLUnavailable, codeOf(t, call()), operation)
		}
	}
}

func TestFieldsOfTasksAndNotesOfAWrongTypeAreNamed(t *testing.T) {
	s, c := scripted(t, nil)
	calls := itemCalls(t, c)
	for item, field := range map[string]string{
		`{"id":"T1","title":{"x":"` + canary + `"}}`: "title", `{"id":"T1","body":[1]}`: "body", `{"id":"T1","completed":"` + canary + `"}`: "completed",
		`{"id":"T1","dueDate":"` + canary + `"}`: "dueDate", `{"id":"T1","dueDate":{}}`: "dueDate", `{"id":"T1","dueDate":true}`: "dueDate",
		`{"id":"T1","assignedTo":{}}`: "assignedTo",
	} {
		for _, operation := range []string{"contacts.tasks.list", "contacts.tasks.get"} {
			s.say(operation, 200, itemAnswer(operation, item))
			err := calls[operation]()
			assert.Equal(t, crm.GHLInvalid, codeOf(t, err), item)
			assert.Equal(t, []string{field}, err.(*crm.Error).Fields, item)
		}
	}
	for item, field := range map[string]string{`{"id":"N1","body":{}}`: "body", `{"id":"N1","dateAdded":"` + canary + `"}`: "dateAdded"} {
		s.say("contacts.notes.list", 200, itemAnswer("contacts.notes.list", item))
		err := calls["contacts.notes.list"]()
		assert.Equal(t, crm.GHLInvalid, codeOf(t, err), item)
		assert.Equal(t, []string{field}, err.(*crm.Error).Fields, item)
	}
}

func TestWhatIsGoneNeedsNoDeleting(t *testing.T) {
	s, c := scripted(t, nil)
	for operation, call := range itemCalls(t, c) {
		s.say(operation, 404, `{"statusCode":404,"message":"not found"}`)
		if strings.HasSuffix(operation, ".delete") {
			assert.NoError(t, call(), operation)
			s.say(operation, 200, `{"succeeded":true}`)
			assert.NoError(t, call(), "the newer spelling")
			continue
		}
		assert.Equal(t, crm.GHLNotFound, codeOf(t, call()), operation)
	}
}

func TestWritesOfTasksAndNotesSendWhatIsMeantAndNothingElse(t *testing.T) {
	s, c := scripted(t, nil)
	for operation := range itemCalls(t, c) {
		s.say(operation, 200, itemAnswer(operation, `{"id":"T1"}`))
	}
	ctx, empty, later := t.Context(), "", due.Add(time.Hour)
	for _, write := range []func() (crm.Task, error){
		func() (crm.Task, error) { return c.CreateTask(ctx, ref, crm.Task{Title: "Call", Due: due}) },
		func() (crm.Task, error) {
			return c.CreateTask(ctx, ref, crm.Task{ID: "x", Title: "Call", Body: "b", AssignedTo: "U", Due: due, Done: true})
		},
		func() (crm.Task, error) { return c.UpdateTask(ctx, ref, "T1", TaskPatch{Body: &empty, Due: &later}) },
		func() (crm.Task, error) { return c.CompleteTask(ctx, ref, "T1", false) },
	} {
		_, err := write()
		require.NoError(t, err)
	}
	s.say("contacts.notes.create", 201, `{"note":`+oneNote+`}`)
	s.say("contacts.notes.update", 200, `{"note":`+oneNote+`}`)
	made, err := c.CreateNote(ctx, ref, "Likes tea")
	require.NoError(t, err)
	assert.Equal(t, "N1", made.ID)
	_, err = c.UpdateNote(ctx, ref, "N1", "")
	require.NoError(t, err)
	assert.Equal(t, []string{
		`{"title":"Call","dueDate":"2026-12-01T09:30:00.000Z","completed":false}`,
		`{"title":"Call","body":"b","dueDate":"2026-12-01T09:30:00.000Z","completed":true,"assignedTo":"U"}`,
		`{"body":"","dueDate":"2026-12-01T10:30:00.000Z"}`, `{"completed":false}`, `{"body":"Likes tea"}`, `{"body":""}`,
	}, s.bodies)
}

func TestWhatCantBeATaskOrNoteIsNotAskedFor(t *testing.T) {
	s, c := scripted(t, nil)
	ctx, bad := t.Context(), crm.Ref{Location: "L", Contact: "../C"}
	for name, call := range map[string]func() error{
		"tasks":    func() error { _, _, err := c.Tasks(ctx, bad); return err },
		"notes":    func() error { _, _, err := c.Notes(ctx, bad); return err },
		"contact":  func() error { return c.DeleteTask(ctx, bad, "T1") },
		"id":       func() error { return c.DeleteTask(ctx, ref, "T1/completed") },
		"no id":    func() error { return c.DeleteNote(ctx, ref, "") },
		"title":    func() error { _, err := c.CreateTask(ctx, ref, crm.Task{Due: due}); return err },
		"due":      func() error { _, err := c.CreateTask(ctx, ref, crm.Task{Title: "x"}); return err },
		"content":  func() error { _, err := c.CreateNote(ctx, ref, ""); return err },
		"location": func() error { _, err := walkTasks(t, c, "a/b"); return err },
		"skip": func() (err error) {
			for _, err = range c.OpenTasks(ctx, "L", -1) {
			}
			return err
		},
	} {
		assert.Equal(t, crm.InvalidInput, codeOf(t, call()), name)
	}
	assert.Empty(t, s.asked)
}

func TestAWriteThatFailsTellsWhetherItMayHaveLanded(t *testing.T) {
	s, c := scripted(t, nil)
	for status, landed := range map[int]bool{422: false, 400: false, 429: false, 503: true} {
		s.say("contacts.tasks.create", status, fmt.Sprintf(`{"statusCode":%d,"message":["title should not be empty"]}`, status))
		_, err := c.CreateTask(t.Context(), ref, crm.Task{Title: "x", Due: due})
		codeOf(t, err)
		assert.Equal(t, landed, err.(*crm.Error).Landed, status)
	}
}

// walkTasks collects all pages of all tasks.
func walkTasks(t *testing.T, c *Client, location string) (pages []crm.TaskPage, err error) {
	t.Helper()
	return collect(t, c.SearchTasks(t.Context(), location))
}

// collect keeps all pages; the last error ends it.
func collect(t *testing.T, walk iter.Seq2[crm.TaskPage, error]) (pages []crm.TaskPage, err error) {
	t.Helper()
	for page, e := range walk {
		if e != nil {
			require.NoError(t, err, "nothing may come after an error")
			err = e
			continue
		}
		pages = append(pages, page)
	}
	return pages, err
}

// taskPage is a page of n tasks of which the first is the i-th.
func taskPage(i, n int) string {
	tasks := make([]string, n)
	for k := range tasks {
		tasks[k] = fmt.Sprintf(`{"id":"T%d","contactId":"C%d","title":"x"}`, i+k, k%3)
	}
	return `{"tasks":[` + strings.Join(tasks, ",") + `]}`
}

// taskPages lets the script answer one page after the other, and nothing after the last.
func (s *script) taskPages(sizes ...int) {
	var bodies []string
	for i, n := 0, 0; n < len(sizes); n++ {
		bodies = append(bodies, taskPage(i, sizes[n]))
		i += sizes[n]
	}
	s.says["locations.tasks.search"] = func(*http.Request) (int, string) {
		return 200, append(bodies, taskPage(0, 0))[min(s.count("locations.tasks.search"), len(bodies)+1)-1]
	}
}

func TestTaskSearchWalksAllPages(t *testing.T) {
	for name, test := range map[string]struct {
		sizes []int
		calls int
	}{
		"an idle poll is one call":                      {[]int{0}, 1},
		"a page below GHL's own default is the last":    {[]int{24}, 1},
		"a page that may have been cut is not":          {[]int{60}, 2},
		"a shorter one after it is":                     {[]int{60, 60, 59}, 3},
		"nor is a full page":                            {[]int{100, 100}, 3},
		"and nothing is after a page shorter than full": {[]int{100, 99}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := scripted(t, nil)
			s.taskPages(test.sizes...)
			pages, err := walkTasks(t, c, "L")
			require.NoError(t, err)
			assert.Equal(t, test.calls, s.count("locations.tasks.search"))
			seen, want := 0, 0
			for i, page := range pages {
				assert.JSONEq(t, fmt.Sprintf(`{"limit":100,"skip":%d}`, seen), s.bodies[i])
				assert.Equal(t, clock, page.At)
				seen += len(page.Tasks)
			}
			for _, n := range test.sizes {
				want += n
			}
			assert.Equal(t, want, seen)
		})
	}
}

func TestTaskSearchIsBoundedAndStopsWithItsReader(t *testing.T) {
	s, c := scripted(t, nil)
	s.says["locations.tasks.search"] = func(*http.Request) (int, string) {
		return 200, taskPage(1000*s.count("locations.tasks.search"), 25)
	}
	pages, err := walkTasks(t, c, "L")
	assert.Equal(t, crm.GHLUnavailable, codeOf(t, err), "a search that never ends")
	assert.Len(t, pages, maxTaskPages)

	s, c = scripted(t, map[string]string{"locations.tasks.search": taskPage(0, 100)})
	_, err = walkTasks(t, c, "L")
	assert.Equal(t, crm.GHLUnavailable, codeOf(t, err), "the same page again")
	assert.Equal(t, 2, s.count("locations.tasks.search"))

	s, c = scripted(t, map[string]string{"locations.tasks.search": taskPage(0, 100)})
	for range c.SearchTasks(t.Context(), "L") {
		break
	}
	assert.Equal(t, 1, s.count("locations.tasks.search"))
}

func TestTaskSearchBelievesNoOddAnswer(t *testing.T) {
	s, c := scripted(t, nil)
	for body, code := range map[string]crm.Code{
		`{}`: crm.GHLUnavailable, `{"tasks":null}`: crm.GHLUnavailable, `{"tasks":[[]]}`: crm.GHLUnavailable, `{"tasks":[null]}`: crm.GHLUnavailable,
		`{"tasks":[{"id":"T","contactId":"C","locationId":"X"}]}`: crm.GHLUnavailable,
		`{"tasks":[{"id":"T","contactId":"C","title":{}}]}`:       crm.GHLInvalid,
	} {
		s.say("locations.tasks.search", 200, body)
		pages, err := walkTasks(t, c, "L")
		assert.Equal(t, code, codeOf(t, err), body)
		assert.Empty(t, pages)
	}
	s.say("locations.tasks.search", 200, `{"tasks":[{"id":"T1","locationId":"L"},{"id":"T2","contactId":"C","completed":true}]}`)
	pages, err := walkTasks(t, c, "L")
	require.NoError(t, err)
	assert.Equal(t, []crm.Task{{ID: "T2", Contact: "C", Done: true}}, pages[0].Tasks, "a task without a contact is nobody's")
}

func TestOpenTasksAreAskedForWithAFilterFromWhereOneStarts(t *testing.T) {
	s, c := scripted(t, nil)
	s.taskPages(100, 30, 0)
	walk := c.OpenTasks(t.Context(), "L", 40)
	pages, err := collect(t, walk)
	require.NoError(t, err)
	assert.Len(t, pages, 2)
	again, err := collect(t, walk)
	require.NoError(t, err)
	assert.Equal(t, []crm.TaskPage{{At: clock}}, again, "beyond the end is one empty page")
	assert.Equal(t, []string{
		`{"limit":100,"skip":40,"completed":false}`, `{"limit":100,"skip":140,"completed":false}`, `{"limit":100,"skip":40,"completed":false}`,
	}, s.bodies, "a walk that is walked again starts where it started")
}

func TestAFilterThatIsNotHeededLetsNoDoneTaskThrough(t *testing.T) {
	s, c := scripted(t, map[string]string{"locations.tasks.search": `{"tasks":[` + oneTask + `,{"id":"T2","contactId":"C"},{"id":"T3"}]}`})
	pages, err := collect(t, c.OpenTasks(t.Context(), "L", 0))
	require.NoError(t, err)
	require.Len(t, pages, 1)
	assert.Equal(t, []crm.Task{{ID: "T2", Contact: "C"}}, pages[0].Tasks)
	assert.Equal(t, 3, pages[0].Rows, "whoever goes on from here must skip them all")
	assert.Equal(t, 1, s.count("locations.tasks.search"))
}
