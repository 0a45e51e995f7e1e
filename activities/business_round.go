package activities

import (
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// BusinessRound asks for one GHL business to be brought into step.
type BusinessRound struct {
	Location string     `json:"location"`
	Business string     `json:"business"`
	Hint     names.Hint `json:"hint,omitzero"`
	// Failures counts the workflow's failed rounds before this one: after the first, Rankr is asked first.
	Failures int `json:"failures,omitempty"`
}

// Validate returns an error that names the ids which can't be real, or nil.
func (b BusinessRound) Validate() error {
	var bad []string
	if !crm.ValidID(b.Location) {
		bad = append(bad, "location")
	}
	if !crm.ValidID(b.Business) {
		bad = append(bad, "business")
	}
	if bad != nil {
		return &crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: bad}
	}
	return nil
}
