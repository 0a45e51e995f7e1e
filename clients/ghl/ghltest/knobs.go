package ghltest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Knobs make the server misbehave, or differ from GHL's published figures. All zero, it is GHL on a good day.
// Durations are nanoseconds in JSON.
type Knobs struct {
	Faults []Fault `json:"faults,omitempty"` // the first that fits a call is done to it

	NotFoundAll bool `json:"notFoundAll,omitempty"` // no contact and no business is found, as when a location has moved away

	Unlimited bool          `json:"unlimited,omitempty"` // no limit and no header about one; calls are still counted
	Max       int           `json:"max,omitempty"`       // calls per window; 0: 100
	Window    time.Duration `json:"window,omitempty"`    // 0: 10 s
	Daily     int           `json:"daily,omitempty"`     // calls per day (UTC); 0: 200,000

	Lag           time.Duration `json:"lag,omitempty"`           // how long a change stays invisible to the search for contacts
	Complete      bool          `json:"complete,omitempty"`      // search documents hold every value unaltered
	TagsLeaveDate bool          `json:"tagsLeaveDate,omitempty"` // a change of tags alone leaves dateUpdated as it is

	AttachingUpdates bool `json:"attachingUpdates,omitempty"` // attaching to a business, or detaching, moves dateUpdated and sends ContactUpdate

	TokenLife time.Duration `json:"tokenLife,omitempty"` // of OAuth's access tokens; 0: a day less a second

	WebhookURL        string        `json:"webhookUrl,omitempty"`        // empty: nobody listens, nothing is sent
	Nested            bool          `json:"nested,omitempty"`            // events hold the record under "data"
	ThinTaskEvents    bool          `json:"thinTaskEvents,omitempty"`    // TaskCreate comes without contactId and body
	DropWebhooks      float64       `json:"dropWebhooks,omitempty"`      // share of events that are never sent, 0 to 1
	DuplicateWebhooks int           `json:"duplicateWebhooks,omitempty"` // how many times more each event is sent
	ReorderWebhooks   time.Duration `json:"reorderWebhooks,omitempty"`   // each event waits a random time up to this
	WebhookBackoff    time.Duration `json:"webhookBackoff,omitempty"`    // before the first retry, doubled for each further one; 0: 50 ms
	WebhookTimeout    time.Duration `json:"webhookTimeout,omitempty"`    // of one delivery; 0: 10 s
}

// Fault is one way to go wrong, and the calls it happens to. It happens to calls that were let in: the limits come
// before it.
type Fault struct {
	Operation string `json:"operation,omitempty"` // "contacts.get", or "contacts.*"; empty: all
	Location  string `json:"location,omitempty"`  // empty: all
	Contact   string `json:"contact,omitempty"`   // empty: all
	Skip      int    `json:"skip,omitempty"`      // how many such calls to leave alone first
	Times     int    `json:"times,omitempty"`     // how often; 0: until the fault is taken away

	Delay       time.Duration `json:"delay,omitempty"`       // before the operation takes effect
	Hold        time.Duration `json:"hold,omitempty"`        // between the effect and the answer
	Status      int           `json:"status,omitempty"`      // answer with this instead of doing anything
	Landed      bool          `json:"landed,omitempty"`      // with Status: the operation takes effect all the same
	RetryAfter  string        `json:"retryAfter,omitempty"`  // the header, whatever it says
	ResetBefore bool          `json:"resetBefore,omitempty"` // reset the TCP connection instead of doing anything
	ResetAfter  bool          `json:"resetAfter,omitempty"`  // reset it after the effect: the answer is lost
	Cut         bool          `json:"cut,omitempty"`         // only the first half of the answer's JSON
	HTML        bool          `json:"html,omitempty"`        // a page instead of JSON, as proxies send
	Empty       bool          `json:"empty,omitempty"`       // {} as the answer
	Foreign     bool          `json:"foreign,omitempty"`     // the answer speaks of another record or location
	Without     string        `json:"without,omitempty"`     // the answer comes without this property
}

