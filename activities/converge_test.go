//go:build !race

package activities_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"pgregory.net/rapid"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Random edits of contacts, tasks, notes, tags and businesses, with faults in both systems and lost webhooks, must end with
// Rankr equal to what GHL has: no duplicate, nothing missing, nothing foreign touched. The deeds, the clients, the fakes and
// the store are real; a small scheduler stands in for Temporal, which runs each of its jobs until it ends well.

const convergeRules = `
segments:
  - {name: VIPs, when: '"vip" in tags'}
  - {name: Swiss, when: contact.country == "CH"}
  - {name: Companies, when: business != ""}
tagWorkflows:
  - {name: welcome, whenTagAdded: lead, addTags: [nurture], removeTags: [cold], task: {title: '"Call " + contact.firstName', due: 'now + duration("48h")'}}
followUps:
  - {name: done, on: completed, title: '"After: " + task.title'}
  - {name: new, on: created, when: 'task.title startsWith "Big"', title: '"Prepare: " + task.title'}
`

const sequences = 200

func TestRandomEditsWithFaultsConverge(t *testing.T) {
	w := newWorld(t)
	w.withRules(convergeRules)
	setChecks(t, sequences)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		c := newConvergence(t, w, fmt.Sprintf("loc%d", run))
		for range rapid.IntRange(5, 25).Draw(t, "edits") {
			c.edit()
			for range rapid.IntRange(0, 4).Draw(t, "jobs") {
				c.job()
			}
		}
		c.settle()
		c.check()
	})
	t.Logf("%d sequences: GHL %+v, Rankr %+v", run, w.ghl.Stats(), w.rankr.Counters())
}

// setChecks says how many sequences rapid tries, unless a person asked for another number.
func setChecks(t *testing.T, n int) {
	checks := flag.Lookup("rapid.checks")
	if before := checks.Value.String(); before == checks.DefValue {
		require.NoError(t, checks.Value.Set(fmt.Sprint(n)))
		t.Cleanup(func() { _ = checks.Value.Set(before) })
	}
}

// convergence is one sequence, in a location of its own.
type convergence struct {
	*rapid.T
	*world
	location string
	deeds    struct {
		contacts   *activities.Contacts
		segments   *activities.Segments
		businesses *activities.Businesses
		tasks      *activities.TasksAndNotes
		polls      *activities.Polls
	}
	queue *jobs
	last  activities.TickAnswer

	contacts, businesses []string
	foreign              rankrtest.Record            // people's own, in Rankr
	club                 string                      // the id of their segment
	theirs               map[string]rankrtest.Record // by contact: the records that people put something of their own on
	company              string                      // the id of a business of theirs
	employed             map[string]string           // by contact without one in GHL: the record that they attached to it
	discarded            map[string]bool             // contacts of which a person deleted a task
	removed              map[string]bool             // contacts whose record a person deleted in Rankr, with all that was on it
}

func newConvergence(t *rapid.T, w *world, location string) *convergence {
	c := &convergence{T: t, world: w, location: location, queue: &jobs{waiting: map[string]job{}}, theirs: map[string]rankrtest.Record{}, employed: map[string]string{}, discarded: map[string]bool{}, removed: map[string]bool{}}
	w.ghl.Heal()
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = nil })
	w.ghl.PutLocation(ghltest.Location{ID: location, Country: "CH"})
	c.restart()
	c.poll() // changes count from here
	var err error
	c.foreign, err = w.rankr.Add(rankrtest.Record{Fields: map[string]any{"firstName": "Nobody's", "email": location + "-foreign@example.com"}})
	require.NoError(t, err)
	club, err := w.rankr.AddSegment(rankrtest.Segment{Name: "Club of " + location})
	require.NoError(t, err)
	c.club = club.ID
	company, err := w.rankr.AddBusiness(rankrtest.Business{Name: "Theirs"})
	require.NoError(t, err)
	c.company = company.ID
	return c
}

