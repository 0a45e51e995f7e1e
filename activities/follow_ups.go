package activities

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
)

// What happens to a task in GHL may be followed by a task for the team in Rankr, once per task and rule. That one is the
// team's from then on: it is never changed or deleted. The row of a contact's tasks and notes remembers beside what is
// mirrored, for as long as GHL has the task and by its id T:
//
//   - "seen/T": whether T was open or done when it was last read; "old" before it says that T was there when the contact was
//     first looked at, and so was taken as it is, but for what a hint tells of it
//   - "followUp/R/T": in Fields that rule R owes T a follow-up, in Records Rankr's id of the one that was made
//   - "due/T": which due date AwaitDueDate was asked to wait for; empty: it is still to be asked
//   - "told/E/T": that a hint told of event E to a round that had to end, with a problem, before it could look
//
// No event is lost and none is followed twice, wherever a round ends. Events are found by comparing GHL with the row, never
// with Rankr, and the row moves in one step: whoever saves that T was seen done saves what is owed for it as well.
//
//   - A round that is killed, frozen or refused its lease saves nothing, and the workflow gives its hint to the next one: the
//     same events are found again. Those of its follow-ups that landed are known by their external ids in Rankr's list, which
//     a round after a killed one reads; one that lands after that look meets the same idempotency key and external id.
//   - A round that fails between two writes, or has more to write than one lease may hold for, saves what is owed with what is
//     made. What is owed is tried until it is made, or is no longer true of the task.
//   - Temporal is asked to wait, or not to wait any more, before the row says so: both may be asked twice. A task that is due
//     before that was saved is overdue by the row's empty entry.
const (
	seenName = "seen/"
	dueName  = "due/"
	owesName = "followUp/"
	toldName = "told/"

	owed   = "owed"
	denied = "denied" // owed, but Rankr did not take it the last time: the others go first
)

const (
	// maxAhead bounds how long a wait is asked for. What is due later is looked at by then, and asked for again.
	maxAhead = 365 * 24 * time.Hour
	// followUpMark begins the external id of a follow-up. No GHL id holds a colon.
	followUpMark = "followUp:"
	// maxExternalID is Rankr's limit.
	maxExternalID = 64
)

// followUpID is a follow-up's external id in Rankr.
func followUpID(rule, task string) string {
	if id := followUpMark + rule + ":" + task; len(id) <= maxExternalID {
		return id
	}
	return followUpMark + derived(rule, task)
}

// awaited returns those of a hint's events that a rule waits for.
func (t *TasksAndNotes) awaited(events []string) (awaited []string) {
	for _, told := range events {
		if event, _, _ := strings.Cut(told, "/"); len(t.Rules.FollowUps(crm.TaskEvent(event))) > 0 {
			awaited = append(awaited, told)
		}
	}
	return awaited
}

// toldLater adds a hint's events to what is remembered by a round that ends before it can look at them.
func toldLater(fields crm.Fingerprints, events []string) crm.Fingerprints {
	if len(events) == 0 {
		return fields
	}
	later := crm.Fingerprints{}
	maps.Copy(later, fields)
	for _, event := range events {
		later[toldName+event] = ""
	}
	return later
}

// rulesFailed is the step that tells of rules that could not be worked out.
const rulesFailed = "rules"

// taskEvents are looked at in the order in which they happen.
var taskEvents = []crm.TaskEvent{crm.TaskCreated, crm.TaskCompleted, crm.TaskOverdue}

// following works out what follows the tasks that a round read, and what the row remembers of that.
type following struct {
	*alignment
	was   crm.Link // what the row remembers, also where base is Rankr's own word
	at    time.Time
	first bool // nothing was ever looked at: tasks that no hint names are taken as they are
	rules map[crm.TaskEvent][]rules.FollowUp
	told  map[string]bool // the events of this hint, and of those before it that were not looked at

	fields  crm.Fingerprints // of the row to be saved
	records map[string]string
	waits   []step // asking Temporal to wait, or not to
	makes   []step
	again   []step          // making what Rankr refused before
	failed  map[string]bool // the names of rules that could not be worked out
}

