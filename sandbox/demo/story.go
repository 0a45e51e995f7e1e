package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// patience is how long a moment may take: far more than it needs, so that a slow machine does not fail it.
const patience = 90 * time.Second

// story is the play, and how it goes.
type story struct {
	*theatre
	hero   ghltest.Contact
	task   ghltest.Task // hers
	call   ghltest.Task // hers, made by a rule
	note   ghltest.Note
	shaken string // the contact whose write was refused: one more look at it is due, whenever that comes
	told   int
	failed int
}

// moment is one scene. It changes something and waits until the fakes hold what they should.
type moment struct {
	title string
	play  func(context.Context) (end, error)
	most  cost // what it may cost; a moment that costs more has not ended as it should
	// goesOn tells that the run does, after the moment.
	goesOn bool
}

// end is how a moment ended.
type end struct {
	words    string   // after the title
	workflow string   // whose run shows it; empty: none
	others   []string // workflows that have a part in it, too
}

// cost is what a moment took of the systems.
type cost struct{ calls, writes int }

func (c cost) String() string {
	return fmt.Sprintf("%s, %s", count(c.calls, "GHL call"), count(c.writes, "Rankr write"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// play tells every moment, also after one that failed; it returns an error only when going on makes no sense.
func (s *story) play(ctx context.Context) error {
	for _, m := range []moment{
		{"The contacts that GHL already had are found by the first poll", s.firstPoll, cost{contacts + 4, contacts + vips + 1}, false},
		{"A contact is created in GHL", s.created, cost{1, 1}, false},
		{"She is edited 20 times in a burst", s.burst, cost{2, 2}, false},
		{"She is tagged as a VIP", s.tagged, cost{1, 2}, false},
		{"She is tagged as a new lead", s.newLead, cost{8, 3}, false},
		{"A task and a note are added to her", s.taskAndNote, cost{4, 2}, false},
		{"The task is completed and the note deleted, and GHL says each three times", s.taskDone, cost{4, 3}, false},
		{"Another task of hers is not done in time", s.overdue, cost{6, 2}, false},
		{"Another is renamed while Rankr is down", s.renamedWhileDown, cost{2, 1}, true},
		{"A task of hers is edited, which GHL tells nobody", s.taskEdited, cost{5, 1}, false},
		{"She changes without any webhook, and a poll finds it", s.foundByPoll, cost{4, 1}, false},
		{"Nothing has changed, and a poll looks all the same", s.idlePoll, cost{3, 0}, false},
		{"She is attached to a business, which GHL tells nobody either", s.attached, cost{6, 2}, false},
		{"A contact is created whom Rankr already had", s.adopted, cost{1, 2}, false},
		{"A contact is created who could be two records in Rankr", s.ambiguous, cost{1, 0}, false},
		{"She is deleted in GHL", s.deleted, cost{2, 1}, false},
		{"Somebody sends a webhook with a bad signature", s.badSignature, cost{0, 0}, false},
		{"An agency installs the app by a link", s.installed, cost{60, len(studios)}, false},
		{"In the end", s.allInStep, cost{0, 0}, false},
	} {
		if err := s.tell(ctx, m); err != nil {
			return err
		}
	}
	return s.schedule(ctx).Unpause(ctx, client.ScheduleUnpauseOptions{Note: "the story is over"})
}

// tell plays one moment and says in a line how it ended, and in another where to look and what it cost.
func (s *story) tell(ctx context.Context, m moment) error {
	before, err := s.spent(ctx, m.goesOn)
	if err != nil {
		return err
	}
	scene, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ended, wrong := m.play(scene)
	if wrong == nil && ended.workflow != "" && !m.goesOn {
		wrong = s.quiet(scene, append(ended.others, ended.workflow)...)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	after, err := s.spent(ctx, m.goesOn)
	if err != nil {
		return err
	}
	took := cost{after.calls - before.calls, after.writes - before.writes}
	if wrong == nil && (took.calls > m.most.calls || took.writes > m.most.writes) {
		wrong = fmt.Errorf("it should cost at most %s", m.most)
	}

	s.told++
	mark := "✓"
	if wrong != nil {
		s.failed++
		mark, ended.words = "✗", wrong.Error()
	}
	fmt.Printf("%s %s: %s.\n", mark, m.title, ended.words)
	if link := s.link(ctx, ended.workflow); link != "" {
		fmt.Printf("    %s · %s\n", took, link)
	} else {
		fmt.Printf("    %s\n", took)
	}
	return nil
}

// spent is what the systems have been asked so far; for the shaken contact only if its moment asks.
func (s *story) spent(ctx context.Context, shaken bool) (cost, error) {
	var spent cost
	calls, err := s.ghl.Calls(ctx)
	if err != nil {
		return cost{}, err
	}
	for _, call := range calls {
		if shaken || call.Contact == "" || call.Contact != s.shaken {
			spent.calls++
		}
	}
	asked, err := s.rankr.Calls(ctx)
	if err != nil {
		return cost{}, err
	}
	for _, call := range asked {
		if call.Effect && (shaken || call.ExternalID == "" || call.ExternalID != s.shaken) {
			spent.writes++
		}
	}
	return spent, nil
}

// quiet waits until nothing is left to do for the workflows: what it costs is then known. A webhook is delivered once
// Temporal has it, and whoever starts another of the workflows ends after that: where all have ended, and a second look
// finds the same, nothing is under way.
func (s *story) quiet(ctx context.Context, workflows ...string) error {
	before, now := "", ""
	for {
		if err := s.ghl.Settle(ctx); err != nil {
			return err
		}
		open := ""
		before, now = now, ""
		for _, workflow := range workflows {
			run, ended, err := s.newest(ctx, workflow)
			if err != nil {
				return err
			}
			if now += run + " "; !ended {
				open = workflow
			}
		}
		if open == "" && now == before {
			return nil
		}
		if err := nap(ctx); err != nil {
			return fmt.Errorf("%s goes on and on", open)
		}
	}
}

// newest is the workflow's newest run, and whether it has ended; how it did is no matter where it was never started.
func (s *story) newest(ctx context.Context, workflow string) (run string, ended bool, err error) {
	found, err := s.temporal.DescribeWorkflowExecution(ctx, workflow, "")
	if missing := (*serviceerror.NotFound)(nil); errors.As(err, &missing) {
		return "", true, nil
	}
	if err != nil {
		return "", false, err
	}
	info := found.GetWorkflowExecutionInfo()
	run = info.GetExecution().GetRunId()
	if info.GetCloseTime() == nil {
		return run, false, nil
	}
	return run, true, s.temporal.GetWorkflow(ctx, workflow, run).Get(ctx, nil)
}

// link is where the UI shows the workflow's newest run; empty where there is none, or no UI.
func (s *story) link(ctx context.Context, workflow string) string {
	if workflow == "" {
		return ""
	}
	run, err := s.temporal.DescribeWorkflowExecution(ctx, workflow, "")
	if missing := (*serviceerror.NotFound)(nil); errors.As(err, &missing) {
		return ""
	}
	if s.ui == "" || err != nil {
		return "workflow " + workflow
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s/%s/history", s.ui, url.PathEscape(s.namespace), url.PathEscape(workflow),
		run.GetWorkflowExecutionInfo().GetExecution().GetRunId())
}

func (s *story) firstPoll(ctx context.Context) (end, error) {
	began := time.Now()
	poll, err := s.poll(ctx)
	if err != nil {
		return end{}, err
	}
	// One that comes by itself would be counted to whatever moment it falls into.
	if err := s.schedule(ctx).Pause(ctx, client.SchedulePauseOptions{Note: "the demo's story asks for polls itself"}); err != nil {
		return end{}, err
	}
	err = s.until(ctx, func(records []rankrtest.Record) string {
		members := 0
		for _, record := range records {
			members += len(record.Segments)
		}
		if len(records) != contacts || members != vips {
			return fmt.Sprintf("Rankr has %d records and %d in segments instead of %d and %d", len(records), members, contacts, vips)
		}
		return ""
	})
	return end{
		fmt.Sprintf("all %d are in Rankr %s later, and %d VIPs are in the segment that a rule has for them", contacts, since(began), vips), names.Contacts(s.fakes.Location), []string{poll},
	}, err
}

func (s *story) created(ctx context.Context) (end, error) {
	began := time.Now()
	var err error
	s.hero, err = s.ghl.Create(ctx, s.fakes.Location, ghltest.Contact{
		FirstName: "Mira", LastName: "Holm", Email: "Mira.Holm@example.com", Phone: "+13125550188", Country: "US", Tags: []string{"Lead"},
	})
	if err != nil {
		return end{}, err
	}
	err = s.until(ctx, func(records []rankrtest.Record) string {
		mirror, why := only(records, s.hero.ID)
		switch {
		case why != "":
			return why
		case mirror.Fields["firstName"] != "Mira" || mirror.Fields["lastName"] != "Holm":
			return "Rankr has another name"
		case mirror.Fields["email"] != "mira.holm@example.com":
			return "Rankr has another e-mail address"
		case !slices.Equal(mirror.Tags, []string{"lead"}):
			return "Rankr has other tags"
		}
		return ""
	})
	return end{words: "she is in Rankr " + since(began) + " later", workflow: s.ofHero()}, err
}

func (s *story) burst(ctx context.Context) (end, error) {
	const edits = 20
	city := ""
	for i := range edits {
		city = fmt.Sprintf("Springfield %d", i+1)
		if _, err := s.ghl.Edit(ctx, s.hero.ID, map[string]any{"city": city}); err != nil {
			return end{}, err
		}
	}
	if err := s.ghl.Settle(ctx); err != nil {
		return end{}, err
	}
	return end{words: "Rankr has the last edit, and was written to once the burst was over", workflow: s.ofHero()}, s.untilField(ctx, s.hero.ID, "city", city)
}

func (s *story) tagged(ctx context.Context) (end, error) {
	segments, err := s.rankr.Segments(ctx)
	if err != nil {
		return end{}, err
	}
	if len(segments) != 1 {
		return end{}, fmt.Errorf("there is not one segment in Rankr, but %s", count(len(segments), "segment"))
	}
	if _, err := s.ghl.Tag(ctx, s.hero.ID, "VIP"); err != nil {
		return end{}, err
	}
	err = s.until(ctx, func(records []rankrtest.Record) string {
		mirror, why := only(records, s.hero.ID)
		switch {
		case why != "":
			return why
		case !slices.Contains(mirror.Tags, "vip") || !slices.Contains(mirror.Tags, "lead"):
			return fmt.Sprintf("her tags in Rankr are %q", mirror.Tags)
		case !slices.Equal(mirror.Segments, []string{segments[0].ID}):
			return fmt.Sprintf("she is in %s", count(len(mirror.Segments), "segment"))
		}
		return ""
	})
	return end{words: "Rankr has the tag, and a rule puts her into the segment VIPs", workflow: s.ofHerSegments(), others: s.ofHers()}, err
}

// newLead sets off a tag workflow, whose own writes come back as webhooks.
func (s *story) newLead(ctx context.Context) (end, error) {
	if _, err := s.ghl.Tag(ctx, s.hero.ID, "new lead"); err != nil {
		return end{}, err
	}
	err := s.untilItems(ctx, func(tasks []rankrtest.Task, _ []rankrtest.Note) string {
		if len(titled(tasks, "Call Mira")) != 1 {
			return fmt.Sprintf("Rankr has %s of hers", count(len(tasks), "task"))
		}
		return ""
	})
	if err != nil {
		return end{}, err
	}
	if err := s.untilTag(ctx, "nurture"); err != nil {
		return end{}, err
	}
	if err := s.quiet(ctx, s.ofHers()...); err != nil {
		return end{}, err
	}
	tasks, err := s.ghl.Tasks(ctx, s.hero.ID)
	if err != nil {
		return end{}, err
	}
	if len(tasks) != 1 {
		return end{}, fmt.Errorf("GHL has %s of hers", count(len(tasks), "task"))
	}
	s.call = tasks[0]
	return end{
		words:    "a rule makes a task and a tag in GHL, which tells of both; Rankr has them, and nothing goes round",
		workflow: s.ofHerSegments(), others: s.ofHers(),
	}, nil
}

func (s *story) untilTag(ctx context.Context, tag string) error {
	return s.until(ctx, func(records []rankrtest.Record) string {
		mirror, why := only(records, s.hero.ID)
		if why == "" && !slices.Contains(mirror.Tags, tag) {
			why = fmt.Sprintf("her tags in Rankr are %q", mirror.Tags)
		}
		return why
	})
}

// titled are the tasks with a title.
func titled(tasks []rankrtest.Task, title string) []rankrtest.Task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t rankrtest.Task) bool { return t.Title != title })
}

func (s *story) taskAndNote(ctx context.Context) (end, error) {
	began := time.Now()
	var err error
	s.task, err = s.ghl.AddTask(ctx, s.hero.ID, ghltest.Task{Title: "Send the offer", Due: began.Add(24 * time.Hour)})
	if err != nil {
		return end{}, err
	}
	if s.note, err = s.ghl.AddNote(ctx, s.hero.ID, ghltest.Note{Body: "Prefers to be called in the morning"}); err != nil {
		return end{}, err
	}
	err = s.untilItems(ctx, func(tasks []rankrtest.Task, notes []rankrtest.Note) string {
		if len(tasks) != 2 || len(titled(tasks, s.task.Title)) != 1 || len(notes) != 1 || notes[0].ExternalID != s.note.ID {
			return fmt.Sprintf("Rankr has %s and %s of hers", count(len(tasks), "task"), count(len(notes), "note"))
		}
		return ""
	})
	return end{words: "both are with her record in Rankr " + since(began) + " later", workflow: s.ofHerTasks()}, err
}

func (s *story) taskDone(ctx context.Context) (_ end, err error) {
	if err := s.ghl.Set(ctx, map[string]any{"duplicateWebhooks": 2}); err != nil {
		return end{}, err
	}
	defer func() { err = errors.Join(err, s.ghl.Set(ctx, map[string]any{"duplicateWebhooks": 0})) }()
	if _, err := s.ghl.CompleteTask(ctx, s.task.ID); err != nil {
		return end{}, err
	}
	if err := s.ghl.DeleteNote(ctx, s.note.ID); err != nil {
		return end{}, err
	}
	followed := func(tasks []rankrtest.Task, notes []rankrtest.Note) string {
		done := titled(tasks, s.task.Title)
		if len(done) != 1 || !done[0].Done || len(notes) != 0 {
			return "the task is open or the note is there"
		}
		if n := len(titled(tasks, "Ask what came of it: "+s.task.Title)); n != 1 {
			return fmt.Sprintf("the team has %s", count(n, "follow-up"))
		}
		return ""
	}
	if err := s.untilItems(ctx, followed); err != nil {
		return end{}, err
	}
	if err := s.quiet(ctx, s.ofHers()...); err != nil {
		return end{}, err
	}
	return end{words: "so they are in Rankr, and the team has its follow-up, once", workflow: s.ofHerTasks()}, s.untilItems(ctx, followed)
}

// overdue waits for a due date, of which GHL has no event.
func (s *story) overdue(ctx context.Context) (end, error) {
	due := time.Now().Truncate(time.Second).Add(3 * time.Second)
	task, err := s.ghl.AddTask(ctx, s.hero.ID, ghltest.Task{Title: "Ask for the signature", Due: due})
	if err != nil {
		return end{}, err
	}
	err = s.untilItems(ctx, func(tasks []rankrtest.Task, _ []rankrtest.Note) string {
		if n := len(titled(tasks, "Overdue in GHL: "+task.Title)); n != 1 {
			return fmt.Sprintf("the team has %s", count(n, "follow-up"))
		}
		return ""
	})
	return end{
		words:    "the team has its follow-up " + since(due) + " after it was due, though GHL tells nobody",
		workflow: names.DueDate(s.fakes.Location, s.hero.ID, task.ID), others: s.ofHers(),
	}, err
}

// untilItems waits until a look at the tasks and notes of the hero's record finds nothing wrong.
func (s *story) untilItems(ctx context.Context, wrong func([]rankrtest.Task, []rankrtest.Note) string) error {
	mirrors, err := s.rankr.Mirrors(ctx, s.hero.ID)
	if err != nil {
		return err
	}
	mirror, why := only(mirrors, s.hero.ID)
	if why != "" {
		return errors.New(why)
	}
	return eventually(ctx, func() (string, error) {
		tasks, err := s.rankr.Tasks(ctx, mirror.ID)
		if err != nil {
			return "", err
		}
		notes, err := s.rankr.Notes(ctx, mirror.ID)
		if err != nil {
			return "", err
		}
		return wrong(tasks, notes), nil
	})
}

func (s *story) renamedWhileDown(ctx context.Context) (end, error) {
	all, err := s.ghl.Contacts(ctx, s.fakes.Location)
	if err != nil {
		return end{}, err
	}
	s.shaken = all[0].ID
	if err := s.rankr.Set(ctx, func(k *rankrtest.Knobs) { k.Down = true }); err != nil {
		return end{}, err
	}
	if _, err := s.ghl.Edit(ctx, s.shaken, map[string]any{"lastName": "Holm-Okafor"}); err != nil {
		return end{}, err
	}
	began, refused := time.Now(), 0
	err = eventually(ctx, func() (string, error) {
		counters, err := s.rankr.Counters(ctx)
		if refused = counters.Statuses[http.StatusServiceUnavailable]; refused < 2 {
			return "nobody asked Rankr twice while it was down", err
		}
		return "", err
	})
	down := time.Since(began).Round(100 * time.Millisecond)
	if heal := s.rankr.Set(ctx, func(k *rankrtest.Knobs) { k.Down = false }); err != nil || heal != nil {
		return end{}, errors.Join(err, heal)
	}
	words := fmt.Sprintf("Rankr refused %d times in %s; once it was back it got the new name (one more look, 30 s later, "+
		"makes sure that no refused write lands late)", refused, down)
	return end{words: words, workflow: names.Contact(s.fakes.Location, s.shaken)}, s.untilField(ctx, s.shaken, "lastName", "Holm-Okafor")
}

func (s *story) taskEdited(ctx context.Context) (end, error) {
	const title = "Call Mira in the morning"
	if _, err := s.ghl.EditTask(ctx, s.call.ID, map[string]any{"title": title}); err != nil {
		return end{}, err
	}
	poll, err := s.poll(ctx)
	if err != nil {
		return end{}, err
	}
	err = s.untilItems(ctx, func(tasks []rankrtest.Task, _ []rankrtest.Note) string {
		if len(titled(tasks, title)) != 1 {
			return "Rankr has the old title"
		}
		return ""
	})
	return end{words: "the poll compares open tasks, and Rankr has the new title", workflow: s.ofHerTasks(), others: []string{poll}}, err
}

func (s *story) foundByPoll(ctx context.Context) (end, error) {
	if _, err := s.ghl.Quietly().Edit(ctx, s.hero.ID, map[string]any{"phone": "+13125550199"}); err != nil {
		return end{}, err
	}
	mirrors, err := s.rankr.Mirrors(ctx, s.hero.ID)
	if err != nil {
		return end{}, err
	}
	if _, why := only(mirrors, s.hero.ID); why != "" {
		return end{}, errors.New(why)
	}
	if mirrors[0].Fields["phone"] == "+13125550199" {
		return end{}, errors.New("her new number was in Rankr before anybody looked")
	}
	began := time.Now()
	poll, err := s.poll(ctx)
	if err != nil {
		return end{}, err
	}
	err = s.untilField(ctx, s.hero.ID, "phone", "+13125550199")
	return end{words: "Rankr has her new number " + since(began) + " after the poll was asked for", workflow: s.ofHero(), others: []string{poll}}, err
}

func (s *story) idlePoll(ctx context.Context) (end, error) {
	poll, err := s.poll(ctx)
	return end{words: "a call each for contacts, open tasks and businesses", workflow: poll}, err
}

func (s *story) attached(ctx context.Context) (end, error) {
	business, err := s.ghl.AddBusiness(ctx, s.fakes.Location, ghltest.Business{Name: "Holm Ltd", Country: "US"})
	if err != nil {
		return end{}, err
	}
	if _, err := s.ghl.Attach(ctx, s.hero.ID, business.ID); err != nil {
		return end{}, err
	}
	poll, err := s.poll(ctx)
	if err != nil {
		return end{}, err
	}
	err = eventually(ctx, func() (string, error) {
		mirrors, err := s.rankr.Mirrors(ctx, s.hero.ID)
		if err != nil {
			return "", err
		}
		businesses, err := s.rankr.Businesses(ctx)
		switch mirror, why := only(mirrors, s.hero.ID); {
		case err != nil || why != "":
			return why, err
		case len(businesses) != 1 || businesses[0].ExternalID != business.ID || businesses[0].Name != business.Name:
			return fmt.Sprintf("Rankr has %d businesses", len(businesses)), nil
		case mirror.BusinessID != businesses[0].ID:
			return "she is not attached in Rankr", nil
		}
		return "", nil
	})
	return end{
		words:    "the poll compares them, the business is in Rankr, and she is attached to it there",
		workflow: names.Business(s.fakes.Location, business.ID), others: append(s.ofHers(), poll),
	}, err
}

func (s *story) adopted(ctx context.Context) (end, error) {
	had, err := s.rankr.Add(ctx, rankrtest.Record{
		Fields: map[string]any{"email": "noor.aziz@example.com", "firstName": "N.", "website": "https://noor.example"}, Tags: []string{"ours"},
	})
	if err != nil {
		return end{}, err
	}
	contact, err := s.ghl.Create(ctx, s.fakes.Location, ghltest.Contact{
		FirstName: "Noor", LastName: "Aziz", Email: "noor.aziz@example.com", Tags: []string{"customer"},
	})
	if err != nil {
		return end{}, err
	}
	err = s.until(ctx, func(records []rankrtest.Record) string {
		mirror, why := only(records, contact.ID)
		switch {
		case why != "":
			return why
		case mirror.ID != had.ID:
			return "Rankr has a second record for her"
		case mirror.Fields["firstName"] != "Noor" || !slices.Contains(mirror.Tags, "customer"):
			return "the record was not brought into step"
		case mirror.Fields["website"] != "https://noor.example" || !slices.Contains(mirror.Tags, "ours"):
			return "something that only Rankr had was wiped"
		}
		return ""
	})
	return end{words: "that record is linked and filled; what only Rankr had stays", workflow: names.Contact(s.fakes.Location, contact.ID)}, err
}

func (s *story) ambiguous(ctx context.Context) (end, error) {
	const email = "sam.two@example.com"
	for range 2 {
		if _, err := s.rankr.Add(ctx, rankrtest.Record{Fields: map[string]any{"email": email}}); err != nil {
			return end{}, err
		}
	}
	contact, err := s.ghl.Create(ctx, s.fakes.Location, ghltest.Contact{FirstName: "Sam", LastName: "Two", Email: email})
	if err != nil {
		return end{}, err
	}
	var problem struct {
		Contact string
		Code    crm.Code
		Remedy  string
	}
	err = eventually(ctx, func() (string, error) {
		listed, err := s.stack.Run(ctx, s.settings, "starter", "problems", "--output", "jsonl")
		if err != nil {
			return "", err
		}
		for line := range bytes.Lines([]byte(listed.Stdout)) {
			if json.Unmarshal(line, &problem) == nil && problem.Contact == contact.ID {
				return "", nil
			}
		}
		return "starter problems does not list the contact", nil
	})
	if err == nil && problem.Code != crm.Ambiguous {
		err = fmt.Errorf("the problem is %s", problem.Code)
	}
	if err == nil {
		err = s.until(ctx, func(records []rankrtest.Record) string {
			touched := slices.ContainsFunc(records, func(r rankrtest.Record) bool { return r.ExternalID == contact.ID })
			if touched {
				return "one of the two was picked"
			}
			return ""
		})
	}
	words := fmt.Sprintf("neither is touched; starter problems says: %s", problem.Remedy)
	return end{words: words, workflow: names.Contact(s.fakes.Location, contact.ID)}, err
}

func (s *story) deleted(ctx context.Context) (end, error) {
	mirrors, err := s.rankr.Mirrors(ctx, s.hero.ID)
	if err != nil {
		return end{}, err
	}
	mirror, why := only(mirrors, s.hero.ID)
	if why != "" {
		return end{}, errors.New(why)
	}
	if err := s.ghl.Delete(ctx, s.hero.ID); err != nil {
		return end{}, err
	}
	err = s.until(ctx, func(records []rankrtest.Record) string {
		if slices.ContainsFunc(records, func(r rankrtest.Record) bool { return r.ID == mirror.ID }) {
			return "Rankr still has her"
		}
		return ""
	})
	return end{words: "the record that we made in Rankr is gone, once GHL showed that the location is well", workflow: s.ofHero()}, err
}

func (s *story) badSignature(ctx context.Context) (end, error) {
	all, err := s.ghl.Contacts(ctx, s.fakes.Location)
	if err != nil {
		return end{}, err
	}
	event, err := s.ghl.Event(ctx, ghltest.ContactUpdate, all[0].ID)
	if err != nil {
		return end{}, err
	}
	event.Body = bytes.Replace(event.Body, []byte(ghltest.ContactUpdate), []byte(ghltest.ContactDelete), 1)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.starter.HTTP+"/webhooks/ghl", bytes.NewReader(event.Body))
	if err != nil {
		return end{}, err
	}
	request.Header.Set(ghltest.SignatureHeader, event.Signature)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return end{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		return end{}, fmt.Errorf("it was answered with %s", answer.Status)
	}
	return end{words: "it is refused with " + answer.Status + ", and nobody is asked anything"}, nil
}

