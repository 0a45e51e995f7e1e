package rules

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/rankrsync/rankrsync/crm"
)

// What one expression may cost, and how long a text may be that it makes.
const (
	maxNodes  = 500    // parts of an expression
	maxMemory = 20_000 // elements that it may make in one run: it bounds its time as well
	maxTitle  = 500
	maxBody   = 5_000
)

// contactVariables are what an expression over a contact sees.
type contactVariables struct {
	Contact      contactFields  `expr:"contact"`
	Tags         []string       `expr:"tags"`
	CustomFields map[string]any `expr:"customFields"`
	Business     string         `expr:"business"`
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
}

type taskFields struct {
	Title      string    `expr:"title"`
	Body       string    `expr:"body"`
	Due        time.Time `expr:"due"`
	HasDue     bool      `expr:"hasDue"`
	AssignedTo string    `expr:"assignedTo"`
	Done       bool      `expr:"done"`
}

func variablesOf(c crm.Contact) contactVariables {
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
		Tags: slices.Clone(c.Tags), CustomFields: map[string]any{}, Business: c.Business,
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

// impure are expr's functions whose answer is not only their arguments'. Time comes in as a variable.
var impure = []string{"now"}

// compile checks an expression against what it sees and what it must come to.
func compile(code string, variables any, want reflect.Type) (*vm.Program, error) {
	options := []expr.Option{
		expr.Env(variables), expr.MaxNodes(maxNodes), expr.Timezone("UTC"),
		expr.Function("default", useDefault, new(func(string, string) string), new(func(any, any) any)),
	}
	for _, name := range impure {
		options = append(options, expr.DisableBuiltin(name))
	}
	switch want.Kind() {
	case reflect.Bool:
		options = append(options, expr.AsBool())
	case reflect.String:
		options = append(options, expr.AsKind(reflect.String))
	}
	program, err := guarded(func() (*vm.Program, error) { return expr.Compile(code, options...) })
	if err != nil {
		return nil, err
	}
	if got := program.Node().Type(); want == timeType && got != nil && got.Kind() != reflect.Interface && got != timeType {
		return nil, fmt.Errorf("it must come to a time, not %s", got)
	}
	return program, nil
}

var (
	timeType = reflect.TypeFor[time.Time]()
	textType = reflect.TypeFor[string]()
	boolType = reflect.TypeFor[bool]()
)

// useDefault is default(value, other): other where the value is nothing, "" or false.
func useDefault(params ...any) (any, error) {
	if len(params) != 2 {
		return nil, errors.New("default needs two values")
	}
	if v := reflect.ValueOf(params[0]); !v.IsValid() || v.IsZero() {
		return params[1], nil
	}
	return params[0], nil
}

// run works a compiled expression out. Its error is for nobody's eyes: it may quote values.
func run[T any](program *vm.Program, variables any) (T, error) {
	value, err := guarded(func() (any, error) {
		machine := vm.VM{MemoryBudget: maxMemory}
		return machine.Run(program, variables)
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

// where tells what is wrong with an expression and how far into it.
func where(err error) (message string, line, column int) {
	var e *file.Error
	if errors.As(err, &e) {
		return e.Message, e.Line, e.Column
	}
	return err.Error(), 1, 0
}
