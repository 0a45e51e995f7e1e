package store

import (
	"context"
	"maps"
	"strings"

	"github.com/rankrsync/rankrsync/crm"
)

// PolledTasks returns those of a location's tasks that polls ever saw, by id, and whether all of the location were seen once:
// until then, one that is not there may be an old one.
func (s *Store) PolledTasks(ctx context.Context, location string, ids ...string) (tasks map[string]crm.PolledTask, whole bool, err error) {
	args := []any{location}
	for _, id := range ids {
		args = append(args, id)
	}
	tasks, err = s.polledTasks(ctx, "task IN (''"+strings.Repeat(", ?", len(ids))+")", args...)
	_, whole = tasks[""]
	delete(tasks, "")
	return tasks, whole, err
}

// OpenTasks returns the tasks of a location that are open as far as polls know, by id.
func (s *Store) OpenTasks(ctx context.Context, location string) (map[string]crm.PolledTask, error) {
	return s.polledTasks(ctx, "open", location)
}

func (s *Store) polledTasks(ctx context.Context, condition string, args ...any) (map[string]crm.PolledTask, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT task, contact, open, known FROM polled_tasks WHERE location = ? AND "+condition, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	tasks := map[string]crm.PolledTask{}
	for rows.Next() {
		var id string
		var task crm.PolledTask
		if err := rows.Scan(&id, &task.Contact, &task.Open, &task.Known); err != nil {
			return nil, err
		}
		tasks[id] = task
	}
	return tasks, rows.Err()
}

// SaveTasks remembers what a walk saw, once it has been handed over; whole says that all open tasks have been seen.
func (s *Store) SaveTasks(ctx context.Context, location string, tasks map[string]crm.PolledTask, whole bool) error {
	if tasks = maps.Clone(tasks); tasks == nil { // the caller may leave before the change is done
		tasks = map[string]crm.PolledTask{}
	}
	if whole {
		tasks[""] = crm.PolledTask{}
	}
	if len(tasks) == 0 {
		return nil
	}
	return s.writer.write(ctx, func(ctx context.Context, tx tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO polled_tasks (location, task, contact, open, known) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (location, task) DO UPDATE SET contact = excluded.contact, open = excluded.open, known = excluded.known`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for id, task := range tasks {
			if _, err := insert.ExecContext(ctx, location, id, task.Contact, task.Open, task.Known); err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetHandOvers has what is not in step handed over again: Temporal lost hand-overs that it had acknowledged.
func (s *Store) ForgetHandOvers(ctx context.Context, location string) error {
	return s.writer.writeMany(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE polled_tasks SET known = '' WHERE location = ? AND known <> ''", location)
		return err
	})
}
