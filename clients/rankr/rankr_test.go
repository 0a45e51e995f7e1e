package rankr_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/crm"
)

// saying starts a Rankr that gives one answer to everything, and a client of it.
func saying(t *testing.T, status int, body string) *rankr.Client {
	t.Helper()
	wire := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(wire.Close)
	return newClient(wire.URL, nil)
}

func TestOddRecordsAreReadAsFarAsTheyGo(t *testing.T) {
	client := saying(t, 200, `{"contact":{"id":"R1","externalId":null,"email":"","firstName":"Ann","dnd":null,"tags":null,
		"dateUpdated":"yesterday","segments":null,"businessId":null,"surprise":{"deep":[1]},
		"customFields":{"none":null,"empty":"","list":[],"texts":["a"],"mixed":["a",1],"object":{"b":2,"a":1},"number":0,"off":false}}}`)
	got, err := client.Contact(t.Context(), "L", "R1")
	require.NoError(t, err)
	assert.Equal(t, crm.Contact{ID: "R1", Tags: []string{}, Fields: crm.Fields{
		"firstName": "Ann", "customFields.texts": []string{"a"}, "customFields.mixed": `["a",1]`,
		"customFields.object": `{"a":1,"b":2}`, "customFields.number": 0.0, "customFields.off": false,
	}}, got)
}

// TestFieldOfAWrongTypeIsNamed: segments that can't be read must not pass for none, or they would be taken away.
func TestFieldOfAWrongTypeIsNamed(t *testing.T) {
	for field, value := range map[string]string{"postalCode": `12345`, "segments": `[{"id":"s"}]`, "businessId": `7`} {
		client := saying(t, 200, `{"contact":{"id":"R1","`+field+`":`+value+`}}`)
		_, err := client.Contact(t.Context(), "L", "R1")
		require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid})
		assert.Equal(t, []string{field}, err.(*crm.Error).Fields)
	}
}

// TestAnswersAboutSomethingElseAreNoAnswers: believing one would link a contact to a stranger's record, or make a
// second record where "nothing found" was never said.
func TestAnswersAboutSomethingElseAreNoAnswers(t *testing.T) {
	external := "E1"
	update := func(c *rankr.Client, t *testing.T) error {
		return c.Update(t.Context(), "L", "R1", "", crm.Patch{ExternalID: &external})
	}
	find := func(c *rankr.Client, t *testing.T) error {
		_, err := c.Find(t.Context(), "L", crm.Keys{Email: "a@example.com"})
		return err
	}
	create := func(c *rankr.Client, t *testing.T) error {
		_, err := c.Create(t.Context(), "L", "key", crm.Contact{ExternalID: "E1"})
		return err
	}
	for _, test := range []struct {
		body string
		do   func(*rankr.Client, *testing.T) error
	}{
		{`{}`, find},
		{`{"contacts":null}`, find},
		{`{"contacts":[{"email":"a@example.com"}]}`, find},
		{`{"contacts":[{"id":"../x"}]}`, find},
		{`{"contact":{"id":"R1","externalId":"E2"}}`, create},
		{`{"contact":{"externalId":"E1"}}`, create},
		{`{"contact":{"id":"a b","externalId":"E1"}}`, create},
		{`{"contact":{"id":"R2","externalId":"E1"}}`, update},
		{`{"contact":{"id":"R1","externalId":null}}`, update},
		{`{"contact":{"id":"R2"}}`, func(c *rankr.Client, t *testing.T) error { _, err := c.Contact(t.Context(), "L", "R1"); return err }},
		{`{"succeeded":false}`, func(c *rankr.Client, t *testing.T) error { return c.Delete(t.Context(), "L", "R1") }},
		{`{"ok":true}`, func(c *rankr.Client, t *testing.T) error { return c.AddTags(t.Context(), "L", "R1", []string{"a"}) }},
	} {
		err := test.do(saying(t, 200, test.body), t)
		require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable}, test.body)
	}
}

func TestPagesThatNeverEndAreLeft(t *testing.T) {
	client := saying(t, 200, `{"contacts":[{"id":"R1"}],"next":"again"}`)
	found, err := client.Find(t.Context(), "L", crm.Keys{Email: "a@example.com"})
	require.NoError(t, err)
	assert.Len(t, found, 1, "and a record that comes twice is one")
}

func TestNotFoundIsBelievedOnlyInRankrsOwnForm(t *testing.T) {
	for body, code := range map[string]crm.Code{
		`{"statusCode":404,"message":"no such contact"}`: crm.RankrNotFound,
		`{"message":"no Route matched"}`:                 crm.RankrUnavailable,
		`{}`:                                             crm.RankrUnavailable,
	} {
		client := saying(t, 404, body)
		_, err := client.Contact(t.Context(), "L", "R1")
		require.ErrorIs(t, err, &crm.Error{Code: code}, body)
		assert.Equal(t, code == crm.RankrNotFound, client.Delete(t.Context(), "L", "R1") == nil, body)
	}
}
