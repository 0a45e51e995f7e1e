package names

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hint says that a contact may have changed, or a business, whose id then stands for the contact's. It is never data: the
// record is read again.
//
// A storm writes tens of thousands of hints into one history, so a hint travels as a short text: "C", "C@at",
// "C@at+late" or, for a confirmation, "C@?". At is in milliseconds since 1970 (0: unknown), late is how many later it was
// received. Events follow it: "C@at+late#created/T,completed/T". People may also write {"contact":"C","at":"2026-01-01T12:00:00Z"}.
type Hint struct {
	Contact string `json:"contact,omitempty"`
	// At is when the vendor says it happened. Zero: unknown, so the contact is always read.
	At time.Time `json:"at,omitzero"`
	// Received is when we heard of it, by our own clock: only for measuring how long a change takes.
	Received time.Time `json:"received,omitzero"`
	// Events are what is known to have happened to tasks of the contact: "created/<task>", "completed/<task>" or
	// "overdue/<task>", sorted. They only matter to rules that wait for them.
	Events []string `json:"events,omitempty"`
	// Confirm says that nothing changed: a round asked for another look at Rankr, after a write whose answer never came.
	Confirm bool `json:"confirm,omitempty"`
}

// Merge makes one hint of two for the same contact: the newer At wins, and none at all wins over any, for then the
// contact must be read. The older Received wins: it has waited longest. A change wins over a mere confirmation.
func (h Hint) Merge(other Hint) Hint {
	switch {
	case h.Confirm && !other.Confirm:
		return other
	case other.Confirm:
		return h
	}
	if events := slices.Concat(h.Events, other.Events); len(events) > 0 {
		slices.Sort(events)
		events = slices.Compact(events)
		h.Events = events[:min(len(events), MaxEvents)]
	}
	if h.Received.IsZero() || !other.Received.IsZero() && other.Received.Before(h.Received) {
		h.Received = other.Received
	}
	switch {
	case h.At.IsZero() || other.At.IsZero():
		h.At = time.Time{}
	case other.At.After(h.At):
		h.At = other.At
	}
	return h
}

// MergeOfBusiness is Merge for two hints of one business. Who does not say when he heard of it asks for a read, and gets it
// whatever else came.
func (h Hint) MergeOfBusiness(other Hint) Hint {
	merged := h.Merge(other)
	for _, each := range []Hint{h, other} {
		if !each.Confirm && each.Received.IsZero() {
			merged.Received = time.Time{}
		}
	}
	return merged
}

// MaxEvents bounds the events of one hint: 200 are 8 kB, 16 with the longest ids.
const MaxEvents = 200

// MarshalJSON writes the short text.
func (h Hint) MarshalJSON() ([]byte, error) {
	text := h.Contact
	switch {
	case h.Confirm:
		return json.Marshal(text + confirm)
	case !h.At.IsZero() || !h.Received.IsZero():
		text += "@" + strconv.FormatInt(milliseconds(h.At), 10)
	}
	if !h.Received.IsZero() {
		text += "+" + strconv.FormatInt(milliseconds(h.Received)-milliseconds(h.At), 10)
	}
	if len(h.Events) > 0 {
		text += "#" + strings.Join(h.Events, ",")
	}
	return json.Marshal(text)
}

// UnmarshalJSON reads the short text or the object.
func (h *Hint) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(data, []byte(`"`)) {
		type object Hint
		return json.Unmarshal(data, (*object)(h))
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*h = read(text)
	return nil
}

// confirm ends the text of a hint that is a confirmation.
const confirm = "@?"

// read is the other way round. What is no time and no event belongs to an id that nobody will find: an error would take
// the signal's other hints along, and cutting it off could name another contact.
func read(whole string) Hint {
	text, told, some := strings.Cut(whole, "#")
	if !some {
		return readTimes(text)
	}
	events := strings.Split(told, ",")
	for _, event := range events {
		if kind, task, ok := strings.Cut(event, "/"); !ok || kind == "" || task == "" {
			return Hint{Contact: whole}
		}
	}
	hint := readTimes(text)
	hint.Events = events
	return hint
}

func readTimes(text string) Hint {
	contact, times, timed := strings.Cut(text, "@")
	if !timed {
		return Hint{Contact: text}
	}
	if "@"+times == confirm {
		return Hint{Contact: contact, Confirm: true}
	}
	first, second, heard := strings.Cut(times, "+")
	at, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return Hint{Contact: text}
	}
	hint := Hint{Contact: contact, At: moment(at)}
	if heard {
		late, err := strconv.ParseInt(second, 10, 64)
		if err != nil {
			return Hint{Contact: text}
		}
		hint.Received = moment(at + late)
	}
	return hint
}

// milliseconds and moment take the zero time for 0: nothing that we hear of happened in 1970.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(milliseconds int64) time.Time {
	if milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds).UTC()
}

// Reference is a hint in a location's backlog; one with NotBefore must wait.
type Reference struct {
	Hint
	NotBefore time.Time
}

// reference is how a Reference travels: without it, the embedded Hint's methods would drop NotBefore.
type reference struct {
	Hint      Hint      `json:"hint"`
	NotBefore time.Time `json:"notBefore,omitzero"`
}

// MarshalJSON writes the hint's short text where it need not wait, else {"hint":…,"notBefore":…}.
func (r Reference) MarshalJSON() ([]byte, error) {
	if r.NotBefore.IsZero() {
		return r.Hint.MarshalJSON()
	}
	return json.Marshal(reference{r.Hint, r.NotBefore})
}

// UnmarshalJSON reads either form.
func (r *Reference) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		*r = Reference{}
		return r.Hint.UnmarshalJSON(data)
	}
	var plain reference
	if err := json.Unmarshal(data, &plain); err != nil {
		return err
	}
	*r = Reference{plain.Hint, plain.NotBefore}
	return nil
}
