package crm

import "time"

// ProblemRecord is one contact that that can't succeed until somebody acts. A later round that succeeds closes it.
type ProblemRecord struct {
	Ref
	Object    Object
	Code      Code
	Operation string
	Fields    []string // names of fields or ids of candidates
	TraceID   string
	FirstSeen time.Time
	LastSeen  time.Time
	Attempts  int
	Approved  bool // a person said that this parked delete is meant
}

// Everywhere stands for all locations where something parks them together: Rankr's credentials, where all share one account.
const Everywhere = "*"
