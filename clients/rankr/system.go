package rankr

import (
	"encoding/json"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// toCRM says a record in the crm's words.
func (r record) toCRM(etag string) crm.Contact {
	updated, _ := time.Parse(time.RFC3339, r.DateUpdated) // zero when it does not tell
	return crm.Contact{
		ID: r.ID, ExternalID: r.ExternalID, Fields: r.fields(), Tags: crm.FoldTags(r.Tags), Business: r.BusinessID,
		Segments: r.segments(), Updated: updated, ETag: etag,
	}
}

// segments are the ids of the segments that the record is in, sorted; nil: in none.
func (r record) segments() []string {
	if len(r.Segments) == 0 {
		return nil
	}
	return sortedOnce(r.Segments)
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

func asJSON(value any) string {
	text, _ := json.Marshal(value) // it came as JSON: cannot fail
	return string(text)
}
