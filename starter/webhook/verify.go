package webhook

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"filippo.io/edwards25519"
)

// signatureHeader carries GHL's Ed25519 signature. The older X-WH-Signature (RSA) is never looked at: falling back
// to it would let an attacker choose the weaker of the two.
const signatureHeader = "X-Ghl-Signature"

// signature returns the one signature of the request. GHL writes a literal "N/A" where it did not sign; like
// anything else that is not 64 bytes of standard base64, it is no signature.
func signature(header http.Header) ([]byte, bool) {
	values := header.Values(signatureHeader)
	if len(values) != 1 {
		return nil, false
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(values[0])
	return signature, err == nil && len(signature) == ed25519.SignatureSize
}

// verify tells whether one of the keys signed exactly these bytes.
func verify(keys []ed25519.PublicKey, body, signature []byte) bool {
	for _, key := range keys {
		if ed25519.Verify(key, body, signature) {
			return true
		}
	}
	return false
}

// ParseKeys reads Ed25519 public keys, each the base64 of its SPKI form, separated by commas: the vendor's keys
// change now and then, and for a while both the old and the new one are good.
func ParseKeys(text string) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for i, field := range strings.Split(text, ",") {
		key, err := parseKey(strings.TrimSpace(field))
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKey(text string) (ed25519.PublicKey, error) {
	if text == "" {
		return nil, fmt.Errorf("it is empty")
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("it is not standard base64")
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("it is not a public key in SPKI form")
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is not an Ed25519 key")
	}
	// Under a key of low order anybody can sign: crypto/ed25519 checks signatures, not keys.
	point, err := new(edwards25519.Point).SetBytes(key)
	if err != nil {
		return nil, fmt.Errorf("it is not a point of the curve")
	}
	if new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, fmt.Errorf("it is a key of low order, under which anybody can sign")
	}
	return key, nil
}
