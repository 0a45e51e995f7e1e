package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

const linkColumns = `l.location, l.contact, l.object, l.version, l.last_read, l.covered, l.finished, l.holder, l.held_until, l.unsure_since,
	l.intent, l.generation, l.rankr_id, l.created_by_us, l.deleted, l.fields, l.tags, l.date_updated, l.mapping_version, l.records, l.decision`

// selectLink reads a link with its open problem, with what parks its location, and of a contact with what has been
// brought about of its decision, in one query: every round starts with it.
const selectLink = `coalesce(p.code, ''),
	coalesce((SELECT code FROM parked WHERE location IN (w.location, '*') LIMIT 1), ''), coalesce(s.decision, ''), coalesce(s.rankr_id, ''), coalesce(s.unsure_since, 0), ` + linkColumns + `
	FROM (SELECT ? AS location, ? AS contact, ? AS object) w
	LEFT JOIN links l ON l.location = w.location AND l.contact = w.contact AND l.object = w.object
	LEFT JOIN links s ON w.object = 'contact' AND s.location = w.location AND s.contact = w.contact AND s.object = 'segments'
	LEFT JOIN problems p ON p.location = w.location AND p.contact = w.contact AND p.object = w.object`

// Link reads the row of a contact, or of its tasks and notes, with Now set to the store's clock. One never seen has
// Version 0.
func (s *Store) Link(ctx context.Context, ref crm.Ref, object crm.Object) (crm.Link, error) {
	now := s.now()
	link, err := s.scanLink(s.read.QueryRowContext(ctx, s.link, ref.Location, ref.Contact, object), now)
	link.Ref, link.Object = ref, object
	return link, err
}

// Links reads the rows of those contacts that were ever seen, by contact id.
func (s *Store) Links(ctx context.Context, location string, object crm.Object, contacts []string) (map[string]crm.Link, error) {
	links := make(map[string]crm.Link, len(contacts))
	if len(contacts) == 0 {
		return links, nil
	}
	args := []any{location, object}
	for _, contact := range contacts {
		args = append(args, contact)
	}
	now := s.now()
	rows, err := s.read.QueryContext(ctx, "SELECT "+s.clocked()+`coalesce(p.code, ''), '', coalesce(s.decision, ''), coalesce(s.rankr_id, ''), coalesce(s.unsure_since, 0), `+linkColumns+`
		FROM links l LEFT JOIN links s ON l.object = 'contact' AND s.location = l.location AND s.contact = l.contact AND s.object = 'segments'
		LEFT JOIN problems p ON p.location = l.location AND p.contact = l.contact AND p.object = l.object
		WHERE l.location = ? AND l.object = ? AND l.contact IN (?`+strings.Repeat(", ?", len(contacts)-1)+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		link, err := s.scanLink(rows, now)
		if err != nil {
			return nil, err
		}
		links[link.Contact] = link
	}
	return links, rows.Err()
}

func (s *Store) scanLink(row interface{ Scan(...any) error }, now time.Time) (crm.Link, error) {
	l := crm.Link{Now: now}
	var (
		location, contact, object, holder, intent, rankrID, fields, tags, mapping, records, decision sql.NullString
		segmented                                                                                    string
		segmentedUnsure                                                                              int64
		version, lastRead, covered, finished, heldUntil, unsure, updated                             sql.NullInt64
		generation                                                                                   sql.NullInt64
		createdByUs, deleted                                                                         sql.NullBool
	)
	targets := []any{
		&l.Now,
		&l.Problem, &l.Parked, &segmented, &l.SegmentedRecord, &segmentedUnsure, &location, &contact, &object, &version, &lastRead, &covered, &finished, &holder, &heldUntil, &unsure,
		&intent, &generation, &rankrID, &createdByUs, &deleted, &fields, &tags, &updated, &mapping, &records, &decision,
	}
	if s.clock != nil {
		targets = targets[1:]
	}
	err := row.Scan(targets...)
	l.Now = l.Now.UTC()
	if err != nil || !version.Valid {
		return l, err
	}
	l.SegmentedUnsure = segmentedUnsure != 0
	l.Ref = crm.Ref{Location: location.String, Contact: contact.String}
	l.Object = crm.Object(object.String)
	l.Version, l.Generation = version.Int64, int(generation.Int64)
	l.LastRead, l.Covered, l.Finished = fromMillis(lastRead.Int64), fromMillis(covered.Int64), fromMillis(finished.Int64)
	l.Holder, l.HeldUntil, l.UnsureSince = holder.String, fromMillis(heldUntil.Int64), fromMillis(unsure.Int64)
	l.RankrID, l.CreatedByUs, l.Deleted = rankrID.String, createdByUs.Bool, deleted.Bool
	l.DateUpdated, l.MappingVersion = fromMillis(updated.Int64), mapping.String
	return l, errors.Join(parse(intent.String, &l.Intent), parse(fields.String, &l.Fields), parse(tags.String, &l.Tags), parse(records.String, &l.Records),
		parse(decision.String, &l.Decision), parse(segmented, &l.Segmented))
}

