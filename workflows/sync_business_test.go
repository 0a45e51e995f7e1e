package workflows

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// businessRun is SyncBusiness with a fake deed that plays a script, as a contactRun does.
type businessRun struct {
	*contactRun
	rounds []activities.BusinessRound
}

func newBusinessRun(t *testing.T, script ...step) *businessRun {
	b := &businessRun{contactRun: &contactRun{run: newRun(t), workflow: names.SyncBusiness, script: script}}
	b.deed(names.BringBusinessIntoStep, func(_ context.Context, round activities.BusinessRound) (activities.Answer, error) {
		b.rounds = append(b.rounds, round)
		return b.play()
	})
	return b
}

func (b *businessRun) execute() { b.executeWith(nil) }

func (b *businessRun) executeWith(carried *names.ContactCarried) {
	b.ExecuteWorkflow(names.SyncBusiness, names.BusinessInput{Location: "L", Business: "B", Carried: carried})
	require.True(b.t, b.IsWorkflowCompleted())
}

// touch tells that a contact of the business changed, and when we heard of it.
func (b *businessRun) touch(second int) {
	b.SignalWorkflow(names.ChangedSignal, names.Changed{Hints: []names.Hint{{Received: at(second)}}})
}

func TestABusinessIsBroughtIntoStepByADeedThatSpeaksOfBusinesses(t *testing.T) {
	b := newBusinessRun(t, ends(crm.Created, 0))
	b.after(0, func() { b.touch(5) })
	b.execute()
	assert.Equal(t, crm.Created, b.result().Outcome)
	assert.Equal(t, []activities.BusinessRound{{Location: "L", Business: "B", Hint: names.Hint{Received: at(5)}}}, b.rounds)
	assert.Empty(t, b.timers)

	round, err := json.Marshal(b.rounds[0])
	require.NoError(t, err)
	assert.JSONEq(t, fmt.Sprintf(`{"location":"L","business":"B","hint":"@0+%d"}`, at(5).UnixMilli()), string(round))
}

func TestManyContactsOfABusinessBecomeOneMoreRound(t *testing.T) {
	var b *businessRun
	b = newBusinessRun(t, meanwhile(func() {
		for _, second := range []int{9, 4, 7} {
			b.touch(second)
		}
	}, ends(crm.Created, 0)), ends(crm.Unchanged, 0))
	b.after(0, func() { b.touch(1) })
	b.execute()
	require.Len(t, b.rounds, 2)
	assert.Equal(t, names.Hint{Received: at(4)}, b.rounds[1].Hint, "still no reason to read it again so soon")
}

func TestWhoAsksForABusinessHasItReadWhateverElseComes(t *testing.T) {
	t.Run("by an update", func(t *testing.T) {
		b := newBusinessRun(t, ends(crm.Updated, 0))
		var asked *asks
		b.after(0, func() {
			b.touch(5)
			asked = b.ask()
		})
		b.execute()
		require.Len(t, b.rounds, 1)
		assert.Zero(t, b.rounds[0].Hint)
		assert.Equal(t, crm.Updated, asked.result.Outcome)
	})
	t.Run("by a signal", func(t *testing.T) {
		var b *businessRun
		b = newBusinessRun(t, meanwhile(func() {
			b.touch(5)
			b.SignalWorkflow(names.ChangedSignal, nil)
			b.touch(6)
		}, ends(crm.Created, 0)), ends(crm.Updated, 0))
		b.execute()
		require.Len(t, b.rounds, 2)
		assert.Zero(t, b.rounds[1].Hint)
	})
	t.Run("by a start", func(t *testing.T) {
		b := newBusinessRun(t, ends(crm.Unchanged, 0))
		b.execute()
		assert.Zero(t, b.rounds[0].Hint)
	})
}

