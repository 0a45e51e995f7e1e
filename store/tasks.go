package store

import (
	"context"
	"database/sql"
	"maps"

	"github.com/rankrsync/rankrsync/crm"
)

// PolledTasks returns the tasks of a location that polls ever saw, by id, and whether all of them were seen once: until then,
// one that is not there may be an old one.
func (s *Store) PolledTasks(ctx context.Context, location string) (tasks map[string]crm.PolledTask, whole bool, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT task, contact, open FROM polled_tasks WHERE location = ?", location)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	tasks = map[string]crm.PolledTask{}
	for rows.Next() {
		var id string
		var task crm.PolledTask
		if err := rows.Scan(&id, &task.Contact, &task.Open); err != nil {
			return nil, false, err
		}
		if id == "" {
			whole = true
			continue
		}
		tasks[id] = task
	}
	return tasks, whole, rows.Err()
}

// SaveTasks remembers what a walk saw, once it has been handed over; whole says that the walk saw all open tasks.
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
	return s.writer.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO polled_tasks (location, task, contact, open) VALUES (?, ?, ?, ?)
			ON CONFLICT (location, task) DO UPDATE SET contact = excluded.contact, open = excluded.open`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for id, task := range tasks {
			if _, err := insert.ExecContext(ctx, location, id, task.Contact, task.Open); err != nil {
				return err
			}
		}
		return nil
	})
}
