package rules

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

var somebody = crm.Contact{
	Fields: crm.Fields{
		"firstName": "Ann", "lastName": "Meier", "email": "ann@example.com", "country": "CH", "dnd": true, "dateOfBirth": "1990-05-17",
		"customFields.budget": 1_500_000.0, "customFields.agreed": false, "customFields.none": 0.0,
		"customFields.likes": []string{"tea", "cake"}, "customFields.Local": "Bern",
	},
	Tags: []string{"new lead", "vip"}, Business: "b1",
}

// workedOut compiles and runs an expression over a contact; want is a value of the type that it must come to.
func workedOut[T any](t testing.TB, code string, contact crm.Contact) (T, error) {
	t.Helper()
	program, err := compile(code, tagVariables{}, reflect.TypeFor[T](), nil)
	require.NoError(t, err, code)
	cost := &allowance{}
	return run[T](program, scope{tagVariables{variablesOf(contact, cost), at}, cost})
}

func TestWhatARuleMaySay(t *testing.T) {
	for code, want := range map[string]string{
		`contact.firstName + " " + contact.lastName`:                      "Ann Meier",
		`default(contact.city, "nowhere")`:                                "nowhere",
		`string(default(customFields.none, 7))`:                           "0",
		`string(default(customFields.agreed, true))`:                      "false",
		`string(default(customFields.missing, "-"))`:                      "-",
		`"Budget: " + string(customFields.budget)`:                        "Budget: 1500000",
		`"Budget: " + string(customFields.missing)`:                       "Budget: ",
		`string(customFields.likes)`:                                      "tea, cake",
		`string(tags)`:                                                    "new lead, vip",
		`join(map(tags, upper(#)), "/")`:                                  "NEW LEAD/VIP",
		`join([contact.firstName, contact.city, business], "|")`:          "Ann||b1",
		`split(contact.email, "@")[1]`:                                    "example.com",
		`replace(lower(contact.email), "example", "test")`:                "ann@test.com",
		`let n = len(tags); n > 1 ? string(n) : "few"`:                    "2",
		`string(date("2026-02-03"))`:                                      "2026-02-03T00:00:00Z",
		`string(date("3/2/2026", "2/1/2006", "Europe/Zurich"))`:           "2026-02-03T00:00:00+01:00",
		`now.In(timezone("Europe/Zurich")).Format("15:04")`:               "13:00",
		`string(now + duration("48h"))`:                                   "2026-11-27T12:00:00Z",
		`string(duration("90m"))`:                                         "1h30m0s",
		`contact.email matches "^ann@" ? "ann" : "other"`:                 "ann",
		`customFields.Local`:                                              "Bern",
		`find(tags, # startsWith "new")`:                                  "new lead",
		`string(any(tags, # in customFields.likes))`:                      "false",
		`string(sum([1, 2.5]))`:                                           "3.5",
		`contact.country in ["CH", "LI"] ? "here" : "there"`:              "here",
		`customFields?.missing ?? "nothing"`:                              "nothing",
		`string(date(contact.dateOfBirth).Year())`:                        "1990",
		`first(filter(tags, # != "vip")) | upper() | trimSuffix(" LEAD")`: "NEW",
	} {
		got, err := workedOut[string](t, code, somebody)
		if assert.NoError(t, err, code) {
			assert.Equal(t, want, got, code)
		}
	}
}

func TestWhatARuleMayNotSay(t *testing.T) {
	for code, want := range map[string]string{
		`now() > date("2026-01-01")`:               "unknown name now",
		`keys(customFields) == ["a"]`:              "unknown name keys",
		`values(customFields) == ["a"]`:            "unknown name values",
		`::reduce(tags, #acc + #, "") == ""`:       "unknown name reduce",
		`reduce(tags, #acc + #, "") == ""`:         "unknown name reduce",
		`uniq(tags) == tags`:                       "unknown name uniq",
		`::join(tags, "") == ""`:                   "unknown name join",
		`toJSON(tags) == ""`:                       "unknown name toJSON",
		`repeat("x", 10) == ""`:                    "unknown name repeat",
		`{"a": 1}.a == 1`:                          "a mapping can't be made here",
		`len([tags, tags]) == 2`:                   "a list can hold texts, numbers, times and true or false only",
		`len(map(tags, tags)) == 2`:                "a list can hold texts, numbers, times and true or false only",
		`len([customFields]) == 2`:                 "a list can hold texts, numbers, times and true or false only",
		`date("2026-01-01").Local().Hour() == 1`:   "the machine's own time zone is not for rules",
		`first([date("2026-01-01")]).Local() == 1`: "the machine's own time zone is not for rules",
		`let f = default(customFields.on, date("2026-01-01"))[business]; f().Hour() > 1`: "the name of the field must be written out",
		`contact.email matches business`:    "the pattern after matches must be written out",
		`default(contact.emial, "x") == ""`: "type rules.contactFields has no field emial",
		`upper(3) == ""`:                    "cannot use int as argument (type string) to call upper ",
		`contact.firstName`:                 "it must come to true or false, not a text",
		`contact`:                           "it must come to true or false, not the contact",
		`tags`:                              "it must come to true or false, not a list",
		"true || " + strings.Repeat(" ", maxCode):  "it has more than 10000 bytes",
		strings.Repeat("true && ", maxNodes) + "1": "compilation failed: expression exceeds maximum allowed nodes",
	} {
		_, err := compile(code, contactVariables{}, boolType, nil)
		if assert.Error(t, err, code) {
			what, _ := where(err)
			assert.Equal(t, want, what, code)
		}
	}
}

