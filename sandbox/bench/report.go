package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// This file shows the figures: while they come, as a table at the end, and in the documentation.

// figure is one thing that was measured.
type figure struct {
	What   string
	Value  float64
	Unit   string // empty: a number
	Target target
}

// target is what a figure should reach; the zero target is none.
type target struct {
	sign  string
	bound float64
}

func atLeast(bound float64) target { return target{"≥", bound} }
func atMost(bound float64) target  { return target{"≤", bound} }
func exactly(bound float64) target { return target{"=", bound} }

// reached compares as the figure is shown: what reads as 1.00 is 1.
func (f figure) reached() bool {
	value, _ := strconv.ParseFloat(number(f.Value), 64)
	switch f.Target.sign {
	case "≥":
		return value >= f.Target.bound
	case "≤":
		return value <= f.Target.bound
	case "=":
		return value == f.Target.bound
	}
	return true
}

func (f figure) value() string { return number(f.Value) + unit(f.Unit) }

func (f figure) target() string {
	if f.Target.sign == "" {
		return ""
	}
	verdict := "reached"
	if !f.reached() {
		verdict = "**missed**"
	}
	return f.Target.sign + " " + strconv.FormatFloat(f.Target.bound, 'f', -1, 64) + unit(f.Unit) + ", " + verdict
}

func unit(name string) string {
	if name == "" || name == "/s" {
		return name
	}
	return " " + name
}

// number shows three digits that count, or all before the point.
func number(value float64) string {
	digits := 2
	switch {
	case value == float64(int64(value)), value >= 100:
		digits = 0
	case value >= 10:
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64)
}

// report gathers the figures of a run.
type report struct {
	machine  string
	sections []chapter
}

// chapter has the figures of a section.
type chapter struct {
	section
	figures []figure
}

func (r *report) begin(s section) { r.sections = append(r.sections, chapter{section: s}) }

// add adds figures to the section that was begun last, and shows them at once.
func (r *report) add(figures ...figure) {
	for _, f := range figures {
		fmt.Fprintf(os.Stderr, "     %-70s %12s   %s\n", f.What, f.value(), f.target())
	}
	last := &r.sections[len(r.sections)-1]
	last.figures = append(last.figures, figures...)
}

// String is the report in Markdown.
func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.machine)
	for _, chapter := range r.sections {
		fmt.Fprintf(&b, "\n### (%s) %s\n\n| | measured | target |\n|---|---:|---|\n", chapter.letter, chapter.title)
		for _, f := range chapter.figures {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", f.What, f.value(), f.target())
		}
	}
	return b.String()
}

// The figures stand between these lines of the documentation; the rest of it is written by people.
const (
	opening = "<!-- figures: written by make bench -->\n"
	closing = "<!-- end of the figures -->\n"
)

// write puts the report into the documentation.
func (r *report) write(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, opened := strings.Cut(string(text), opening)
	_, after, closed := strings.Cut(rest, closing)
	if !opened || !closed {
		return errors.New(file + " has no place for the figures: it needs the two lines\n" + opening + closing)
	}
	return os.WriteFile(file, []byte(before+opening+"\n"+r.String()+"\n"+closing+after), 0o644)
}
