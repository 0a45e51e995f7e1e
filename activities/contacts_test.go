package activities_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/names"
)

var jane = ghltest.Contact{ID: "jane", Email: "Jane@Example.com", FirstName: "Jane", Phone: "+41446681800", Tags: []string{"vip"}}

func TestAContactIsCreatedUpdatedAndLeftAloneForTheFewestCalls(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	result := w.good("jane")
	assert.Equal(t, crm.Created, result.Outcome)
	record, ok := w.rankr.Mirror("jane")
	require.True(t, ok)
	assert.Equal(t, record.ID, result.RankrID)
	assert.Equal(t, "jane@example.com", record.Fields["email"])
	assert.Equal(t, []string{"vip"}, record.Tags)
	ghl, rankr := w.calls()
	assert.Equal(t, []string{"contacts.get"}, ghl)
	assert.Equal(t, []string{"contacts.find", "contacts.create"}, rankr)

	w.edit("jane", func(c *ghltest.Contact) { c.FirstName = "Janet" })
	result = w.good("jane")
	assert.Equal(t, crm.Updated, result.Outcome)
	assert.Equal(t, []string{"firstName"}, result.Fields)
	ghl, rankr = w.calls()
	assert.Equal(t, []string{"contacts.get"}, ghl, "one read")
	assert.Equal(t, []string{"contacts.update"}, rankr, "one write")

	assert.Equal(t, crm.Unchanged, w.good("jane").Outcome)
	ghl, rankr = w.calls()
	assert.Equal(t, []string{"contacts.get"}, ghl)
	assert.Empty(t, rankr)
}

func (w *world) edit(contact string, change func(*ghltest.Contact)) {
	w.t.Helper()
	_, err := w.ghl.Edit(contact, change)
	require.NoError(w.t, err)
}

func TestAValueThatGHLNoLongerHasIsClearedAndOneThatItNeverHadIsNot(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, ghltest.Contact{ID: "jane", Email: "j@example.com", City: "Bern", DND: true, CustomFields: []ghltest.Value{{ID: "cf1", Value: "3000"}}, Tags: []string{"a", "b"}})
	w.good("jane")
	record, _ := w.rankr.Mirror("jane")
	assert.Equal(t, map[string]any{"pincode": "3000"}, record.CustomFields)
	_, err := w.rankr.Edit(record.ID, func(r *rankrtest.Record) { r.Fields["companyName"], r.Tags = "own", append(r.Tags, "own") })
	require.NoError(t, err)
	w.edit("jane", func(c *ghltest.Contact) {
		c.City, c.DND, c.CustomFields, c.Tags = "", false, nil, []string{"b", "c"}
	})
	w.calls()
	result := w.good("jane")
	assert.Equal(t, []string{"city", "customFields.pincode", "dnd", "tags"}, result.Fields)
	record, _ = w.rankr.Mirror("jane")
	assert.Equal(t, map[string]any{"email": "j@example.com", "companyName": "own"}, record.Fields)
	assert.Empty(t, record.CustomFields)
	assert.ElementsMatch(t, []string{"b", "c", "own"}, record.Tags)
	_, rankr := w.calls()
	assert.Equal(t, []string{"contacts.update", "contacts.addTags", "contacts.removeTags"}, rankr)
}

func TestAPhoneWithoutCountryIsReadWithItsLocations(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, ghltest.Contact{ID: "jane", Phone: "044 668 18 00"})
	w.good("jane")
	record, _ := w.rankr.Mirror("jane")
	assert.Equal(t, "+41446681800", record.Fields["phone"])
}

func TestARecordThatRankrAlreadyHasIsAdoptedAndItsOwnValuesStay(t *testing.T) {
	w := newWorld(t)
	own, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "jane@example.com", "companyName": "own", "dnd": true}, Tags: []string{"own"}})
	require.NoError(t, err)
	w.ghl.Create(loc, jane)
	result := w.good("jane")
	assert.Equal(t, crm.Adopted, result.Outcome)
	assert.Equal(t, own.ID, result.RankrID)
	assert.Len(t, w.rankr.All(), 1)
	record, _ := w.rankr.Mirror("jane")
	assert.Equal(t, "own", record.Fields["companyName"])
	assert.Equal(t, true, record.Fields["dnd"], "nobody's opt-out is taken back")
	assert.ElementsMatch(t, []string{"own", "vip"}, record.Tags)

	require.NoError(t, w.ghl.Delete("jane"))
	assert.Equal(t, crm.Unlinked, w.good("jane").Outcome)
	record, ok := w.rankr.Get(own.ID)
	require.True(t, ok, "what we adopted is never deleted")
	assert.Empty(t, record.ExternalID)
}

