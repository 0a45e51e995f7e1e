package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm"
	"github.com/goccy/go-yaml/ast"

	"github.com/rankrsync/rankrsync/crm"
)

// OnLeave is what becomes of a record whose contact is not to be synced any more.
type OnLeave string

// What can become of it.
const (
	LeaveKeep   OnLeave = "keep"   // it stays as it is, and linked
	LeaveDetach OnLeave = "detach" // it stays, and is nobody's mirror
	LeaveDelete OnLeave = "delete" // one that we made is deleted, one that was there before is detached
)

// Mapped is a contact as Rankr should hold it.
type Mapped struct {
	crm.Contact
	Excluded bool    // it is not to be synced; the contact is empty then
	OnLeave  OnLeave // what becomes of its record in that case
}

// mapping is what a file says of the contacts of one location. A nil one takes all of them as they are.
type mapping struct {
	include *vm.Program // nil: all contacts
	code    string      // of include
	onLeave OnLeave
	fields  []target
	bare    bool // fields that are not named are left alone
	only    []string
	except  []string
	noTags  bool
	keep    string // onDelete; empty: as the settings say
	version string
}

// target is one field of the record, and what goes into it.
type target struct {
	name   string // as in [crm.Fields]
	source string // a field that is taken as it is; empty: see value
	value  *vm.Program
	code   string // of value; empty, and no source: the field is left alone
}

// rule is what a field's rule is called in messages and problems.
func (t target) rule() string {
	if key, custom := strings.CutPrefix(t.name, crm.CustomField); custom {
		return "contacts/customFields/" + key
	}
	return "contacts/fields/" + t.name
}

// anyValue stands for what a custom field can hold.
var anyValue = reflect.TypeFor[any]()

// typeOf is what an expression for the field must come to.
func (t target) typeOf() reflect.Type {
	switch {
	case strings.HasPrefix(t.name, crm.CustomField):
		return anyValue
	case t.name == "dnd":
		return boolType
	}
	return textType
}

// mappingOf is what holds for a location.
func (r *Rules) mappingOf(location string) *mapping {
	if r == nil {
		return nil
	}
	if own, ok := r.overrides[location]; ok {
		return own
	}
	return r.mapping
}

// Maps tells whether the file says anything of the location's contacts: else they go as they are.
func (r *Rules) Maps(location string) bool { return r.mappingOf(location) != nil }

// MappingVersion names the mapping of a location's contacts. A link remembers it, so that a contact whose mapping changed is compared
// again although GHL's record did not move.
func (r *Rules) MappingVersion(location string) string {
	m := r.mappingOf(location)
	if m == nil {
		return crm.MappingVersion
	}
	return m.version
}

// KeepsDeleted tells what becomes of the record of a contact that was deleted in GHL, where the file says that.
func (r *Rules) KeepsDeleted(location string) (keep, said bool) {
	m := r.mappingOf(location)
	if m == nil || m.keep == "" {
		return false, false
	}
	return m.keep == "keep", true
}

// Map turns a contact, as [crm.Map] leaves it, into the record that Rankr should hold, of which [crm.Map] is to be asked again. Its
// error is [crm.RuleFailed] and names every rule that could not be worked out: of such a contact nothing is written.
func (r *Rules) Map(location string, contact crm.Contact) (Mapped, error) {
	m := r.mappingOf(location)
	if m == nil {
		return Mapped{Contact: contact}, nil
	}
	mapped, failed := m.apply(contact)
	if failed != nil {
		slices.Sort(failed)
		return Mapped{}, &crm.Error{Code: crm.RuleFailed, Operation: "rules", Fields: failed}
	}
	return mapped, nil
}

