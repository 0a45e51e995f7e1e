package activities_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
)

// acme is a business that is mirrored.
var acme = ghltest.Business{ID: "acme", Name: "Acme", Email: "Info@Acme.example", Phone: "044 668 18 00", City: "Zürich"}

// minding is a world whose polls look at businesses, with Acme mirrored and Jane attached to it.
func minding(t *testing.T) *world {
	w := linked(t)
	w.polls.Businesses, w.polls.Prints, w.polls.Rules = w.contacts.Source.(crm.BusinessSource), w.store.Fingerprinter(), rules.Default()
	w.ghl.Quietly().AddBusiness(loc, acme)
	w.mirrored("acme", "r-acme")
	w.attach("jane", "acme")
	w.remembers("jane", "acme")
	w.tick(activities.Tick{})
	require.Empty(t, w.attended())
	w.calls()
	return w
}

// mirrored has the link of a business say what a good round would leave; an empty record says that it is gone.
func (w *world) mirrored(business, record string) {
	w.t.Helper()
	ref := crm.Ref{Location: loc, Contact: business}
	was, err := w.store.Link(w.t.Context(), ref, crm.ABusiness)
	require.NoError(w.t, err)
	next := was
	if next.RankrID = record; record != "" {
		read, _, err := w.polls.Businesses.Business(w.t.Context(), loc, business)
		require.NoError(w.t, err)
		next.Fields = w.polls.Prints.Fields(crm.MapBusiness(read, crm.Location{ID: loc, Country: "CH"}).Fields)
	}
	require.NoError(w.t, w.store.Advance(w.t.Context(), was, next))
}

// remembers has the link of a contact say that it is attached to the business, and that this is all of its changes.
func (w *world) remembers(contact, business string) {
	w.t.Helper()
	was, err := w.store.Link(w.t.Context(), crm.Ref{Location: loc, Contact: contact}, crm.ContactItself)
	require.NoError(w.t, err)
	next := was
	next.Decision.Business, next.DateUpdated, next.MappingVersion = business, time.Now().Add(time.Hour), crm.MappingVersion
	require.NoError(w.t, w.store.Advance(w.t.Context(), was, next))
}

func (w *world) attach(contact, business string) {
	w.t.Helper()
	_, err := w.ghl.Quietly().Attach(contact, business)
	require.NoError(w.t, err)
}

func (w *world) detach(contact string) {
	w.t.Helper()
	_, err := w.ghl.Quietly().Detach(contact)
	require.NoError(w.t, err)
}

func (w *world) editBusiness(id string, change func(*ghltest.Business)) {
	w.t.Helper()
	_, err := w.ghl.Quietly().EditBusiness(id, change)
	require.NoError(w.t, err)
}

// attended returns the contacts and businesses that were handed over since the last look.
func (w *world) attended() []string {
	found := w.nudged.take()
	for _, business := range w.nudged.taken(&w.nudged.businesses) {
		found = append(found, "business "+business)
	}
	slices.Sort(found)
	return found
}

func TestAnIdleTickThatLooksAtBusinessesIsACallForThemAndOneEachForTheContactsOfFive(t *testing.T) {
	w := minding(t)
	answer := w.tick(activities.Tick{})
	assert.Empty(t, w.attended())
	assert.Equal(t, 1, answer.Businesses)
	ghl, rankr := w.calls()
	assert.Equal(t, []string{"contacts.search", "businesses.list", "contacts.list-by-business"}, ghl, "the country is known for a while")
	assert.Empty(t, rankr)
	assert.Equal(t, 3, answer.Calls)
}

func TestABusinessThatWasEditedIsFound(t *testing.T) {
	for name, change := range map[string]func(*ghltest.Business){
		"its city":                   func(b *ghltest.Business) { b.City = "Bern" },
		"its phone, without country": func(b *ghltest.Business) { b.Phone = "044 668 18 01" },
		"a value taken away":         func(b *ghltest.Business) { b.Email = "" },
	} {
		t.Run(name, func(t *testing.T) {
			w := minding(t)
			w.editBusiness("acme", change)
			answer := w.tick(activities.Tick{})
			assert.Equal(t, 1, answer.Nudged)
			assert.Equal(t, []string{"business acme"}, w.attended())
			w.mirrored("acme", "r-acme")
			w.tick(activities.Tick{})
			assert.Empty(t, w.attended())
		})
	}
	w := minding(t)
	w.editBusiness("acme", func(b *ghltest.Business) { b.Phone = "+41 44 668 18 00" })
	w.tick(activities.Tick{})
	assert.Empty(t, w.attended(), "written in another way it is the same")
}

