package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// contactRun is SyncContact with a fake deed that plays a script: one step for each call, the last one for ever.
type contactRun struct {
	*run
	workflow string
	rounds   []activities.Round
	at       []time.Duration
	script   []step
}

type step func() (activities.Answer, error)

func newContactRun(t *testing.T, script ...step) *contactRun {
	return newRunOf(t, names.SyncContact, names.BringIntoStep, script...)
}

// newRunOf is the same for another workflow that brings something of one contact into step.
func newRunOf(t *testing.T, workflow, deed string, script ...step) *contactRun {
	r := &contactRun{run: newRun(t), workflow: workflow, script: script}
	r.deed(deed, func(_ context.Context, round activities.Round) (activities.Answer, error) {
		r.rounds = append(r.rounds, round)
		return r.play()
	})
	return r
}

// play does the next step of the script.
func (r *contactRun) play() (activities.Answer, error) {
	r.at = append(r.at, r.passed())
	next := r.script[0]
	if len(r.script) > 1 {
		r.script = r.script[1:]
	}
	return next()
}

// ends answers with an outcome, and asks to come again where wait is set.
func ends(outcome crm.Outcome, wait time.Duration) step {
	return func() (activities.Answer, error) {
		return activities.Answer{Result: crm.Result{Outcome: outcome, Wait: wait}}, nil
	}
}

// fails makes an attempt fail for good: a delay beyond the activity's time ends its retries at once.
func fails(wait time.Duration) step {
	return func() (activities.Answer, error) { return activities.Answer{}, away(wait) }
}

// meanwhile does something while the round is under way.
func meanwhile(do func(), then step) step {
	return func() (activities.Answer, error) {
		do()
		return then()
	}
}

func (r *contactRun) execute() { r.executeWith(nil) }

func (r *contactRun) executeWith(carried *names.ContactCarried) {
	r.ExecuteWorkflow(r.workflow, names.ContactInput{Location: "L", Contact: "C", Carried: carried})
	require.True(r.t, r.IsWorkflowCompleted())
}

func (r *contactRun) change(second int) {
	hint := names.Hint{Contact: "C"}
	if second > 0 {
		hint.At = at(second)
	}
	r.SignalWorkflow(names.ChangedSignal, names.Changed{Hints: []names.Hint{hint}})
}

func (r *contactRun) result() crm.Result {
	require.NoError(r.t, r.GetWorkflowError())
	var result crm.Result
	require.NoError(r.t, r.GetWorkflowResult(&result))
	return result
}

func at(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }

func TestASingleChangeIsOneRoundAndNoTimer(t *testing.T) {
	r := newContactRun(t, ends(crm.Updated, 0))
	r.after(0, func() { r.change(5) })
	r.execute()
	assert.Equal(t, crm.Updated, r.result().Outcome)
	require.Len(t, r.rounds, 1)
	assert.Equal(t, activities.Round{Ref: crm.Ref{Location: "L", Contact: "C"}, Hint: names.Hint{At: at(5)}}, r.rounds[0])
	assert.Empty(t, r.timers)
}

func TestARunThatAPersonStartedAlwaysReads(t *testing.T) {
	r := newContactRun(t, ends(crm.Unchanged, 0))
	r.execute()
	require.Len(t, r.rounds, 1)
	assert.Zero(t, r.rounds[0].Hint)
}

func TestABurstDuringARoundBecomesOneMoreRound(t *testing.T) {
	var r *contactRun
	r = newContactRun(t, meanwhile(func() {
		for _, second := range []int{3, 20, 7} {
			r.change(second)
		}
	}, ends(crm.Created, 0)), ends(crm.Updated, 0))
	r.execute()
	assert.Equal(t, crm.Updated, r.result().Outcome)
	require.Len(t, r.rounds, 2)
	assert.Equal(t, at(20), r.rounds[1].Hint.At)
	assert.Empty(t, r.timers)
}

func TestASignalThatCanNotBeReadStillMeansThatSomethingChanged(t *testing.T) {
	for name, payload := range map[string]any{
		"nothing": nil, "empty": names.Changed{}, "a number": 7, "other JSON": map[string]any{"hints": "x"}, "bytes": []byte{0xff},
	} {
		t.Run(name, func(t *testing.T) {
			var r *contactRun
			r = newContactRun(t, meanwhile(func() {
				r.change(3)
				r.SignalWorkflow(names.ChangedSignal, payload)
			}, ends(crm.Created, 0)), ends(crm.Updated, 0))
			r.execute()
			require.Len(t, r.rounds, 2)
			assert.Zero(t, r.rounds[1].Hint, "the contact is read")
		})
	}
}

