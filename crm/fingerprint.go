package crm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
)

// Fingerprints holds one short keyed hash for each field that has a value. They tell whether a value changed
// without keeping it.
type Fingerprints map[string]string

// Names are the names of the fields, sorted.
func (f Fingerprints) Names() []string { return slices.Sorted(maps.Keys(f)) }

// Fingerprinter hashes values under a key of its own: without one, a phone number's hash could be looked up by
// hashing all phone numbers. The key is not the one that seals tokens, so rotating that rewrites no contact.
type Fingerprinter struct{ key []byte }

// NewFingerprinter takes a key of 32 random bytes.
func NewFingerprinter(key []byte) Fingerprinter { return Fingerprinter{key} }

// Fields returns a fingerprint for each field.
func (f Fingerprinter) Fields(fields Fields) Fingerprints {
	prints := make(Fingerprints, len(fields))
	for name, value := range fields {
		text, _ := json.Marshal(value) // JSON-plain by Fields' promise: cannot fail
		prints[name] = f.Bytes([]byte(name), text)
	}
	return prints
}

// Bytes returns the fingerprint of the parts: 96 bits, enough for a chance of 10^-28 that a change goes unseen.
func (f Fingerprinter) Bytes(parts ...[]byte) string {
	mac := hmac.New(sha256.New, f.key)
	for _, part := range parts {
		mac.Write(part)
		mac.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])
}
