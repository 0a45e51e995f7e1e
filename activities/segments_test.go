package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
	"github.com/rankrsync/rankrsync/workflows/names"
)

const segmentRules = `
segments:
  - name: Swiss VIPs
    when: '"vip" in tags && contact.country == "CH"'
  - name: Reachable
    when: 'contact.email != "" || contact.phone != ""'
tagWorkflows:
  - name: welcome
    whenTagAdded: new lead
    addTags: [nurture]
    removeTags: [cold]
    task:
      title: '"Call " + default(contact.firstName, "the new lead")'
      due: 'now + duration("48h")'
`

// withRules gives the world a sync.yaml.
func (w *world) withRules(yaml string) {
	w.t.Helper()
	r, err := rules.Parse("sync.yaml", []byte(yaml))
	require.NoError(w.t, err)
	w.contacts.Rules = r
}

func (w *world) segmentDeed(in activities.Round) (crm.Result, error) {
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.segments)
	value, err := env.ExecuteActivity(w.segments.BringSegmentsIntoStep, in)
	if err != nil {
		return crm.Result{}, err
	}
	var answer activities.Answer
	require.NoError(w.t, value.Get(&answer))
	return answer.Result, nil
}

func (w *world) businessDeed(in activities.BusinessRound) (crm.Result, error) {
	in.Location = loc
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.business)
	value, err := env.ExecuteActivity(w.business.BringBusinessIntoStep, in)
	if err != nil {
		return crm.Result{}, err
	}
	var answer activities.Answer
	require.NoError(w.t, value.Get(&answer))
	return answer.Result, nil
}

// segment does the rounds that were asked for, as Temporal would.
func (w *world) segment() (last crm.Result) {
	w.t.Helper()
	for range 20 {
		hints, businesses, contacts := w.nudged.takeHints(&w.nudged.segments), w.nudged.takeHints(&w.nudged.businesses), w.nudged.take()
		if len(hints)+len(businesses)+len(contacts) == 0 {
			return last
		}
		for _, hint := range businesses {
			w.pass(3 * time.Second)
			_, err := w.businessDeed(activities.BusinessRound{Business: hint.Contact, Hint: hint})
			require.NoError(w.t, err)
		}
		for _, contact := range contacts {
			w.good(contact)
		}
		for _, hint := range hints {
			w.pass(3 * time.Second)
			result, err := w.segmentDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: hint.Contact}, Hint: hint})
			require.NoError(w.t, err)
			if last = result; result.Wait > 0 {
				require.NoError(w.t, w.nudged.Segments(w.t.Context(), loc, hint))
			}
		}
	}
	require.Fail(w.t, "it never comes to rest")
	return last
}

func (w *world) segmentsOf(contact string) (segmentNames []string) {
	w.t.Helper()
	record := w.mirror(contact)
	for _, segment := range w.rankr.Segments() {
		for _, id := range record.Segments {
			if id == segment.ID {
				segmentNames = append(segmentNames, segment.Name)
			}
		}
	}
	return segmentNames
}

func (w *world) mirror(contact string) rankrtest.Record {
	w.t.Helper()
	var found []rankrtest.Record
	for _, record := range w.rankr.All() {
		if record.ExternalID == contact {
			found = append(found, record)
		}
	}
	require.Len(w.t, found, 1)
	return found[0]
}

func TestAContactIsInExactlyTheSegmentsWhoseRuleHolds(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	c := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com", FirstName: "Ann", Country: "CH", Tags: []string{"vip"}})
	w.good(c.ID)
	assert.Equal(t, crm.Updated, w.segment().Outcome)
	assert.ElementsMatch(t, []string{"Swiss VIPs", "Reachable"}, w.segmentsOf(c.ID))

	_, err := w.ghl.Untag(c.ID, "vip")
	require.NoError(t, err)
	w.calls()
	w.good(c.ID)
	w.segment()
	ghlCalls, rankrCalls := w.calls()
	assert.Equal(t, []string{"contacts.get"}, ghlCalls, "the contact's one read serves both")
	assert.Equal(t, []string{"contacts.removeTags", "contacts.get", "contacts.setSegments"}, rankrCalls)
	assert.Equal(t, []string{"Reachable"}, w.segmentsOf(c.ID))

	_, err = w.ghl.Edit(c.ID, func(c *ghltest.Contact) { c.FirstName = "Anna" })
	require.NoError(t, err)
	w.good(c.ID)
	assert.Empty(t, w.nudged.takeHints(&w.nudged.segments), "nothing is decided otherwise: no workflow is started")
}

func TestWhatADecisionLeftUndoneIsAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	c := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.nudged.fail = assert.AnError
	_, err := w.round(c.ID)
	require.Error(t, err)
	w.nudged.fail = nil
	w.pass(time.Minute)
	result, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: c.ID}, Hint: names.Hint{At: time.Now().Add(-time.Hour)}})
	require.NoError(t, err)
	assert.Equal(t, crm.Covered, result.Outcome, "an old hint costs no call")
	w.segment()
	assert.Equal(t, []string{"Reachable"}, w.segmentsOf(c.ID))
}

func TestAfterTheStoreWasRestoredSegmentsAreComparedAsWell(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.good(ann.ID)
	w.segment()
	_, err := w.rankr.Edit(w.mirror(ann.ID).ID, func(r *rankrtest.Record) { r.Segments = nil }) // as a round did that is forgotten
	require.NoError(t, err)
	require.NoError(t, w.store.UnsureAll(t.Context(), loc))
	w.pass(time.Minute)
	w.good(ann.ID)
	w.segment()
	assert.Equal(t, []string{"Reachable"}, w.segmentsOf(ann.ID))
	w.good(ann.ID)
	assert.Empty(t, w.nudged.takeHints(&w.nudged.segments), "once they have been, they are believed again")
}

func TestABusinessIsMirroredAndItsContactsFollow(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	acme := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme", City: "Bern"})
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	bob := w.ghl.Create(loc, ghltest.Contact{Email: "bob@example.com"})
	for _, contact := range []string{ann.ID, bob.ID} {
		_, err := w.ghl.Attach(contact, acme.ID)
		require.NoError(t, err)
		w.good(contact)
	}
	w.segment()
	require.Len(t, w.rankr.Businesses(), 1)
	business := w.rankr.Businesses()[0]
	assert.Equal(t, acme.ID, business.ExternalID)
	assert.Equal(t, business.ID, w.mirror(ann.ID).BusinessID)
	assert.Equal(t, business.ID, w.mirror(bob.ID).BusinessID)
	ghlCalls, _ := w.calls()
	assert.Equal(t, 1, count(ghlCalls, "businesses.get"), "read once however many of its contacts change")

	_, err := w.ghl.Detach(ann.ID)
	require.NoError(t, err)
	w.good(ann.ID)
	w.segment()
	assert.Empty(t, w.mirror(ann.ID).BusinessID)
	assert.Equal(t, business.ID, w.mirror(bob.ID).BusinessID)
}

func TestABusinessThatPeopleSetInRankrIsNotTakenAway(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.good(ann.ID)
	w.segment()
	theirs, err := w.rankr.AddBusiness(rankrtest.Business{Name: "Theirs"})
	require.NoError(t, err)
	_, err = w.rankr.Edit(w.mirror(ann.ID).ID, func(r *rankrtest.Record) { r.BusinessID = theirs.ID })
	require.NoError(t, err)
	_, err = w.segmentDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: ann.ID}})
	require.NoError(t, err)
	assert.Equal(t, theirs.ID, w.mirror(ann.ID).BusinessID)
}

func TestABusinessThatPeopleSetInsteadOfOursStaysWhenOursGoes(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	acme := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme"})
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	_, err := w.ghl.Attach(ann.ID, acme.ID)
	require.NoError(t, err)
	w.good(ann.ID)
	w.segment()
	theirs, err := w.rankr.AddBusiness(rankrtest.Business{Name: "Theirs"})
	require.NoError(t, err)
	_, err = w.rankr.Attach(w.mirror(ann.ID).ID, theirs.ID)
	require.NoError(t, err)
	_, err = w.ghl.Detach(ann.ID)
	require.NoError(t, err)
	w.good(ann.ID)
	w.segment()
	assert.Equal(t, theirs.ID, w.mirror(ann.ID).BusinessID)
}

