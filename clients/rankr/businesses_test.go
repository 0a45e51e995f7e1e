package rankr_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
)

// fullBusiness is a business with a value in every field.
func fullBusiness(externalID string) crm.Business {
	return crm.Business{ExternalID: externalID, Fields: crm.Fields{
		"name": `"Harbour" & <Street> 🦆`, "email": "hello+1@harbour.example", "phone": "+12025550143",
		"website": "https://harbour.example/?a=b#c", "address": "1 Main St\nBack door", "city": "Bonn", "state": "NW",
		"postalCode": "00123", "country": "DE", "description": "Boats",
	}}
}

func TestBusinessThatIsWrittenIsTheBusinessThatIsRead(t *testing.T) {
	server, client := fake(t, nil)
	want := fullBusiness("B1")
	assert.ElementsMatch(t, crm.BusinessFields, want.Fields.Names())
	made, err := client.CreateBusiness(t.Context(), "L", "key", want)
	require.NoError(t, err)
	want.ID = made.ID
	assert.Equal(t, want, made)
	got, err := client.ReadBusiness(t.Context(), "L", made.ID)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	_, err = server.AddBusiness(rankrtest.Business{Name: "Own"})
	require.NoError(t, err)
	found, err := client.FindBusiness(t.Context(), "L", "B1")
	require.NoError(t, err)
	assert.Equal(t, []crm.Business{want}, found)
	found, err = client.FindBusiness(t.Context(), "L", "B2")
	require.NoError(t, err)
	assert.Empty(t, found)

	clear := slices.DeleteFunc(want.Fields.Names(), func(name string) bool { return name == "name" })
	require.NoError(t, client.UpdateBusiness(t.Context(), "L", made.ID, crm.Patch{Clear: clear, ExternalID: new(string)}))
	got, err = client.ReadBusiness(t.Context(), "L", made.ID)
	require.NoError(t, err)
	assert.Equal(t, crm.Business{ID: made.ID, Fields: crm.Fields{"name": want.Fields["name"]}}, got, "every field but the name can be cleared")

	require.NoError(t, client.DeleteBusiness(t.Context(), "L", made.ID))
	require.NoError(t, client.DeleteBusiness(t.Context(), "L", made.ID), "gone is gone")
	_, err = client.ReadBusiness(t.Context(), "L", made.ID)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrNotFound})
	require.ErrorIs(t, client.UpdateBusiness(t.Context(), "L", made.ID, crm.Patch{Set: crm.Fields{"city": "x"}}), &crm.Error{Code: crm.RankrNotFound})
}

func TestBusinessUpdateSendsOnlyWhatChanges(t *testing.T) {
	server, client := fake(t, nil)
	own, err := server.AddBusiness(rankrtest.Business{Name: "Own", City: "Bonn", State: "NW"})
	require.NoError(t, err)
	external := "B1"
	require.NoError(t, client.UpdateBusiness(t.Context(), "L", own.ID, crm.Patch{
		Set: crm.Fields{"city": "Rome"}, Clear: []string{"phone"}, ExternalID: &external,
	}))
	assert.Equal(t, []string{"city", "externalId", "phone"}, server.Calls()[0].Properties)
	got := server.Businesses()[0]
	assert.Equal(t, []any{"Own", "Rome", "NW", "B1"}, []any{got.Name, got.City, got.State, got.ExternalID})
}

