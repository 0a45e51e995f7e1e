package ghltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
)

// property is what a create (POST) or an update (PUT) may say of one field of a record.
type property[T any] struct {
	create, update access
	set            func(x *exchange, record *T, value json.RawMessage) error
}

type access int

const (
	refused  access = iota // "property X should not exist"
	required               // a value, not null
	nullable               // a value, or null to clear it
)

// contactProperties are all that the spec lets a body hold. What is not documented is whether null clears a field: it does
// here.
var contactProperties = map[string]property[Contact]{
	"locationId":         {required, refused, setNothing},
	"firstName":          {nullable, nullable, text(func(c *Contact) *string { return &c.FirstName })},
	"lastName":           {nullable, nullable, text(func(c *Contact) *string { return &c.LastName })},
	"name":               {nullable, nullable, setName},
	"email":              {nullable, nullable, setEmail},
	"phone":              {nullable, nullable, setPhone},
	"address1":           {nullable, nullable, text(func(c *Contact) *string { return &c.Address1 })},
	"city":               {nullable, nullable, text(func(c *Contact) *string { return &c.City })},
	"state":              {nullable, nullable, text(func(c *Contact) *string { return &c.State })},
	"postalCode":         {required, required, text(func(c *Contact) *string { return &c.PostalCode })},
	"country":            {required, required, setCountry},
	"website":            {nullable, nullable, text(func(c *Contact) *string { return &c.Website })},
	"timezone":           {nullable, nullable, text(func(c *Contact) *string { return &c.Timezone })},
	"companyName":        {nullable, refused, text(func(c *Contact) *string { return &c.CompanyName })},
	"gender":             {required, refused, text(func(c *Contact) *string { return &c.Gender })},
	"source":             {required, nullable, text(func(c *Contact) *string { return &c.Source })},
	"assignedTo":         {required, nullable, text(func(c *Contact) *string { return &c.AssignedTo })},
	"dateOfBirth":        {nullable, nullable, setDateOfBirth},
	"dnd":                {required, required, boolean(func(c *Contact) *bool { return &c.DND })},
	"dndSettings":        {required, required, object(func(c *Contact) *json.RawMessage { return &c.DNDSettings })},
	"inboundDndSettings": {required, required, object(func(c *Contact) *json.RawMessage { return &c.InboundDND })},
	"tags":               {required, required, setTags},
	"customFields":       {required, required, setCustomFields},
}

// invalid lists what is wrong with a body, in the words of a 422.
type invalid []string

func (v invalid) Error() string { return strings.Join(v, "; ") }

// apply writes a body's properties into a record.
func apply[T any](x *exchange, properties map[string]property[T], record *T, body map[string]json.RawMessage, create bool) error {
	var wrong invalid
	for _, name := range slices.Sorted(maps.Keys(body)) {
		p, known := properties[name]
		may := p.update
		if create {
			may = p.create
		}
		switch isNull := string(body[name]) == "null"; {
		case may == refused:
			wrong = append(wrong, x.surplus(name, known))
		case isNull && may == required:
			wrong = append(wrong, name+" should not be null")
		default:
			if err := p.set(x, record, body[name]); err != nil {
				wrong = append(wrong, name+" "+err.Error())
			}
		}
	}
	if wrong != nil {
		return wrong
	}
	return nil
}

// surplus is GHL's complaint about a property that the endpoint does not take. One that no endpoint takes is also
// remembered: a test that sends it has a mistake.
func (x *exchange) surplus(name string, known bool) string {
	if !known {
		x.server.journal.unknown("no such property of " + x.operation.name + ": " + name)
	}
	return "property " + name + " should not exist"
}

// object reads a body that must be a JSON object.
func (x *exchange) object() (map[string]json.RawMessage, bool) {
	var body map[string]json.RawMessage
	err := json.Unmarshal(x.body, &body)
	return body, err == nil && body != nil
}

// notAnObject is the answer to a body that object can't read.
var notAnObject = refuse(http.StatusBadRequest, "Unexpected token in JSON")

func setNothing(*exchange, *Contact, json.RawMessage) error { return nil }

// text makes a setter of a string; null clears it.
func text[T any](field func(*T) *string) func(*exchange, *T, json.RawMessage) error {
	return func(_ *exchange, record *T, value json.RawMessage) error {
		return setText(field(record), value)
	}
}

// boolean makes a setter of a bool.
func boolean[T any](field func(*T) *bool) func(*exchange, *T, json.RawMessage) error {
	return func(_ *exchange, record *T, value json.RawMessage) error {
		if json.Unmarshal(value, field(record)) != nil {
			return errors.New("must be a boolean value")
		}
		return nil
	}
}