func parse(text string, into any) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

func text(value any, empty bool) string {
	if empty {
		return ""
	}
	b, _ := json.Marshal(value) // strings, lists and maps of them: cannot fail
	return string(b)
}

func intentText(i crm.Intent) string {
	return text(i, !i.Create && len(i.Fields) == 0 && len(i.Tags) == 0)
}

// Advance records a round that wrote nothing: next replaces the row if it still is what was says;
// [crm.ErrMoved] or [crm.ErrTaken] otherwise. It leaves a trace even when nothing differs, for else a reader with older data
// could win later.
func (s *Store) Advance(ctx context.Context, was, next crm.Link) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		return s.replace(ctx, tx, was, next, "version = ?", was.Version)
	})
}

// Park is Advance for a round that found something that can't succeed: it records the problem with it.
func (s *Store) Park(ctx context.Context, was, next crm.Link, problem crm.ProblemRecord) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		now := tx.now()
		if err := s.replace(ctx, tx, was, next, "version = ?", was.Version); err != nil {
			return err
		}
		return saveProblem(ctx, tx, problem, now)
	})
}

// Acquire gives the caller the contact until the lease ends: [crm.ErrMoved] when the row is not what was says or is held,
// [crm.ErrTaken] when the record is another contact's, [crm.ErrBraked] when a delete must wait for a person. The version that
// it returns is the row's, for Release.
func (s *Store) Acquire(ctx context.Context, was crm.Link, claim crm.Claim) (crm.Link, error) {
	var acquired crm.Link
	err := s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		next, now := was, tx.now()
		if claim.Delete {
			if err := s.brake(ctx, tx, was, now); err != nil {
				return err
			}
		}
		next.Holder, next.HeldUntil, next.Intent, next.Now = claim.Holder, now.Add(claim.Lease), claim.Intent, now
		next.RankrID, next.CreatedByUs = claim.RankrID, claim.Created
		if err := s.replace(ctx, tx, was, next, "version = ? AND holder = ''", was.Version); err != nil {
			return err
		}
		next.Version++
		acquired = next
		return nil
	})
	if err != nil {
		return crm.Link{}, err
	}
	return acquired, nil
}

// Release ends the holder's lease and records what came of it; [crm.ErrMoved] when the lease was taken over meanwhile.
// Unsure says that a write's answer never came. A problem, where there is one, is recorded with it.
func (s *Store) Release(ctx context.Context, held, next crm.Link, unsure bool, problem *crm.ProblemRecord) error {
	next.Holder, next.HeldUntil = "", time.Time{}
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		now := tx.now()
		if unsure {
			next.UnsureSince = now
		}
		next, err := keepUnsure(ctx, tx, held, next)
		if err != nil {
			return err
		}
		if err := s.replace(ctx, tx, held, next, "holder = ?", held.Holder); err != nil || problem == nil {
			return err
		}
		return saveProblem(ctx, tx, *problem, now)
	})
}

// keepUnsure lets the mark stand that somebody whose lease was lost set while the contact was held: the holder looked
// at Rankr before that write landed.
func keepUnsure(ctx context.Context, tx tx, held, next crm.Link) (crm.Link, error) {
	var since int64
	var before string
	row := tx.QueryRowContext(ctx, "SELECT unsure_since, intent FROM links WHERE location = ? AND contact = ? AND object = ?"+tx.dialect.lock, held.Location, held.Contact, held.Object)
	if err := row.Scan(&since, &before); err != nil || since <= millis(held.UnsureSince) {
		return next, err
	}
	var intent crm.Intent
	err := parse(before, &intent)
	if next.UnsureSince.Before(fromMillis(since)) {
		next.UnsureSince = fromMillis(since)
	}
	next.Intent = next.Intent.With(intent)
	return next, err
}

// TakeOver ends a lease that ran out. From then on the contact is unsure, for its holder's write may still land.
func (s *Store) TakeOver(ctx context.Context, was crm.Link) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		now := millis(tx.now())
		return moved(tx.ExecContext(ctx, `UPDATE links SET holder = '', held_until = 0, unsure_since = ?, version = version + 1
			WHERE location = ? AND contact = ? AND object = ? AND version = ? AND holder <> '' AND held_until <= ?`,
			now, was.Location, was.Contact, was.Object, was.Version, now))
	})
}

