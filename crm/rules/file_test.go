package rules

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

func TestEverythingThatIsWrongIsToldWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"an unknown section": {
			"segmnets: []", `sync.yaml:1:1: "segmnets" is not known here: did you mean segments?`,
		},
		"a section that is no list": {
			"segments: {a: b}", `sync.yaml:1:12: segments must be a list`,
		},
		"a rule that is none": {
			"segments:\n  - VIP\n  -\n  - [a]", "sync.yaml:2:5: segments[0]: the rule must be a mapping\n" +
				"sync.yaml:3:4: segments[1]: the rule must be a mapping\n" +
				"sync.yaml:4:5: segments[2]: the rule must be a mapping",
		},
		"an unknown field of the contact": {
			"segments:\n  - name: VIP\n    when: contact.emial == \"\"",
			`sync.yaml:3:19: segments/VIP: when: contact has no field emial: did you mean email?`,
		},
		"an unknown field inside a call": {
			"segments:\n  - name: VIP\n    when: 'default(contact.emial, \"x\") == \"\"'",
			`sync.yaml:3:28: segments/VIP: when: contact has no field emial: did you mean email?`,
		},
		"an unknown field of the task": {
			"followUps: [{name: a, on: created, title: task.titel}]",
			`sync.yaml:1:48: followUps/a: title: task has no field titel: did you mean title?`,
		},
		"an unknown name": {
			"segments:\n  - name: VIP\n    when: 'tagz'", `sync.yaml:3:12: segments/VIP: when: unknown name tagz: did you mean tags?`,
		},
		"an unknown function": {
			"segments:\n  - name: VIP\n    when: uper(contact.city) == \"\"", `sync.yaml:3:11: segments/VIP: when: unknown name uper: did you mean upper?`,
		},
		"a name that is for other rules": {
			"segments:\n  - name: VIP\n    when: task.done", `sync.yaml:3:11: segments/VIP: when: unknown name task`,
		},
		"the clock": {
			"segments:\n  - name: VIP\n    when: now() > date(\"2026-01-01\")", "sync.yaml:3:11: segments/VIP: when: unknown name now",
		},
		"a place after quotes in quotes": {
			"segments:\n  - name: Ü\n    when: '''é'' == tagz'", `sync.yaml:3:21: segments/Ü: when: unknown name tagz: did you mean tags?`,
		},
		"a place after escapes": {
			"segments:\n  - name: VIP\n    when: \"\\\"\\u00e9\\x41\\\" == tagz\"", `sync.yaml:3:30: segments/VIP: when: unknown name tagz: did you mean tags?`,
		},
		"a place in a block": {
			"segments:\n  - name: VIP\n    when: |\n      dnd_is_off ||\n        tagz == tags\n",
			`sync.yaml:4:7: segments/VIP: when: unknown name dnd_is_off`,
		},
		"a place in a block's second line": {
			"segments:\n  - name: VIP\n    when: |\n      contact.dnd ||\n        \"é\" in tagz\n",
			`sync.yaml:5:16: segments/VIP: when: unknown name tagz: did you mean tags?`,
		},
		"a place in folded lines is their beginning": {
			"segments:\n  - name: VIP\n    when: >\n      contact.dnd ||\n      tagz == tags\n",
			`sync.yaml:3:11: segments/VIP: when: unknown name tagz: did you mean tags?`,
		},
		"a place in a second line is the beginning": {
			"segments:\n  - name: VIP\n    when: 'contact.dnd ||\n      tagz == tags'\n",
			`sync.yaml:3:11: segments/VIP: when: unknown name tagz: did you mean tags?`,
		},
		"an expression that ends too soon": {
			"segments:\n  - name: VIP\n    when: contact.dnd &&", `sync.yaml:3:24: segments/VIP: when: unexpected token EOF`,
		},
		"an expression that YAML ends": {
			"segments:\n  - name: VIP\n    when: any(tags, # == \"x\")",
			`sync.yaml:3:19: segments/VIP: when: unexpected token EOF; what follows # is a comment in YAML unless the expression is in quotes`,
		},
		"an expression in half quotes": {
			"segments:\n  - name: VIP\n    when: \"vip\" in tags",
			`sync.yaml:3:17: not YAML: value is not allowed in this context. map key-value is pre-defined; an expression that begins with a quote must be in quotes as a whole, as in '"vip" in tags'`,
		},
		"an expression that begins like a tag": {
			"segments:\n  - name: VIP\n    when: !contact.dnd",
			`sync.yaml:3:11: tags of YAML are not possible here; a text that begins with ! must be in quotes`,
		},
		"a wrong type": {
			"segments:\n  - name: VIP\n    when: contact.email", `sync.yaml:3:11: segments/VIP: when: it must come to true or false, not a text`,
		},
		"types that don't go together": {
			"segments:\n  - name: VIP\n    when: tags == 3", `sync.yaml:3:16: segments/VIP: when: invalid operation: == (mismatched types list and int)`,
		},
		"what is no text": {
			"segments:\n  - {name: 5, when: true, description: [a]}",
			"sync.yaml:2:12: segments[0]: name must be a text; put it into quotes\n" +
				"sync.yaml:2:21: segments[0]: when must be a text; put it into quotes\n" +
				"sync.yaml:2:40: segments[0]: description must be a text; put it into quotes",
		},
		"what is missing": {
			"segments:\n  - name: VIP\n  - when: 'true'\ntagWorkflows:\n  - {}\n  - {name: a}\nfollowUps:\n  - {name: a}",
			"sync.yaml:2:5: segments/VIP: when is missing\n" +
				"sync.yaml:3:5: segments[1]: name is missing\n" +
				"sync.yaml:5:5: tagWorkflows[0]: name is missing\n" +
				"sync.yaml:5:5: tagWorkflows[0]: whenTagAdded is missing\n" +
				"sync.yaml:5:5: tagWorkflows[0]: the rule does nothing: it needs addTags, removeTags or task\n" +
				"sync.yaml:6:6: tagWorkflows/a: whenTagAdded is missing\n" +
				"sync.yaml:6:6: tagWorkflows/a: the rule does nothing: it needs addTags, removeTags or task\n" +
				"sync.yaml:8:6: followUps/a: on is missing\n" +
				"sync.yaml:8:6: followUps/a: title is missing",
		},
		"what is empty": {
			"tagWorkflows:\n  - {name: a, whenTagAdded: ' ', addTags: [], removeTags: [''], task: }",
			"sync.yaml:2:29: tagWorkflows/a: whenTagAdded is empty\n" +
				"sync.yaml:2:43: tagWorkflows/a: addTags must be a list of tags\n" +
				"sync.yaml:2:60: tagWorkflows/a: removeTags is empty\n" +
				"sync.yaml:2:70: tagWorkflows/a: task must be a mapping",
		},
		"a task without a due date": {
			"tagWorkflows: [{name: a, whenTagAdded: x, task: {title: contact.city}}]", `sync.yaml:1:50: tagWorkflows/a: due is missing`,
		},
		"mistakes everywhere": {
			"businesses: 3\nsegments:\n  - colour: red\n    name: VIP\n    when: yes\nbusinesses: {mirror: maybe, miror: true}",
			"sync.yaml:1:13: businesses must be a mapping\n" +
				"sync.yaml:3:5: segments/VIP: \"colour\" is not known here; known are name, description, when\n" +
				"sync.yaml:5:11: segments/VIP: when: unknown name yes\n" +
				"sync.yaml:6:1: \"businesses\" is there twice",
		},
		"what businesses can't be": {
			"businesses: {mirror: maybe, miror: true}",
			"sync.yaml:1:22: mirror must be true or false\nsync.yaml:1:29: \"miror\" is not known here: did you mean mirror?",
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
		"a name that is too long": {
			"segments: [{name: " + strings.Repeat("é", 101) + ", when: contact.dnd}]", `sync.yaml:1:19: segments[0]: the name has more than 100 characters`,
		},
		"a name of two lines": {
			"segments: [{name: \"a\\nb\", when: contact.dnd}]", `sync.yaml:1:19: segments[0]: the name has characters that can't be seen`,
		},
		"a name that is taken": {
			"followUps:\n  - {name: a, on: created, title: task.title}\n  - {name: a, on: created, title: task.title}",
			`sync.yaml:3:12: followUps/a: the name "a" is taken by another rule`,
		},
		"a segment that is taken": {
			"segments:\n  - {name: VIP, when: contact.dnd}\n  - {name: vip, when: contact.dnd}",
			`sync.yaml:3:12: segments/vip: the segment has a rule already; join them with ||`,
		},
		"a rule that adds what it waits for": {
			"tagWorkflows: [{name: a, whenTagAdded: X, addTags: [' x ']}]",
			`sync.yaml:1:52: tagWorkflows/a: the tag "x" is there already when the rule runs`,
		},
		"a rule that adds what it removes": {
			"tagWorkflows: [{name: a, whenTagAdded: x, addTags: [y], removeTags: [Y]}]",
			`sync.yaml:1:52: tagWorkflows/a: the tag "y" is both added and removed`,
		},
		"rules that work against each other": {
			"tagWorkflows:\n  - {name: a, whenTagAdded: x, addTags: [y]}\n  - {name: b, whenTagAdded: x, removeTags: [y]}\n  - {name: c, whenTagAdded: x, addTags: [y]}",
			"sync.yaml:3:44: tagWorkflows/b: the tag \"y\" is removed here and added by tagWorkflows/a, for the same tag\n" +
				"sync.yaml:4:41: tagWorkflows/c: the tag \"y\" is added here and removed by tagWorkflows/b, for the same tag",
		},
		"rules that set each other off": {
			"tagWorkflows:\n  - {name: a, whenTagAdded: x, addTags: [n, y], removeTags: [x]}\n  - {name: b, whenTagAdded: y, addTags: [z], removeTags: [y]}\n" +
				"  - {name: c, whenTagAdded: z, addTags: [x]}\n  - {name: d, whenTagAdded: p, addTags: [q]}\n  - {name: e, whenTagAdded: q, addTags: [p]}",
			"sync.yaml:2:41: these tagWorkflows set each other off without end: a, b, c\n" +
				"sync.yaml:5:41: these tagWorkflows set each other off without end: d, e",
		},
		"anchors and aliases": {
			"segments: &a []\ntagWorkflows: *a\nfollowUps: !!seq []\n<<: {}",
			"sync.yaml:1:11: anchors are not possible here; a text that begins with & must be in quotes\n" +
				"sync.yaml:2:15: aliases are not possible here; a text that begins with * must be in quotes\n" +
				"sync.yaml:3:12: tags of YAML are not possible here; a text that begins with ! must be in quotes\n" +
				"sync.yaml:4:1: merged keys are not possible here; a text that begins with << must be in quotes",
		},
		"several documents": {
			"segments: []\n---\nsegments: []", `sync.yaml:3:1: the file must hold one document`,
		},
		"no mapping":    {"- a", `sync.yaml:1:1: the file must be a mapping`},
		"no plain keys": {"1: []\n", `sync.yaml:1:1: a key must be a plain word`},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Parse("sync.yaml", []byte(c.yaml))
			assert.Nil(t, r)
			assert.EqualError(t, err, c.want)
		})
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	for want, yaml := range map[string]string{
		"segments has 1001 rules; at most 1000 are possible":                "segments:\n" + strings.Repeat("  - {name: a, when: contact.dnd}\n", 1_001),
		"sync.yaml:1:1: the file has 1001 rules; at most 1000 are possible": numbered("segments", "when: contact.dnd", 500) + numbered("followUps", "on: created, title: task.title", 501),
		"rules wait for 101 tags; at most 100 are possible":                 numbered("tagWorkflows", "whenTagAdded: t%d, removeTags: [x]", 101),
		"sync.yaml: 10 more":                                                             "segments:\n" + strings.Repeat("  - a\n", 60),
		"sync.yaml:52:5: a mapping has more than 50 keys":                                "segments:\n  - name: a\n" + strings.Repeat("    a: 1\n", 100),
		"sync.yaml:1:41: the file is nested more than 40 deep":                           strings.Repeat("[", 50),
		"it has more than 10000 bytes":                                                   "segments: [{name: a, when: '" + strings.Repeat("(", 20_000) + "'}]",
		"segments/a: when: compilation failed: expression exceeds maximum allowed nodes": "segments: [{name: a, when: '" + strings.Repeat("1==1&&", 1_000) + "true'}]",
	} {
		_, err := Parse("sync.yaml", []byte(yaml))
		assert.ErrorContains(t, err, want)
	}
}

