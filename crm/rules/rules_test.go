package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rankrsync/rankrsync/crm"
)

const example = `
segments:
  - name: Swiss VIPs
    when: '"vip" in tags && contact.country == "CH"'
  - name: Big budget
    description: for the sales team
    when: customFields.budget > 1000
tagWorkflows:
  - name: welcome
    whenTagAdded: New Lead
    addTags: [Nurture]
    removeTags: [cold]
    task:
      title: '"Call " + default(contact.firstName, "the new lead")'
      body: '"Budget: " + string(customFields.budget)'
      due: now + duration("48h")
followUps:
  - name: proposal-sent
    on: completed
    when: task.title startsWith "Proposal"
    title: '"Follow up: " + task.title'
    due: now + duration("72h")
businesses:
  mirror: true
`

var at = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func parsed(t testing.TB, yaml string) *Rules {
	t.Helper()
	r, err := Parse("sync.yaml", []byte(yaml))
	require.NoError(t, err)
	return r
}

func TestASegmentHoldsWhoeverItsRuleHoldsFor(t *testing.T) {
	r := parsed(t, example)
	contact := crm.Contact{Fields: crm.Fields{"country": "CH", "customFields.budget": 2000.0}, Tags: []string{"vip"}, Business: "b1"}
	decision := r.Decide(crm.Decision{}, contact, at)
	assert.Equal(t, []string{"Big budget", "Swiss VIPs"}, decision.Segments)
	assert.Equal(t, "b1", decision.Business)
	assert.Empty(t, decision.Failed)
	assert.Equal(t, []crm.Segment{{Name: "Swiss VIPs"}, {Name: "Big budget", Description: "for the sales team"}}, r.Segments())
}

func TestARuleThatCannotBeWorkedOutIsNamedAndChangesNothing(t *testing.T) {
	r := parsed(t, example)
	contact := crm.Contact{Fields: crm.Fields{"customFields.budget": "a lot"}}
	decision := r.Decide(crm.Decision{Segments: []string{"Big budget", "Swiss VIPs"}}, contact, at)
	assert.Equal(t, []string{"Big budget"}, decision.Segments, "it stays where it was")
	assert.Equal(t, []string{"segments/Big budget"}, decision.Failed)
}

func TestATagCountsAsAddedOnce(t *testing.T) {
	r := parsed(t, example)
	none, tagged := crm.Contact{}, crm.Contact{Tags: []string{"new lead"}}
	old := r.Decide(crm.Decision{}, tagged, at)
	assert.Empty(t, old.Added, "a tag that was there before anybody watched is taken as it is")
	before := r.Decide(crm.Decision{}, none, at)
	first := r.Decide(before, tagged, at.Add(time.Hour))
	assert.Equal(t, map[string]time.Time{"new lead": at.Add(time.Hour)}, first.Added)
	later := r.Decide(first, tagged, at.Add(2*time.Hour))
	assert.True(t, later.Same(first), "a later edit adds nothing")
	without := r.Decide(later, none, at.Add(3*time.Hour))
	assert.True(t, without.Same(first))
	again := r.Decide(without, tagged, at.Add(4*time.Hour))
	assert.Equal(t, map[string]time.Time{"new lead": at.Add(4 * time.Hour)}, again.Added)
}

func TestTheTagsOfANewContactCountAsAdded(t *testing.T) {
	r := parsed(t, example)
	contact := crm.Contact{Tags: []string{"new lead"}, Added: at.Add(-time.Hour)}
	assert.Len(t, r.Decide(crm.Decision{}, contact, at).Added, 1)
	contact.Added = at.Add(-25 * time.Hour)
	assert.Empty(t, r.Decide(crm.Decision{}, contact, at).Added)
}

func TestWithoutRulesNothingIsRemembered(t *testing.T) {
	var none *Rules
	assert.True(t, none.Decide(crm.Decision{}, crm.Contact{Business: "b"}, at).Zero())
	assert.True(t, Default().Decide(crm.Decision{}, crm.Contact{Tags: []string{"x"}}, at).Zero())
	assert.Equal(t, "b", Default().Decide(crm.Decision{}, crm.Contact{Business: "b"}, at).Business)
}