func TestTwoRecordsThatCouldBeTheContactAreAProblemThatNamesBothAndClosesItself(t *testing.T) {
	w := newWorld(t)
	first, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "jane@example.com"}})
	require.NoError(t, err)
	second, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"phone": "+41446681800"}})
	require.NoError(t, err)
	w.ghl.Create(loc, jane)
	result := w.good("jane")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.Ambiguous, result.Code)
	require.Len(t, w.problems(), 1)
	assert.ElementsMatch(t, []string{first.ID, second.ID}, w.problems()[0].Fields)

	require.NoError(t, w.rankr.Remove(second.ID))
	assert.Equal(t, crm.Adopted, w.good("jane").Outcome)
	assert.Empty(t, w.problems())
}

func TestADeletedContactIsDeletedInRankrOnlyWithEvidence(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.ghl.Set(func(k *ghltest.Knobs) { k.NotFoundAll = true })
	w.ghl.Fail(ghltest.Fault{Operation: "locations.get", Status: http.StatusForbidden})
	result := w.good("jane")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.GHLTenant, result.Code, "the location does not answer: no evidence")
	assert.Len(t, w.rankr.All(), 1)
	w.ghl.Heal()
	w.ghl.Set(func(k *ghltest.Knobs) { k.NotFoundAll = false })
	require.NoError(t, w.store.Unpark(t.Context(), loc))

	w.ghl.Fail(ghltest.Fault{Operation: "contacts.get", HTML: true, Status: http.StatusNotFound})
	_, err := w.round("jane")
	require.Error(t, err, "a proxy's 404 is no 404 of GHL's")
	assert.Len(t, w.rankr.All(), 1)
	w.ghl.Heal()

	require.NoError(t, w.ghl.Delete("jane"))
	w.calls()
	assert.Equal(t, crm.Deleted, w.good("jane").Outcome)
	assert.Empty(t, w.rankr.All())
	ghl, rankr := w.calls()
	assert.Equal(t, []string{"contacts.get", "locations.get"}, ghl)
	assert.Equal(t, []string{"contacts.get", "contacts.delete"}, rankr, "what is deleted is looked at first")
	assert.Equal(t, crm.Gone, w.good("jane").Outcome, "a second hint finds nothing to do")
	assert.Empty(t, w.problems())
}

func TestDeletesMayBeKept(t *testing.T) {
	w := newWorld(t)
	w.contacts.KeepDeleted = true
	w.ghl.Create(loc, jane)
	w.good("jane")
	require.NoError(t, w.ghl.Delete("jane"))
	assert.Equal(t, crm.Unlinked, w.good("jane").Outcome)
	assert.Len(t, w.rankr.All(), 1)
}

func TestTheBrakeParksAMassDeleteUntilAPersonApproves(t *testing.T) {
	w := newWorld(t)
	for i := range 23 {
		id := fmt.Sprint("c", i)
		w.ghl.Create(loc, ghltest.Contact{ID: id, FirstName: id, Email: id + "@example.com"})
		w.good(id)
		require.NoError(t, w.ghl.Delete(id))
	}
	outcomes := map[crm.Outcome]int{}
	for i := range 23 {
		outcomes[w.good(fmt.Sprint("c", i)).Outcome]++
	}
	assert.Equal(t, map[crm.Outcome]int{crm.Deleted: 20, crm.Problem: 3}, outcomes)
	assert.Len(t, w.rankr.All(), 3)
	contacts, err := w.store.ApproveDeletes(t.Context(), loc)
	require.NoError(t, err)
	require.Len(t, contacts, 3)
	for _, contact := range contacts {
		assert.Equal(t, crm.Deleted, w.good(contact).Outcome)
	}
	assert.Empty(t, w.rankr.All())
	assert.Empty(t, w.problems())
}

func TestAContactThatComesBackAfterItsDeleteIsANewRecord(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	first := w.good("jane")
	require.NoError(t, w.ghl.Delete("jane"))
	w.good("jane")
	w.ghl.Create(loc, jane)
	again := w.good("jane")
	assert.Equal(t, crm.Created, again.Outcome)
	assert.NotEqual(t, first.RankrID, again.RankrID, "the old answer of the idempotency key is not taken")
	assert.Len(t, w.rankr.All(), 1)
}

