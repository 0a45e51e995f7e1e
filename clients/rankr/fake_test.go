package rankr_test

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/contract/contracttest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// fake starts a Rankr and a client of it. Every request is held against the contract, and fails the test when it is
// outside of it.
func fake(t *testing.T, gate *rest.Gate) (*rankrtest.Server, *rankr.Client) {
	t.Helper()
	server := rankrtest.New()
	server.Loud = t.Errorf
	check := contracttest.Check{Requests: func(operation string, err error) { t.Errorf("request %s: %v", operation, err) }}
	wire := httptest.NewServer(check.Watch(server))
	t.Cleanup(wire.Close)
	return server, newClient(wire.URL, gate)
}

func newClient(url string, gate *rest.Gate) *rankr.Client {
	return rankr.New(rest.New(rest.Options{
		System: "rankr", BaseURL: url, Gate: gate, Timeout: 5 * time.Second,
		Tokens: func(string) (oauth2.TokenSource, error) {
			return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token"}), nil
		},
	}), rankr.Options{})
}

// full is a contact with a value in every field.
func full(externalID string) crm.Contact {
	return crm.Contact{
		ExternalID: externalID,
		Fields: crm.Fields{
			"email": "ann+1@example.com", "firstName": "Ann", "lastName": "Müller-Lüdenscheidt 🦆", "phone": "+12025550143",
			"companyName": `"A" & <B>`, "address1": "1 Main St\nBack door", "city": "Bonn", "state": "CA", "postalCode": "00123",
			"country": "US", "website": "https://example.com/?a=b#c", "timezone": "Europe/Berlin", "dateOfBirth": "1990-12-31",
			"source": "form", "dnd": true, "assignedTo": "u1",
			"customFields.pin": "7", "customFields.size": 3.5, "customFields.member": false, "customFields.likes": []string{"a", "b"},
		},
		Tags: []string{"lead", "vip"},
	}
}

func TestWhatIsWrittenIsWhatIsRead(t *testing.T) {
	server, client := fake(t, nil)
	want := full("E1")
	made, err := client.Create(t.Context(), "L", "key", want)
	require.NoError(t, err)
	assert.Equal(t, want.Fields, made.Fields)
	assert.Equal(t, want.Tags, made.Tags)
	assert.Equal(t, "E1", made.ExternalID)
	assert.WithinDuration(t, time.Now(), made.Updated, time.Minute)
	got, err := client.Contact(t.Context(), "L", made.ID)
	require.NoError(t, err)
	assert.Equal(t, made, got)
	found, err := client.Find(t.Context(), "L", crm.Keys{Phone: "+12025550143"})
	require.NoError(t, err)
	assert.Equal(t, []crm.Contact{made}, found)

	require.NoError(t, client.Update(t.Context(), "L", made.ID, "", crm.Patch{Clear: want.Fields.Names(), ExternalID: new(string)}))
	got, err = client.Contact(t.Context(), "L", made.ID)
	require.NoError(t, err)
	assert.Empty(t, got.Fields, "every field can be cleared")
	assert.Empty(t, got.ExternalID)
	assert.Equal(t, want.Tags, got.Tags)

	require.NoError(t, client.RemoveTags(t.Context(), "L", made.ID, []string{" VIP", "never"}))
	require.NoError(t, client.AddTags(t.Context(), "L", made.ID, []string{"New", "new "}))
	record, _ := server.Get(made.ID)
	assert.Equal(t, []string{"lead", "new"}, record.Tags)
	require.NoError(t, client.Delete(t.Context(), "L", made.ID))
	require.NoError(t, client.Delete(t.Context(), "L", made.ID), "gone is gone")
	_, err = client.Contact(t.Context(), "L", made.ID)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrNotFound})
}

func TestUpdateSendsOnlyWhatChanges(t *testing.T) {
	server, client := fake(t, nil)
	made, err := server.Add(rankrtest.Record{
		Fields:       map[string]any{"city": "Bonn", "source": "theirs"},
		CustomFields: map[string]any{"theirs": "x", "pin": "7"},
		Tags:         []string{"theirs"},
	})
	require.NoError(t, err)
	external := "E1"
	require.NoError(t, client.Update(t.Context(), "L", made.ID, "", crm.Patch{
		Set: crm.Fields{"city": "Rome"}, Clear: []string{"customFields.pin", "dnd"}, ExternalID: &external,
	}))
	assert.Equal(t, []string{"city", "customFields.pin", "dnd", "externalId"}, server.Calls()[0].Properties)
	record, _ := server.Get(made.ID)
	assert.Equal(t, map[string]any{"city": "Rome", "source": "theirs"}, record.Fields)
	assert.Equal(t, map[string]any{"theirs": "x"}, record.CustomFields)
	assert.Equal(t, []string{"theirs"}, record.Tags)
	assert.Equal(t, "E1", record.ExternalID)
}