func TestATagWorkflowMakesItsTask(t *testing.T) {
	r := parsed(t, example)
	workflows := r.Adding("new lead")
	require.Len(t, workflows, 1)
	assert.Equal(t, []string{"nurture"}, workflows[0].AddTags)
	task, ok, err := workflows[0].Task(crm.Contact{Fields: crm.Fields{"firstName": "Ann", "customFields.budget": 5.0}}, at)
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, crm.Task{Title: "Call Ann", Body: "Budget: 5", Due: at.Add(48 * time.Hour)}, task)
	task, _, err = workflows[0].Task(crm.Contact{}, at)
	require.NoError(t, err)
	assert.Equal(t, "Call the new lead", task.Title)
}

func TestAFollowUpIsMadeWhereItsConditionHolds(t *testing.T) {
	rules := parsed(t, example).FollowUps(crm.TaskCompleted)
	require.Len(t, rules, 1)
	task, ok, err := rules[0].Task(crm.Task{Title: "Proposal for Ann"}, at)
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, crm.Task{Title: "Follow up: Proposal for Ann", Due: at.Add(72 * time.Hour)}, task)
	_, ok, err = rules[0].Task(crm.Task{Title: "Call Ann"}, at)
	require.NoError(t, err)
	assert.False(t, ok)
	assert.Empty(t, parsed(t, example).FollowUps(crm.TaskOverdue))
}

func TestEverythingThatIsWrongIsToldWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"an unknown key": {
			"segmnets: []", `sync.yaml:1:1: "segmnets" is not known here: did you mean segments?`,
		},
		"an unknown field": {
			"segments:\n  - name: VIP\n    when: contact.emial == \"\"",
			`sync.yaml:3:19: segments/VIP: when: type rules.contactFields has no field emial`,
		},
		"a quoted expression": {
			"segments:\n  - name: VIP\n    when: 'tagz'",
			`sync.yaml:3:12: segments/VIP: when: unknown name tagz`,
		},
		"a wrong type": {
			"segments:\n  - name: VIP\n    when: contact.email",
			`sync.yaml:3:11: segments/VIP: when: it must come to true or false, not a text`,
		},
		"no expression": {
			"segments:\n  - name: VIP\n", `sync.yaml:2:5: segments/VIP: when is missing`,
		},
		"two mistakes": {
			"segments:\n  - name: VIP\n    when: yes\n    colour: red\nbusinesses: 3",
			"sync.yaml:3:11: segments/VIP: when: unknown name yes\n" +
				"sync.yaml:4:5: segments[0]: \"colour\" is not known here; known are name, description, when\n" +
				"sync.yaml:5:13: businesses must be a mapping",
		},
		"a due date that is none": {
			"followUps:\n  - name: a\n    on: created\n    title: task.title\n    due: task.title",
			`sync.yaml:5:10: followUps/a: due: it must come to a time, not a text`,
		},
		"an unknown event": {
			"followUps:\n  - name: a\n    on: complete\n    title: task.title",
			`sync.yaml:3:9: followUps/a: "complete" is none of created, completed, overdue: did you mean completed?`,
		},
		"a name that can be no id": {
			"followUps:\n  - name: A B\n    on: created\n    title: task.title",
			`sync.yaml:2:11: followUps[0]: the name "A B" must be of small letters, digits and -, at most 40`,
		},
		"a rule that runs for ever": {
			"tagWorkflows:\n  - {name: a, whenTagAdded: x, addTags: [y], removeTags: [x]}\n  - {name: b, whenTagAdded: y, addTags: [x], removeTags: [y]}",
			`sync.yaml:2:3: these rules of tagWorkflows set each other off without end: a, b`,
		},
		"an alias": {
			"segments: &a []\ntagWorkflows: *a", "sync.yaml:1:11: segments must be a list",
		},
		"the clock": {
			"segments:\n  - name: VIP\n    when: now() > date(\"2026-01-01\")", "sync.yaml:3:11: segments/VIP: when: unknown name now",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("sync.yaml", []byte(c.yaml))
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
		})
	}
}

