package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// one prints an answer that is one thing.
func (c *cli) one(command *cobra.Command, answer any, text string) error {
	out := command.OutOrStdout()
	if c.output == "text" {
		_, err := fmt.Fprintln(out, text)
		return err
	}
	return c.json(out, answer)
}

// list prints an answer that is a table: rows as text, an array as JSON, an object a line as JSON lines. An empty one
// is said to be so on stderr.
func list[T any](c *cli, command *cobra.Command, answers []T, none string, header []string, row func(T) []string) error {
	out := command.OutOrStdout()
	if len(answers) == 0 {
		fmt.Fprintln(command.ErrOrStderr(), none)
	}
	switch c.output {
	case "json":
		return c.json(out, append([]T{}, answers...)) // an empty list is [], not null
	case "jsonl":
		for _, answer := range answers {
			if err := c.json(out, answer); err != nil {
				return err
			}
		}
		return nil
	}
	if len(answers) == 0 {
		return nil
	}
	return table(out, header, answers, row)
}

// table writes rows under a header, in columns.
func table[T any](out io.Writer, header []string, rows []T, cells func(T) []string) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(columns, strings.Join(cells(row), "\t"))
	}
	return columns.Flush()
}

func (c *cli) json(out io.Writer, answer any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if c.output == "json" {
		encoder.SetIndent("", "  ")
	}
	return encoder.Encode(answer)
}

// orDash is how a table shows that there is nothing.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// confirm asks before something that touches much. Where nobody can be asked, --yes must have been given: a script
// never hangs.
func confirm(command *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	in, ok := command.InOrStdin().(*os.File)
	if !ok || !isatty.IsTerminal(in.Fd()) {
		return usage("this would %s: add --yes to do it without being asked", what)
	}
	fmt.Fprintf(command.ErrOrStderr(), "This will %s. Go on? [y/N] ", what)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err == nil && strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y") {
		return nil
	}
	return &exit{no, "nothing was done"}
}
