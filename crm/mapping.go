package crm

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
)

// MappingVersion names the mapping that [Map] applies. A link remembers it, so that a contact whose mapping changed
// is compared again although GHL's record did not move.
const MappingVersion = "1"

// Map turns a contact as GHL holds it into the record that Rankr should hold: the same names on both sides, values
// in the form of the Rankr contract. Both sides go through it before they are compared, so that a difference of
// form alone never causes a write. It never fails: a value that can't be brought into form goes as it is, and it is
// Rankr that says whether it takes it.
func Map(contact Contact, location Location) Contact {
	fields := make(Fields, len(contact.Fields))
	for name, value := range contact.Fields {
		if value = normal(name, value, contact, location); value != nil {
			fields[name] = value
		}
	}
	contact.Fields, contact.Tags = fields, FoldTags(contact.Tags)
	return contact
}

// normal returns the value in the form of the contract, or nil when there is none.
func normal(name string, value any, contact Contact, location Location) any {
	switch v := value.(type) {
	case string:
		return normalText(name, v, contact, location)
	case float64:
		if name == "dateOfBirth" {
			return time.UnixMilli(int64(v)).UTC().Format(time.DateOnly)
		}
		return v
	case bool:
		// No opt-out is no value: writing "false" could take back an opt-out that only Rankr knows of.
		if name == "dnd" && !v {
			return nil
		}
		return v
	case []string:
		if v = slices.DeleteFunc(slices.Clone(v), func(s string) bool { return s == "" }); len(v) == 0 {
			return nil
		}
		return v
	}
	return nil
}

func normalText(name, text string, contact Contact, location Location) any {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
	if text == "" {
		return nil
	}
	switch name {
	case "email":
		return lowerASCII(text)
	case "phone":
		country, _ := contact.Fields["country"].(string)
		return phone(text, country, location.Country)
	case "country":
		if len(text) == 2 {
			return strings.ToUpper(text)
		}
	case "dateOfBirth":
		return date(text)
	case "dnd":
		on, err := strconv.ParseBool(text)
		if err == nil && !on {
			return nil
		}
	}
	return text
}

// lowerASCII leaves letters beyond ASCII alone: folding them would make one address of two (the Kelvin sign
// lower-cases to k).
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// NeedsCountry tells whether the contact's phone can only be understood with its location's country.
func (c Contact) NeedsCountry() bool {
	number, _ := c.Fields["phone"].(string)
	country, _ := c.Fields["country"].(string)
	return number != "" && !strings.HasPrefix(strings.TrimSpace(number), "+") && len(country) != 2
}

// Phone returns the number as E.164, understood with the country where it has no country code; else as it is.
func Phone(number, country string) string { return phone(strings.TrimSpace(number), country) }

// phone returns the number as E.164, understood with the first of the countries that makes it a possible one.
func phone(number string, countries ...string) string {
	for _, country := range countries {
		if len(country) != 2 && !strings.HasPrefix(number, "+") {
			continue
		}
		parsed, err := phonenumbers.Parse(number, strings.ToUpper(country))
		if err == nil && phonenumbers.IsPossibleNumber(parsed) {
			return phonenumbers.Format(parsed, phonenumbers.E164)
		}
	}
	return number
}

// dateLayouts are the forms GHL documents for a date of birth, after every separator became a dash.
var dateLayouts = []string{time.DateOnly, "01-02-2006", "2006-1-2", "1-2-2006"}

func date(text string) string {
	day, _, _ := strings.Cut(text, "T")
	day = strings.NewReplacer("/", "-", ".", "-", "_", "-").Replace(day)
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, day); err == nil {
			return t.Format(time.DateOnly)
		}
	}
	return text
}
