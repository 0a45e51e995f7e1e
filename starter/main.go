// Starter is everything that starts a workflow: a person with a command, or GHL with a webhook (starter serve).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"

	"github.com/rankrsync/rankrsync/app"
)

func main() { os.Exit(run()) }

// run executes one command line and returns its exit code.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	err := fang.Execute(ctx, root(), fang.WithVersion(version().Version), fang.WithErrorHandler(report))
	return exitCode(ctx, err)
}

// report writes what went wrong to stderr. An answer of "no" that was already printed says nothing more.
func report(w io.Writer, _ fang.Styles, err error) {
	if text := err.Error(); text != "" {
		fmt.Fprintln(w, "starter: "+text)
	}
	var typed *exit
	if settings := (*app.SettingsError)(nil); !errors.As(err, &typed) && !errors.As(err, &settings) {
		fmt.Fprintln(w, "Try starter --help")
	}
}

// cli is what all commands share.
type cli struct {
	output   string // text, json or jsonl
	temporal app.TemporalFlags
}

func root() *cobra.Command {
	c := &cli{}
	command := &cobra.Command{
		Use:   "starter",
		Short: "Keep contacts, their tasks, notes, segments and businesses in step between GoHighLevel and Rankr",
		Long: "Keep contacts, their tasks, notes, segments and businesses in step between GoHighLevel and Rankr. The worker does the work; the starter asks for it and shows " +
			"what became of it. The answer is on stdout, everything else on stderr.",
		Example: example(
			"# Receive GHL's webhooks", "starter serve",
			"# Bring one contact into step and print how that ended", "starter sync-contact --location L --contact C --wait",
			"# Connect a location or an agency", "starter connect --wait",
			"# See what waits for a person", "starter problems"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			switch c.output {
			case "text", "json", "jsonl":
				return nil
			}
			return usage("--output is text, json or jsonl, not %q", c.output)
		},
	}
	flags := command.PersistentFlags()
	flags.StringVarP(&c.output, "output", "o", "text", "how to print the answer: text, json or jsonl")
	flags.StringVar(&c.temporal.Address, "address", "", "the Temporal server's host and port (else TEMPORAL_ADDRESS)")
	flags.StringVar(&c.temporal.Namespace, "namespace", "", "the Temporal namespace (else TEMPORAL_NAMESPACE)")
	flags.StringVar(&c.temporal.Profile, "profile", "", "the profile in Temporal's configuration file (else TEMPORAL_PROFILE)")

	command.AddGroup(
		&cobra.Group{ID: "sync", Title: "sync"}, &cobra.Group{ID: "connect", Title: "connect"}, &cobra.Group{ID: "look", Title: "look"},
		&cobra.Group{ID: "operate", Title: "operate"})
	add := func(group string, commands ...*cobra.Command) {
		for _, each := range commands {
			each.GroupID = group
			command.AddCommand(each)
		}
	}
	add("sync", c.syncContact(), c.alignTasksNotes(), c.segmentContact(), c.syncBusiness(), c.backfill(), c.poll())
	add("connect", c.connect(), c.connections(), c.disconnect())
	add("look", c.problems(), c.reconcile(), c.config(), c.version())
	add("operate", c.serve(), c.approveDeletes(), c.rotateSecrets(), c.migrate())
	command.AddCommand(topics()...)
	return command
}

// example lays out commands as help shows them, one a line.
func example(lines ...string) string { return strings.Join(lines, "\n") }

// noArguments refuses arguments: all input of these commands is flags, so that a typing error can't be taken for an id.
func noArguments(command *cobra.Command, arguments []string) error {
	if len(arguments) > 0 {
		return fmt.Errorf("unknown command %q for %q%s", arguments[0], command.CommandPath(), suggest(command, arguments[0]))
	}
	return nil
}

func suggest(command *cobra.Command, word string) string {
	if command.SuggestionsMinimumDistance <= 0 {
		command.SuggestionsMinimumDistance = 2
	}
	if near := command.SuggestionsFor(word); len(near) > 0 {
		return ": did you mean " + strings.Join(near, " or ") + "?"
	}
	return ""
}

// topics are help texts that are no commands.
func topics() []*cobra.Command {
	var environment strings.Builder
	environment.WriteString("Every setting is an environment variable, or a line in the file .env of the working directory:\n")
	for _, setting := range app.Describe() {
		fmt.Fprintf(&environment, "\n%s", setting.Name)
		if setting.Default != "" {
			fmt.Fprintf(&environment, " (default %s)", setting.Default)
		}
		fmt.Fprintf(&environment, "\n    %s\n", setting.Text)
	}
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodes},
		{Use: "environment", Short: "Every setting", Long: environment.String()},
	}
}
