// Command bench measures rankrsync on one machine: the embedded Temporal server with its files, worker and starter as
// processes of their own, signed webhooks over HTTP, and the fake GHL and Rankr in this process.
//
// Each section can run alone:
//
//	a  the raw ceiling: what the same server gives to a workflow with one empty activity
//	b  contacts a second from webhook to write, each contact in a location of its own
//	c  latency of a change that comes alone
//	d  a storm: many contacts of one location, webhooks as fast as they are accepted
//	e  what a change costs: calls, writes, history events, billable Temporal actions
//	f  memory with many contacts in flight
//	g  backfills: locations that are loaded whole
//
// A full run writes its figures into docs/benchmarks.md. The exit code tells whether everything could be measured, not
// whether the figures are good.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// limit bounds a whole run; each wait within has a bound of its own.
const limit = 30 * time.Minute

// sizes are how many contacts each section has; backfills are of a tenth and of five times as many, too.
type sizes struct{ singles, idle, storm, page, flood, backfill int }

var (
	full  = sizes{singles: 2000, idle: 300, storm: 10_000, page: 1000, flood: 10_000, backfill: 10_000}
	smoke = sizes{singles: 60, idle: 20, storm: 300, page: 100, flood: 300, backfill: 600}
)

// section is one letter of the command's documentation.
type section struct {
	letter, title string
	measure       func(*bench, context.Context) error
}

// The ceiling comes first: the product leaves a rate limit on its queues.
var sections = []section{
	{"a", "The raw ceiling", (*bench).measureCeiling},
	{"b", "One contact, one location, one change", (*bench).measureSingles},
	{"c", "A change that comes alone", (*bench).measureIdle},
	{"d", "A storm in one location", (*bench).measureStorm},
	{"e", "What a change costs", (*bench).measureCosts},
	{"f", "Memory", (*bench).measureMemory},
	{"g", "Backfills", (*bench).measureBackfill},
}

type flags struct {
	only, bin, dir, docs string
	quick                bool
}

func main() {
	var f flags
	flag.StringVar(&f.only, "only", "", "letters of the sections to run, separated by commas (empty: all)")
	flag.BoolVar(&f.quick, "quick", false, "few contacts: shows that everything works, says little about speed")
	flag.StringVar(&f.bin, "bin", "../bin", "directory of the built programs")
	flag.StringVar(&f.dir, "dir", "", "directory for the data, on the disk to be measured (empty: that of temporary files)")
	flag.StringVar(&f.docs, "docs", "../docs/benchmarks.md", "file that a full run writes its figures into (empty: none)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	*rig
	sizes
	*report
	raw map[int]float64 // the ceiling at each number of callers; empty when it was not measured
}

func run(ctx context.Context, f flags) (err error) {
	chosen, err := choose(f.only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(f.dir, "rankrsync-bench-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			_ = os.RemoveAll(dir)
			return
		}
		fmt.Fprintln(os.Stderr, "The programs' logs are in", filepath.Join(dir, "logs"))
	}()
	b := &bench{sizes: full, report: &report{machine: describe(dir)}, raw: map[int]float64{}}
	if f.quick {
		b.sizes = smoke
	}
	b.rig, err = newRig(ctx, f.bin, dir)
	defer b.close()
	if err != nil {
		return err
	}
	var failures []error
	for _, s := range chosen {
		fmt.Fprintf(os.Stderr, "%s  %s\n", s.letter, s.title)
		b.begin(s)
		strangers := b.strangers()
		if err := s.measure(b, ctx); err != nil {
			failures = append(failures, fmt.Errorf("section %s: %w", s.letter, err))
		}
		b.add(figure{What: "of the machine, taken by other programs meanwhile", Value: strangers(), Unit: "%"})
		b.rest()
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Println(b.report)
	if len(failures) > 0 || len(chosen) < len(sections) || f.quick || f.docs == "" {
		return errors.Join(failures...)
	}
	return b.write(f.docs)
}

// choose returns the sections of the letters, in the order they run.
func choose(only string) ([]section, error) {
	if only == "" {
		return sections, nil
	}
	wanted := map[string]bool{}
	for letter := range strings.SplitSeq(only, ",") {
		wanted[strings.TrimSpace(letter)] = true
	}
	var chosen []section
	for _, s := range sections {
		if wanted[s.letter] {
			chosen = append(chosen, s)
			delete(wanted, s.letter)
		}
	}
	for letter := range wanted {
		return nil, fmt.Errorf("there is no section %q: -only takes letters from a to f, separated by commas", letter)
	}
	return chosen, nil
}