func TestARecordThatSomebodyDeletedInRankrIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	first := w.good("jane")
	require.NoError(t, w.rankr.Remove(first.RankrID))
	w.edit("jane", func(c *ghltest.Contact) { c.City = "Bern" })
	assert.Equal(t, crm.Created, w.good("jane").Outcome)
	assert.Len(t, w.rankr.All(), 1)
}

func TestAHintOlderThanTheLastReadCostsNoCall(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.calls()
	w.pass(time.Minute)
	old := activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Hint: names.Hint{Contact: "jane", At: time.Now().Add(-time.Hour)}}
	result, err := w.deed(old)
	require.NoError(t, err)
	assert.Equal(t, crm.Covered, result.Outcome)
	ghl, rankr := w.calls()
	assert.Empty(t, ghl)
	assert.Empty(t, rankr)

	old.Hint.At = time.Now()
	result, err = w.deed(old)
	require.NoError(t, err)
	assert.Equal(t, crm.Unchanged, result.Outcome, "within the margin it reads")
}

func TestAChangeWithinTheQuietPeriodWaitsBeforeItSpendsACall(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.calls()
	w.pass(500 * time.Millisecond)
	result, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}})
	require.NoError(t, err)
	assert.Equal(t, crm.Waiting, result.Outcome)
	assert.InDelta(t, 1500*time.Millisecond, result.Wait, float64(time.Millisecond))
	ghl, _ := w.calls()
	assert.Empty(t, ghl)
}

func TestWhatRankrRefusesIsAProblemWithTheFieldAndNotTheValue(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, ghltest.Contact{ID: "jane", FirstName: "Jane", Phone: "CANARY ask at the desk", Email: "j@example.com"})
	result := w.good("jane")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.RankrInvalid, result.Code)
	assert.Equal(t, []string{"phone"}, result.Fields)
	assert.NotContains(t, fmt.Sprint(result, w.problems()), "CANARY")
	assert.Empty(t, w.rankr.All(), "nothing is half written")

	w.edit("jane", func(c *ghltest.Contact) { c.Phone = "" })
	assert.Equal(t, crm.Created, w.good("jane").Outcome)
	assert.Empty(t, w.problems())
}

func TestAnOutageOfRankrCostsOneGHLReadAContact(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.edit("jane", func(c *ghltest.Contact) { c.City = "Bern" })
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = true })
	w.calls()
	for failures := range 5 {
		w.pass(40 * time.Second)
		_, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Failures: failures})
		var e *temporal.ApplicationError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, string(crm.RankrUnavailable), e.Type())
		assert.False(t, e.NonRetryable())
	}
	ghl, _ := w.calls()
	assert.Equal(t, []string{"contacts.get"}, ghl)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = false })
	w.pass(40 * time.Second)
	result, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Failures: 5})
	require.NoError(t, err)
	assert.Equal(t, crm.Updated, result.Outcome)
}

func TestACreateWhoseAnswerIsLostIsNotMadeTwice(t *testing.T) {
	for name, fault := range map[string]rankrtest.Fault{
		"reset after the effect": {Operation: "contacts.create", Times: 1, ResetAfter: true},
		"cut answer":             {Operation: "contacts.create", Times: 1, Cut: true},
		"500 after the effect":   {Operation: "contacts.create", Times: 1, Status: 500, AfterEffect: true},
		"somebody else's record": {Operation: "contacts.create", Times: 1, Foreign: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ghl.Create(loc, jane)
			w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{fault} })
			if _, err := w.round("jane"); err == nil {
				require.True(t, fault.ResetAfter, "only net/http itself repeats a request that has an idempotency key")
			}
			w.edit("jane", func(c *ghltest.Contact) { c.FirstName = "Janet" })
			w.pass(time.Minute)
			result, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Failures: 1})
			require.NoError(t, err)
			record, _ := w.rankr.Mirror("jane")
			assert.Equal(t, "Janet", record.Fields["firstName"])
			assert.Len(t, w.rankr.All(), 1)

			require.NoError(t, w.ghl.Delete("jane"))
			w.pass(max(result.Wait, 3*time.Second))
			assert.Equal(t, crm.Deleted, w.good("jane").Outcome, "it is known that we made it")
		})
	}
}

