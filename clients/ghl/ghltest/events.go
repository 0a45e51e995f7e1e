package ghltest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"time"
)

// The types of events about contacts, their tasks and their notes. None tells that a task was edited or reopened.
const (
	ContactCreate    = "ContactCreate"
	ContactUpdate    = "ContactUpdate"
	ContactTagUpdate = "ContactTagUpdate"
	ContactDndUpdate = "ContactDndUpdate"
	ContactDelete    = "ContactDelete"

	TaskCreate   = "TaskCreate"
	TaskComplete = "TaskComplete"
	TaskDelete   = "TaskDelete"

	NoteCreate = "NoteCreate"
	NoteUpdate = "NoteUpdate"
	NoteDelete = "NoteDelete"
)

// The app and its version that all events are for.
const (
	AppID     = "6650a1f2c3d4e5f6a7b8c9d0"
	VersionID = "6650a1f2c3d4e5f6a7b8c9d1"
)

// SignatureHeader carries the signature of a delivery.
const SignatureHeader = "X-GHL-Signature"

// event is something to tell: its body is made when it is sent, so that whoever changes a record does not wait for
// it.
type event struct {
	kind         string
	about        subject
	at           time.Time
	id           string // webhookId: the same on all attempts and duplicates
	nested, thin bool   // the knobs of these names
}

// subject is a contact, a task or a note in the version that an event tells of.
type subject interface {
	home() (location, contact string)
	told() map[string]any
}

func (c *Contact) home() (location, contact string) { return c.Location, c.ID }

// announce tells the listener, if there is one, of a contact's change: before is nil for a create, after for a
// delete.
func (s *Server) announce(before, after *Contact) {
	if before != nil && after != nil && onlyBusinessDiffers(before, after) && !s.current().AttachingUpdates {
		return
	}
	s.publish(eventsOf(before, after)...)
}

// publish hands events over to the sender, if anybody listens.
func (s *Server) publish(events ...event) {
	k := s.current()
	if k.WebhookURL == "" {
		return
	}
	for _, e := range events {
		s.deliver(s.stamp(e, k), k)
	}
}

// stamp makes an event one of now.
func (s *Server) stamp(e event, k *Knobs) event {
	e.at, e.id, e.nested, e.thin = s.now(), newUUID(), k.Nested, k.ThinTaskEvents
	return e
}

// eventsOf lists the events that a change makes. Which fields make GHL send a ContactUpdate is not published; here
// every one does, and so does an update that changes nothing.
func eventsOf(before, after *Contact) []event {
	switch {
	case before == nil:
		return []event{{kind: ContactCreate, about: after}}
	case after == nil:
		return []event{{kind: ContactDelete, about: before}}
	}
	var events []event
	if !sameTags(before, after) {
		events = append(events, event{kind: ContactTagUpdate, about: after})
	}
	if before.DND != after.DND || !bytes.Equal(before.DNDSettings, after.DNDSettings) {
		events = append(events, event{kind: ContactDndUpdate, about: after})
	}
	if len(events) == 0 || !sameOtherwise(before, after) {
		events = append(events, event{kind: ContactUpdate, about: after})
	}
	return events
}

// body is what is sent and signed. Real bodies are flat; the guide's samples nest.
func (e event) body() []byte {
	location, _ := e.about.home()
	body := map[string]any{
		"type": e.kind, "locationId": location, "appId": AppID, "versionId": VersionID,
		"webhookId": e.id, "timestamp": wireTime(e.at),
	}
	if location == "" {
		delete(body, "locationId") // the app at a company
	}
	told := e.about.told()
	if e.kind == Install {
		toldOfInstall(told)
	}
	if e.thin && e.kind == TaskCreate {
		delete(told, "contactId")
		delete(told, "body")
	}
	if e.kind != ContactDndUpdate {
		delete(told, "dndSettings")
	}
	if e.nested {
		delete(told, "locationId")
		body["data"] = told
	} else {
		maps.Copy(body, told)
	}
	text, _ := json.Marshal(body) // made of plain values
	return text
}

// Event returns the body of an event about a contact, a task or a note, or about the app at an owner ("location/L" or
// "company/K"), as it would be sent now. For deletes too the record must still be there.
func (s *Server) Event(kind, id string) ([]byte, error) {
	about, err := s.subject(kind, id)
	if err != nil {
		return nil, err
	}
	return s.stamp(event{kind: kind, about: about}, s.current()).body(), nil
}

func (s *Server) subject(kind, id string) (subject, error) {
	switch {
	case kind == Install || kind == Uninstall:
		return s.installation(id)
	case strings.HasPrefix(kind, "Task"):
		return find(s, tasksOf, id)
	case strings.HasPrefix(kind, "Note"):
		return find(s, notesOf, id)
	}
	_, current, err := s.contact(id)
	return current, err
}

// Sign returns the [SignatureHeader] of a body: its Ed25519 signature in base64.
func (s *Server) Sign(body []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(s.sender.key(), body))
}

// PublicKey returns the key that signatures are checked with, as GHL prints its own: SPKI in base64.
func (s *Server) PublicKey() string {
	spki, _ := x509.MarshalPKIXPublicKey(s.sender.key().Public()) // an Ed25519 key always has this form
	return base64.StdEncoding.EncodeToString(spki)
}
