// Package rules is what sync.yaml says beside the mapping: which segments a contact belongs to, what is done when a tag is
// added, which tasks of the team follow a task, and which Rankr account a location's records are in. It is pure: expressions
// over a contact or a task, worked out the same wherever and however often it is asked.
package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm"

	"github.com/rankrsync/rankrsync/crm"
)

// Rules are the rules of one file. A nil *Rules has none and mirrors no business. It is safe for concurrent use.
type Rules struct {
	segments     []segment
	tagWorkflows []TagWorkflow
	followUps    []FollowUp
	mirror       bool
	watched      []string // tags that workflows wait for, sorted
	accounts     Accounts
	mapping      *mapping            // of contacts; nil: each field goes to the one of its name
	overrides    map[string]*mapping // by location, in place of mapping
	tables       map[string]map[string]string
}

type segment struct {
	crm.Segment
	when *vm.Program
}

// Default are the rules of an installation without a file: none, and businesses are mirrored.
func Default() *Rules { return &Rules{mirror: true} }

// MirrorsBusinesses tells whether the businesses of contacts are kept in step.
func (r *Rules) MirrorsBusinesses() bool { return r != nil && r.mirror }

// newContact is how young a contact must be, when it is first decided on, for its tags to count as added.
const newContact = 24 * time.Hour

// Decide works out what a contact, as mapped, belongs to. Before is what was decided last; at is GHL's Date of the read. A
// rule that can't be worked out is named in Failed, and what it decides stays as it was.
func (r *Rules) Decide(before crm.Decision, contact crm.Contact, at time.Time) crm.Decision {
	if r == nil {
		return crm.Decision{}
	}
	var now crm.Decision
	if r.mirror {
		now.Business = contact.Business
	}
	r.decideSegments(&now, before, contact)
	r.decideTags(&now, before, contact, at)
	if !now.Zero() {
		now.At = at
	}
	return now
}

func (r *Rules) decideSegments(now *crm.Decision, before crm.Decision, contact crm.Contact) {
	if len(r.segments) == 0 {
		return
	}
	cost := &allowance{}
	in := scope{variablesOf(contact, cost), cost}
	for _, segment := range r.segments {
		holds, err := run[bool](segment.when, in)
		if err != nil {
			now.Failed = append(now.Failed, SegmentRule(segment.Name))
			holds = slices.Contains(before.Segments, segment.Name)
		}
		if holds {
			now.Segments = append(now.Segments, segment.Name)
		}
	}
	slices.Sort(now.Segments)
	slices.Sort(now.Failed)
}

// SegmentRule is what the rule of a segment is called where rules are named.
func SegmentRule(name string) string { return "segments/" + name }

// decideTags finds the additions: watched tags that were not there when it was last decided, or all of a contact that is new
// itself. A tag that no rule waited for then is taken as it is.
func (r *Rules) decideTags(now *crm.Decision, before crm.Decision, contact crm.Contact, at time.Time) {
	now.Watched = slices.Clone(r.watched)
	young := before.At.IsZero() && !contact.Added.IsZero() && at.Sub(contact.Added) < newContact
	for _, tag := range r.watched {
		added, was := before.Added[tag]
		if slices.Contains(contact.Tags, tag) {
			now.Tags = append(now.Tags, tag)
			if young || slices.Contains(before.Watched, tag) && !slices.Contains(before.Tags, tag) {
				added, was = at, true
			}
		}
		if !was {
			continue
		}
		if now.Added == nil {
			now.Added = map[string]time.Time{}
		}
		now.Added[tag] = added.UTC()
	}
}

// Segments are the segments that rules manage, each once, in the file's order. Their ids are not known here.
func (r *Rules) Segments() []crm.Segment {
	if r == nil {
		return nil
	}
	segments := make([]crm.Segment, len(r.segments))
	for i, segment := range r.segments {
		segments[i] = segment.Segment
	}
	return segments
}

