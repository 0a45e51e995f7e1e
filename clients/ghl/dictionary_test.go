package ghl

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

func TestTheDictionaryThatWasReadOnConnectingIsThereForTheFirstContact(t *testing.T) {
	s, c := scripted(t, map[string]string{"contacts.get": withFields("a"), list: dictionaryOf("a")})
	fields, err := c.CustomFields(t.Context(), "L")
	require.NoError(t, err)
	assert.Equal(t, 2, fields)
	assert.Equal(t, []string{"customFields.a"}, names(t, c))
	assert.Equal(t, 1, s.count(list))
	_, err = c.CustomFields(t.Context(), "L")
	require.NoError(t, err)
	assert.Equal(t, 2, s.count(list), "whoever asks gets it afresh")
}

func TestAMissingScopeShowsWhenTheDictionaryIsRead(t *testing.T) {
	s, c := scripted(t, nil)
	s.say(list, 401, `{"statusCode":401,"message":"The token is not authorized for this scope."}`)
	_, err := c.CustomFields(t.Context(), "L")
	require.ErrorIs(t, err, &crm.Error{Code: crm.GHLScope})
	_, err = c.CustomFields(t.Context(), "a/b")
	require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
}
