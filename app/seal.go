// Sealing: the keys of SECRET_KEY or SECRET_KEY_FILE, and the box they make.

package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/seal"
)

// Sealer seals with the keys in force. Where they are in a file it follows the file, but only to keys that open what the
// ones before have sealed. It is safe for concurrent use.
type Sealer struct {
	keys Secret

	mu   sync.Mutex
	made Secret // the keys that box is of
	box  *seal.Box
}

// Sealer makes the box of the settings' keys. Its error is a *[SettingsError].
func (c Config) Sealer() (*Sealer, error) {
	if !c.keys.set() {
		return nil, &SettingsError{[]string{"SECRET_KEY is not set: put there 32 random bytes in base64, such as openssl rand -base64 32 prints, and keep a copy of them"}}
	}
	if err := c.keys.check(); err != nil {
		return nil, &SettingsError{[]string{c.keysName() + " " + err.Error()}}
	}
	s := &Sealer{keys: c.keys}
	if _, err := s.current(); err != nil {
		return nil, &SettingsError{[]string{c.keysName() + " can't be used: " + err.Error()}}
	}
	return s, nil
}

// current is the box of the keys in force.
func (s *Sealer) current() (*seal.Box, error) {
	text := s.keys.Reveal()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.box != nil && s.made.Reveal() == text {
		return s.box, nil
	}
	box, err := newBox(text)
	if err != nil {
		return nil, err
	}
	s.made, s.box = NewSecret(text), box
	return box, nil
}

// Seal is [seal.Box.Seal].
func (s *Sealer) Seal(plain, row []byte) ([]byte, error) {
	box, err := s.current()
	if err != nil {
		return nil, err
	}
	return box.Seal(plain, row)
}

// Open is [seal.Box.Open].
func (s *Sealer) Open(sealed, row []byte) ([]byte, error) {
	box, err := s.current()
	if err != nil {
		return nil, err
	}
	return box.Open(sealed, row)
}

// Current is [seal.Box.Current]: what need not be sealed anew.
func (s *Sealer) Current(sealed []byte) bool {
	box, err := s.current()
	return err == nil && box.Current(sealed)
}

// Prove holds the keys against the proof that the store keeps: call it before anything is sealed or opened. With no proof
// stored yet it returns one; store it unless somebody else did meanwhile, and prove what is stored then. A wrong key is a
// *[SettingsError].
func (s *Sealer) Prove(stored []byte) (fresh []byte, err error) {
	box, err := s.current()
	switch {
	case err != nil:
		return nil, err
	case len(stored) == 0:
		return box.Proof()
	}
	err = box.Check(stored)
	switch {
	case errors.Is(err, seal.ErrKey):
		return nil, &SettingsError{[]string{"SECRET_KEY is not the key that the store's secrets are sealed with, and nothing was changed: put that key back, behind the new one if there is one"}}
	case err != nil:
		return nil, &crm.Error{Code: crm.SealBroken, Operation: "seal proof"}
	}
	return nil, nil
}

// Proof returns a proof of the first key, which takes the place of the stored one once everything is sealed with that key.
func (s *Sealer) Proof() ([]byte, error) {
	box, err := s.current()
	if err != nil {
		return nil, err
	}
	return box.Proof()
}

// newBox reads keys: separated by commas, or one a line.
func newBox(text string) (*seal.Box, error) {
	keys := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' })
	for i, key := range keys {
		keys[i] = strings.TrimSpace(key)
	}
	return seal.New(slices.DeleteFunc(keys, func(key string) bool { return key == "" }))
}

// acceptKeys tells whether the keys in a file may take the place of the ones before.
func acceptKeys(before, next string) error {
	box, err := newBox(next)
	switch {
	case err != nil:
		return fmt.Errorf("can't be used: %w", err)
	case before == "":
		return nil
	}
	sealing, err := newBox(before)
	if err == nil && !box.Follows(sealing) {
		return errors.New("lacks the key that sealed until now")
	}
	return err
}

// keysName is the setting that the keys are from.
func (c Config) keysName() string {
	if c.SecretKeyFile != "" {
		return "SECRET_KEY_FILE"
	}
	return "SECRET_KEY"
}
