// Package names holds every name that crosses a process: workflow types, task queues, IDs, signals, queries,
// search attributes and the plain JSON that goes with them. It imports nothing of ours.
package names

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
)

// Workflow types.
const (
	SyncContact        = "SyncContact"
	SyncContacts       = "SyncContacts"
	AlignTasksAndNotes = "AlignTasksAndNotes"
	AwaitDueDate       = "AwaitDueDate"
	SegmentContact     = "SegmentContact"
	SyncBusiness       = "SyncBusiness"
	PollChanges        = "PollChanges"
	ConnectLocation    = "ConnectLocation"
	Backfill           = "Backfill"
	Reconcile          = "Reconcile"
)

// Activities: the deeds' method names.
const (
	BringIntoStep              = "BringIntoStep"
	BringPageIntoStep          = "BringPageIntoStep"
	BringTasksAndNotesIntoStep = "BringTasksAndNotesIntoStep"
	AskForTasksAndNotes        = "AskForTasksAndNotes"
	BringSegmentsIntoStep      = "BringSegmentsIntoStep"
	BringBusinessIntoStep      = "BringBusinessIntoStep"
	FindChanges                = "FindChanges"
	ProveConnection            = "ProveConnection"
	ReadFields                 = "ReadFields"
	RecordConnection           = "RecordConnection"
	SchedulePoll               = "SchedulePoll"
	ResumeLocation             = "ResumeLocation"
	ConfirmUninstall           = "ConfirmUninstall"
	StopPoll                   = "StopPoll"
	Disconnect                 = "Disconnect"
	StartBackfill              = "StartBackfill"
	Survey                     = "Survey"
	ListPages                  = "ListPages"
	BackfillPage               = "BackfillPage"
	Compare                    = "Compare"
	Repair                     = "Repair"
)

// Task queues. Bulk has slots of its own, so that pages never hold up a live change.
const (
	Workflows = "rankrsync"
	Live      = "rankrsync-live"
	Bulk      = "rankrsync-bulk"
)

// Messages to and questions for a running workflow.
const (
	ChangedSignal = "changed"
	PauseSignal   = "pause"
	ResumeSignal  = "resume"
	SyncUpdate    = "sync"
	StatusQuery   = "status"
)

// Search attributes: attached only where the server knows them. SyncState is absent while all is well.
var (
	GhlLocation = temporal.NewSearchAttributeKeyKeyword("GhlLocation")
	GhlContact  = temporal.NewSearchAttributeKeyKeyword("GhlContact")
	SyncState   = temporal.NewSearchAttributeKeyKeyword("SyncState")
)

// Values of SyncState.
const (
	SyncStateRetrying = "retrying" // the last round failed; it goes on by itself
	SyncStateProblem  = "problem"  // a person must act
)

// Priorities, one for each kind of work: 1 goes first.
const (
	PriorityLive       = 1
	PriorityOperations = 2
	PriorityPolling    = 3
	PriorityReconcile  = 4
	PriorityBackfill   = 5
)

// Contact is the workflow ID of one contact's SyncContact.
func Contact(location, contact string) string { return "contact/" + location + "/" + contact }

// Contacts is the workflow ID of a location's SyncContacts.
func Contacts(location string) string { return "contacts/" + location }

// ContactsOverflow is the workflow ID of a SyncContacts that takes over what its parent's run could not carry.
func ContactsOverflow(location, parentRun string, part int) string {
	return fmt.Sprintf("%s/%s-%d", Contacts(location), parentRun, part)
}

// TasksAndNotes is the workflow ID of one contact's AlignTasksAndNotes.
func TasksAndNotes(location, contact string) string {
	return "tasks-notes/" + location + "/" + contact
}

// DueDate is the workflow ID of the AwaitDueDate of one task.
func DueDate(location, contact, task string) string {
	return "due/" + location + "/" + contact + "/" + task
}

// Segments is the workflow ID of one contact's SegmentContact.
func Segments(location, contact string) string { return "segments/" + location + "/" + contact }

// Business is the workflow ID of one GHL business's SyncBusiness.
func Business(location, business string) string { return "business/" + location + "/" + business }

// Poll is the ID of a location's poll schedule; each run's workflow ID is this and the time.
func Poll(location string) string { return "poll/" + location }

// Connect is the workflow ID of a location's ConnectLocation.
func Connect(location string) string { return "connect/" + location }

// BackfillOf is the workflow ID of a location's Backfill.
func BackfillOf(location string) string { return "backfill/" + location }

// ReconcileOf is the workflow ID of a location's Reconcile.
func ReconcileOf(location string) string { return "reconcile/" + location }

// ContactInput starts SyncContact, AlignTasksAndNotes and SegmentContact.
type ContactInput struct {
	Location string `json:"location"`
	Contact  string `json:"contact"`
	// Carried is what a run hands to its successor by continue-as-new; people leave it out.
	Carried *ContactCarried `json:"carried,omitempty"`
}

// ContactCarried is the unfinished business of a run for one contact.
type ContactCarried struct {
	Hint     *Hint `json:"hint,omitempty"` // a change not yet looked at
	Failures int   `json:"failures,omitempty"`
	Rounds   int   `json:"rounds,omitempty"`
	// NotBefore is when the next round was due.
	NotBefore time.Time `json:"notBefore,omitzero"`
}

// BusinessInput starts SyncBusiness.
type BusinessInput struct {
	Location string `json:"location"`
	Business string `json:"business"`
	// Carried is what a run hands to its successor by continue-as-new; people leave it out.
	Carried *ContactCarried `json:"carried,omitempty"`
}

// DueDateInput starts AwaitDueDate.
type DueDateInput struct {
	Location string `json:"location"`
	Contact  string `json:"contact"`
	Task     string `json:"task"`
}

// ConnectInput starts ConnectLocation, and is the payload of the signal that asks a run for another round.
type ConnectInput struct {
	Location string `json:"location"`
	// Uninstalled is when GHL says that the app was uninstalled; people leave it out.
	Uninstalled time.Time `json:"uninstalled,omitzero"`
}

// LocationInput starts SyncContacts and PollChanges.
type LocationInput struct {
	Location string `json:"location"`
	// Backlog is what a SyncContacts run hands to its successor; people leave it out.
	Backlog []Reference `json:"backlog,omitempty"`
	// Carried is the rest of what that run hands over; people leave it out.
	Carried *ContactsCarried `json:"carried,omitempty"`
}

// ContactsCarried is what a SyncContacts run knows besides its backlog.
type ContactsCarried struct {
	Failures   int            `json:"failures,omitempty"` // pages that failed in a row
	NotBefore  time.Time      `json:"notBefore,omitzero"` // no page before this
	Outcomes   map[string]int `json:"outcomes,omitempty"`
	HandedOver int            `json:"handedOver,omitempty"`
}

// Changed is the payload of the signal. To one contact's workflow it may be empty or carry that contact's hint;
// to a location's it carries up to MaxHints.
type Changed struct {
	Hints []Hint `json:"hints,omitempty"`
}

// MaxHints bounds one signal: 1,000 hints are about 40 kB (80 kB with the longest ids), far from Temporal's limits for a payload (2 MB).
const MaxHints = 1000
