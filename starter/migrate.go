package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/store"
)

// migration is one step of the store's tables as people and programs see it.
type migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied time.Time `json:"applied,omitzero"` // not there: it is still to come
}

func (c *cli) migrate() *cobra.Command {
	command := &cobra.Command{
		Use:     "migrate",
		Short:   "Bring the store's tables up to date",
		Long:    "Bring the store's tables up to date. The programs do that when they start; by hand it is for who wants it done before, or by another user of the database.",
		Example: example("# See what is still to come", "starter migrate status"),
		Args:    noArguments,
		RunE:    func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(c.migrateStatus(), c.migrateUp())
	return command
}

func (c *cli) migrateStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "List the steps, and when each was taken",
		Long:  "List the steps, and when each was taken. It changes nothing, and exits with 1 when one is still to come.",
		Example: example("starter migrate status",
			"# For a script", "starter migrate status --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			steps, err := app.Migrations(command.Context(), config)
			if err != nil {
				return storeError(err)
			}
			if err := c.printMigrations(command, steps, "no steps"); err != nil {
				return err
			}
			for _, step := range steps {
				if step.Applied.IsZero() {
					return &exit{no, ""}
				}
			}
			return nil
		},
	}
}

func (c *cli) migrateUp() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Take the steps that are still to come, and list them",
		Long:  "Take the steps that are still to come, and list them. Two may do it at once; a store that is not there is made.",
		Example: example("starter migrate up",
			"# Another store", "STORE_URL=postgres://user@host/database starter migrate up"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			steps, err := app.Migrate(command.Context(), config)
			if err != nil {
				return storeError(err)
			}
			return c.printMigrations(command, steps, "nothing to do: all steps are taken")
		},
	}
}

func (c *cli) printMigrations(command *cobra.Command, steps []store.Migration, none string) error {
	answers := make([]migration, len(steps))
	for i, step := range steps {
		answers[i] = migration(step)
	}
	return list(c, command, answers, none, []string{"VERSION", "NAME", "APPLIED"}, func(m migration) []string {
		return []string{strconv.FormatInt(m.Version, 10), m.Name, moment(m.Applied)}
	})
}
