package ghl

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

// businessCalls are the calls about one business, by operation; its list is among the lists.
func businessCalls(t *testing.T, c *Client) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"businesses.get":                func() error { _, _, err := c.Business(ctx, "L", "B"); return err },
		"contacts.business.bulk-update": func() error { return c.AttachToBusiness(ctx, "L", "B", "C1", "C2") },
	}
}

// wholeBusiness has each field, and what must be ignored.
const wholeBusiness = `{"id":"B","locationId":"L","name":"Brook","email":"hello@brook.example","phone":"+12025550100","website":"brook.example",
	"address":"1 Harbour St","city":"Leeds","state":null,"postalCode":35061,"country":"united states","description":"",
	"createdBy":{},"createdAt":"2026-11-24T09:00:00.000Z","unknown":[1]}`

var wholeFields = crm.Fields{
	"name": "Brook", "email": "hello@brook.example", "phone": "+12025550100", "website": "brook.example", "address": "1 Harbour St",
	"city": "Leeds", "postalCode": "35061", "country": "united states",
}

func TestABusinessIsReadInTheCRMsWords(t *testing.T) {
	_, c := scripted(t, map[string]string{
		"businesses.get":  `{"business":` + wholeBusiness + `,"traceId":"x"}`,
		"businesses.list": `{"businesses":[` + wholeBusiness + `,{"id":"B2","locationId":"L","name":"Tide"},{"id":"B3"}]}`,
	})
	want := crm.Business{ID: "B", Location: "L", Fields: wholeFields}
	got, at, err := c.Business(t.Context(), "L", "B")
	require.NoError(t, err)
	assert.Equal(t, clock, at)
	assert.Equal(t, want, got)
	for name := range got.Fields {
		assert.Contains(t, crm.BusinessFields, name)
	}
	for page, err := range c.Businesses(t.Context(), "L") {
		require.NoError(t, err)
		assert.Equal(t, clock, page.At)
		assert.Equal(t, []crm.Business{
			want, {ID: "B2", Location: "L", Fields: crm.Fields{"name": "Tide"}}, {ID: "B3", Location: "L", Fields: crm.Fields{}},
		}, page.Businesses)
	}
}

func TestEveryFieldOfABusinessIsRead(t *testing.T) {
	for _, field := range crm.BusinessFields {
		_, c := scripted(t, map[string]string{"businesses.get": fmt.Sprintf(`{"business":{"id":"B","locationId":"L",%q:"x"}}`, field)})
		got, _, err := c.Business(t.Context(), "L", "B")
		require.NoError(t, err)
		assert.Equal(t, crm.Fields{field: "x"}, got.Fields)
	}
}

func TestFieldsOfABusinessOfAWrongTypeAreNamed(t *testing.T) {
	s, c := scripted(t, nil)
	for _, field := range crm.BusinessFields {
		for _, value := range []string{`{"x":"` + canary + `"}`, `["` + canary + `"]`} {
			row := fmt.Sprintf(`{"id":"B","locationId":"L",%q:%s}`, field, value)
			s.say("businesses.get", 200, `{"business":`+row+`}`)
			s.say("businesses.list", 200, `{"businesses":[`+row+`]}`)
			for _, call := range []func() error{businessCalls(t, c)["businesses.get"], lists(t, c)["businesses.list"]} {
				err := call()
				assert.Equal(t, crm.GHLInvalid, codeOf(t, err), row)
				assert.Equal(t, []string{field}, err.(*crm.Error).Fields, row)
			}
		}
	}
}

func TestAnswersThatAreNotAboutTheBusinessAskedForAreNone(t *testing.T) {
	s, c := scripted(t, nil)
	for operation, call := range businessCalls(t, c) {
		for _, body := range []string{
			`{}`, `<html>`, `{"business":null,"success":false}`, `{"business":{"id":"X","locationId":"L"}}`, `{"business":{"id":"B","locationId":"X"}}`,
			`{"business":{"id":"B"}}`, `{"business":[`,
		} {
			s.say(operation, 200, body)
			assert.Equal(t, crm.GHLUnavailable, codeOf(t, call()), "%s %s", operation, body)
		}
		s.say(operation, 404, `{"statusCode":404,"message":"not found"}`)
		assert.Equal(t, crm.GHLNotFound, codeOf(t, call()), operation)
		s.say(operation, 401, `{"statusCode":401,"message":"The token is not authorized for this scope."}`)
		assert.Equal(t, crm.GHLScope, codeOf(t, call()), operation)
	}
}

// businessRows is a page of n businesses of which the first is the i-th.
func businessRows(i, n int) string {
	rows := make([]string, n)
	for k := range rows {
		rows[k] = fmt.Sprintf(`{"id":"B%d","locationId":"L"}`, i+k)
	}
	return `{"businesses":[` + strings.Join(rows, ",") + `]}`
}

