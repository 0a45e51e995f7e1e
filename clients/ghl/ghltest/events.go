package ghltest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"time"
)

// The types of events about contacts.
const (
	ContactCreate    = "ContactCreate"
	ContactUpdate    = "ContactUpdate"
	ContactTagUpdate = "ContactTagUpdate"
	ContactDndUpdate = "ContactDndUpdate"
	ContactDelete    = "ContactDelete"
)

// The app and its version that all events are for.
const (
	AppID     = "6650a1f2c3d4e5f6a7b8c9d0"
	VersionID = "6650a1f2c3d4e5f6a7b8c9d1"
)

// SignatureHeader carries the signature of a delivery.
const SignatureHeader = "X-GHL-Signature"

// event is something to tell: its body is made when it is sent, so that whoever changes a contact does not wait
// for it.
type event struct {
	kind    string
	contact *Contact
	at      time.Time
	id      string // webhookId: the same on all attempts and duplicates
	nested  bool
}

// announce tells the listener, if there is one, of a change: before is nil for a create, after for a delete.
func (s *Server) announce(before, after *Contact) {
	k := s.current()
	if k.WebhookURL == "" {
		return
	}
	for _, e := range eventsOf(before, after) {
		e.at, e.id, e.nested = s.now(), newUUID(), k.Nested
		s.deliver(e, k)
	}
}

// eventsOf lists the events that a change makes. Which fields make GHL send a ContactUpdate is not published; here
// every one does, and so does an update that changes nothing.
func eventsOf(before, after *Contact) []event {
	switch {
	case before == nil:
		return []event{{kind: ContactCreate, contact: after}}
	case after == nil:
		return []event{{kind: ContactDelete, contact: before}}
	}
	var events []event
	if !sameTags(before, after) {
		events = append(events, event{kind: ContactTagUpdate, contact: after})
	}
	if before.DND != after.DND || !bytes.Equal(before.DNDSettings, after.DNDSettings) {
		events = append(events, event{kind: ContactDndUpdate, contact: after})
	}
	if len(events) == 0 || !sameOtherwise(before, after) {
		events = append(events, event{kind: ContactUpdate, contact: after})
	}
	return events
}

// body is what is sent and signed. Real bodies are flat; the guide's samples nest.
func (e event) body() []byte {
	body := map[string]any{
		"type": e.kind, "locationId": e.contact.Location, "appId": AppID, "versionId": VersionID,
		"webhookId": e.id, "timestamp": wireTime(e.at),
	}
	told := e.contact.told()
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

// Event returns the body of an event about a contact, as it would be sent now. For [ContactDelete] too the contact
// must still be there.
func (s *Server) Event(kind, contact string) ([]byte, error) {
	_, current, err := s.contact(contact)
	if err != nil {
		return nil, err
	}
	return event{kind: kind, contact: current, at: s.now(), id: newUUID(), nested: s.current().Nested}.body(), nil
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
