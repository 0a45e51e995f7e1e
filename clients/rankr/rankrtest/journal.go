package rankrtest

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// Call is one request that arrived, in the order of arrival. It holds no values.
type Call struct {
	Operation      string    `json:"operation"` // "contacts.update"; "unknown" for what the contract does not have
	Account        string    `json:"account,omitempty"`
	Status         int       `json:"status"` // 0: no answer, or not yet
	Effect         bool      `json:"effect"` // the write was carried out by this call
	Replayed       bool      `json:"replayed,omitempty"`
	At             time.Time `json:"at"` // of the effect; of the arrival while there is none
	RecordID       string    `json:"recordId,omitempty"`
	ExternalID     string    `json:"externalId,omitempty"`     // of the record, or asked for
	ItemID         string    `json:"itemId,omitempty"`         // of the task, note, business or segment
	ItemExternalID string    `json:"itemExternalId,omitempty"` // of the item, or asked for; a segment's name in lower case
	Properties     []string  `json:"properties,omitempty"`     // names in the body, custom fields as customFields.<key>
	Key            string    `json:"key,omitempty"`            // Idempotency-Key
	IfMatch        string    `json:"ifMatch,omitempty"`
}

// Event is one change of a record, a task, a note, a business or a segment.
type Event struct {
	At        time.Time `json:"at"`
	Verb      string    `json:"verb"` // created, updated or deleted
	By        string    `json:"by"`   // client or person
	Account   string    `json:"account,omitempty"`
	ID        string    `json:"id"`
	ContactID string    `json:"contactId,omitempty"` // whose task or note it is
	// ExternalID is the one after the change; of a delete: before it. A segment's is its name in lower case.
	ExternalID string `json:"externalId,omitempty"`
	Before     string `json:"before,omitempty"` // the external id before an update
}

// Who changed a record.
const (
	client = "client"
	person = "person"
)

// Counters are totals since the start or the last Forget.
type Counters struct {
	Requests      int            `json:"requests"`
	Operations    map[string]int `json:"operations"` // requests by operation
	Effects       map[string]int `json:"effects"`    // writes that were carried out, by operation
	Statuses      map[int]int    `json:"statuses"`   // 0: no answer
	BusiestWindow int            `json:"busiestWindow"`
}

// journal is everything that happened.
type journal struct {
	calls  []*Call
	events []Event
	twice  map[string]bool // external ids that two records had at one instant
}

// log notes the request; s.mu is held. The status is of a refusal, or 0.
func (s *Server) log(req request, a answer) *Call {
	call := &Call{
		Operation: req.name, Account: req.account, Status: a.status, At: s.now(),
		RecordID: req.id, ExternalID: s.externalID(req), ItemID: req.item, ItemExternalID: s.itemExternalID(req),
		Properties: properties(req.body), Key: req.key, IfMatch: req.ifMatch,
	}
	s.calls = append(s.calls, call)
	return call
}

// settle completes the call with what came of it.
func (s *Server) settle(call *Call, req request, a answer) {
	call.At = s.now()
	call.Effect = a.status < http.StatusBadRequest && req.method != http.MethodGet && !call.Replayed
	if a.record != nil {
		call.RecordID = a.record.ID
		if call.ExternalID == "" {
			call.ExternalID = a.record.ExternalID
		}
	}
	if a.item != nil {
		call.ItemID = a.item.ID
	}
}

// externalID is the GHL contact that the request is about, as far as the request or the record tells.
func (s *Server) externalID(req request) string {
	if r := s.records[req.id]; r != nil {
		return r.ExternalID
	}
	if !req.ofContacts() {
		return ""
	}
	if asked := req.query.Get("externalId"); asked != "" {
		return asked
	}
	if req.id != "" { // a body that is about something in the contact
		return ""
	}
	id, _ := req.body["externalId"].(string)
	return id
}

