package crm

import (
	"fmt"
	"strings"
	"time"
)

// Code names one kind of failure for good: people search for it, metrics count it, problems are grouped by it.
type Code string

// The codes. [Catalogue] has a sentence and a remedy for each.
const (
	InvalidInput     Code = "RS-INPUT"             // an id or a setting that can't be used
	UnknownLocation  Code = "RS-LOCATION"          // a location we have no connection for
	GHLNotFound      Code = "RS-GHL-NOT-FOUND"     // GHL itself says that the record is not there
	GHLScope         Code = "RS-GHL-SCOPE"         // the token lacks a scope
	GHLToken         Code = "RS-GHL-TOKEN"         // expired, revoked, or of the wrong kind
	GHLTenant        Code = "RS-GHL-TENANT"        // the token is for another location
	GHLSuspended     Code = "RS-GHL-SUSPENDED"     // GHL says that the location is not active: its billing is paused
	GHLReconnect     Code = "RS-GHL-RECONNECT"     // the code or the refresh token is used up, expired or unknown
	GHLInvalid       Code = "RS-GHL-INVALID"       // GHL refuses the request's content
	GHLDuplicate     Code = "RS-GHL-DUPLICATE"     // a duplicate create; Error.ID is the winner's
	GHLRateLimited   Code = "RS-GHL-RATE"          // 429, daily budget or our own gate; Error.Wait says how long
	GHLUnavailable   Code = "RS-GHL-UNAVAILABLE"   // 5xx, time-out, reset, an answer that is not GHL's
	RankrNotFound    Code = "RS-RANKR-NOT-FOUND"   // Rankr says that the record is not there
	RankrToken       Code = "RS-RANKR-TOKEN"       // refused credentials
	RankrAccount     Code = "RS-RANKR-ACCOUNT"     // neither sync.yaml nor the settings have an account for the location
	RankrInvalid     Code = "RS-RANKR-INVALID"     // Rankr refuses a field; Error.Fields names them
	RankrDuplicate   Code = "RS-RANKR-DUPLICATE"   // external id taken; Error.ID is the winner's
	RankrMoved       Code = "RS-RANKR-MOVED"       // 412: the record changed since we read it
	RankrRateLimited Code = "RS-RANKR-RATE"        // 429 or our own gate; Error.Wait says how long
	RankrUnavailable Code = "RS-RANKR-UNAVAILABLE" // 5xx, time-out, reset, an answer that is not Rankr's
	Ambiguous        Code = "RS-MATCH-AMBIGUOUS"   // two records in Rankr could be this contact; Error.Fields holds both ids
	MatchTaken       Code = "RS-MATCH-TAKEN"       // the one record that matches is linked to another contact
	NotLinked        Code = "RS-NOT-LINKED"        // waits for a contact or a business that has a problem of its own
	RuleFailed       Code = "RS-RULE"              // a rule of sync.yaml can't be worked out; Error.Fields names it
	DeleteBrake      Code = "RS-DELETE-BRAKE"      // too many deletes in an hour: waits for a person
	SealBroken       Code = "RS-SEAL"              // what is sealed in the store can't be opened with our keys
	StoreUnavailable Code = "RS-STORE-UNAVAILABLE" // our own database can't be reached
	Busy             Code = "RS-BUSY"              // another round holds this contact
	Internal         Code = "RS-INTERNAL"          // a bug of ours
	TemporalAway     Code = "RS-TEMPORAL"          // the Temporal server can't be reached or refuses
)

// RankrCredentials are the failures of an account's credentials: they meet every contact of its locations alike.
var RankrCredentials = []Code{RankrToken, RankrAccount}

// GHLCredentials are the failures of a token: they meet every contact of its location alike.
var GHLCredentials = []Code{GHLToken, GHLScope, GHLTenant, GHLSuspended, GHLReconnect}

// Retry says what may still come of a failure.
type Retry int

// The three ways a failure can go on.
const (
	Again Retry = iota // the same call may succeed in a moment
	Later              // not before Error.Wait
	Never              // not until a person or another change of the record helps
)

// Entry is one row of the [Catalogue]. Who is "you", "your client", "GHL", "Rankr" or "nobody".
type Entry struct {
	Sentence, Who, Remedy string
	Retry                 Retry
}

// Error is the only error that the clients and the deeds speak. It is made of an allow-list: no text of a
// vendor, no value of a field, no URL and no cause may enter it, for its message reaches histories and logs.
type Error struct {
	Code      Code
	Operation string        // "ghl contacts.get"
	Status    int           // HTTP status, 0 when there was none
	Fields    []string      // names of fields, or the ids of candidates; never values
	TraceID   string        // GHL's traceId: what GHL's support asks for
	ID        string        // the winner of a duplicate
	Wait      time.Duration // rate limits: how long to wait
	// Landed tells what is known of a write's effect: false only when the request certainly did not reach the
	// system or was refused by it.
	Landed bool
}