func TestABusinessIsTriedAgainForAsLongAsItTakes(t *testing.T) {
	b := newBusinessRun(t, fails(10*time.Minute), fails(10*time.Minute), ends(crm.Updated, 0))
	b.after(time.Minute, func() { b.touch(60) })
	var asked *asks
	b.after(2*time.Minute, func() {
		assert.Equal(t, names.ContactStatus{
			State: "retrying", Rounds: 1, Failures: 1, Code: "RS-RANKR-UNAVAILABLE", NextTry: at(600), Unread: 1,
		}, query[names.ContactStatus](b.run))
		asked = b.ask()
	})
	b.execute()
	assert.Equal(t, []time.Duration{0, 2 * time.Minute, 12 * time.Minute}, b.at, "a person cuts the back-off short, once; signals don't")
	assert.Equal(t, []int{0, 1, 2}, []int{b.rounds[0].Failures, b.rounds[1].Failures, b.rounds[2].Failures})
	assert.Equal(t, crm.Updated, asked.result.Outcome)
}

func TestABusinessThatMayHaveBeenWrittenIsLookedAtOnceMore(t *testing.T) {
	b := newBusinessRun(t, ends(crm.Updated, 30*time.Second), ends(crm.Unchanged, 0))
	b.after(0, func() { b.touch(1) })
	b.execute()
	require.Len(t, b.rounds, 2)
	assert.Equal(t, names.Hint{Confirm: true}, b.rounds[1].Hint)
	assert.Equal(t, []time.Duration{0, 30 * time.Second}, b.at)
}

func TestAFullRunOfABusinessHandsOverABusiness(t *testing.T) {
	var b *businessRun
	b = newBusinessRun(t, meanwhile(func() {
		b.touch(8)
		b.touch(5)
		b.SetCurrentHistoryLength(maxEvents + 1)
	}, ends(crm.Updated, 0)))
	b.after(0, func() { b.touch(1) })
	b.execute()
	assert.Equal(t, names.BusinessInput{Location: "L", Business: "B", Carried: &names.ContactCarried{
		Hint: &names.Hint{Received: at(5)}, Rounds: 1,
	}}, continued[names.BusinessInput](b.run))
	var fresh *workflow.ContinueAsNewError
	require.ErrorAs(t, b.GetWorkflowError(), &fresh)
	assert.Equal(t, names.SyncBusiness, fresh.WorkflowType.Name)
}

func TestARunThatTakesABusinessOverGoesOnWhereTheOtherStopped(t *testing.T) {
	b := newBusinessRun(t, ends(crm.Updated, 0))
	b.executeWith(&names.ContactCarried{Hint: &names.Hint{Received: at(1)}, Failures: 2, Rounds: 7, NotBefore: at(60)})
	assert.Equal(t, []time.Duration{time.Minute}, b.at)
	assert.Equal(t, []activities.BusinessRound{{Location: "L", Business: "B", Hint: names.Hint{Received: at(1)}, Failures: 2}}, b.rounds)
}

func TestABusinessIsFoundByItsLocationAndNeverTakenForAContact(t *testing.T) {
	b := newBusinessRun(t, searchable(crm.Updated))
	upserts := b.indexed()
	b.execute()
	assert.Equal(t, []map[string]any{{"GhlLocation": "L"}}, *upserts)

	b = newBusinessRun(t, searchable(crm.Problem))
	require.NoError(t, b.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(names.GhlLocation.ValueSet("L"))))
	upserts = b.indexed()
	b.execute()
	assert.Equal(t, []map[string]any{{"SyncState": "problem"}}, *upserts, "it was started with the rest")
}

func TestABusinessThatCanNotBeRealIsRefusedByName(t *testing.T) {
	b := newBusinessRun(t, ends(crm.Unchanged, 0))
	b.ExecuteWorkflow(names.SyncBusiness, names.BusinessInput{Location: "L", Business: "a/b"})
	message := failedWith(t, b.GetWorkflowError(), crm.InvalidInput).Message()
	assert.Contains(t, message, "business")
	assert.NotContains(t, message, "contact")
	assert.Empty(t, b.rounds)

	b = newBusinessRun(t, ends(crm.Unchanged, 0))
	b.ExecuteWorkflow(names.SyncBusiness, names.ContactInput{Location: "L", Contact: "C"})
	failedWith(t, b.GetWorkflowError(), crm.InvalidInput)
	assert.Empty(t, b.rounds, "a contact's input names no business")
}