func TestBusinessesAreWalkedToTheirEndAndNoFurther(t *testing.T) {
	for name, test := range map[string]struct {
		sizes   []int
		queries []string
	}{
		"none is one call": {[]int{0}, []string{"limit=100&locationId=L"}},
		"few are one call": {[]int{99}, []string{"limit=100&locationId=L"}},
		"a full page may have one after it": {[]int{100, 100, 0}, []string{
			"limit=100&locationId=L", "limit=100&locationId=L&skip=100", "limit=100&locationId=L&skip=200",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := scripted(t, nil)
			var queries []string
			s.says["businesses.list"] = func(r *http.Request) (int, string) {
				queries = append(queries, r.URL.RawQuery)
				return 200, businessRows(1000*len(queries), test.sizes[(len(queries)-1)%len(test.sizes)])
			}
			for range 2 { // a walk can be walked again
				seen := 0
				for page, err := range c.Businesses(t.Context(), "L") {
					require.NoError(t, err)
					seen += len(page.Businesses)
				}
				want := 0
				for _, n := range test.sizes {
					want += n
				}
				assert.Equal(t, want, seen)
			}
			assert.Equal(t, slices.Concat(test.queries, test.queries), queries)
		})
	}
}

func TestTheWalkOfBusinessesIsBoundedAndStopsWithItsReader(t *testing.T) {
	s, c := scripted(t, map[string]string{"businesses.list": businessRows(0, 100)})
	assert.Equal(t, crm.GHLUnavailable, codeOf(t, lists(t, c)["businesses.list"]()), "the same page again")
	assert.Equal(t, 2, s.count("businesses.list"))
	for range c.Businesses(t.Context(), "L") {
		break
	}
	assert.Equal(t, 3, s.count("businesses.list"))
}

func TestContactsAreAttachedAndDetachedFiftyAtMost(t *testing.T) {
	s, c := scripted(t, map[string]string{"contacts.business.bulk-update": `{"success":true,"ids":["C1","C2"]}`})
	require.NoError(t, c.AttachToBusiness(t.Context(), "L", "B", "C1", "C2"))
	require.NoError(t, c.DetachFromBusiness(t.Context(), "L", "C1"))
	assert.Equal(t, []string{`{"locationId":"L","ids":["C1","C2"],"businessId":"B"}`, `{"locationId":"L","ids":["C1"],"businessId":null}`}, s.bodies)
	many := slices.Repeat([]string{"C"}, 51)
	require.NoError(t, c.DetachFromBusiness(t.Context(), "L", many[:50]...))
	for field, call := range map[string]func() error{
		"contacts": func() error { return c.DetachFromBusiness(t.Context(), "L", many...) },
		"contact":  func() error { return c.DetachFromBusiness(t.Context(), "L", "../C") },
		"business": func() error { return c.AttachToBusiness(t.Context(), "L", "", "C") },
		"location": func() error { return c.AttachToBusiness(t.Context(), "a/b", "B", "C") },
	} {
		err := call()
		assert.Equal(t, crm.InvalidInput, codeOf(t, err), field)
		assert.Equal(t, []string{field}, err.(*crm.Error).Fields)
	}
	assert.Equal(t, crm.InvalidInput, codeOf(t, c.DetachFromBusiness(t.Context(), "L")), "nobody")
	assert.Equal(t, 3, s.count("contacts.business.bulk-update"))
}

func TestWhatCantBeABusinessIsNotAskedFor(t *testing.T) {
	s, c := scripted(t, nil)
	_, _, err := c.Business(t.Context(), "L", "../B")
	assert.Equal(t, []string{"business"}, err.(*crm.Error).Fields)
	_, _, err = c.Business(t.Context(), "", "B")
	assert.Equal(t, []string{"location"}, err.(*crm.Error).Fields)
	for _, err := range c.Businesses(t.Context(), "a/b") {
		assert.Equal(t, crm.InvalidInput, codeOf(t, err))
	}
	assert.Empty(t, s.asked)
}

func TestAContactsBusinessIsItsIDOrNoneAndNeverSomethingElse(t *testing.T) {
	s, c := scripted(t, nil)
	for said, want := range map[string]string{`"63771dcac1116f0e21de8e12"`: "63771dcac1116f0e21de8e12", `""`: "", `null`: "", `7`: "7"} {
		s.say("contacts.get", 200, `{"contact":{"id":"C","locationId":"L","businessId":`+said+`}}`)
		got, _, err := c.Contact(t.Context(), ref)
		require.NoError(t, err)
		assert.Equal(t, want, got.Business, said)
	}
	for _, said := range []string{`"../` + canary + `"`, `{}`, `["B"]`} {
		s.say("contacts.get", 200, `{"contact":{"id":"C","locationId":"L","businessId":`+said+`}}`)
		_, _, err := c.Contact(t.Context(), ref)
		assert.Equal(t, crm.GHLInvalid, codeOf(t, err), said)
		assert.Equal(t, []string{"businessId"}, err.(*crm.Error).Fields, said)
	}
}