func TestCreateWithTheSameKeyMakesNoSecondRecord(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{ResetAfter: true, Times: 1}} })
	_, err := client.Create(t.Context(), "L", "key", full("E1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable})
	made, err := client.Create(t.Context(), "L", "key", full("E1"))
	require.NoError(t, err)
	_, err = client.Create(t.Context(), "L", "another key", full("E1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrDuplicate})
	assert.Equal(t, made.ID, err.(*crm.Error).ID, "the winner is named")
	assert.Len(t, server.All(), 1)
}

func TestETagGuardsAnUpdate(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *rankrtest.Knobs) { k.ETags = true })
	made, err := client.Create(t.Context(), "L", "key", full("E1"))
	require.NoError(t, err)
	require.NotEmpty(t, made.ETag)
	patch := crm.Patch{Set: crm.Fields{"city": "Rome"}}
	require.NoError(t, client.Update(t.Context(), "L", made.ID, made.ETag, patch))
	err = client.Update(t.Context(), "L", made.ID, made.ETag, patch)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrMoved})
	assert.False(t, err.(*crm.Error).Landed)
}

func TestFindFollowsAFewPagesAndKeepsTheFirstRecordFirst(t *testing.T) {
	server, client := fake(t, nil)
	for range 450 {
		_, err := server.Add(rankrtest.Record{Fields: map[string]any{"email": "info@example.com"}})
		require.NoError(t, err)
	}
	ours, err := server.Add(rankrtest.Record{ExternalID: "E1"})
	require.NoError(t, err)
	found, err := client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1", Email: "info@example.com"})
	require.NoError(t, err)
	assert.Len(t, found, 300)
	assert.Equal(t, ours.ID, found[0].ID)
	assert.Len(t, server.Calls(), 3)

	found, err = client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"})
	require.NoError(t, err)
	assert.Len(t, found, 1)
	found, err = client.Find(t.Context(), "L", crm.Keys{ExternalID: "E2"})
	require.NoError(t, err)
	assert.Empty(t, found)
}

func TestWhatCanNotBeSentCostsNoCall(t *testing.T) {
	server, client := fake(t, nil)
	found, err := client.Find(t.Context(), "L", crm.Keys{})
	require.NoError(t, err)
	assert.Empty(t, found, "no key is not everybody")
	require.NoError(t, client.Update(t.Context(), "L", "x", "", crm.Patch{}))
	require.NoError(t, client.AddTags(t.Context(), "L", "x", []string{" "}))
	require.NoError(t, client.RemoveTags(t.Context(), "L", "x", nil))

	city := crm.Patch{Set: crm.Fields{"city": "x"}}
	for _, id := range []string{"", "a/b", "..", "a\nb", "a%2Fb", "a?b=c", "ä", strings.Repeat("x", 4096)} {
		_, err := client.Contact(t.Context(), "L", id)
		for _, err := range []error{
			err, client.Update(t.Context(), "L", id, "", city), client.Delete(t.Context(), "L", id),
			client.AddTags(t.Context(), "L", id, []string{"a"}), client.RemoveTags(t.Context(), "L", id, []string{"a"}),
		} {
			require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
			assert.Equal(t, []string{"id"}, err.(*crm.Error).Fields)
		}
	}
	_, err = client.Create(t.Context(), "L", "key", crm.Contact{Fields: crm.Fields{"gender": "x", "customFields.": "y"}})
	require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
	assert.Equal(t, []string{"customFields.", "gender"}, err.(*crm.Error).Fields)
	require.ErrorIs(t, client.Update(t.Context(), "L", "x", "", crm.Patch{Clear: []string{"gender"}}), &crm.Error{Code: crm.InvalidInput})
	_, err = client.Create(t.Context(), "L", "", full("E1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
	assert.Empty(t, server.Calls())
}

func TestRefusedFieldsAreNamedAndNeverTheirValues(t *testing.T) {
	server, client := fake(t, nil)
	contact := full("E1")
	contact.Fields["phone"], contact.Fields["country"] = "canary 555", "canary"
	contact.Fields["customFields.pin"] = strings.Repeat("canary", 20_000)
	_, err := client.Create(t.Context(), "L", "key", contact)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid})
	refused := err.(*crm.Error)
	assert.ElementsMatch(t, []string{"country", "customFields.pin", "phone"}, refused.Fields)
	assert.False(t, refused.Landed)
	assert.NotContains(t, err.Error(), "canary")
	assert.Empty(t, server.All())

	contact = full("E1")
	contact.Fields["customFields.pin"] = strings.Repeat("x", 1<<20)
	_, err = client.Create(t.Context(), "L", "key", contact)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid}, "a field of 1 MiB is too large for the body")
	made, err := client.Create(t.Context(), "L", "key", full("E1"))
	require.NoError(t, err, "a refused key is still free")
	many := make([]string, 10_000)
	for i := range many {
		many[i] = "tag " + strings.Repeat("x", i%40) + string(rune('a'+i%26))
	}
	require.NoError(t, client.AddTags(t.Context(), "L", made.ID, many))
}