// allInStep looks at everything once more: every contact has one record, and the systems' limits held.
func (s *story) allInStep(ctx context.Context) (end, error) {
	all, err := s.ghl.Contacts(ctx, s.fakes.Location)
	if err != nil {
		return end{}, err
	}
	records, err := s.rankr.All(ctx)
	if err != nil {
		return end{}, err
	}
	linked := 0
	for _, contact := range all {
		if contact.LastName == "Two" { // the ambiguous one waits for a person
			continue
		}
		mirror, why := only(records, contact.ID)
		if first, _ := mirror.Fields["firstName"].(string); why == "" && first != contact.FirstName {
			why = "the two names differ"
		}
		if why != "" {
			return end{}, fmt.Errorf("contact %s: %s", contact.ID, why)
		}
		linked++
	}
	stats, err := s.ghl.Stats(ctx)
	if err != nil {
		return end{}, err
	}
	counters, err := s.rankr.Counters(ctx)
	switch {
	case err != nil:
		return end{}, err
	case stats.Violations > 0 || counters.Statuses[http.StatusTooManyRequests] > 0:
		return end{}, errors.New("a rate limit was exceeded")
	case len(stats.Unknown) > 0 || counters.Operations["unknown"] > 0:
		return end{}, fmt.Errorf("calls were made that the systems don't know: %q", stats.Unknown)
	}
	return end{words: fmt.Sprintf("%d contacts are in step, 1 waits for a person, and no rate limit was touched", linked)}, nil
}