// restart makes the deeds of a new process, which remember nothing.
func (c *convergence) restart() {
	w, base, d := c.world, c.world.contacts, &c.deeds
	d.contacts = &activities.Contacts{
		Source: base.Source, Destination: base.Destination, Links: base.Links, Nudge: c.queue, Prints: base.Prints, StoreID: base.StoreID,
		Quiet: base.Quiet, Lease: base.Lease, Searchable: base.Searchable, Rules: base.Rules,
	}
	d.segments = &activities.Segments{Contacts: d.contacts, Source: w.segments.Source, Destination: w.segments.Destination}
	d.contacts.Segments = d.segments
	d.businesses = &activities.Businesses{Contacts: d.contacts, Source: w.business.Source, Destination: w.business.Destination}
	d.tasks = &activities.TasksAndNotes{Contacts: d.contacts, Source: w.tasks.Source, Destination: w.tasks.Destination, Rules: base.Rules}
	d.polls = &activities.Polls{
		Source: base.Source, Destination: base.Destination, Tasks: w.tasks.Source, Businesses: w.business.Source, Rules: base.Rules,
		Prints: base.Prints, Ticks: w.store, Nudge: c.queue,
	}
}

// edit is one edit that a person makes, with its webhook, and perhaps a fault from now on.
func (c *convergence) edit() {
	edits := []func(){c.create, c.change, c.tag, c.untag, c.addTask, c.changeTask, c.completeTask, c.addNote, c.changeNote, c.attach, c.act, c.addAgain, c.restart}
	if len(c.contacts) > 1 {
		edits = append(edits, c.delete, c.deleteTask, c.deleteNote, c.detach, c.addBusiness, c.changeBusiness, c.deleteBusiness, c.removeRecord)
	}
	c.passInGHL(3 * time.Second) // its Date has whole seconds, and people are slower than this test
	if rapid.IntRange(0, 3).Draw(c.T, "fault") == 0 {
		c.fail()
	}
	rapid.SampledFrom(edits).Draw(c.T, "edit")()
}

func (c *convergence) one(of []string, what string) (string, bool) {
	if len(of) == 0 {
		return "", false
	}
	return rapid.SampledFrom(of).Draw(c.T, what), true
}

// hear is a webhook. Some are lost, some come twice.
func (c *convergence) hear(sure bool, nudge func(context.Context, string, names.Hint) error, hint names.Hint) {
	times := rapid.SampledFrom([]int{1, 1, 1, 0, 2}).Draw(c.T, "deliveries")
	if sure {
		times = max(times, 1)
	}
	hint.At, hint.Received = c.ghlClock(), time.Now()
	for range times {
		require.NoError(c, nudge(context.Background(), c.location, hint))
	}
}

func (c *convergence) hearContact(contact string, sure bool) {
	c.hear(sure, c.queue.Contact, names.Hint{Contact: contact})
}

func (c *convergence) create() {
	n := len(c.ghl.Contacts(c.location))
	made := c.ghl.Create(c.location, ghltest.Contact{
		Email: fmt.Sprintf("%s-%d-%d@example.com", c.location, n, len(c.contacts)), FirstName: rapid.SampledFrom([]string{"Ann", "Bob", "Çelik"}).Draw(c.T, "name"),
		Country: rapid.SampledFrom([]string{"", "CH", "DE"}).Draw(c.T, "country"),
		Tags:    rapid.SampledFrom([][]string{nil, {"vip"}, {"lead", "cold"}}).Draw(c.T, "tags"),
	})
	c.contacts = append(c.contacts, made.ID)
	c.hearContact(made.ID, false)
}

func (c *convergence) change() {
	contact, ok := c.one(c.contacts, "contact")
	if !ok {
		return
	}
	_, err := c.ghl.Edit(contact, func(g *ghltest.Contact) {
		g.FirstName, g.City = rapid.SampledFrom([]string{"Ann", "Zoë", ""}).Draw(c.T, "name"), rapid.SampledFrom([]string{"Bern", "Ulm", ""}).Draw(c.T, "city")
		g.Country = rapid.SampledFrom([]string{"", "CH"}).Draw(c.T, "country")
	})
	require.NoError(c, err)
	c.hearContact(contact, false)
}

func (c *convergence) tag() {
	if contact, ok := c.one(c.contacts, "contact"); ok {
		_, err := c.ghl.Tag(contact, rapid.SampledFrom([]string{"vip", "lead", "cold"}).Draw(c.T, "tag"))
		require.NoError(c, err)
		c.hearContact(contact, false)
	}
}