// follow adds to base what is to be remembered of the tasks, and returns the steps that it takes. The maps are new ones.
func (a *alignment) follow(was, base crm.Link, want []item, at time.Time) (crm.Link, []step) {
	f := &following{
		alignment: a, was: was, at: at, rules: map[crm.TaskEvent][]rules.FollowUp{}, told: map[string]bool{},
		fields: crm.Fingerprints{}, records: map[string]string{}, failed: map[string]bool{},
	}
	_, looked := was.Fields[seenName]
	f.first = !looked && (was.Covered.IsZero() || was.Deleted)
	for _, event := range taskEvents {
		if waiting := a.Rules.FollowUps(event); len(waiting) > 0 {
			f.rules[event] = waiting
		}
	}
	for name := range toldLater(was.Fields, a.hint.Events) {
		if event, ok := strings.CutPrefix(name, toldName); ok {
			f.told[event] = true
		}
	}
	f.keep(base, want)
	for _, it := range want {
		if it.task != nil {
			f.task(*it.task, base)
		}
	}
	f.waitNoMore(want)
	base.Fields, base.Records = f.fields, f.records
	return base, f.steps()
}

// steps puts first what can't be refused for its content, and last that rules failed, once: what fails each time must not
// keep the rest from its turn.
func (f *following) steps() []step {
	steps := slices.Concat(f.waits, f.makes, f.again)
	if len(f.failed) == 0 {
		return steps
	}
	failed := &crm.Error{Code: crm.RuleFailed, Operation: "rules", Fields: slices.Sorted(maps.Keys(f.failed))}
	return append(steps, step{rulesFailed, func(context.Context, *crm.Link) error { return failed }})
}

// keep carries over what base has of the mirrored tasks and notes, and what was made for tasks that GHL still has.
func (f *following) keep(base crm.Link, want []item) {
	for name, print := range base.Fields {
		if mirrored(name) {
			f.fields[name] = print
		}
	}
	for name, id := range base.Records {
		if mirrored(name) {
			f.records[name] = id
		}
	}
	tasks := taskIDs(want)
	for name, id := range f.was.Records {
		if rest, ok := strings.CutPrefix(name, owesName); ok {
			if _, task, _ := strings.Cut(rest, "/"); tasks[task] {
				f.records[name] = id
			}
		}
	}
	if len(f.rules) > 0 {
		f.fields[seenName] = "" // from now on what is unknown is new
	}
}

func taskIDs(want []item) map[string]bool {
	ids := map[string]bool{}
	for _, it := range want {
		if it.task != nil {
			ids[it.task.ID] = true
		}
	}
	return ids
}

// task works out what follows one task. Where no rule waits for anything, nothing is remembered.
func (f *following) task(task crm.Task, base crm.Link) {
	if len(f.rules) == 0 {
		return
	}
	before := f.remembered(task.ID)
	for _, event := range taskEvents {
		for _, rule := range f.rules[event] {
			name := owesName + rule.Name + "/" + task.ID
			if id, there := base.Records[followUpID(rule.Name, task.ID)]; there {
				f.records[name] = id // of a round that did not live to save it
			}
			_, made := f.records[name]
			_, owes := f.was.Fields[name]
			if !made && f.holds(event, task) && (owes || f.happened(event, task, before)) {
				f.owe(rule, name, task)
			}
		}
	}
	f.fields[seenName+task.ID] = glimpse{done: task.Done, old: before.old || f.first}.String()
	f.wait(task)
}

// glimpse is what the row remembers of a task.
type glimpse struct{ known, done, old bool }

func (g glimpse) String() string {
	state := "open"
	if g.done {
		state = "done"
	}
	if g.old {
		return "old " + state
	}
	return state
}

// remembered reads it. A row from before there were rules knows the mirrored tasks, all of them old.
func (f *following) remembered(task string) glimpse {
	if seen, known := f.was.Fields[seenName+task]; known {
		state, old := strings.CutPrefix(seen, "old ")
		return glimpse{true, state == "done", old}
	}
	print, known := f.was.Fields["task/"+task]
	return glimpse{known, strings.HasSuffix(print, ".true"), known}
}

// holds tells whether an event that happened is still true of the task.
func (f *following) holds(event crm.TaskEvent, task crm.Task) bool {
	switch event {
	case crm.TaskCompleted:
		return task.Done
	case crm.TaskOverdue:
		return !task.Done && !task.Due.IsZero() && !task.Due.After(f.at)
	}
	return true
}

