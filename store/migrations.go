package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/pressly/goose/v3"
)

// Both dialects run the same files.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Migration is a step that the tables of a store take from one release to a later one.
type Migration struct {
	Version int64
	Name    string    // of its file
	Applied time.Time // zero: it is still to come
}

// Migrate takes the steps that are still to come and returns them. Opening a store does the same; two processes may start
// it at once.
func Migrate(ctx context.Context, url string) ([]Migration, error) {
	var taken []Migration
	err := visit(url, func(d *dialect, db *sql.DB) error {
		return d.alone(ctx, url, db, func() error {
			return whenFree(ctx, d.again, func(ctx context.Context) error { return d.check(ctx, db) }, func(ctx context.Context) (err error) {
				taken, err = migrate(ctx, d, db)
				return err
			})
		})
	})
	return taken, err
}

// MigrationStatus lists all steps in their order, with the time at which each was taken. It changes nothing, and makes no
// store where there is none.
func MigrationStatus(ctx context.Context, url string) ([]Migration, error) {
	var all []Migration
	err := Made(ctx, url)
	if errors.Is(err, fs.ErrNotExist) {
		d, err := dialectOf(url)
		if err != nil {
			return nil, err
		}
		return files(d)
	}
	if err != nil {
		return nil, err
	}
	err = visit(url, func(d *dialect, db *sql.DB) error {
		provider, err := provider(d, db)
		if err != nil {
			return err
		}
		states, err := provider.Status(ctx)
		for _, state := range states {
			all = append(all, Migration{state.Source.Version, path.Base(state.Source.Path), state.AppliedAt.UTC()})
		}
		return err
	})
	return all, err
}

// Made tells whether there is a store at the URL, without making one: [fs.ErrNotExist] when not.
func Made(ctx context.Context, url string) error {
	d, err := dialectOf(url)
	if err != nil {
		return err
	}
	if d == sqliteDialect {
		if _, err := os.Stat(file(url)); err != nil {
			return err
		}
	}
	var made bool
	err = visit(url, func(d *dialect, db *sql.DB) error { return db.QueryRowContext(ctx, d.made).Scan(&made) })
	if err == nil && !made {
		err = fmt.Errorf("store: nobody made one there yet: %w", fs.ErrNotExist)
	}
	return err
}

// visit connects for the time of one deed.
func visit(url string, do func(*dialect, *sql.DB) error) error {
	d, err := dialectOf(url)
	if err != nil {
		return err
	}
	read, write, err := d.connect(url, nil)
	for _, db := range []*sql.DB{read, write} {
		if db != nil {
			defer db.Close()
		}
	}
	if err == nil {
		err = do(d, write)
	}
	if err != nil {
		return fmt.Errorf("store: %w", d.hidden(err))
	}
	return nil
}

func provider(d *dialect, db *sql.DB) (*goose.Provider, error) {
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(d.name, db, steps)
}

func migrate(ctx context.Context, d *dialect, db *sql.DB) ([]Migration, error) {
	provider, err := provider(d, db)
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	var taken []Migration
	for _, result := range results {
		taken = append(taken, Migration{result.Source.Version, path.Base(result.Source.Path), time.Now().UTC()})
	}
	return taken, err
}

// files are all steps, none of them taken.
func files(d *dialect) ([]Migration, error) {
	db, err := sql.Open("sqlite", ":memory:") // goose wants one, and only reads the files
	if err != nil {
		return nil, err
	}
	defer db.Close()
	provider, err := provider(d, db)
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, source := range provider.ListSources() {
		all = append(all, Migration{Version: source.Version, Name: path.Base(source.Path)})
	}
	return all, nil
}