func TestAQuietPeriodIsWaitedForAndNothingCutsItShort(t *testing.T) {
	r := newContactRun(t, ends(crm.Waiting, 2*time.Second), ends(crm.Updated, 0))
	r.after(0, func() { r.change(1) })
	r.after(500*time.Millisecond, func() { r.change(2) })
	var asked *asks
	r.after(time.Second, func() { asked = r.ask() })
	r.execute()
	assert.Equal(t, []time.Duration{0, 2 * time.Second}, r.at)
	assert.Equal(t, []time.Duration{2 * time.Second}, r.timers)
	assert.Equal(t, crm.Updated, asked.result.Outcome)
}

func TestTheHintOfAWaitingRoundIsKept(t *testing.T) {
	r := newContactRun(t, ends(crm.Waiting, 2*time.Second), ends(crm.Updated, 0))
	r.after(0, func() { r.change(9) })
	r.after(time.Second, func() { r.change(4) })
	r.execute()
	require.Len(t, r.rounds, 2)
	assert.Equal(t, at(9), r.rounds[1].Hint.At)
}

func TestAnAnswerThatAsksForNoWaitDoesNotSpin(t *testing.T) {
	r := newContactRun(t, ends(crm.Waiting, 0), ends(crm.Waiting, -time.Second), ends(crm.Unchanged, 0))
	r.execute()
	assert.Equal(t, []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond}, r.at)
}

func TestAnUnsureOutcomeIsLookedAtOnceMore(t *testing.T) {
	r := newContactRun(t, ends(crm.Updated, 30*time.Second), ends(crm.Unchanged, 0))
	r.after(10*time.Second, func() {
		assert.Equal(t, names.ContactStatus{State: "confirming", Rounds: 1, LastOutcome: "updated", NextTry: at(30)},
			query[names.ContactStatus](r.run))
	})
	r.execute()
	assert.Equal(t, []time.Duration{0, 30 * time.Second}, r.at)
	assert.Equal(t, names.Hint{Confirm: true}, r.rounds[1].Hint)
	assert.Zero(t, r.result().Wait)
}

func TestAChangeDoesNotWaitForTheSecondLook(t *testing.T) {
	r := newContactRun(t, ends(crm.Updated, 30*time.Second), ends(crm.Updated, 20*time.Second), ends(crm.Unchanged, 0))
	r.after(10*time.Second, func() { r.change(10) })
	r.execute()
	assert.Equal(t, []time.Duration{0, 10 * time.Second, 30 * time.Second}, r.at)
	assert.Equal(t, names.Hint{At: at(10)}, r.rounds[1].Hint)
	assert.Equal(t, names.Hint{Confirm: true}, r.rounds[2].Hint)
}

func TestWhoAsksDuringAConfirmationGetsARead(t *testing.T) {
	r := newContactRun(t, ends(crm.Updated, 30*time.Second), ends(crm.Unchanged, 0))
	var asked *asks
	r.after(10*time.Second, func() { asked = r.ask() })
	r.execute()
	assert.Equal(t, []time.Duration{0, 10 * time.Second}, r.at)
	assert.Zero(t, r.rounds[1].Hint)
	assert.Equal(t, crm.Unchanged, asked.result.Outcome)
}

func TestAFailedRoundIsTriedAgainForAsLongAsItTakes(t *testing.T) {
	steps := make([]step, 0, 9)
	for range 8 {
		steps = append(steps, fails(5*time.Minute))
	}
	r := newContactRun(t, append(steps, ends(crm.Updated, 0))...)
	r.after(0, func() { r.change(5) })
	r.execute()
	assert.Equal(t, crm.Updated, r.result().Outcome)
	require.Len(t, r.rounds, 9)
	for i, round := range r.rounds {
		assert.Equal(t, i, round.Failures)
		assert.Equal(t, at(5), round.Hint.At, "the change is not forgotten")
	}
}