// numbered is a section of n rules.
func numbered(section, rest string, n int) string {
	var b strings.Builder
	b.WriteString(section + ":\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: n%d, %s}\n", i, strings.ReplaceAll(rest, "%d", fmt.Sprint(i)))
	}
	return b.String()
}

func TestAThousandRulesAreAllowed(t *testing.T) {
	yaml := numbered("segments", `when: '"t%d" in tags || contact.country == "CH"'`, 900) + numbered("tagWorkflows", `whenTagAdded: t%d, removeTags: [x]`, 100)
	assert.Len(t, parsed(t, yaml).Segments(), 900)
}

func TestHostileFilesAreRefusedFast(t *testing.T) {
	filled := func(with string) string { return strings.Repeat(with, maxFile/len(with)-20) }
	for name, yaml := range map[string]string{
		"10 MB":                 strings.Repeat("a: 1\n", 2<<20),
		"deep flow":             strings.Repeat("[", 100_000),
		"deep flow mappings":    strings.Repeat("{a: ", 100_000),
		"deep list":             strings.Repeat("- ", 100_000) + "x",
		"deep keys":             strings.Repeat("? ", 100_000) + "x",
		"deep blocks":           deep(1_000),
		"binary":                "\x00\x01",
		"no UTF-8":              "segments: \xff",
		"many keys":             filled("a: 1\n"),
		"many keys of a rule":   "segments:\n  - name: a\n" + strings.Repeat("    a: 1\n", 10_000),
		"many quotes":           filled(`"a" `),
		"many colons":           filled(": "),
		"many anchors":          filled("&a "),
		"many tags":             filled("!!a "),
		"many brackets":         filled("]"),
		"many documents":        filled("---\na\n"),
		"many rules":            "segments:\n" + filled("- a\n"),
		"a text without an end": `"` + filled("a\n"),
		"not YAML":              "segments: [",
		"a tag":                 "segments: !!binary aGk=",
		"an alias bomb":         "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nsegments: *c",
		"a merged key":          "a: &a {mirror: false}\nbusinesses: {<<: *a}",
		"a key of a list":       "? [a]\n: b",
		"a deep expression":     "segments: [{name: a, when: '" + strings.Repeat("(", 9_000) + "'}]",
		"a deep negation":       "segments: [{name: a, when: '" + strings.Repeat("!", 9_000) + "true'}]",
		"a large list":          "segments: [{name: a, when: 'len([" + strings.Repeat("1,", 4_900) + "]) > 1'}]",
	} {
		t.Run(name, func(t *testing.T) {
			before := cpu(t)
			_, err := Parse("sync.yaml", []byte(yaml))
			assert.Less(t, cpu(t)-before, 3*time.Second)
			var wrong *FileError
			require.True(t, errors.As(err, &wrong))
			assert.LessOrEqual(t, len(wrong.Mistakes), maxErrors+1)
			assert.Less(t, len(err.Error()), 20_000)
		})
	}
}