// mark makes a contact unsure now. A mark is always later than the one before it, also where two come in one millisecond or
// a change had to wait for its row: a holder tells by that whether it was set while it held the contact.
const mark = "unsure_since = CASE WHEN unsure_since < ?1 THEN ?1 ELSE unsure_since + 1 END, "

// Unsure marks a contact whose lease was lost during a write: what the write left behind must be looked at.
func (s *Store) Unsure(ctx context.Context, held crm.Link) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		row := tx.QueryRowContext(ctx, "SELECT intent FROM links WHERE location = ? AND contact = ? AND object = ?"+tx.dialect.lock, held.Location, held.Contact, held.Object)
		var before string
		if err := row.Scan(&before); err != nil {
			return err
		}
		var intent crm.Intent
		if err := parse(before, &intent); err != nil {
			return err
		}
		intent = intent.With(held.Intent)
		return moved(tx.ExecContext(ctx, "UPDATE links SET "+mark+"intent = ?, version = version + 1 WHERE location = ? AND contact = ? AND object = ?",
			millis(tx.now()), intentText(intent), held.Location, held.Contact, held.Object))
	})
}

// UnsureAll marks every contact of a location: the store was restored from a backup and its fingerprints may be older
// than what was written since.
func (s *Store) UnsureAll(ctx context.Context, location string) error {
	return s.writer.writeMany(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE links SET "+mark+"version = version + 1 WHERE location = ?", millis(tx.now()), location)
		return err
	})
}

// replace writes next over the row for which the condition holds, or inserts it where was says that there is none,
// with the version one up. A problem that next no longer has is closed.
func (s *Store) replace(ctx context.Context, tx tx, was, next crm.Link, condition string, args ...any) error {
	values := []any{
		millis(next.LastRead), millis(next.Covered), millis(next.Finished), next.Holder, millis(next.HeldUntil),
		millis(next.UnsureSince), intentText(next.Intent), next.Generation, next.RankrID, next.CreatedByUs, next.Deleted,
		text(next.Fields, len(next.Fields) == 0), text(next.Tags, len(next.Tags) == 0), millis(next.DateUpdated), next.MappingVersion,
		text(next.Records, len(next.Records) == 0), text(next.Decision, next.Decision.Zero()), next.Decision.Business,
	}
	var result sql.Result
	var err error
	if was.Version == 0 {
		result, err = tx.ExecContext(ctx, `INSERT INTO links (last_read, covered, finished, holder, held_until, unsure_since, intent,
			generation, rankr_id, created_by_us, deleted, fields, tags, date_updated, mapping_version, records, decision, business, version, location, contact, object)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT (location, contact, object) DO NOTHING`,
			append(values, was.Location, was.Contact, was.Object)...)
	} else {
		result, err = tx.ExecContext(ctx, `UPDATE links SET last_read = ?, covered = ?, finished = ?, holder = ?, held_until = ?,
			unsure_since = ?, intent = ?, generation = ?, rankr_id = ?, created_by_us = ?, deleted = ?, fields = ?, tags = ?,
			date_updated = ?, mapping_version = ?, records = ?, decision = ?, business = ?, version = version + 1
			WHERE location = ? AND contact = ? AND object = ? AND `+condition, append(append(values, was.Location, was.Contact, was.Object), args...)...)
	}
	if s.dialect.unique(err) {
		return crm.ErrTaken
	}
	if err := moved(result, err); err != nil {
		return err
	}
	if was.Problem != "" && next.Problem == "" {
		_, err = tx.ExecContext(ctx, "DELETE FROM problems WHERE location = ? AND contact = ? AND object = ?", was.Location, was.Contact, was.Object)
	}
	return err
}

func moved(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return crm.ErrMoved
}

// Attached returns the linked contacts that are attached to a business, as far as their last finished rounds know.
func (s *Store) Attached(ctx context.Context, location, business string) ([]string, error) {
	return s.contacts(ctx, `SELECT contact FROM links
		WHERE location = ? AND object = 'contact' AND rankr_id <> '' AND business = ?`, location, business)
}

// MirroredBusinesses returns the businesses of a location that have a record in Rankr.
func (s *Store) MirroredBusinesses(ctx context.Context, location string) ([]string, error) {
	return s.contacts(ctx, "SELECT contact FROM links WHERE location = ? AND object = 'business' AND rankr_id <> ''", location)
}

func (s *Store) contacts(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var contacts []string
	for rows.Next() {
		var contact string
		if err := rows.Scan(&contact); err != nil {
			return nil, err
		}
		contacts = append(contacts, contact)
	}
	return contacts, rows.Err()
}
