package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rankrsync/rankrsync/app"
)

func (c *cli) poll() *cobra.Command {
	command := &cobra.Command{
		Use:     "poll",
		Short:   "Look after the polls that find what no webhook told of",
		Example: example("# See when each location is looked at", "starter poll list"),
		Args:    noArguments,
		RunE:    func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(c.pollList(),
		c.pollAct("now", "Look for changes at once", "look for changes", "started",
			func(ctx context.Context, polls app.Polls, location string) error { return polls.Now(ctx, location) }),
		c.pollAct("pause", "Stop looking until it is resumed; a restart of the worker keeps it stopped", "stop looking for changes", "paused",
			func(ctx context.Context, polls app.Polls, location string) error {
				return polls.Pause(ctx, location, "paused by starter poll pause")
			}),
		c.pollAct("resume", "Look for changes again", "look for changes again", "resumed",
			func(ctx context.Context, polls app.Polls, location string) error {
				return polls.Resume(ctx, location, "resumed by starter poll resume")
			}))
	return command
}

func (c *cli) pollList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the polls of all locations",
		Example: example("starter poll list", "starter poll list --output json"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			polls, err := c.allPolls(command)
			if err != nil {
				return err
			}
			return list(c, command, polls, "no polls are scheduled", []string{"LOCATION", "STATE", "LAST", "NEXT", "NOTE"},
				func(p app.Poll) []string {
					state := "on"
					if p.Paused {
						state = "paused"
					}
					return []string{p.Location, state, moment(p.Last), moment(p.Next), p.Note}
				})
		},
	}
}

// acted is the answer for one location.
type acted struct {
	Location string `json:"location"`
	Done     string `json:"done"`
}

func (c *cli) pollAct(name, short, what, done string, act func(context.Context, app.Polls, string) error) *cobra.Command {
	var flag string
	var all, yes bool
	command := &cobra.Command{
		Use:   name,
		Short: short,
		Example: example(
			"starter poll "+name+" --location L",
			"# All locations", "starter poll "+name+" --all --yes"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			var locations []string
			if all && flag != "" {
				return usage("--location and --all exclude each other")
			}
			if !all {
				only, err := location(flag, config)
				if err != nil {
					return err
				}
				locations = []string{only}
			}
			return c.actOn(command, config, locations, what, yes, done, act)
		},
	}
	locationFlag(command, &flag)
	command.Flags().BoolVar(&all, "all", false, "all locations that have a poll")
	command.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return command
}

// actOn does it to the locations; none means all, which is asked for first.
func (c *cli) actOn(command *cobra.Command, config app.Config, locations []string, what string, yes bool, done string,
	act func(context.Context, app.Polls, string) error,
) error {
	ctx := command.Context()
	if locations == nil {
		polls, err := c.allPolls(command)
		if err != nil {
			return err
		}
		for _, p := range polls {
			locations = append(locations, p.Location)
		}
		if err := confirm(command, yes, fmt.Sprintf("%s in %d locations", what, len(locations))); err != nil {
			return err
		}
	}
	temporal, searchable, address, err := c.dial(ctx, config)
	if err != nil {
		return err
	}
	defer temporal.Close()
	var answers []acted
	for _, location := range locations {
		if err := act(ctx, app.Polls{Temporal: temporal.ScheduleClient(), Searchable: searchable}, location); err != nil {
			return temporalError(ctx, address, err)
		}
		answers = append(answers, acted{location, done})
	}
	return list(c, command, answers, "no polls are scheduled", []string{"LOCATION", "DONE"},
		func(a acted) []string { return []string{a.Location, a.Done} })
}

func (c *cli) allPolls(command *cobra.Command) ([]app.Poll, error) {
	ctx := command.Context()
	config, err := c.settings()
	if err != nil {
		return nil, err
	}
	temporal, searchable, address, err := c.dial(ctx, config)
	if err != nil {
		return nil, err
	}
	defer temporal.Close()
	var polls []app.Poll
	for p, err := range (app.Polls{Temporal: temporal.ScheduleClient(), Searchable: searchable}).List(ctx) {
		if err != nil {
			return nil, temporalError(ctx, address, err)
		}
		polls = append(polls, p)
	}
	return polls, nil
}

// moment writes a time as people and programs both read it.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
