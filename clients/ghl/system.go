package ghl

import (
	"strconv"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// toCRM says a contact in the crm's words. Values go over as they are: bringing them into form is the mapping's
// business. An empty text is no value, and neither is dnd when it is off. A custom field without a key is left out.
func (w contact) toCRM(keys map[string]string) crm.Contact {
	fields := crm.Fields{}
	for name, value := range map[string]text{
		"email": w.Email, "firstName": w.FirstName, "lastName": w.LastName, "phone": w.Phone,
		"companyName": w.CompanyName, "address1": w.Address1, "city": w.City, "state": w.State,
		"postalCode": w.PostalCode, "country": w.Country, "website": w.Website, "timezone": w.Timezone,
		"source": w.Source, "assignedTo": w.AssignedTo,
	} {
		if value != "" {
			fields[name] = string(value)
		}
	}
	if fields["address1"] == nil && w.Address != "" {
		fields["address1"] = string(w.Address)
	}
	if w.DND {
		fields["dnd"] = true
	}
	if w.DateOfBirth.value != nil {
		fields["dateOfBirth"] = w.DateOfBirth.value
	}
	for _, field := range w.CustomFields {
		key, value := keys[string(field.ID)], field.plain()
		if key != "" && value != nil {
			fields[crm.CustomField+key] = value
		}
	}
	return crm.Contact{
		ID: string(w.ID), Location: string(w.LocationID), Fields: fields, Tags: folded(w.Tags),
		Business: string(w.BusinessID), Added: moment(w.DateAdded), Updated: moment(w.DateUpdated),
	}
}

func folded(said []text) []string {
	tags := make([]string, len(said))
	for i, tag := range said {
		tags[i] = string(tag)
	}
	return crm.FoldTags(tags)
}

// customFieldIDs lists the fields that have a value to be translated.
func (w contact) customFieldIDs() (ids []string) {
	for _, field := range w.CustomFields {
		if field.ID != "" && field.plain() != nil {
			ids = append(ids, string(field.ID))
		}
	}
	return ids
}

// moment reads a time: ISO 8601 in most answers, milliseconds since 1970 in some. Zero when it is neither.
func moment(p plain) time.Time {
	switch v := p.value.(type) {
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC()
		}
		if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
			return epoch(float64(ms))
		}
	case float64:
		return epoch(v)
	}
	return time.Time{}
}

// epoch is zero for what can't be the time of a record.
func epoch(ms float64) time.Time {
	if ms <= 0 || ms > 1e13 { // the year 2286
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}
