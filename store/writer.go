package store

import (
	"context"
	"errors"
	"sync"
)

// writer commits many changes with one disk flush: what is asked for while a flush is under way shares the next one.
// A change that comes alone waits for nobody.
type writer struct {
	transact func(group []change, results []error) error // an error of its own: nothing of the group is on disk
	most     int                                         // changes in a group
	changes  chan change
	stop     chan struct{}
	stopped  chan struct{}
}

// change is one unit of writing. Its statements are all kept or, when do returns an error, all undone. It may be done
// again after that.
type change struct {
	ctx    context.Context
	do     func(context.Context, tx) error
	answer chan error
	long   bool // it changes every row of a location
}

// maxGroup bounds one commit, so that the first of a group does not wait for hundreds.
const maxGroup = 100

var errClosed = errors.New("store: closed")

// newWriter starts as many writers as may write at a time.
func newWriter(writers, most int, transact func([]change, []error) error) *writer {
	w := &writer{transact, most, make(chan change, maxGroup), make(chan struct{}), make(chan struct{})}
	var running sync.WaitGroup
	for range writers {
		running.Go(w.run)
	}
	go func() {
		running.Wait()
		close(w.stopped)
	}()
	return w
}

func (w *writer) close() {
	close(w.stop)
	<-w.stopped
}

// write returns once the change is on disk, or nil of it is. A caller that gives up does not undo a change under way.
func (w *writer) write(ctx context.Context, do func(context.Context, tx) error) error {
	return w.submit(ctx, change{do: do})
}

// writeMany is write for a change of every row of a location.
func (w *writer) writeMany(ctx context.Context, do func(context.Context, tx) error) error {
	return w.submit(ctx, change{do: do, long: true})
}

func (w *writer) submit(ctx context.Context, c change) error {
	c.ctx, c.answer = context.WithoutCancel(ctx), make(chan error, 1)
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
	for {
		select {
		case first := <-w.changes:
			group, long := w.gather(first)
			w.commit(group)
			for _, c := range long {
				w.commit([]change{c})
			}
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

// gather takes what waits. What takes long is kept apart, so that nobody else's answer waits for it.
func (w *writer) gather(first change) (group, long []change) {
	for next := first; ; {
		if next.long {
			long = append(long, next)
		} else {
			group = append(group, next)
		}
		if len(group)+len(long) == w.most {
			return group, long
		}
		select {
		case next = <-w.changes:
		default:
			return group, long
		}
	}
}

func (w *writer) commit(group []change) {
	if len(group) == 0 {
		return
	}
	results := make([]error, len(group))
	err := w.transact(group, results)
	for i, c := range group {
		if err != nil {
			results[i] = err // nothing of the group is on disk
		}
		c.answer <- results[i]
	}
}