// TestErrorsTellWhetherAWriteMayHaveLanded holds every kind of failure against every write.
func TestErrorsTellWhetherAWriteMayHaveLanded(t *testing.T) {
	for name, test := range map[string]struct {
		fault  rankrtest.Fault
		code   crm.Code
		landed bool
	}{
		"reset before": {rankrtest.Fault{ResetBefore: true}, crm.RankrUnavailable, true}, // the client can't know
		"reset after":  {rankrtest.Fault{ResetAfter: true}, crm.RankrUnavailable, true},
		"late effect":  {rankrtest.Fault{LateEffect: time.Millisecond}, crm.RankrUnavailable, true},
		"cut":          {rankrtest.Fault{Cut: true}, crm.RankrUnavailable, true},
		"HTML":         {rankrtest.Fault{HTML: true}, crm.RankrUnavailable, true},
		"empty":        {rankrtest.Fault{Empty: true}, crm.RankrUnavailable, true},
		"foreign":      {rankrtest.Fault{Foreign: true}, crm.RankrUnavailable, true},
		"500":          {rankrtest.Fault{Status: 500}, crm.RankrUnavailable, true},
		"502 after":    {rankrtest.Fault{Status: 502, AfterEffect: true, HTML: true}, crm.RankrUnavailable, true},
		"503":          {rankrtest.Fault{Status: 503, RetryAfter: 3}, crm.RankrUnavailable, true},
		"HTML 404":     {rankrtest.Fault{Status: 404, HTML: true}, crm.RankrUnavailable, true},
		"400":          {rankrtest.Fault{Status: 400}, crm.RankrInvalid, false},
		"401":          {rankrtest.Fault{Status: 401}, crm.RankrToken, false},
		"429":          {rankrtest.Fault{Status: 429, RetryAfter: 3}, crm.RankrRateLimited, false},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := fake(t, nil)
			for _, o := range rankr.Operations {
				on := newTarget(t, server, rankrtest.Record{Tags: []string{"vip"}}) // the one before may be gone
				server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{test.fault} })
				err := everything(client, on)[o.Name](t)
				server.Set(func(k *rankrtest.Knobs) { k.Faults = nil })
				require.ErrorIs(t, err, &crm.Error{Code: test.code}, o.Name)
				got := err.(*crm.Error)
				assert.Equal(t, test.landed && o.Method != "GET", got.Landed, o.Name)
				assert.Equal(t, "rankr "+o.Name, got.Operation)
				if test.fault.RetryAfter > 0 {
					assert.Equal(t, 3*time.Second, got.Wait, o.Name)
				}
			}
		})
	}
}

func TestNobodyListeningMeansThatNothingLanded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	client := newClient("http://"+listener.Addr().String(), nil)
	require.NoError(t, listener.Close())
	for name, do := range everything(client, target{"x", "y", "z", "b", "s"}) {
		err := do(t)
		require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable}, name)
		assert.False(t, err.(*crm.Error).Landed, name)
	}
}

func TestWriteThatIsGivenUpMayStillLand(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Delay: 200 * time.Millisecond}} })
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		assert.Eventually(t, func() bool { return len(server.Calls()) == 1 }, 5*time.Second, time.Millisecond)
		giveUp()
	}()
	_, err := client.Create(ctx, "L", "key", full("E1"))
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable})
	assert.True(t, err.(*crm.Error).Landed)
	assert.Eventually(t, func() bool { return len(server.All()) == 1 }, 5*time.Second, time.Millisecond, "it does land")
}

func TestWrongAccountIsNotADeletedRecord(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *rankrtest.Knobs) { k.Tokens = map[string]string{"another": "A"} })
	_, err := client.Contact(t.Context(), "L", "x")
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrToken})
	require.ErrorIs(t, client.Delete(t.Context(), "L", "x"), &crm.Error{Code: crm.RankrToken})
}

func TestGateKeepsTheFakesStrictLimit(t *testing.T) {
	server, client := fake(t, rest.NewGate(rest.Rate{Calls: 20, Per: 500 * time.Millisecond}, nil))
	server.Set(func(k *rankrtest.Knobs) { k.Limit, k.Interval = 20, 500*time.Millisecond })
	done := make(chan struct{})
	for range 10 {
		go func() {
			for range 4 {
				_, _ = client.Find(t.Context(), "L", crm.Keys{ExternalID: "E1"}) // the gate may send some away
			}
			done <- struct{}{}
		}()
	}
	for range 10 {
		<-done
	}
	counted := server.Counters()
	assert.Zero(t, counted.Statuses[429])
	assert.LessOrEqual(t, counted.BusiestWindow, 20)
	assert.Greater(t, counted.Statuses[200], 10)
}