func (s *story) ofHero() string { return names.Contact(s.fakes.Location, s.hero.ID) }

func (s *story) ofHerTasks() string { return names.TasksAndNotes(s.fakes.Location, s.hero.ID) }

func (s *story) ofHerSegments() string { return names.Segments(s.fakes.Location, s.hero.ID) }

// ofHers are all workflows of the hero, but those that wait for due dates.
func (s *story) ofHers() []string { return []string{s.ofHero(), s.ofHerTasks(), s.ofHerSegments()} }

// poll asks for a poll as a person would, and returns the workflow that it became.
func (s *story) poll(ctx context.Context) (workflow string, err error) {
	schedule, before := s.schedule(ctx), 0
	err = eventually(ctx, func() (string, error) {
		polls, err := schedule.Describe(ctx)
		if missing := (*serviceerror.NotFound)(nil); errors.As(err, &missing) {
			return "the worker has made no schedule", nil // it does so soon after its start
		}
		if err != nil {
			return "", err
		}
		before = polls.Info.NumActions
		result, err := s.stack.Run(ctx, s.settings, "starter", "poll", "now")
		if err == nil && result.Code != 0 {
			return "starter poll now: " + result.Stderr, nil
		}
		return "", err
	})
	if err != nil {
		return "", err
	}
	err = eventually(ctx, func() (string, error) {
		polls, err := schedule.Describe(ctx)
		if err != nil {
			return "", err
		}
		runs := polls.Info.RecentActions
		if polls.Info.NumActions == before || len(runs) == 0 {
			return "no poll begins", nil
		}
		workflow = runs[len(runs)-1].StartWorkflowResult.WorkflowID
		return "", nil
	})
	return workflow, err
}