func TestARankrThatKeepsItsOldValueIsNotRewrittenForEver(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.KeepOld = []string{"city"}
		k.Faults = []rankrtest.Fault{{Operation: "contacts.update", Times: 1, ResetAfter: true}}
	})
	w.edit("jane", func(c *ghltest.Contact) { c.City = "Bern" })
	_, err := w.round("jane")
	require.Error(t, err)
	w.calls()
	wait := time.Minute
	for rounds := 0; wait > 0; rounds++ {
		require.Less(t, rounds, 5, "it never comes to rest")
		w.pass(wait)
		result, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Failures: 1})
		require.NoError(t, err)
		wait = result.Wait
	}
	assert.Equal(t, crm.Unchanged, w.good("jane").Outcome)
	_, rankr := w.calls()
	writes := strings.Count(strings.Join(rankr, " "), "contacts.update")
	assert.LessOrEqual(t, writes, 2)
}

func TestATokenThatIsRefusedParksTheLocationAndAGoodPollResumesIt(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.ghl.Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
	w.ghl.PutLocation(ghltest.Location{ID: loc, Country: "CH", Tokens: []string{"another"}})
	assert.Equal(t, crm.GHLToken, w.good("jane").Code)
	w.calls()
	assert.Equal(t, crm.GHLToken, w.good("joe").Code)
	ghl, _ := w.calls()
	assert.Empty(t, ghl, "the second contact does not run into the same wall")
	require.Len(t, w.problems(), 2)

	answer, err := w.poll(activities.Tick{})
	require.NoError(t, err)
	assert.Equal(t, crm.GHLToken, answer.Parked)
	assert.Empty(t, w.nudged.take())

	w.ghl.PutLocation(ghltest.Location{ID: loc, Country: "CH"})
	answer, err = w.poll(activities.Tick{})
	require.NoError(t, err)
	assert.Empty(t, answer.Parked)
	assert.ElementsMatch(t, []string{"jane", "joe"}, w.nudged.take())
	assert.Equal(t, crm.Created, w.good("jane").Outcome)
	assert.Equal(t, crm.Created, w.good("joe").Outcome)
	assert.Empty(t, w.problems())
}

func TestRankrsTokenParksAllAndIsAskedAgainByTheNextPoll(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Tokens = map[string]string{"another": ""} })
	assert.Equal(t, crm.RankrToken, w.good("jane").Code)
	answer, err := w.poll(activities.Tick{})
	require.NoError(t, err)
	assert.Equal(t, crm.RankrToken, answer.Parked)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Tokens = nil })
	w.nudged.take()
	_, err = w.poll(activities.Tick{})
	require.NoError(t, err)
	assert.Contains(t, w.nudged.take(), "jane")
	assert.Equal(t, crm.Created, w.good("jane").Outcome)
}

func TestRateLimitsLeaveWithTheVendorsDelay(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.ghl.Fail(ghltest.Fault{Operation: "contacts.get", Status: http.StatusTooManyRequests, RetryAfter: "7"})
	_, err := w.round("jane")
	var e *temporal.ApplicationError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, string(crm.GHLRateLimited), e.Type())
	assert.Equal(t, 7*time.Second, e.NextRetryDelay())
}

func TestWhatGHLMayAnswerNeverHalfWritesAnything(t *testing.T) {
	for name, fault := range map[string]ghltest.Fault{
		"cut": {Cut: true}, "html": {HTML: true}, "empty": {Empty: true}, "foreign": {Foreign: true}, "reset": {ResetBefore: true},
		"500": {Status: 500}, "502": {Status: 502},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ghl.Create(loc, jane)
			w.ghl.Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
			fault.Operation, fault.Contact = "contacts.get", "jane"
			w.ghl.Fail(fault)
			_, err := w.round("jane")
			var e *temporal.ApplicationError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, string(crm.GHLUnavailable), e.Type())
			assert.Empty(t, w.rankr.All())
			assert.NotContains(t, strings.ToLower(e.Error()), "example.com")
		})
	}
}

func TestBadIDsAreRefusedBeforeAnyCall(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"", "a/b", "..", "a\nb", strings.Repeat("x", 4096)} {
		_, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: id}})
		var e *temporal.ApplicationError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, string(crm.InvalidInput), e.Type())
		assert.True(t, e.NonRetryable())
	}
	ghl, rankr := w.calls()
	assert.Empty(t, ghl)
	assert.Empty(t, rankr)
}

