package ghl

import (
	"encoding/csv"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everything makes each call that the client can make.
func everything(t *testing.T, c *Client) {
	t.Helper()
	_, _, err := c.Contact(t.Context(), ref)
	require.NoError(t, err)
	_, _, err = c.Location(t.Context(), "L")
	require.NoError(t, err)
	_, err = walk(t, c)
	require.NoError(t, err)
	_, err = walkTasks(t, c, "L")
	require.NoError(t, err)
	for name, call := range itemCalls(t, c) {
		require.NoError(t, call(), name)
	}
	for name, call := range lists(t, c) {
		require.NoError(t, call(), name)
	}
	for name, call := range contactWrites(t, c) {
		require.NoError(t, call(), name)
	}
	for name, call := range businessCalls(t, c) {
		require.NoError(t, call(), name)
	}
}

// answers are good ones for everything.
func answers(s *script) {
	s.say("contacts.get", 200, withFields("a"))
	s.say(list, 200, dictionaryOf("a"))
	s.say("locations.get", 200, `{"location":{"id":"L"}}`)
	s.pages(pageOf(100, 101, `[1763978400123,"C99"]`), pageOf(1, 101, `[1763978400124,"C0"]`))
	s.taskPages(1)
	for _, o := range Operations {
		switch {
		case strings.HasPrefix(o.Name, "contacts.") && o.Method == http.MethodDelete:
			s.say(o.Name, 200, saved)
		case s.says[o.Name] != nil:
		case strings.HasPrefix(o.Name, "contacts.tasks."):
			s.say(o.Name, 200, itemAnswer(o.Name, oneTask))
		case strings.HasPrefix(o.Name, "contacts.notes."):
			s.say(o.Name, 200, itemAnswer(o.Name, oneNote))
		case strings.Contains(o.Name, ".list"):
			s.say(o.Name, 200, `{"contacts":[],"events":[],"users":[],"businesses":[]}`)
		default:
			s.say(o.Name, 200, saved)
		}
	}
}

func TestEachOperationHasAMethodAndADocLine(t *testing.T) {
	s, c := scripted(t, nil)
	answers(s)
	everything(t, c)
	var names []string
	for _, o := range Operations {
		names = append(names, o.Name)
		assert.Contains(t, s.asked, o.Name, "no method makes this call")
		assert.NotEmpty(t, o.Doc, o.Name)
		assert.NotEmpty(t, o.Scope, o.Name)
		assert.True(t, o.Repeatable || o.Method == http.MethodPost, "%s: only a POST can be more than once", o.Name)
	}
	for _, name := range s.asked {
		assert.Contains(t, names, name, "a call without a row")
	}
}

// beyond the catalogue is only this; the spec has it, see TestEveryRequestKeepsToTheOfficialSpec.
const beyond = "locations.tasks.search"

// scopeless is an operation whose scope neither the catalogue nor the spec tells. Ours is that of all other writes.
const scopeless = "contacts.business.bulk-update"

func TestOperationsAgreeWithTheCatalogue(t *testing.T) {
	file, err := os.Open("../../../shared/ghl/catalog.csv")
	if err != nil {
		t.Skip("the catalogue of GHL's operations is not here: ../shared/ghl/catalog.csv")
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	for _, o := range Operations {
		if o.Name == beyond {
			continue
		}
		i := slices.IndexFunc(rows, func(row []string) bool { return row[0] == o.Name })
		require.Positive(t, i, o.Name)
		row := rows[i] // id,category,kind,title,method,path,version_header,scope,…
		if o.Name == scopeless {
			assert.Empty(t, row[7], "it is told by now")
			row[7] = "contacts.write"
		}
		assert.Equal(t, []string{row[4], row[5], row[6], row[7]}, []string{o.Method, "/" + o.Path, o.Version, o.Scope}, o.Name)
	}
}
