package app

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// asked is a Temporal server that notes what it is asked for.
type asked struct {
	client.Client
	mu      sync.Mutex
	options []client.StartWorkflowOptions
	hints   map[string][]names.Hint // by workflow ID
	inputs  []any                   // of what was started by an update
	updates []client.UpdateWorkflowOptions
	answers []crm.Result // of the updates, in turn
	err     error
}

func (a *asked) SignalWithStartWorkflow(_ context.Context, id, _ string, arg any, options client.StartWorkflowOptions,
	_ any, _ ...any,
) (client.WorkflowRun, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hints == nil {
		a.hints = map[string][]names.Hint{}
	}
	a.hints[id] = append(a.hints[id], arg.(names.Changed).Hints...)
	a.options = append(a.options, options)
	return nil, a.err
}

func (a *asked) NewWithStartWorkflowOperation(options client.StartWorkflowOptions, _ any, input ...any) client.WithStartWorkflowOperation {
	a.options, a.inputs = append(a.options, options), append(a.inputs, input...)
	return nil
}

func (a *asked) UpdateWithStartWorkflow(_ context.Context, options client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	a.updates = append(a.updates, options.UpdateOptions)
	if a.err != nil {
		return nil, a.err
	}
	answer := a.answers[0]
	a.answers = a.answers[1:]
	return outcome{result: answer}, nil
}

// outcome is an update that ended.
type outcome struct {
	client.WorkflowUpdateHandle
	result crm.Result
}

func (o outcome) Get(_ context.Context, value any) error {
	*value.(*crm.Result) = o.result
	return nil
}

func always() bool { return true }

var janes = crm.Ref{Location: "L", Contact: "C"}

// startedByHand checks that a workflow starts as a person's wish does: behind live changes, before polls.
func startedByHand(t *testing.T, options client.StartWorkflowOptions) {
	t.Helper()
	assert.Equal(t, names.Workflows, options.TaskQueue)
	assert.Equal(t, temporal.Priority{PriorityKey: names.PriorityOperations, FairnessKey: "L"}, options.Priority)
	assert.Equal(t, enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, options.WorkflowIDConflictPolicy)
	assert.Contains(t, options.StaticSummary, "`C`")
	assert.Equal(t, 2, options.TypedSearchAttributes.Size())
}

func TestAContactAskedForByHandGoesThroughTheNudgesDoor(t *testing.T) {
	server := &asked{}
	contacts := Contacts{Temporal: server, Searchable: always}
	require.NoError(t, contacts.Start(t.Context(), janes))
	assert.Equal(t, map[string][]names.Hint{"contact/L/C": {{Contact: "C"}}}, server.hints)
	require.Len(t, server.options, 1)
	startedByHand(t, server.options[0])

	server.err = errors.New("away")
	assert.ErrorIs(t, contacts.Start(t.Context(), janes), server.err)
}

func TestWaitingForAContactStartsTheSameWorkflowTheSameWay(t *testing.T) {
	want := crm.Result{Outcome: crm.Updated, Fields: []string{"email"}}
	server := &asked{answers: []crm.Result{{Outcome: crm.Waiting}, want}}
	result, err := Contacts{Temporal: server, Searchable: always}.Sync(t.Context(), janes)
	require.NoError(t, err)
	assert.Equal(t, want, result, "a run that handed over is not the answer")
	require.Len(t, server.options, 2)
	for i, options := range server.options {
		startedByHand(t, options)
		assert.Equal(t, "contact/L/C", options.ID)
		assert.Equal(t, "contact/L/C", server.updates[i].WorkflowID)
		assert.Equal(t, names.SyncUpdate, server.updates[i].UpdateName)
	}

	server = &asked{answers: []crm.Result{want}}
	_, err = Contacts{Temporal: server, Searchable: never}.Sync(t.Context(), janes)
	require.NoError(t, err)
	assert.Zero(t, server.options[0].TypedSearchAttributes.Size(), "an attribute the server does not know would fail the start")
}

