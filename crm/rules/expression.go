package rules

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/rankrsync/rankrsync/crm"
)

// How large an expression may be, and how long the texts of a task.
const (
	maxCode  = 10_000 // bytes: the library goes one deeper with each bracket
	maxNodes = 500    // parts
	maxTitle = 500    // characters
	maxBody  = 5_000
)

// contactVariables are what an expression over a contact sees.
type contactVariables struct {
	Contact      contactFields  `expr:"contact"`
	Tags         []string       `expr:"tags"`
	CustomFields map[string]any `expr:"customFields"`
	Business     string         `expr:"business"`
	metered
}

// contactFields are the fields of [crm.StandardFields]; one without a value is "".
type contactFields struct {
	Email       string `expr:"email"`
	FirstName   string `expr:"firstName"`
	LastName    string `expr:"lastName"`
	Phone       string `expr:"phone"`
	CompanyName string `expr:"companyName"`
	Address1    string `expr:"address1"`
	City        string `expr:"city"`
	State       string `expr:"state"`
	PostalCode  string `expr:"postalCode"`
	Country     string `expr:"country"`
	Website     string `expr:"website"`
	Timezone    string `expr:"timezone"`
	DateOfBirth string `expr:"dateOfBirth"`
	Source      string `expr:"source"`
	DND         bool   `expr:"dnd"`
	AssignedTo  string `expr:"assignedTo"`
}

// tagVariables are what a tag workflow's expressions see.
type tagVariables struct {
	contactVariables
	Now time.Time `expr:"now"`
}

// taskVariables are what a follow-up's expressions see.
type taskVariables struct {
	Task taskFields `expr:"task"`
	Now  time.Time  `expr:"now"`
	metered
}

type taskFields struct {
	Title      string    `expr:"title"`
	Body       string    `expr:"body"`
	Due        time.Time `expr:"due"`
	HasDue     bool      `expr:"hasDue"`
	AssignedTo string    `expr:"assignedTo"`
	Done       bool      `expr:"done"`
}

func variablesOf(c crm.Contact, cost *allowance) contactVariables {
	text := func(name string) string {
		value, _ := c.Fields[name].(string)
		return value
	}
	dnd, _ := c.Fields["dnd"].(bool)
	v := contactVariables{
		Contact: contactFields{
			Email: text("email"), FirstName: text("firstName"), LastName: text("lastName"), Phone: text("phone"),
			CompanyName: text("companyName"), Address1: text("address1"), City: text("city"), State: text("state"),
			PostalCode: text("postalCode"), Country: text("country"), Website: text("website"), Timezone: text("timezone"),
			DateOfBirth: text("dateOfBirth"), Source: text("source"), DND: dnd, AssignedTo: text("assignedTo"),
		},
		Tags: slices.Clone(c.Tags), CustomFields: map[string]any{}, Business: c.Business, metered: cost.metered(),
	}
	if v.Tags == nil {
		v.Tags = []string{}
	}
	for name, value := range c.Fields {
		if key, ok := strings.CutPrefix(name, crm.CustomField); ok {
			v.CustomFields[key] = value
		}
	}
	return v
}

var (
	timeType = reflect.TypeFor[time.Time]()
	textType = reflect.TypeFor[string]()
	boolType = reflect.TypeFor[bool]()
)

// compile checks an expression against what it sees and what it must come to. An error with a place is a *[file.Error].
// Tables are those that lookup knows.
func compile(code string, variables any, want reflect.Type, tables map[string]map[string]string) (*vm.Program, error) {
	if len(code) > maxCode {
		return nil, fmt.Errorf("it has more than %d bytes", maxCode)
	}
	options := append(language(tables), expr.Env(variables))
	// The types are checked without the limits: put into an expression, they would hide mistakes from the library.
	checked, err := guarded(func() (*vm.Program, error) { return expr.Compile(code, options...) })
	if err != nil {
		return nil, err
	}
	if got := checked.Node().Type(); got.Kind() != reflect.Interface && !fits(got, want) {
		return nil, fmt.Errorf("it must come to %s, not %s", typeNames[want], cmp.Or(typeNames[got], got.String()))
	}
	limits := &limits{tables: tables}
	program, err := guarded(func() (*vm.Program, error) { return expr.Compile(code, append(options, expr.Patch(limits))...) })
	if limits.err != nil {
		return nil, limits.err
	}
	return program, err
}