func TestAnUnknownContactIsGoneAndMakesNothing(t *testing.T) {
	w := newWorld(t)
	assert.Equal(t, crm.Gone, w.good("nobody").Outcome)
	assert.Empty(t, w.rankr.All())
	assert.Empty(t, w.problems())
}

func TestHeavyContactsGetThroughOrAreAClearProblem(t *testing.T) {
	w := newWorld(t)
	tags := make([]string, 10_000)
	for i := range tags {
		tags[i] = fmt.Sprint("tag ", i)
	}
	w.ghl.Create(loc, ghltest.Contact{ID: "tags", Email: "tags@example.com", Tags: tags})
	assert.Equal(t, crm.Created, w.good("tags").Outcome)
	record, _ := w.rankr.Mirror("tags")
	assert.Len(t, record.Tags, 10_000)

	w.ghl.Create(loc, ghltest.Contact{ID: "long", Email: "long@example.com", Address1: strings.Repeat("x", 1<<20)})
	result := w.good("long")
	assert.Equal(t, crm.Problem, result.Outcome)
	assert.Equal(t, crm.RankrInvalid, result.Code)

	w.ghl.Create(loc, ghltest.Contact{ID: "bare", FirstName: "No email, no phone"})
	assert.Equal(t, crm.Created, w.good("bare").Outcome)
}

func TestAPageBringsItsContactsIntoStepAndOnePoisonedContactDoesNotStopIt(t *testing.T) {
	w := newWorld(t)
	var hints []names.Hint
	for i := range 20 {
		id := fmt.Sprint("c", i)
		w.ghl.Create(loc, ghltest.Contact{ID: id, Email: id + "@example.com"})
		hints = append(hints, names.Hint{Contact: id})
	}
	w.ghl.Create(loc, ghltest.Contact{ID: "poison", Phone: "nonsense"})
	hints = append(hints, names.Hint{Contact: "poison"}, names.Hint{Contact: "a/b"})
	answer, err := w.page(hints...)
	require.NoError(t, err)
	assert.Equal(t, map[crm.Outcome]int{crm.Created: 20, crm.Problem: 2}, answer.Outcomes)
	assert.Len(t, w.rankr.All(), 20)
	require.Len(t, w.problems(), 1)
}

func TestAPageListsTheContactsThatMustWait(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	_, err := w.page(names.Hint{Contact: "jane"})
	require.NoError(t, err)
	answer, err := w.page(names.Hint{Contact: "jane"})
	require.NoError(t, err)
	require.Len(t, answer.Waiting, 1)
	assert.Equal(t, "jane", answer.Waiting[0].Contact)
}

func TestASystemThatIsAwayFailsThePage(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.ghl.Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = true })
	_, err := w.page(names.Hint{Contact: "jane"}, names.Hint{Contact: "joe"})
	var e *temporal.ApplicationError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, string(crm.RankrUnavailable), e.Type())
}

func TestNoPersonalValueLeavesWithAnError(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, ghltest.Contact{ID: "jane", Email: "CANARY@example.com", FirstName: "CANARY", Phone: "+41446681800"})
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = true })
	_, err := w.round("jane")
	require.Error(t, err)
	for ; err != nil; err = errors.Unwrap(err) {
		assert.NotContains(t, strings.ToUpper(err.Error()), "CANARY")
		assert.NotContains(t, err.Error(), "41446681800")
		assert.NotContains(t, err.Error(), "127.0.0.1")
	}
}

func TestAStoreThatWasDeletedIsFilledAgainWithoutADuplicate(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	first := w.good("jane")
	fresh, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "fresh.db"), store.WithClock(w.clock))
	require.NoError(t, err)
	defer fresh.Close()
	w.contacts.Links, w.contacts.Prints, w.contacts.StoreID = fresh, fresh.Fingerprinter(), fresh.ID()
	w.edit("jane", func(c *ghltest.Contact) { c.City = "Bern" })
	result := w.good("jane")
	assert.Equal(t, crm.Adopted, result.Outcome)
	assert.Equal(t, first.RankrID, result.RankrID)
	assert.Equal(t, []string{"city"}, result.Fields)
	assert.Len(t, w.rankr.All(), 1)

	require.NoError(t, w.ghl.Delete("jane"))
	assert.Equal(t, crm.Unlinked, w.good("jane").Outcome, "that we made it is not known any more")
}

