package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/crm"
)

// patience is how long a command waits for the Temporal server's first answer.
const patience = 10 * time.Second

// settings reads what a command needs of the environment.
func (c *cli) settings() (app.Config, error) {
	config, err := app.Load(app.Command)
	if err != nil {
		return app.Config{}, &exit{usedWrongly, err.Error()}
	}
	return config, nil
}

// dial connects to the Temporal server and returns its address for messages.
func (c *cli) dial(ctx context.Context, config app.Config) (temporal client.Client, searchable func() bool, address string, err error) {
	options, err := app.Temporal(c.temporal, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, "", &exit{usedWrongly, err.Error()}
	}
	dialing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	temporal, searchable, err = app.Dial(dialing, options)
	if err != nil {
		return nil, nil, "", temporalError(ctx, options.HostPort, err)
	}
	return temporal, searchable, options.HostPort, nil
}

// locationFlag adds the flag for one location; [location] reads it.
func locationFlag(command *cobra.Command, into *string) {
	command.Flags().StringVar(into, "location", "", "the id of the GHL location (default: the only one in GHL_LOCATION_ID)")
}

// location is the flag's, or the only one there is.
func location(flag string, config app.Config) (string, error) {
	switch {
	case flag == "" && len(config.GHLLocations) == 1:
		return config.GHLLocations[0], nil
	case flag == "":
		return "", usage("--location is needed: the id of a GHL location")
	}
	return flag, validID("location", flag)
}

// validID refuses the value of a flag that can be no id.
func validID(flag, id string) error {
	if crm.ValidID(id) {
		return nil
	}
	return usage("--%s %q is no id: letters, digits, - and _, at most 64", flag, id)
}