// TagWorkflow is what is done on a GHL contact when a tag is added.
type TagWorkflow struct {
	Name       string
	AddTags    []string // folded
	RemoveTags []string // folded
	tag        string
	task       *taskTemplate
}

// taskTemplate is a task whose texts are expressions.
type taskTemplate struct {
	title, body, due *vm.Program // body and due: nil for none
	assignedTo       string
}

// Adding returns the workflows that wait for a tag, in the file's order.
func (r *Rules) Adding(tag string) []TagWorkflow {
	if r == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.tagWorkflows), func(waits TagWorkflow) bool { return waits.tag != tag })
}

// Task is the task to be made, as GHL holds it; false: the workflow makes none. Now is when the tag was found added. An error
// is [crm.RuleFailed] and names the rule.
func (w TagWorkflow) Task(contact crm.Contact, now time.Time) (task crm.Task, ok bool, err error) {
	if w.task == nil {
		return crm.Task{}, false, nil
	}
	cost := &allowance{}
	in := scope{tagVariables{variablesOf(contact, cost), now.UTC()}, cost}
	name := "tagWorkflows/" + w.Name
	if task, err = w.task.fill(name, in); err == nil && task.Due.IsZero() { // GHL takes no such task
		return crm.Task{}, false, ruleFailed(name)
	}
	return task, err == nil, err
}

// FollowUp is a task for the team in Rankr that follows a task in GHL.
type FollowUp struct {
	Name string
	on   crm.TaskEvent
	when *vm.Program // nil: always
	task taskTemplate
}

// FollowUps returns the rules that wait for an event, in the file's order.
func (r *Rules) FollowUps(event crm.TaskEvent) []FollowUp {
	if r == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.followUps), func(waits FollowUp) bool { return waits.on != event })
}

// Task is the task to be made in Rankr; false: the rule's condition does not hold for this task. Now is GHL's Date. An error
// is [crm.RuleFailed] and names the rule.
func (f FollowUp) Task(of crm.Task, now time.Time) (task crm.Task, ok bool, err error) {
	name := "followUps/" + f.Name
	cost := &allowance{}
	in := scope{taskVariables{
		Task: taskFields{of.Title, of.Body, of.Due.UTC(), !of.Due.IsZero(), of.AssignedTo, of.Done},
		Now:  now.UTC(), metered: cost.metered(),
	}, cost}
	if f.when != nil {
		if ok, err = run[bool](f.when, in); err != nil {
			return crm.Task{}, false, ruleFailed(name)
		}
		if !ok {
			return crm.Task{}, false, nil
		}
	}
	task, err = f.task.fill(name, in)
	return task, err == nil, err
}

// fill works a template out. A task without a title is none.
func (t taskTemplate) fill(rule string, in scope) (task crm.Task, err error) {
	title, err := run[string](t.title, in)
	if title = cut(title, maxTitle); err != nil || title == "" {
		return crm.Task{}, ruleFailed(rule)
	}
	task = crm.Task{Title: title, AssignedTo: t.assignedTo}
	if t.body != nil {
		body, err := run[string](t.body, in)
		if err != nil {
			return crm.Task{}, ruleFailed(rule)
		}
		task.Body = cut(body, maxBody)
	}
	if t.due != nil {
		due, err := run[time.Time](t.due, in)
		if task.Due = due.UTC(); err != nil || !writable(task.Due) {
			return crm.Task{}, ruleFailed(rule)
		}
	}
	return task, nil
}

// writable tells whether a due date is none, or one that JSON has a form for.
func writable(due time.Time) bool { return due.IsZero() || due.Year() >= 1 && due.Year() <= 9999 }

func ruleFailed(name string) error {
	return &crm.Error{Code: crm.RuleFailed, Operation: "rules", Fields: []string{name}}
}

// cut trims a text and bounds its length, in characters.
func cut(text string, most int) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
	if runes := []rune(text); len(runes) > most {
		text = strings.TrimSpace(string(runes[:most]))
	}
	return text
}