func TestHostileFilesAreRefused(t *testing.T) {
	for name, yaml := range map[string]string{
		"large":           strings.Repeat("#", maxFile+1),
		"deep flow":       strings.Repeat("[", 100_000),
		"deep list":       strings.Repeat("- ", 100_000) + "x",
		"deep keys":       strings.Repeat("? ", 100_000) + "x",
		"deep blocks":     deep(1_000),
		"binary":          "\x00\x01",
		"endless range":   "segments: [{name: a, when: 'any(1..1000000000, # == 123456789)'}]",
		"large text":      "segments: [{name: a, when: '" + strings.Repeat("1==1&&", 5_000) + "true'}]",
		"not YAML":        "segments: [",
		"several":         "a: 1\n---\nb: 2",
		"an unknown tag":  "segments: !!binary aGk=",
		"no mapping":      "- a",
		"an alias bomb":   "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nsegments: *c",
		"a merged key":    "a: &a {mirror: false}\nbusinesses: {<<: *a}",
		"a key of a list": "? [a]\n: b",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Parse("sync.yaml", []byte(yaml))
			if name == "endless range" && err == nil { // nothing says at load that it is; it fails by name when it is worked out
				assert.Equal(t, []string{"segments/a"}, r.Decide(crm.Decision{}, crm.Contact{}, at).Failed)
				return
			}
			require.Error(t, err)
		})
	}
}

func deep(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String() + strings.Repeat(" ", levels) + "b"
}

func TestAnEmptyFileIsAsGoodAsNone(t *testing.T) {
	for _, yaml := range []string{"", "# nothing yet\n", "segments:\n", "---\n"} {
		assert.True(t, parsed(t, yaml).MirrorsBusinesses())
	}
	assert.False(t, parsed(t, "businesses: {mirror: false}").MirrorsBusinesses())
}

func TestTheExampleFileLoads(t *testing.T) {
	data, err := os.ReadFile("../../sync.example.yaml")
	require.NoError(t, err)
	r, err := Parse("sync.example.yaml", data)
	require.NoError(t, err)
	assert.NotEmpty(t, r.Segments())
	assert.NotEmpty(t, r.FollowUps(crm.TaskOverdue))
}

func TestAdditionsAreCountedOnceWhateverComes(t *testing.T) {
	r := parsed(t, example)
	rapid.Check(t, func(t *rapid.T) {
		var decision crm.Decision
		var last time.Time
		had, expected := true, time.Time{} // what is there at first is taken as it is
		for i, has := range rapid.SliceOfN(rapid.Bool(), 1, 20).Draw(t, "has the tag") {
			last = at.Add(time.Duration(i) * time.Minute)
			contact := crm.Contact{}
			if has {
				contact.Tags = []string{"new lead"}
			}
			decision = r.Decide(decision, contact, last)
			if has && !had {
				expected = last
			}
			had = has
		}
		if !decision.Added["new lead"].Equal(expected) {
			t.Fatalf("added at %s, not %s", decision.Added["new lead"], expected)
		}
	})
}

func TestADecisionIsTotalAndStable(t *testing.T) {
	r := parsed(t, example)
	value := rapid.OneOf(rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }), rapid.Map(rapid.SliceOf(rapid.String()), func(l []string) any { return l }))
	rapid.Check(t, func(t *rapid.T) {
		contact := crm.Contact{
			Fields:   rapid.MapOf(rapid.SampledFrom([]string{"email", "country", "dnd", "customFields.budget", "firstName"}), value).Draw(t, "fields"),
			Tags:     crm.FoldTags(rapid.SliceOf(rapid.SampledFrom([]string{"vip", "new lead", "", "x"})).Draw(t, "tags")),
			Business: rapid.String().Draw(t, "business"),
		}
		first, second := r.Decide(crm.Decision{}, contact, at), r.Decide(crm.Decision{}, contact, at)
		if !first.Same(second) || fmt.Sprint(first) != fmt.Sprint(second) {
			t.Fatal("not the same twice")
		}
		for _, workflow := range r.Adding("new lead") {
			_, _, _ = workflow.Task(contact, at)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("segments: [{name: a, when: 'true'}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse("f", data)
		if err == nil {
			r.Decide(crm.Decision{}, crm.Contact{}, at)
		} else if r != nil {
			t.Fatal("both rules and an error")
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	var yaml strings.Builder
	yaml.WriteString("segments:\n")
	for i := range 20 {
		fmt.Fprintf(&yaml, "  - {name: s%d, when: '\"t%d\" in tags || contact.country == \"CH\" && customFields.budget == %d'}\n", i, i, i)
	}
	r := parsed(b, yaml.String())
	contact := crm.Contact{Fields: crm.Fields{"email": "a@b.c", "country": "CH", "customFields.budget": 3.0}, Tags: []string{"t1", "vip"}}
	for b.Loop() {
		r.Decide(crm.Decision{}, contact, at)
	}
}
