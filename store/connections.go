package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// Token reads an owner's row, with Now set to the clock that leases are measured by. Version 0: there is none.
func (s *Store) Token(ctx context.Context, owner string) (crm.SealedToken, error) {
	token := crm.SealedToken{Owner: owner, Now: s.now()}
	var sealed string
	var expires, until int64
	into := []any{&token.Kind, &token.Company, &token.Version, &sealed, &expires, &token.Holder, &until}
	if s.clock == nil {
		into = append([]any{&token.Now}, into...)
	}
	err := s.read.QueryRowContext(ctx, "SELECT "+s.clocked()+"kind, company, version, sealed, expires, holder, held_until FROM tokens WHERE owner = ?", owner).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return token, nil
	}
	if err != nil {
		return token, err
	}
	token.Expires, token.HeldUntil = fromMillis(expires), fromMillis(until)
	token.Sealed, err = base64.StdEncoding.DecodeString(sealed)
	return token, err
}

// HoldToken gives the caller an owner's row until the lease ends: [crm.ErrMoved] when it is not what was says, or is held.
func (s *Store) HoldToken(ctx context.Context, was crm.SealedToken, holder string, lease time.Duration) (crm.SealedToken, error) {
	held := make(chan crm.SealedToken, 1) // the caller may leave before the change is done
	err := s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		now, next := tx.now(), was
		next.Holder, next.HeldUntil, next.Version = holder, now.Add(lease), was.Version+1
		err := moved(tx.ExecContext(ctx, `UPDATE tokens SET holder = ?, held_until = ?, version = version + 1
			WHERE owner = ? AND version = ? AND (holder = '' OR held_until <= ?)`,
			holder, millis(next.HeldUntil), was.Owner, was.Version, millis(now)))
		if err == nil {
			held <- next
		}
		return err
	})
	if err != nil {
		return crm.SealedToken{}, err
	}
	return <-held, nil
}

// SaveToken replaces a held row and lets go of it; [crm.ErrMoved] when the lease was taken over, or somebody installed anew.
func (s *Store) SaveToken(ctx context.Context, held, next crm.SealedToken) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		return moved(tx.ExecContext(ctx, `UPDATE tokens SET sealed = ?, expires = ?, holder = '', held_until = 0, version = version + 1
			WHERE owner = ? AND holder = ?`, text64(next.Sealed), millis(next.Expires), held.Owner, held.Holder))
	})
}

// ReleaseToken lets go of a held row as it is.
func (s *Store) ReleaseToken(ctx context.Context, held crm.SealedToken) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		return moved(tx.ExecContext(ctx, "UPDATE tokens SET holder = '', held_until = 0, version = version + 1 WHERE owner = ? AND holder = ?", held.Owner, held.Holder))
	})
}

