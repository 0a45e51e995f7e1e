package rules

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/rankrsync/rankrsync/crm"
)

// The bounds of what a file says.
const (
	maxRules   = 1_000
	maxWatched = 100
	maxName    = 100 // characters of a segment's name
	maxErrors  = 50  // reported at a time
)

// Mistake is one thing that is wrong with a file.
type Mistake struct {
	Line, Column int
	Rule         string // "segments/VIP"; empty: of the file as a whole
	What         string
}

// FileError is everything that is wrong with a file.
type FileError struct {
	Name     string
	Mistakes []Mistake // in the order of the file
}

// Error has a line for each mistake.
func (e *FileError) Error() string {
	lines := make([]string, 0, len(e.Mistakes))
	for _, m := range e.Mistakes {
		line := e.Name
		if m.Line > 0 {
			line += fmt.Sprintf(":%d:%d", m.Line, m.Column)
		}
		if m.Rule != "" {
			line += ": " + m.Rule
		}
		lines = append(lines, line+": "+m.What)
	}
	return strings.Join(lines, "\n")
}

// Parse reads a file. Its error is a *[FileError] that lists everything that is wrong with it, each with line and column.
// An empty file is as good as none.
func Parse(name string, data []byte) (*Rules, error) {
	p := &reading{rules: Default()}
	if root := p.root(data); root != nil {
		p.file(root)
	}
	if len(p.mistakes) == 0 {
		return p.rules, nil
	}
	slices.SortStableFunc(p.mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if more := len(p.mistakes) - maxErrors; more > 0 {
		p.mistakes = append(p.mistakes[:maxErrors], Mistake{What: fmt.Sprintf("%d more", more)})
	}
	return nil, &FileError{name, p.mistakes}
}

// reading is a file on its way into rules.
type reading struct {
	rules    *Rules
	added    []ast.Node // for each tag workflow, where it says which tags it adds
	lines    []string   // of the file
	rule     string     // that is being read
	mistakes []Mistake
}

func (p *reading) wrong(at ast.Node, format string, args ...any) {
	if mapping, ok := at.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		at = mapping.Values[0].Key
	}
	var place *token.Position
	if at != nil && at.GetToken() != nil {
		place = at.GetToken().Position
	}
	p.at(place, format, args...)
}

func (p *reading) at(place *token.Position, format string, args ...any) {
	m := Mistake{Rule: p.rule, What: fmt.Sprintf(format, args...)}
	if place != nil {
		m.Line, m.Column = place.Line, place.Column
	}
	p.mistakes = append(p.mistakes, m)
}

// root returns the file's one mapping; nil: there is nothing, or nothing to go on with.
func (p *reading) root(data []byte) *ast.MappingNode {
	tokens := p.tokens(data)
	if tokens == nil {
		return nil
	}
	// A key that is there twice is found with all the other mistakes.
	tree, err := guarded(func() (*ast.File, error) { return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) })
	if err != nil {
		p.syntax(err)
		return nil
	}
	var documents []ast.Node
	for _, document := range tree.Docs {
		if document.Body != nil && document.Body.Type() != ast.CommentType && document.Body.Type() != ast.NullType {
			documents = append(documents, document.Body)
		}
	}
	switch {
	case len(documents) == 0:
		return nil
	case len(documents) > 1:
		p.wrong(documents[1], "the file must hold one document")
		return nil
	}
	return p.mapping(documents[0], "the file")
}

func (p *reading) syntax(err error) {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil {
		p.wrong(nil, "not YAML")
		return
	}
	hint := ""
	if before := syntax.Token.Prev; before != nil && (before.Type == token.DoubleQuoteType || before.Type == token.SingleQuoteType) {
		hint = "; an expression that begins with a quote must be in quotes as a whole, as in '\"vip\" in tags'"
	}
	message, _, _ := strings.Cut(syntax.Message, `: "`) // what it quotes may be a secret that was put into the file
	p.at(syntax.Token.Position, "not YAML: %s%s", message, hint)
}

// sections are the keys of a file.
var sections = []string{"tables", "contacts", "tags", "onDelete", "locations", "segments", "tagWorkflows", "followUps", "businesses", "rankr"}