func TestAContactLeavesItsBusinessForOneThatHasAProblem(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	acme, other := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme"}), w.ghl.AddBusiness(loc, ghltest.Business{Name: "Other"})
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.attach(ann.ID, acme.ID)
	w.good(ann.ID)
	w.segment()
	require.NotEmpty(t, w.mirror(ann.ID).BusinessID)
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = append(k.Faults, rankrtest.Fault{Operation: "businesses.create", Status: 422, Times: 100})
	})
	w.attach(ann.ID, other.ID)
	w.good(ann.ID)
	assert.Equal(t, crm.NotLinked, w.segment().Code)
	assert.Empty(t, w.mirror(ann.ID).BusinessID)
	w.passInGHL(3 * time.Second) // its Date has whole seconds, and rounds are further apart
	w.detach(ann.ID)
	w.good(ann.ID)
	w.segment()
	assert.Empty(t, w.mirror(ann.ID).BusinessID)
	problems := w.problems()
	require.Len(t, problems, 1)
	assert.Equal(t, crm.ABusiness, problems[0].Object)
}

func TestABusinessThatPeopleDeletedIsMadeAgainForItsNextContact(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	acme := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme"})
	ann, bob := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"}), w.ghl.Create(loc, ghltest.Contact{Email: "bob@example.com"})
	w.attach(ann.ID, acme.ID)
	w.good(ann.ID)
	w.segment()
	require.NoError(t, w.rankr.RemoveBusiness(w.rankr.Businesses()[0].ID))
	w.attach(bob.ID, acme.ID)
	w.good(bob.ID)
	w.pass(3 * time.Second)
	hints := w.nudged.takeHints(&w.nudged.segments)
	require.Len(t, hints, 1)
	_, err := w.segmentDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: bob.ID}, Hint: hints[0]})
	require.ErrorContains(t, err, string(crm.Busy))
	require.NoError(t, w.nudged.Segments(t.Context(), loc, hints[0])) // the workflow comes again
	w.segment()
	assert.Empty(t, w.problems())
	require.Len(t, w.rankr.Businesses(), 1)
	assert.Equal(t, w.rankr.Businesses()[0].ID, w.mirror(bob.ID).BusinessID)
}

func TestABusinessThatGHLDidNotShowAtFirstIsAttachedLater(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	acme := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme"})
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.attach(ann.ID, acme.ID)
	w.ghl.Fail(ghltest.Fault{Operation: "businesses.get", Status: 404, Times: 1})
	w.good(ann.ID)
	w.segment()
	assert.Empty(t, w.rankr.Businesses())
	w.pass(10 * time.Minute)
	_, err := w.businessDeed(activities.BusinessRound{Business: acme.ID, Hint: names.Hint{Received: time.Now()}})
	require.NoError(t, err)
	w.good(ann.ID)
	w.segment()
	assert.NotEmpty(t, w.mirror(ann.ID).BusinessID)
}

func TestBusinessesThatAreNotMirroredAnyMoreAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	acme := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme"})
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.attach(ann.ID, acme.ID)
	w.good(ann.ID)
	w.segment()
	before := w.mirror(ann.ID).BusinessID
	require.NotEmpty(t, before)
	w.withRules("businesses: {mirror: false}")
	w.good(ann.ID)
	w.segment()
	assert.Equal(t, before, w.mirror(ann.ID).BusinessID)
}

func TestABusinessIsReadAtMostOnceInTenMinutesUnlessAskedByHand(t *testing.T) {
	w := newWorld(t)
	acme := w.ghl.AddBusiness(loc, ghltest.Business{Name: "Acme"})
	heard := names.Hint{Received: time.Now()}
	outcomes := func(hint names.Hint) crm.Outcome {
		w.pass(3 * time.Second)
		result, err := w.businessDeed(activities.BusinessRound{Business: acme.ID, Hint: hint})
		require.NoError(t, err)
		return result.Outcome
	}
	assert.Equal(t, crm.Created, outcomes(heard))
	assert.Equal(t, crm.Covered, outcomes(heard))
	assert.Equal(t, crm.Unchanged, outcomes(names.Hint{}))
	w.pass(10 * time.Minute)
	_, err := w.ghl.EditBusiness(acme.ID, func(b *ghltest.Business) { b.Name, b.City = "Acme AG", "Bern" })
	require.NoError(t, err)
	assert.Equal(t, crm.Updated, outcomes(heard))
	assert.Equal(t, "Acme AG", w.rankr.Businesses()[0].Name)
	require.NoError(t, w.ghl.DeleteBusiness(acme.ID))
	assert.Equal(t, crm.Deleted, outcomes(names.Hint{}))
	assert.Empty(t, w.rankr.Businesses())
}