// fits tells whether what an expression comes to can go where want is wanted.
func fits(got, want reflect.Type) bool {
	if want != anyValue {
		return got == want
	}
	return plain(got) && got != reflect.TypeFor[time.Duration]() || got == reflect.TypeFor[[]string]() || got == reflect.TypeFor[[]any]()
}

// typeNames are what types are called where people read of them.
var typeNames = map[reflect.Type]string{
	anyValue: "a text, a number, a date, true or false, or a list of texts", boolType: "true or false", textType: "a text", timeType: "a time", reflect.TypeFor[time.Duration](): "a duration",
	reflect.TypeFor[int](): "a number", reflect.TypeFor[float64](): "a number", reflect.TypeFor[[]string](): "a list", reflect.TypeFor[[]any](): "a list",
	reflect.TypeFor[contactFields](): "the contact", reflect.TypeFor[taskFields](): "the task", reflect.TypeFor[map[string]any](): "a mapping",
}

// scope is what an expression sees, and what it may cost.
type scope struct {
	variables any
	allowance *allowance
}

// run works a compiled expression out. Its error is for nobody's eyes: it may quote values.
func run[T any](program *vm.Program, in scope) (T, error) {
	in.allowance.left = maxSteps
	value, err := guarded(func() (any, error) {
		machine := vm.VM{MemoryBudget: maxElements}
		return machine.Run(program, in.variables)
	})
	result, ok := value.(T)
	if err == nil && !ok {
		err = errors.New("of another type")
	}
	return result, err
}

// guarded turns a panic of the library into an error.
func guarded[T any](do func() (T, error)) (result T, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it can't be worked out")
		}
	}()
	return do()
}

// where tells what is wrong with an expression, and at which of its characters; -1: with all of it.
func where(err error) (what string, offset int) {
	var e *file.Error
	if errors.As(err, &e) {
		return e.Message, e.From
	}
	return err.Error(), -1
}

var (
	noSuchField = regexp.MustCompile(`^type rules\.(contact|task)Fields has no (field|method) (\w+)$`)
	noSuchName  = regexp.MustCompile(`^unknown name (\w+)$`)
	goTypes     = strings.NewReplacer(
		"rules.contactFields", "contact", "rules.taskFields", "task", "[]interface {}", "list", "[]string", "list", "map[string]interface {}", "mapping",
		"interface {}", "any value", "time.Duration", "duration", "time.Time", "time", "*time.Location", "timezone", "float64", "number",
	)
)

// explained puts the library's messages into the words of who writes rules.
func explained(what string, variables any) string {
	if m := noSuchField.FindStringSubmatch(what); m != nil {
		of := reflect.TypeFor[contactFields]()
		if m[1] == "task" {
			of = reflect.TypeFor[taskFields]()
		}
		return fmt.Sprintf("%s has no %s %s%s", m[1], m[2], m[3], meant(m[3], namesOf(of)))
	}
	if m := noSuchName.FindStringSubmatch(what); m != nil {
		known := slices.Concat(namesOf(reflect.TypeOf(variables)), kept, slices.Sorted(maps.Keys(functions)), []string{"lookup"})
		return "unknown name " + m[1] + meant(m[1], known)
	}
	first, _, _ := strings.Cut(what, "\n")
	return goTypes.Replace(first)
}

func meant(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return ": did you mean " + best + "?"
	}
	return ""
}

// namesOf are the names under which an expression sees the fields of a struct.
func namesOf(t reflect.Type) (names []string) {
	for _, field := range reflect.VisibleFields(t) {
		if name := field.Tag.Get("expr"); name != "" && !strings.HasPrefix(name, "#") {
			names = append(names, name)
		}
	}
	return names
}