// Set changes knobs; the change holds for calls that begin after it.
func (s *Server) Set(change func(*Knobs)) {
	s.knobsLock.Lock()
	defer s.knobsLock.Unlock()
	next := *s.current()
	next.Faults = slices.Clone(next.Faults)
	change(&next)
	s.knobs.Store(&next)
}

// Knobs returns the knobs as they stand; faults that are used up are no longer among them.
func (s *Server) Knobs() Knobs {
	k := *s.current()
	k.Faults = slices.Clone(k.Faults)
	return k
}

// Fail adds a fault.
func (s *Server) Fail(f Fault) { s.Set(func(k *Knobs) { k.Faults = append(k.Faults, f) }) }

// Heal takes all faults away.
func (s *Server) Heal() { s.Set(func(k *Knobs) { k.Faults = nil }) }

func (s *Server) current() *Knobs {
	if k := s.knobs.Load(); k != nil {
		return k
	}
	return &Knobs{}
}

// takeFault returns the fault that happens to this call, if any, and counts it.
func (s *Server) takeFault(x *exchange) (Fault, bool) {
	if !slices.ContainsFunc(x.knobs.Faults, func(f Fault) bool { return f.fits(x) }) {
		return Fault{}, false
	}
	var taken Fault
	var found bool
	s.Set(func(k *Knobs) {
		for i := range k.Faults {
			f := &k.Faults[i]
			if !f.fits(x) {
				continue
			}
			if f.Skip > 0 {
				f.Skip--
				continue
			}
			taken, found = *f, true
			if f.Times == 1 {
				k.Faults = slices.Delete(k.Faults, i, i+1)
			} else if f.Times > 1 {
				f.Times--
			}
			return
		}
	})
	return taken, found
}

func (f Fault) fits(x *exchange) bool {
	name := x.operation.name
	if group, all := strings.CutSuffix(f.Operation, "*"); all {
		name = name[:min(len(group), len(name))]
		f.Operation = group
	}
	return (f.Operation == "" || f.Operation == name) &&
		(f.Location == "" || x.location != nil && f.Location == x.location.id) &&
		(f.Contact == "" || f.Contact == x.contact)
}

// misbehave answers a call that a fault happens to.
func (s *Server) misbehave(w http.ResponseWriter, x *exchange) {
	f := x.fault
	pause(x.request.Context(), f.Delay)
	if f.ResetBefore {
		s.journal.add(x.call(0))
		reset(w)
		return
	}
	var a answer
	if f.Status == 0 || f.Landed {
		a = x.handle()
	}
	if f.Status != 0 {
		a = refuse(f.Status, http.StatusText(f.Status))
	}
	if f.ResetAfter {
		s.journal.add(x.call(0))
		reset(w)
		return
	}
	pause(x.request.Context(), f.Hold)
	switch {
	case f.HTML:
		s.journal.add(x.call(a.status))
		s.send(w, x, a.status, "text/html", []byte("<!doctype html><title>Attention</title><h1>Please stand by</h1>"))
	case f.Empty:
		s.journal.add(x.call(a.status))
		s.send(w, x, a.status, "application/json", []byte("{}"))
	case f.Cut:
		s.journal.add(x.call(a.status))
		text, _ := json.Marshal(a.body) // made of plain values, as every answer
		s.send(w, x, a.status, "application/json", text[:len(text)/2])
	default:
		if a.body = maps.Clone(a.body); f.Without != "" {
			delete(a.body, f.Without)
		}
		s.reply(w, x, a)
	}
}

// claim is the id that an answer gives for a contact or a location: its own, unless a fault makes it a stranger's.
func (x *exchange) claim(id string) string {
	if x.fault.Foreign {
		return newID()
	}
	return id
}

// pause waits; a caller that hangs up ends the wait, not the operation.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// reset ends the TCP connection with RST, so that the caller sees "connection reset by peer" and not an end of file.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2 or a recorder: the nearest thing there is
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if encrypted, ok := conn.(*tls.Conn); ok {
		raw = encrypted.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}
