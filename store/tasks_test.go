package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

func TestTasksThatPollsSawAreRememberedOfEachLocationApart(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		seen := map[string]crm.PolledTask{"a": {Contact: "c", Open: true, Known: "x"}, "b": {Contact: "d", Open: true}}
		require.NoError(t, s.SaveTasks(t.Context(), "loc", seen, false))
		require.NoError(t, s.SaveTasks(t.Context(), "other", map[string]crm.PolledTask{"a": {Contact: "e"}}, true))

		known, whole, err := s.PolledTasks(t.Context(), "loc", "a", "b", "new")
		require.NoError(t, err)
		assert.Equal(t, seen, known)
		assert.False(t, whole, "an id that is not there may still be an old task")

		require.NoError(t, s.SaveTasks(t.Context(), "loc", map[string]crm.PolledTask{"b": {Contact: "d"}}, true))
		known, whole, err = s.PolledTasks(t.Context(), "loc", "b")
		require.NoError(t, err)
		assert.Equal(t, map[string]crm.PolledTask{"b": {Contact: "d"}}, known)
		assert.True(t, whole)
		open, err := s.OpenTasks(t.Context(), "loc")
		require.NoError(t, err)
		assert.Equal(t, map[string]crm.PolledTask{"a": {Contact: "c", Open: true, Known: "x"}}, open)

		require.NoError(t, s.ForgetHandOvers(t.Context(), "loc"))
		known, whole, err = s.PolledTasks(t.Context(), "loc", "a")
		require.NoError(t, err)
		assert.Equal(t, map[string]crm.PolledTask{"a": {Contact: "c", Open: true}}, known, "seen all the same")
		assert.True(t, whole)
	})
}

func TestAttachmentsAreFoundByTheBusinessThatWasDecided(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		s, _ := open(t, url)
		for contact, change := range map[string]func(*crm.Link){
			"inside":    func(l *crm.Link) { l.RankrID, l.Decision.Business = "r1", "acme" },
			"elsewhere": func(l *crm.Link) { l.RankrID, l.Decision.Business = "r2", "other" },
			"nowhere":   func(l *crm.Link) { l.RankrID = "r3" },
			"unlinked":  func(l *crm.Link) { l.Decision.Business = "acme" },
		} {
			advance(t, s, crm.Ref{Location: "loc", Contact: contact}, change)
		}
		attached, err := s.Attached(t.Context(), "loc", "acme")
		require.NoError(t, err)
		assert.Equal(t, []string{"inside"}, attached)
		attached, err = s.Attached(t.Context(), "other", "acme")
		require.NoError(t, err)
		assert.Empty(t, attached)

		was, err := s.Link(t.Context(), crm.Ref{Location: "loc", Contact: "acme"}, crm.ABusiness)
		require.NoError(t, err)
		next := was
		next.RankrID = "r4"
		require.NoError(t, s.Advance(t.Context(), was, next))
		businesses, err := s.MirroredBusinesses(t.Context(), "loc")
		require.NoError(t, err)
		assert.Equal(t, []string{"acme"}, businesses)
	})
}

// polls are what every poll asks, and the index that answers.
var polls = map[string]string{
	"SELECT contact FROM links WHERE location = 'l' AND object = 'contact' AND rankr_id <> '' AND business = 'b'": "links_business",
	"SELECT contact FROM links WHERE location = 'l' AND object = 'business' AND rankr_id <> ''":                   "links_businesses",
	"SELECT task FROM polled_tasks WHERE location = 'l' AND open":                                                 "polled_tasks_open",
}

func TestPollsAskTheStoreByIndex(t *testing.T) {
	s, _ := open(t, backends["sqlite"](t))
	for query, index := range polls {
		rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
		require.NoError(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		assert.Contains(t, strings.Join(plan, "\n"), index)
	}
}