func (c *convergence) untag() {
	if contact, ok := c.one(c.contacts, "contact"); ok {
		_, err := c.ghl.Untag(contact, rapid.SampledFrom([]string{"vip", "lead", "nurture"}).Draw(c.T, "tag"))
		require.NoError(c, err)
		c.hearContact(contact, false)
	}
}

// addAgain takes a tag away and adds it again, with time for both to be seen.
func (c *convergence) addAgain() {
	contact, ok := c.one(c.contacts, "contact")
	if !ok {
		return
	}
	for _, change := range []func(string, ...string) (ghltest.Contact, error){c.ghl.Untag, c.ghl.Tag} {
		_, err := change(contact, "lead")
		require.NoError(c, err)
		c.hearContact(contact, true)
		c.passInGHL(3 * time.Second)
		for range 4 {
			c.job()
		}
	}
}

// delete is always heard of: that a poll does not find it is a documented limit.
func (c *convergence) delete() {
	contact, _ := c.one(c.contacts, "contact")
	require.NoError(c, c.ghl.Delete(contact))
	c.contacts = slices.DeleteFunc(c.contacts, func(other string) bool { return other == contact })
	delete(c.theirs, contact)
	c.hearContact(contact, true)
}

func (c *convergence) addTask() {
	contact, ok := c.one(c.contacts, "contact")
	if !ok {
		return
	}
	task, err := c.ghl.AddTask(contact, ghltest.Task{
		Title: rapid.SampledFrom([]string{"Call", "Big deal", "Proposal"}).Draw(c.T, "title"), Due: due.Add(time.Duration(rapid.IntRange(0, 9).Draw(c.T, "days")) * 24 * time.Hour),
	})
	require.NoError(c, err)
	c.hear(false, c.queue.TasksAndNotes, names.Hint{Contact: contact, Events: []string{"created/" + task.ID}})
}

func (c *convergence) task() (ghltest.Task, bool) {
	var all []ghltest.Task
	for _, contact := range c.contacts {
		all = append(all, c.ghl.Tasks(contact)...)
	}
	if len(all) == 0 {
		return ghltest.Task{}, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(c.T, "task")], true
}

// changeTask fires nothing in GHL.
func (c *convergence) changeTask() {
	if task, ok := c.task(); ok {
		_, err := c.ghl.EditTask(task.ID, func(t *ghltest.Task) {
			t.Title, t.Completed = t.Title+rapid.SampledFrom([]string{"!", ""}).Draw(c.T, "more"), t.Completed && rapid.Bool().Draw(c.T, "still done")
		})
		require.NoError(c, err)
		if task.Completed { // polls see open tasks only: an edit of a done one shows with the next event
			c.hear(true, c.queue.TasksAndNotes, names.Hint{Contact: task.Contact})
		}
	}
}

func (c *convergence) completeTask() {
	if task, ok := c.task(); ok {
		_, err := c.ghl.CompleteTask(task.ID)
		require.NoError(c, err)
		c.hear(true, c.queue.TasksAndNotes, names.Hint{Contact: task.Contact, Events: []string{"completed/" + task.ID}})
	}
}

func (c *convergence) deleteTask() {
	if task, ok := c.task(); ok {
		require.NoError(c, c.ghl.DeleteTask(task.ID))
		c.discarded[task.Contact] = true
		c.hear(true, c.queue.TasksAndNotes, names.Hint{Contact: task.Contact})
	}
}

func (c *convergence) addNote() {
	if contact, ok := c.one(c.contacts, "contact"); ok {
		_, err := c.ghl.AddNote(contact, ghltest.Note{Body: rapid.SampledFrom([]string{"met her", "<b>angry</b>", "…"}).Draw(c.T, "body")})
		require.NoError(c, err)
		c.hear(true, c.queue.TasksAndNotes, names.Hint{Contact: contact})
	}
}

func (c *convergence) note() (ghltest.Note, bool) {
	var all []ghltest.Note
	for _, contact := range c.contacts {
		all = append(all, c.ghl.Notes(contact)...)
	}
	if len(all) == 0 {
		return ghltest.Note{}, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(c.T, "note")], true
}

