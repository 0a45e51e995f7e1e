package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	locationFlag(command, &input.Location)
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
	if err != nil {
		return unended(ctx, waiting, timeout, names.ReconcileOf(input.Location), address, err)
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
		header := []string{"KIND", "CONTACT", "RANKR", "FIELDS", "WAITS FOR"}
		_ = table(&b, header, result.Drifts, func(d names.Drift) []string { // a builder takes everything
			waits := "-"
			if d.Code != "" {
				waits = d.Code + ": " + crm.Catalogue[crm.Code(d.Code)].Remedy
			}
			return []string{d.Kind, d.Contact, orDash(d.RankrID), orDash(strings.Join(d.Fields, ",")), waits}
		})
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
