package ghl

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
)

// contactWrites are all calls that change a contact or look for one, by operation.
func contactWrites(t *testing.T, c *Client) map[string]func() error {
	ctx := t.Context()
	fields := crm.Fields{"email": "ann@example.com", "companyName": "Brook", "dnd": true, "customFields.a": "x"}
	return map[string]func() error{
		"contacts.create":        func() error { _, err := c.CreateContact(ctx, "L", fields, []string{"vip"}); return err },
		"contacts.upsert":        func() error { _, _, err := c.UpsertContact(ctx, "L", fields); return err },
		"contacts.get-duplicate": func() error { _, err := c.FindDuplicate(ctx, "L", "ann@example.com", "+12025550100"); return err },
		"contacts.update": func() error {
			return c.UpdateContact(ctx, ref, crm.Patch{Set: crm.Fields{"city": "Leeds"}, Clear: []string{"email", "customFields.a"}})
		},
		"contacts.delete":      func() error { return c.DeleteContact(ctx, ref) },
		"contacts.tags.add":    func() error { _, err := c.AddTags(ctx, ref, []string{"VIP"}); return err },
		"contacts.tags.remove": func() error { _, err := c.RemoveTags(ctx, ref, []string{"VIP"}); return err },
	}
}

const saved = `{"new":true,"succeded":true,"contact":{"id":"C","locationId":"L"},"tags":["VIP","b"],"success":true,"business":{"id":"B","locationId":"L"}}`

func TestWritesOfContactsSendWhatTheirEndpointTakesAndNothingElse(t *testing.T) {
	s, c := scripted(t, map[string]string{list: dictionaryOf("a")})
	for operation, body := range map[string]string{
		"contacts.create":      `{"locationId":"L","email":"ann@example.com","companyName":"Brook","dnd":true,"tags":["vip"],"customFields":[{"id":"a","field_value":"x"}]}`,
		"contacts.upsert":      `{"locationId":"L","email":"ann@example.com","companyName":"Brook","dnd":true,"customFields":[{"id":"a","field_value":"x"}]}`,
		"contacts.update":      `{"city":"Leeds","email":null,"customFields":[{"id":"a","field_value":""}]}`,
		"contacts.tags.add":    `{"tags":["VIP"]}`,
		"contacts.tags.remove": `{"tags":["VIP"]}`,
	} {
		s.say(operation, 200, saved)
		require.NoError(t, contactWrites(t, c)[operation]())
		assert.JSONEq(t, body, s.bodies[len(s.bodies)-1], operation)
	}
	assert.Equal(t, 1, s.count(list), "the ids are known then")

	tags, err := c.AddTags(t.Context(), ref, []string{"x"})
	require.NoError(t, err)
	assert.Equal(t, []string{"b", "vip"}, tags)
}

func TestAnswersThatAreNotAboutTheWrittenContactAreNone(t *testing.T) {
	s, c := scripted(t, map[string]string{list: dictionaryOf("a")})
	for operation, call := range contactWrites(t, c) {
		for _, body := range []string{
			`{}`, `<html>`, `{"contact":{}}`, `{"contact":{"id":"../x"}}`, `{"contact":{"id":"C","locationId":"X"}}`, `{"tags":null,"succeded":false}`,
		} {
			s.say(operation, 200, body)
			assert.Equal(t, crm.GHLUnavailable, codeOf(t, call()), "%s %s", operation, body)
		}
	}
	s.say("contacts.update", 200, `{"contact":{"id":"another","locationId":"L"}}`)
	assert.Equal(t, crm.GHLUnavailable, codeOf(t, contactWrites(t, c)["contacts.update"]()))
}

func TestWhatGHLWouldRefuseIsNotSent(t *testing.T) {
	s, c := scripted(t, map[string]string{list: dictionaryOf("a")})
	ctx, id := t.Context(), "x"
	for field, call := range map[string]func() error{
		"companyName": func() error { return c.UpdateContact(ctx, ref, crm.Patch{Set: crm.Fields{"companyName": "x"}}) },
		"externalId":  func() error { return c.UpdateContact(ctx, ref, crm.Patch{ExternalID: &id}) },
		"country":     func() error { return c.UpdateContact(ctx, ref, crm.Patch{Clear: []string{"country"}}) },
		"nonsense":    func() error { return c.UpdateContact(ctx, ref, crm.Patch{Set: crm.Fields{"nonsense": 1}}) },
		"contact":     func() error { return c.UpdateContact(ctx, crm.Ref{Location: "L"}, crm.Patch{}) },
		"customFields.none": func() error {
			_, err := c.CreateContact(ctx, "L", crm.Fields{"customFields.none": "x"}, nil)
			return err
		},
		"location": func() error { _, err := c.CreateContact(ctx, "a/b", nil, nil); return err },
		"tags":     func() error { _, err := c.AddTags(ctx, ref, nil); return err },
	} {
		err := call()
		assert.Equal(t, crm.InvalidInput, codeOf(t, err), field)
		assert.Equal(t, []string{field}, err.(*crm.Error).Fields)
	}
	_, _, err := c.UpsertContact(ctx, "L", crm.Fields{"city": "Leeds"})
	assert.Equal(t, crm.InvalidInput, codeOf(t, err), "nothing to find it by")
	_, err = c.FindDuplicate(ctx, "L", "", "")
	assert.Equal(t, crm.InvalidInput, codeOf(t, err))
	for _, name := range s.asked {
		assert.Equal(t, list, name)
	}
}