func (c *convergence) changeNote() {
	if note, ok := c.note(); ok {
		_, err := c.ghl.EditNote(note.ID, func(n *ghltest.Note) { n.Body += " again" })
		require.NoError(c, err)
		c.hear(true, c.queue.TasksAndNotes, names.Hint{Contact: note.Contact})
	}
}

func (c *convergence) deleteNote() {
	if note, ok := c.note(); ok {
		require.NoError(c, c.ghl.DeleteNote(note.ID))
		c.hear(true, c.queue.TasksAndNotes, names.Hint{Contact: note.Contact})
	}
}

// Businesses and attaching fire nothing in GHL.
func (c *convergence) addBusiness() {
	if len(c.businesses) < 4 {
		made := c.ghl.AddBusiness(c.location, ghltest.Business{Name: rapid.SampledFrom([]string{"Acme", "Café Zürich"}).Draw(c.T, "business")})
		c.businesses = append(c.businesses, made.ID)
	}
}

func (c *convergence) changeBusiness() {
	if business, ok := c.one(c.businesses, "business"); ok {
		_, err := c.ghl.EditBusiness(business, func(b *ghltest.Business) { b.Name, b.City = b.Name+"+", "Bern" })
		require.NoError(c, err)
	}
}

func (c *convergence) attach() {
	if contact, ok := c.one(c.contacts, "contact"); ok {
		c.addBusiness()
		business, _ := c.one(c.businesses, "business")
		_, err := c.ghl.Attach(contact, business)
		require.NoError(c, err)
		c.employed[contact] = "" // from now on it is GHL that says
	}
}

func (c *convergence) deleteBusiness() {
	if business, ok := c.one(c.businesses, "business"); ok {
		require.NoError(c, c.ghl.DeleteBusiness(business))
		c.businesses = slices.DeleteFunc(c.businesses, func(other string) bool { return other == business })
	}
}

func (c *convergence) detach() {
	if contact, ok := c.one(c.contacts, "contact"); ok {
		_, err := c.ghl.Detach(contact)
		require.NoError(c, err)
	}
}

// act is something that people do in Rankr to a mirrored record: it must stay.
func (c *convergence) act() {
	contact, ok := c.one(c.contacts, "contact")
	record, there := c.rankr.Mirror(contact)
	if !ok || !there {
		return
	}
	record, err := c.rankr.Edit(record.ID, func(r *rankrtest.Record) {
		r.Tags, r.Segments = append(r.Tags, "theirs"), append(r.Segments, c.club)
	})
	require.NoError(c, err)
	_, err = c.rankr.AddTask(rankrtest.Task{Item: rankrtest.Item{ContactID: record.ID}, Title: "the team's own"})
	require.NoError(c, err)
	_, err = c.rankr.AddNote(rankrtest.Note{Item: rankrtest.Item{ContactID: record.ID}, Content: "the team's own"})
	require.NoError(c, err)
	c.theirs[contact] = record
	if before, known := c.employed[contact]; !known || before != "" {
		_, err := c.rankr.Attach(record.ID, c.company)
		require.NoError(c, err)
		c.employed[contact] = record.ID
	}
}

// removeRecord is a person who deletes a mirrored record in Rankr: it is made again with the contact's next change.
func (c *convergence) removeRecord() {
	contact, _ := c.one(c.contacts, "contact")
	if record, there := c.rankr.Mirror(contact); there {
		require.NoError(c, c.rankr.Remove(record.ID))
		c.removed[contact] = true
	}
}

// fail lets something go wrong at one of the next calls.
func (c *convergence) fail() {
	skip := rapid.IntRange(0, 3).Draw(c.T, "after")
	if rapid.Bool().Draw(c.T, "in GHL") {
		fault := rapid.SampledFrom([]ghltest.Fault{
			{Status: 500},
			{Status: 429, RetryAfter: "1"},
			{ResetBefore: true},
			{ResetAfter: true},
			{Cut: true},
			{HTML: true, Status: 200},
			{Foreign: true},
			{Empty: true},
			{Operation: "contacts.tags.*", ResetAfter: true},
			{Operation: "contacts.tasks.create", ResetAfter: true},
			{Operation: "contacts.tasks.create", Status: 502, Landed: true},
		}).Draw(c.T, "fault in GHL")
		fault.Skip, fault.Times, fault.Location = skip, 1, c.location
		c.ghl.Fail(fault)
		return
	}
	fault := rapid.SampledFrom([]rankrtest.Fault{
		{Status: 500},
		{Status: 503, AfterEffect: true},
		{Status: 429, RetryAfter: 1},
		{ResetBefore: true},
		{ResetAfter: true},
		{Cut: true},
		{HTML: true},
		{Foreign: true},
		{Empty: true},
		{Operation: "*.create", ResetAfter: true},
		{Operation: "*.create", Status: 502, AfterEffect: true},
		{Operation: "*.update", ResetAfter: true},
		{Operation: "segments.*", ResetAfter: true},
	}).Draw(c.T, "fault in Rankr")
	fault.Skip, fault.Times = skip, 1
	c.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = append(k.Faults, fault) })
}

