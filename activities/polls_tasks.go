package activities

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

const (
	// taskPages is how many pages of open tasks a tick reads.
	taskPages = 20
	// taskOverlap is how many tasks are looked at again by a tick that goes on where the last one stopped: those that were
	// done by then have made all after them move up.
	taskOverlap = 25
	// dueLag is how long AwaitDueDate gets to tell of a task that is due before a poll does.
	dueLag = 10 * time.Minute
)

// taskWalk is a tick's walk of a location's open tasks. What it finds is handed over at its end, one hint a contact: the
// contact's round then reads GHL after all of what the walk saw.
type taskWalk struct {
	*tick
	from, next int
	whole      bool // all tasks were seen once, before this walk
	ended      bool // nothing is left for the next tick
	seen       map[string]bool
	news       map[string]crm.PolledTask // what is to be remembered
	found      map[string][]string       // the contacts to hand over, each with the events that are known
}

// tasks finds open tasks that Rankr does not have as they are, and those that are not open any more. A state is handed over
// once: should its round end with a problem, or GHL's list of a contact tell otherwise than its search, then only another
// change of the task is worth another try.
func (t *tick) tasks(ctx context.Context) error {
	if t.Tasks == nil || time.Now().After(t.until) {
		return nil
	}
	w := taskWalk{
		tick: t, from: t.answer.TasksFrom, next: t.answer.TasksFrom,
		seen: map[string]bool{}, news: map[string]crm.PolledTask{}, found: map[string][]string{},
	}
	walked := w.walk(ctx)
	if err := w.handOver(ctx); err != nil {
		return err
	}
	t.answer.TasksFrom = w.next
	return t.shown(ctx, "tasks", &t.answer.TasksCode, walked)
}

func (w *taskWalk) walk(ctx context.Context) error {
	enough, rows := w.bound(cmp.Or(w.TaskPages, taskPages)), 0
	for page, err := range w.Tasks.OpenTasks(ctx, w.location, w.from) {
		if err != nil {
			return err
		}
		w.answer.Calls++
		w.answer.Tasks += len(page.Tasks)
		if err := w.page(ctx, page.Tasks, page.At); err != nil {
			return err
		}
		activity.RecordHeartbeat(ctx, w.answer)
		if rows += page.Rows; enough.after(page.Rows) {
			if w.next = w.from + rows; rows > taskOverlap {
				w.next -= taskOverlap
			}
			return nil
		}
	}
	w.next, w.ended = 0, true
	return nil
}

// page compares one page with what is in Rankr, as the links say. Contacts that aren't linked stay as they are.
func (w *taskWalk) page(ctx context.Context, tasks []crm.Task, at time.Time) error {
	var ids, contacts []string
	for _, task := range tasks {
		ids, contacts = append(ids, task.ID), append(contacts, task.Contact)
	}
	slices.Sort(contacts)
	contacts = slices.Compact(contacts)
	known, whole, err := w.Ticks.PolledTasks(ctx, w.location, ids...)
	if err != nil {
		return storeError(err)
	}
	links, err := w.Ticks.Links(ctx, w.location, crm.ContactItself, contacts)
	if err != nil {
		return storeError(err)
	}
	rows, err := w.Ticks.Links(ctx, w.location, crm.TasksAndNotes, contacts)
	if err != nil {
		return storeError(err)
	}
	w.whole = whole
	for _, task := range tasks {
		w.seen[task.ID] = true
		before, met := known[task.ID]
		w.compare(task, before, met, links[task.Contact].RankrID, rows[task.Contact], at)
	}
	return nil
}

// compare looks at one task at a time of GHL's. Record is its contact's in Rankr, and row the link of the contact's tasks and
// notes.
func (w *taskWalk) compare(task crm.Task, before crm.PolledTask, met bool, record string, row crm.Link, at time.Time) {
	created := !met && w.whole
	if record == "" {
		if !created { // else it stays new until its contact is linked
			w.remember(task.ID, before, met, crm.PolledTask{Contact: task.Contact, Open: true})
		}
		return
	}
	print := taskPrint(w.Prints, task)
	now := crm.PolledTask{Contact: task.Contact, Open: true, Known: w.Prints.Bytes([]byte(record), []byte(print))}
	_, waits := row.Fields[dueName+task.ID]
	late := waits && !task.Due.IsZero() && task.Due.Add(dueLag).Before(at) // who waited for it was ended, or forgotten by Temporal
	if late {
		now.Known = w.Prints.Bytes([]byte(record), []byte(print), []byte("late"))
	}
	inStep := row.RankrID == record && row.Fields["task/"+task.ID] == print
	// A contact's first round takes the tasks that are there as old ones, unless it is told otherwise.
	mistaken := strings.HasPrefix(row.Fields[seenName+task.ID], "old ")
	switch {
	case created && (!inStep || mistaken):
		if !w.find(task.Contact, event(crm.TaskCreated, task.ID)) {
			return
		}
	case late && now.Known != before.Known:
		if !w.find(task.Contact, event(crm.TaskOverdue, task.ID)) {
			return
		}
	case !inStep && now.Known != before.Known:
		w.find(task.Contact)
	}
	w.remember(task.ID, before, met, now)
}

// find has a contact handed over, with what happened to one of its tasks; false: its hint holds no more, so that the next
// tick must find this.
func (w *taskWalk) find(contact string, events ...string) bool {
	if len(w.found[contact])+len(events) > names.MaxEvents {
		return false
	}
	w.found[contact] = append(w.found[contact], events...)
	return true
}

func event(event crm.TaskEvent, task string) string { return string(event) + "/" + task }

func (w *taskWalk) remember(id string, before crm.PolledTask, met bool, now crm.PolledTask) {
	if !met || before != now {
		w.news[id] = now
	}
}

// handOver nudges what was found, and remembers it after that.
func (w *taskWalk) handOver(ctx context.Context) error {
	if w.ended && w.from == 0 {
		if err := w.vanished(ctx); err != nil {
			return err
		}
	}
	hints := hintsOf(slices.Sorted(maps.Keys(w.found)))
	for i, hint := range hints {
		slices.Sort(w.found[hint.Contact])
		hints[i].Events = w.found[hint.Contact]
	}
	if err := w.nudgeEach(ctx, w.Nudge.TasksAndNotes, hints); err != nil {
		return err
	}
	w.answer.Nudged += len(hints)
	return storeError(w.Ticks.SaveTasks(ctx, w.location, w.news, w.ended && !w.whole))
}

// vanished finds the tasks that were open and are not any more: done, deleted, or gone with their contact. Only a walk of
// all open tasks tells.
func (w *taskWalk) vanished(ctx context.Context) error {
	open, err := w.Ticks.OpenTasks(ctx, w.location)
	if err != nil {
		return storeError(err)
	}
	maps.DeleteFunc(open, func(id string, _ crm.PolledTask) bool { return w.seen[id] })
	for batch := range slices.Chunk(slices.Sorted(maps.Keys(open)), names.MaxHints) {
		var contacts []string
		for _, id := range batch {
			contacts = append(contacts, open[id].Contact)
		}
		links, err := w.Ticks.Links(ctx, w.location, crm.ContactItself, contacts)
		if err != nil {
			return storeError(err)
		}
		for _, id := range batch {
			contact := open[id].Contact
			if links[contact].RankrID == "" || w.find(contact, event(crm.TaskCompleted, id)) {
				w.news[id] = crm.PolledTask{Contact: contact}
			}
		}
	}
	return nil
}