func TestAskingForManyContactsAgainTakesThemByTheThousand(t *testing.T) {
	targets := make([]Target, 2*names.MaxHints+1)
	for i := range targets {
		targets[i] = Target{janes, crm.ContactItself}
	}
	targets[0].Contact, targets[names.MaxHints].Contact = "A", "B"
	server := &asked{}
	require.NoError(t, Nudge(t.Context(), server, never, targets))
	assert.Len(t, server.hints["contacts/L"], 4, "A and C, B and C")
	assert.Len(t, server.hints["contact/L/C"], 1)
	for _, options := range server.options {
		assert.Equal(t, names.PriorityOperations, options.Priority.PriorityKey)
	}
}

func TestTasksAndNotesAskedForByHandGoToTheirOwnWorkflow(t *testing.T) {
	server := &asked{answers: []crm.Result{{Outcome: crm.Updated}}}
	alignments := Contacts{Temporal: server, Searchable: always, Object: crm.TasksAndNotes}
	require.NoError(t, alignments.Start(t.Context(), janes))
	assert.Equal(t, map[string][]names.Hint{"tasks-notes/L/C": {{Contact: "C"}}}, server.hints)
	_, err := alignments.Sync(t.Context(), janes)
	require.NoError(t, err)
	assert.Equal(t, "tasks-notes/L/C", server.updates[0].WorkflowID)
	for _, options := range server.options {
		startedByHand(t, options)
		assert.Contains(t, options.StaticSummary, "tasks and notes")
	}
}

func TestSegmentsAskedForByHandGoToTheirOwnWorkflow(t *testing.T) {
	server := &asked{answers: []crm.Result{{Outcome: crm.Updated}}}
	segments := Contacts{Temporal: server, Searchable: always, Object: crm.Segments}
	require.NoError(t, segments.Start(t.Context(), janes))
	assert.Equal(t, map[string][]names.Hint{"segments/L/C": {{Contact: "C"}}}, server.hints, "no time: the contact is read")
	_, err := segments.Sync(t.Context(), janes)
	require.NoError(t, err)
	assert.Equal(t, "segments/L/C", server.updates[0].WorkflowID)
	assert.Equal(t, []any{names.ContactInput{Location: "L", Contact: "C"}}, server.inputs)
	for _, options := range server.options {
		startedByHand(t, options)
		assert.Contains(t, options.StaticSummary, "segments")
	}
}

func TestABusinessAskedForByHandIsNoContact(t *testing.T) {
	acme := crm.Ref{Location: "L", Contact: "B"}
	server := &asked{answers: []crm.Result{{Outcome: crm.Waiting}, {Outcome: crm.Created, RankrID: "bz_1"}}}
	businesses := Contacts{Temporal: server, Searchable: always, Object: crm.ABusiness}
	assert.Equal(t, "business/L/B", businesses.WorkflowID(acme))
	require.NoError(t, businesses.Start(t.Context(), acme))
	assert.Equal(t, map[string][]names.Hint{"business/L/B": {{}}}, server.hints, "nobody heard of a change: it is read")
	result, err := businesses.Sync(t.Context(), acme)
	require.NoError(t, err)
	assert.Equal(t, crm.Result{Outcome: crm.Created, RankrID: "bz_1"}, result)
	assert.Equal(t, []any{names.BusinessInput{Location: "L", Business: "B"}, names.BusinessInput{Location: "L", Business: "B"}}, server.inputs)
	require.Len(t, server.options, 3)
	for _, options := range server.options {
		assert.Equal(t, names.PriorityOperations, options.Priority.PriorityKey)
		assert.Contains(t, options.StaticSummary, "business `B`")
		_, found := options.TypedSearchAttributes.GetKeyword(names.GhlContact)
		assert.False(t, found)
	}
}

func TestProblemsAreTriedAgainByWhatTheyAreAbout(t *testing.T) {
	server := &asked{}
	require.NoError(t, Nudge(t.Context(), server, never, []Target{
		{janes, crm.TasksAndNotes},
		{janes, crm.ContactItself},
		{crm.Ref{Location: "L", Contact: "D"}, crm.TasksAndNotes},
		{janes, crm.Segments},
		{crm.Ref{Location: "L", Contact: "B"}, crm.ABusiness},
	}))
	assert.Equal(t, map[string][]names.Hint{
		"contact/L/C": {{Contact: "C"}}, "tasks-notes/L/C": {{Contact: "C"}}, "tasks-notes/L/D": {{Contact: "D"}},
		"segments/L/C": {{Contact: "C"}}, "business/L/B": {{}},
	}, server.hints)
}
