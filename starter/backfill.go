package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// backfilling is what the command line says of a backfill.
type backfilling struct {
	names.BackfillInput
	follow, yes, failed bool
	timeout             time.Duration
}

func (c *cli) backfill() *cobra.Command {
	b := backfilling{}
	command := &cobra.Command{
		Use:   "backfill",
		Short: "Bring all contacts of a location into step, also those that nobody changes",
		Long: "Bring all contacts of a location into step. Without --yes it first only reads both sides, and prints how the contacts would find their " +
			"records in Rankr and what it would cost; on a terminal it then asks, elsewhere it ends there. What is in step already costs one GHL call for " +
			"500 contacts, so it may be done again at any time, and goes on by itself after a crash. Contacts with a problem are listed by starter " +
			"problems; --failed tries those again.",
		Example: example(
			"# See what it would do and cost", "starter backfill --location L --report",
			"# A first taste, then all of it", "starter backfill --location L --limit 20 --yes --follow", "starter backfill --location L --yes --follow",
			"# Hold it, and let it go on", "starter backfill pause --location L", "starter backfill resume --location L",
			"# For a script", "starter backfill --location L --yes --follow --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			if b.Location, err = location(b.Location, config); err != nil {
				return err
			}
			switch {
			case b.timeout <= 0:
				return usage("--timeout must be more than 0")
			case b.Limit < 0:
				return usage("--limit must be more than 0")
			case b.Report && (b.yes || b.follow):
				return usage("--report excludes --yes and --follow: it writes nothing")
			case b.failed:
				records, err := app.Problems(command.Context(), config, b.Location, "")
				if err != nil {
					return storeError(err)
				}
				return c.retry(command, config, records, b.yes)
			}
			return c.load(command, config, b)
		},
	}
	flags := command.Flags()
	locationFlag(command, &b.Location)
	flags.BoolVar(&b.Report, "report", false, "only tell how the contacts would find their records, and what it would cost")
	flags.IntVar(&b.Limit, "limit", 0, "how many contacts, the oldest first (default: all)")
	flags.BoolVar(&b.TasksAndNotes, "tasks-notes", false, "their tasks and notes, too: two GHL calls more for each contact")
	flags.BoolVar(&b.follow, "follow", false, "show how far it is, and wait for the end")
	flags.BoolVar(&b.yes, "yes", false, "don't report and ask first")
	flags.BoolVar(&b.failed, "failed", false, "only those of the location that have a problem")
	flags.DurationVar(&b.timeout, "timeout", 24*time.Hour, "how long to wait; the work goes on after it")
	command.AddCommand(
		c.backfillAct("pause", "Hold the backfill under way: pages that have begun end, no more begin", "paused", app.Backfills.Pause),
		c.backfillAct("resume", "Let a held backfill go on", "resumed", app.Backfills.Resume),
		c.backfillAct("cancel", "End the backfill under way; what is in step by then stays so", "cancelled", app.Backfills.Cancel),
		c.backfillStatus())
	return command
}

// backfills reaches Temporal; stop lets go of it.
func (c *cli) backfills(ctx context.Context, config app.Config) (b app.Backfills, address string, stop func(), err error) {
	temporal, searchable, address, err := c.dial(ctx, config)
	if err != nil {
		return b, address, nil, err
	}
	return app.Backfills{Temporal: temporal, Searchable: searchable}, address, temporal.Close, nil
}

func (c *cli) load(command *cobra.Command, config app.Config, b backfilling) error {
	ctx := command.Context()
	backfills, address, stop, err := c.backfills(ctx, config)
	if err != nil {
		return err
	}
	defer stop()
	waiting, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	id := names.BackfillOf(b.Location)
	failed := func(err error) error { return unended(ctx, waiting, b.timeout, id, address, err) }
	begin := func(input names.BackfillInput) error {
		started, err := backfills.Start(ctx, input)
		switch {
		case err != nil:
			return failed(err)
		case !started:
			return &exit{no, "a backfill of " + b.Location + " is under way: starter backfill status tells how far it is"}
		}
		return nil
	}
	if !b.yes {
		if err := begin(names.BackfillInput{Location: b.Location, Report: true}); err != nil {
			return err
		}
		result, err := backfills.Result(waiting, b.Location)
		if err != nil || result.Matches == nil {
			return failed(err)
		}
		if err := c.one(command, result, matches(b.Location, *result.Matches)); err != nil || b.Report {
			return err
		}
		if err := confirm(command, false, "load these contacts"); err != nil {
			if asked := (*exit)(nil); errors.As(err, &asked) && asked.code == usedWrongly { // nobody can be asked: the report was the answer
				fmt.Fprintln(command.ErrOrStderr(), "nothing was written; --yes loads the contacts")
				return nil
			}
			return err
		}
	}
	input := b.BackfillInput
	input.Report = false
	if err := begin(input); err != nil {
		return err
	}
	if !b.follow {
		return c.one(command, started{b.Location, id}, "started: "+id)
	}
	result, err := follow(waiting, command.ErrOrStderr(), backfills, b.Location)
	if err != nil {
		return failed(err)
	}
	if err := c.one(command, result, loaded(result)); err != nil {
		return err
	}
	if result.Outcomes[string(crm.Problem)] > 0 {
		return &exit{no, ""}
	}
	return nil
}

// started is the answer while nobody waits for the outcome.
type started struct {
	Location   string `json:"location"`
	WorkflowID string `json:"workflowId"`
}

