package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/connections"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/seal"
	"github.com/rankrsync/rankrsync/store"
)

// install connects a location in the store of the working directory: install LOCATION STATE.
func install(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: install location state")
	}
	first, _, _ := strings.Cut(ts.Getenv("SECRET_KEY"), ",")
	ts.Check(installed(ts.MkAbs("rankrsync.db"), first, args[0], crm.ConnectionState(args[1])))
}

// installed connects a location; its name would clear a terminal.
func installed(file, key, location string, state crm.ConnectionState) error {
	ctx := context.Background()
	records, err := store.Open(ctx, "sqlite:"+file)
	if err != nil {
		return err
	}
	defer records.Close()
	box, err := seal.New([]string{key})
	if err != nil {
		return err
	}
	accounts := &connections.Connections{Store: records, Sealer: box}
	_, err = accounts.Install(ctx, crm.Grant{
		Kind: crm.LocationToken, Location: location, Company: "K", AccessToken: "canary-access", RefreshToken: "canary-refresh",
		Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), Scopes: []string{"contacts.readonly", "locations.readonly"},
	}, []crm.InstalledLocation{{ID: location, Name: "Smith\tCo\x1b[2J"}})
	if err != nil {
		return err
	}
	return records.SetState(ctx, crm.LocationOwner(location), state)
}

// trigger does something at the first word on stderr.
type trigger struct {
	once sync.Once
	do   func()
}

func (w *trigger) Write(p []byte) (int, error) {
	w.once.Do(w.do)
	return len(p), nil
}

func TestWaitingPrintsWhoConnectedSince(t *testing.T) {
	const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	t.Chdir(t.TempDir())
	for name, value := range map[string]string{
		"GHL_CLIENT_ID": "app-1", "GHL_REDIRECT_URL": "https://sync.example/oauth/callback", "SECRET_KEY": key, "STORE_URL": "", "GHL_TOKEN": "",
	} {
		t.Setenv(name, value)
	}
	folder, err := os.Getwd()
	require.NoError(t, err)
	file := filepath.Join(folder, "rankrsync.db")
	require.NoError(t, installed(file, key, "A", crm.Connected))

	var answer bytes.Buffer
	command := root()
	command.SetArgs([]string{"connect", "--wait", "--timeout", "1m", "--output", "jsonl"})
	command.SetOut(&answer)
	command.SetErr(&trigger{do: func() { assert.NoError(t, installed(file, key, "B", crm.Connected)) }})
	require.NoError(t, command.ExecuteContext(t.Context()))
	assert.Contains(t, answer.String(), `{"location":"B"`)
	assert.NotContains(t, answer.String(), `{"location":"A"`)
	assert.NotContains(t, answer.String(), "canary")
}

func TestOtherPeoplesTextDoesNotReachTheTerminal(t *testing.T) {
	assert.Equal(t, "Zoë  Ltd  x", printable("Zoë\t\x1bLtd\u202e\u0000x"))
}