// Error is safe to show and to store.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Operation != "" {
		b.WriteString(e.Operation + ": ")
	}
	b.WriteString(string(e.Code))
	if e.Status != 0 {
		fmt.Fprintf(&b, " (%d)", e.Status)
	}
	if entry, ok := Catalogue[e.Code]; ok {
		b.WriteString(": " + entry.Sentence)
	}
	if len(e.Fields) > 0 {
		fmt.Fprintf(&b, " [%s]", strings.Join(e.Fields, ", "))
	}
	if e.TraceID != "" {
		b.WriteString(" traceId " + e.TraceID)
	}
	return b.String()
}

// Is lets errors.Is compare by code: errors.Is(err, &Error{Code: GHLNotFound}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Retry looks the code up; an unknown code may be tried again.
func (e *Error) Retry() Retry { return Catalogue[e.Code].Retry }

// Catalogue has a row for every code.
var Catalogue = map[Code]Entry{
	InvalidInput:     {"the input can't be used", "you", "correct the named fields", Never},
	UnknownLocation:  {"this location is not connected", "you", "connect the location, or check the id", Never},
	GHLNotFound:      {"GHL has no such record", "nobody", "nothing: it was deleted in GHL, or the id is wrong", Never},
	GHLScope:         {"the GHL token lacks a scope", "you", "add the missing scope to the token; the README lists what each part needs", Never},
	GHLToken:         {"GHL refuses the token", "you", "make a new private integration token and set GHL_TOKEN", Never},
	GHLTenant:        {"the GHL token has no access to this location", "you", "use the token of this location", Never},
	GHLSuspended:     {"GHL says that this location is not active", "your client", "settle the location's bill in GHL; it goes on by itself", Never},
	GHLReconnect:     {"GHL no longer accepts this connection", "your client", "connect again: starter connect prints the link to send", Never},
	GHLInvalid:       {"GHL refuses the request", "you", "see the named fields; report the traceId to GHL if they look right", Never},
	GHLDuplicate:     {"GHL already has this contact", "nobody", "nothing: the existing one is used", Again},
	GHLRateLimited:   {"GHL's rate limit is reached", "nobody", "nothing: it goes on by itself", Later},
	GHLUnavailable:   {"GHL can't be reached", "GHL", "nothing: it is tried again; see status.gohighlevel.com if it lasts", Again},
	RankrNotFound:    {"Rankr has no such record", "nobody", "nothing: it is made again", Again},
	RankrToken:       {"Rankr refuses the token", "you", "set a valid RANKR_TOKEN, or the OAuth client's id and secret; of an account in sync.yaml, the one it names", Never},
	RankrAccount:     {"this location has no Rankr account", "you", "name the location in an account of sync.yaml, or set RANKR_TOKEN for all that are not named", Never},
	RankrInvalid:     {"Rankr refuses a field", "your client", "correct the named fields in GHL", Never},
	RankrDuplicate:   {"Rankr already has a record for this contact", "nobody", "nothing: the existing one is used", Again},
	RankrMoved:       {"the Rankr record changed meanwhile", "nobody", "nothing: it is read again", Again},
	RankrRateLimited: {"Rankr's rate limit is reached", "nobody", "nothing: it goes on by itself", Later},
	RankrUnavailable: {"Rankr can't be reached", "Rankr", "nothing: it is tried again", Again},
	Ambiguous:        {"more than one record in Rankr could be this contact", "you", "merge the two records in Rankr, or set externalId on the right one", Never},
	MatchTaken:       {"the matching record in Rankr belongs to another contact", "your client", "merge the two contacts in GHL, or give them different email and phone", Never},
	NotLinked:        {"what this belongs to is not in step yet", "you", "solve the problem of the contact or business first: starter problems shows it", Never},
	RuleFailed:       {"a rule of sync.yaml can't be worked out for this contact", "you", "correct the named rule, for example for contacts without the field it uses", Never},
	DeleteBrake:      {"more deletes than usual in an hour", "you", "check that they are meant, then run: starter approve-deletes --location L", Never},
	SealBroken:       {"a secret in the store can't be opened", "you", "put the key that it was sealed with back into SECRET_KEY, behind the new one", Never},
	StoreUnavailable: {"the store can't be reached", "you", "check STORE_URL, disk space and permissions", Again},
	Busy:             {"another round is working on this contact", "nobody", "nothing: it comes again by itself", Later},
	Internal:         {"an internal error", "you", "report it with this code and the workflow's link", Again},
	TemporalAway:     {"the Temporal server can't be reached", "you", "check TEMPORAL_ADDRESS and that the server runs", Again},
}