// follow shows how far the backfill is until it ends: a bar on a terminal, else a line now and then.
func follow(ctx context.Context, to io.Writer, backfills app.Backfills, location string) (names.BackfillResult, error) {
	looking, stop := context.WithCancel(ctx)
	defer stop()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		if file, ok := to.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
			showBar(looking, to, backfills, location)
			return
		}
		every(looking, 5*time.Second, func() {
			if status, err := backfills.Status(looking, location); err == nil {
				fmt.Fprintln(to, progress(status))
			}
		})
	}()
	result, err := backfills.Result(ctx, location)
	stop()
	<-shown
	return result, err
}

func showBar(ctx context.Context, to io.Writer, backfills app.Backfills, location string) {
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(to), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("contacts"), progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true),
		progressbar.OptionUseANSICodes(os.Getenv("NO_COLOR") == ""), progressbar.OptionClearOnFinish())
	every(ctx, 500*time.Millisecond, func() {
		status, err := backfills.Status(ctx, location)
		if err != nil || status.Total == 0 {
			return
		}
		bar.ChangeMax(status.Total)
		bar.Describe(notes(status))
		_ = bar.Set(status.Done) // only what is shown suffers
	})
	_ = bar.Finish()
}

// every does something now and then until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

// progress is one line of how far it is.
func progress(s names.BackfillStatus) string {
	text := fmt.Sprintf("%d of %d contacts", s.Done, s.Total)
	if took := time.Since(s.Started).Seconds(); s.State != names.StateFinished && s.Done > 0 && took > 0 {
		rate := float64(s.Done) / took
		left := time.Duration(float64(s.Total-s.Done) / rate * float64(time.Second)).Round(time.Second)
		text += fmt.Sprintf(", %.0f/s, %s left", rate, left)
	}
	return text + ", " + notes(s)
}

// notes say how it stands beside the count.
func notes(s names.BackfillStatus) string {
	text := s.State
	if s.State == names.StateRetrying {
		text += " at " + moment(s.NextTry)
		if s.Code != "" {
			text += " (" + s.Code + ")"
		}
	}
	text += fmt.Sprintf(", %d problems", s.Outcomes[string(crm.Problem)])
	if s.Left >= 0 {
		text += fmt.Sprintf(", %d calls left today", s.Left)
	}
	return text
}

// loaded is how a backfill ended, as people read it.
func loaded(r names.BackfillResult) string {
	text := fmt.Sprintf("%d of %d contacts are in step: %d were before", r.Done-r.Outcomes[string(crm.Problem)], r.Total, r.Known)
	for _, outcome := range slices.Sorted(maps.Keys(r.Outcomes)) {
		text += fmt.Sprintf(", %s %d", outcome, r.Outcomes[outcome])
	}
	if r.HandedOver > 0 {
		text += fmt.Sprintf("; %d go on in runs of their own", r.HandedOver)
	}
	if r.Outcomes[string(crm.Problem)] > 0 {
		text += "\nstarter problems --location " + r.Location + " lists those that wait for a person"
	}
	return text
}

// matches is a report as people read it. The minutes are those at the usual limit of both systems, 100 calls in 10 s.
func matches(location string, m names.Matches) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d contacts in %s, %d records in Rankr\n", m.Contacts, location, m.Records)
	for _, row := range []struct {
		words string
		n     int
	}{
		{"linked already", m.Linked},
		{"have a record with their id", m.ByID},
		{"have a record with their email", m.ByEmail},
		{"have a record with their phone", m.ByPhone},
		{"have two records: a person must choose", m.Ambiguous},
		{"are new: a record is made", m.New},
	} {
		fmt.Fprintf(&b, "%8d %s\n", row.n, row.words)
	}
	share := ""
	if m.Left > 0 {
		share = fmt.Sprintf(" (%.0f %% of what is left today)", 100*float64(m.GHLCalls)/float64(m.Left))
	}
	side, most := "GHL", m.GHLCalls
	if m.RankrCalls > most {
		side, most = "Rankr", m.RankrCalls
	}
	minutes := time.Duration(float64(most) / 10 * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(&b, "It costs up to %d GHL calls%s and %d Rankr calls: about %s, for which %s is the bottleneck", m.GHLCalls, share, m.RankrCalls, minutes, side)
	return b.String()
}

func (c *cli) backfillAct(name, short, done string, act func(app.Backfills, context.Context, string) error) *cobra.Command {
	var flag string
	command := &cobra.Command{
		Use:     name,
		Short:   short,
		Example: example("starter backfill " + name + " --location L"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return c.onBackfill(command, flag, func(b app.Backfills, id string) (any, string, error) {
				return acted{id, done}, done + ": " + names.BackfillOf(id), act(b, command.Context(), id)
			})
		},
	}
	locationFlag(command, &flag)
	return command
}

func (c *cli) backfillStatus() *cobra.Command {
	var flag string
	command := &cobra.Command{
		Use:     "status",
		Short:   "Tell how far the newest backfill is",
		Example: example("starter backfill status --location L", "starter backfill status --location L --output json"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return c.onBackfill(command, flag, func(b app.Backfills, id string) (any, string, error) {
				status, err := b.Status(command.Context(), id)
				return status, progress(status), err
			})
		},
	}
	locationFlag(command, &flag)
	return command
}

// onBackfill does something to the backfill of a location, and prints the answer.
func (c *cli) onBackfill(command *cobra.Command, flag string, do func(app.Backfills, string) (any, string, error)) error {
	config, err := c.settings()
	if err != nil {
		return err
	}
	id, err := location(flag, config)
	if err != nil {
		return err
	}
	b, address, stop, err := c.backfills(command.Context(), config)
	if err != nil {
		return err
	}
	defer stop()
	answer, text, err := do(b, id)
	switch {
	case errors.Is(err, app.ErrNoBackfill):
		return &exit{no, err.Error() + ": starter backfill --location " + id + " starts one"}
	case err != nil:
		return temporalError(command.Context(), address, err)
	}
	return c.one(command, answer, text)
}
