package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
)

func TestASignalWithStartAndAnActivityThatWasTriedTwiceAreThreeActions(t *testing.T) {
	history := []*historypb.HistoryEvent{
		event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED),
		event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED), // with the start
		event(enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED),
		event(enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED),
		{
			EventType: enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED,
			Attributes: &historypb.HistoryEvent_ActivityTaskStartedEventAttributes{
				ActivityTaskStartedEventAttributes: &historypb.ActivityTaskStartedEventAttributes{Attempt: 2},
			},
		},
		event(enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED),
		event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED),
	}
	assert.Equal(t, 3, total(history))
}

func TestEverySignalTimerAndUpsertIsAnAction(t *testing.T) {
	assert.Equal(t, 5, total([]*historypb.HistoryEvent{
		event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED),
		event(enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED),
		event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED),
		event(enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED),
		event(enumspb.EVENT_TYPE_TIMER_STARTED),
		event(enumspb.EVENT_TYPE_TIMER_FIRED),
		event(enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES),
	}))
}

func TestAChildIsBilledToItsParent(t *testing.T) {
	assert.Equal(t, 2, total([]*historypb.HistoryEvent{event(enumspb.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED)}))
	assert.Zero(t, total([]*historypb.HistoryEvent{{
		EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{
			WorkflowExecutionStartedEventAttributes: &historypb.WorkflowExecutionStartedEventAttributes{
				ParentWorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "parent"},
			},
		},
	}}))
}

func event(kind enumspb.EventType) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{EventType: kind}
}

func total(history []*historypb.HistoryEvent) (n int) {
	var before *historypb.HistoryEvent
	for _, event := range history {
		n += actions(before, event)
		before = event
	}
	return n
}

func TestAFigureIsHeldAgainstItsTargetAsItIsShown(t *testing.T) {
	for _, c := range []struct {
		figure figure
		value  string
		target string
	}{
		{figure{Value: 1.004, Target: exactly(1)}, "1.00", "= 1, reached"},
		{figure{Value: 1.2, Target: exactly(1)}, "1.20", "= 1, **missed**"},
		{figure{Value: .8, Target: atLeast(.8)}, "0.80", "≥ 0.8, reached"},
		{figure{Value: 20.04, Unit: "ms", Target: atMost(20)}, "20.0 ms", "≤ 20 ms, reached"},
		{figure{Value: 3999, Unit: "/s", Target: atLeast(4000)}, "3999/s", "≥ 4000/s, **missed**"},
		{figure{Value: 1159}, "1159", ""},
	} {
		assert.Equal(t, c.value, c.figure.value())
		assert.Equal(t, c.target, c.figure.target())
	}
}

func TestAPercentileIsATimeThatWasMeasured(t *testing.T) {
	var many, one latencies
	for i := range 100 {
		many.add(time.Duration(100-i) * time.Millisecond)
	}
	one.add(time.Millisecond)
	assert.Equal(t, 51.0, many.percentile(.50))
	assert.Equal(t, 100.0, many.percentile(.99))
	assert.Equal(t, 1.0, one.percentile(.99))
	assert.Zero(t, (&latencies{}).percentile(.50))
}

func TestOnlyThePlaceForTheFiguresIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(file, []byte("before\n"+opening+"old\n"+closing+"after\n"), 0o600))
	r := &report{machine: "A machine."}
	r.begin(sections[0])
	r.add(figure{What: "speed", Value: 100, Unit: "/s"})

	require.NoError(t, r.write(file))
	once, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(once), "before\n"+opening)
	assert.Contains(t, string(once), "| speed | 100/s |")
	assert.Contains(t, string(once), closing+"after\n")
	assert.NotContains(t, string(once), "old")

	require.NoError(t, r.write(file))
	twice, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(once), string(twice))
}

func TestAPageWithoutAPlaceForTheFiguresIsLeftAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(file, []byte("text\n"), 0o600))
	require.ErrorContains(t, (&report{}).write(file), "no place for the figures")
}

func TestAWrongLetterIsNamed(t *testing.T) {
	_, err := choose("a,x")
	require.ErrorContains(t, err, `"x"`)
	chosen, err := choose("f, a")
	require.NoError(t, err)
	require.Len(t, chosen, 2)
	assert.Equal(t, "a", chosen[0].letter)
}
