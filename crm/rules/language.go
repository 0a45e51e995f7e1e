package rules

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
	"golang.org/x/text/cases"
	textlanguage "golang.org/x/text/language"

	"github.com/rankrsync/rankrsync/crm"
)

// A rule may say less than the library's language: only what answers the same whenever and wherever it is asked, and
// whose cost is counted. The library counts the elements of lists; the steps of loops, the length of texts and the
// search through lists are counted here, by calls that [limits] puts into an expression.

// The bounds of one run. Together they keep the worst expression under a second.
const (
	maxElements = 10_000 // of all lists that are made: the library's memory budget
	maxSteps    = 10_000 // of all loops; 64 bytes of text that is made, or 8 elements that are searched, are one as well
	maxText     = 20_000 // bytes of one text that is made
)

// kept are the library's functions that a rule may call. Left out are its clock, what lists a mapping in no order
// (keys, values, toPairs), what nests (groupBy, toJSON, …), and what costs far more than it is long (uniq, repeat, …).
var kept = []string{
	"all", "none", "any", "one", "filter", "map", "find", "count", "sum", "len", "first", "last", "take", "concat", "reverse", "sort",
	"min", "max", "mean", "abs", "ceil", "floor", "round", "int", "float", "type",
	"trim", "trimPrefix", "trimSuffix", "hasPrefix", "hasSuffix", "indexOf", "lastIndexOf", "duration",
}

// function is one that a rule may call and that is ours.
type function struct {
	do    func(params ...any) (any, error)
	types []any // pointers to the forms it has
	costs bool  // it makes a text or a list, whose length is counted
}

// functions are ours; where the library has one of the same name, this one takes its place.
var functions = map[string]function{
	"default":  {useDefault, []any{new(func(string, string) string), new(func(any, any) any)}, false},
	"string":   {func(p ...any) (any, error) { return textOf(p[0]) }, []any{new(func(any) string)}, true},
	"upper":    {func(p ...any) (any, error) { return bounded(strings.ToUpper(p[0].(string))) }, []any{new(func(string) string)}, true},
	"lower":    {func(p ...any) (any, error) { return bounded(strings.ToLower(p[0].(string))) }, []any{new(func(string) string)}, true},
	"split":    {split, []any{new(func(string, string) []string)}, true},
	"join":     {join, []any{new(func([]string, string) string), new(func([]any, string) string)}, true},
	"replace":  {replace, []any{new(func(string, string, string) string)}, true},
	"date":     {date, []any{new(func(string) time.Time), new(func(string, string) time.Time), new(func(string, string, string) time.Time)}, false},
	"title":    {func(p ...any) (any, error) { return bounded(titled(p[0].(string))) }, []any{new(func(string) string)}, true},
	"e164":     {func(p ...any) (any, error) { return e164(p...) }, []any{new(func(string) string), new(func(string, string) string)}, true},
	"number":   {func(p ...any) (any, error) { return numberOf(p[0]) }, []any{new(func(any) any)}, false},
	"bool":     {func(p ...any) (any, error) { return boolOf(p[0]) }, []any{new(func(any) any)}, false},
	"timezone": {func(p ...any) (any, error) { return zone(p[0].(string)) }, []any{new(func(string) *time.Location)}, false},
}

// language are the options that make the library's language ours.
func language(tables map[string]map[string]string) []expr.Option {
	options := []expr.Option{expr.MaxNodes(maxNodes), expr.Function("lookup", lookup(tables), new(func(string, string) string), new(func(string, string, string) string))}
	for name, f := range functions {
		options = append(options, expr.Function(name, f.do, f.types...))
	}
	return options
}

// lookup is lookup(table, key) and lookup(table, key, other): what the table has for the key, whatever its case, else other or "".
func lookup(tables map[string]map[string]string) func(params ...any) (any, error) {
	return func(params ...any) (any, error) {
		if value, found := tables[params[0].(string)][folded(params[1].(string))]; found || len(params) == 2 {
			return value, nil
		}
		return params[2], nil
	}
}

// titled begins each word with a capital letter and goes on in small ones.
func titled(text string) string { return cases.Title(textlanguage.Und).String(text) }

// e164 is a phone number as +41…, understood in the country where it has no country code; as it is where it is none.
func e164(params ...any) (any, error) {
	country := ""
	if len(params) == 2 {
		country = params[1].(string)
	}
	return bounded(crm.Phone(params[0].(string), country))
}

// numberOf reads a number as people write it, "1'234.50" or "CHF 12" too; nothing where there is none.
func numberOf(value any) (any, error) {
	switch v := value.(type) {
	case float64:
		return v, nil
	case int:
		return float64(v), nil
	case string:
		if number, err := strconv.ParseFloat(decimal(v), 64); err == nil {
			return number, nil
		}
		return nil, nil
	case nil:
		return nil, nil
	}
	return nil, errShape
}

