package activities_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
)

func (w *world) tick(in activities.Tick) activities.TickAnswer {
	w.t.Helper()
	answer, err := w.poll(in)
	require.NoError(w.t, err)
	return answer
}

func TestTheFirstTickStartsNowUnlessToldOtherwise(t *testing.T) {
	w := newWorld(t)
	w.ghl.Now = func() time.Time { return time.Now().Add(-time.Minute) }
	w.ghl.Create(loc, ghltest.Contact{ID: "old", Email: "old@example.com"})
	w.ghl.Now = time.Now
	answer := w.tick(activities.Tick{})
	assert.Equal(t, int64(1), answer.Tick)
	assert.WithinDuration(t, time.Now(), answer.Watermark, 2*time.Second, "GHL's clock, which has whole seconds")
	assert.Empty(t, w.nudged.take())
	w.tick(activities.Tick{})
	assert.Empty(t, w.nudged.take(), "what nobody touches stays as it is")

	w = newWorld(t)
	w.ghl.Create(loc, ghltest.Contact{ID: "old", Email: "old@example.com"})
	w.polls.Since = time.Now().Add(-time.Hour)
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"old"}, w.nudged.take())
}

func TestAnIdleTickIsOneCallAndWhatLinksKnowIsNotHandedOver(t *testing.T) {
	w := newWorld(t)
	w.polls.Since = time.Now().Add(-time.Hour)
	w.ghl.Create(loc, jane)
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.nudged.take())
	w.good("jane")
	w.calls()
	answer := w.tick(activities.Tick{})
	assert.Equal(t, 1, answer.Calls)
	assert.Zero(t, answer.Nudged)
	ghl, rankr := w.calls()
	assert.Equal(t, []string{"contacts.search"}, ghl)
	assert.Empty(t, rankr)

	w.edit("jane", func(c *ghltest.Contact) { c.City = "Bern" })
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.nudged.take(), "a change without a webhook")
}

func TestAnOpenProblemThatKnowsTheChangeIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.polls.Since = time.Now().Add(-time.Hour)
	w.ghl.Create(loc, ghltest.Contact{ID: "poison", Phone: "nonsense"})
	w.good("poison")
	w.tick(activities.Tick{})
	assert.Empty(t, w.nudged.take())
	w.edit("poison", func(c *ghltest.Contact) { c.Phone = "+41446681800" })
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"poison"}, w.nudged.take())
}

func TestThePollWalksAllPagesAndSkipsNobody(t *testing.T) {
	w := newWorld(t)
	w.polls.Since = time.Now().Add(-time.Hour)
	for i := range 250 {
		w.ghl.Create(loc, ghltest.Contact{ID: fmt.Sprint("c", i), Email: fmt.Sprintf("c%d@example.com", i)})
	}
	answer := w.tick(activities.Tick{})
	assert.Equal(t, 250, answer.Nudged)
	assert.LessOrEqual(t, answer.Calls, 4)
	assert.Len(t, w.nudged.take(), 250)
}

func TestTheWatermarkStaysBehindGHLsClockAndMovesOnlyAfterTheHandOver(t *testing.T) {
	w := newWorld(t)
	start := time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
	w.polls.Since = start
	w.ghl.Create(loc, jane)
	w.nudged.fail = errors.New("Temporal is away")
	_, err := w.poll(activities.Tick{})
	require.Error(t, err)
	_, watermark, err := w.store.LastTick(t.Context(), loc)
	require.NoError(t, err)
	assert.Equal(t, start, watermark)

	w.nudged.fail = nil
	answer := w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.nudged.take())
	assert.True(t, answer.Watermark.After(start))
	assert.False(t, answer.Watermark.After(time.Now().Add(-10*time.Minute)))
}

