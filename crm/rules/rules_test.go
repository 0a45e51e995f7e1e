package rules

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
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

func TestAFollowUpThatCannotBeWorkedOutIsNamed(t *testing.T) {
	far := "now" + strings.Repeat(` + duration("2500000h")`, 40)
	for code, ok := range map[string]bool{
		`title: '"x"'`:                                   true,
		`title: '"x"', due: task.due`:                    true,
		`title: '" "'`:                                   false,
		`title: string(1 % len(task.body))`:              false,
		`title: '"x"', body: string(1 % len(task.body))`: false,
		`title: '"x"', due: date(task.body)`:             false,
		`title: '"x"', due: ` + far:                      false,
		`title: '"x"', when: 1 % len(task.body) == 0`:    false,
	} {
		rule := parsed(t, "followUps: [{name: a, on: created, "+code+"}]").FollowUps(crm.TaskCreated)[0]
		_, made, err := rule.Task(crm.Task{}, at)
		assert.Equal(t, ok, made, code)
		if ok {
			assert.NoError(t, err, code)
			continue
		}
		var failed *crm.Error
		require.True(t, errors.As(err, &failed), code)
		assert.Equal(t, &crm.Error{Code: crm.RuleFailed, Operation: "rules", Fields: []string{"followUps/a"}}, failed, code)
	}
}

func TestATagWorkflowThatCannotBeWorkedOutIsNamed(t *testing.T) {
	for _, code := range []string{`title: customFields.none + "x", due: now`, `title: '"x"', due: 'date("0001-01-01")'`, `title: customFields.number, due: now`} {
		workflow := parsed(t, "tagWorkflows: [{name: a, whenTagAdded: x, task: {"+code+"}}]").Adding("x")[0]
		_, made, err := workflow.Task(crm.Contact{Fields: crm.Fields{"customFields.number": 5.0}}, at)
		assert.False(t, made)
		var failed *crm.Error
		require.True(t, errors.As(err, &failed), code)
		assert.Equal(t, &crm.Error{Code: crm.RuleFailed, Operation: "rules", Fields: []string{"tagWorkflows/a"}}, failed)
	}
}

func TestTextsAreTrimmedAndCut(t *testing.T) {
	rule := parsed(t, "followUps: [{name: a, on: created, title: task.title, body: task.body}]").FollowUps(crm.TaskCreated)[0]
	task, _, err := rule.Task(crm.Task{Title: "  " + strings.Repeat("é", 501), Body: strings.Repeat("é", 4_999) + " xx "}, at)
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat("é", 500), task.Title)
	assert.Equal(t, strings.Repeat("é", 4_999), task.Body)
}

func TestDecisions(t *testing.T) {
	earlier := at.Add(-time.Hour)
	added := map[string]time.Time{"new lead": earlier}
	rules := parsed(t, `
segments:
  - {name: Lead, when: '"new lead" in tags'}
  - {name: Big, when: customFields.budget > 1000}
tagWorkflows:
  - {name: a, whenTagAdded: New Lead, addTags: [x]}
  - {name: b, whenTagAdded: vip, addTags: [y]}
  - {name: c, whenTagAdded: vip, removeTags: [z]}
`)
	watched := []string{"new lead", "vip"}
	big := crm.Fields{"customFields.budget": 2000.0}
	for name, c := range map[string]struct {
		before  crm.Decision
		contact crm.Contact
		want    crm.Decision
	}{
		"the first look at an old contact takes its tags as they are": {
			crm.Decision{},
			crm.Contact{Tags: []string{"new lead"}, Fields: big, Added: at.Add(-24 * time.Hour), Business: "b"},
			crm.Decision{Segments: []string{"Big", "Lead"}, Business: "b", Watched: watched, Tags: []string{"new lead"}, At: at},
		},
		"the first look at a new one counts them": {
			crm.Decision{},
			crm.Contact{Tags: []string{"new lead", "other"}, Fields: big, Added: at.Add(-24*time.Hour + 1)},
			crm.Decision{Segments: []string{"Big", "Lead"}, Added: map[string]time.Time{"new lead": at}, Watched: watched, Tags: []string{"new lead"}, At: at},
		},
		"of a contact whose age nobody tells they are taken as they are": {
			crm.Decision{},
			crm.Contact{Tags: []string{"vip"}, Fields: big},
			crm.Decision{Segments: []string{"Big"}, Watched: watched, Tags: []string{"vip"}, At: at},
		},
		"a new contact is new once": {
			crm.Decision{Watched: watched, Tags: []string{"vip"}, At: earlier},
			crm.Contact{Tags: []string{"vip"}, Fields: big, Added: earlier},
			crm.Decision{Segments: []string{"Big"}, Watched: watched, Tags: []string{"vip"}, At: at},
		},
		"a tag that was not there counts": {
			crm.Decision{Watched: watched, At: earlier},
			crm.Contact{Tags: []string{"new lead"}, Fields: big},
			crm.Decision{Segments: []string{"Big", "Lead"}, Added: map[string]time.Time{"new lead": at}, Watched: watched, Tags: []string{"new lead"}, At: at},
		},
		"a tag that nobody waited for does not": {
			crm.Decision{Watched: []string{"vip"}, At: earlier},
			crm.Contact{Tags: []string{"new lead"}, Fields: big},
			crm.Decision{Segments: []string{"Big", "Lead"}, Watched: watched, Tags: []string{"new lead"}, At: at},
		},
		"an addition is carried on, also when the tag is gone": {
			crm.Decision{Watched: watched, Tags: []string{"new lead"}, Added: added, At: earlier},
			crm.Contact{Fields: big},
			crm.Decision{Segments: []string{"Big"}, Added: added, Watched: watched, At: at},
		},
		"an addition of a tag that nobody waits for any more is forgotten": {
			crm.Decision{Watched: []string{"old"}, Tags: []string{"old"}, Added: map[string]time.Time{"old": earlier}, At: earlier},
			crm.Contact{Tags: []string{"old"}, Fields: big},
			crm.Decision{Segments: []string{"Big"}, Watched: watched, At: at},
		},
		"a rule that fails leaves its segment as it was": {
			crm.Decision{Segments: []string{"Big", "Gone"}, Watched: watched, At: earlier},
			crm.Contact{},
			crm.Decision{Segments: []string{"Big"}, Failed: []string{"segments/Big"}, Watched: watched, At: at},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, rules.Decide(c.before, c.contact, at)) })
	}
}

