package ghl_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/crm"
)

func TestContactsGoThereAndBack(t *testing.T) {
	server, client := fake(t, nil)
	ctx := t.Context()
	fields := crm.Fields{
		"firstName": "Ann", "email": "ann@example.com", "phone": "+12025550100", "companyName": "Brook", "country": "US",
		"dateOfBirth": "1990-09-25", "dnd": true, "customFields.pin": "7",
	}
	id, err := client.CreateContact(ctx, "L", fields, []string{"VIP"})
	require.NoError(t, err)
	ref := crm.Ref{Location: "L", Contact: id}
	got, _, err := client.Contact(ctx, ref)
	require.NoError(t, err)
	assert.Equal(t, fields, got.Fields)
	assert.Equal(t, []string{"vip"}, got.Tags)

	_, err = client.CreateContact(ctx, "L", crm.Fields{"email": "ann@example.com"}, nil)
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLDuplicate})
	assert.Equal(t, id, err.(*crm.Error).ID)
	assert.False(t, err.(*crm.Error).Landed)
	for _, keys := range [][2]string{{"ann@example.com", ""}, {"", "+12025550100"}} {
		found, err := client.FindDuplicate(ctx, "L", keys[0], keys[1])
		require.NoError(t, err)
		assert.Equal(t, id, found)
	}
	found, err := client.FindDuplicate(ctx, "L", "bob@example.com", "")
	require.NoError(t, err)
	assert.Empty(t, found)

	require.NoError(t, client.UpdateContact(ctx, ref, crm.Patch{
		Set: crm.Fields{"city": "Leeds", "firstName": "Eve"}, Clear: []string{"phone", "dateOfBirth", "customFields.pin"},
	}))
	same, made, err := client.UpsertContact(ctx, "L", crm.Fields{"email": "ann@example.com", "lastName": "Brook"})
	require.NoError(t, err)
	assert.Equal(t, id, same)
	assert.False(t, made)
	tags, err := client.AddTags(ctx, ref, []string{"News"})
	require.NoError(t, err)
	assert.Equal(t, []string{"news", "vip"}, tags)
	tags, err = client.RemoveTags(ctx, ref, []string{"vip", "news"})
	require.NoError(t, err)
	assert.Empty(t, tags)
	got, _, err = client.Contact(ctx, ref)
	require.NoError(t, err)
	assert.Equal(t, crm.Fields{
		"firstName": "Eve", "lastName": "Brook", "email": "ann@example.com", "companyName": "Brook", "country": "US", "city": "Leeds", "dnd": true,
	}, got.Fields)
	assert.Empty(t, got.Tags)

	_, made, err = client.UpsertContact(ctx, "L", crm.Fields{"email": "bob@example.com"})
	require.NoError(t, err)
	assert.True(t, made)
	require.NoError(t, client.DeleteContact(ctx, ref))
	require.NoError(t, client.DeleteContact(ctx, ref), "gone already")
	_, there := server.Contact(id)
	assert.False(t, there)
	assert.ErrorIs(t, client.UpdateContact(ctx, ref, crm.Patch{Set: crm.Fields{"city": "York"}}), &crm.Error{Code: crm.GHLNotFound})
}

func TestAWriteWhoseAnswerIsLostMayHaveLanded(t *testing.T) {
	server, client := fake(t, nil)
	server.Fail(ghltest.Fault{Operation: "contacts.create", ResetAfter: true, Times: 1})
	_, err := client.CreateContact(t.Context(), "L", crm.Fields{"email": "ann@example.com"}, nil)
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLUnavailable})
	assert.True(t, err.(*crm.Error).Landed)
	assert.Len(t, server.Contacts("L"), 1)
}
