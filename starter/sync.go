package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc/codes"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/crm"
)

// synced is the answer of the commands that ask for a round. Without --wait there is no outcome yet.
type synced struct {
	Location   string      `json:"location"`
	Contact    string      `json:"contact,omitempty"`
	Business   string      `json:"business,omitempty"` // instead of a contact
	WorkflowID string      `json:"workflowId"`
	Outcome    crm.Outcome `json:"outcome,omitempty"`
	Fields     []string    `json:"fields,omitempty"`
	RankrID    string      `json:"rankrId,omitempty"`
	Code       crm.Code    `json:"code,omitempty"`
	Detail     string      `json:"detail,omitempty"`
	Remedy     string      `json:"remedy,omitempty"`
}

func (c *cli) syncContact() *cobra.Command {
	return c.round(crm.ContactItself, "sync-contact", "Bring one contact into step",
		"Bring one contact into step: read it in GHL and write what differs to Rankr.")
}

func (c *cli) alignTasksNotes() *cobra.Command {
	return c.round(crm.TasksAndNotes, "align-tasks-notes", "Bring one contact's tasks and notes into step",
		"Bring one contact's tasks and notes into step: read them in GHL and write what differs to Rankr. What people made in Rankr "+
			"themselves is left alone. A contact that is not in Rankr yet is brought there first.")
}

func (c *cli) segmentContact() *cobra.Command {
	return c.round(crm.Segments, "segment-contact", "Bring about what the rules decide for one contact",
		"Bring about what the rules of sync.yaml decide for one contact: read it in GHL, put its record in Rankr into the segments whose "+
			"rule holds and attach it to its business, and do what waits for a tag that was added. Segments that no rule names are left "+
			"alone.")
}

func (c *cli) syncBusiness() *cobra.Command {
	return c.round(crm.ABusiness, "sync-business", "Bring one business into step",
		"Bring one business into step: read it in GHL, also if that was a moment ago, and write what differs to Rankr.")
}

// noun is what the object is of, and the flag that names it.
func noun(object crm.Object) string {
	if object == crm.ABusiness {
		return "business"
	}
	return "contact"
}

// round is a command that asks for a round of one object of a contact, or of a business.
func (c *cli) round(object crm.Object, use, short, long string) *cobra.Command {
	var ref crm.Ref
	noun := noun(object)
	call := "starter " + use + " --location L --" + noun + " " + strings.ToUpper(noun[:1])
	var wait bool
	var timeout time.Duration
	command := &cobra.Command{
		Use:   use,
		Short: short,
		Long: long + " Without --wait it returns once Temporal has the request; with it, it prints how a round ended that began after " +
			"the call, also while edits go on.",
		Example: example(
			"# Ask for it, and print how it ended", call+" --wait",
			"# For a script", call+" --wait --timeout 1m --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			if ref.Location, err = location(ref.Location, config); err != nil {
				return err
			}
			if ref.Contact == "" {
				return usage("--%s is needed: the id of a GHL %[1]s", noun)
			}
			if err := validID(noun, ref.Contact); err != nil {
				return err
			}
			if timeout <= 0 {
				return usage("--timeout must be more than 0")
			}
			return c.sync(command, config, object, ref, wait, timeout)
		},
	}
	locationFlag(command, &ref.Location)
	command.Flags().StringVar(&ref.Contact, noun, "", "the id of the GHL "+noun)
	command.Flags().BoolVar(&wait, "wait", false, "wait for the round to end and print how")
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait; the work goes on after it")
	return command
}

func (c *cli) sync(command *cobra.Command, config app.Config, object crm.Object, ref crm.Ref, wait bool, timeout time.Duration) error {
	ctx := command.Context()
	temporal, searchable, address, err := c.dial(ctx, config)
	if err != nil {
		return err
	}
	defer temporal.Close()
	contacts := app.Contacts{Temporal: temporal, Searchable: searchable, Object: object}
	answer := synced{Location: ref.Location, Contact: ref.Contact, WorkflowID: contacts.WorkflowID(ref)}
	if object == crm.ABusiness {
		answer.Contact, answer.Business = "", ref.Contact
	}
	if !wait {
		if err := contacts.Start(ctx, ref); err != nil {
			return temporalError(ctx, address, err)
		}
		return c.one(command, answer, "asked for: "+answer.WorkflowID)
	}

	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, err := contacts.Sync(waiting, ref)
	if err != nil {
		return unended(ctx, waiting, timeout, answer.WorkflowID, address, err)
	}
	answer.Outcome, answer.Fields, answer.RankrID = result.Outcome, result.Fields, result.RankrID
	answer.Code, answer.Detail, answer.Remedy = result.Code, result.Detail, crm.Catalogue[result.Code].Remedy
	if err := c.one(command, answer, answer.String()); err != nil {
		return err
	}
	return verdict(result)
}

// unended says why there is no outcome of a run to print, for which waiting was to wait no longer than the time-out.
func unended(ctx, waiting context.Context, timeout time.Duration, id, address string, err error) error {
	switch {
	case ctx.Err() != nil:
		return &exit{interrupted, "interrupted; " + id + " goes on"}
	case ranOut(waiting, err):
		return &exit{timedOut, fmt.Sprintf("no outcome within %s; %s goes on", timeout, id)}
	}
	return temporalError(ctx, address, err)
}

// ranOut tells whether it was the time that ran out. The server knows the deadline too, and may say so a moment before our
// own clock does.
func ranOut(ctx context.Context, err error) bool {
	var late *client.WorkflowUpdateServiceTimeoutOrCanceledError
	deadline, _ := ctx.Deadline()
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || time.Until(deadline) < time.Second &&
		(errors.As(err, &late) || serviceerror.ToStatus(err).Code() == codes.DeadlineExceeded)
}

// verdict is the exit code of a round that was printed already.
func verdict(result crm.Result) error {
	if result.Outcome != crm.Problem {
		return nil
	}
	if slices.Contains(crm.RankrCredentials, result.Code) || slices.Contains(crm.GHLCredentials, result.Code) {
		return &exit{unauthorised, ""}
	}
	return &exit{no, ""}
}

// String is the outcome in one line.
func (s synced) String() string {
	text := string(s.Outcome)
	if s.Code != "" {
		text += " " + string(s.Code) + ": " + crm.Catalogue[s.Code].Sentence
	}
	if s.Detail != "" && s.Detail != crm.Catalogue[s.Code].Sentence {
		text += " (" + s.Detail + ")"
	}
	if len(s.Fields) > 0 {
		text += ": " + strings.Join(s.Fields, ", ")
	}
	if s.RankrID != "" {
		text += " [Rankr " + s.RankrID + "]"
	}
	if s.Remedy != "" {
		text += "; " + s.Remedy
	}
	return text
}