func TestAnEndlessRangeFailsByName(t *testing.T) {
	r := parsed(t, "segments: [{name: a, when: 'any(1..1000000000, # == 123456789)'}]")
	assert.Equal(t, []string{"segments/a"}, r.Decide(crm.Decision{}, crm.Contact{}, at).Failed)
}

func deep(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String() + strings.Repeat(" ", levels) + "b"
}

func TestWhatLooksHostileAndIsNot(t *testing.T) {
	brackets := numbered("followUps", `on: created, title: task.title, when: 'task.title startsWith "["'`, 200)
	assert.Len(t, parsed(t, brackets).FollowUps(crm.TaskCreated), 200)
	assert.Len(t, parsed(t, notIndented(200)).Segments(), 200)
	rule := "# " + strings.Repeat("-", 500) + "\nsegments:\n  - name: a\n    description: |\n      " + strings.Repeat("-", 500) + "\n    when: contact.dnd\n"
	assert.Len(t, parsed(t, rule).Segments(), 1)
	assert.Len(t, parsed(t, "\uFEFF"+strings.ReplaceAll(example, "\n", "\r\n")).Segments(), 2)
}

func notIndented(n int) string {
	var b strings.Builder
	b.WriteString("segments:\n")
	for i := range n {
		fmt.Fprintf(&b, "- name: n%d\n  when: contact.dnd\n", i)
	}
	return b.String()
}
