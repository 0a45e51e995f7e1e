package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

const titled = `
contacts:
  fields:
    firstName: upper(contact.firstName)
tags: {except: [internal-*]}
`

func TestARecordIsWhatTheMappingMakesOfTheContact(t *testing.T) {
	w := newWorld(t)
	w.withRules(titled + "segments:\n  - {name: Janes, when: contact.firstName == \"Jane\"}\n")
	contact := jane
	contact.Tags = []string{"vip", "internal-1"}
	w.ghl.Create(loc, contact)
	w.good("jane")
	record, _ := w.rankr.Mirror("jane")
	assert.Equal(t, "JANE", record.Fields["firstName"])
	assert.Equal(t, []string{"vip"}, record.Tags)
	w.segment()
	assert.Equal(t, []string{"Janes"}, w.segmentsOf("jane"), "rules see the contact as GHL has it")
	w.calls()
	assert.Equal(t, crm.Unchanged, w.good("jane").Outcome)
	_, rankr := w.calls()
	assert.Empty(t, rankr)
}

func TestAChangedMappingRewritesWhatDiffers(t *testing.T) {
	w := newWorld(t)
	w.ghl.Create(loc, jane)
	w.good("jane")
	hint := names.Hint{At: time.Now().Add(-time.Hour)}
	result, err := w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Hint: hint})
	require.NoError(t, err)
	assert.Equal(t, crm.Covered, result.Outcome)
	w.withRules(titled)
	w.pass(time.Minute)
	result, err = w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: "jane"}, Hint: hint})
	require.NoError(t, err)
	assert.Equal(t, []string{"firstName"}, result.Fields)
}

func TestARuleThatCantBeWorkedOutWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.withRules("contacts:\n  fields:\n    dateOfBirth: date(contact.companyName).Format(\"2006-01-02\")\n")
	w.ghl.Create(loc, jane)
	result := w.good("jane")
	assert.Equal(t, crm.RuleFailed, result.Code)
	assert.Equal(t, []string{"contacts/fields/dateOfBirth"}, result.Fields)
	_, there := w.rankr.Mirror("jane")
	assert.False(t, there)
	w.edit("jane", func(c *ghltest.Contact) { c.CompanyName = "1990-01-02" })
	assert.Equal(t, crm.Created, w.good("jane").Outcome)
	assert.Empty(t, w.problems())
}

func TestWhoIsNotIncludedIsNotInRankr(t *testing.T) {
	for onLeave, there := range map[string]bool{"keep": true, "detach": true, "delete": false} {
		t.Run(onLeave, func(t *testing.T) {
			w := newWorld(t)
			w.withRules("contacts:\n  include: '\"vip\" in tags'\n  onLeave: " + onLeave + "\n")
			stranger := jane
			stranger.ID, stranger.Tags, stranger.Email, stranger.Phone = "joe", nil, "joe@example.com", ""
			w.ghl.Create(loc, stranger)
			assert.Equal(t, crm.Excluded, w.good("joe").Outcome)
			w.calls()
			assert.Equal(t, crm.Excluded, w.good("joe").Outcome)
			_, rankr := w.calls()
			assert.Empty(t, rankr)

			w.ghl.Create(loc, jane)
			made := w.good("jane").RankrID
			_, err := w.ghl.Untag("jane", "vip")
			require.NoError(t, err)
			w.good("jane")
			w.edit("jane", func(c *ghltest.Contact) { c.FirstName = "Janet" })
			assert.Equal(t, crm.Excluded, w.good("jane").Outcome)
			var left *rankrtest.Record
			for _, record := range w.rankr.All() {
				if record.ID == made {
					left = &record
				}
			}
			require.Equal(t, there, left != nil)
			if there {
				assert.Equal(t, "Jane", left.Fields["firstName"], "it stays as it is")
				assert.Equal(t, onLeave == "keep", left.ExternalID == "jane")
			}
			_, err = w.ghl.Tag("jane", "vip")
			require.NoError(t, err)
			w.good("jane")
			record, ok := w.rankr.Mirror("jane")
			require.True(t, ok, "it is back")
			assert.Equal(t, "Janet", record.Fields["firstName"])
			assert.Equal(t, []string{"vip"}, record.Tags)
			assert.Len(t, w.rankr.All(), 1)
		})
	}
}