func (p *reading) file(root *ast.MappingNode) {
	fields := p.fields(root, sections...)
	p.list(fields["tables"], "tables", "table", p.table)
	if fields["contacts"] != nil || fields["tags"] != nil || fields["onDelete"] != nil {
		p.rules.mapping = p.contactsOf(fields, nil)
	}
	p.list(fields["locations"], "locations", "entry", p.override)
	p.sealMappings()
	p.list(fields["segments"], "segments", "rule", p.segment)
	p.list(fields["tagWorkflows"], "tagWorkflows", "rule", p.tagWorkflow)
	p.list(fields["followUps"], "followUps", "rule", p.followUp)
	if node := fields["businesses"]; !empty(node) {
		businesses := p.mapping(node, "businesses")
		if mirror, ok := p.boolean(p.fields(businesses, "mirror")["mirror"], "mirror"); ok {
			p.rules.mirror = mirror
		}
	}
	if node := fields["rankr"]; !empty(node) {
		rankr := p.mapping(node, "rankr")
		p.list(p.fields(rankr, "accounts")["accounts"], "accounts", "account", p.account)
	}
	if n := len(p.rules.segments) + len(p.rules.tagWorkflows) + len(p.rules.followUps); n > maxRules {
		p.wrong(root, "the file has %d rules; at most %d are possible", n, maxRules)
	}
	for _, workflow := range p.rules.tagWorkflows {
		p.rules.watched = append(p.rules.watched, workflow.tag)
	}
	slices.Sort(p.rules.watched)
	if p.rules.watched = slices.Compact(p.rules.watched); len(p.rules.watched) > maxWatched {
		p.wrong(root, "rules wait for %d tags; at most %d are possible", len(p.rules.watched), maxWatched)
	}
	p.loops()
}

// empty tells whether there is nothing under a section's name.
func empty(node ast.Node) bool { return node == nil || node.Type() == ast.NullType }

// list reads a section's rules, or what else it is a list of.
func (p *reading) list(node ast.Node, section, of string, read func(*ast.MappingNode)) {
	if empty(node) {
		return
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		p.wrong(node, "%s must be a list", section)
		return
	}
	if n := len(sequence.Values); n > maxRules {
		p.wrong(node, "%s has %d %ss; at most %d are possible", section, n, of, maxRules)
		return
	}
	for i, value := range sequence.Values {
		p.rule = fmt.Sprintf("%s[%d]", section, i)
		if rule := p.mapping(value, "the "+of); rule != nil {
			p.rule = cmp.Or(calledIn(section, rule), p.rule)
			read(rule)
		}
		p.rule = ""
	}
}

// calledIn is what a rule is called in messages, also where the mistake stands before its name; empty: it has no proper name.
func calledIn(section string, rule *ast.MappingNode) string {
	for _, entry := range rule.Values {
		key, isText := entry.Key.(*ast.StringNode)
		if name, ok := entry.Value.(*ast.StringNode); ok && isText && key.Value == "name" && properName(section, name.Value) {
			return section + "/" + strings.TrimSpace(name.Value)
		}
	}
	return ""
}

func properName(section, name string) bool {
	switch section {
	case "segments":
		return segmentName(name) == ""
	case "accounts":
		return crm.ValidID(name)
	}
	return ruleName.MatchString(name)
}

// ruleName is the form of a rule's name: it becomes part of ids.
var ruleName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// named reads a rule's name.
func (p *reading) named(rule *ast.MappingNode, fields map[string]ast.Node, taken func(name string) bool) string {
	name, ok := p.required(rule, fields, "name")
	switch {
	case !ok:
	case !ruleName.MatchString(name):
		p.wrong(fields["name"], "the name %q must be of small letters, digits and -, at most 40", shown(name))
	case taken(name):
		p.wrong(fields["name"], "the name %q is taken by another rule", name)
	}
	return name
}

