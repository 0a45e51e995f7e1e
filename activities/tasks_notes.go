package activities

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// TasksAndNotes makes the tasks and notes that mirror GHL's in Rankr exactly GHL's. What people made in Rankr
// themselves carries no GHL id and is never touched. All fields but Rules are needed.
type TasksAndNotes struct {
	Contacts    *Contacts // whose links, lease, clocks and way back to Temporal are shared
	Source      crm.TaskSource
	Destination crm.TaskDestination
	Rules       *rules.Rules // which tasks of the team follow a task; nil: none
}

// BringTasksAndNotesIntoStep does for a contact's tasks and notes what BringIntoStep does for the contact, under the same
// protocol with a row of its own: two reads in GHL, and a write in Rankr for each that differs. What happened to a task is
// followed by what the rules say.
func (t *TasksAndNotes) BringTasksAndNotesIntoStep(ctx context.Context, in Round) (Answer, error) {
	if err := in.Validate(); err != nil {
		return Answer{}, leave(err)
	}
	if in.Hint.Events = t.awaited(in.Hint.Events); len(in.Hint.Events) > 0 {
		in.Hint.At = time.Time{} // whatever was read since: the round that read it may have been the contact's first
	}
	result, err := t.bring(ctx, in.Ref, in.Hint, retried(ctx, in.Failures))
	if err != nil {
		return Answer{}, leave(err)
	}
	return Answer{Result: result, Searchable: t.Contacts.Searchable()}, nil
}

func (t *TasksAndNotes) bring(ctx context.Context, ref crm.Ref, hint names.Hint, retry bool) (crm.Result, error) {
	a := alignment{TasksAndNotes: t, round: round{Contacts: t.Contacts, ref: ref, object: crm.TasksAndNotes, hint: hint, doubt: retry}}
	return t.Contacts.guarded(ctx, &a.round, a.once)
}

// alignment is a round of a contact's tasks and notes. Its link's Fields hold a fingerprint and its Records Rankr's id
// for each, by the name "task/<GHL id>" or "note/<GHL id>"; follow_ups.go has the other names.
type alignment struct {
	*TasksAndNotes
	round
	record string // the contact's record in Rankr
}

const (
	// linkPatience is how long the contact's own workflow gets to link it before this one looks again.
	linkPatience = 2 * time.Second
	// maxWrites bounds what one lease must hold for; the rest follows in the next round.
	maxWrites = 40
	// refusedName begins the names of what Rankr refused the last time it was tried: in Fields, until it is tried again.
	refusedName = "refused/"
)

func (a *alignment) once(ctx context.Context) (crm.Result, error) {
	was, contact, result, done, err := a.beginWithContact(ctx)
	if done || err != nil {
		return result, err
	}
	if contact.RankrID == "" && contact.Deleted {
		if err := a.noDueDates(ctx, was); err != nil {
			return crm.Result{}, err
		}
	}
	if result, done, err := a.belongs(ctx, was, contact); done {
		return result, err
	}
	a.record = contact.RankrID
	base, looked, err := a.base(ctx, was)
	if err != nil {
		return a.failed(ctx, was, time.Time{}, err)
	}
	want, at, err := a.wanted(ctx)
	if hasCode(err, crm.GHLNotFound) { // the contact was deleted and nobody told us
		return crm.Result{Outcome: crm.Gone}, a.askContact(ctx)
	}
	if err != nil {
		return a.failed(ctx, was, time.Time{}, err)
	}
	return a.align(ctx, was, base, want, looked, at)
}

// base is what Rankr has of ours: as the link remembers it while that can be believed, else as Rankr itself says. What
// carries an external id that is none of GHL's is not a mirror's; Rankr's ids of follow-ups are told by theirs.
func (a *alignment) base(ctx context.Context, was crm.Link) (base crm.Link, looked bool, err error) {
	if !a.doubt && a.winner == "" && was.Sure() && was.RankrID == a.record {
		return was, false, nil
	}
	base = was
	base.RankrID, base.Fields, base.Records = a.record, crm.Fingerprints{}, map[string]string{}
	tasks, err := a.Destination.Tasks(ctx, a.ref.Location, a.record)
	if err != nil {
		return base, true, a.lostRecord(ctx, err)
	}
	notes, err := a.Destination.Notes(ctx, a.ref.Location, a.record)
	if err != nil {
		return base, true, a.lostRecord(ctx, err)
	}
	for _, task := range tasks {
		switch id := task.ExternalID; {
		case crm.ValidID(id):
			base.Fields["task/"+id], base.Records["task/"+id] = taskPrint(a.Prints, task), task.ID
		case strings.HasPrefix(id, followUpMark):
			base.Records[id] = task.ID
		}
	}
	for _, note := range notes {
		if crm.ValidID(note.ExternalID) {
			base.Fields["note/"+note.ExternalID], base.Records["note/"+note.ExternalID] = a.notePrint(note), note.ID
		}
	}
	for name := range was.Records {
		if _, there := base.Records[name]; !there && mirrored(name) { // deleted by somebody: its idempotency key would bring the old answer back
			base.Generation = was.Generation + 1
		}
	}
	return base, true, nil
}

