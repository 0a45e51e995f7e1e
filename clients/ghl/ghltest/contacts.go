package ghltest

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// notFound is GHL's own word that a contact is not there. Its real text is published nowhere; this is the shape of
// its other refusals with the status that v3 declares for it. A client must go by the status and by the body being
// GHL's JSON, never by the words.
var notFound = refuse(http.StatusNotFound, "Contact not found")

// duplicate refuses a contact whose email or phone another one has.
type duplicate struct{ id, name, field string }

func (d duplicate) Error() string { return "duplicate of " + d.id }

// failed turns what stopped an operation into GHL's answer.
func failed(err error) answer {
	var wrong invalid
	var twin duplicate
	switch {
	case errors.As(err, &wrong):
		return refuse(http.StatusUnprocessableEntity, wrong...)
	case errors.As(err, &twin):
		a := refuse(http.StatusBadRequest, "This location does not allow duplicated contacts.")
		a.body["meta"] = map[string]any{"contactId": twin.id, "contactName": twin.name, "matchingField": twin.field}
		return a
	default:
		return notFound
	}
}

// own returns the contact of the path, if the token may see it.
func (x *exchange) own() (*record, *Contact, answer, bool) {
	rec, current, err := x.server.contact(x.id)
	switch {
	case x.knobs.NotFoundAll || err != nil:
		return nil, nil, notFound, false
	case rec.location != x.location:
		return nil, nil, anotherTenant, false
	}
	return rec, current, answer{}, true
}

func getContact(x *exchange) answer {
	_, current, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	return answer{http.StatusOK, map[string]any{"contact": x.seen(current.read())}}
}

// seen is a document as the answer shows it.
func (x *exchange) seen(document map[string]any) map[string]any {
	if x.fault.Foreign {
		document["id"] = newID()
	}
	return document
}

func createContact(x *exchange) answer {
	body, refusal, ok := x.located()
	if !ok {
		return refusal
	}
	made, err := x.make(body)
	if err != nil {
		return failed(err)
	}
	document := made.created()
	if x.v3() {
		document = made.read()
	}
	return answer{http.StatusCreated, map[string]any{"contact": x.seen(document)}}
}

// located reads a body that must name the token's location.
func (x *exchange) located() (body map[string]json.RawMessage, refusal answer, ok bool) {
	if body, ok = x.object(); !ok {
		return nil, notAnObject, false
	}
	if id, given := body["locationId"]; !given {
		return nil, refuse(http.StatusUnprocessableEntity, "locationId should not be empty", "locationId must be a string"), false
	} else if string(id) != quoted(x.location.id) {
		return nil, anotherTenant, false
	}
	return body, answer{}, true
}

// make saves a new contact.
func (x *exchange) make(body map[string]json.RawMessage) (*Contact, error) {
	c := Contact{ID: newID(), Type: "lead"}
	if err := apply(x, contactProperties, &c, body, true); err != nil {
		return nil, err
	}
	made, err := x.server.insert(x.location, c, x.location.single)
	if err != nil {
		return nil, err
	}
	x.contact, x.effect = made.ID, true
	x.server.announce(nil, made)
	return made, nil
}

// single refuses a contact that the location already has under another id. The lock is held.
func (l *location) single(c *Contact) error {
	if l.settings.Load().DuplicateAllowed {
		return nil
	}
	twin, field := l.twin(c)
	if twin == "" {
		return nil
	}
	return duplicate{twin, l.contacts[twin].current.Load().name(), field}
}

// twin returns another contact with the same email or, failing that, the same phone. The lock is held.
func (l *location) twin(c *Contact) (id, field string) {
	if id, taken := l.byEmail.other(strings.ToLower(c.Email), c.ID); taken {
		return id, "email"
	}
	if id, taken := l.byPhone.other(c.Phone, c.ID); taken {
		return id, "phone"
	}
	return "", ""
}

func updateContact(x *exchange) answer {
	body, ok := x.object()
	if !ok {
		return notAnObject
	}
	rec, _, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	before, after, err := x.server.replace(rec, func(c *Contact) error {
		if err := apply(x, contactProperties, c, body, false); err != nil {
			return err
		}
		return x.location.single(c)
	})
	if err != nil {
		return failed(err)
	}
	x.effect = true
	x.server.announce(before, after)
	return answer{http.StatusOK, map[string]any{x.succeeded(): true, "contact": x.seen(after.read())}}
}

// succeeded is a key that v2 misspells.
func (x *exchange) succeeded() string {
	if x.v3() {
		return "succeeded"
	}
	return "succeded"
}

func deleteContact(x *exchange) answer {
	rec, _, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	before, err := x.server.remove(rec)
	if err != nil {
		return failed(err)
	}
	x.effect = true
	x.server.announce(before, nil)
	return x.deleted()
}

func addTags(x *exchange) answer { return changeTags(x, http.StatusCreated, withTags) }

func removeTags(x *exchange) answer { return changeTags(x, http.StatusOK, withoutTags) }

// changeTags answers with the tags after the change. Tags that change nothing touch nothing and tell nobody.
func changeTags(x *exchange, status int, change func(have, named []string) []string) answer {
	body, ok := x.object()
	if !ok {
		return notAnObject
	}
	for name := range body {
		if name != "tags" {
			return refuse(http.StatusUnprocessableEntity, x.surplus(name, false))
		}
	}
	named, err := readTags(body["tags"])
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "tags "+err.Error())
	}
	rec, current, refusal, ok := x.own()
	if !ok {
		return refusal
	}
	before, after, err := x.server.replace(rec, func(c *Contact) error {
		current = c
		if c.Tags = change(c.Tags, named); slices.Equal(c.Tags, rec.current.Load().Tags) {
			return errNothing
		}
		return nil
	})
	switch {
	case errors.Is(err, errNothing):
	case err != nil:
		return failed(err)
	default:
		x.effect = true
		x.server.announce(before, after)
	}
	return answer{status, map[string]any{"tags": orEmpty(current.Tags)}}
}

// errNothing ends a change that would change nothing.
var errNothing = errors.New("ghltest: nothing to change")

// onlyTagsDiffer tells whether a change is one of tags alone.
func onlyTagsDiffer(before, after *Contact) bool {
	return !sameTags(before, after) && before.DND == after.DND && sameOtherwise(before, after)
}

// onlyBusinessDiffers tells whether a contact was attached to a business or detached from one, and nothing else.
func onlyBusinessDiffers(before, after *Contact) bool {
	same := *after
	same.BusinessID, same.DateUpdated = before.BusinessID, before.DateUpdated
	return before.BusinessID != after.BusinessID && reflect.DeepEqual(*before, same)
}

func sameTags(before, after *Contact) bool { return slices.Equal(before.Tags, after.Tags) }

// sameOtherwise compares all but the tags, the do-not-disturb settings and the date of the change.
func sameOtherwise(before, after *Contact) bool {
	a, b := *before, *after
	for _, c := range []*Contact{&a, &b} {
		c.Tags, c.DND, c.DNDSettings, c.InboundDND = nil, false, nil, nil
		c.DateUpdated = before.DateUpdated
	}
	return reflect.DeepEqual(a, b)
}

func quoted(text string) string {
	quoted, _ := json.Marshal(text) // a string always has a JSON form
	return string(quoted)
}
