package connect

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// A state is sealed, and says itself until when it is good: whichever process the browser comes back to can open it, and nobody
// remembers the links that lead nowhere. That it works once, the store sees to.

// life is how long an install may take from the link to the way back.
const life = 10 * time.Minute

// longest is more than a state or a browser's key takes as text.
const longest = 256

// browserRow and stateRow keep what is sealed apart: a key is no state, and a state is good with its browser's key alone.
const browserRow = "install browser"

func stateRow(browser string) string { return "install state " + browser }

// open makes a state for a browser, which is known by its key, or by a new one when it has none that we gave. A browser keeps
// its key for a while, so that two tabs can install at once.
func (p *pages) open(browser string) (state, key string, err error) {
	if p.unseal(browser, browserRow) == nil {
		if browser, err = p.seal([]byte(rand.Text()), browserRow); err != nil {
			return "", "", err
		}
	}
	ends := binary.BigEndian.AppendUint64(nil, uint64(p.Now().Add(life).UnixMilli()))
	state, err = p.seal(append(ends, rand.Text()...), stateRow(browser))
	return state, browser, err
}

// use takes a state for the browser that it was made for, once. One that another browser shows stays good for its own. The
// error says that the store can't tell.
func (p *pages) use(ctx context.Context, state, browser string) (verdict, error) {
	plain := p.unseal(state, stateRow(browser))
	if len(plain) < 8 {
		return unknown, nil
	}
	ends := time.UnixMilli(int64(binary.BigEndian.Uint64(plain)))
	if !p.Now().Before(ends) {
		return unknown, nil
	}
	ctx, cancel := context.WithTimeout(ctx, noting)
	defer cancel()
	digest := sha256.Sum256(plain)
	switch err := p.UseState(ctx, digest[:], ends); {
	case errors.Is(err, crm.ErrMoved):
		return used, nil
	case err != nil:
		return unknown, &crm.Error{Code: crm.StoreUnavailable, Operation: "connect"}
	}
	return good, nil
}

// verdict is what is known of a state.
type verdict int

const (
	unknown verdict = iota // never made, made for another browser, or too old
	used
	good
)

func (p *pages) seal(plain []byte, row string) (string, error) {
	sealed, err := p.Sealer.Seal(plain, []byte(row))
	if err != nil { // its text could tell of keys
		return "", &crm.Error{Code: crm.Internal, Operation: "seal"}
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// unseal returns nil for what we did not seal for the row.
func (p *pages) unseal(text, row string) []byte {
	if text == "" || len(text) > longest {
		return nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	plain, err := p.Sealer.Open(sealed, []byte(row))
	if err != nil {
		return nil
	}
	return plain
}