func TestAStoreThatWasRestoredDoubtsAllLinks(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.tick(activities.Tick{Scheduled: true})
	w.tick(activities.Tick{Scheduled: true, Last: 1})
	link, err := w.store.Link(t.Context(), crm.Ref{Location: loc, Contact: "jane"}, crm.ContactItself)
	require.NoError(t, err)
	require.True(t, link.Sure())
	answer := w.tick(activities.Tick{Scheduled: true, Last: 9})
	assert.Equal(t, int64(10), answer.Tick)
	link, err = w.store.Link(t.Context(), crm.Ref{Location: loc, Contact: "jane"}, crm.ContactItself)
	require.NoError(t, err)
	assert.False(t, link.Sure())
}

func TestATemporalThatWasRestoredGetsItsForgottenHandOversAgain(t *testing.T) {
	w := newWorld(t)
	w.ghl.Now = func() time.Time { return time.Now().Add(-47 * time.Hour) }
	w.ghl.Create(loc, jane)
	w.ghl.Now = time.Now
	long := time.Now().Add(-48 * time.Hour)
	require.NoError(t, w.store.SaveTick(t.Context(), loc, 1, long.Add(-time.Hour)))
	require.NoError(t, w.store.SaveTick(t.Context(), loc, 2, long))
	require.NoError(t, w.store.SaveTick(t.Context(), loc, 3, time.Now().Add(-11*time.Minute)))
	answer := w.tick(activities.Tick{Scheduled: true, Last: 3})
	assert.Equal(t, int64(4), answer.Tick)
	assert.Empty(t, w.nudged.take(), "both know the last tick")

	answer = w.tick(activities.Tick{Scheduled: true, Last: 2})
	assert.Equal(t, int64(5), answer.Tick)
	assert.Equal(t, []string{"jane"}, w.nudged.take(), "Temporal forgot the hand-over of tick 3")
}

func TestATemporalThatWasRestoredIsToldAgainWhatWasDecided(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	w.polls.Since = time.Now().Add(-time.Hour)
	first := w.tick(activities.Tick{})
	for _, contact := range []string{"forgotten", "brought"} {
		w.ghl.Create(loc, ghltest.Contact{ID: contact, Email: contact + "@example.com"})
		w.good(contact)
		if contact == "brought" {
			w.segment()
		} else {
			require.Len(t, w.nudged.takeHints(&w.nudged.segments), 1)
		}
	}
	w.tick(activities.Tick{Scheduled: true, Last: first.Tick})
	assert.Empty(t, w.nudged.take(), "it is on its way")
	w.tick(activities.Tick{Scheduled: true, Last: first.Tick})
	assert.Equal(t, []string{"forgotten"}, w.nudged.take())
	w.good("forgotten")
	w.segment()
	assert.Equal(t, []string{"Reachable"}, w.segmentsOf("forgotten"))
}

func TestATickThatIsTriedAgainGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	w.ghl.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
	w.ghl.Create(loc, jane)
	w.ghl.Now = time.Now
	require.NoError(t, w.store.SaveTick(t.Context(), loc, 1, time.Now().Add(-3*time.Hour)))
	require.NoError(t, w.store.SaveTick(t.Context(), loc, 2, time.Now().Add(-time.Hour)))
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.polls)
	env.SetHeartbeatDetails(activities.TickAnswer{Tick: 2, Seen: 7})
	value, err := env.ExecuteActivity(w.polls.FindChanges, activities.Tick{Location: loc, Scheduled: true, Last: 1})
	require.NoError(t, err)
	var answer activities.TickAnswer
	require.NoError(t, value.Get(&answer))
	assert.Equal(t, int64(2), answer.Tick, "the number it took at its first attempt")
	assert.Equal(t, 7, answer.Seen)
	assert.Empty(t, w.nudged.take())
}

func TestALaggingSearchLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.polls.Since = time.Now().Add(-time.Hour)
	w.ghl.Set(func(k *ghltest.Knobs) { k.Lag = time.Hour })
	w.ghl.Create(loc, jane)
	w.tick(activities.Tick{})
	assert.Empty(t, w.nudged.take(), "the index does not show it yet")
	w.ghl.Set(func(k *ghltest.Knobs) { k.Lag = 0 })
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.nudged.take())
}