func TestAStoreRestoredFromBeforeAnEditAndItsUndoingEndsInStep(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, ghltest.Contact{ID: "jane", Email: "jane@example.com", City: "A"})
	w.good("jane")
	backup := w.link("jane")
	w.edit("jane", func(c *ghltest.Contact) { c.City = "B" })
	w.good("jane")
	now := w.link("jane")
	require.NoError(t, w.store.Advance(t.Context(), now, backup)) // yesterday's row
	w.edit("jane", func(c *ghltest.Contact) { c.City = "A" })
	_, err := w.poll(activities.Tick{Scheduled: true, Last: 5})
	require.NoError(t, err)
	assert.Equal(t, crm.Updated, w.good("jane").Outcome)
	record, _ := w.rankr.Mirror("jane")
	assert.Equal(t, "A", record.Fields["city"])
}

func (w *world) link(contact string) crm.Link {
	link, err := w.store.Link(w.t.Context(), crm.Ref{Location: loc, Contact: contact}, crm.ContactItself)
	require.NoError(w.t, err)
	return link
}

func TestAWriteThatNeverHelpsBecomesAProblemOrABackOffAndNeverALoop(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		code  crm.Code // of the problem; empty: an error, tried again after a back-off
	}{
		"409 that names somebody else's record": {func(w *world) {
			other, err := w.rankr.Add(rankrtest.Record{ExternalID: "other", Fields: map[string]any{"email": "o@example.com"}})
			require.NoError(w.t, err)
			w.contacts.Destination = refusing{w.contacts.Destination, other.ID}
		}, crm.MatchTaken},
		"409 that names nobody": {func(w *world) {
			w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Operation: "contacts.create", Status: 409}} })
		}, crm.RankrInvalid},
		"404 on every write": {func(w *world) {
			w.good("jane")
			w.edit("jane", func(c *ghltest.Contact) { c.City = "Bern" })
			w.rankr.Set(func(k *rankrtest.Knobs) {
				k.Faults = []rankrtest.Fault{{Operation: "contacts.update", Status: 404}, {Operation: "contacts.create", Status: 404}}
			})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.ghl.Create(loc, jane)
			c.spoil(w)
			w.calls()
			result, err := w.round("jane")
			ghl, rankr := w.calls()
			assert.LessOrEqual(t, len(ghl), 2)
			assert.LessOrEqual(t, len(rankr), 6)
			if c.code != "" {
				require.NoError(t, err)
				assert.Equal(t, c.code, result.Code)
				assert.Len(t, w.problems(), 1)
				return
			}
			require.Error(t, err)
		})
	}
}

// refusing is a Rankr that breaks the contract: it refuses every create and names the wrong winner.
type refusing struct {
	crm.Destination
	winner string
}

func (r refusing) Create(context.Context, string, string, crm.Contact) (crm.Contact, error) {
	return crm.Contact{}, &crm.Error{Code: crm.RankrDuplicate, Operation: "rankr contacts.create", Status: 409, ID: r.winner}
}

func TestARefusalOfOneContactDoesNotParkItsLocation(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.ghl.Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
	w.ghl.Fail(ghltest.Fault{Operation: "contacts.get", Contact: "joe", Status: http.StatusForbidden})
	assert.Equal(t, crm.GHLTenant, w.good("joe").Code)
	assert.Equal(t, crm.Created, w.good("jane").Outcome)
}

func TestAPageThatIsTriedAgainGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.ghl.Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.contacts)
	env.SetHeartbeatDetails(map[string]any{"Done": []string{"jane"}, "Answer": activities.PageAnswer{Outcomes: map[crm.Outcome]int{crm.Created: 1}}})
	value, err := env.ExecuteActivity(w.contacts.BringPageIntoStep, activities.PageRound{Location: loc, Hints: []names.Hint{{Contact: "jane"}, {Contact: "joe"}}})
	require.NoError(t, err)
	var answer activities.PageAnswer
	require.NoError(t, value.Get(&answer))
	assert.Equal(t, map[crm.Outcome]int{crm.Created: 2}, answer.Outcomes, "both are counted")
	_, made := w.rankr.Mirror("jane")
	assert.False(t, made, "what is finished is not done again")
	assert.Len(t, w.rankr.All(), 1)
}

func TestAPageAfterAFailedOneAsksRankrFirst(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Down = true })
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.contacts)
	_, err := env.ExecuteActivity(w.contacts.BringPageIntoStep, activities.PageRound{Location: loc, Hints: []names.Hint{{Contact: "jane"}, {Contact: "joe"}}, Failures: 1})
	require.Error(t, err)
	ghl, _ := w.calls()
	assert.Empty(t, ghl)
}