// segmentName tells what is wrong with a segment's name.
func segmentName(name string) string {
	switch {
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("the name has more than %d characters", maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "the name has characters that can't be seen"
	}
	return ""
}

func (p *reading) segment(rule *ast.MappingNode) {
	fields := p.fields(rule, "name", "description", "when")
	name, ok := p.required(rule, fields, "name")
	if what := segmentName(name); what != "" {
		p.wrong(fields["name"], "%s", what)
	}
	for _, other := range p.rules.segments {
		if ok && strings.EqualFold(other.Name, name) {
			p.wrong(fields["name"], "the segment has a rule already; join them with ||")
		}
	}
	description, _ := p.optional(fields["description"], "description")
	when := p.expression(rule, fields, "when", contactVariables{}, boolType, true)
	p.rules.segments = append(p.rules.segments, segment{crm.Segment{Name: name, Description: description}, when})
}

func (p *reading) tagWorkflow(rule *ast.MappingNode) {
	fields := p.fields(rule, "name", "whenTagAdded", "addTags", "removeTags", "task")
	workflow := TagWorkflow{}
	workflow.Name = p.named(rule, fields, func(name string) bool {
		return slices.ContainsFunc(p.rules.tagWorkflows, func(other TagWorkflow) bool { return other.Name == name })
	})
	if tag, ok := p.required(rule, fields, "whenTagAdded"); ok {
		workflow.tag = crm.FoldTags([]string{tag})[0]
	}
	workflow.AddTags = p.tags(fields["addTags"], "addTags")
	workflow.RemoveTags = p.tags(fields["removeTags"], "removeTags")
	for _, tag := range workflow.AddTags {
		switch {
		case slices.Contains(workflow.RemoveTags, tag):
			p.wrong(fields["addTags"], "the tag %q is both added and removed", shown(tag))
		case tag == workflow.tag:
			p.wrong(fields["addTags"], "the tag %q is there already when the rule runs", shown(tag))
		}
	}
	p.contradictions(workflow, fields["removeTags"], fields["addTags"])
	task := p.mapping(fields["task"], "task")
	if task != nil {
		// GHL takes no task without a due date.
		template := p.template(task, tagVariables{}, p.fields(task, "title", "body", "due", "assignedTo"), true)
		workflow.task = &template
	}
	if fields["task"] == nil && fields["addTags"] == nil && fields["removeTags"] == nil {
		p.wrong(rule, "the rule does nothing: it needs addTags, removeTags or task")
	}
	p.rules.tagWorkflows = append(p.rules.tagWorkflows, workflow)
	p.added = append(p.added, fields["addTags"])
}

// contradictions refuses what two rules for one tag do against each other: what came of it would be up to their order.
func (p *reading) contradictions(workflow TagWorkflow, removed, added ast.Node) {
	for _, other := range p.rules.tagWorkflows {
		if other.tag != workflow.tag {
			continue
		}
		for _, tag := range workflow.AddTags {
			if slices.Contains(other.RemoveTags, tag) {
				p.wrong(added, "the tag %q is added here and removed by tagWorkflows/%s, for the same tag", shown(tag), other.Name)
			}
		}
		for _, tag := range workflow.RemoveTags {
			if slices.Contains(other.AddTags, tag) {
				p.wrong(removed, "the tag %q is removed here and added by tagWorkflows/%s, for the same tag", shown(tag), other.Name)
			}
		}
	}
}

func (p *reading) followUp(rule *ast.MappingNode) {
	fields := p.fields(rule, "name", "on", "when", "title", "body", "due", "assignedTo")
	followUp := FollowUp{}
	followUp.Name = p.named(rule, fields, func(name string) bool {
		return slices.ContainsFunc(p.rules.followUps, func(other FollowUp) bool { return other.Name == name })
	})
	if on, ok := p.required(rule, fields, "on"); ok {
		followUp.on = crm.TaskEvent(on)
		if events := []string{string(crm.TaskCreated), string(crm.TaskCompleted), string(crm.TaskOverdue)}; !slices.Contains(events, on) {
			p.wrong(fields["on"], "%q is none of %s%s", shown(on), strings.Join(events, ", "), suggest(on, events))
		}
	}
	followUp.when = p.expression(rule, fields, "when", taskVariables{}, boolType, false)
	followUp.task = p.template(rule, taskVariables{}, fields, false)
	p.rules.followUps = append(p.rules.followUps, followUp)
}

func (p *reading) template(at *ast.MappingNode, variables any, fields map[string]ast.Node, due bool) taskTemplate {
	assignedTo, _ := p.optional(fields["assignedTo"], "assignedTo")
	return taskTemplate{
		title:      p.expression(at, fields, "title", variables, textType, true),
		body:       p.expression(at, fields, "body", variables, textType, false),
		due:        p.expression(at, fields, "due", variables, timeType, due),
		assignedTo: assignedTo,
	}
}

// expression compiles the expression under a name.
func (p *reading) expression(rule *ast.MappingNode, fields map[string]ast.Node, name string, variables any, want reflect.Type, needed bool) *vm.Program {
	node := fields[name]
	if node == nil {
		if needed {
			p.wrong(rule, "%s is missing", name)
		}
		return nil
	}
	code, ok := p.text(node, name)
	if !ok {
		return nil
	}
	program, err := compile(code, variables, want, p.rules.tables)
	if err != nil {
		what, offset := where(err)
		p.wrong(node, "%s: %s%s", name, explained(what, variables), commented(node))
		if mistake := &p.mistakes[len(p.mistakes)-1]; offset >= 0 {
			mistake.Line, mistake.Column = p.place(node, offset)
		}
	}
	return program
}

// commented says so where YAML ends an expression before its writer did.
func commented(node ast.Node) string {
	at := node.GetToken()
	if at.Type == token.StringType && at.Next != nil && at.Next.Type == token.CommentType && at.Next.Position.Line == at.Position.Line {
		return "; what follows # is a comment in YAML unless the expression is in quotes"
	}
	return ""
}

// loops refuses rules whose additions could set each other off for ever. Every loop is told, once.
func (p *reading) loops() {
	waiting := map[string][]int{}
	for i, workflow := range p.rules.tagWorkflows {
		waiting[workflow.tag] = append(waiting[workflow.tag], i)
	}
	done := map[string]bool{}
	var path []int
	var visit func(tag string)
	visit = func(tag string) {
		if i := slices.IndexFunc(path, func(i int) bool { return p.rules.tagWorkflows[i].tag == tag }); i >= 0 {
			p.loop(path[i:])
			return
		}
		if done[tag] {
			return
		}
		done[tag] = true
		for _, i := range waiting[tag] {
			path = append(path, i)
			for _, added := range p.rules.tagWorkflows[i].AddTags {
				if added != tag { // that is refused already
					visit(added)
				}
			}
			path = path[:len(path)-1]
		}
	}
	for _, workflow := range p.rules.tagWorkflows {
		visit(workflow.tag)
	}
}

func (p *reading) loop(workflows []int) {
	var names []string
	for _, i := range workflows {
		names = append(names, cmp.Or(p.rules.tagWorkflows[i].Name, "?"))
	}
	if more := len(names) - 10; more > 0 {
		names = append(names[:10], fmt.Sprintf("%d more", more))
	}
	p.wrong(p.added[workflows[0]], "these tagWorkflows set each other off without end: %s", strings.Join(names, ", "))
}

// fields are the values of a mapping by their keys, of which only the known ones are read.
func (p *reading) fields(mapping *ast.MappingNode, known ...string) map[string]ast.Node {
	fields := map[string]ast.Node{}
	if mapping == nil {
		return fields
	}
	for _, entry := range mapping.Values {
		key, ok := entry.Key.(*ast.StringNode)
		switch {
		case !ok:
			p.wrong(entry.Key, "a key must be a plain word")
		case !slices.Contains(known, key.Value):
			p.wrong(entry.Key, "%q is not known here%s", shown(key.Value), suggest(key.Value, known))
		case fields[key.Value] != nil:
			p.wrong(entry.Key, "%q is there twice", key.Value)
		default:
			fields[key.Value] = entry.Value
		}
	}
	return fields
}

// mapping returns the node as a mapping; nil: it is not there, or is something else.
func (p *reading) mapping(node ast.Node, what string) *ast.MappingNode {
	switch n := node.(type) {
	case nil:
	case *ast.MappingNode:
		return n
	default:
		p.wrong(node, "%s must be a mapping", what)
	}
	return nil
}

func (p *reading) must(rule *ast.MappingNode, fields map[string]ast.Node, name string) ast.Node {
	if fields[name] == nil {
		p.wrong(rule, "%s is missing", name)
	}
	return fields[name]
}

// required reads a text that must be there and say something.
func (p *reading) required(rule *ast.MappingNode, fields map[string]ast.Node, name string) (string, bool) {
	node := p.must(rule, fields, name)
	if node == nil {
		return "", false
	}
	return p.trimmed(node, name)
}

func (p *reading) optional(node ast.Node, name string) (string, bool) {
	if node == nil {
		return "", false
	}
	return p.trimmed(node, name)
}

func (p *reading) trimmed(node ast.Node, name string) (string, bool) {
	text, ok := p.text(node, name)
	return strings.TrimSpace(text), ok
}

// text reads a text with the blanks around it.
func (p *reading) text(node ast.Node, name string) (string, bool) {
	var text string
	switch n := node.(type) {
	case nil:
		return "", false
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	default:
		p.wrong(node, "%s must be a text; put it into quotes", name)
		return "", false
	}
	if trimmed := strings.TrimSpace(text); trimmed == "" {
		p.wrong(node, "%s is empty", name)
		return "", false
	}
	return text, true
}

func (p *reading) boolean(node ast.Node, name string) (bool, bool) {
	switch n := node.(type) {
	case nil:
		return false, false
	case *ast.BoolNode:
		return n.Value, true
	}
	p.wrong(node, "%s must be true or false", name)
	return false, false
}

func (p *reading) tags(node ast.Node, name string) []string {
	if node == nil {
		return nil
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok || len(sequence.Values) == 0 {
		p.wrong(node, "%s must be a list of tags", name)
		return nil
	}
	var tags []string
	for _, value := range sequence.Values {
		if tag, ok := p.text(value, name); ok {
			tags = append(tags, tag)
		}
	}
	return crm.FoldTags(tags)
}

// shown is a text of the file as a message quotes it.
func shown(text string) string {
	if runes := []rune(text); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return text
}

// suggest names the known word that a misspelt one may mean, or all of a few.
func suggest(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return fmt.Sprintf(": did you mean %s?", best)
	}
	return "; known are " + strings.Join(known, ", ")
}

// nearest is the known word that a misspelt one may mean; empty: none is like it.
func nearest(word string, known []string) string {
	if len(word) > 40 {
		return ""
	}
	best, least := "", 2+len(word)/5
	for _, candidate := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(candidate)); d < least && d < len(candidate) {
			best, least = candidate, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out or changed to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
