package names

// ReconcileInput starts Reconcile.
type ReconcileInput struct {
	Location string `json:"location"`
	// Repair has every contact that drifted brought into step, and compares again.
	Repair bool `json:"repair,omitempty"`
}

// Kinds of drift.
const (
	DriftMissing   = "missing"   // GHL has the contact, Rankr no record of it
	DriftExtra     = "extra"     // Rankr has the record of a contact that GHL does not have any more
	DriftDifferent = "different" // in the named fields
	DriftDuplicate = "duplicate" // two records of one contact: a person must choose
	DriftBroken    = "broken-link"
)

// Drift is one contact whose two sides differ.
type Drift struct {
	Kind    string   `json:"kind"`
	Contact string   `json:"contact"`
	RankrID string   `json:"rankrId,omitempty"`
	Fields  []string `json:"fields,omitempty"` // names
	Code    string   `json:"code,omitempty"`   // of the problem that the contact has open
}

// MaxDrifts bounds those that are listed: the rest is counted.
const MaxDrifts = 2000

// ReconcileResult is how the two sides of a location compare. Of a repair it is the last comparison.
type ReconcileResult struct {
	Location string `json:"location"`
	Contacts int    `json:"contacts"` // in GHL
	Records  int    `json:"records"`  // in Rankr, those of other locations that share the account included
	// Counts is how many drifts of each kind there are.
	Counts   map[string]int `json:"counts"`
	Drifts   []Drift        `json:"drifts"`
	Repaired int            `json:"repaired,omitempty"` // contacts that were asked to be brought into step

	GHLCalls   int `json:"ghlCalls"`
	RankrCalls int `json:"rankrCalls"`
}

// ReconcileStatus answers Reconcile's status query.
type ReconcileStatus struct {
	State    string `json:"state"`
	Doing    string `json:"doing,omitempty"` // comparing or repairing
	Drifts   int    `json:"drifts"`          // found by the last comparison
	Repaired int    `json:"repaired,omitempty"`
}
