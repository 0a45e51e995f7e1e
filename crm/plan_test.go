package crm

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	prints = NewFingerprinter([]byte("key"))
	ref    = Ref{Location: "loc", Contact: "c"}
)

func TestPlanByLinkWritesOnlyWhatMoved(t *testing.T) {
	link := Link{Ref: ref, Fields: prints.Fields(Fields{"email": "a@example.com", "city": "Bern", "phone": "+1"}), Tags: []string{"old", "stays"}}
	want := Contact{Fields: Fields{"email": "a@example.com", "city": "Basel", "firstName": "Jane"}, Tags: []string{"new", "stays"}}
	plan := PlanByLink(link, want, prints.Fields(want.Fields))
	assert.Equal(t, Fields{"city": "Basel", "firstName": "Jane"}, plan.Patch.Set)
	assert.Equal(t, []string{"phone"}, plan.Patch.Clear)
	assert.Equal(t, []string{"new"}, plan.AddTags)
	assert.Equal(t, []string{"old"}, plan.RemoveTags)
	assert.Equal(t, []string{"city", "firstName", "phone", "tags"}, plan.Names())

	link.Fields, link.Tags = prints.Fields(want.Fields), want.Tags
	assert.True(t, PlanByLink(link, want, prints.Fields(want.Fields)).Empty())
}

func TestPlanByRecordLeavesAloneWhatOnlyRankrHas(t *testing.T) {
	have := Contact{ExternalID: "c", Fields: Fields{"email": "a@example.com", "companyName": "own", "dnd": true}, Tags: []string{"own"}}
	want := Contact{Fields: Fields{"email": "a@example.com"}}
	assert.True(t, PlanByRecord(Link{Ref: ref}, want, have).Empty())
}

func TestPlanByRecordClearsWhatAWriteOfOursMayHavePutThere(t *testing.T) {
	have := Contact{ExternalID: "c", Fields: Fields{"city": "Bern", "phone": "+1", "website": "own"}, Tags: []string{"ours", "own", "perhaps"}}
	link := Link{Ref: ref, Fields: Fingerprints{"city": "x"}, Tags: []string{"ours"}, Intent: Intent{Fields: []string{"phone"}, Tags: []string{"perhaps"}}}
	plan := PlanByRecord(link, Contact{Fields: Fields{}}, have)
	assert.Equal(t, []string{"city", "phone"}, plan.Patch.Clear)
	assert.Equal(t, []string{"ours", "perhaps"}, plan.RemoveTags)
}

func TestAnAdoptedRecordGetsTheContactsID(t *testing.T) {
	plan := PlanByRecord(Link{Ref: ref}, Contact{Fields: Fields{}}, Contact{Fields: Fields{}})
	require.NotNil(t, plan.Patch.ExternalID)
	assert.Equal(t, "c", *plan.Patch.ExternalID)
	assert.Equal(t, []string{"externalId"}, plan.Names())
}

func TestMatchFindsTheOneRecordThatIsTheContact(t *testing.T) {
	want := Contact{Fields: Fields{"email": "a@example.com", "phone": "+1"}}
	record := func(id, external, email, phone string) Contact {
		return Contact{ID: id, ExternalID: external, Fields: Fields{"email": email, "phone": phone}}
	}
	for name, c := range map[string]struct {
		found []Contact
		id    string
		both  []string
	}{
		"nothing there":                     {nil, "", nil},
		"by external id, whatever else":     {[]Contact{record("r1", "", "a@example.com", ""), record("r2", "c", "", "")}, "r2", nil},
		"by email":                          {[]Contact{record("r1", "", "a@example.com", "+9")}, "r1", nil},
		"by phone":                          {[]Contact{record("r1", "", "", "+1")}, "r1", nil},
		"somebody else's":                   {[]Contact{record("r1", "d", "a@example.com", "+1")}, "", nil},
		"one is somebody else's":            {[]Contact{record("r1", "d", "a@example.com", "+1"), record("r2", "", "", "+1")}, "r2", nil},
		"two could be it":                   {[]Contact{record("r2", "", "a@example.com", ""), record("r1", "", "", "+1")}, "", []string{"r1", "r2"}},
		"a system that ignores our filters": {[]Contact{record("r1", "", "x@example.com", "+7"), record("r2", "", "", "")}, "", nil},
	} {
		got, err := Match(ref, want, c.found)
		if c.both != nil {
			var e *Error
			require.ErrorAs(t, err, &e, name)
			assert.Equal(t, Ambiguous, e.Code, name)
			assert.Equal(t, c.both, e.Fields, name)
			continue
		}
		require.NoError(t, err, name)
		if c.id == "" {
			assert.Nil(t, got, name)
		} else if assert.NotNil(t, got, name) {
			assert.Equal(t, c.id, got.ID, name)
		}
	}
}

func TestIDsThatCouldAddressSomethingElseAreRefused(t *testing.T) {
	for _, id := range []string{"", "a/b", "..", "../k", "%2f", "a b", "a\n", "é", string(make([]byte, 4096)), "x\x00"} {
		err := Ref{Location: "loc", Contact: id}.Validate()
		require.Error(t, err, "%q", id)
		assert.ErrorIs(t, err, &Error{Code: InvalidInput})
		assert.Contains(t, err.Error(), "contact")
		assert.NotContains(t, err.Error(), "location")
	}
	require.NoError(t, Ref{Location: "ve9EPM428h8vShlRW1KT", Contact: "a-b_C9"}.Validate())
}

func TestEveryCodeHasASentenceSomebodyWhoActsAndARemedy(t *testing.T) {
	for code, entry := range Catalogue {
		assert.NotEmpty(t, entry.Sentence, code)
		assert.Contains(t, []string{"you", "your client", "GHL", "Rankr", "nobody"}, entry.Who, code)
		assert.NotEmpty(t, entry.Remedy, code)
	}
}
