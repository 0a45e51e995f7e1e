// Package crm is the one small language that every other package speaks: plain records
// of a CRM and pure decisions about them. It knows no Temporal, no HTTP and no SQL.
package crm

import "regexp"

// Ref names one contact of one GHL location.
type Ref struct {
	Location string `json:"location"`
	Contact  string `json:"contact"`
}

// idPattern is stricter than either vendor asks for: ids become part of workflow IDs and
// of URL paths, so nothing may pass that could address another one.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidID tells whether id may enter a workflow ID or a URL path.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// Validate returns an *Error with code [InvalidInput] that names the field, or nil.
func (r Ref) Validate() error {
	var bad []string
	if !ValidID(r.Location) {
		bad = append(bad, "location")
	}
	if !ValidID(r.Contact) {
		bad = append(bad, "contact")
	}
	if bad != nil {
		return &Error{Code: InvalidInput, Operation: "input", Fields: bad}
	}
	return nil
}