// job runs one of the jobs that wait; one that fails waits again.
func (c *convergence) job() bool {
	keys := c.queue.keys()
	if len(keys) == 0 {
		return false
	}
	key := rapid.SampledFrom(keys).Draw(c.T, "job")
	if strings.HasPrefix(key, "contact/") && rapid.Bool().Draw(c.T, "page") {
		c.page()
		return true
	}
	j := c.queue.take(key)
	c.pass(3 * time.Second)
	result, err := c.do(j)
	switch {
	case err != nil:
		j.failures++
		c.pass(31 * time.Second) // the workflow's own back-off: longer than a lease
		c.queue.put(j)
	case result.Outcome == crm.Waiting:
		c.pass(result.Wait)
		c.queue.put(j)
	case result.Wait > 0:
		c.pass(result.Wait)
		c.queue.put(job{kind: j.kind, id: j.id, hint: names.Hint{Contact: j.id, Confirm: true}})
	}
	return true
}

// page does for all contacts that wait what a job does for one.
func (c *convergence) page() {
	var in activities.PageRound
	waiting := map[string]job{}
	for _, key := range c.queue.keys() {
		if strings.HasPrefix(key, "contact/") {
			j := c.queue.take(key)
			waiting[j.id] = j
			in.Hints, in.Failures = append(in.Hints, j.hint), max(in.Failures, j.failures)
		}
	}
	in.Location = c.location
	c.pass(3 * time.Second)
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(c.deeds.contacts)
	value, err := env.ExecuteActivity(c.deeds.contacts.BringPageIntoStep, in)
	if err != nil {
		for _, j := range waiting {
			j.failures++
			c.queue.put(j)
		}
		c.pass(31 * time.Second)
		return
	}
	var answer activities.PageAnswer
	require.NoError(c, value.Get(&answer))
	for _, reference := range answer.Waiting {
		c.queue.put(job{kind: "contact", id: reference.Contact, hint: reference.Hint})
		c.pass(time.Until(reference.NotBefore))
	}
}

func (c *convergence) do(j job) (crm.Result, error) {
	ref := crm.Ref{Location: c.location, Contact: j.id}
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	var deed, in any = nil, activities.Round{Ref: ref, Hint: j.hint, Failures: j.failures}
	switch j.kind {
	case "contact":
		env.RegisterActivity(c.deeds.contacts)
		deed = c.deeds.contacts.BringIntoStep
	case "tasks-notes":
		env.RegisterActivity(c.deeds.tasks)
		deed = c.deeds.tasks.BringTasksAndNotesIntoStep
	case "segments":
		env.RegisterActivity(c.deeds.segments)
		deed = c.deeds.segments.BringSegmentsIntoStep
	case "business":
		env.RegisterActivity(c.deeds.businesses)
		deed, in = c.deeds.businesses.BringBusinessIntoStep, activities.BusinessRound{Location: c.location, Business: j.id, Hint: j.hint, Failures: j.failures}
	}
	value, err := env.ExecuteActivity(deed, in)
	if err != nil {
		return crm.Result{}, err
	}
	var answer activities.Answer
	require.NoError(c, value.Get(&answer))
	return answer.Result, nil
}

func (c *convergence) poll() {
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(c.deeds.polls)
	value, err := env.ExecuteActivity(c.deeds.polls.FindChanges, activities.Tick{
		Location: c.location, Scheduled: true, Last: c.last.Tick, LastWatermark: c.last.Watermark, LastTasks: c.last.TasksFrom, LastBusiness: c.last.BusinessesFrom,
	})
	require.NoError(c, err)
	require.NoError(c, value.Get(&c.last))
}