func TestTheBackOffGrowsAndHearsWhatAVendorAsksFor(t *testing.T) {
	var pauses []time.Duration
	for failures := range 7 {
		pauses = append(pauses, backOff(failures+1, 0))
	}
	assert.Equal(t, []time.Duration{15e9, 30e9, 60e9, 120e9, 240e9, 240e9, 240e9}, pauses)
	assert.Equal(t, 10*time.Minute, backOff(1, 10*time.Minute))
	assert.Equal(t, time.Hour, backOff(1, 30*time.Hour))
}

func TestSignalsDoNotCutABackOffShortButAPersonDoes(t *testing.T) {
	r := newContactRun(t, fails(10*time.Minute), fails(10*time.Minute), ends(crm.Updated, 0))
	r.after(time.Minute, func() { r.change(60) })
	var asked *asks
	r.after(2*time.Minute, func() {
		assert.Equal(t, names.ContactStatus{
			State: "retrying", Rounds: 1, Failures: 1, Code: "RS-RANKR-UNAVAILABLE", NextTry: at(600), Unread: 1,
		}, query[names.ContactStatus](r.run))
		asked = r.ask()
	})
	r.execute()
	assert.Equal(t, []time.Duration{0, 2 * time.Minute, 12 * time.Minute}, r.at, "and only once")
	assert.Zero(t, r.rounds[1].Hint.At)
	assert.Equal(t, crm.Updated, asked.result.Outcome)
	assert.Equal(t, 12*time.Minute, asked.at)
}

func TestWhatCanNeverSucceedFailsTheRun(t *testing.T) {
	var r *contactRun
	var asked *asks
	r = newContactRun(t, meanwhile(func() { asked = r.ask() }, func() (activities.Answer, error) {
		return activities.Answer{}, temporal.NewNonRetryableApplicationError("the input can't be used", string(crm.InvalidInput), nil)
	}))
	r.execute()
	e := failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
	assert.Equal(t, "the input can't be used", e.Message())
	assert.Error(t, asked.err)
}

func TestAProblemIsAnOutcome(t *testing.T) {
	r := newContactRun(t, func() (activities.Answer, error) {
		return activities.Answer{Result: crm.Result{Outcome: crm.Problem, Code: crm.Ambiguous}}, nil
	})
	r.execute()
	assert.Equal(t, crm.Result{Outcome: crm.Problem, Code: crm.Ambiguous}, r.result())
}

func TestIdsThatCanNotBeRealAreRefusedByName(t *testing.T) {
	for _, id := range []string{"", "a/b", "..", "a\nb", "a b", "ä", strings.Repeat("x", 65), strings.Repeat("x", 4096)} {
		r := newContactRun(t, ends(crm.Unchanged, 0))
		r.ExecuteWorkflow(names.SyncContact, names.ContactInput{Location: "L", Contact: id})
		e := failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
		assert.Contains(t, e.Message(), "contact")
		assert.NotContains(t, e.Message(), "location")
		assert.Empty(t, r.rounds)
	}
	r := newContactRun(t, ends(crm.Unchanged, 0))
	var asked *asks
	r.after(0, func() { asked = r.ask() })
	r.ExecuteWorkflow(names.SyncContact, names.ContactInput{})
	assert.Contains(t, failedWith(t, r.GetWorkflowError(), crm.InvalidInput).Message(), "[location, contact]")
	if asked != nil && asked.done {
		assert.Error(t, asked.err)
	}
}

func TestAnUpdateThatComesWithTheStartIsAnsweredByTheFirstRound(t *testing.T) {
	r := newContactRun(t, ends(crm.Created, 0))
	var asked *asks
	r.after(0, func() {
		r.change(5)
		asked = r.ask()
	})
	r.execute()
	require.Len(t, r.rounds, 1)
	assert.Zero(t, r.rounds[0].Hint.At, "who asks wants a read")
	assert.Equal(t, crm.Created, asked.result.Outcome)
}

func TestAnUpdateIsAnsweredByARoundThatBeganAfterIt(t *testing.T) {
	var r *contactRun
	var asked *asks
	r = newContactRun(t,
		meanwhile(func() { asked = r.ask() }, ends(crm.Created, 0)),
		ends(crm.Waiting, time.Second),
		ends(crm.Updated, 0))
	r.execute()
	require.Len(t, r.rounds, 3)
	assert.Equal(t, crm.Updated, asked.result.Outcome)
}

