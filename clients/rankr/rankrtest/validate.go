package rankrtest

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	emailPattern   = regexp.MustCompile(`^[^@\s]+@[^@\s]+$`)
	phonePattern   = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)
	countryPattern = regexp.MustCompile(`^[A-Z]{2}$`)
)

// apply returns the record with a body's changes, or every property that is refused. The record itself stays as it
// is. A null clears, but a new contact has nothing to clear.
func (k Knobs) apply(r Record, body map[string]any, creating bool) (Record, []FieldError) {
	next := r.clone()
	var errs []FieldError
	refuse := func(field, why string) { errs = append(errs, FieldError{field, why}) }
	if len(body) == 0 && !creating {
		refuse("body", "changes nothing")
	}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		value := body[name]
		switch {
		case value == nil && (creating || name == "dnd" || name == "customFields"):
			refuse(name, "can't be null")
		case name == "externalId":
			id, why := k.externalID(value)
			if next.ExternalID = id; why != "" {
				refuse(name, why)
			}
		case !creating && slices.Contains(k.KeepOld, name):
		case name == "businessId":
			id, why := k.id(value)
			if next.BusinessID = id; why != "" {
				refuse(name, why)
			}
		case name == "customFields":
			errs = append(errs, k.applyCustom(next.CustomFields, value, creating)...)
		case name == "tags" && creating:
			tags, why := k.tags(value)
			if next.Tags = foldTags(tags); why != "" {
				refuse(name, why)
			}
		case !slices.Contains(fieldNames, name):
			refuse(name, "unknown property")
		default:
			if why := k.set(next.Fields, name, value); why != "" {
				refuse(name, why)
			}
		}
	}
	return next, errs
}

// set puts a standard field's value into its form and stores it, or says why not.
func (k Knobs) set(fields map[string]any, name string, value any) string {
	if value == nil || value == "" || name == "dnd" && value == false {
		delete(fields, name)
		return ""
	}
	if name == "dnd" {
		if value != true {
			return "must be true or false"
		}
		fields[name] = true
		return ""
	}
	text, ok := value.(string)
	if !ok {
		return "must be a string"
	}
	if len(text) > k.maxValue() {
		return "is too long"
	}
	if name == "email" {
		text = foldEmail(text)
	}
	if why := wrongForm(name, text); why != "" && !k.Lax {
		return why
	}
	if slices.Contains(k.Normalise, name) {
		text = strings.ToUpper(text)
	}
	fields[name] = text
	return ""
}

func wrongForm(name, text string) string {
	switch name {
	case "email":
		if !emailPattern.MatchString(text) || len(text) > 320 {
			return "is not an e-mail address"
		}
	case "phone":
		if !phonePattern.MatchString(text) {
			return "is not E.164"
		}
	case "country":
		if !countryPattern.MatchString(text) {
			return "must be two capital letters"
		}
	case "dateOfBirth":
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return "must be YYYY-MM-DD"
		}
	}
	return ""
}

func (k Knobs) externalID(value any) (id, why string) {
	if value == nil {
		return "", ""
	}
	id, ok := value.(string)
	if !ok || id == "" || len(id) > 64 {
		return "", "must be a string of 1 to 64 characters"
	}
	return id, ""
}

// id reads Rankr's own id of something. Null is none.
func (k Knobs) id(value any) (id, why string) {
	if value == nil {
		return "", ""
	}
	id, ok := value.(string)
	if !ok || !idPattern.MatchString(id) {
		return "", "is not an id"
	}
	return id, ""
}

// membership reads the ids of segments.
func (k Knobs) membership(body map[string]any) ([]string, []FieldError) {
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if name != "segmentIds" {
			return nil, []FieldError{{name, "unknown property"}}
		}
	}
	list, ok := body["segmentIds"].([]any)
	if !ok {
		return nil, []FieldError{{"segmentIds", "must be a list of ids"}}
	}
	ids := make([]string, len(list))
	for i, item := range list {
		id, why := k.id(item)
		if id == "" || why != "" {
			return nil, []FieldError{{"segmentIds", "must be a list of ids"}}
		}
		ids[i] = id
	}
	return ids, nil
}

// applyCustom merges custom fields key by key.
func (k Knobs) applyCustom(have map[string]any, value any, creating bool) (errs []FieldError) {
	changes, ok := value.(map[string]any)
	if !ok {
		return []FieldError{{"customFields", "must be an object"}}
	}
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		name, value := "customFields."+key, changes[key]
		switch {
		case key == "" || len(key) > 255:
			errs = append(errs, FieldError{"customFields", "has a key that is empty or too long"})
		case creating && value == nil:
			errs = append(errs, FieldError{name, "can't be null"})
		case !creating && slices.Contains(k.KeepOld, name):
		default:
			if why := k.customValue(value); why != "" {
				errs = append(errs, FieldError{name, why})
			} else if list, _ := value.([]any); value == nil || value == "" || list != nil && len(list) == 0 {
				delete(have, key)
			} else if text, ok := value.(string); ok && slices.Contains(k.Normalise, name) {
				have[key] = strings.ToUpper(text)
			} else {
				have[key] = value
			}
		}
	}
	return errs
}

func (k Knobs) customValue(value any) string {
	switch v := value.(type) {
	case nil, bool, float64:
		return ""
	case string:
		if len(v) > k.maxValue() {
			return "is too long"
		}
		return ""
	case []any:
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return "must be a list of strings"
			}
			if len(text) > k.maxValue() {
				return "is too long"
			}
		}
		return ""
	}
	return "must be a string, a number, true, false or a list of strings"
}

func (k Knobs) tagsBody(body map[string]any) ([]string, []FieldError) {
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if name != "tags" {
			return nil, []FieldError{{name, "unknown property"}}
		}
	}
	tags, why := k.tags(body["tags"])
	if why == "" && len(tags) == 0 {
		why = "is empty"
	}
	if why != "" {
		return nil, []FieldError{{"tags", why}}
	}
	return foldTags(tags), nil
}

func (k Knobs) tags(value any) ([]string, string) {
	list, ok := value.([]any)
	if !ok {
		return nil, "must be a list of strings"
	}
	tags := make([]string, len(list))
	for i, item := range list {
		tag, ok := item.(string)
		if !ok || strings.TrimSpace(tag) == "" {
			return nil, "must be a list of strings that are not empty"
		}
		if len(tag) > k.maxValue() {
			return nil, "has one that is too long"
		}
		tags[i] = tag
	}
	return tags, ""
}
