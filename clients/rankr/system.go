package rankr

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// record is a contact as the contract shows it. A field without a value comes as null, as "" or not at all: all
// three are "" here.
type record struct {
	ID           string         `json:"id"`
	ExternalID   string         `json:"externalId"`
	Email        string         `json:"email"`
	FirstName    string         `json:"firstName"`
	LastName     string         `json:"lastName"`
	Phone        string         `json:"phone"`
	CompanyName  string         `json:"companyName"`
	Address1     string         `json:"address1"`
	City         string         `json:"city"`
	State        string         `json:"state"`
	PostalCode   string         `json:"postalCode"`
	Country      string         `json:"country"`
	Website      string         `json:"website"`
	Timezone     string         `json:"timezone"`
	DateOfBirth  string         `json:"dateOfBirth"`
	Source       string         `json:"source"`
	DND          bool           `json:"dnd"`
	AssignedTo   string         `json:"assignedTo"`
	Tags         []string       `json:"tags"`
	CustomFields map[string]any `json:"customFields"`
	DateUpdated  string         `json:"dateUpdated"`
}

type page struct {
	Contacts []record `json:"contacts"`
	Next     string   `json:"next"`
}

type tagsBody struct {
	Tags []string `json:"tags"`
}

// contact puts the record into the crm's words.
func (r record) contact(etag string) crm.Contact {
	updated, _ := time.Parse(time.RFC3339, r.DateUpdated) // zero when it does not tell
	return crm.Contact{
		ID: r.ID, ExternalID: r.ExternalID, Fields: r.fields(), Tags: crm.FoldTags(r.Tags), Updated: updated, ETag: etag,
	}
}

func (r record) fields() crm.Fields {
	fields := crm.Fields{}
	for name, text := range map[string]string{
		"email": r.Email, "firstName": r.FirstName, "lastName": r.LastName, "phone": r.Phone,
		"companyName": r.CompanyName, "address1": r.Address1, "city": r.City, "state": r.State,
		"postalCode": r.PostalCode, "country": r.Country, "website": r.Website, "timezone": r.Timezone,
		"dateOfBirth": r.DateOfBirth, "source": r.Source, "assignedTo": r.AssignedTo,
	} {
		if text != "" {
			fields[name] = text
		}
	}
	if r.DND { // no opt-out is no value
		fields["dnd"] = true
	}
	for key, value := range r.CustomFields {
		if value = plain(value); value != nil {
			fields[crm.CustomField+key] = value
		}
	}
	return fields
}

// plain brings a custom field's value to the types that [crm.Fields] knows; nil: it has no value. What the contract
// does not have becomes its JSON text, so that it counts as a value that differs and not as none.
func plain(value any) any {
	switch v := value.(type) {
	case nil, bool, float64:
		return v
	case string:
		if v == "" {
			return nil
		}
		return v
	case []any:
		list := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return asJSON(v)
			}
			list[i] = text
		}
		if len(list) == 0 {
			return nil
		}
		return list
	}
	return asJSON(value)
}

// newContact is the body of a create. It names fields that the contract does not have, for Rankr would refuse the
// whole contact for them.
func newContact(contact crm.Contact) (body map[string]any, unknown []string) {
	body, unknown = values(contact.Fields, nil)
	if contact.ExternalID != "" {
		body["externalId"] = contact.ExternalID
	}
	if tags := crm.FoldTags(contact.Tags); len(tags) > 0 {
		body["tags"] = tags
	}
	return body, unknown
}

// change is the body of an update: what is set with its value, what is cleared with null.
func change(patch crm.Patch) (body map[string]any, unknown []string) {
	body, unknown = values(patch.Set, patch.Clear)
	switch {
	case patch.ExternalID == nil:
	case *patch.ExternalID == "":
		body["externalId"] = nil
	default:
		body["externalId"] = *patch.ExternalID
	}
	return body, unknown
}

func values(set crm.Fields, clear []string) (body map[string]any, unknown []string) {
	body = map[string]any{}
	custom := map[string]any{}
	put := func(name string, value any) {
		key, isCustom := strings.CutPrefix(name, crm.CustomField)
		switch {
		case isCustom && key != "":
			custom[key] = value
		case slices.Contains(crm.StandardFields, name):
			body[name] = value
		default:
			unknown = append(unknown, name)
		}
	}
	for _, name := range clear {
		if name == "dnd" {
			put(name, false) // the contract has no null for it
			continue
		}
		put(name, nil)
	}
	for name, value := range set {
		put(name, value)
	}
	if len(custom) > 0 {
		body["customFields"] = custom
	}
	slices.Sort(unknown)
	return body, unknown
}

func asJSON(value any) string {
	text, _ := json.Marshal(value) // it came as JSON: cannot fail
	return string(text)
}
