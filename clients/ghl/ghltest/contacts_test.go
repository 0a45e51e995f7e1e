package ghltest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

func TestACreatedContactIsReadBackInTheShapeOfGet(t *testing.T) {
	a := start(t)
	r := a.call("POST", "/contacts/", map[string]any{
		"locationId": home, "firstName": "Zoë", "lastName": "Weiß", "email": "Zoe@de.example", "phone": "+49 30-231 00001",
		"dateOfBirth": "09/25/1990", "companyName": "Brook", "tags": []string{"VIP", "vip", " News "},
		"customFields": []any{
			map[string]any{"id": ghltest.SeedFields[0].ID, "field_value": "plus"},
			map[string]any{"key": "household_size", "field_value": 3},
		},
	})
	require.Equal(t, 201, r.status, r.text)
	created := r.contact()
	assert.Equal(t, "1990-09-25T00:00:00.000Z", created["dateOfBirth"])
	assert.NotContains(t, created, "name")

	read := a.call("GET", "/contacts/"+created["id"].(string), nil).contact()
	assert.Equal(t, "Zoë Weiß", read["name"])
	assert.Equal(t, "zoë", read["firstNameLowerCase"])
	assert.Equal(t, "zoe@de.example", read["emailLowerCase"])
	assert.Equal(t, "+493023100001", read["phone"])
	assert.Equal(t, "1990-09-25", read["dateOfBirth"])
	assert.Equal(t, []any{"vip", "news"}, read["tags"])
	assert.Equal(t, []any{
		map[string]any{"id": ghltest.SeedFields[0].ID, "value": "plus"},
		map[string]any{"id": ghltest.SeedFields[1].ID, "value": 3.0},
	}, read["customFields"])
	assert.NotContains(t, read, "website", "what has no value is left out")
}

func TestAnUpdateLeavesOutWhatItDoesNotNameAndReplacesTags(t *testing.T) {
	a := start(t)
	made := a.Create(home, ghltest.Contact{
		FirstName: "Ada", City: "Leeds", Tags: []string{"one"},
		CustomFields: []ghltest.Value{{ID: ghltest.SeedFields[0].ID, Value: "plus"}, {ID: ghltest.SeedFields[3].ID, Value: "fair"}},
	})
	r := a.call("PUT", "/contacts/"+made.ID, map[string]any{
		"firstName": "Eve", "city": nil, "tags": []string{"Two"},
		"customFields": []any{map[string]any{"id": ghltest.SeedFields[0].ID, "field_value": ""}},
	})
	require.Equal(t, 200, r.status, r.text)
	assert.Equal(t, true, r.body["succeded"], "the wire misspells it")
	after, _ := a.Contact(made.ID)
	assert.Equal(t, "Eve", after.FirstName)
	assert.Empty(t, after.City)
	assert.Equal(t, []string{"two"}, after.Tags)
	assert.Equal(t, []ghltest.Value{{ID: ghltest.SeedFields[3].ID, Value: "fair"}}, after.CustomFields)
	assert.True(t, after.DateUpdated.After(made.DateUpdated), "no two versions have the same date")
	assert.Equal(t, made.DateAdded, after.DateAdded)
}

