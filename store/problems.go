package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

func saveProblem(ctx context.Context, tx tx, p crm.ProblemRecord, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO problems (location, contact, object, code, operation, fields, trace_id, first_seen, last_seen, attempts)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
		ON CONFLICT (location, contact, object) DO UPDATE SET operation = excluded.operation, fields = excluded.fields, trace_id = excluded.trace_id,
			first_seen = CASE WHEN problems.code = excluded.code THEN problems.first_seen ELSE excluded.first_seen END,
			attempts = CASE WHEN problems.code = excluded.code THEN problems.attempts + 1 ELSE 1 END,
			approved = problems.approved AND problems.code = excluded.code,
			code = excluded.code, last_seen = excluded.last_seen`,
		p.Location, p.Contact, p.Object, p.Code, p.Operation, text(p.Fields, len(p.Fields) == 0), p.TraceID, millis(now), millis(now))
	return err
}

// Filter narrows problems down; empty parts don't narrow.
type Filter struct {
	Location string
	Object   crm.Object
	Codes    []crm.Code
	Limit    int // 0: no limit
}

// Problems lists the open problems, the newest first.
func (s *Store) Problems(ctx context.Context, filter Filter) ([]crm.ProblemRecord, error) {
	query, args := `SELECT location, contact, object, code, operation, fields, trace_id, first_seen, last_seen, attempts, approved FROM problems WHERE 1 = 1`, []any{}
	if filter.Location != "" {
		query, args = query+" AND location = ?", append(args, filter.Location)
	}
	if filter.Object != "" {
		query, args = query+" AND object = ?", append(args, filter.Object)
	}
	if len(filter.Codes) > 0 {
		query += " AND code IN (''"
		for _, code := range filter.Codes {
			query, args = query+", ?", append(args, code)
		}
		query += ")"
	}
	query += " ORDER BY last_seen DESC, location, contact, object"
	if filter.Limit > 0 {
		query, args = query+" LIMIT ?", append(args, filter.Limit)
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var problems []crm.ProblemRecord
	for rows.Next() {
		var p crm.ProblemRecord
		var fields string
		var first, last int64
		if err := rows.Scan(&p.Location, &p.Contact, &p.Object, &p.Code, &p.Operation, &fields, &p.TraceID, &first, &last, &p.Attempts, &p.Approved); err != nil {
			return nil, err
		}
		if err := parse(fields, &p.Fields); err != nil {
			return nil, err
		}
		p.FirstSeen, p.LastSeen = fromMillis(first), fromMillis(last)
		problems = append(problems, p)
	}
	return problems, rows.Err()
}

// ApproveDeletes lets the deletes that the brake parked in a location go ahead, and returns their contacts: each must
// be nudged, for nothing else starts them.
func (s *Store) ApproveDeletes(ctx context.Context, location string) ([]string, error) {
	var approved []string
	err := s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		var contacts []string
		rows, err := tx.QueryContext(ctx, "UPDATE problems SET approved = TRUE WHERE location = ? AND code = ? RETURNING contact", location, crm.DeleteBrake)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var contact string
			if err := rows.Scan(&contact); err != nil {
				return err
			}
			contacts = append(contacts, contact)
		}
		approved = contacts
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return approved, nil
}

// The delete brake: more than this many deletes of a location in an hour wait for a person.
const (
	brakeWindow = time.Hour
	brakeFloor  = 20
	brakeShare  = 100 // one in a hundred links
)

// brake takes a slot for the link's delete. One that a person approved, or that took its slot before, always passes.
func (s *Store) brake(ctx context.Context, tx tx, link crm.Link, now time.Time) error {
	if tx.dialect.brake != "" { // two machines could both take the last slot
		if _, err := tx.ExecContext(ctx, tx.dialect.brake, link.Location); err != nil {
			return err
		}
	}
	var passes bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM problems WHERE location = ?1 AND contact = ?2 AND approved)
		OR EXISTS (SELECT 1 FROM deletes WHERE location = ?1 AND contact = ?2 AND generation = ?3)
		OR (SELECT n < ?5 OR n < (SELECT count(*) FROM links WHERE location = ?1 AND object = 'contact' AND rankr_id <> '') / ?6
			FROM (SELECT count(*) AS n FROM deletes WHERE location = ?1 AND at > ?4) taken)`,
		link.Location, link.Contact, link.Generation, millis(now.Add(-brakeWindow)), brakeFloor, brakeShare).Scan(&passes)
	if err != nil {
		return err
	}
	if !passes {
		return crm.ErrBraked
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM deletes WHERE location = ? AND at <= ?", link.Location, millis(now.Add(-brakeWindow)))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO deletes (location, contact, generation, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		link.Location, link.Contact, link.Generation, millis(now))
	return err
}

// ParkLocation stops all rounds of a location, or with [crm.Everywhere] of all, until [Store.Unpark].
func (s *Store) ParkLocation(ctx context.Context, location string, code crm.Code) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO parked (location, code, since) VALUES (?, ?, ?) ON CONFLICT (location) DO UPDATE SET code = excluded.code",
			location, code, millis(tx.now()))
		return err
	})
}

// Unpark lets rounds run again. What waited must be nudged.
func (s *Store) Unpark(ctx context.Context, location string) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM parked WHERE location = ?", location)
		return err
	})
}

// Parked returns why nothing runs for a location, or with [crm.Everywhere] for all; empty: it runs.
func (s *Store) Parked(ctx context.Context, location string) (crm.Code, error) {
	var code crm.Code
	err := s.read.QueryRowContext(ctx, "SELECT code FROM parked WHERE location = ?", location).Scan(&code)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return code, err
}

// ParkedContacts returns the contacts of a location whose open problem with the object has one of the codes.
func (s *Store) ParkedContacts(ctx context.Context, location string, object crm.Object, codes ...crm.Code) ([]string, error) {
	problems, err := s.Problems(ctx, Filter{Location: location, Object: object, Codes: codes, Limit: maxParked})
	contacts := make([]string, len(problems))
	for i, problem := range problems {
		contacts[i] = problem.Contact
	}
	return contacts, err
}

// maxParked bounds what one poll hands over of what was parked; the next ones take the rest.
const maxParked = 10_000
