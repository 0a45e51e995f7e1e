package ghl

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

// pageOf is a page of so many documents, each with the cursor.
func pageOf(n, total int, cursor string) string {
	documents := make([]string, n)
	for i := range documents {
		documents[i] = fmt.Sprintf(`{"id":"C%d","locationId":"L","dateUpdated":"2026-11-24T09:00:00.000Z","searchAfter":%s}`, i, cursor)
	}
	return fmt.Sprintf(`{"contacts":[%s],"total":%d}`, strings.Join(documents, ","), total)
}

// pages lets the script answer one page after the other.
func (s *script) pages(bodies ...string) {
	s.says["contacts.search"] = func(*http.Request) (int, string) {
		n := min(s.count("contacts.search"), len(bodies))
		return 200, bodies[n-1]
	}
}

// walk collects all pages; the last error ends it.
func walk(t *testing.T, c *Client) (pages []crm.Page, err error) {
	t.Helper()
	for page, e := range c.ChangedSince(t.Context(), "L", clock) {
		if e != nil {
			require.NoError(t, err, "nothing may come after an error")
			err = e
			continue
		}
		pages = append(pages, page)
	}
	return pages, err
}

func TestSearchAsksForChangesAndPassesTheCursorBackUntouched(t *testing.T) {
	s, c := scripted(t, nil)
	const cursor = `[1.50,12345678901234567890,"C99",null]`
	s.pages(pageOf(100, 150, cursor), pageOf(50, 150, `["end"]`))
	pages, err := walk(t, c)
	require.NoError(t, err)
	require.Len(t, pages, 2)
	assert.Len(t, pages[0].Documents, 100)
	assert.Equal(t, 150, pages[0].Total)
	assert.Equal(t, clock, pages[0].At)
	first := `{"locationId":"L","pageLimit":100,"filters":[{"field":"dateUpdated","operator":"range","value":{"gte":"2026-11-24T10:00:00.000Z"}}],"sort":[{"field":"dateUpdated","direction":"asc"}]}`
	require.Len(t, s.bodies, 2)
	assert.JSONEq(t, first, s.bodies[0])
	assert.Equal(t, strings.TrimSuffix(s.bodies[0], "}")+`,"searchAfter":`+cursor+`}`, s.bodies[1])
}

func TestSearchEnds(t *testing.T) {
	for name, test := range map[string]struct {
		pages []string
		calls int
	}{
		"an idle poll is one call":              {[]string{pageOf(0, 0, "")}, 1},
		"with a short page that is all":         {[]string{pageOf(3, 3, `[1]`)}, 1},
		"with a short page without a total":     {[]string{strings.Replace(pageOf(3, 0, `[1]`), `"total":0`, `"x":0`, 1)}, 1},
		"not with a short page that is not all": {[]string{pageOf(3, 5, `[1]`), pageOf(2, 5, `[2]`)}, 2},
		"not with a full page":                  {[]string{pageOf(100, 100, `[1]`), pageOf(0, 100, "")}, 2},
		"without a cursor, when that is all":    {[]string{strings.ReplaceAll(pageOf(100, 100, `[1]`), "searchAfter", "x")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := scripted(t, nil)
			s.pages(test.pages...)
			_, err := walk(t, c)
			require.NoError(t, err)
			assert.Equal(t, test.calls, s.count("contacts.search"))
		})
	}
}

func TestASearchThatShowsNoWayToTheRestIsAnError(t *testing.T) {
	for name, pages := range map[string][]string{
		"the cursor stands still": {pageOf(100, 1000, `[1]`), pageOf(100, 1000, `[1]`)},
		"there is no cursor":      {strings.ReplaceAll(pageOf(100, 1000, `[1]`), "searchAfter", "x")},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := scripted(t, nil)
			s.pages(pages...)
			_, err := walk(t, c)
			assert.Equal(t, crm.GHLUnavailable, codeOf(t, err), "else the watermark would move past what nobody saw")
		})
	}
}

func TestSearchThatNeverEndsIsCutOffWithAnError(t *testing.T) {
	s, c := scripted(t, nil)
	s.says["contacts.search"] = func(*http.Request) (int, string) {
		return 200, pageOf(1, 1<<30, fmt.Sprintf(`[%d]`, s.count("contacts.search")))
	}
	pages, err := walk(t, c)
	assert.Equal(t, crm.GHLUnavailable, codeOf(t, err))
	assert.Len(t, pages, maxPages)
}

func TestSearchStopsWhenItsReaderDoes(t *testing.T) {
	s, c := scripted(t, nil)
	s.pages(pageOf(100, 1000, `[1]`), pageOf(100, 1000, `[2]`))
	for range c.ChangedSince(t.Context(), "L", clock) {
		break
	}
	assert.Equal(t, 1, s.count("contacts.search"))
}

func TestSearchAnswersThatAreNoneEndTheWalk(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": `{}`, "null": `{"contacts":null}`, "cut": `{"contacts":[{"id":"C"`, "HTML": `<html>`,
		"another location": `{"contacts":[{"id":"C","locationId":"X"}]}`, "no id": `{"contacts":[{"locationId":"L"}]}`,
		"an odd id": `{"contacts":[{"id":"../x","locationId":"L"}]}`, "null document": `{"contacts":[null]}`,
	} {
		s, c := scripted(t, nil)
		s.pages(body)
		pages, err := walk(t, c)
		assert.Equal(t, crm.GHLUnavailable, codeOf(t, err), name)
		assert.Empty(t, pages)
	}
}

func TestSearchDocumentsAreReadLeniently(t *testing.T) {
	s, c := scripted(t, nil)
	s.pages(`{"contacts":[
		{"id":"A","locationId":"L","dateUpdated":1763978400123,"email":{"odd":1}},
		{"id":"B","dateUpdated":"1763978400123"},
		{"id":"C","locationId":"L","dateUpdated":{}},
		{"id":"D","locationId":"L","dateUpdated":-5},
		{"id":"E","locationId":"L","dateUpdated":1e30},
		{"id":"F","locationId":"L","dateUpdated":"2026-11-24T11:00:00+02:00"}],"total":"6"}`)
	pages, err := walk(t, c)
	require.NoError(t, err)
	var got []time.Time
	for _, d := range pages[0].Documents {
		got = append(got, d.Updated)
	}
	at := time.UnixMilli(1763978400123).UTC()
	assert.Equal(t, []time.Time{at, at, {}, {}, {}, time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}, got)
}

func TestABrokenCharacterOrADoubledNameIsNoReasonToMissAContact(t *testing.T) {
	s, c := scripted(t, nil)
	s.pages(`{"contacts":[{"id":"A","locationId":"L","x":"\ud800","x":1,"y":{"a":1,"a":2},"z":1e400}],"total":1}`)
	pages, err := walk(t, c)
	require.NoError(t, err)
	assert.Equal(t, "A", pages[0].Documents[0].Contact)
}

func TestSearchStartsNoEarlierThanGHL(t *testing.T) {
	assert.Equal(t, "1970-01-01T00:00:00.000Z", wireTime(time.Time{}))
	assert.Equal(t, "2026-11-24T09:00:00.999Z", wireTime(time.Date(2026, 11, 24, 11, 0, 0, 999_999_999, time.FixedZone("", 7200))))
}