// decimal leaves the digits of a number with a point before its fraction. Of point and comma the one that comes last begins the
// fraction, unless it is there more than once; a comma alone with three digits behind it stands between thousands.
func decimal(text string) string {
	text = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' || r == ',' || r == '-' {
			return r
		}
		return -1
	}, text)
	point, comma := strings.LastIndexByte(text, '.'), strings.LastIndexByte(text, ',')
	fraction := max(point, comma)
	switch {
	case fraction < 0:
		return text
	case strings.Count(text, text[fraction:fraction+1]) > 1, point < 0 && len(text)-comma == 4:
		fraction = len(text)
	}
	whole := strings.NewReplacer(".", "", ",", "").Replace(text[:fraction])
	if fraction == len(text) {
		return whole
	}
	return whole + "." + text[fraction+1:]
}

// boolOf reads yes and no; nothing where it is neither.
func boolOf(value any) (any, error) {
	switch v := value.(type) {
	case bool:
		return v, nil
	case float64:
		return v != 0, nil
	case int:
		return v != 0, nil
	case string:
		switch folded(v) {
		case "true", "yes", "y", "1", "on":
			return true, nil
		case "false", "no", "n", "0", "off":
			return false, nil
		}
		return nil, nil
	case nil:
		return nil, nil
	}
	return nil, errShape
}

// useDefault is default(value, other): other where the value is nothing, or a text or list without content. Zero and false are values.
func useDefault(params ...any) (any, error) {
	switch v := params[0].(type) {
	case nil:
		return params[1], nil
	case string:
		if v == "" {
			return params[1], nil
		}
	case []string:
		if len(v) == 0 {
			return params[1], nil
		}
	}
	return params[0], nil
}

var (
	errLong  = errors.New("a text is too long")
	errShape = errors.New("a list, a mapping or a time where there can be none")
)

func bounded(text string) (string, error) {
	if len(text) > maxText {
		return "", errLong
	}
	return text, nil
}

// textOf writes a value as people do: nothing is "", a number has no exponent, a list has commas.
func textOf(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return bounded(v)
	case bool, int, time.Duration:
		return fmt.Sprint(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case time.Time:
		return v.Format(time.RFC3339), nil
	case []string, []any:
		return joined(v, ", ")
	}
	return "", errShape
}

func join(params ...any) (any, error) { return joined(params[0], params[1].(string)) }

// joined looks at the length before it makes the text: one long text may be in a list many times.
func joined(list any, separator string) (string, error) {
	texts, ok := list.([]string)
	if !ok {
		values, ok := list.([]any)
		if !ok {
			return "", errShape
		}
		for _, value := range values {
			text, ok := value.(string)
			if !ok {
				return "", errShape
			}
			texts = append(texts, text)
		}
	}
	length := len(separator) * len(texts)
	for _, text := range texts {
		length += len(text)
	}
	if length > maxText {
		return "", errLong
	}
	return strings.Join(texts, separator), nil
}

func split(params ...any) (any, error) {
	text, separator := params[0].(string), params[1].(string)
	if strings.Count(text, separator) > maxElements {
		return nil, errLong
	}
	return strings.Split(text, separator), nil
}

func replace(params ...any) (any, error) {
	text, before, after := params[0].(string), params[1].(string), params[2].(string)
	if len(text)+strings.Count(text, before)*len(after) > maxText {
		return nil, errLong
	}
	return strings.ReplaceAll(text, before, after), nil
}

// libraryDate reads a date in a zone that is given, in a layout that is given or in one of the usual ones.
var libraryDate = builtin.Builtins[builtin.Index["date"]].Func

// date is the library's, in UTC where the text and the parameters name no zone.
func date(params ...any) (any, error) {
	in := time.UTC
	if len(params) == 3 {
		var err error
		if in, err = zone(params[2].(string)); err != nil {
			return nil, err
		}
		params = params[:2]
	}
	return libraryDate(append([]any{in}, params...)...)
}

// zone is a time zone by its name. The machine's own is none: a rule means the same everywhere.
func zone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New("the machine's own time zone is not for rules")
	}
	return time.LoadLocation(name)
}

// allowance counts what a run costs.
type allowance struct{ left int }

// metered are what [limits] calls. No rule can: these are no names that can be written.
type metered struct {
	Meter   func(...any) any `expr:"#meter"`
	Element func(...any) any `expr:"#element"`
}

func (a *allowance) metered() metered { return metered{a.meter, a.element} }

