package ghl

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

const list = "locations.custom-fields.list"

// withFields is a contact that has a value in each of the fields.
func withFields(ids ...string) string {
	body := `{"contact":{"id":"C","locationId":"L","customFields":[`
	for i, id := range ids {
		if i > 0 {
			body += ","
		}
		body += `{"id":"` + id + `","value":"x"}`
	}
	return body + `]}}`
}

// dictionaryOf answers with fields whose keys are their ids.
func dictionaryOf(ids ...string) string {
	body := `{"customFields":[{"id":"other","fieldKey":"contact.other"}`
	for _, id := range ids {
		body += `,{"id":"` + id + `","fieldKey":"contact.` + id + `"}`
	}
	return body + `]}`
}

// at lets the client's clock stand at some time after its start.
func at(c *Client, after time.Duration) { c.now = func() time.Time { return clock.Add(after) } }

func names(t *testing.T, c *Client) []string {
	t.Helper()
	got, _, err := c.Contact(t.Context(), ref)
	require.NoError(t, err)
	return got.Fields.Names()
}

func TestDictionaryIsReadOnceInTenMinutes(t *testing.T) {
	s, c := scripted(t, map[string]string{"contacts.get": withFields("a"), list: dictionaryOf("a")})
	for _, after := range []time.Duration{0, time.Second, 9 * time.Minute} {
		at(c, after)
		assert.Equal(t, []string{"customFields.a"}, names(t, c))
	}
	assert.Equal(t, 1, s.count(list))
	at(c, 10*time.Minute)
	names(t, c)
	assert.Equal(t, 2, s.count(list))
}

func TestDictionaryIsReadAgainForAFieldThatIsNew(t *testing.T) {
	s, c := scripted(t, map[string]string{"contacts.get": withFields("a"), list: dictionaryOf("a")})
	at(c, 0)
	names(t, c)
	s.say("contacts.get", 200, withFields("a", "b"))
	s.say(list, 200, dictionaryOf("a", "b"))
	at(c, time.Second)
	assert.Equal(t, []string{"customFields.a", "customFields.b"}, names(t, c))
	assert.Equal(t, 2, s.count(list))
}

func TestDictionaryIsAskedForADeletedFieldOnceAMinute(t *testing.T) {
	s, c := scripted(t, map[string]string{"contacts.get": withFields("a", "gone", "lost"), list: dictionaryOf("a")})
	for second := range 120 {
		at(c, time.Duration(second)*time.Second)
		assert.Equal(t, []string{"customFields.a"}, names(t, c))
	}
	assert.Equal(t, 2, s.count(list))
}

func TestDictionaryThatIsOldIsBetterThanNoContact(t *testing.T) {
	s, c := scripted(t, map[string]string{"contacts.get": withFields("a"), list: dictionaryOf("a")})
	at(c, 0)
	names(t, c)
	s.say(list, 503, `{}`)
	at(c, time.Hour)
	assert.Equal(t, []string{"customFields.a"}, names(t, c))
}

func TestContactFailsRatherThanLoseAValue(t *testing.T) {
	s, c := scripted(t, map[string]string{"contacts.get": withFields("a", "b"), list: dictionaryOf("a")})
	s.say(list, 503, `{}`)
	_, _, err := c.Contact(t.Context(), ref)
	assert.Equal(t, crm.GHLUnavailable, codeOf(t, err))
	s.say(list, 401, `{"statusCode":401,"message":"The token is not authorized for this scope."}`)
	_, _, err = c.Contact(t.Context(), ref)
	assert.Equal(t, crm.GHLScope, codeOf(t, err))
	for _, body := range []string{`{}`, `{"customFields":null}`, `{"customFields":[{"id":"a","fieldKey":"contact.a","locationId":"X"}]}`} {
		s.say(list, 200, body)
		_, _, err = c.Contact(t.Context(), ref)
		assert.Equal(t, crm.GHLUnavailable, codeOf(t, err), body)
	}
}

func TestDictionaryIsReadOnceForACrowd(t *testing.T) {
	s, c := scripted(t, map[string]string{"contacts.get": withFields("a")})
	const crowd = 20
	s.says[list] = func(*http.Request) (int, string) {
		for s.count("contacts.get") < crowd { // all have read their contact and want the dictionary, or soon will
			time.Sleep(time.Millisecond)
		}
		return 200, dictionaryOf("a")
	}
	var callers sync.WaitGroup
	for range crowd {
		callers.Go(func() {
			got, _, err := c.Contact(t.Context(), ref)
			assert.NoError(t, err)
			assert.Equal(t, []string{"customFields.a"}, got.Fields.Names())
		})
	}
	callers.Wait()
	assert.Equal(t, 1, s.count(list))
}