// PutToken writes an owner's row whatever is there, and takes it from who holds it.
func (s *Store) PutToken(ctx context.Context, token crm.SealedToken) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tokens (owner, kind, company, version, sealed, expires, holder, held_until) VALUES (?, ?, ?, 1, ?, ?, '', 0)
			ON CONFLICT (owner) DO UPDATE SET kind = excluded.kind, company = excluded.company, version = tokens.version + 1, sealed = excluded.sealed,
				expires = excluded.expires, holder = '', held_until = 0`,
			token.Owner, token.Kind, token.Company, text64(token.Sealed), millis(token.Expires))
		return err
	})
}

// text64 is how bytes are kept, alike in both databases.
func text64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// DropToken forgets an owner's token.
func (s *Store) DropToken(ctx context.Context, owner string) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM tokens WHERE owner = ?", owner)
		return err
	})
}

// DropTokenOf forgets a row that is still what was says; [crm.ErrMoved] when it is not.
func (s *Store) DropTokenOf(ctx context.Context, was crm.SealedToken) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		return moved(tx.ExecContext(ctx, "DELETE FROM tokens WHERE owner = ? AND version = ?", was.Owner, was.Version))
	})
}

// TokenOwners lists the owners of all tokens, after the given one: what is sealed anew goes through them.
func (s *Store) TokenOwners(ctx context.Context, after string, limit int) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT owner FROM tokens WHERE owner > ? ORDER BY owner LIMIT ?", after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var owners []string
	for rows.Next() {
		var owner string
		if err := rows.Scan(&owner); err != nil {
			return nil, err
		}
		owners = append(owners, owner)
	}
	return owners, rows.Err()
}

// Reseal replaces what is sealed of a row that is still what was says; [crm.ErrMoved] when it is not, which is as good: whoever
// moved it sealed it with the key of today.
func (s *Store) Reseal(ctx context.Context, was crm.SealedToken, sealed []byte) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		return moved(tx.ExecContext(ctx, "UPDATE tokens SET sealed = ?, version = version + 1 WHERE owner = ? AND version = ? AND holder = ''",
			text64(sealed), was.Owner, was.Version))
	})
}

const connectionColumns = "location, company, name, owner, kind, scopes, state, state_since, installed"

// Connection reads a location's connection; its Location is empty where there is none.
func (s *Store) Connection(ctx context.Context, location string) (crm.Connection, error) {
	connection, err := scanConnection(s.read.QueryRowContext(ctx, "SELECT "+connectionColumns+" FROM connections WHERE location = ?", location))
	if errors.Is(err, sql.ErrNoRows) {
		return crm.Connection{}, nil
	}
	return connection, err
}

// Connections lists all connections.
func (s *Store) Connections(ctx context.Context) ([]crm.Connection, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+connectionColumns+" FROM connections ORDER BY location")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var connections []crm.Connection
	for rows.Next() {
		connection, err := scanConnection(rows)
		if err != nil {
			return nil, err
		}
		connections = append(connections, connection)
	}
	return connections, rows.Err()
}

func scanConnection(row interface{ Scan(...any) error }) (crm.Connection, error) {
	var c crm.Connection
	var scopes string
	var since, installed int64
	err := row.Scan(&c.Location, &c.Company, &c.Name, &c.Owner, &c.Kind, &scopes, &c.State, &since, &installed)
	c.Scopes, c.StateSince, c.Installed = strings.Fields(scopes), fromMillis(since), fromMillis(installed)
	return c, err
}

// PutConnection writes a location's connection over what is there. A state that stays keeps its time.
func (s *Store) PutConnection(ctx context.Context, c crm.Connection) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO connections (`+connectionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (location) DO UPDATE SET company = excluded.company, name = CASE WHEN excluded.name = '' THEN connections.name ELSE excluded.name END,
				owner = excluded.owner, kind = excluded.kind, scopes = excluded.scopes,
				state_since = CASE WHEN connections.state = excluded.state THEN connections.state_since ELSE excluded.state_since END,
				state = excluded.state, installed = excluded.installed`,
			c.Location, c.Company, c.Name, c.Owner, c.Kind, strings.Join(c.Scopes, " "), c.State, millis(tx.now()), millis(c.Installed))
		return err
	})
}

// SetState notes how the locations stand that use an owner's token, or that are minted from it. Those that somebody
// disconnected stay so. That a company's token is good says nothing of what a location of its own lacks.
func (s *Store) SetState(ctx context.Context, owner string, state crm.ConnectionState) error {
	company, isCompany := strings.CutPrefix(owner, crm.CompanyOwner(""))
	if !isCompany {
		company = ""
	}
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE connections SET state = ?, state_since = ?
			WHERE (owner = ? OR (company = ? AND company <> '' AND kind = ? AND (? <> ? OR state NOT IN (?, ?)))) AND state <> ? AND state <> ?`,
			state, millis(tx.now()), owner, company, crm.MintedToken, state, crm.Connected, crm.WrongTenant, crm.ScopesMissing, state, crm.Disconnected)
		return err
	})
}

// SetScopes notes what an owner's token may do.
func (s *Store) SetScopes(ctx context.Context, owner string, scopes []string) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		text := strings.Join(scopes, " ")
		_, err := tx.ExecContext(ctx, "UPDATE connections SET scopes = ? WHERE owner = ? AND scopes <> ?", text, owner, text)
		return err
	})
}

// pastStates is how long a used state is remembered after its end: the clock of who asks may be behind ours.
const pastStates = 10 * time.Minute

// UseState notes that the state of an install was used; [crm.ErrMoved] when it was before, by whichever process.
func (s *Store) UseState(ctx context.Context, state []byte, ends time.Time) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		err := moved(tx.ExecContext(ctx, "INSERT INTO used_states (state, ends) VALUES (?, ?) ON CONFLICT DO NOTHING", text64(state), millis(ends)))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM used_states WHERE ends < ?", millis(tx.now().Add(-pastStates)))
		return err
	})
}

// proofName is the row of meta that shows which key seals.
const proofName = "seal_proof"

// SealProofAt reads the proof from the store at the URL, and changes nothing there: not even its tables, which opening it brings up to
// date. Nil where there is no store yet, or no proof in it.
func SealProofAt(ctx context.Context, url string) ([]byte, error) {
	switch err := Made(ctx, url); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var proof []byte
	err := visit(url, func(d *dialect, db *sql.DB) (err error) {
		proof, err = sealProof(ctx, session{on: db, dialect: d})
		return err
	})
	return proof, err
}

// SealProof is what shows whether our keys open what is sealed here; empty: nothing was ever sealed.
func (s *Store) SealProof(ctx context.Context) ([]byte, error) { return sealProof(ctx, s.read) }

func sealProof(ctx context.Context, on session) ([]byte, error) {
	var proof string
	err := on.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", proofName).Scan(&proof)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(proof)
}

// SaveSealProof puts a proof in the place of the one that was read; [crm.ErrMoved] when that is not there any more.
func (s *Store) SaveSealProof(ctx context.Context, was, next []byte) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		if len(was) == 0 {
			return moved(tx.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", proofName, text64(next)))
		}
		return moved(tx.ExecContext(ctx, "UPDATE meta SET value = ? WHERE name = ? AND value = ?", text64(next), proofName, text64(was)))
	})
}