func (s *story) schedule(ctx context.Context) client.ScheduleHandle {
	return s.temporal.ScheduleClient().GetHandle(ctx, names.Poll(s.fakes.Location))
}

func (s *story) untilField(ctx context.Context, contact, field, value string) error {
	return s.until(ctx, func(records []rankrtest.Record) string {
		mirror, why := only(records, contact)
		if why == "" && mirror.Fields[field] != value {
			why = fmt.Sprintf("%s in Rankr is %q", field, mirror.Fields[field])
		}
		return why
	})
}

// until waits until a look at all of Rankr's records finds nothing wrong.
func (s *story) until(ctx context.Context, wrong func([]rankrtest.Record) string) error {
	return eventually(ctx, func() (string, error) {
		records, err := s.rankr.All(ctx)
		if err != nil {
			return "", err
		}
		return wrong(records), nil
	})
}

// only returns the one record that carries the external id.
func only(records []rankrtest.Record, externalID string) (rankrtest.Record, string) {
	var found []rankrtest.Record
	for _, record := range records {
		if record.ExternalID == externalID {
			found = append(found, record)
		}
	}
	if len(found) != 1 {
		return rankrtest.Record{}, fmt.Sprintf("Rankr has %d records for the contact", len(found))
	}
	return found[0], ""
}

// eventually looks again until nothing is wrong; when time is up, its error is what was wrong last.
func eventually(ctx context.Context, look func() (wrong string, err error)) error {
	for {
		wrong, err := look()
		if err == nil && wrong == "" {
			return nil
		}
		if ctx.Err() != nil || nap(ctx) != nil {
			if wrong != "" {
				return errors.New(wrong)
			}
			return err
		}
		if err != nil {
			return err
		}
	}
}

func nap(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}

// since is how long it took, as precisely as a person cares.
func since(began time.Time) string {
	d := time.Since(began)
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
