package ghltest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

func TestAnUpsertChangesWhoeverHasTheEmailOrElseThePhone(t *testing.T) {
	a := start(t)
	l := listen(t, a)
	ada := a.Quietly().Create(home, ghltest.Contact{Email: "ada@us.example", City: "Leeds", Gender: "female", Tags: []string{"vip"}})
	eve := a.Quietly().Create(home, ghltest.Contact{Phone: "+12025550100"})
	r := a.call("POST", "/contacts/upsert", map[string]any{
		"locationId": home, "email": "ADA@us.example", "firstName": "Ada", "companyName": "Brook", "gender": "male",
	})
	require.Equal(t, 200, r.status, r.text)
	assert.Equal(t, false, r.body["new"])
	assert.Equal(t, ada.ID, r.contact()["id"])
	after, _ := a.Contact(ada.ID)
	assert.Equal(t, "Leeds", after.City, "what is not named is left alone")
	assert.Equal(t, "female", after.Gender, "ignored on a contact that is there")
	assert.Equal(t, []string{"vip"}, after.Tags)
	assert.Equal(t, []string{"ContactUpdate"}, kinds(l.take(a)))

	r = a.call("POST", "/contacts/upsert", map[string]any{"locationId": home, "email": "ada@us.example", "phone": "+1 202-555-0100"})
	assert.Equal(t, ada.ID, r.contact()["id"], "the second match is ignored silently")
	r = a.call("POST", "/contacts/upsert", map[string]any{"locationId": home, "phone": "+12025550199"})
	assert.Equal(t, true, r.body["new"])
	assert.NotContains(t, []string{ada.ID, eve.ID}, r.contact()["id"])

	twice := map[string]any{"locationId": home, "email": "ada@us.example", "createNewIfDuplicateAllowed": true}
	assert.Equal(t, false, a.call("POST", "/contacts/upsert", twice).body["new"], "duplicates are not allowed here")
	a.PutLocation(ghltest.Location{ID: home, DuplicateAllowed: true})
	assert.Equal(t, true, a.call("POST", "/contacts/upsert", twice).body["new"])

	assert.Equal(t, 422, a.call("POST", "/contacts/upsert", map[string]any{"email": "x@us.example"}).status)
	assert.Equal(t, 403, a.call("POST", "/contacts/upsert", map[string]any{"locationId": "other"}).status)
	assert.Empty(t, a.Unknown())
}

func TestADuplicateIsFoundByEmailOrElseByPhone(t *testing.T) {
	a := start(t)
	ada := a.Create(home, ghltest.Contact{Email: "ada@us.example", Phone: "+12025550100"})
	path := "/contacts/search/duplicate?locationId=" + home
	for _, query := range []string{"&email=Ada@us.example", "&number=%2B12025550100", "&email=none@us.example&number=%2B12025550100"} {
		assert.Equal(t, ada.ID, a.call("GET", path+query, nil).contact()["id"], query)
	}
	r := a.call("GET", path+"&number=+12025550100", nil)
	assert.Equal(t, 200, r.status)
	assert.Contains(t, r.body, "contact")
	assert.Nil(t, r.contact(), "a plus sign that is not escaped is a space")
	assert.Equal(t, 403, a.call("GET", "/contacts/search/duplicate?locationId=other&email=x", nil).status)
}
