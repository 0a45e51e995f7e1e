// Package seal closes what may be stored but not read: tokens and secrets. What is sealed opens only with one of the keys
// and only in the row that it was sealed for, so a copy of the database tells nothing, and whoever can write to it can't
// pass one row's token off as another's.
//
// A sealed value is a version byte and what Tink makes of the rest: the key's id and XChaCha20-Poly1305 with a random
// nonce. The id says which key is needed, so keys can be changed while the programs run: add the new one behind the old
// everywhere, then put it first everywhere, seal everything anew that is not [Box.Current], the proof last, and take the
// old one away.
package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xchacha20poly1305"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// What an open can fail with. None says anything of what was sealed.
var (
	// ErrKey is for a value that another key sealed. A value whose first bytes are damaged looks the same.
	ErrKey = errors.New("seal: it was sealed with a key that is not among the ones given")
	// ErrDamaged can't tell its two causes apart: the row is no part of what is stored.
	ErrDamaged = errors.New("seal: it is damaged, or it belongs to another row")
	// ErrVersion is for what a later program sealed, and for what was never sealed.
	ErrVersion = errors.New("seal: it is not sealed in a way that this program knows")
	// ErrSize is for what can be no token: see [MaxSize].
	ErrSize = errors.New("seal: it is too large")
	// ErrRow is for a value that is to be bound to nothing.
	ErrRow = errors.New("seal: the row has no name")
)

// MaxSize bounds what is sealed.
const MaxSize = 64 << 10

const (
	version = 1
	keySize = 32
	header  = 1 + idOffset + idSize // of a sealed value: version, Tink's own version, the key's id
	// Where Tink writes the id of the key.
	idOffset, idSize = 1, 4
)

// domain keeps what is sealed here apart from whatever else might use the same key.
const domain = "rankrsync seal 1\x00"

// Box seals and opens. It is safe for concurrent use.
type Box struct {
	aead tink.AEAD
	ids  []uint32 // of the keys, in their order
}

// New makes a box of keys of 32 bytes in base64. The first one seals, all of them open. Its errors count the keys and
// quote none.
func New(keys []string) (*Box, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key")
	}
	manager := keyset.NewManager()
	var ids []uint32
	for i, text := range keys {
		key, err := parse(text)
		if err == nil {
			err = add(manager, key)
		}
		if err != nil {
			return nil, fmt.Errorf("key %d %w", i+1, err)
		}
		ids = append(ids, id(key))
	}
	// What Tink says of its errors is not shown: it was given keys.
	if manager.SetPrimary(ids[0]) != nil {
		return nil, errors.New("the keys can't be used")
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, errors.New("the keys can't be used")
	}
	box, err := aead.New(handle)
	if err != nil {
		return nil, errors.New("the keys can't be used")
	}
	return &Box{box, ids}, nil
}

// parse reads one key and refuses what nobody drew at random.
func parse(text string) ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, errors.New("is not 32 bytes in base64")
	}
	different := map[byte]bool{}
	for _, b := range key {
		different[b] = true
	}
	if len(different) < keySize/4 {
		return nil, errors.New("is not random")
	}
	return key, nil
}

func add(manager *keyset.Manager, key []byte) error {
	parameters, err := xchacha20poly1305.NewParameters(xchacha20poly1305.VariantTink)
	if err != nil {
		return errors.New("can't be used")
	}
	secret := secretdata.NewBytesFromData(key, insecuresecretdataaccess.Token{})
	made, err := xchacha20poly1305.NewKey(secret, id(key), parameters)
	if err != nil {
		return errors.New("can't be used")
	}
	if _, err := manager.AddKey(made); err != nil { // of two keys one in four billion has the same id by chance
		return errors.New("is there twice")
	}
	return nil
}

// id names a key in what it sealed. It is the start of a hash, so the key can't be told from it.
func id(key []byte) uint32 {
	sum := sha256.Sum256(append([]byte("rankrsync seal key id\x00"), key...))
	return binary.BigEndian.Uint32(sum[:])
}

// Seal closes a value for a row, such as "tokens/location/L". The same value never looks the same twice.
func (b *Box) Seal(plain, row []byte) ([]byte, error) {
	switch {
	case len(row) == 0:
		return nil, ErrRow
	case len(plain) > MaxSize:
		return nil, ErrSize
	}
	sealed, err := b.aead.Encrypt(plain, bound(row))
	if err != nil {
		return nil, errors.New("seal: it can't be sealed")
	}
	return append([]byte{version}, sealed...), nil
}

// Open returns what was sealed for the row. Its errors are [ErrKey], [ErrDamaged], [ErrVersion], [ErrSize] and [ErrRow].
func (b *Box) Open(sealed, row []byte) ([]byte, error) {
	key, err := keyOf(sealed)
	switch {
	case err != nil:
		return nil, err
	case len(row) == 0:
		return nil, ErrRow
	case !b.has(key):
		return nil, ErrKey
	}
	plain, err := b.aead.Decrypt(sealed[1:], bound(row))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// Current tells whether the value was sealed with the first key: what a change of keys may leave as it is.
func (b *Box) Current(sealed []byte) bool {
	key, err := keyOf(sealed)
	return err == nil && key == b.ids[0]
}

// proofRow is bound to no row of any table.
const proofRow, proven = "proof", "rankrsync"

// Proof returns a value to be stored once beside what is sealed, so that a wrong key is noticed before anything is sealed
// with it: see [Box.Check].
func (b *Box) Proof() ([]byte, error) { return b.Seal([]byte(proven), []byte(proofRow)) }

// Check tells whether the keys are those of the stored proof. Its errors are those of [Box.Open].
func (b *Box) Check(proof []byte) error {
	plain, err := b.Open(proof, []byte(proofRow))
	if err == nil && string(plain) != proven {
		return ErrDamaged
	}
	return err
}

// Follows tells whether these keys may take the place of before's while programs run: they still open what before
// seals.
func (b *Box) Follows(before *Box) bool { return b.has(before.ids[0]) }

// Format shows nothing of the keys, whatever the verb.
func (b *Box) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("seal.Box")) }

func (b *Box) has(key uint32) bool { return slices.Contains(b.ids, key) }

// keyOf reads which key sealed a value.
func keyOf(sealed []byte) (uint32, error) {
	switch {
	case len(sealed) > MaxSize+256: // nonce, tag and header are far less
		return 0, ErrSize
	case len(sealed) == 0 || sealed[0] != version:
		return 0, ErrVersion
	case len(sealed) < header:
		return 0, ErrDamaged
	}
	return binary.BigEndian.Uint32(sealed[1+idOffset : header]), nil
}

func bound(row []byte) []byte { return append([]byte(domain), row...) }