// happened tells whether an event that holds is news: the row shows it, or a hint tells of a task that the row was not there
// to see. A task that is new to a contact which was looked at before was created, and completed if it is done. One that is
// due already when it is first seen is not overdue by that alone.
func (f *following) happened(event crm.TaskEvent, task crm.Task, before glimpse) bool {
	told := f.told[string(event)+"/"+task.ID]
	if event == crm.TaskOverdue {
		_, waited := f.was.Fields[dueName+task.ID]
		return told || waited
	}
	if event == crm.TaskCompleted && before.known && !before.done {
		return true
	}
	return !before.known && !f.first || told && (!before.known || before.old)
}

// owe has a follow-up made if the rule wants one.
func (f *following) owe(rule rules.FollowUp, name string, of crm.Task) {
	task, ok, err := rule.Task(of, f.at)
	if err != nil {
		f.fields[name] = owed
		for _, failed := range safe(err).Fields {
			f.failed[failed] = true
		}
		return
	}
	if !ok {
		return
	}
	task = crm.MapTask(task)
	task.ExternalID = followUpID(rule.Name, of.ID)
	s := step{name, func(ctx context.Context, done *crm.Link) error { return f.make(ctx, name, task, done) }}
	if f.was.Fields[name] == denied {
		f.fields[name], f.again = denied, append(f.again, s)
		return
	}
	f.fields[name], f.makes = owed, append(f.makes, s)
}

// make makes a follow-up. Its idempotency key does not depend on what the task says, which may differ at the next try. One
// that is there already, in whatever record, is the one.
func (f *following) make(ctx context.Context, name string, task crm.Task, done *crm.Link) error {
	made, err := f.Destination.CreateTask(ctx, f.ref.Location, f.record, f.derived(f.record, name), task)
	switch {
	case hasCode(err, crm.RankrDuplicate):
		made.ID = safe(err).ID
	case hasCode(err, crm.RankrInvalid):
		done.Fields[name] = denied
		return err
	case err != nil:
		return err
	}
	delete(done.Fields, name)
	done.Records[name] = made.ID
	return nil
}

// wait has an open task looked at once it is due. A hint that says it is, while by GHL's clock it is not yet, came too early:
// it is asked for again.
func (f *following) wait(task crm.Task) {
	if len(f.rules[crm.TaskOverdue]) == 0 || task.Done || !task.Due.After(f.at) {
		return
	}
	name, due, early := dueName+task.ID, task.Due.Format(time.RFC3339Nano), f.told[string(crm.TaskOverdue)+"/"+task.ID]
	had := f.was.Fields[name]
	f.fields[name] = had
	if had == due && !early {
		return
	}
	at := task.Due
	if early {
		at = time.Now().Add(task.Due.Sub(f.at) + time.Second)
	}
	if latest := f.at.Add(maxAhead); at.After(latest) {
		at = latest
	}
	f.waits = append(f.waits, step{name, func(ctx context.Context, done *crm.Link) error {
		if err := nudgeError(f.Nudge.DueDate(ctx, f.ref.Location, f.ref.Contact, task.ID, at)); err != nil {
			return err
		}
		done.Fields[name] = due
		return nil
	}})
}

// waitNoMore takes back what was asked for and is in vain by now: the task is done, gone or has no due date, or no rule asks.
// One whose time has come ends by itself.
func (f *following) waitNoMore(want []item) {
	come := map[string]bool{}
	for _, it := range want {
		if it.task != nil && f.holds(crm.TaskOverdue, *it.task) {
			come[dueName+it.task.ID+" "+it.task.Due.Format(time.RFC3339Nano)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.was.Fields)) {
		had := f.was.Fields[name]
		if _, waits := f.fields[name]; waits || !strings.HasPrefix(name, dueName) || come[name+" "+had] {
			continue
		}
		f.fields[name] = had
		f.waits = append(f.waits, step{name, func(ctx context.Context, done *crm.Link) error {
			if err := f.noDueDate(ctx, name); err != nil {
				return err
			}
			delete(done.Fields, name)
			return nil
		}})
	}
}

func (a *alignment) noDueDate(ctx context.Context, name string) error {
	return nudgeError(a.Nudge.NoDueDate(ctx, a.ref.Location, a.ref.Contact, strings.TrimPrefix(name, dueName)))
}

// noDueDates lets no task of a contact that is gone be waited for.
func (a *alignment) noDueDates(ctx context.Context, was crm.Link) error {
	for name := range was.Fields {
		if strings.HasPrefix(name, dueName) {
			if err := a.noDueDate(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}
