package ghl

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rankrsync/rankrsync/crm"
)

// contact is GHL's contact as far as it is mapped. What GHL has beside it is ignored, so its surprises don't matter.
type contact struct {
	ID           text          `json:"id"`
	LocationID   text          `json:"locationId"`
	Email        text          `json:"email"`
	FirstName    text          `json:"firstName"`
	LastName     text          `json:"lastName"`
	Phone        text          `json:"phone"`
	CompanyName  text          `json:"companyName"`
	Address1     text          `json:"address1"`
	Address      text          `json:"address"` // what search documents call address1
	City         text          `json:"city"`
	State        text          `json:"state"`
	PostalCode   text          `json:"postalCode"`
	Country      text          `json:"country"`
	Website      text          `json:"website"`
	Timezone     text          `json:"timezone"`
	DateOfBirth  plain         `json:"dateOfBirth"` // a text, or a number of milliseconds since 1970
	Source       text          `json:"source"`
	DND          flag          `json:"dnd"`
	AssignedTo   text          `json:"assignedTo"`
	BusinessID   recordID      `json:"businessId"`
	Tags         []text        `json:"tags"`
	CustomFields []customField `json:"customFields"`
	DateAdded    plain         `json:"dateAdded"`
	DateUpdated  plain         `json:"dateUpdated"`
}

// customField carries its value under the name of its API version, or of a write's body.
type customField struct {
	ID          text  `json:"id"`
	Value       plain `json:"value"`
	FieldValue  plain `json:"fieldValue"`
	FieldValue2 plain `json:"field_value"`
}

func (f customField) plain() any {
	for _, p := range []plain{f.Value, f.FieldValue, f.FieldValue2} {
		if p.value != nil {
			return p.value
		}
	}
	return nil
}

// errType is why a field can't be read. Which field it was is told by where it happened.
var errType = errors.New("ghl: a field of the wrong type")

// text is a string that may also come as a number or a bool. Null is the empty text.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch value := jsontext.Value(b); value.Kind() {
	case '"':
		return json.Unmarshal(b, (*string)(t), jsontext.AllowInvalidUTF8(true))
	case '0', 't', 'f':
		*t = text(strings.TrimSpace(string(b)))
	case 'n':
		*t = ""
	default:
		return errType
	}
	return nil
}

// recordID is the id of another record, or none. It becomes part of paths: what can't be one is an error, for taken as
// none it would part the two records.
type recordID string

func (i *recordID) UnmarshalJSON(b []byte) error {
	var said text
	if err := said.UnmarshalJSON(b); err != nil {
		return err
	}
	if said != "" && !crm.ValidID(string(said)) {
		return errType
	}
	*i = recordID(said)
	return nil
}

// flag is a bool that may also come as a text. Nothing else will do: an opt-out must not be guessed at.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	var said text
	if err := said.UnmarshalJSON(b); err != nil {
		return err
	}
	switch strings.ToLower(string(said)) {
	case "true":
		*f = true
	case "false", "":
		*f = false
	default:
		return errType
	}
	return nil
}

// instant is a time as moment reads it, or none. Unlike a date that only helps to order, it must not get lost: what
// can't be read is an error.
type instant struct{ time.Time }

func (i *instant) UnmarshalJSON(b []byte) error {
	var p plain
	if err := p.UnmarshalJSON(b); err != nil {
		return err
	}
	i.Time = moment(p)
	kind := jsontext.Value(b).Kind()
	none := p.value == nil && (kind == 'n' || kind == '"')
	if i.IsZero() && !none {
		return errType
	}
	return nil
}

// plain is a value of any type that a field of the crm can hold: string, float64, bool or []string. It is nil for
// null, for what is empty, and for files and other objects, which can't be mapped.
type plain struct{ value any }

func (p *plain) UnmarshalJSON(b []byte) error {
	p.value = nil
	switch value := jsontext.Value(b); value.Kind() {
	case '"':
		var s text
		if err := s.UnmarshalJSON(b); err != nil {
			return err
		}
		if s != "" {
			p.value = string(s)
		}
	case '0':
		p.value = number(strings.TrimSpace(string(b)))
	case 't', 'f':
		p.value = value.Kind() == 't'
	case '[':
		var items []text
		if json.Unmarshal(b, &items, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) != nil {
			return nil // a list of files
		}
		var list []string
		for _, item := range items {
			if item != "" {
				list = append(list, string(item))
			}
		}
		if list != nil {
			p.value = list
		}
	}
	return nil
}

// number keeps a number that a float64 can't hold as the text it came as, rather than as another number.
func number(literal string) any {
	f, err := strconv.ParseFloat(literal, 64)
	const exact = 1 << 53
	if err != nil || math.Abs(f) > exact && !strings.ContainsAny(literal, ".eE") {
		return literal
	}
	return f
}