func (m *mapping) apply(contact crm.Contact) (mapped Mapped, failed []string) {
	in := scope{}
	if m.include != nil || slices.ContainsFunc(m.fields, func(t target) bool { return t.value != nil }) {
		cost := &allowance{}
		in = scope{variablesOf(contact, cost), cost}
	}
	if m.include != nil {
		switch included, err := run[bool](m.include, in); {
		case err != nil:
			return Mapped{}, []string{"contacts/include"}
		case !included:
			return Mapped{Contact: crm.Contact{ID: contact.ID, Location: contact.Location, Updated: contact.Updated}, Excluded: true, OnLeave: m.onLeave}, nil
		}
	}
	mapped.Contact = contact
	fields := make(crm.Fields, len(contact.Fields))
	if !m.bare {
		maps.Copy(fields, contact.Fields)
	}
	for _, t := range m.fields {
		value, err := t.of(contact, in)
		switch {
		case err != nil:
			failed = append(failed, t.rule())
		case value == nil:
			delete(fields, t.name)
		default:
			fields[t.name] = value
		}
	}
	mapped.Fields = fields
	mapped.Tags = m.synced(contact.Tags)
	return mapped, failed
}

// of works the field out; nil: it has no value.
func (t target) of(contact crm.Contact, in scope) (any, error) {
	switch {
	case t.source != "":
		return t.fit(contact.Fields[t.source])
	case t.value == nil:
		return nil, nil
	}
	value, err := run[any](t.value, in)
	if err != nil {
		return nil, err
	}
	return t.fit(value)
}

// fit brings a value into a form that the field can hold, or says that there is none.
func (t target) fit(value any) (any, error) {
	if value == nil {
		return nil, nil
	}
	switch t.typeOf() {
	case textType:
		if day, ok := value.(time.Time); ok && t.name == "dateOfBirth" {
			return day.Format(time.DateOnly), nil
		}
		text, err := textOf(value)
		if text == "" {
			return nil, err
		}
		return text, err
	case boolType:
		if on, ok := value.(bool); ok {
			return on, nil
		}
		return nil, errShape
	}
	switch v := value.(type) {
	case string, bool, []string:
		return v, nil
	case int:
		return float64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errShape
		}
		return v, nil
	case time.Time:
		if v.Equal(v.Truncate(24*time.Hour)) && v.Location() == time.UTC {
			return v.Format(time.DateOnly), nil
		}
		return v.Format(time.RFC3339), nil
	case []any:
		texts := make([]string, len(v))
		for i, element := range v {
			text, ok := element.(string)
			if !ok {
				return nil, errShape
			}
			texts[i] = text
		}
		return texts, nil
	}
	return nil, errShape
}

// synced are those of the tags that are kept in step.
func (m *mapping) synced(tags []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool {
		like := func(pattern string) bool { return matches(pattern, tag) }
		return m.noTags || m.only != nil && !slices.ContainsFunc(m.only, like) || slices.ContainsFunc(m.except, like)
	})
}

// matches tells whether a tag is one, or like one with * for any characters.
func matches(pattern, tag string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == tag
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(tag, first) || !strings.HasSuffix(tag[len(first):], last) {
		return false
	}
	tag = tag[len(first) : len(tag)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(tag, part)
		if at < 0 {
			return false
		}
		tag = tag[at+len(part):]
	}
	return true
}

// Tags are those of the tags that are kept in step.
func (r *Rules) Tags(location string, tags []string) []string {
	m := r.mappingOf(location)
	if m == nil {
		return tags
	}
	return m.synced(tags)
}

