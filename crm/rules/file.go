package rules

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/vm"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/rankrsync/rankrsync/crm"
)

// The bounds of a file.
const (
	maxFile    = 1 << 20 // bytes
	maxDepth   = 40      // of nesting
	maxRules   = 1_000
	maxWatched = 100
	maxErrors  = 50 // reported at a time
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
	rule     string // that is being read
	mistakes []Mistake
}

func (p *reading) wrong(at ast.Node, format string, args ...any) {
	m := Mistake{Rule: p.rule, What: fmt.Sprintf(format, args...)}
	if mapping, ok := at.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		at = mapping.Values[0].Key
	}
	if at != nil {
		if token := at.GetToken(); token != nil && token.Position != nil {
			m.Line, m.Column = token.Position.Line, token.Position.Column
		}
	}
	p.mistakes = append(p.mistakes, m)
}

// root returns the file's one mapping; nil: there is nothing, or nothing to go on with.
func (p *reading) root(data []byte) *ast.MappingNode {
	if what := hostile(data); what != "" {
		p.wrong(nil, "%s", what)
		return nil
	}
	tree, err := parse(data)
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

// parse never panics, whatever the library does.
func parse(data []byte) (tree *ast.File, err error) {
	return guarded(func() (*ast.File, error) { return parser.ParseBytes(data, 0) })
}

func (p *reading) syntax(err error) {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil {
		p.mistakes = append(p.mistakes, Mistake{syntax.Token.Position.Line, syntax.Token.Position.Column, "", "not YAML: " + syntax.Message})
		return
	}
	p.wrong(nil, "not YAML")
}

// hostile looks for what would cost the parser too much, before it sees it: it goes one deeper with each level.
func hostile(data []byte) string {
	switch {
	case len(data) > maxFile:
		return fmt.Sprintf("the file has more than %d bytes", maxFile)
	case bytes.IndexByte(data, 0) >= 0:
		return "the file holds a NUL: it is no text"
	}
	for line := range bytes.Lines(data) {
		content := bytes.TrimLeft(line, " \t-?")
		if len(line)-len(content) > 4*maxDepth && len(bytes.TrimSpace(content)) > 0 {
			return "the file is nested too deep"
		}
	}
	open := 0
	for _, c := range data {
		switch c {
		case '[', '{':
			open++
		case ']', '}':
			open = max(open-1, 0)
		}
		if open > maxDepth {
			return "the file is nested too deep"
		}
	}
	return ""
}

// sections are the keys of a file.
var sections = []string{"segments", "tagWorkflows", "followUps", "businesses"}

func (p *reading) file(root *ast.MappingNode) {
	fields := p.fields(root, sections...)
	p.list(fields["segments"], "segments", p.segment)
	p.list(fields["tagWorkflows"], "tagWorkflows", p.tagWorkflow)
	p.list(fields["followUps"], "followUps", p.followUp)
	if businesses := p.mapping(fields["businesses"], "businesses"); businesses != nil {
		if mirror, ok := p.boolean(p.fields(businesses, "mirror")["mirror"], "mirror"); ok {
			p.rules.mirror = mirror
		}
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
	p.loops(fields["tagWorkflows"])
}

// list reads a section's rules.
func (p *reading) list(node ast.Node, section string, read func(*ast.MappingNode)) {
	if node == nil || node.Type() == ast.NullType {
		return
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		p.wrong(node, "%s must be a list", section)
		return
	}
	for i, value := range sequence.Values {
		p.rule = fmt.Sprintf("%s[%d]", section, i)
		if rule := p.mapping(value, "the rule"); rule != nil {
			read(rule)
		}
		p.rule = ""
	}
}

// ruleName is the form of a rule's name: it becomes part of ids.
var ruleName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// named reads a rule's name, and says from then on whose mistakes are told.
func (p *reading) named(node ast.Node, section string, taken func(name string) bool) string {
	name, ok := p.text(node, "name")
	switch {
	case !ok:
	case !ruleName.MatchString(name):
		p.wrong(node, "the name %q must be of small letters, digits and -, at most 40", shown(name))
	case taken(name):
		p.wrong(node, "the name %q is taken by another rule", name)
	default:
		p.rule = section + "/" + name
	}
	return name
}

func (p *reading) segment(rule *ast.MappingNode) {
	fields := p.fields(rule, "name", "description", "when")
	name, ok := p.required(rule, fields, "name")
	if !ok {
		return
	}
	if len([]rune(name)) > 100 {
		p.wrong(fields["name"], "the name has more than 100 characters")
		return
	}
	p.rule = SegmentRule(name)
	for _, other := range p.rules.segments {
		if strings.EqualFold(other.Name, name) {
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
	workflow.Name = p.named(p.must(rule, fields, "name"), "tagWorkflows", func(name string) bool {
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
	if task := p.mapping(fields["task"], "task"); task != nil {
		// GHL takes no task without a due date.
		template := p.template(task, tagVariables{}, p.fields(task, "title", "body", "due", "assignedTo"), true)
		workflow.task = &template
	}
	if workflow.task == nil && len(workflow.AddTags)+len(workflow.RemoveTags) == 0 {
		p.wrong(rule, "the rule does nothing: it needs addTags, removeTags or task")
	}
	p.rules.tagWorkflows = append(p.rules.tagWorkflows, workflow)
}

func (p *reading) followUp(rule *ast.MappingNode) {
	fields := p.fields(rule, "name", "on", "when", "title", "body", "due", "assignedTo")
	followUp := FollowUp{}
	followUp.Name = p.named(p.must(rule, fields, "name"), "followUps", func(name string) bool {
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
	program, err := compile(code, variables, want)
	if err != nil {
		what, line, column := where(err)
		p.wrong(node, "%s: %s", name, what)
		if mistake := &p.mistakes[len(p.mistakes)-1]; line == 1 {
			mistake.Column += column + opening(node)
		}
	}
	return program
}

// opening is how far the text of a scalar begins after the scalar itself.
func opening(node ast.Node) int {
	if token := node.GetToken(); token != nil && len(token.Origin) > 0 {
		if c := strings.TrimSpace(token.Origin); strings.HasPrefix(c, `"`) || strings.HasPrefix(c, `'`) {
			return 1
		}
	}
	return 0
}

// loops refuses rules whose additions could set each other off for ever.
func (p *reading) loops(at ast.Node) {
	next := map[string][]TagWorkflow{}
	for _, workflow := range p.rules.tagWorkflows {
		next[workflow.tag] = append(next[workflow.tag], workflow)
	}
	done := map[string]bool{}
	var path []TagWorkflow
	var visit func(tag string) bool
	visit = func(tag string) bool {
		if i := slices.IndexFunc(path, func(w TagWorkflow) bool { return w.tag == tag }); i >= 0 {
			var names []string
			for _, workflow := range path[i:] {
				names = append(names, workflow.Name)
			}
			p.wrong(at, "these rules of tagWorkflows set each other off without end: %s", strings.Join(names, ", "))
			return true
		}
		if done[tag] {
			return false
		}
		done[tag] = true
		for _, workflow := range next[tag] {
			path = append(path, workflow)
			for _, added := range workflow.AddTags {
				if added != workflow.tag && visit(added) {
					return true
				}
			}
			path = path[:len(path)-1]
		}
		return false
	}
	for _, tag := range p.rules.watched {
		if visit(tag) {
			return
		}
	}
}

// fields are the values of a mapping by their keys, of which only the known ones are read.
func (p *reading) fields(mapping *ast.MappingNode, known ...string) map[string]ast.Node {
	fields := map[string]ast.Node{}
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
	case nil, *ast.NullNode:
	case *ast.MappingNode:
		return n
	default:
		p.refuse(node, what+" must be a mapping")
	}
	return nil
}

// refuse tells what is wrong with a node's kind.
func (p *reading) refuse(node ast.Node, otherwise string) {
	switch node.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType, ast.TagType:
		p.wrong(node, "anchors, aliases and tags are not possible here")
	default:
		p.wrong(node, "%s", otherwise)
	}
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
	return p.text(node, name)
}

func (p *reading) optional(node ast.Node, name string) (string, bool) {
	if node == nil {
		return "", false
	}
	return p.text(node, name)
}

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
		p.refuse(node, name+" must be a text; put it into quotes")
		return "", false
	}
	if text = strings.TrimSpace(text); text == "" {
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
	p.refuse(node, name+" must be true or false")
	return false, false
}

func (p *reading) tags(node ast.Node, name string) []string {
	if node == nil || node.Type() == ast.NullType {
		return nil
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		p.refuse(node, name+" must be a list of tags")
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

// suggest names the known word that a misspelt one may mean.
func suggest(word string, known []string) string {
	if len(word) > 40 {
		return ""
	}
	best, least := "", 4
	for _, candidate := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(candidate)); d < least && d < len(candidate) {
			best, least = candidate, d
		}
	}
	if best == "" {
		return "; known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf(": did you mean %s?", best)
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