func TestALostStoreGoesOnWhereTemporalRemembers(t *testing.T) {
	w := newWorld(t)
	w.ghl.Now = func() time.Time { return time.Now().Add(-5 * time.Minute) }
	w.ghl.Create(loc, jane)
	w.ghl.Now = time.Now
	answer := w.tick(activities.Tick{Scheduled: true, Last: 7, LastWatermark: time.Now().Add(-time.Hour)})
	assert.Equal(t, int64(8), answer.Tick)
	assert.Equal(t, []string{"jane"}, w.nudged.take())
}

func TestAPanicInAPollLeavesItsTextBehind(t *testing.T) {
	w := newWorld(t)
	w.polls.Source = panicking{w.polls.Source}
	_, err := w.poll(activities.Tick{})
	var e *temporal.ApplicationError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, string(crm.Internal), e.Type())
	assert.NotContains(t, err.Error(), "CANARY")
}

type panicking struct{ crm.Source }

func (panicking) ChangedSince(context.Context, string, time.Time) iter.Seq2[crm.Page, error] {
	panic("CANARY")
}

// stateful counts what is written of connections.
type stateful struct {
	activities.Standing
	writes int
}

func (s *stateful) SetState(ctx context.Context, owner string, state crm.ConnectionState) error {
	s.writes++
	return s.Standing.SetState(ctx, owner, state)
}

func TestAPollNotesHowAConnectionStands(t *testing.T) {
	w := newWorld(t)
	standing := &stateful{Standing: w.store}
	w.polls.Standing = standing
	state := func() crm.ConnectionState {
		connection, err := w.store.Connection(t.Context(), loc)
		require.NoError(t, err)
		return connection.State
	}
	w.tick(activities.Tick{})
	assert.Empty(t, state(), "nobody connected it")
	for _, before := range []crm.ConnectionState{crm.Suspended, crm.ScopesMissing, crm.WrongTenant, crm.ReconnectNeeded, crm.Connected, crm.Disconnected} {
		require.NoError(t, w.store.PutConnection(t.Context(), crm.Connection{
			Location: loc, Owner: crm.LocationOwner(loc), Kind: crm.LocationToken, State: before,
		}))
		standing.writes = 0
		w.calls()
		w.tick(activities.Tick{}) // the location is not parked
		ghl, _ := w.calls()
		assert.Equal(t, []string{"contacts.search"}, ghl)
		if before == crm.Disconnected {
			assert.Equal(t, crm.Disconnected, state(), "what somebody disconnected stays so")
			assert.Zero(t, standing.writes)
			continue
		}
		assert.Equal(t, crm.Connected, state(), before)
		w.tick(activities.Tick{})
		assert.LessOrEqual(t, standing.writes, 1, "an idle tick only reads")
	}
}

func TestAPollThatParksALocationNotesWhyItsConnectionCanNotWork(t *testing.T) {
	for code, spoil := range map[crm.Code]func(*world){
		crm.GHLToken: func(w *world) {
			w.ghl.PutLocation(ghltest.Location{ID: loc, Country: "CH", Tokens: []string{"another"}})
		},
		crm.GHLScope: func(w *world) { w.ghl.Revoke(loc, "contacts.readonly") },
	} {
		w := newWorld(t)
		w.polls.Standing = w.store
		require.NoError(t, w.store.PutConnection(t.Context(), crm.Connection{
			Location: loc, Owner: crm.LocationOwner(loc), Kind: crm.LocationToken, State: crm.Connected,
		}))
		spoil(w)
		assert.Equal(t, code, w.tick(activities.Tick{}).Parked)
		connection, err := w.store.Connection(t.Context(), loc)
		require.NoError(t, err)
		assert.Equal(t, crm.StateOf(code), connection.State, code)
	}
}