// settle takes the faults away, and lets polls and jobs run until nothing is left.
func (c *convergence) settle() {
	c.ghl.Heal()
	c.rankr.Set(func(k *rankrtest.Knobs) { k.Faults = nil })
	for _, hear := range []func(context.Context, string, names.Hint) error{c.queue.Contact, c.queue.TasksAndNotes} {
		c.drain()
		c.passInGHL(3 * time.Second)
		for _, contact := range c.contacts {
			if c.removed[contact] { // what is made again, is so with the next change
				_, err := c.ghl.Edit(contact, func(g *ghltest.Contact) { g.City += "!" })
				require.NoError(c, err)
				require.NoError(c, hear(context.Background(), c.location, names.Hint{Contact: contact, Received: time.Now()}))
			}
		}
	}
	for range 3 {
		c.drain()
		c.pass(11 * time.Minute)
		c.poll()
	}
	c.drain()
}

func (c *convergence) drain() {
	for range 500 {
		if !c.job() {
			return
		}
	}
	require.Fail(c, "it never comes to rest", "%v", c.queue.keys())
}

// check holds both sides against each other. It has its own idea of the mapping.
func (c *convergence) check() {
	problems, err := c.store.Problems(context.Background(), store.Filter{Location: c.location})
	require.NoError(c, err)
	require.Empty(c, problems)
	segments, businesses := map[string]string{}, map[string]rankrtest.Business{}
	for _, segment := range c.rankr.Segments() {
		segments[segment.ID] = segment.Name
	}
	for _, business := range c.rankr.Businesses() {
		businesses[business.ID] = business
	}
	mirrored := map[string]bool{}
	for _, contact := range c.ghl.Contacts(c.location) {
		record, there := c.rankr.Mirror(contact.ID)
		require.True(c, there, "a contact is missing")
		mirrored[record.ID] = true
		c.checkContact(contact, record, segments, businesses)
		c.checkTasks(contact.ID, record.ID)
		c.checkNotes(contact.ID, record.ID)
	}
	for _, record := range c.rankr.All() {
		email, _ := record.Fields["email"].(string)
		if strings.HasPrefix(email, c.location+"-") && record.ID != c.foreign.ID {
			require.True(c, mirrored[record.ID], "a record of a contact that is gone, or a second one")
		}
	}
	foreign, there := c.rankr.Get(c.foreign.ID)
	require.True(c, there)
	require.Equal(c, c.foreign.Version, foreign.Version, "a foreign record was touched")
	require.Empty(c, slices.Concat(c.rankr.Doubled(), c.rankr.DoubledTasks(), c.rankr.DoubledNotes(), c.rankr.DoubledBusinesses(), c.rankr.DoubledSegments()))
}

func (c *convergence) checkContact(contact ghltest.Contact, record rankrtest.Record, segments map[string]string, businesses map[string]rankrtest.Business) {
	want := map[string]any{}
	for name, value := range map[string]string{"email": contact.Email, "firstName": contact.FirstName, "city": contact.City, "country": contact.Country} {
		if value != "" {
			want[name] = value
		}
	}
	require.Equal(c, want, record.Fields)
	theirs, touched := c.theirs[contact.ID]
	touched = touched && theirs.ID == record.ID
	tags, in := slices.Clone(contact.Tags), map[string]bool{}
	if touched {
		tags, in["Club of "+c.location] = append(tags, "theirs"), true
	}
	require.ElementsMatch(c, tags, record.Tags)
	in["VIPs"], in["Swiss"], in["Companies"] = slices.Contains(contact.Tags, "vip"), contact.Country == "CH", contact.BusinessID != ""
	maps.DeleteFunc(in, func(_ string, member bool) bool { return !member })
	member := map[string]bool{}
	for _, id := range record.Segments {
		member[segments[id]] = true
	}
	require.Equal(c, in, member, "segments")
	if c.employed[contact.ID] == record.ID {
		require.Equal(c, c.company, record.BusinessID, "what people attached stays")
		return
	}
	business := businesses[record.BusinessID]
	require.Equal(c, contact.BusinessID, business.ExternalID, "business")
	if contact.BusinessID != "" {
		mirrored, _ := c.ghl.Business(contact.BusinessID)
		require.Equal(c, mirrored.Name, business.Name)
	}
}