func TestWhatRulesDoWhenATagIsAddedIsDoneOncePerAddition(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com", FirstName: "Ann", Tags: []string{"cold"}})
	w.good(ann.ID)
	w.segment()
	add := func() {
		w.passInGHL(3 * time.Second) // its Date has whole seconds, and rounds are further apart
		_, err := w.ghl.Tag(ann.ID, "new lead")
		require.NoError(t, err)
		w.good(ann.ID)
		w.segment()
	}
	add()
	contact, _ := w.ghl.Contact(ann.ID)
	assert.ElementsMatch(t, []string{"new lead", "nurture"}, contact.Tags)
	tasks := w.ghl.Tasks(ann.ID)
	require.Len(t, tasks, 1)
	assert.Equal(t, "Call Ann", tasks[0].Title)
	_, err := w.ghl.Edit(ann.ID, func(c *ghltest.Contact) { c.City = "Bern" })
	require.NoError(t, err)
	w.good(ann.ID)
	w.segment()
	assert.Len(t, w.ghl.Tasks(ann.ID), 1, "a later edit adds nothing")
	_, err = w.ghl.Untag(ann.ID, "new lead")
	require.NoError(t, err)
	w.good(ann.ID)
	w.segment()
	add()
	assert.Len(t, w.ghl.Tasks(ann.ID), 2)
}

func TestTagsThatWereThereBeforeTheFirstRuleAreTakenAsTheyAre(t *testing.T) {
	w := newWorld(t)
	w.contacts.Rules = rules.Default()
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com", Tags: []string{"new lead"}})
	w.good(ann.ID)
	w.withRules(segmentRules)
	w.good(ann.ID)
	w.segment()
	assert.Empty(t, w.ghl.Tasks(ann.ID))
	contact, _ := w.ghl.Contact(ann.ID)
	assert.Equal(t, []string{"new lead"}, contact.Tags)
}

func TestATaskOfARuleIsMadeOnceWhereverItsRoundEnds(t *testing.T) {
	faults := map[string]ghltest.Fault{
		"the answer is lost":    {Operation: "contacts.tasks.create", ResetAfter: true},
		"a proxy failed":        {Operation: "contacts.tasks.create", Status: 502, Landed: true},
		"it never arrived":      {Operation: "contacts.tasks.create", ResetBefore: true},
		"a foreign answer":      {Operation: "contacts.tasks.create", Foreign: true},
		"the tags are lost":     {Operation: "contacts.tags.add", ResetAfter: true},
		"the list is cut":       {Operation: "contacts.tasks.list", Cut: true},
		"the contact is away":   {Operation: "contacts.get", Status: 503, Skip: 1},
		"the limit is reached":  {Operation: "contacts.tasks.create", Status: 429, RetryAfter: "1"},
		"the removal is lost":   {Operation: "contacts.tags.remove", ResetAfter: true},
		"tags never arrived":    {Operation: "contacts.tags.add", ResetBefore: true},
		"an empty answer":       {Operation: "contacts.tasks.create", Empty: true},
		"a page, but it landed": {Operation: "contacts.tasks.create", HTML: true},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.withRules(segmentRules)
			ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com", Tags: []string{"new lead", "cold"}})
			fault.Times = 1
			w.ghl.Fail(fault)
			w.good(ann.ID)
			hints := w.nudged.takeHints(&w.nudged.segments)
			require.Len(t, hints, 1)
			failures := 0
			for range 10 {
				w.pass(31 * time.Second)
				result, err := w.segmentDeed(activities.Round{Ref: crm.Ref{Location: loc, Contact: ann.ID}, Hint: hints[0], Failures: failures})
				if err == nil && result.Outcome != crm.Waiting && result.Wait == 0 {
					break
				}
				failures++
			}
			assert.Positive(t, failures, "the fault was met")
			assert.Len(t, w.ghl.Tasks(ann.ID), 1)
			contact, _ := w.ghl.Contact(ann.ID)
			assert.ElementsMatch(t, []string{"new lead", "nurture"}, contact.Tags)
			assert.Equal(t, []string{"Reachable"}, w.segmentsOf(ann.ID))
			assert.Empty(t, w.problems())
		})
	}
}

func TestFiftyContactsThatComeTogetherMakeEachSegmentOnce(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	var hints []names.Hint
	for _, contact := range w.ghl.Seed(loc, 50) {
		hints = append(hints, names.Hint{Contact: contact})
	}
	_, err := w.page(hints...)
	require.NoError(t, err)
	assert.Empty(t, w.nudged.takeHints(&w.nudged.segments), "a page does it itself")
	_, rankrCalls := w.calls()
	assert.Equal(t, 1, count(rankrCalls, "segments.create"))
	assert.Empty(t, w.rankr.DoubledSegments())
	for _, hint := range hints {
		assert.Equal(t, []string{"Reachable"}, w.segmentsOf(hint.Contact))
	}
}

func TestASegmentThatPeopleDeletedIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	bob := w.ghl.Create(loc, ghltest.Contact{Email: "bob@example.com"})
	w.good(ann.ID)
	w.segment()
	require.NoError(t, w.rankr.RemoveSegment(w.rankr.Segments()[0].ID))
	w.good(bob.ID)
	w.segment()
	assert.Equal(t, []string{"Reachable"}, w.segmentsOf(bob.ID))
}

func TestASegmentThatPeopleGaveAnotherNameIsTheirs(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	for _, renamed := range []string{"Theirs", "TheirsToo"} {
		ann := w.ghl.Create(loc, ghltest.Contact{Email: renamed + "@example.com"})
		w.good(ann.ID)
		w.segment()
		assert.Equal(t, []string{"Reachable"}, w.segmentsOf(ann.ID))
		_, err := w.rankr.EditSegment(w.mirror(ann.ID).Segments[0], func(s *rankrtest.Segment) { s.Name = renamed })
		require.NoError(t, err)
		w.segments = &activities.Segments{Contacts: w.contacts, Source: w.segments.Source, Destination: w.segments.Destination} // another process
		w.contacts.Segments = w.segments
	}
	bob := w.ghl.Create(loc, ghltest.Contact{Email: "bob@example.com"})
	w.good(bob.ID)
	w.segment()
	assert.Equal(t, []string{"Reachable"}, w.segmentsOf(bob.ID))
}

func TestARuleThatCannotBeWorkedOutIsAProblemWithItsName(t *testing.T) {
	w := newWorld(t)
	w.withRules(`segments: [{name: Rich, when: customFields.pincode > 3}, {name: All, when: "true"}]`)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.good(ann.ID)
	assert.Equal(t, crm.RuleFailed, w.segment().Code)
	problems := w.problems()
	require.Len(t, problems, 1)
	assert.Equal(t, []string{"segments/Rich"}, problems[0].Fields)
	assert.Equal(t, []string{"All"}, w.segmentsOf(ann.ID), "the others are worked out")

	w.calls()
	w.pass(time.Minute)
	result, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: ann.ID}, Hint: names.Hint{At: time.Now().Add(-time.Hour)}})
	require.NoError(t, err)
	assert.Equal(t, crm.Covered, result.Outcome)
	assert.Empty(t, w.nudged.takeHints(&w.nudged.segments), "what was tried is not tried again until something moves")
}

func TestWhatIsDecidedWhileThereIsAProblemIsBroughtAboutAlthoughGHLsClocksDiffer(t *testing.T) {
	w := newWorld(t)
	w.withRules(`segments: [{name: Rich, when: customFields.pincode > 3}, {name: VIPs, when: '"vip" in tags'}]`)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.good(ann.ID)
	w.segment()
	require.Len(t, w.problems(), 1)
	w.passInGHL(-5 * time.Second) // another of its servers answers
	_, err := w.ghl.Tag(ann.ID, "vip")
	require.NoError(t, err)
	w.good(ann.ID)
	w.segment()
	assert.Equal(t, []string{"VIPs"}, w.segmentsOf(ann.ID))
}

func TestByHandTheRulesOfTodayAreApplied(t *testing.T) {
	w := newWorld(t)
	w.withRules(`segments: [{name: All, when: "true"}]`)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.good(ann.ID)
	w.segment()
	w.withRules(`segments: [{name: All, when: "true"}, {name: More, when: "true"}]`)
	w.pass(time.Minute)
	require.NoError(t, w.nudged.Segments(t.Context(), loc, names.Hint{Contact: ann.ID}))
	w.segment()
	assert.ElementsMatch(t, []string{"All", "More"}, w.segmentsOf(ann.ID))
}

