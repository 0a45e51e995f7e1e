package main

import (
	"github.com/spf13/cobra"

	"github.com/rankrsync/rankrsync/app"
)

func (c *cli) serve() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Receive GHL's webhooks",
		Long: "Receive GHL's webhooks on HTTP_ADDR (POST /webhooks/ghl) until it is stopped, and answer with success only once Temporal " +
			"has what they tell. Metrics and health are on OPS_ADDR.",
		Example: example("starter serve", "# Another place to listen", "HTTP_ADDR=127.0.0.1:9999 starter serve"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := app.Load(app.Serve)
			if err != nil {
				return &exit{usedWrongly, err.Error()}
			}
			log := app.NewLogger(config, command.ErrOrStderr())
			if err := app.Receive(command.Context(), config, c.temporal, log); err != nil {
				return &exit{app.ExitCode(err), err.Error()}
			}
			return nil
		},
	}
}