func setText(field *string, value json.RawMessage) error {
	var text *string
	if json.Unmarshal(value, &text) != nil {
		return errors.New("must be a string")
	}
	*field = ""
	if text != nil {
		*field = *text
	}
	return nil
}

// object makes a setter of what is kept as it came.
func object(field func(*Contact) *json.RawMessage) func(*exchange, *Contact, json.RawMessage) error {
	return func(_ *exchange, c *Contact, value json.RawMessage) error {
		if !bytes.HasPrefix(value, []byte("{")) {
			return errors.New("must be an object")
		}
		*field(c) = value
		return nil
	}
}

func setName(_ *exchange, c *Contact, value json.RawMessage) error {
	var name string
	if err := setText(&name, value); err != nil {
		return err
	}
	c.FirstName, c.LastName, _ = strings.Cut(name, " ")
	return nil
}

func setEmail(_ *exchange, c *Contact, value json.RawMessage) error {
	if err := setText(&c.Email, value); err != nil {
		return err
	}
	if _, err := mail.ParseAddress(c.Email); c.Email != "" && err != nil {
		return errors.New("must be an email")
	}
	return nil
}

var phoneFill = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "")

// setPhone keeps the digits: requests may hold spaces and dashes, answers are E.164.
func setPhone(_ *exchange, c *Contact, value json.RawMessage) error {
	err := setText(&c.Phone, value)
	c.Phone = phoneFill.Replace(c.Phone)
	return err
}

var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

func setCountry(_ *exchange, c *Contact, value json.RawMessage) error {
	if err := setText(&c.Country, value); err != nil {
		return err
	}
	if !countryCode.MatchString(c.Country) {
		return errors.New("must be a valid enum value")
	}
	return nil
}

var dateFill = strings.NewReplacer("/", "-", ".", "-", "_", "-")

// setDateOfBirth takes YYYY-MM-DD and MM-DD-YYYY, with any of the separators / - . _
func setDateOfBirth(_ *exchange, c *Contact, value json.RawMessage) error {
	if err := setText(&c.DateOfBirth, value); err != nil || c.DateOfBirth == "" {
		return err
	}
	for _, layout := range []string{time.DateOnly, "01-02-2006"} {
		if born, err := time.Parse(layout, dateFill.Replace(c.DateOfBirth)); err == nil {
			c.DateOfBirth = born.Format(time.DateOnly)
			return nil
		}
	}
	return errors.New("must be a valid date")
}

// setTags replaces all tags: that is what GHL does with the tags of a create or update.
func setTags(_ *exchange, c *Contact, value json.RawMessage) error {
	tags, err := readTags(value)
	if err == nil {
		c.Tags = withTags(nil, tags)
	}
	return err
}

func readTags(value json.RawMessage) ([]string, error) {
	var tags []string
	if json.Unmarshal(value, &tags) != nil || tags == nil {
		return nil, errors.New("must be an array of strings")
	}
	return tags, nil
}

// withTags adds tags as GHL saves them: in lower case, each once, in the order they came.
func withTags(tags, added []string) []string {
	tags = slices.Clone(tags)
	for _, tag := range added {
		if tag = strings.ToLower(strings.TrimSpace(tag)); tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// withoutTags takes tags away.
func withoutTags(tags, removed []string) []string {
	removed = withTags(nil, removed)
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return slices.Contains(removed, tag) })
}

// setCustomFields sets the named fields and leaves the others alone; null, "" and [] clear one.
func setCustomFields(x *exchange, c *Contact, value json.RawMessage) error {
	var entries []struct {
		ID, Key       string
		FieldValue    any `json:"field_value"`
		FieldValueNew any `json:"fieldValue"` // v3
	}
	if json.Unmarshal(value, &entries) != nil {
		return errors.New("must be an array of {id, key, field_value}")
	}
	for _, entry := range entries {
		definition, ok := x.location.customField(entry.ID, entry.Key)
		if !ok {
			return errors.New("names a field that the location does not have")
		}
		if entry.FieldValue == nil {
			entry.FieldValue = entry.FieldValueNew
		}
		c.setCustomField(definition.ID, entry.FieldValue)
	}
	return nil
}

func (c *Contact) setCustomField(id string, value any) {
	c.CustomFields = slices.DeleteFunc(c.CustomFields, func(v Value) bool { return v.ID == id })
	if text := fmt.Sprint(value); value != nil && text != "" && text != "[]" {
		c.CustomFields = append(c.CustomFields, Value{id, value})
	}
}