func TestBusinessIsMadeOnceWhateverIsLost(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{ResetAfter: true, Times: 1}} })
	_, err := client.CreateBusiness(t.Context(), "L", "key", fullBusiness("B1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable})
	made, err := client.CreateBusiness(t.Context(), "L", "key", fullBusiness("B1"))
	require.NoError(t, err)
	_, err = client.CreateBusiness(t.Context(), "L", "another key", fullBusiness("B1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrDuplicate})
	assert.Equal(t, made.ID, err.(*crm.Error).ID, "the winner is named")
	assert.Len(t, server.BusinessHistory("B1"), 1)
}

func TestContactIsAttachedAndDetached(t *testing.T) {
	server, client := fake(t, nil)
	on := newTarget(t, server, rankrtest.Record{ExternalID: "E1", Fields: map[string]any{"city": "Bonn"}})
	made, err := client.CreateBusiness(t.Context(), "L", "key", fullBusiness("B1"))
	require.NoError(t, err)
	got, err := client.Contact(t.Context(), "L", on.record)
	require.NoError(t, err)
	assert.Equal(t, on.business, got.Business)

	require.NoError(t, client.Update(t.Context(), "L", on.record, "", crm.Patch{Business: &made.ID}))
	calls := server.Calls()
	assert.Equal(t, []string{"businessId"}, calls[len(calls)-1].Properties)
	found, err := client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, made.ID, found[0].Business)
	require.NoError(t, client.Update(t.Context(), "L", on.record, "", crm.Patch{Set: crm.Fields{"city": "Rome"}}))
	record, _ := server.Get(on.record)
	assert.Equal(t, made.ID, record.BusinessID, "a change that says nothing of it leaves it")
	require.NoError(t, client.Update(t.Context(), "L", on.record, "", crm.Patch{Business: new(string)}))
	record, _ = server.Get(on.record)
	assert.Empty(t, record.BusinessID)
	assert.Equal(t, []string{on.segment}, record.Segments)
	assert.Equal(t, "Rome", record.Fields["city"])

	contact, err := client.Create(t.Context(), "L", "key", crm.Contact{ExternalID: "E2", Business: made.ID})
	require.NoError(t, err)
	assert.Equal(t, made.ID, contact.Business)
	require.NoError(t, client.DeleteBusiness(t.Context(), "L", made.ID))
	contact, err = client.Contact(t.Context(), "L", contact.ID)
	require.NoError(t, err)
	assert.Empty(t, contact.Business)
	err = client.Update(t.Context(), "L", on.record, "", crm.Patch{Business: &made.ID})
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid})
	assert.Equal(t, []string{"businessId"}, err.(*crm.Error).Fields, "a business that is gone is named")
	assert.False(t, err.(*crm.Error).Landed)
}

func TestBusinessThatCanNotBeSentCostsNoCall(t *testing.T) {
	server, client := fake(t, nil)
	found, err := client.FindBusiness(t.Context(), "L", "")
	require.NoError(t, err)
	assert.Empty(t, found, "no external id is not all of them")
	require.NoError(t, client.UpdateBusiness(t.Context(), "L", "x", crm.Patch{}))
	city := crm.Patch{Set: crm.Fields{"city": "x"}}
	for _, id := range []string{"", "a/b", "..", "a\nb", "a%2Fb", "a?b=c", "{id}", "ä", strings.Repeat("x", 65)} {
		_, err := client.ReadBusiness(t.Context(), "L", id)
		for _, err := range []error{err, client.UpdateBusiness(t.Context(), "L", id, city), client.DeleteBusiness(t.Context(), "L", id)} {
			require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
			assert.Equal(t, []string{"id"}, err.(*crm.Error).Fields)
		}
		if id != "" {
			_, err = client.Create(t.Context(), "L", "key", crm.Contact{ExternalID: "E1", Business: id})
			for _, err := range []error{err, client.Update(t.Context(), "L", "x", "", crm.Patch{Business: &id})} {
				require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
				assert.Equal(t, []string{"businessId"}, err.(*crm.Error).Fields)
			}
		}
	}
	for _, test := range []struct {
		key    string
		fields crm.Fields
		named  []string
	}{
		{"", crm.Fields{"name": "A"}, []string{"Idempotency-Key"}},
		{"key", crm.Fields{}, []string{"name"}},
		{"key", crm.Fields{"name": " ", "city": "x"}, []string{"name"}},
		{"key", crm.Fields{"name": "A", "industry": "x", "customFields.a": "y"}, []string{"customFields.a", "industry"}},
	} {
		_, err := client.CreateBusiness(t.Context(), "L", test.key, crm.Business{ExternalID: "B1", Fields: test.fields})
		require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
		assert.Equal(t, test.named, err.(*crm.Error).Fields)
	}
	for _, patch := range []crm.Patch{{Clear: []string{"name"}}, {Clear: []string{"tags"}}, {Business: new(string)}} {
		require.ErrorIs(t, client.UpdateBusiness(t.Context(), "L", "x", patch), &crm.Error{Code: crm.InvalidInput})
	}
	assert.Empty(t, server.Calls())
}

