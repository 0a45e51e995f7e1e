package store

import (
	"context"
	"database/sql"
	"errors"
)

// writer commits many changes with one disk flush: what is asked for while a flush is under way shares the next one.
// A change that comes alone waits for nobody.
type writer struct {
	db      *sql.DB
	changes chan change
	stop    chan struct{}
	stopped chan struct{}
}

// change is one unit of writing. Its statements are all kept or, when do returns an error, all undone.
type change struct {
	ctx    context.Context
	do     func(context.Context, *sql.Tx) error
	answer chan error
}

// maxGroup bounds one commit, so that the first of a group does not wait for hundreds.
const maxGroup = 100

var errClosed = errors.New("store: closed")

func newWriter(db *sql.DB) *writer {
	w := &writer{db: db, changes: make(chan change, maxGroup), stop: make(chan struct{}), stopped: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) close() {
	close(w.stop)
	<-w.stopped
}

// write returns once the change is on disk, or nil of it is. A caller that gives up does not undo a change under way.
func (w *writer) write(ctx context.Context, do func(context.Context, *sql.Tx) error) error {
	c := change{context.WithoutCancel(ctx), do, make(chan error, 1)}
	select {
	case w.changes <- c:
	case <-w.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.answer:
		return err
	case <-w.stopped: // it came too late to be taken, or its answer is there already
		select {
		case err := <-c.answer:
			return err
		default:
			return errClosed
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case first := <-w.changes:
			w.commit(w.gather(first))
		case <-w.stop:
			for {
				select {
				case c := <-w.changes:
					c.answer <- errClosed
				default:
					return
				}
			}
		}
	}
}

func (w *writer) gather(first change) []change {
	group := []change{first}
	for len(group) < maxGroup {
		select {
		case c := <-w.changes:
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

func (w *writer) commit(group []change) {
	results := make([]error, len(group))
	err := w.transact(group, results)
	for i, c := range group {
		if err != nil {
			results[i] = err // nothing of the group is on disk
		}
		c.answer <- results[i]
	}
}

func (w *writer) transact(group []change, results []error) error {
	ctx := context.Background()
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	for i, c := range group {
		if len(group) == 1 {
			if err := c.do(c.ctx, tx); err != nil {
				results[i] = err
				return tx.Rollback()
			}
			break
		}
		if _, err := tx.ExecContext(ctx, "SAVEPOINT one"); err != nil {
			return err
		}
		if results[i] = c.do(c.ctx, tx); results[i] != nil {
			if _, err := tx.ExecContext(ctx, "ROLLBACK TO one"); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "RELEASE one"); err != nil {
			return err
		}
	}
	return tx.Commit()
}