func TestEveryUpdateIsAnsweredWhileEditsGoOn(t *testing.T) {
	var r *contactRun
	var all []*asks
	edits := 0
	r = newContactRun(t, func() (activities.Answer, error) {
		all = append(all, r.ask())
		if edits++; edits < 5 {
			r.change(edits)
		}
		return ends(crm.Updated, 0)()
	})
	r.script = append(r.script, r.script[0], r.script[0], r.script[0], r.script[0], ends(crm.Unchanged, 0))
	r.execute()
	require.Len(t, r.rounds, 6)
	for _, asked := range all {
		assert.True(t, asked.done)
		assert.NoError(t, asked.err)
	}
	assert.Equal(t, crm.Unchanged, all[4].result.Outcome)
}

func TestAFullRunHandsItsUnfinishedBusinessOver(t *testing.T) {
	var r *contactRun
	r = newContactRun(t, meanwhile(func() {
		r.change(5)
		r.change(8)
		r.SetCurrentHistoryLength(maxEvents + 1)
	}, ends(crm.Updated, 0)))
	r.execute()
	next := continued[names.ContactInput](r.run)
	assert.Equal(t, names.ContactInput{Location: "L", Contact: "C", Carried: &names.ContactCarried{
		Hint: &names.Hint{At: at(8)}, Rounds: 1,
	}}, next)
}

func TestARunWithNothingLeftCompletesHoweverLongItsHistory(t *testing.T) {
	r := newContactRun(t, ends(crm.Updated, 0))
	r.SetCurrentHistoryLength(maxEvents + 1)
	r.SetContinueAsNewSuggested(true)
	r.execute()
	assert.Equal(t, crm.Updated, r.result().Outcome)
}

func TestAStormDuringAnOutageHandsOverAndKeepsTheBackOff(t *testing.T) {
	r := newContactRun(t, fails(10*time.Minute))
	for part := range 11 { // the environment takes no thousand at a time
		r.after(time.Minute+time.Duration(part)*time.Millisecond, func() {
			for second := range maxSignals / 10 {
				r.change(second + 1)
			}
		})
	}
	var asked *asks
	r.after(30*time.Second, func() { asked = r.ask() })
	r.script = append(r.script, fails(10*time.Minute))
	r.execute()
	next := continued[names.ContactInput](r.run)
	assert.Equal(t, 2, next.Carried.Failures)
	assert.Equal(t, 2, next.Carried.Rounds)
	assert.Zero(t, next.Carried.Hint.At, "who asked wanted a read")
	assert.Equal(t, at(630).UTC(), next.Carried.NotBefore.UTC())
	require.True(t, asked.done, "nobody is left waiting for a run that has gone")
	assert.Equal(t, crm.Result{Outcome: crm.Waiting, Code: crm.RankrUnavailable}, asked.result)
}

func TestARunThatTakesOverGoesOnWhereTheOtherStopped(t *testing.T) {
	r := newContactRun(t, ends(crm.Updated, 0))
	r.after(10*time.Second, func() { r.change(3) })
	r.executeWith(&names.ContactCarried{Hint: &names.Hint{At: at(1)}, Failures: 2, Rounds: 7, NotBefore: at(60)})
	assert.Equal(t, []time.Duration{time.Minute}, r.at)
	assert.Equal(t, at(3), r.rounds[0].Hint.At)
	assert.Equal(t, 2, r.rounds[0].Failures)
}

func TestARunThatTakesOverDuringAConfirmationConfirms(t *testing.T) {
	r := newContactRun(t, ends(crm.Updated, 0))
	r.after(time.Second, func() { assert.Equal(t, "confirming", query[names.ContactStatus](r.run).State) })
	r.executeWith(&names.ContactCarried{Hint: &names.Hint{Confirm: true}, Rounds: 1, NotBefore: at(20)})
	assert.Equal(t, []time.Duration{20 * time.Second}, r.at)
	assert.True(t, r.rounds[0].Hint.Confirm)
}

func TestARunThatTakesOverWithNothingToWaitForBeginsAtOnce(t *testing.T) {
	r := newContactRun(t, ends(crm.Updated, 0))
	r.executeWith(&names.ContactCarried{Hint: &names.Hint{At: at(1)}, Rounds: 7})
	assert.Equal(t, []time.Duration{0}, r.at)
	assert.Empty(t, r.timers)
}

func TestACancelledRunEnds(t *testing.T) {
	r := newContactRun(t, fails(10*time.Minute))
	r.after(time.Minute, r.CancelWorkflow)
	r.execute()
	var cancelled *temporal.CanceledError
	assert.ErrorAs(t, r.GetWorkflowError(), &cancelled)
}

