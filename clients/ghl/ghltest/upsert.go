package ghltest

import (
	"encoding/json"
	"maps"
	"net/http"
)

// upsertContact changes the contact that has the email or else the phone, or makes one. A second contact that has the
// phone is ignored silently, and so is the gender of a contact that is there.
func upsertContact(x *exchange) answer {
	body, refusal, ok := x.located()
	if !ok {
		return refusal
	}
	var another bool
	if said, given := body["createNewIfDuplicateAllowed"]; given && json.Unmarshal(said, &another) != nil {
		return refuse(http.StatusUnprocessableEntity, "createNewIfDuplicateAllowed must be a boolean value")
	}
	body = maps.Clone(body)
	delete(body, "createNewIfDuplicateAllowed")
	var wanted Contact
	if err := apply(x, contactProperties, &wanted, body, true); err != nil {
		return failed(err)
	}
	twin := x.location.holder(&wanted)
	if twin == nil || another && x.location.settings.Load().DuplicateAllowed {
		made, err := x.make(body)
		if err != nil {
			return failed(err)
		}
		return x.upserted(made, true)
	}
	delete(body, "gender")
	before, after, err := x.server.replace(twin, func(c *Contact) error {
		return apply(x, contactProperties, c, body, true)
	})
	if err != nil {
		return failed(err)
	}
	x.contact, x.effect = after.ID, true
	x.server.announce(before, after)
	return x.upserted(after, false)
}

func (x *exchange) upserted(c *Contact, made bool) answer {
	return answer{http.StatusOK, map[string]any{"new": made, "contact": x.seen(c.read())}}
}

// findDuplicate answers with the contact that has the email or else the phone. No schema is published for the answer:
// null for none is assumed.
func findDuplicate(x *exchange) answer {
	query := x.request.URL.Query()
	if query.Get("locationId") != x.location.id {
		return anotherTenant
	}
	document := any(nil)
	wanted := Contact{Email: query.Get("email"), Phone: phoneFill.Replace(query.Get("number"))}
	if twin := x.location.holder(&wanted); twin != nil && !x.knobs.NotFoundAll {
		document = x.seen(twin.current.Load().read())
	}
	return answer{http.StatusOK, map[string]any{"contact": document}}
}

// holder returns the contact that has the wanted one's email or phone, if there is one.
func (l *location) holder(wanted *Contact) *record {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, _ := l.twin(wanted)
	return l.contacts[id]
}