func (c *convergence) checkTasks(contact, record string) {
	type seen struct {
		title string
		done  bool
	}
	want, have, followUps, references := map[string]seen{}, map[string]seen{}, map[string]int{}, map[string]int{}
	link, err := c.store.Link(context.Background(), crm.Ref{Location: c.location, Contact: contact}, crm.ContactItself)
	require.NoError(c, err)
	added, was := link.Decision.Added["lead"]
	welcome := false
	for _, task := range c.ghl.Tasks(contact) {
		want[task.ID] = seen{task.Title, task.Completed}
		if _, reference, made := strings.Cut(task.Body, "rankrsync "); made {
			references[reference]++
			welcome = welcome || task.Due.Equal(added.Add(48*time.Hour))
		}
	}
	require.True(c, welcome || !was || c.discarded[contact], "the task for the last addition of the tag is missing")
	for _, task := range c.rankr.Tasks(record) {
		switch {
		case strings.Contains(task.ExternalID, ":"):
			followUps[task.ExternalID]++
		case task.ExternalID != "":
			have[task.ExternalID] = seen{task.Title, task.Done}
		}
	}
	require.Equal(c, want, have, "tasks")
	for _, task := range c.ghl.Tasks(contact) {
		if task.Completed && !c.removed[contact] {
			require.Equal(c, 1, followUps["followUp:done:"+task.ID], "the follow-up of a completed task")
		}
	}
	for id, times := range followUps {
		require.Equal(c, 1, times, id)
	}
	for reference, times := range references {
		require.Equal(c, 1, times, "a tag workflow made its task twice: %s", reference)
	}
	if theirs, touched := c.theirs[contact]; touched && theirs.ID == record {
		require.True(c, slices.ContainsFunc(c.rankr.Tasks(record), func(t rankrtest.Task) bool { return t.ExternalID == "" && t.Title == "the team's own" }))
	}
}

func (c *convergence) checkNotes(contact, record string) {
	want, have := map[string]string{}, map[string]string{}
	for _, note := range c.ghl.Notes(contact) {
		want[note.ID] = note.Body
	}
	for _, note := range c.rankr.Notes(record) {
		if note.ExternalID != "" {
			have[note.ExternalID] = note.Content
		}
	}
	require.Equal(c, want, have, "notes")
}

// job is what a workflow has to do; jobs are those that wait, one a workflow.
type job struct {
	kind, id string
	hint     names.Hint
	failures int
}

type jobs struct {
	mu      sync.Mutex
	waiting map[string]job
}

func (q *jobs) keys() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Sorted(maps.Keys(q.waiting))
}

func (q *jobs) take(key string) job {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := q.waiting[key]
	delete(q.waiting, key)
	return j
}

func (q *jobs) put(j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := j.kind + "/" + j.id
	if other, waits := q.waiting[key]; waits {
		j.failures = max(j.failures, other.failures)
		if j.kind == "business" {
			j.hint = j.hint.MergeOfBusiness(other.hint)
		} else {
			j.hint = j.hint.Merge(other.hint)
		}
	}
	q.waiting[key] = j
}

func (q *jobs) add(kind string, hint names.Hint) error {
	q.put(job{kind: kind, id: hint.Contact, hint: hint})
	return nil
}

func (q *jobs) Contact(_ context.Context, _ string, hint names.Hint) error {
	return q.add("contact", hint)
}

func (q *jobs) Contacts(_ context.Context, _ string, hints ...names.Hint) error {
	for _, hint := range hints {
		_ = q.add("contact", hint)
	}
	return nil
}

func (q *jobs) TasksAndNotes(_ context.Context, _ string, hint names.Hint) error {
	return q.add("tasks-notes", hint)
}

func (q *jobs) Segments(_ context.Context, _ string, hint names.Hint) error {
	return q.add("segments", hint)
}

func (q *jobs) Business(_ context.Context, _ string, hint names.Hint) error {
	return q.add("business", hint)
}
func (q *jobs) DueDate(context.Context, string, string, string, time.Time) error { return nil }
func (q *jobs) NoDueDate(context.Context, string, string, string) error          { return nil }
