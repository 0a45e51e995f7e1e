package rules

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

const mapped = `
tables:
  - name: industries
    values: {auto: Automotive, it: Technology}
contacts:
  include: '"customer" in tags'
  onLeave: detach
  fields:
    firstName: title(contact.firstName)
    companyName: email
    website:
    dateOfBirth: date(customFields.born, "2.1.2006").Format("2006-01-02")
  customFields:
    industry: lookup("industries", string(customFields.branch), "Other")
    budget: number(customFields.budget)
    likes: customFields.likes
tags: {except: [internal-*]}
onDelete: keep
locations:
  - locations: [L2]
    contacts:
      others: leave
      fields: {firstName: contact.firstName}
`

func TestAMappingDecidesWhatRankrGets(t *testing.T) {
	r, err := Parse("sync.yaml", []byte(mapped))
	require.NoError(t, err)
	contact := crm.Contact{ID: "C", Tags: []string{"customer", "internal-x", "vip"}, Fields: crm.Fields{
		"firstName": "anna maria", "email": "a@example.com", "website": "https://example.com", "city": "Bern",
		"customFields.born": "3.4.1990", "customFields.branch": "IT", "customFields.budget": "CHF 1'250.50", "customFields.likes": []string{"tea"},
	}}
	got, err := r.Map("L", contact)
	require.NoError(t, err)
	assert.Equal(t, crm.Fields{
		"firstName": "Anna Maria", "email": "a@example.com", "companyName": "a@example.com", "city": "Bern", "dateOfBirth": "1990-04-03",
		"customFields.born": "3.4.1990", "customFields.branch": "IT", "customFields.industry": "Technology", "customFields.budget": 1250.5,
		"customFields.likes": []string{"tea"},
	}, got.Fields)
	assert.Equal(t, []string{"customer", "vip"}, got.Tags)
	assert.False(t, got.Excluded)
	assert.NotEqual(t, r.MappingVersion("L"), r.MappingVersion("L2"))

	got, err = r.Map("L2", contact)
	require.NoError(t, err)
	assert.Equal(t, "anna maria", got.Fields["firstName"])
	assert.NotContains(t, got.Fields, "city")
	assert.Contains(t, got.Fields, "customFields.industry", "what is said of all still holds")

	contact.Tags = nil
	got, err = r.Map("L", contact)
	require.NoError(t, err)
	assert.True(t, got.Excluded)
	assert.Equal(t, LeaveDetach, got.OnLeave)

	contact.Tags, contact.Fields["customFields.born"] = []string{"customer"}, "soon"
	_, err = r.Map("L", contact)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RuleFailed})
	assert.Equal(t, []string{"contacts/fields/dateOfBirth"}, err.(*crm.Error).Fields)
	assert.Equal(t, []string{"born", "branch", "budget", "likes"}, r.Reads("L"))
}

func TestWithoutAMappingAContactGoesAsItIs(t *testing.T) {
	contact := crm.Contact{ID: "C", Tags: []string{"a"}, Fields: crm.Fields{"email": "a@example.com"}}
	for _, r := range []*Rules{nil, Default()} {
		got, err := r.Map("L", contact)
		require.NoError(t, err)
		assert.Equal(t, contact, got.Contact)
		assert.Equal(t, crm.MappingVersion, r.MappingVersion("L"))
	}
}

func TestMistakesOfAMappingAreAllListed(t *testing.T) {
	_, err := Parse("sync.yaml", []byte(`contacts:
  include: contact.emial
  onLeave: remove
  fields:
    firstname: email
    lastName: 1 + 2
    dnd: email
  customFields:
    a b: email
    x: lookup("nowhere", "y")
tags: {sync: maybe}
onDelete: forget
locations:
  - locations: [L]
`))
	require.Error(t, err)
	for _, want := range []string{
		"sync.yaml:2:", "did you mean email?", "onLeave must be one of keep, detach, delete", `"firstname" is not known here: did you mean firstName?`,
		"lastName: it must come to a text, not a number", "dnd must come to true or false", `"a b" is no custom field's key`, `there is no table "nowhere"`,
		"sync must be true or false", "onDelete must be one of delete, keep", "nothing is said of these locations",
	} {
		assert.Contains(t, err.Error(), want)
	}
}

func TestNumbersAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]any{
		"12": 12.0, "-3.5": -3.5, "CHF 1'250.50": 1250.5, "1,250.50": 1250.5, "1.250,50 EUR": 1250.5, "1,250": 1250.0, "12,5": 12.5,
		"1.250.000": 1_250_000.0, "1,250,000": 1_250_000.0, "$ 0.99": 0.99, "": nil, "a lot": nil, "12-14": nil, ".": nil, ",": nil,
	} {
		got, err := numberOf(text)
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
	for value, want := range map[any]any{"Yes": true, "0": false, "perhaps": nil, 1.0: true, false: false} {
		got, err := boolOf(value)
		require.NoError(t, err)
		assert.Equal(t, want, got, "%v", value)
	}
}