func TestRefusedBusinessNamesItsFieldsAndNeverTheirValues(t *testing.T) {
	server, client := fake(t, nil)
	business := fullBusiness("B1")
	business.Fields["phone"], business.Fields["country"] = "canary 555", "canary"
	business.Fields["description"] = strings.Repeat("canary", 20_000)
	_, err := client.CreateBusiness(t.Context(), "L", "key", business)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid})
	assert.ElementsMatch(t, []string{"country", "description", "phone"}, err.(*crm.Error).Fields)
	assert.False(t, err.(*crm.Error).Landed)
	assert.NotContains(t, err.Error(), "canary")
	assert.Empty(t, server.Businesses())
	_, err = client.CreateBusiness(t.Context(), "L", "key", fullBusiness("B1"))
	require.NoError(t, err, "a refused key is still free")
}

// TestAnswersAboutAnotherBusinessAreNoAnswers: believing one would link a business to a stranger's.
func TestAnswersAboutAnotherBusinessAreNoAnswers(t *testing.T) {
	external := "B1"
	find := func(c *rankr.Client) error { _, err := c.FindBusiness(t.Context(), "L", "B1"); return err }
	read := func(c *rankr.Client) error { _, err := c.ReadBusiness(t.Context(), "L", "R1"); return err }
	create := func(c *rankr.Client) error {
		_, err := c.CreateBusiness(t.Context(), "L", "key", crm.Business{ExternalID: "B1", Fields: crm.Fields{"name": "A"}})
		return err
	}
	update := func(c *rankr.Client) error {
		return c.UpdateBusiness(t.Context(), "L", "R1", crm.Patch{ExternalID: &external})
	}
	attach := func(c *rankr.Client) error {
		return c.Update(t.Context(), "L", "R1", "", crm.Patch{Business: &external})
	}
	for _, test := range []struct {
		body string
		do   func(*rankr.Client) error
	}{
		{`{}`, find},
		{`{"businesses":null}`, find},
		{`{"contacts":[]}`, find},
		{`{"businesses":[{"externalId":"B1"}]}`, find},
		{`{"businesses":[{"id":"../x","externalId":"B1"}]}`, find},
		{`{"businesses":[{"id":"R1","externalId":"B1"},{"id":"R2","externalId":"b1"}]}`, find},
		{`{"businesses":[{"id":"R1","name":"A"}]}`, find},
		{`{"business":{"id":"R2"}}`, read},
		{`{"contact":{"id":"R1"}}`, read},
		{`{"business":{"externalId":"B1"}}`, create},
		{`{"business":{"id":"a b","externalId":"B1"}}`, create},
		{`{"business":{"id":"R1","externalId":"B2"}}`, create},
		{`{"business":{"id":"R2","externalId":"B1"}}`, update},
		{`{"business":{"id":"R1","externalId":null}}`, update},
		{`{"contact":{"id":"R1","businessId":null}}`, attach},
		{`{"contact":{"id":"R1","businessId":"B2"}}`, attach},
		{`{"succeeded":false}`, func(c *rankr.Client) error { return c.DeleteBusiness(t.Context(), "L", "R1") }},
	} {
		require.ErrorIs(t, test.do(saying(t, 200, test.body)), &crm.Error{Code: crm.RankrUnavailable}, test.body)
	}
}

func TestOddBusinessesAreReadAsFarAsTheyGo(t *testing.T) {
	client := saying(t, 200, `{"businesses":[
		{"id":"R1","externalId":"B1","name":null,"email":"","city":"Bonn","surprise":[1]},{"id":"R1","externalId":"B1"}],"next":"more"}`)
	found, err := client.FindBusiness(t.Context(), "L", "B1")
	require.NoError(t, err)
	assert.Equal(t, []crm.Business{{ID: "R1", ExternalID: "B1", Fields: crm.Fields{"city": "Bonn"}}}, found, "and one that comes twice is one")
}