// indexed notes the search attributes that a run upserts.
func (r *contactRun) indexed() *[]map[string]any {
	var upserts []map[string]any
	r.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
		values := map[string]any{}
		for key, value := range args.Get(0).(temporal.SearchAttributes).GetUntypedValues() {
			values[key.GetName()] = value
		}
		upserts = append(upserts, values)
	}).Return(nil)
	return &upserts
}

func searchable(outcome crm.Outcome) step {
	return func() (activities.Answer, error) {
		return activities.Answer{Result: crm.Result{Outcome: outcome}, Searchable: true}, nil
	}
}

func TestSearchAttributesAreUpsertedOnlyWhereTheServerKnowsThem(t *testing.T) {
	r := newContactRun(t, ends(crm.Problem, 0))
	upserts := r.indexed()
	r.execute()
	assert.Empty(t, *upserts)

	r = newContactRun(t, searchable(crm.Updated))
	upserts = r.indexed()
	r.execute()
	assert.Equal(t, []map[string]any{{"GhlLocation": "L", "GhlContact": "C"}}, *upserts)
}

func TestARunStartedWithItsSearchAttributesUpsertsOnlyTrouble(t *testing.T) {
	started := func(r *contactRun) {
		require.NoError(t, r.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(
			names.GhlLocation.ValueSet("L"), names.GhlContact.ValueSet("C"))))
	}
	r := newContactRun(t, searchable(crm.Updated))
	started(r)
	upserts := r.indexed()
	r.execute()
	assert.Empty(t, *upserts)

	r = newContactRun(t, fails(10*time.Minute), fails(10*time.Minute), searchable(crm.Updated))
	started(r)
	upserts = r.indexed()
	r.execute()
	assert.Equal(t, []map[string]any{{"SyncState": "retrying"}, {}}, *upserts, "set, then unset")

	r = newContactRun(t, searchable(crm.Problem))
	started(r)
	upserts = r.indexed()
	r.execute()
	assert.Equal(t, []map[string]any{{"SyncState": "problem"}}, *upserts)
}

func TestTheDetailsSayInWordsWhatHappened(t *testing.T) {
	s := rounds{state: names.StateFinished, begun: 2, result: crm.Result{
		Outcome: crm.Updated, RankrID: "rk_1", Fields: []string{"firstName", "customFields.a`b_c"},
	}}
	assert.Equal(t, "**updated** in Rankr as `rk_1`\n\nFields: `firstName` `customFields.a'b_c`\n\nRounds: 2.", s.words())

	s = rounds{state: names.StateRetrying, begun: 3, failures: 3, code: crm.RankrUnavailable, next: at(90)}
	assert.Equal(t, "**retrying**: Rankr can't be reached (`RS-RANKR-UNAVAILABLE`). nothing: it is tried again\n\n"+
		"3 in a row failed.\n\nNext round: 2026-01-01T12:01:30Z (retrying).\n\nRounds: 3.", s.words())

	s = rounds{state: names.StateFinished, begun: 1, code: crm.Ambiguous, result: crm.Result{Outcome: crm.Problem}}
	assert.Contains(t, s.words(), "merge the two records in Rankr")
}

func TestEveryWayAnActivityFailsIsUnderstood(t *testing.T) {
	assert.Equal(t, failure{code: crm.RankrUnavailable, wait: time.Minute}, failed(away(time.Minute)))
	assert.Equal(t, failure{code: crm.RankrUnavailable, wait: time.Minute},
		failed(temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, away(time.Minute))))
	assert.Equal(t, failure{}, failed(temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil)))
	assert.Equal(t, failure{code: crm.Internal}, failed(errors.New("something else")))
	assert.Contains(t, explain(""), "check that a worker runs")
	assert.Equal(t, "`RS-OF-A-LATER-VERSION`", explain("RS-OF-A-LATER-VERSION"))
}

func TestAContactsHistoryHoldsIdsOnly(t *testing.T) {
	round, err := json.Marshal(activities.Round{Ref: crm.Ref{Location: "L", Contact: "C"}, Hint: names.Hint{At: at(0)}})
	require.NoError(t, err)
	assert.JSONEq(t, fmt.Sprintf(`{"location":"L","contact":"C","hint":"@%d"}`, start.UnixMilli()), string(round))
}