func TestABodyIsHeldAgainstTheEndpointsOwnProperties(t *testing.T) {
	a := start(t)
	made := a.Create(home, ghltest.Contact{CompanyName: "Brook"})
	for _, c := range []struct {
		name, method, path string
		body               any
		status             int
		message            any
	}{
		{"company by PUT", "PUT", "/contacts/" + made.ID, map[string]any{"companyName": "x"}, 422, []any{"property companyName should not exist"}},
		{"location by PUT", "PUT", "/contacts/" + made.ID, map[string]any{"locationId": home}, 422, []any{"property locationId should not exist"}},
		{"null country", "PUT", "/contacts/" + made.ID, map[string]any{"country": nil}, 422, []any{"country should not be null"}},
		{"odd country", "PUT", "/contacts/" + made.ID, map[string]any{"country": "Germany"}, 422, []any{"country must be a valid enum value"}},
		{"number for text", "PUT", "/contacts/" + made.ID, map[string]any{"city": 3}, 422, []any{"city must be a string"}},
		{"no email", "PUT", "/contacts/" + made.ID, map[string]any{"email": "nobody"}, 422, []any{"email must be an email"}},
		{"odd date", "PUT", "/contacts/" + made.ID, map[string]any{"dateOfBirth": "25.13.90"}, 422, []any{"dateOfBirth must be a valid date"}},
		{"odd field", "PUT", "/contacts/" + made.ID, map[string]any{"customFields": []any{map[string]any{"id": "no"}}}, 422, []any{"customFields names a field that the location does not have"}},
		{"tags no list", "POST", "/contacts/" + made.ID + "/tags", map[string]any{"tags": "vip"}, 422, []any{"tags must be an array of strings"}},
		{"no location", "POST", "/contacts/", map[string]any{"email": "a@b.example"}, 422, []any{"locationId should not be empty", "locationId must be a string"}},
		{"other location", "POST", "/contacts/", map[string]any{"locationId": "other"}, 403, "The token does not have access to this location."},
		{"no JSON", "PUT", "/contacts/" + made.ID, "{", 400, "Unexpected token in JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := *a
			as.t = t
			r := as.call(c.method, c.path, c.body)
			assert.Equal(t, c.status, r.status, r.text)
			assert.Equal(t, c.message, r.body["message"])
		})
	}
	after, _ := a.Contact(made.ID)
	assert.Equal(t, made, after, "a refused change changes nothing")
	assert.Empty(t, a.Unknown(), "each of these is a property of some endpoint")
}

func TestADuplicateCreateNamesTheWinner(t *testing.T) {
	a := start(t)
	ada := a.Create(home, ghltest.Contact{FirstName: "Ada", LastName: "Brook", Email: "ada@us.example", Phone: "+12025550100"})
	for field, value := range map[string]string{"email": "ADA@us.example", "phone": "+1 202-555-0100"} {
		r := a.call("POST", "/contacts/", map[string]any{"locationId": home, field: value})
		assert.Equal(t, 400, r.status)
		assert.Equal(t, "This location does not allow duplicated contacts.", r.body["message"])
		assert.Equal(t, map[string]any{"contactId": ada.ID, "contactName": "Ada Brook", "matchingField": field}, r.body["meta"])
	}
	eve := a.Create(home, ghltest.Contact{FirstName: "Eve"})
	assert.Equal(t, 400, a.call("PUT", "/contacts/"+eve.ID, map[string]any{"email": "ada@us.example"}).status)

	require.NoError(t, a.Delete(ada.ID))
	assert.Equal(t, 201, a.call("POST", "/contacts/", map[string]any{"locationId": home, "email": "ada@us.example"}).status)

	a.PutLocation(ghltest.Location{ID: home, DuplicateAllowed: true})
	assert.Equal(t, 201, a.call("POST", "/contacts/", map[string]any{"locationId": home, "email": "ada@us.example"}).status)
}

func TestTagsAreAddedAndRemovedInLowerCase(t *testing.T) {
	a := start(t)
	made := a.Create(home, ghltest.Contact{Tags: []string{"One"}})
	r := a.call("POST", "/contacts/"+made.ID+"/tags", map[string]any{"tags": []string{"TWO", "one", "Three"}})
	assert.Equal(t, 201, r.status)
	assert.Equal(t, []any{"one", "two", "three"}, r.body["tags"])
	r = a.call("DELETE", "/contacts/"+made.ID+"/tags", map[string]any{"tags": []string{"Two", "none"}})
	assert.Equal(t, 200, r.status)
	assert.Equal(t, []any{"one", "three"}, r.body["tags"])
}

