package main

import (
	"context"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"starter": main})
}

// The scripts run the real binary in an empty folder with an empty environment. An exit code stands in a script as
// "! exec" and "exitcode N".
func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitcode,
			"park":     park,
			"install":  install,
		},
	})
}

// park records a problem in the store of the working directory: park CONTACT OBJECT CODE.
func park(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: park contact object code")
	}
	records, err := store.Open(context.Background(), "sqlite:"+ts.MkAbs("rankrsync.db"))
	ts.Check(err)
	defer records.Close()
	link := crm.Link{Ref: crm.Ref{Location: "L", Contact: args[0]}, Object: crm.Object(args[1])}
	next := link
	next.Problem = crm.Code(args[2])
	ts.Check(records.Park(context.Background(), link, next, crm.ProblemRecord{Ref: link.Ref, Object: link.Object, Code: next.Problem}))
}

// exitcode runs a command line and checks its exit code: exitcode 2 starter …
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N command…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		_, text, _ := strings.Cut(err.Error(), "exit status ")
		code = -1
		for _, digit := range text {
			code = max(code, 0)*10 + int(digit-'0')
		}
	}
	want := 0
	for _, digit := range args[0] {
		want = want*10 + int(digit-'0')
	}
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}

func TestEveryCommandHasAnExampleAndOutputFlag(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(command *cobra.Command) {
		for _, each := range command.Commands() {
			walk(each)
		}
		if command.RunE == nil { // a help topic
			return
		}
		assert.NotEmpty(t, command.Example, command.CommandPath())
		assert.NotEmpty(t, command.Short, command.CommandPath())
		assert.NotNil(t, command.Flag("output"), command.CommandPath())
		for _, line := range strings.Split(command.Example, "\n") {
			words := strings.Fields(line)
			if len(words) == 0 || words[0] != "starter" {
				continue
			}
			found, rest, err := command.Root().Find(words[1:])
			if assert.NoError(t, err, line) {
				assert.NoError(t, found.ParseFlags(rest), line)
			}
		}
	}
	walk(root())
}

func TestNoFlagHoldsASecret(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(command *cobra.Command) {
		for _, each := range command.Commands() {
			walk(each)
		}
		for _, word := range []string{"token", "secret", "password", "api-key"} {
			assert.Nil(t, command.Flag(word), command.CommandPath())
		}
	}
	walk(root())
}