func TestByHandWhatWasDecidedIsBroughtAboutWhileTheContactHasAProblem(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com", Country: "CH"})
	w.good(ann.ID)
	w.segment()
	_, err := w.ghl.Tag(ann.ID, "vip")
	require.NoError(t, err)
	w.rankr.Set(func(k *rankrtest.Knobs) {
		k.Faults = append(k.Faults, rankrtest.Fault{Operation: "contacts.addTags", Status: 422, Times: 100})
	})
	require.Equal(t, crm.Problem, w.good(ann.ID).Outcome)
	require.NoError(t, w.nudged.Segments(t.Context(), loc, names.Hint{Contact: ann.ID}))
	assert.Equal(t, crm.Unchanged, w.segment().Outcome, "it does not wait for a round that can't end well")
	assert.Equal(t, []string{"Reachable"}, w.segmentsOf(ann.ID))
}

func TestSegmentsThatRulesDoNotManageAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com", Tags: []string{"vip"}, Country: "CH"})
	w.good(ann.ID)
	w.segment()
	club, err := w.rankr.AddSegment(rankrtest.Segment{Name: "Club"})
	require.NoError(t, err)
	_, err = w.rankr.Edit(w.mirror(ann.ID).ID, func(r *rankrtest.Record) { r.Segments = append(r.Segments, club.ID) })
	require.NoError(t, err)
	_, err = w.ghl.Untag(ann.ID, "vip")
	require.NoError(t, err)
	w.good(ann.ID)
	w.segment()
	assert.ElementsMatch(t, []string{"Club", "Reachable"}, w.segmentsOf(ann.ID))
}

func TestWhatBelongsToAContactFollowsWhenItsRecordChangesHands(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	w.contacts.KeepDeleted = true
	before := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.good(before.ID)
	w.segment()
	_, err := w.ghl.AddNote(before.ID, ghltest.Note{Body: "met her"})
	require.NoError(t, err)
	w.align(before.ID)
	require.NoError(t, w.ghl.Delete(before.ID))
	w.good(before.ID)
	w.nudged.takeHints(&w.nudged.segments) // of the one that is gone: it may come at any time later, or never

	after := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	_, err = w.ghl.AddNote(after.ID, ghltest.Note{Body: "met her again"})
	require.NoError(t, err)
	assert.Equal(t, crm.Adopted, w.good(after.ID).Outcome)
	w.segment()
	w.align(after.ID)
	assert.Empty(t, w.problems())
	assert.Equal(t, []string{"Reachable"}, w.segmentsOf(after.ID))
	notes := w.rankr.Notes(w.mirror(after.ID).ID)
	require.Len(t, notes, 1)
	assert.Equal(t, "met her again", notes[0].Content)
}

func TestWhatBelongsToAContactWaitsWhenItsLostRecordCanNotBeMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.withRules(segmentRules)
	ann := w.ghl.Create(loc, ghltest.Contact{Email: "ann@example.com"})
	w.good(ann.ID)
	hints := w.nudged.takeHints(&w.nudged.segments)
	require.Len(t, hints, 1)
	require.NoError(t, w.rankr.Remove(w.mirror(ann.ID).ID))
	for range 2 {
		_, err := w.rankr.Add(rankrtest.Record{Fields: map[string]any{"email": "ann@example.com"}})
		require.NoError(t, err)
	}
	ref := crm.Ref{Location: loc, Contact: ann.ID}
	for _, deed := range []func(activities.Round) (crm.Result, error){w.segmentDeed, w.alignDeed} {
		var result crm.Result
		for failures := range 2 {
			var err error
			if result, err = deed(activities.Round{Ref: ref, Hint: hints[0], Failures: failures}); err == nil {
				break
			}
			require.Equal(t, crm.Ambiguous, w.good(ann.ID).Code)
			w.pass(3 * time.Second)
		}
		assert.Equal(t, crm.NotLinked, result.Code, "nothing is asked for again and again")
	}
	w.polls.Since = time.Now().Add(-time.Hour)
	w.tick(activities.Tick{})
	assert.Empty(t, append(w.nudged.takeHints(&w.nudged.segments), w.nudged.takeHints(&w.nudged.tasks)...), "nor by polls")
	found := w.rankr.All()
	require.NoError(t, w.rankr.Remove(found[len(found)-1].ID))
	w.nudged.take()
	require.Equal(t, crm.Updated, w.good(ann.ID).Outcome)
	w.nudged.takeHints(&w.nudged.segments)
	w.tick(activities.Tick{})
	assert.Len(t, w.nudged.takeHints(&w.nudged.segments), 1)
	assert.Len(t, w.nudged.takeHints(&w.nudged.tasks), 1)
}

func count(calls []string, operation string) (n int) {
	for _, call := range calls {
		if call == operation {
			n++
		}
	}
	return n
}
