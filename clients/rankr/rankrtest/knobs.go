package rankrtest

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// Knobs are everything about this Rankr that can be turned while it runs. The zero value is a Rankr that keeps to
// the contract. They are plain JSON (durations in nanoseconds), for [Remote].
type Knobs struct {
	// Tokens names the account of each token; others are refused with 401. Nil: every token opens one account, "".
	Tokens map[string]string `json:"tokens,omitempty"`

	Unlimited bool          `json:"unlimited,omitempty"` // no limit; calls are still counted
	Limit     int           `json:"limit,omitempty"`     // calls in any Interval; 0: 100
	Interval  time.Duration `json:"interval,omitempty"`  // 0: 10 s
	Daily     int           `json:"daily,omitempty"`     // calls in a UTC day; 0: no daily limit

	ETags    bool  `json:"etags,omitempty"`    // give ETags and heed If-Match
	Lax      bool  `json:"lax,omitempty"`      // take phones, e-mail addresses, countries and dates of any form
	MaxBody  int64 `json:"maxBody,omitempty"`  // bytes; 0: 1 MiB
	MaxValue int   `json:"maxValue,omitempty"` // bytes of one value; 0: 64 KiB

	Down        bool `json:"down,omitempty"`        // everything is 503
	NotFoundAll bool `json:"notFoundAll,omitempty"` // no id is known, no search finds anything
	// SearchLag is how long a record that was made, or whose keys changed, stays out of searches.
	SearchLag time.Duration `json:"searchLag,omitempty"`

	// What a Rankr that breaks the contract might do.
	NoUnique      bool     `json:"noUnique,omitempty"`      // two records may have one external id, two segments one name
	NoIdempotency bool     `json:"noIdempotency,omitempty"` // keys are not remembered
	KeepOld       []string `json:"keepOld,omitempty"`       // a PUT answers 200 and leaves these fields as they were
	Normalise     []string `json:"normalise,omitempty"`     // these fields are stored in capitals

	Faults []Fault `json:"faults,omitempty"` // the first that matches hits a request
}

// Fault hits the requests that match it. Unless it says otherwise the request still has its effect.
type Fault struct {
	Operation  string `json:"operation,omitempty"`  // "contacts.update", "contacts.*"; empty: all
	ExternalID string `json:"externalId,omitempty"` // only requests about this contact, task, note or business; or the name of a segment in lower case
	Skip       int    `json:"skip,omitempty"`       // let so many pass first
	Times      int    `json:"times,omitempty"`      // then it is used up; 0: never

	Delay time.Duration `json:"delay,omitempty"` // before the effect; runs on when the client gives up
	// Status is answered in place of the effect.
	Status      int  `json:"status,omitempty"`
	AfterEffect bool `json:"afterEffect,omitempty"` // the effect happens all the same, as behind a failing proxy
	RetryAfter  int  `json:"retryAfter,omitempty"`  // seconds, with Status

	ResetBefore bool          `json:"resetBefore,omitempty"` // the connection is reset and nothing happens
	ResetAfter  bool          `json:"resetAfter,omitempty"`  // the effect happens, then the connection is reset
	LateEffect  time.Duration `json:"lateEffect,omitempty"`  // the connection is reset at once, the effect comes later

	Cut     bool `json:"cut,omitempty"`     // half of the answer, then the connection ends
	HTML    bool `json:"html,omitempty"`    // a page for people instead of JSON, with Status if that is set
	Foreign bool `json:"foreign,omitempty"` // a well-formed answer about something else
	Empty   bool `json:"empty,omitempty"`   // no body
}

// Set turns knobs. The function sees them as they are; what it does is seen by every request that arrives after.
func (s *Server) Set(turn func(*Knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn(&s.knobs)
}

// Knobs returns the knobs as they stand; faults that are used up are gone.
func (s *Server) Knobs() Knobs {
	s.mu.Lock()
	defer s.mu.Unlock()
	knobs := s.knobs
	knobs.Faults, knobs.Tokens = slices.Clone(knobs.Faults), maps.Clone(knobs.Tokens)
	return knobs
}

func (k Knobs) maxBody() int64 {
	if k.MaxBody > 0 {
		return k.MaxBody
	}
	return 1 << 20
}

func (k Knobs) maxValue() int {
	if k.MaxValue > 0 {
		return k.MaxValue
	}
	return 64 << 10
}

func (k Knobs) perInterval() (int, time.Duration) {
	limit, interval := k.Limit, k.Interval
	if limit == 0 {
		limit = 100
	}
	if interval == 0 {
		interval = 10 * time.Second
	}
	return limit, interval
}

// fault picks the fault for a request and counts it down.
func (s *Server) fault(req request) Fault {
	for i := range s.knobs.Faults {
		fault := &s.knobs.Faults[i]
		if !fault.matches(req.name, s.externalID(req), s.itemExternalID(req)) {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		hit := *fault
		if fault.Times == 1 {
			s.knobs.Faults = slices.Delete(s.knobs.Faults, i, i+1)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return hit
	}
	return Fault{}
}

func (f Fault) matches(operation string, externalIDs ...string) bool {
	if f.ExternalID != "" && !slices.Contains(externalIDs, f.ExternalID) {
		return false
	}
	matched, _ := path.Match(f.Operation, operation)
	return f.Operation == "" || matched
}

// shows is the status that the client gets to see when the request itself came to this one; 0: none.
func (f Fault) shows(status int) int {
	switch {
	case f.ResetAfter:
		return 0
	case f.Status != 0:
		return f.Status
	}
	return status
}

// account returns the account that an Authorization header opens.
func (k Knobs) account(authorization string) (string, bool) {
	token, found := strings.CutPrefix(authorization, "Bearer ")
	if !found || token == "" || k.Tokens == nil {
		return "", found && token != ""
	}
	account, known := k.Tokens[token]
	return account, known
}

// limit counts a request and refuses it when it is one too many.
func (s *Server) limit(a *account) *answer {
	limit, interval := s.knobs.perInterval()
	wait := a.window.admit(s.now(), limit, interval, s.knobs.Unlimited)
	if wait == 0 && s.knobs.Daily > 0 {
		wait = a.day.admit(s.now(), s.knobs.Daily)
	}
	if wait == 0 {
		return nil
	}
	tooMany := failure(http.StatusTooManyRequests, "too many requests")
	tooMany.header = s.limits(a)
	tooMany.header["Retry-After"] = seconds(wait)
	return &tooMany
}
