package main

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/crm"
)

// problem is one open problem as people and programs see it.
type problem struct {
	Location  string     `json:"location"`
	Contact   string     `json:"contact,omitempty"`
	Business  string     `json:"business,omitempty"` // instead of a contact
	Object    crm.Object `json:"object"`             // contact, or what of it: tasks-notes or segments; or business
	Code      crm.Code   `json:"code"`
	Sentence  string     `json:"sentence"`
	Who       string     `json:"who"`
	Remedy    string     `json:"remedy"`
	Operation string     `json:"operation,omitempty"`
	Fields    []string   `json:"fields,omitempty"`
	TraceID   string     `json:"traceId,omitempty"`
	FirstSeen time.Time  `json:"firstSeen"`
	LastSeen  time.Time  `json:"lastSeen"`
	Attempts  int        `json:"attempts"`
	Approved  bool       `json:"approved,omitempty"`
}

func (c *cli) problems() *cobra.Command {
	var flag string
	var retry, yes bool
	command := &cobra.Command{
		Use:   "problems",
		Short: "List what waits for a person, or try it again",
		Long: "List the contacts that can't be brought into step until somebody acts, those whose tasks and notes or segments can't, and " +
			"the businesses that can't: what is wrong, who must act and how. A problem closes by itself once a round succeeds; " +
			"--retry asks for such a round of each that is listed.",
		Example: example(
			"starter problems",
			"# Try those of one location again", "starter problems --location L --retry --yes"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			if flag != "" {
				if err := validID("location", flag); err != nil {
					return err
				}
			}
			records, err := app.Problems(command.Context(), config, flag, "")
			if err != nil {
				return storeError(err)
			}
			if retry {
				return c.retry(command, config, records, yes)
			}
			return c.printProblems(command, records)
		},
	}
	command.Flags().StringVar(&flag, "location", "", "only those of this GHL location")
	command.Flags().BoolVar(&retry, "retry", false, "ask for a round of each that is listed")
	command.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return command
}

func (c *cli) printProblems(command *cobra.Command, records []crm.ProblemRecord) error {
	answers := make([]problem, len(records))
	for i, r := range records {
		entry := crm.Catalogue[r.Code]
		answers[i] = problem{
			Location: r.Location, Contact: r.Contact, Object: r.Object, Code: r.Code, Sentence: entry.Sentence, Who: entry.Who, Remedy: entry.Remedy,
			Operation: r.Operation, Fields: r.Fields, TraceID: r.TraceID, FirstSeen: r.FirstSeen.UTC(), LastSeen: r.LastSeen.UTC(),
			Attempts: r.Attempts, Approved: r.Approved,
		}
		if r.Object == crm.ABusiness {
			answers[i].Contact, answers[i].Business = "", r.Contact
		}
	}
	return list(c, command, answers, "no problems", []string{"LOCATION", "ID", "OBJECT", "CODE", "ABOUT", "SINCE", "ATTEMPTS", "WHO", "REMEDY"},
		func(p problem) []string {
			about := strings.Join(p.Fields, ",")
			return []string{p.Location, p.Contact + p.Business, string(p.Object), string(p.Code), orDash(about), moment(p.FirstSeen), strconv.Itoa(p.Attempts), p.Who, p.Remedy}
		})
}

// handedOver is the answer of what asks for several rounds.
type handedOver struct {
	HandedOver int `json:"handedOver"`
}

func (h handedOver) String() string { return fmt.Sprintf("%d handed over", h.HandedOver) }

func (c *cli) retry(command *cobra.Command, config app.Config, records []crm.ProblemRecord, yes bool) error {
	if len(records) > 1 {
		if err := confirm(command, yes, fmt.Sprintf("ask for %d rounds", len(records))); err != nil {
			return err
		}
	}
	targets := make([]app.Target, len(records))
	locations := map[string]bool{}
	for i, r := range records {
		targets[i] = app.Target{Ref: r.Ref, Object: r.Object}
		locations[r.Location] = true
	}
	if err := app.Unpark(command.Context(), config, maps.Keys(locations)); err != nil {
		return storeError(err)
	}
	return c.handOver(command, config, targets)
}

// handOver asks for the rounds.
func (c *cli) handOver(command *cobra.Command, config app.Config, targets []app.Target) error {
	ctx := command.Context()
	if len(targets) > 0 {
		temporal, searchable, address, err := c.dial(ctx, config)
		if err != nil {
			return err
		}
		defer temporal.Close()
		if err := app.Nudge(ctx, temporal, searchable, targets); err != nil {
			return temporalError(ctx, address, err)
		}
	}
	answer := handedOver{len(targets)}
	return c.one(command, answer, answer.String())
}

func (c *cli) approveDeletes() *cobra.Command {
	var flag string
	var yes bool
	command := &cobra.Command{
		Use:   "approve-deletes",
		Short: "Let the deletes go ahead that were parked because there were many",
		Long: "More than 20 deletes of a location in an hour (or 1 % of its contacts, if that is more) wait for a person, since an " +
			"outage can look like deletes. Each is checked against GHL once more before anything is deleted in Rankr.",
		Example: example(
			"starter approve-deletes --location L",
			"# For a script", "starter approve-deletes --location L --yes --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			id, err := location(flag, config)
			if err != nil {
				return err
			}
			return c.approve(command, config, id, yes)
		},
	}
	locationFlag(command, &flag)
	command.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return command
}

func (c *cli) approve(command *cobra.Command, config app.Config, location string, yes bool) error {
	ctx := command.Context()
	parked, err := app.Problems(ctx, config, location, crm.DeleteBrake)
	if err != nil {
		return storeError(err)
	}
	if len(parked) == 0 {
		fmt.Fprintln(command.ErrOrStderr(), "no deletes are parked in "+location)
		return c.one(command, handedOver{}, handedOver{}.String())
	}
	if err := confirm(command, yes, fmt.Sprintf("delete %d contacts or businesses of %s in Rankr", len(parked), location)); err != nil {
		return err
	}
	targets, err := app.ApproveDeletes(ctx, config, location)
	if err != nil {
		return storeError(err)
	}
	return c.handOver(command, config, targets)
}
