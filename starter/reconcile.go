package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

func (c *cli) reconcile() *cobra.Command {
	input := names.ReconcileInput{}
	var yes bool
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare all contacts of a location with their records, and repair what differs",
		Long: "Compare all contacts of a location with their records in Rankr, and print those that differ: missing, extra, different (and in " +
			"which fields), with two records, or linked to another one. Every difference is confirmed by a read of both sides. The exit code is 1 when " +
			"there is one. --repair has exactly those brought into step and compares again; what only a person can decide stays listed.",
		Example: example(
			"starter reconcile --location L",
			"# Repair what differs", "starter reconcile --location L --repair --yes",
			"# For a script", "starter reconcile --location L --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			if input.Location, err = location(input.Location, config); err != nil {
				return err
			}
			if timeout <= 0 {
				return usage("--timeout must be more than 0")
			}
			if input.Repair {
				if err := confirm(command, yes, "bring into step whatever differs between GHL and Rankr in "+input.Location); err != nil {
					return err
				}
			}
			return c.compare(command, config, input, timeout)
		},
	}
	command.Flags().StringVar(&input.Location, "location", "", "the id of the GHL location (default: the only one in GHL_LOCATION_ID)")
	command.Flags().BoolVar(&input.Repair, "repair", false, "bring into step what differs, and compare again")
	command.Flags().BoolVar(&yes, "yes", false, "don't ask")
	command.Flags().DurationVar(&timeout, "timeout", time.Hour, "how long to wait; the work goes on after it")
	return command
}

func (c *cli) compare(command *cobra.Command, config app.Config, input names.ReconcileInput, timeout time.Duration) error {
	ctx := command.Context()
	temporal, searchable, address, err := c.dial(ctx, config)
	if err != nil {
		return err
	}
	defer temporal.Close()
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, err := app.Reconcile(waiting, temporal, searchable, input)
	switch {
	case err != nil && ctx.Err() != nil:
		return &exit{interrupted, "interrupted; " + names.ReconcileOf(input.Location) + " goes on"}
	case err != nil && ranOut(waiting, err):
		return &exit{timedOut, fmt.Sprintf("no outcome within %s; %s goes on", timeout, names.ReconcileOf(input.Location))}
	case err != nil:
		return temporalError(ctx, address, err)
	}
	if err := c.one(command, result, drifts(result)); err != nil {
		return err
	}
	if len(result.Counts) > 0 {
		return &exit{no, ""}
	}
	return nil
}

// drifts is the result as people read it.
func drifts(result names.ReconcileResult) string {
	var b strings.Builder
	if len(result.Drifts) > 0 {
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KIND\tCONTACT\tRANKR\tFIELDS\tWAITS FOR")
		for _, d := range result.Drifts {
			waits := "-"
			if d.Code != "" {
				waits = d.Code + ": " + crm.Catalogue[crm.Code(d.Code)].Remedy
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.Kind, d.Contact, orDash(d.RankrID), orDash(strings.Join(d.Fields, ",")), waits)
		}
		_ = table.Flush() // a builder takes everything
	}
	total := 0
	var counts []string
	for _, kind := range slices.Sorted(maps.Keys(result.Counts)) {
		total += result.Counts[kind]
		counts = append(counts, fmt.Sprintf("%s %d", kind, result.Counts[kind]))
	}
	if more := total - len(result.Drifts); more > 0 {
		fmt.Fprintf(&b, "%d more\n", more)
	}
	words := "in step"
	if total > 0 {
		words = strings.Join(counts, ", ")
	}
	fmt.Fprintf(&b, "%d contacts, %d records: %s; %d GHL calls, %d Rankr calls", result.Contacts, result.Records, words, result.GHLCalls, result.RankrCalls)
	if result.Repaired > 0 {
		fmt.Fprintf(&b, "; %d rounds asked for", result.Repaired)
	}
	return b.String()
}
