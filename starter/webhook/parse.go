package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rankrsync/rankrsync/crm"
)

// event is what is kept of a body.
type event struct {
	kind     string // an official type, or "unknown"
	location string
	company  string // of an install
	app      string
	id       string
	contact  string    // whose task or note it is; empty: GHL leaves it out of some task events
	at       time.Time // when GHL says it happened; zero: it doesn't say, or can't be believed
}

// unknown is the kind of an event whose type is not an official one: foreign text must not become a metric's label.
const unknown = "unknown"

// subject is what an event tells of.
type subject int

const (
	nothing subject = iota // that we keep in step
	aContact
	aTask
	aNote
	anInstall // or its end
)

// kinds are the official event types.
var kinds = map[string]subject{
	"ContactCreate": aContact, "ContactUpdate": aContact, "ContactDelete": aContact, "ContactTagUpdate": aContact, "ContactDndUpdate": aContact,
	"TaskCreate": aTask, "TaskComplete": aTask, "TaskDelete": aTask,
	"NoteCreate": aNote, "NoteUpdate": aNote, "NoteDelete": aNote,
	"AppointmentCreate": nothing, "AppointmentUpdate": nothing, "AppointmentDelete": nothing,
	"OpportunityCreate": nothing, "OpportunityUpdate": nothing, "OpportunityDelete": nothing,
	"OpportunityStageUpdate": nothing, "OpportunityStatusUpdate": nothing,
	"OpportunityMonetaryValueUpdate": nothing, "OpportunityAssignedToUpdate": nothing,
	"LocationCreate": nothing, "LocationUpdate": nothing, "UserCreate": nothing,
	"INSTALL": anInstall, uninstall: anInstall, "PLAN_CHANGE": nothing,
}

const uninstall = "UNINSTALL"

// about is what the event tells of.
func (e event) about() subject { return kinds[e.kind] }

// homeless tells whether it is about a task and does not say whose.
func (e event) homeless() bool { return e.about() == aTask && e.contact == "" }

// sound tells whether the ids that its hint is made of can be real.
func (e event) sound() bool {
	if e.about() == anInstall { // of a location, or of all of a company's
		return (e.location == "" || crm.ValidID(e.location)) && (e.company == "" || crm.ValidID(e.company)) && e.location+e.company != ""
	}
	id := e.id
	if e.about() != aContact {
		id = e.contact
	}
	return crm.ValidID(e.location) && (e.homeless() || crm.ValidID(id))
}

// happened names what rules may wait for: that a task was made or completed. A task whose id can't be real has no such name;
// that its contact may have changed stays true.
func (e event) happened() []string {
	told := map[string]crm.TaskEvent{"TaskCreate": crm.TaskCreated, "TaskComplete": crm.TaskCompleted}[e.kind]
	if told == "" || !crm.ValidID(e.id) {
		return nil
	}
	return []string{string(told) + "/" + e.id}
}

// maxSkew is how far GHL's clock may be ahead of ours before an event's time is taken for unknown.
const maxSkew = time.Minute

// notText stands for a value that should have been text and was not; no check of an id lets it pass.
const notText = "\x00"

// unclear is the error of a body that is JSON, but that two readers could read in two ways.
type unclear string

func (e unclear) Error() string { return string(e) }

// parse reads one event strictly: a name twice or in another case, more than one value and broken UTF-8 are
// refused. Its errors quote nothing of the body.
func parse(body []byte, now time.Time) (event, error) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(body))
	found, err := fields(decoder)
	var vague unclear
	switch {
	case errors.As(err, &vague):
		return event{}, vague
	case err != nil:
		return event{}, fmt.Errorf("not well-formed JSON at byte %d", decoder.InputOffset())
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return event{}, unclear("something follows the first value")
	}
	kind := found["type"]
	if kind == notText {
		return event{}, unclear("type is not text")
	}
	if _, ok := kinds[kind]; !ok {
		kind = unknown
	}
	return event{
		kind:     kind,
		location: found["locationId"],
		company:  found["companyId"],
		app:      found["appId"],
		id:       found["id"],
		contact:  found["contactId"],
		at:       moment(found["timestamp"], now),
	}, nil
}

// What is read beside the type, and what under "data": a contact under "data" may have a type of its own.
var (
	envelope = []string{"type", "locationId", "companyId", "appId", "id", "contactId", "timestamp", "data"}
	nested   = []string{"locationId", "companyId", "appId", "id", "contactId"}
)

// fields reads an event's texts. Deliveries carry the record's fields beside the type or, as GHL's guide shows
// them, under "data". Where both places have one they must agree: else it would depend on the reader whose contact
// is meant.
func fields(decoder *jsontext.Decoder) (map[string]string, error) {
	var inner map[string]string
	outer, err := object(decoder, envelope, func() (err error) {
		inner, err = object(decoder, nested, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	for name, value := range inner {
		if other, ok := outer[name]; ok && other != value {
			return nil, unclear(name + " has two values")
		}
		outer[name] = value
	}
	return outer, nil
}

// object reads the texts under the wanted names and skips all else. An object under "data" is left to data.
func object(decoder *jsontext.Decoder, wanted []string, data func() error) (map[string]string, error) {
	if kind := decoder.PeekKind(); kind != '{' && kind != 0 {
		return nil, unclear("not an object")
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	found := make(map[string]string, len(wanted))
	for decoder.PeekKind() == '"' {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		name, err := match(token.String(), wanted)
		switch {
		case err != nil:
		case name == "":
			err = decoder.SkipValue()
		case name == "data" && decoder.PeekKind() == '{':
			err = data()
		default:
			err = text(decoder, found, name)
		}
		if err != nil {
			return nil, err
		}
	}
	_, err := decoder.ReadToken()
	return found, err
}

// match returns the wanted name that this is, or "". One that differs in case only is refused: encoding/json, and
// so perhaps somebody before us, would take it for the same.
func match(name string, wanted []string) (string, error) {
	for _, want := range wanted {
		if name == want {
			return want, nil
		}
		if strings.EqualFold(name, want) {
			return "", unclear(want + " is written in another case")
		}
	}
	return "", nil
}

// text keeps a value under its name; null is the same as no value.
func text(decoder *jsontext.Decoder, found map[string]string, name string) error {
	switch decoder.PeekKind() {
	case '"':
		token, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		found[name] = token.String()
		return nil
	case 'n':
	default:
		found[name] = notText
	}
	return decoder.SkipValue()
}

// moment reads the envelope's time. One from the future would make the next, real change look older than it is,
// so it is taken for unknown, as is one that can't be read; a hint without a time always reads.
func moment(text string, now time.Time) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.After(now.Add(maxSkew)) {
		return time.Time{}
	}
	return at.UTC()
}