func TestBusinessesThatAreNotMirroredAreNotDecided(t *testing.T) {
	assert.Equal(t, crm.Decision{}, parsed(t, "businesses: {mirror: false}").Decide(crm.Decision{}, crm.Contact{Business: "b"}, at))
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

func TestThePageOnTheFileTellsAllThatCanBeWritten(t *testing.T) {
	data, err := os.ReadFile("../../docs/sync-yaml.md")
	require.NoError(t, err)
	page, yaml := string(data), ""
	for _, block := range strings.Split(page, "```yaml\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		yaml += text
	}
	r := parsed(t, yaml)
	assert.Len(t, r.Segments(), 1)
	assert.Len(t, r.Adding("new lead"), 1)
	assert.Len(t, r.FollowUps(crm.TaskCompleted), 1)

	for _, name := range slices.Concat(kept, slices.Collect(maps.Keys(functions))) {
		assert.Regexp(t, "`"+name+"[`(]", page, "the function %s", name)
	}
	for _, field := range slices.Concat(namesOf(reflect.TypeFor[contactFields]()), namesOf(reflect.TypeFor[taskFields]())) {
		assert.Regexp(t, `(contact|task)?\.`+field+"`", page, "the field %s", field)
	}
	for _, name := range slices.Concat(namesOf(reflect.TypeFor[tagVariables]()), namesOf(reflect.TypeFor[taskVariables]())) {
		assert.Regexp(t, "`"+name+"[`.]", page, "the variable %s", name)
	}
}

func TestAdditionsAreCountedOnceWhateverComes(t *testing.T) {
	tags := []string{"a", "b", "c", "nobody waits for this"}
	watching := map[string]*Rules{}
	for _, watched := range []string{"ab", "abc", "bc", "c", ""} {
		yaml := "segments: [{name: All, when: 'true'}]\ntagWorkflows:\n"
		for _, tag := range strings.Split(watched, "") {
			yaml += "  - {name: " + tag + ", whenTagAdded: " + tag + ", removeTags: [x]}\n"
		}
		watching[watched] = parsed(t, yaml)
	}
	rapid.Check(t, func(t *rapid.T) {
		var decision crm.Decision
		had, watched, expected := map[string]bool{}, "", map[string]time.Time{}
		young := rapid.Bool().Draw(t, "young")
		for i := range rapid.IntRange(1, 20).Draw(t, "reads") {
			now := at.Add(time.Duration(i) * time.Minute)
			contact := crm.Contact{Tags: crm.FoldTags(rapid.SliceOfDistinct(rapid.SampledFrom(tags), rapid.ID).Draw(t, "tags"))}
			if young {
				contact.Added = at
			}
			if i == 0 || rapid.IntRange(0, 4).Draw(t, "edit the file") == 0 {
				watched = rapid.SampledFrom(slices.Sorted(maps.Keys(watching))).Draw(t, "watched")
			}
			before := decision
			decision = watching[watched].Decide(before, contact, now)

			for _, tag := range tags {
				has, waits, waited := slices.Contains(contact.Tags, tag), strings.Contains(watched, tag), slices.Contains(before.Watched, tag)
				switch {
				case !waits:
					delete(expected, tag)
				case has && (i == 0 && young || waited && !had[tag]):
					expected[tag] = now
				}
				had[tag] = has
			}
			if !maps.Equal(expected, decision.Added) {
				t.Fatalf("read %d: added %v, not %v", i, decision.Added, expected)
			}
			if again := watching[watched].Decide(decision, contact, now.Add(time.Second)); !again.Same(decision) {
				t.Fatal("a second look at the same contact decides anew")
			}
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

func BenchmarkParseAThousandRules(b *testing.B) {
	yaml := []byte(numbered("segments", `when: '"t%d" in tags && contact.country in ["CH", "LI"] && default(customFields.budget, 0) > 1000'`, 500) +
		numbered("followUps", `on: completed, when: task.title startsWith "Proposal", title: '"Follow up " + task.title', due: now + duration("72h")`, 500))
	for b.Loop() {
		if _, err := Parse("sync.yaml", yaml); err != nil {
			b.Fatal(err)
		}
	}
}
