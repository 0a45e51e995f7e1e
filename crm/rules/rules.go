// Package rules is what sync.yaml says beside the mapping: which segments a contact belongs to, what is done when a tag is
// added, and which tasks of the team follow a task. It is pure: expressions over a contact or a task, worked out the same
// wherever and however often it is asked.
package rules

import (
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// Rules are the rules of one file. A nil *Rules has none and mirrors no business. It is safe for concurrent use.
type Rules struct{}

// Parse reads a file. Its error lists everything that is wrong with it, each with line and column.
func Parse(name string, data []byte) (*Rules, error) { return &Rules{}, nil }

// Default are the rules of an installation without a file: none, and businesses are mirrored.
func Default() *Rules { return &Rules{} }

// MirrorsBusinesses tells whether the businesses of contacts are kept in step.
func (r *Rules) MirrorsBusinesses() bool { return r != nil }

// Decide works out what a contact, as mapped, belongs to. Before is what was decided last; at is GHL's Date of the read.
func (r *Rules) Decide(before crm.Decision, contact crm.Contact, at time.Time) crm.Decision {
	return crm.Decision{}
}

// Segments are the segments that rules manage, each once, in the file's order. Their ids are not known here.
func (r *Rules) Segments() []crm.Segment { return nil }

// TagWorkflow is what is done on a GHL contact when a tag is added.
type TagWorkflow struct {
	Name       string
	AddTags    []string // folded
	RemoveTags []string // folded
}

// Adding returns the workflows that wait for a tag, in the file's order.
func (r *Rules) Adding(tag string) []TagWorkflow { return nil }

// Task is the task to be made, as GHL holds it; false: the workflow makes none. Now is when the tag was found added. An error
// is [crm.RuleFailed] and names the rule.
func (w TagWorkflow) Task(contact crm.Contact, now time.Time) (task crm.Task, ok bool, err error) {
	return crm.Task{}, false, nil
}

// FollowUp is a task for the team in Rankr that follows a task in GHL.
type FollowUp struct{ Name string }

// FollowUps returns the rules that wait for an event, in the file's order.
func (r *Rules) FollowUps(event crm.TaskEvent) []FollowUp { return nil }

// Task is the task to be made in Rankr; false: the rule's condition does not hold for this task. Now is GHL's Date. An error
// is [crm.RuleFailed] and names the rule.
func (f FollowUp) Task(of crm.Task, now time.Time) (task crm.Task, ok bool, err error) {
	return crm.Task{}, false, nil
}