// meter lets a value pass, and counts one step and its length.
func (a *allowance) meter(params ...any) any {
	a.left--
	switch v := params[0].(type) {
	case string:
		a.left -= len(v) / 64
	case []string:
		a.left -= len(v) / 8
	case []any:
		a.left -= len(v) / 8
	case []int:
		a.left -= len(v) / 8
	}
	if a.left < 0 {
		panic("the run takes too long")
	}
	return params[0]
}

// element lets a value pass that may be in a list. Lists in lists could grow without bounds in a few steps.
func (a *allowance) element(params ...any) any {
	if t := reflect.TypeOf(params[0]); t != nil && !plain(t) {
		panic(errShape)
	}
	return params[0]
}

// plain tells whether values of a type have no parts.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return t == timeType
}

// limits refuses what the language has and rules have not, and puts the calls in that count.
type limits struct {
	err    *file.Error
	tables map[string]map[string]string
}

func (l *limits) refuse(at ast.Node, format string, args ...any) {
	if l.err == nil {
		l.err = &file.Error{Location: at.Location(), Message: fmt.Sprintf(format, args...)}
	}
}

// Visit is called for each part of an expression, the inner ones first.
func (l *limits) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BuiltinNode:
		l.builtin(n)
	case *ast.PredicateNode:
		call(&n.Node, "#meter")
	case *ast.ArrayNode:
		for i := range n.Nodes {
			l.element(&n.Nodes[i])
		}
	case *ast.MapNode:
		l.refuse(n, "a mapping can't be made here")
	case *ast.CallNode:
		callee, ok := n.Callee.(*ast.IdentifierNode)
		switch {
		case !ok:
		case callee.Value == "lookup":
			l.lookup(n)
			call(node, "#meter")
		case functions[callee.Value].costs:
			call(node, "#meter")
		}
	case *ast.BinaryNode:
		l.binary(node, n)
	case *ast.MemberNode:
		l.member(n)
	}
}

// lookup wants the table written out, so that one that is not there is found now.
func (l *limits) lookup(n *ast.CallNode) {
	name, written := n.Arguments[0].(*ast.StringNode)
	switch {
	case !written:
		l.refuse(n.Arguments[0], "the table's name must be written out")
	case l.tables[name.Value] == nil:
		l.refuse(name, "there is no table %q%s", shown(name.Value), meant(name.Value, slices.Collect(maps.Keys(l.tables))))
	}
}

func (l *limits) builtin(n *ast.BuiltinNode) {
	if !slices.Contains(kept, n.Name) {
		l.refuse(n, "unknown name %s", n.Name)
		return
	}
	if n.Name != "map" {
		return
	}
	if predicate, ok := n.Arguments[1].(*ast.PredicateNode); ok {
		l.element(&predicate.Node)
	}
}

func (l *limits) element(node *ast.Node) {
	switch t := (*node).Type(); {
	case plain(t):
	case t.Kind() == reflect.Interface:
		call(node, "#element")
	default:
		l.refuse(*node, "a list can hold texts, numbers, times and true or false only")
	}
}

func (l *limits) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "+":
		if kind := n.Type().Kind(); kind == reflect.String || kind == reflect.Interface {
			call(node, "#meter")
		}
	case "in":
		if _, written := n.Right.(*ast.ArrayNode); !written && n.Right.Type().Kind() != reflect.Map {
			call(&n.Right, "#meter")
		}
	case "matches":
		if _, written := n.Right.(*ast.StringNode); !written {
			l.refuse(n.Right, "the pattern after matches must be written out")
		}
		call(&n.Left, "#meter")
	}
}

// member keeps rules from what only the machine knows: its time zone.
func (l *limits) member(n *ast.MemberNode) {
	base := n.Node.Type()
	switch property := n.Property.(type) {
	case *ast.StringNode:
		if property.Value == "Local" && base.Kind() != reflect.Map {
			l.refuse(n, "the machine's own time zone is not for rules")
		}
	default:
		switch base.Kind() {
		case reflect.Map, reflect.Slice, reflect.String:
		default:
			if n.Property.Type().Kind() != reflect.Int {
				l.refuse(n, "the name of the field must be written out")
			}
		}
	}
}

// call puts a call around a part of an expression; its type stays.
func call(node *ast.Node, name string) {
	inner := *node
	callee := &ast.IdentifierNode{Value: name}
	callee.SetType(reflect.TypeFor[func(...any) any]())
	outer := &ast.CallNode{Callee: callee, Arguments: []ast.Node{inner}}
	outer.SetLocation(inner.Location())
	outer.SetNature(*inner.Nature())
	*node = outer
}