// Each of these would take hours, or all memory there is, if the run did not end.
func TestARunEndsSoon(t *testing.T) {
	tags := make([]string, 5_000)
	for i := range tags {
		tags[i] = strings.Repeat("x", i%100)
	}
	long := somebody
	long.Tags, long.Fields = tags, crm.Fields{"email": strings.Repeat("x", 1<<20), "customFields.list": tags}
	doubled := `"x"`
	for range 40 {
		doubled = `map([` + doubled + `], # + #)[0]`
	}
	lets := `let a0 = "xx"; `
	for i := range 40 {
		lets += fmt.Sprintf("let a%d = a%d + a%d; ", i+1, i, i)
	}
	for _, code := range []string{
		`any(1..1000000000, # == 5)`,
		`1 in 1..customFields.many`,
		`let l = 1..9000; any(l, any(l, any(l, # == 0)))`,
		`any(tags, any(tags, any(tags, # == "y")))`,
		`any(tags, # + "y" in customFields.list)`,
		`any(tags, # + "y" in tags)`,
		`any(tags[:1000], # + "y" in customFields.list)`,
		`len(1..20000) > 1`,
		`len(filter(tags, count(tags, # == "y") > 1)) > 0`,
		doubled + ` == ""`,
		lets + `a40 == ""`,
		`join(map(tags, contact.email), "") == ""`,
		`len(map(tags, contact.email + #)) > 0`,
		`len(map(tags, upper(contact.email))) > 0`,
		`len(split(contact.email, "")) > 0`,
		`replace(contact.email, "x", contact.email) == ""`,
		`any(tags, contact.email matches "^(x+x+)+y")`,
		`let l = map([1, 2], default(customFields.list, 1)); len(l) > 0`,
		`any(map(tags, default(customFields.list, 1)), # == 3)`,
		`customFields.missing + 1 > 2`,
		`int(contact.email) > 2`,
		`1 % len(contact.city) == 0`,
		`date("2026-01-01", "2006-01-02", "Local").Hour() == 1`,
	} {
		program, err := compile(code, contactVariables{}, boolType, nil)
		require.NoError(t, err, code)
		cost, before := &allowance{}, cpu(t)
		_, err = run[bool](program, scope{variablesOf(long, cost), cost})
		assert.Error(t, err, code)
		assert.Less(t, cpu(t)-before, 5*time.Second, code)
	}
}

func TestOrdinaryRulesAreFarFromTheBounds(t *testing.T) {
	contact := crm.Contact{Fields: crm.Fields{"customFields.list": make([]string, 100)}}
	for i := range 100 {
		contact.Tags = append(contact.Tags, "tag "+strings.Repeat("x", i))
	}
	for _, code := range []string{
		`none(tags, # in customFields.list)`,
		`count(tags, # startsWith "tag" && # contains "x") == 99`,
		`len(join(tags, ", ")) > 1000`,
	} {
		holds, err := workedOut[bool](t, code, contact)
		assert.NoError(t, err, code)
		assert.True(t, holds, code)
	}
}

func TestAContactsVariablesAreTheStandardFields(t *testing.T) {
	fields, want := reflect.TypeFor[contactFields](), []string{}
	for i := range fields.NumField() {
		want = append(want, fields.Field(i).Tag.Get("expr"))
	}
	assert.Equal(t, crm.StandardFields, want)

	contact := crm.Contact{Fields: crm.Fields{}}
	for _, name := range crm.StandardFields {
		contact.Fields[name] = "a value of " + name
	}
	contact.Fields["dnd"] = true
	seen := reflect.ValueOf(variablesOf(contact, &allowance{}).Contact)
	for i, name := range crm.StandardFields {
		assert.Equal(t, contact.Fields[name], seen.Field(i).Interface(), name)
	}
}

func TestNumbersAreWrittenAsPeopleDo(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 1e21: "1000000000000000000000", 0.1: "0.1", -2.5: "-2.5", math.Inf(1): "+Inf"} {
		got, err := textOf(value)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// Whatever is written, it ends soon, and comes to the same twice.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		`"vip" in tags && contact.country == "CH"`, `customFields.budget + 1 > 2`, `any(tags, # startsWith "a" || # in customFields.likes)`,
		`let l = 1..900; count(l, # > 3) > 5`, `len(join(map(tags, # + contact.email), ", ")) > 3`, `date(contact.dateOfBirth).Year() < 2000`,
		`contact.email matches "^a+" ? now > date("2026-01-01") : false`, `default(customFields?.list[0], "x") | upper() == "X"`,
		`filter(sort(concat(tags, ["a"])), {let t = #; t != "b"})[1:] == take(split("a b", " "), 1)`, `sum(map(1..9, # * 2)) == max([1, 2.5])`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		before := cpu(t)
		program, err := compile(code, tagVariables{}, boolType, nil)
		if err == nil {
			cost := &allowance{}
			in := scope{tagVariables{variablesOf(somebody, cost), at}, cost}
			first, err := run[bool](program, in)
			second, again := run[bool](program, in)
			if first != second || (err == nil) != (again == nil) {
				t.Fatal("not the same twice")
			}
		}
		if took := cpu(t) - before; took > 2*time.Second {
			t.Fatal("it took", took)
		}
	})
}