func TestABusinessThatIsNotMirroredIsLeftAlone(t *testing.T) {
	w := minding(t)
	w.ghl.Quietly().AddBusiness(loc, ghltest.Business{ID: "other", Name: "Other"})
	w.tick(activities.Tick{})
	assert.Empty(t, w.attended())
	w.polls.Rules = nil
	w.editBusiness("acme", func(b *ghltest.Business) { b.City = "Bern" })
	w.calls()
	w.tick(activities.Tick{})
	assert.Empty(t, w.attended())
	ghl, _ := w.calls()
	assert.Equal(t, []string{"contacts.search"}, ghl, "rules that mirror none")
}

func TestABusinessThatDoesNotComeIntoStepIsHandedOverAFewTimesAndThenOnceAnHour(t *testing.T) {
	w := minding(t)
	w.editBusiness("acme", func(b *ghltest.Business) { b.City = "Bern" })
	handedOver := 0
	for range 9 {
		w.tick(activities.Tick{})
		handedOver += len(w.attended())
	}
	assert.Equal(t, 3, handedOver)
	w.editBusiness("acme", func(b *ghltest.Business) { b.City = "Basel" })
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"business acme"}, w.attended(), "another state may mend it")
}

func TestContactsThatWereAttachedOrDetachedAreFound(t *testing.T) {
	w := minding(t)
	w.ghl.Quietly().Create(loc, ghltest.Contact{ID: "joe", Email: "joe@example.com"})
	w.good("joe")
	w.remembers("joe", "")
	w.ghl.Quietly().Create(loc, ghltest.Contact{ID: "ann", Email: "ann@example.com", BusinessID: "acme"})
	w.tick(activities.Tick{})
	w.attended() // Ann is new, and none of ours until she comes into step

	w.attach("joe", "acme")
	w.tick(activities.Tick{Scheduled: true, Last: 2})
	assert.Contains(t, w.attended(), "joe")
	w.remembers("joe", "acme")
	w.detach("jane")
	w.tick(activities.Tick{})
	found := w.attended()
	assert.Contains(t, found, "jane")
	assert.NotContains(t, found, "joe")
	w.remembers("jane", "")
	w.tick(activities.Tick{})
	found = w.attended()
	assert.NotContains(t, found, "jane")
	assert.NotContains(t, found, "joe")
}

func TestAContactThatMovesFromOneBusinessToAnotherAndBackIsFoundEachTime(t *testing.T) {
	w := minding(t)
	w.ghl.Quietly().AddBusiness(loc, ghltest.Business{ID: "beta", Name: "Beta"})
	for range 5 {
		for _, business := range []string{"beta", "acme"} {
			w.attach("jane", business)
			w.tick(activities.Tick{})
			assert.Contains(t, w.attended(), "jane")
			w.remembers("jane", business)
		}
	}
	w.tick(activities.Tick{})
	assert.Empty(t, w.attended())
}

func TestABusinessThatIsGoneIsHandedOverWithItsContacts(t *testing.T) {
	w := minding(t)
	require.NoError(t, w.ghl.Quietly().DeleteBusiness("acme"))
	answer := w.tick(activities.Tick{})
	assert.Equal(t, []string{"business acme", "jane"}, w.attended())
	assert.Equal(t, 2, answer.Nudged)
	w.mirrored("acme", "")
	w.remembers("jane", "")
	w.tick(activities.Tick{})
	assert.Empty(t, w.attended())
}

func TestTheContactsOfManyBusinessesTakeTurns(t *testing.T) {
	w := minding(t)
	for i := range 11 {
		w.ghl.Quietly().AddBusiness(loc, ghltest.Business{ID: fmt.Sprintf("b%02d", i), Name: "B"})
	}
	w.attach("jane", "b10")
	w.remembers("jane", "")
	answer := activities.TickAnswer{}
	for _, last := range []string{"b03", "b08", "b01"} { // Acme comes first
		w.calls()
		answer = w.tick(activities.Tick{LastBusiness: answer.BusinessesFrom})
		assert.Equal(t, last, answer.BusinessesFrom)
		ghl, _ := w.calls()
		assert.Len(t, ghl, 2+5)
	}
	assert.Equal(t, []string{"jane"}, w.attended())
}