func TestADeletedContactIsGone(t *testing.T) {
	a := start(t)
	made := a.Create(home, ghltest.Contact{})
	r := a.call("DELETE", "/contacts/"+made.ID, nil)
	assert.Equal(t, 200, r.status)
	assert.Equal(t, true, r.body["succeded"])
	assert.Equal(t, 404, a.call("GET", "/contacts/"+made.ID, nil).status)
	assert.Equal(t, 404, a.call("DELETE", "/contacts/"+made.ID, nil).status)
	_, err := a.Tag(made.ID, "vip")
	assert.ErrorIs(t, err, ghltest.ErrGone)
}

func TestTheNewestVersionSpellsSucceededRight(t *testing.T) {
	a := start(t)
	a.version = "v3"
	made := a.call("POST", "/contacts/", map[string]any{
		"locationId": home, "firstName": "Ada",
		"customFields": []any{map[string]any{"id": ghltest.SeedFields[0].ID, "fieldValue": "plus"}},
	}).contact()
	assert.Equal(t, "Ada", made["name"])
	assert.Len(t, made["customFields"], 1)
	r := a.call("PUT", "/contacts/"+made["id"].(string), map[string]any{"city": "Leeds"})
	assert.Equal(t, true, r.body["succeeded"])
	assert.NotContains(t, r.body, "succeded")
	r = a.call("DELETE", "/contacts/"+made["id"].(string), nil)
	assert.Equal(t, true, r.body["succeeded"])
	assert.Equal(t, true, r.body["succeded"])
}

func TestRawValuesLieOverTheDocumentAsTheyAre(t *testing.T) {
	a := start(t)
	made := a.Create(home, ghltest.Contact{FirstName: "Ada", Raw: map[string]json.RawMessage{
		"firstName": json.RawMessage("null"), "dnd": json.RawMessage(`"yes"`), "city": json.RawMessage(`"\ud800"`),
	}})
	text := a.call("GET", "/contacts/"+made.ID, nil).text
	assert.Contains(t, text, `"firstName":null`)
	assert.Contains(t, text, `"dnd":"yes"`)
	assert.Contains(t, text, `"city":"\ud800"`)
}

func TestTagsCanBeMadeToLeaveTheDateAlone(t *testing.T) {
	a := start(t)
	made := a.Create(home, ghltest.Contact{})
	tagged, err := a.Tag(made.ID, "one")
	require.NoError(t, err)
	assert.True(t, tagged.DateUpdated.After(made.DateUpdated))

	a.Set(func(k *ghltest.Knobs) { k.TagsLeaveDate = true })
	again, err := a.Tag(made.ID, "two")
	require.NoError(t, err)
	assert.Equal(t, tagged.DateUpdated, again.DateUpdated)
}

func TestSeedingIsDeterministicAndVaried(t *testing.T) {
	clock := newClock()
	one, two := &ghltest.Server{Now: clock.Now}, &ghltest.Server{Now: clock.Now}
	ids := one.Seed(home, 40)
	assert.Equal(t, ids, two.Seed(home, 40))
	assert.Equal(t, one.Contacts(home), two.Contacts(home))
	assert.NotEqual(t, ids, two.Seed("elsewhere", 40))
	assert.Equal(t, ids, one.Seed(home, 40), "seeding again changes nothing")
	assert.Panics(t, func() { one.Create(home, ghltest.Contact{ID: ids[0]}) })

	var noEmail, noPhone, tagged, custom int
	emails := map[string]bool{}
	for _, c := range one.Contacts(home) {
		assert.True(t, c.DateUpdated.Before(clock.Now()))
		assert.True(t, c.DateAdded.Before(c.DateUpdated))
		assert.WithinDuration(t, clock.Now(), c.DateUpdated, time.Hour)
		assert.True(t, c.Email != "" || c.Phone != "")
		if c.Email == "" {
			noEmail++
		}
		assert.False(t, c.Email != "" && emails[c.Email], c.Email)
		emails[c.Email] = true
		if c.Phone == "" {
			noPhone++
		}
		if len(c.Tags) > 0 {
			tagged++
		}
		if len(c.CustomFields) > 0 {
			custom++
		}
	}
	for _, n := range []int{noEmail, noPhone, tagged, custom} {
		assert.NotZero(t, n)
	}
}
