package names

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Hint says that a contact may have changed. It is never data: the record is read again.
//
// A storm writes tens of thousands of hints into one history, so a hint travels as a short text: "C", "C@at",
// "C@at@received" or "C@?" (a confirmation), with times in milliseconds since 1970, 0 for none. People may also write {"contact":"C","at":"…"}.
type Hint struct {
	Contact string `json:"contact,omitempty"`
	// At is when the vendor says it happened. Zero: unknown, so the contact is always read.
	At time.Time `json:"at,omitzero"`
	// Received is when we heard of it, by our own clock: only for measuring how long a change takes.
	Received time.Time `json:"received,omitzero"`
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

// MarshalJSON writes the short text.
func (h Hint) MarshalJSON() ([]byte, error) {
	text := h.Contact
	if h.Confirm {
		return json.Marshal(text + confirm)
	}
	if !h.At.IsZero() || !h.Received.IsZero() {
		text += "@" + stamp(h.At)
	}
	if !h.Received.IsZero() {
		text += "@" + stamp(h.Received)
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
	// What is no time belongs to an id that nobody will find: an error here would take the signal's other hints along,
	// and cutting it off could name another contact.
	if contact, ok := strings.CutSuffix(text, confirm); ok {
		*h = Hint{Contact: contact, Confirm: true}
		return nil
	}
	*h = Hint{Contact: text}
	contact, times, found := strings.Cut(text, "@")
	if !found {
		return nil
	}
	at, received, _ := strings.Cut(times, "@")
	if ms, err := unstamp(at); err == nil {
		if heard, err := unstamp(received); err == nil {
			*h = Hint{Contact: contact, At: ms, Received: heard}
		}
	}
	return nil
}

// confirm ends the text of a hint that is a confirmation.
const confirm = "@?"

func stamp(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

func unstamp(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(ms).UTC(), nil
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
