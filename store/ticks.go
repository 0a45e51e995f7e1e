package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Ticks are kept this long: how far back a Temporal server may be restored and still be noticed exactly.
const tickRetention = 7 * 24 * time.Hour

// LastTick returns the number of a location's newest tick and the watermark it left: every change before it has been
// handed over. 0 when there is none.
func (s *Store) LastTick(ctx context.Context, location string) (int64, time.Time, error) {
	return s.tick(ctx, "SELECT tick, watermark FROM ticks WHERE location = ? ORDER BY tick DESC LIMIT 1", location)
}

// TickBefore returns the newest tick that is not after number, or else the oldest that is still known.
func (s *Store) TickBefore(ctx context.Context, location string, number int64) (int64, time.Time, error) {
	tick, watermark, err := s.tick(ctx, "SELECT tick, watermark FROM ticks WHERE location = ? AND tick <= ? ORDER BY tick DESC LIMIT 1", location, number)
	if err != nil || tick != 0 {
		return tick, watermark, err
	}
	return s.tick(ctx, "SELECT tick, watermark FROM ticks WHERE location = ? ORDER BY tick LIMIT 1", location)
}

func (s *Store) tick(ctx context.Context, query string, args ...any) (tick int64, watermark time.Time, err error) {
	var ms int64
	err = s.read.QueryRowContext(ctx, query, args...).Scan(&tick, &ms)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return tick, fromMillis(ms), err
}

// SaveTick records a tick. Of two that took the same number the second is refused with [crm.ErrMoved], so the watermark
// only ever moves by the one that read it.
func (s *Store) SaveTick(ctx context.Context, location string, number int64, watermark time.Time) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		now := tx.now()
		if err := moved(tx.ExecContext(ctx, "INSERT INTO ticks (location, tick, watermark, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
			location, number, millis(watermark), millis(now))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM ticks WHERE location = ? AND at < ? AND tick < ?", location, millis(now.Add(-tickRetention)), number)
		return err
	})
}

// Progress moves the watermark of a tick forward in the middle of a walk, so that one that is cut short goes on where
// it was; [crm.ErrMoved] when it would not move forward.
func (s *Store) Progress(ctx context.Context, location string, number int64, watermark time.Time) error {
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		return moved(tx.ExecContext(ctx, "UPDATE ticks SET watermark = ? WHERE location = ? AND tick = ? AND watermark < ?",
			millis(watermark), location, number, millis(watermark)))
	})
}
