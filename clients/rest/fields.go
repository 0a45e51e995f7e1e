package rest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/rankrsync/rankrsync/crm"
)

// known are the names that may leave an error message. Vendors write values into the same sentences, and a value
// such as a first name looks just like a field's name: so only names that we know pass.
var known = append([]string{
	"id", "locationId", "contactId", "externalId", "name", "gender", "tags", "customFields", "businessId", "segments",
	"segmentIds", "dateAdded", "dateUpdated", "model", "page", "pageLimit", "searchAfter", "query", "filters", "sort",
	"value", "field_value", "fieldValue", "key", "country", "location",
	"title", "body", "dueDate", "status", "completed", "content", "createdAt",
	"address", "description",
}, crm.StandardFields...)

// keyPattern is what the part after a field's dot may look like: a custom field's key, or a known name.
var keyPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// sentences are the forms in which validators name a field.
var sentences = []*regexp.Regexp{
	regexp.MustCompile(`^(?:Validation error: )?property ([\w.-]+) should not exist`),
	regexp.MustCompile(`^([\w.-]+) (?:must|should|is|has|can|cannot|exceeds|contains)\b`),
	regexp.MustCompile(`(?i)^(?:invalid|unknown|missing) (?:field|property|value for) ['"]?([\w.-]+)`),
}

// namedFields returns the fields that a vendor's message is about, as far as we know them.
func namedFields(message string) []string {
	for _, sentence := range sentences {
		if match := sentence.FindStringSubmatch(message); match != nil {
			return knownFields(match[1])
		}
	}
	return nil
}

// knownFields returns the name, cleared of list indexes, or nothing when it is not a field's name:
// customFields.3.value is customFields.value.
func knownFields(name string) []string {
	if len(name) > 200 {
		return nil
	}
	var parts []string
	for part := range strings.SplitSeq(name, ".") {
		if strings.Trim(part, "0123456789") == "" {
			continue
		}
		parts = append(parts, part)
	}
	switch {
	case len(parts) == 0 || !slices.Contains(known, parts[0]):
		return nil
	case len(parts) == 1:
		return parts
	case parts[0] == "customFields" && keyPattern.MatchString(parts[1]):
		return []string{strings.Join(parts[:2], ".")}
	default:
		return parts[:1]
	}
}