// itemExternalID is the GHL task, note or business, or the name of the segment, that the request is about, as far as the
// request or the item tells.
func (s *Server) itemExternalID(req request) string {
	for _, shelf := range []interface{ keyOf(id string) string }{s.tasks, s.notes, s.businesses, s.segments} {
		if key := shelf.keyOf(req.item); key != "" {
			return key
		}
	}
	text := func(name string) string { text, _ := req.body[name].(string); return text }
	switch req.name {
	case "tasks.create", "notes.create", "businesses.create":
		return text("externalId")
	case "segments.create":
		return foldName(text("name"))
	case "businesses.find":
		return req.query.Get("externalId")
	case "segments.find":
		return foldName(req.query.Get("name"))
	}
	return ""
}

func properties(body map[string]any) []string {
	var names []string
	for name, value := range body {
		custom, ok := value.(map[string]any)
		if !ok {
			names = append(names, name)
			continue
		}
		for key := range custom {
			names = append(names, name+"."+key)
		}
	}
	slices.Sort(names)
	return names
}

// remember adds a change to the history and looks whether an external id has become doubled.
func (s *Server) remember(event Event, r *Record) {
	event.Account, event.ID, event.ExternalID = r.Account, r.ID, r.ExternalID
	s.events = append(s.events, event)
	if len(s.account(r.Account).byExternal[r.ExternalID]) > 1 {
		if s.twice == nil {
			s.twice = map[string]bool{}
		}
		s.twice[r.ExternalID] = true
	}
}

// Calls returns the log of requests.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.calls))
	for i, call := range s.calls {
		calls[i] = *call
	}
	return calls
}

// Forget empties the log of requests and sets the counters to zero; records and history stay.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
	for _, a := range s.accounts {
		a.window.busiest = len(a.window.calls)
	}
}

// History returns the changes of all records that ever carried the external id, oldest first; empty: of all records.
func (s *Server) History(externalID string) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return about(s.events, externalID)
}

// about returns the changes of everything that ever carried the external id; empty: all changes.
func about(events []Event, externalID string) []Event {
	if externalID == "" {
		return slices.Clone(events)
	}
	carried := map[string]bool{}
	for _, event := range events {
		if event.ExternalID == externalID || event.Before == externalID {
			carried[event.ID] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(events), func(event Event) bool { return !carried[event.ID] })
}

// Doubled returns the external ids that more than one record of an account had at any instant ever, sorted. A Rankr
// that keeps to the contract never has any; with Knobs.NoUnique it is the client that must prevent them.
func (s *Server) Doubled() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.twice))
}

// Counters returns the totals of the log.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Counters{Requests: len(s.calls), Operations: map[string]int{}, Effects: map[string]int{}, Statuses: map[int]int{}}
	for _, call := range s.calls {
		c.Operations[call.Operation]++
		c.Statuses[call.Status]++
		if call.Effect {
			c.Effects[call.Operation]++
		}
	}
	for _, a := range s.accounts {
		c.BusiestWindow = max(c.BusiestWindow, a.window.busiest)
	}
	return c
}

// answers remembers what was answered to each Idempotency-Key.
type answers map[string]remembered

type remembered struct {
	answer
	at time.Time
}

const idempotencyLasts = 24 * time.Hour

func (a answers) name(req request) string { return req.name + " " + req.id + " " + req.key }

func (a answers) replay(req request, now time.Time) (answer, bool) {
	had, ok := a[a.name(req)]
	if req.key == "" || req.method != http.MethodPost || !ok || now.Sub(had.at) >= idempotencyLasts {
		return answer{}, false
	}
	return had.answer, true
}

// keep remembers success only: a refused request left nothing behind, so its key may be used again.
func (a answers) keep(req request, done answer, now time.Time) {
	if req.key != "" && req.method == http.MethodPost && done.status < http.StatusBadRequest {
		a[a.name(req)] = remembered{done, now}
	}
}