// wanted reads GHL: one call for all tasks, one for all notes. What GHL no longer lists is no longer wanted; the
// client vouches for the lists, which name the contact in each row.
func (a *alignment) wanted(ctx context.Context) (want []item, at time.Time, err error) {
	tasks, at, err := a.Source.Tasks(ctx, a.ref)
	if err != nil {
		return nil, at, err
	}
	notes, later, err := a.Source.Notes(ctx, a.ref)
	if err != nil {
		return nil, at, err
	}
	if later.Before(at) {
		at = later
	}
	for _, task := range tasks {
		task = crm.MapTask(task)
		want = append(want, item{name: "task/" + task.ID, print: taskPrint(a.Prints, task), task: &task})
	}
	for _, note := range notes {
		note = crm.MapNote(note)
		want = append(want, item{name: "note/" + note.ID, print: a.notePrint(note), note: &note})
	}
	return want, at, nil
}

// mirrored tells whether a name of the link is that of a task or note in GHL.
func mirrored(name string) bool {
	return strings.HasPrefix(name, "task/") || strings.HasPrefix(name, "note/")
}

// item is one task or note as it should be in Rankr.
type item struct {
	name, print string
	task        *crm.Task
	note        *crm.Note
}

// taskPrint is the fingerprint of what a task says, and after a dot whether it is done: completing has a call of its own.
func taskPrint(prints crm.Fingerprinter, task crm.Task) string {
	task = crm.MapTask(task)
	due := ""
	if !task.Due.IsZero() {
		due = task.Due.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%s.%t", prints.Bytes([]byte("task"), []byte(task.Title), []byte(task.Body), []byte(due), []byte(task.AssignedTo)), task.Done)
}

func (a *alignment) notePrint(note crm.Note) string {
	note = crm.MapNote(note)
	return a.Prints.Bytes([]byte("note"), []byte(note.Content))
}

// step is one write. It notes in done what certainly is in Rankr by then.
type step struct {
	name string
	do   func(context.Context, *crm.Link) error
}

func (a *alignment) align(ctx context.Context, was, base crm.Link, want []item, looked bool, at time.Time) (crm.Result, error) {
	base, steps := a.follow(was, base, want, at)
	steps = append(a.plan(base, want), steps...)
	next := a.finished(was, sight{looked: looked}, at)
	next.RankrID, next.Deleted, next.MappingVersion = a.record, false, crm.MappingVersion
	next.Fields, next.Records, next.Generation = base.Fields, base.Records, base.Generation
	result := crm.Result{Outcome: crm.Unchanged, RankrID: a.record}
	if len(steps) == 0 {
		return a.advance(ctx, was, next, result)
	}
	slices.SortStableFunc(steps, func(one, other step) int { return cmp.Compare(refusals(was, one), refusals(was, other)) })
	more := len(steps) > maxWrites
	untried := more && refusals(was, steps[maxWrites]) == 0
	for _, s := range steps[min(maxWrites, len(steps)):] { // it is not its turn
		if refusals(was, s) == 1 {
			next.Fields[refusedName+s.name] = ""
		}
	}
	if more { // the rest follows at once; until then no hint is covered
		steps, result = steps[:maxWrites], waiting(0)
		next.Covered, next.Finished = was.Covered, was.Finished
	}
	claim := crm.Claim{RankrID: a.record}
	for _, s := range steps {
		claim.Intent.Fields = append(claim.Intent.Fields, s.name)
	}
	if result.Fields = written(steps); len(result.Fields) > 0 && !more {
		result.Outcome = crm.Updated
	}
	taken := 0
	result, err := a.write(ctx, was, next, claim, result, func(ctx context.Context, done *crm.Link) (err error) {
		done.RankrID = a.record // what is in Fields and Records is this record's
		done.Fields, done.Records, done.Generation = maps.Clone(base.Fields), maps.Clone(base.Records), base.Generation
		taken, err = carryOut(ctx, steps, done)
		return err
	})
	if err == nil && (more && taken > 0 || untried) && result.Outcome == crm.Problem { // of some of them, and the rest has not had its turn
		result.Wait = time.Second
	}
	return result, err
}

// refusals is 1 for what Rankr refused the last time: it has its turn after the others, and before the step that ends a round.
func refusals(was crm.Link, s step) int {
	_, refused := was.Fields[refusedName+s.name]
	switch {
	case s.name == rulesFailed:
		return 2
	case refused:
		return 1
	}
	return 0
}

// written says what steps write in Rankr.
func written(steps []step) (fields []string) {
	kinds := map[string]string{"task": "tasks", "note": "notes", "followUp": "followUps"}
	for _, s := range steps {
		kind, _, _ := strings.Cut(s.name, "/")
		if field := kinds[kind]; field != "" && !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	return fields
}

// carryOut takes the steps, and counts those that went well. What Rankr refuses for its content does not keep the others
// from theirs.
func carryOut(ctx context.Context, steps []step, done *crm.Link) (taken int, err error) {
	var refused error
	for _, s := range steps {
		err := s.do(ctx, done)
		switch {
		case hasCode(err, crm.RankrInvalid):
			refused = cmp.Or(refused, err)
			done.Fields[refusedName+s.name] = ""
		case err != nil:
			return taken, err
		default:
			taken++
		}
		activity.RecordHeartbeat(ctx, s.name)
	}
	return taken, refused
}

// plan lists the writes that make what Rankr has of ours what GHL has.
func (a *alignment) plan(base crm.Link, want []item) []step {
	var steps []step
	wanted := map[string]bool{}
	for _, it := range want {
		wanted[it.name] = true
		if s, ok := a.bring(base, it); ok {
			steps = append(steps, s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(base.Records)) {
		if mirrored(name) && !wanted[name] {
			steps = append(steps, a.remove(name, base.Records[name]))
		}
	}
	return steps
}

// bring is the write that a task or note needs, if any.
func (a *alignment) bring(base crm.Link, it item) (step, bool) {
	had, there := base.Fields[it.name]
	if there && had == it.print {
		return step{}, false
	}
	if !there {
		return step{it.name, func(ctx context.Context, done *crm.Link) error { return a.create(ctx, it, done) }}, true
	}
	return step{it.name, func(ctx context.Context, done *crm.Link) error { return a.change(ctx, it, had, done) }}, true
}

// create makes a task or note. Its idempotency key is derived, so that a second attempt is known as such; a record
// that is there already under the same GHL id is taken as ours and compared in the next round.
func (a *alignment) create(ctx context.Context, it item, done *crm.Link) error {
	key := a.derived(a.record, it.name, strconv.Itoa(done.Generation))
	var id string
	var err error
	if it.task != nil {
		task := *it.task
		task.ExternalID, task.ID = task.ID, ""
		var made crm.Task
		made, err = a.Destination.CreateTask(ctx, a.ref.Location, a.record, key, task)
		id = made.ID
	} else {
		note := *it.note
		note.ExternalID, note.ID = note.ID, ""
		var made crm.Note
		made, err = a.Destination.CreateNote(ctx, a.ref.Location, a.record, key, note)
		id = made.ID
	}
	if err != nil {
		return a.forget(err, it.name, done)
	}
	done.Fields[it.name], done.Records[it.name] = it.print, id
	return nil
}

// change writes what differs: the content, whether a task is done, or both.
func (a *alignment) change(ctx context.Context, it item, had string, done *crm.Link) error {
	id := done.Records[it.name]
	if it.note != nil {
		note := *it.note
		note.ID, note.ExternalID = id, it.note.ID
		if err := a.Destination.UpdateNote(ctx, a.ref.Location, a.record, note); err != nil {
			return a.forget(err, it.name, done)
		}
		done.Fields[it.name] = it.print
		return nil
	}
	hadContent, hadDone, _ := strings.Cut(had, ".")
	content, isDone, _ := strings.Cut(it.print, ".")
	if content != hadContent {
		task := *it.task
		task.ID, task.ExternalID = id, it.task.ID
		if err := a.Destination.UpdateTask(ctx, a.ref.Location, a.record, task); err != nil {
			return a.forget(err, it.name, done)
		}
		done.Fields[it.name] = content + "." + hadDone
	}
	if isDone != hadDone {
		if err := a.Destination.CompleteTask(ctx, a.ref.Location, a.record, id, it.task.Done); err != nil {
			return a.forget(err, it.name, done)
		}
	}
	done.Fields[it.name] = it.print
	return nil
}

// forget notes that somebody deleted a task or note of ours in Rankr: GHL has it, so it is made again, under a key that
// does not bring the old answer back.
func (a *alignment) forget(err error, name string, done *crm.Link) error {
	if hasCode(err, crm.RankrNotFound) {
		delete(done.Fields, name)
		delete(done.Records, name)
		done.Generation++
	}
	return err
}

func (a *alignment) remove(name, id string) step {
	return step{name, func(ctx context.Context, done *crm.Link) error {
		var err error
		if strings.HasPrefix(name, "task/") {
			err = a.Destination.DeleteTask(ctx, a.ref.Location, a.record, id)
		} else {
			err = a.Destination.DeleteNote(ctx, a.ref.Location, a.record, id)
		}
		if err != nil {
			return err
		}
		delete(done.Fields, name)
		delete(done.Records, name)
		return nil
	}}
}
