package crm

import "time"

// Outcome says in a word how a round ended.
type Outcome string

// The outcomes of a round.
const (
	Created   Outcome = "created"   // a new record in Rankr
	Updated   Outcome = "updated"   // fields or tags written
	Adopted   Outcome = "adopted"   // linked to a record that Rankr already had
	Unchanged Outcome = "unchanged" // read, compared, nothing to write
	Covered   Outcome = "covered"   // a newer read than the hint already happened: no call
	Deleted   Outcome = "deleted"   // gone in GHL, deleted in Rankr
	Unlinked  Outcome = "unlinked"  // gone in GHL, the adopted record in Rankr kept
	Gone      Outcome = "gone"      // gone in GHL, and Rankr has no record of ours
	Excluded  Outcome = "excluded"  // not to be synced, says sync.yaml: nothing of it is in Rankr, or it stays there as it is
	Problem   Outcome = "problem"   // can't succeed as it is: a person must act
	Waiting   Outcome = "waiting"   // not done yet: come again after Result.Wait
)

// Result is how one round ended. It crosses into histories: ids, names and counts only.
type Result struct {
	Outcome Outcome  `json:"outcome"`
	Fields  []string `json:"fields,omitempty"` // names of what was written
	RankrID string   `json:"rankrId,omitempty"`
	Code    Code     `json:"code,omitempty"` // of a problem
	Detail  string   `json:"detail,omitempty"`
	// Wait asks for another round after this long, whatever comes meanwhile. Zero: none is needed.
	Wait time.Duration `json:"wait,omitempty"`
}