func TestARecordThatTheSearchDoesNotShowYetIsFoundByTheRefusalOfItsDouble(t *testing.T) {
	w := newWorld(t)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.SearchLag = time.Hour })
	_, err := w.rankr.Add(rankrtest.Record{ExternalID: "jane", Fields: map[string]any{"email": "jane@example.com"}})
	require.NoError(t, err)
	w.ghl.Create(loc, jane)
	assert.Equal(t, crm.Adopted, w.good("jane").Outcome)
	assert.Len(t, w.rankr.All(), 1)
}

func TestAFieldListThatIsGoneDeletesNobody(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	w.edit("jane", func(c *ghltest.Contact) { c.CustomFields = []ghltest.Value{{ID: "cf1", Value: "3000"}} })
	w.ghl.Fail(ghltest.Fault{Operation: "locations.custom-fields.list", Status: http.StatusNotFound})
	_, err := w.round("jane")
	require.Error(t, err)
	assert.Len(t, w.rankr.All(), 1)
}

func TestARecordThatSomebodyGaveToAnotherContactIsNotOursToDelete(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	first := w.good("jane")
	_, err := w.rankr.Edit(first.RankrID, func(r *rankrtest.Record) { r.ExternalID = "joe" })
	require.NoError(t, err)
	require.NoError(t, w.ghl.Delete("jane"))
	assert.Equal(t, crm.Gone, w.good("jane").Outcome)
	record, ok := w.rankr.Get(first.RankrID)
	require.True(t, ok)
	assert.Equal(t, "joe", record.ExternalID)
}

func TestAnAdoptionThatWasRefusedIsWholeOnceItSucceeds(t *testing.T) {
	w := newWorld(t)
	own, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "jane@example.com"}})
	require.NoError(t, err)
	w.ghl.Create(loc, ghltest.Contact{ID: "jane", Email: "jane@example.com", Phone: "nonsense"})
	assert.Equal(t, crm.RankrInvalid, w.good("jane").Code)
	w.edit("jane", func(c *ghltest.Contact) { c.Phone = "+41446681800" })
	assert.Equal(t, crm.Adopted, w.good("jane").Outcome)
	record, _ := w.rankr.Get(own.ID)
	assert.Equal(t, "jane", record.ExternalID)
}

func TestARefusalOfRankrsForOneRecordParksNobodyElse(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.ghl.Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{{Operation: "contacts.create", ExternalID: "joe", Status: http.StatusForbidden}}
	})
	assert.Equal(t, crm.RankrToken, w.good("joe").Code)
	assert.Equal(t, crm.Created, w.good("jane").Outcome)
}

func TestAContactOfALocationThatIsNotConnectedYetWaitsAsAProblem(t *testing.T) {
	w := newWorld(t)
	w.contacts.Source = unconnected{w.contacts.Source}
	assert.Equal(t, crm.UnknownLocation, w.good("jane").Code)
	assert.Len(t, w.problems(), 1)
	w.polls.Since = time.Now().Add(-time.Hour)
	_, err := w.poll(activities.Tick{})
	require.NoError(t, err)
	assert.Equal(t, []string{"jane"}, w.nudged.take())
}

type unconnected struct{ crm.Source }

func (unconnected) Contact(context.Context, crm.Ref) (crm.Contact, time.Time, error) {
	return crm.Contact{}, time.Time{}, &crm.Error{Code: crm.UnknownLocation, Operation: "ghl token"}
}

func TestAContactThatASystemAlwaysFailsLeavesItsPageAndHurtsNobody(t *testing.T) {
	w := newWorld(t)
	var hints []names.Hint
	for i := range 30 {
		id := fmt.Sprint("c", i)
		w.ghl.Create(loc, ghltest.Contact{ID: id, Email: id + "@example.com"})
		hints = append(hints, names.Hint{Contact: id})
	}
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{{Operation: "contacts.create", ExternalID: "c20", Status: http.StatusInternalServerError}}
	})
	answer, err := w.page(hints...)
	require.NoError(t, err)
	assert.Equal(t, 29, answer.Outcomes[crm.Created])
	assert.Equal(t, []string{"c20"}, w.nudged.take(), "to a run of its own, where its retries can be seen")
}
