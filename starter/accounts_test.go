package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/connections"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/seal"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/names"
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

const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// inFolder gives the test an empty working directory with these settings, and returns where its store is.
func inFolder(t *testing.T, settings map[string]string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, setting := range app.Describe() {
		t.Setenv(setting.Name, settings[setting.Name])
	}
	for name, value := range settings {
		t.Setenv(name, value)
	}
	folder, err := os.Getwd()
	require.NoError(t, err)
	return filepath.Join(folder, "rankrsync.db")
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
	file := inFolder(t, map[string]string{"GHL_CLIENT_ID": "app-1", "GHL_REDIRECT_URL": "https://sync.example/oauth/callback"})
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

// temporalServer is a Temporal server that ends schedules and starts workflows.
type temporalServer struct {
	workflowservice.UnimplementedWorkflowServiceServer
	mu               sync.Mutex
	removed, started []string
	refuses          error // to start any
}

// listen serves on a port of its own, and returns its address.
func (s *temporalServer) listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serving := grpc.NewServer()
	workflowservice.RegisterWorkflowServiceServer(serving, s)
	go func() { _ = serving.Serve(listener) }()
	t.Cleanup(serving.Stop)
	return listener.Addr().String()
}

func (s *temporalServer) SignalWithStartWorkflowExecution(
	_ context.Context, r *workflowservice.SignalWithStartWorkflowExecutionRequest,
) (*workflowservice.SignalWithStartWorkflowExecutionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses != nil {
		return nil, s.refuses
	}
	s.started = append(s.started, r.GetWorkflowId())
	slices.Sort(s.started)
	return &workflowservice.SignalWithStartWorkflowExecutionResponse{RunId: "run"}, nil
}

func (*temporalServer) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{}, nil
}

func (*temporalServer) DescribeNamespace(context.Context, *workflowservice.DescribeNamespaceRequest) (*workflowservice.DescribeNamespaceResponse, error) {
	return &workflowservice.DescribeNamespaceResponse{}, nil
}

func (s *temporalServer) DeleteSchedule(_ context.Context, r *workflowservice.DeleteScheduleRequest) (*workflowservice.DeleteScheduleResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = append(s.removed, r.GetScheduleId())
	return &workflowservice.DeleteScheduleResponse{}, nil
}

func TestADisconnectedLocationIsPolledNoMoreUnlessAnotherTokenServesIt(t *testing.T) {
	server := &temporalServer{}
	file := inFolder(t, map[string]string{"TEMPORAL_ADDRESS": server.listen(t), "GHL_LOCATION_ID": "P"})
	records, err := store.Open(t.Context(), "sqlite:"+file)
	require.NoError(t, err)
	defer records.Close()

	for _, location := range []string{"L", "P"} {
		require.NoError(t, installed(file, key, location, crm.Connected))
		var answer bytes.Buffer
		command := root()
		command.SetArgs([]string{"disconnect", "--location", location, "--yes", "--output", "jsonl"})
		command.SetOut(&answer)
		require.NoError(t, command.ExecuteContext(t.Context()))
		assert.Equal(t, `{"location":"`+location+`","state":"disconnected"}`+"\n", answer.String())
		row, err := records.Token(t.Context(), crm.LocationOwner(location))
		require.NoError(t, err)
		assert.Zero(t, row.Version)
	}
	assert.Equal(t, []string{names.Poll("L")}, server.removed)
}
