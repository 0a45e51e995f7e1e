package connections

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// SealedRows is what [Reseal] needs of the store.
type SealedRows interface {
	Token(ctx context.Context, owner string) (crm.SealedToken, error)
	// TokenOwners lists the owners of all tokens in their order, after the given one.
	TokenOwners(ctx context.Context, after string, limit int) ([]string, error)
	// Reseal replaces what is sealed of a row that nobody holds: [crm.ErrMoved] when it is not what was says.
	Reseal(ctx context.Context, was crm.SealedToken, sealed []byte) error
	HoldToken(ctx context.Context, was crm.SealedToken, holder string, lease time.Duration) (crm.SealedToken, error)
	SaveToken(ctx context.Context, held, next crm.SealedToken) error
}

// Resealer is a [Sealer] that knows what was sealed with its first key.
type Resealer interface {
	Sealer
	Current(sealed []byte) bool
}

// Resealed is what became of the tokens.
type Resealed struct {
	Anew    int      // sealed with the first key now
	Already int      // that were before, or were sealed so by whoever renewed them meanwhile
	Closed  []string // owners of those that none of the keys opens; they are left as they are
}

// ownersAtOnce bounds a page of owners.
const ownersAtOnce = 500

// Reseal seals every token with the first key that is sealed with another. Those who use the tokens go on meanwhile. It can
// be stopped anywhere: what it did counts, also when it returns an error, and the next call does the rest. A process that
// still has another key first may seal a token behind its back, so it ends only when a whole look found nothing to do.
func Reseal(ctx context.Context, rows SealedRows, sealer Resealer) (Resealed, error) {
	all, err := look(ctx, rows, sealer)
	for again := all; err == nil && again.Anew > 0; {
		again, err = look(ctx, rows, sealer)
		all.Anew += again.Anew
		all.Closed = again.Closed
	}
	return all, err
}

// look goes through all rows once.
func look(ctx context.Context, rows SealedRows, sealer Resealer) (Resealed, error) {
	var all Resealed
	for after := ""; ; {
		owners, err := rows.TokenOwners(ctx, after, ownersAtOnce)
		if err != nil {
			return all, err
		}
		for _, owner := range owners {
			if err := reseal(ctx, rows, sealer, owner, &all); err != nil {
				return all, err
			}
			after = owner
		}
		if len(owners) < ownersAtOnce {
			return all, nil
		}
	}
}

// reseal sees to one row, and looks again for as long as others change it.
func reseal(ctx context.Context, rows SealedRows, sealer Resealer, owner string, all *Resealed) error {
	for {
		row, err := rows.Token(ctx, owner)
		switch {
		case err != nil:
			return err
		case row.Version == 0 || len(row.Sealed) == 0: // gone, or still to be minted
			return nil
		case sealer.Current(row.Sealed):
			all.Already++
			return nil
		case row.Held(): // who renews it seals it anew
			if !pause(ctx, lookAgain) {
				return ctx.Err()
			}
			continue
		}
		plain, err := sealer.Open(row.Sealed, []byte(owner))
		if err != nil {
			all.Closed = append(all.Closed, owner)
			return nil
		}
		sealed, err := sealer.Seal(plain, []byte(owner))
		if err != nil {
			return &crm.Error{Code: crm.Internal, Operation: "seal"}
		}
		switch err := replace(ctx, rows, row, sealed); {
		case errors.Is(err, crm.ErrMoved):
			continue
		case err != nil:
			return err
		}
		all.Anew++
		return nil
	}
}

// replace writes what is sealed anew, and nothing else of the row. What a process left behind that died while it renewed the
// token is taken over, as the next one that renews it would.
func replace(ctx context.Context, rows SealedRows, row crm.SealedToken, sealed []byte) error {
	if row.Holder == "" {
		return rows.Reseal(ctx, row, sealed)
	}
	held, err := rows.HoldToken(ctx, row, rand.Text(), lease)
	if err != nil {
		return err
	}
	next := held
	next.Sealed = sealed
	return rows.SaveToken(ctx, held, next)
}