func TestAListThatIsCutShortTellsOfNobodyThatIsNotInIt(t *testing.T) {
	w := minding(t)
	w.polls.BusinessPages, w.polls.AttachedPages = 1, 1
	for i := range 120 {
		w.ghl.Quietly().AddBusiness(loc, ghltest.Business{ID: fmt.Sprintf("b%03d", i), Name: "B"})
	}
	w.tick(activities.Tick{})
	assert.Empty(t, w.attended(), "Acme, the oldest, is on the second page")

	w.polls.BusinessPages = 0
	for i := range 120 {
		w.ghl.Quietly().Create(loc, ghltest.Contact{ID: fmt.Sprintf("c%03d", i), Email: fmt.Sprintf("c%d@example.com", i), BusinessID: "acme"})
	}
	w.tick(activities.Tick{})
	assert.NotContains(t, w.attended(), "jane")
}

func TestAMissingScopeForBusinessesStopsNothingElseAndWhatWaitedForItGoesOn(t *testing.T) {
	w := minding(t)
	w.ghl.Revoke(loc, "businesses.readonly")
	w.park("new", crm.ABusiness, crm.GHLScope)
	answer := w.tick(activities.Tick{LastBusiness: "acme"})
	assert.Equal(t, crm.GHLScope, answer.BusinessesCode)
	assert.Equal(t, "acme", answer.BusinessesFrom)
	assert.Empty(t, answer.Parked)
	assert.Empty(t, w.attended())

	w.ghl.Grant(loc, "businesses.readonly")
	answer = w.tick(activities.Tick{})
	assert.Empty(t, answer.BusinessesCode)
	assert.Equal(t, []string{"business new"}, w.attended())
}

func TestABusinessThatCouldNotBeHandedOverIsHandedOverByTheNextTick(t *testing.T) {
	w := minding(t)
	w.editBusiness("acme", func(b *ghltest.Business) { b.City = "Bern" })
	w.nudged.fail = errors.New("Temporal is away")
	for range 5 {
		_, err := w.poll(activities.Tick{})
		require.Error(t, err)
	}
	w.nudged.fail = nil
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"business acme"}, w.attended())
}

func TestAttachedContactsThatAreNotLinkedOrHaveAProblemAreLeftAlone(t *testing.T) {
	w := minding(t)
	for _, contact := range []string{"stuck", "unlinked"} {
		w.ghl.Quietly().Create(loc, ghltest.Contact{ID: contact, Email: contact + "@example.com", BusinessID: "acme"})
	}
	w.good("stuck")
	w.remembers("stuck", "")
	w.remembers("unlinked", "")
	w.park("stuck", crm.ContactItself, crm.RankrInvalid)
	w.tick(activities.Tick{})
	assert.Empty(t, w.attended(), "what solves the problem, or links the contact, reads its business, too")
}

// park has a round of the object end with a problem.
func TestABusinessThatIsThoughtToBeGoneIsHandedOverWhenGHLListsIt(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	w.polls.Businesses, w.polls.Rules, w.polls.Prints = w.business.Source, rules.Default(), w.store.Fingerprinter()
	acme := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme"})
	w.ghl.Fail(ghltest.Fault{Operation: "businesses.get", Status: 404, Times: 1})
	result, err := w.businessDeed(activities.BusinessRound{Business: acme.ID})
	require.NoError(t, err)
	require.Equal(t, crm.Gone, result.Outcome)
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"business " + acme.ID}, w.attended())
}

func (w *world) park(contact string, object crm.Object, code crm.Code) {
	w.t.Helper()
	was, err := w.store.Link(w.t.Context(), crm.Ref{Location: loc, Contact: contact}, object)
	require.NoError(w.t, err)
	next := was
	next.Problem = code
	require.NoError(w.t, w.store.Park(w.t.Context(), was, next, crm.ProblemRecord{Ref: was.Ref, Object: object, Code: code}))
}

func TestSegmentsAndBusinessesThatWereParkedAreResumedByAGoodPoll(t *testing.T) {
	w := minding(t)
	w.park("jane", crm.Segments, crm.NotLinked)
	w.park("stuck", crm.ContactItself, crm.Ambiguous)
	w.park("stuck", crm.Segments, crm.NotLinked)
	w.mirrored("acme", "")
	w.park("acme", crm.ABusiness, crm.RankrInvalid)
	w.tick(activities.Tick{})
	assert.Empty(t, w.nudged.taken(&w.nudged.segments), "her business still has its problem")

	w.mirrored("acme", "r-acme")
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.nudged.taken(&w.nudged.segments))

	w.park("jane", crm.Segments, crm.RankrToken)
	w.park("acme", crm.ABusiness, crm.GHLToken)
	w.attended()
	w.tick(activities.Tick{})
	assert.Equal(t, []string{"jane"}, w.nudged.taken(&w.nudged.segments))
	assert.Equal(t, []string{"business acme"}, w.attended())
}
