package rankr_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
)

// fullNote is a note with a value in every field.
func fullNote(externalID string) crm.Note {
	return crm.Note{
		ExternalID: externalID, Content: "<p>Called,\nwants \"more\" 🦆</p>",
		Created: time.Date(2026, 11, 2, 15, 4, 5, 123_000_000, time.UTC),
	}
}

func TestNoteThatIsWrittenIsTheNoteThatIsRead(t *testing.T) {
	server, client := fake(t, nil)
	on := newTarget(t, server, rankrtest.Record{ExternalID: "E1"})
	require.NoError(t, server.RemoveNote(on.note))
	notes, err := client.Notes(t.Context(), "L", on.record)
	require.NoError(t, err)
	assert.Empty(t, notes)

	want := fullNote("N1")
	made, err := client.CreateNote(t.Context(), "L", on.record, "key", want)
	require.NoError(t, err)
	want.ID, want.Contact = made.ID, on.record
	assert.Equal(t, want, made)
	bare, err := client.CreateNote(t.Context(), "L", on.record, "other key", crm.Note{ExternalID: "N2", Content: "x"})
	require.NoError(t, err)
	want.Content, want.Created = "Wrote", time.Time{}
	require.NoError(t, client.UpdateNote(t.Context(), "L", on.record, want))
	notes, err = client.Notes(t.Context(), "L", on.record)
	require.NoError(t, err)
	assert.Equal(t, []crm.Note{want, bare}, notes)
	calls := server.Calls()
	assert.Equal(t, []string{"content", "createdAt", "externalId"}, calls[3].Properties)

	require.NoError(t, client.DeleteNote(t.Context(), "L", on.record, made.ID))
	require.NoError(t, client.DeleteNote(t.Context(), "L", on.record, made.ID), "gone is gone")
	require.ErrorIs(t, client.UpdateNote(t.Context(), "L", on.record, want), &crm.Error{Code: crm.RankrNotFound})
	require.NoError(t, client.Delete(t.Context(), "L", on.record))
	require.NoError(t, client.DeleteNote(t.Context(), "L", on.record, bare.ID), "gone with its record")
	_, err = client.Notes(t.Context(), "L", on.record)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrNotFound})
	assert.Empty(t, server.Notes(""))
}