// Reads lists the custom fields that the location's mapping reads by their key, sorted: those that its dictionary should have.
func (r *Rules) Reads(location string) (keys []string) {
	m := r.mappingOf(location)
	if m == nil {
		return nil
	}
	codes := []string{m.code}
	for _, t := range m.fields {
		codes = append(codes, t.code, t.source)
	}
	for _, code := range codes {
		for _, found := range customKey.FindAllStringSubmatch(code, -1) {
			keys = append(keys, cmp.Or(found[1], found[2], found[3]))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// customKey finds the custom fields that an expression names.
var customKey = regexp.MustCompile(`customFields(?:\??\.(\w+)|\["([^"]+)"\]|\['([^']+)'\])`)

// seal gives the mapping its version, which is another for whatever would map otherwise.
func (m *mapping) seal(tables map[string]map[string]string) {
	text := fmt.Sprintf("%q %q %v %q %q %v %q", m.code, m.onLeave, m.bare, m.only, m.except, m.noTags, tables)
	for _, t := range m.fields {
		text += fmt.Sprintf(" %q=%q/%q", t.name, t.source, t.code)
	}
	sum := sha256.Sum256([]byte(text))
	m.version = crm.MappingVersion + "-" + hex.EncodeToString(sum[:6])
}

// sealMappings gives each mapping its version once the file is read.
func (p *reading) sealMappings() {
	if p.rules.mapping != nil {
		p.rules.mapping.seal(p.rules.tables)
	}
	for _, own := range p.rules.overrides {
		own.seal(p.rules.tables)
	}
}

// clone is a copy that an override changes.
func (m *mapping) clone() *mapping {
	if m == nil {
		return &mapping{onLeave: LeaveKeep}
	}
	c := *m
	c.fields = slices.Clone(m.fields)
	return &c
}

// set replaces what goes into a field.
func (m *mapping) set(t target) {
	if i := slices.IndexFunc(m.fields, func(other target) bool { return other.name == t.name }); i >= 0 {
		m.fields[i] = t
		return
	}
	m.fields = append(m.fields, t)
}

// contactsOf reads what a file, or a part of it for some locations, says of contacts; before is what holds without it.
func (p *reading) contactsOf(fields map[string]ast.Node, before *mapping) *mapping {
	m := before.clone()
	if node := fields["contacts"]; !empty(node) {
		p.contacts(p.mapping(node, "contacts"), m)
	}
	if node := fields["tags"]; !empty(node) {
		p.tagFilter(p.mapping(node, "tags"), m)
	}
	if node := fields["onDelete"]; node != nil {
		p.oneOf(node, "onDelete", &m.keep, "delete", "keep")
	}
	return m
}

func (p *reading) contacts(section *ast.MappingNode, m *mapping) {
	p.rule = "contacts"
	defer func() { p.rule = "" }()
	fields := p.fields(section, "include", "onLeave", "fields", "customFields", "others")
	if fields["include"] != nil {
		m.include = p.expression(section, fields, "include", contactVariables{}, boolType, true)
		m.code, _ = p.text(fields["include"], "include")
		m.code = strings.TrimSpace(m.code)
	}
	if fields["onLeave"] != nil {
		p.oneOf(fields["onLeave"], "onLeave", (*string)(&m.onLeave), string(LeaveKeep), string(LeaveDetach), string(LeaveDelete))
	}
	if fields["others"] != nil {
		others := ""
		p.oneOf(fields["others"], "others", &others, "same", "leave")
		m.bare = others == "leave"
	}
	if node := fields["fields"]; !empty(node) {
		section := p.mapping(node, "fields")
		named := p.fields(section, crm.StandardFields...)
		for _, name := range crm.StandardFields {
			p.target(section, named, name, target{name: name}, m)
		}
	}
	if node := fields["customFields"]; !empty(node) {
		section := p.mapping(node, "customFields")
		keys, named := p.customKeys(section)
		for _, key := range keys {
			p.target(section, named, key, target{name: crm.CustomField + key}, m)
		}
	}
}

// customFieldKey is the form of a custom field's key.
var customFieldKey = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$`)

// customKeys are the keys of a mapping of which any may be there, in its order, and their values.
func (p *reading) customKeys(section *ast.MappingNode) (keys []string, named map[string]ast.Node) {
	named = map[string]ast.Node{}
	if section == nil {
		return nil, nil
	}
	for _, entry := range section.Values {
		key := entry.Key.String()
		if text, ok := entry.Key.(*ast.StringNode); ok {
			key = text.Value
		}
		switch {
		case !customFieldKey.MatchString(key):
			p.wrong(entry.Key, "%q is no custom field's key (letters, digits, - and _, without contact.)", shown(key))
		case named[key] != nil:
			p.wrong(entry.Key, "%q is there twice", key)
		default:
			named[key] = entry.Value
			keys = append(keys, key)
		}
	}
	return keys, named
}

// target reads what goes into one field: nothing leaves it alone, the name of a field takes that one, all else is an expression.
func (p *reading) target(section *ast.MappingNode, named map[string]ast.Node, key string, t target, m *mapping) {
	node := named[key]
	if node == nil {
		return
	}
	rule := p.rule
	p.rule = t.rule()
	defer func() { p.rule = rule }()
	if node.Type() == ast.NullType {
		m.set(t)
		return
	}
	text, ok := p.text(node, key)
	if !ok {
		return
	}
	text = strings.TrimSpace(text)
	if bare := strings.TrimPrefix(text, "contact."); slices.Contains(crm.StandardFields, bare) {
		if t.name == "dnd" && bare != "dnd" {
			p.wrong(node, "dnd must come to true or false, not to the text of %s", bare)
		}
		t.source = bare
	} else {
		t.code = text
		t.value = p.expression(section, named, key, contactVariables{}, t.typeOf(), true)
	}
	m.set(t)
}

func (p *reading) tagFilter(section *ast.MappingNode, m *mapping) {
	p.rule = "tags"
	defer func() { p.rule = "" }()
	fields := p.fields(section, "sync", "only", "except")
	if fields["sync"] != nil {
		sync, ok := p.boolean(fields["sync"], "sync")
		m.noTags = ok && !sync
	}
	if fields["only"] != nil {
		m.only = p.tags(fields["only"], "only")
	}
	if fields["except"] != nil {
		m.except = p.tags(fields["except"], "except")
	}
}

// oneOf reads one of a few words.
func (p *reading) oneOf(node ast.Node, name string, into *string, words ...string) {
	text, ok := p.trimmed(node, name)
	switch {
	case !ok:
	case !slices.Contains(words, text):
		p.wrong(node, "%s must be one of %s, not %q%s", name, strings.Join(words, ", "), shown(text), meant(text, words))
	default:
		*into = text
	}
}

// override reads what holds for some locations instead of what the file says of all.
func (p *reading) override(entry *ast.MappingNode) {
	fields := p.fields(entry, "locations", "contacts", "tags", "onDelete")
	locations := p.ids(entry, fields, func(location string) string {
		if _, taken := p.rules.overrides[location]; taken {
			return "has an entry already"
		}
		return ""
	})
	rule := p.rule
	own := p.contactsOf(fields, p.rules.mapping)
	p.rule = rule
	if fields["contacts"] == nil && fields["tags"] == nil && fields["onDelete"] == nil {
		p.wrong(entry, "nothing is said of these locations: it needs contacts, tags or onDelete")
	}
	for _, location := range locations {
		if p.rules.overrides == nil {
			p.rules.overrides = map[string]*mapping{}
		}
		p.rules.overrides[location] = own
	}
}

// table reads the pairs of a table, for lookup.
func (p *reading) table(entry *ast.MappingNode) {
	fields := p.fields(entry, "name", "values")
	name := p.named(entry, fields, func(name string) bool { return p.rules.tables[name] != nil })
	values := map[string]string{}
	if node := p.must(entry, fields, "values"); node != nil {
		section := p.mapping(node, "values")
		if section == nil || len(section.Values) == 0 {
			p.wrong(node, "values must be a mapping from one text to another")
			return
		}
		for _, pair := range section.Values {
			key, ok := pair.Key.(*ast.StringNode)
			if !ok {
				p.wrong(pair.Key, "a key must be a text; put it into quotes")
				continue
			}
			if _, twice := values[folded(key.Value)]; twice {
				p.wrong(pair.Key, "%q is there twice", shown(key.Value))
			}
			values[folded(key.Value)], _ = p.trimmed(pair.Value, "the value of "+shown(key.Value))
		}
	}
	if p.rules.tables == nil {
		p.rules.tables = map[string]map[string]string{}
	}
	p.rules.tables[name] = values
}

// folded is how the keys of tables are compared.
func folded(text string) string { return strings.ToLower(strings.TrimSpace(text)) }
