package ghl_test

import (
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// fake starts a GHL with one location.
func fake(t *testing.T, gate *rest.Gate) (*ghltest.Server, *ghl.Client) {
	t.Helper()
	server := ghltest.New()
	server.PutLocation(ghltest.Location{
		ID: "L", Country: "DE", Timezone: "Europe/Berlin",
		CustomFields: []ghltest.CustomField{{ID: "F1", Name: "Pin", Key: "contact.pin", DataType: "TEXT"}},
	})
	http := httptest.NewServer(server)
	t.Cleanup(func() { http.Close(); server.FailOnUnknown(t) })
	return server, ghl.New(rest.New(rest.Options{
		System: "ghl", BaseURL: http.URL, Gate: gate,
		Tokens: func(location string) (oauth2.TokenSource, error) {
			return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: ghltest.Token(location)}), nil
		},
	}), ghl.Options{})
}

func TestClientAndFakeUnderstandEachOther(t *testing.T) {
	server, client := fake(t, nil)
	made := server.Create("L", ghltest.Contact{
		FirstName: "Ann", Email: "ann@example.com", DND: true, Tags: []string{"vip"}, DateOfBirth: "1990-09-25",
		CustomFields: []ghltest.Value{{ID: "F1", Value: "7"}},
	})
	got, at, err := client.Contact(t.Context(), crm.Ref{Location: "L", Contact: made.ID})
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), at, time.Minute)
	assert.WithinDuration(t, made.DateUpdated, got.Updated, time.Millisecond)
	assert.Equal(t, crm.Fields{
		"firstName": "Ann", "email": "ann@example.com", "dnd": true, "dateOfBirth": "1990-09-25", "customFields.pin": "7",
	}, got.Fields)
	assert.Equal(t, []string{"vip"}, got.Tags)

	location, _, err := client.Location(t.Context(), "L")
	require.NoError(t, err)
	assert.Equal(t, crm.Location{ID: "L", Country: "DE", Timezone: "Europe/Berlin"}, location)

	require.NoError(t, server.Delete(made.ID))
	_, _, err = client.Contact(t.Context(), crm.Ref{Location: "L", Contact: made.ID})
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLNotFound})
	_, _, err = client.Location(t.Context(), "elsewhere")
	assert.ErrorIs(t, err, &crm.Error{Code: crm.GHLToken}, "a location without a token")
}

func TestClientFindsEveryChangeOnce(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	var want []string
	for range 250 {
		want = append(want, server.Create("L", ghltest.Contact{FirstName: "x"}).ID)
	}
	var got []string
	for page, err := range client.ChangedSince(t.Context(), "L", time.Now().Add(-time.Hour)) {
		require.NoError(t, err)
		assert.Equal(t, 250, page.Total)
		for _, document := range page.Documents {
			assert.False(t, document.Updated.IsZero())
			got = append(got, document.Contact)
		}
	}
	slices.Sort(want)
	assert.Equal(t, want, slices.Sorted(slices.Values(got)))
	assert.Equal(t, 3, server.Count("contacts.search"))

	for range client.ChangedSince(t.Context(), "L", time.Now().Add(time.Hour)) {
	}
	assert.Equal(t, 4, server.Count("contacts.search"), "an idle poll is one call")
}

func TestClientSurvivesEveryFaultOfTheFake(t *testing.T) {
	server, client := fake(t, nil)
	made := server.Create("L", ghltest.Contact{FirstName: "Ann"})
	for name, test := range map[string]struct {
		fault ghltest.Fault
		want  crm.Code
	}{
		"down": {ghltest.Fault{Status: 503}, crm.GHLUnavailable}, "cut": {ghltest.Fault{Cut: true}, crm.GHLUnavailable},
		"HTML": {ghltest.Fault{HTML: true}, crm.GHLUnavailable}, "empty": {ghltest.Fault{Empty: true}, crm.GHLUnavailable},
		"foreign": {ghltest.Fault{Foreign: true}, crm.GHLUnavailable}, "reset": {ghltest.Fault{ResetAfter: true}, crm.GHLUnavailable},
		"early reset": {ghltest.Fault{ResetBefore: true}, crm.GHLUnavailable},
		"limited":     {ghltest.Fault{Status: 429, RetryAfter: "7"}, crm.GHLRateLimited},
		"token":       {ghltest.Fault{Status: 401}, crm.GHLToken},
	} {
		server.Fail(test.fault)
		_, _, err := client.Contact(t.Context(), crm.Ref{Location: "L", Contact: made.ID})
		assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		for _, err := range client.ChangedSince(t.Context(), "L", time.Now().Add(-time.Hour)) {
			assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		}
		_, _, err = client.Location(t.Context(), "L")
		assert.ErrorIs(t, err, &crm.Error{Code: test.want}, name)
		server.Heal()
	}
}

func TestGateKeepsTheFakesStrictLimit(t *testing.T) {
	server, client := fake(t, rest.NewGate(rest.Rate{Calls: 20, Per: 500 * time.Millisecond}, nil))
	server.Set(func(k *ghltest.Knobs) { k.Max, k.Window = 20, 500*time.Millisecond })
	made := server.Create("L", ghltest.Contact{FirstName: "Ann"})
	done := make(chan error)
	for range 10 {
		go func() {
			for range 4 {
				if _, _, err := client.Contact(t.Context(), crm.Ref{Location: "L", Contact: made.ID}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 10 {
		limited, ok := (<-done).(*crm.Error)
		assert.True(t, !ok || limited.Status == 0, "our own gate may send a call away, the vendor must not")
	}
	for _, call := range server.Calls() {
		assert.NotEqual(t, 429, call.Status)
	}
}

func TestClientKeepsTheRestOfADayForChangesAndPolls(t *testing.T) {
	server, client := fake(t, rest.NewGate(rest.Rate{Calls: 100, Per: 10 * time.Second}, nil))
	server.Set(func(k *ghltest.Knobs) { k.Daily = 10 })
	made := server.Create("L", ghltest.Contact{FirstName: "Ann"})
	live := func() error {
		_, _, err := client.Contact(t.Context(), crm.Ref{Location: "L", Contact: made.ID})
		return err
	}
	poll := func() (err error) {
		for _, err = range client.ChangedSince(t.Context(), "L", time.Now().Add(-time.Hour)) {
		}
		return err
	}
	page := func() (crm.Page, error) { return client.ContactsAfter(rest.WithSpare(t.Context()), "L", "", 100) }
	for range 6 {
		require.NoError(t, live())
	}
	read, err := page()
	require.NoError(t, err, "4 of 10 were left, 2 are kept")
	assert.Equal(t, 3, read.Left)
	require.NoError(t, live())
	require.NoError(t, live())
	var limited *crm.Error
	_, err = page()
	require.ErrorAs(t, err, &limited)
	assert.Equal(t, crm.GHLRateLimited, limited.Code)
	assert.Equal(t, crm.Later, limited.Retry())
	assert.LessOrEqual(t, limited.Wait, time.Hour)
	assert.Greater(t, limited.Wait, time.Duration(0))
	assert.Zero(t, limited.Status, "it never left")
	assert.Equal(t, 1, server.Count("contacts.search"))
	assert.NoError(t, poll(), "what was kept is theirs")
	assert.Zero(t, server.Limits("L").Violations)
}
