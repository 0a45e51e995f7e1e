package crm

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMapBringsEachFieldIntoTheFormOfTheContract(t *testing.T) {
	swiss := Location{Country: "CH"}
	for _, c := range []struct {
		name  string
		value any
		want  any // nil: no value
	}{
		{"email", "  Jane@Example.COM ", "jane@example.com"},
		{"email", "ka\u212Ain@example.com", "ka\u212Ain@example.com"}, // the Kelvin sign is no k
		{"email", "İstanbul@example.com", "İstanbul@example.com"},
		{"firstName", " Zoë ", "Zoë"},
		{"firstName", "", nil},
		{"firstName", "   ", nil},
		{"firstName", "bad \xff byte", "bad \uFFFD byte"},
		{"phone", "+41 44 668 18 00", "+41446681800"},
		{"phone", "044 668 18 00", "+41446681800"},
		{"phone", "ask at the desk", "ask at the desk"},
		{"country", "ch", "CH"},
		{"country", "Switzerland", "Switzerland"},
		{"dateOfBirth", "1990-09-25", "1990-09-25"},
		{"dateOfBirth", "1990-09-25T00:00:00.000Z", "1990-09-25"},
		{"dateOfBirth", "09/25/1990", "1990-09-25"},
		{"dateOfBirth", "9_25_1990", "1990-09-25"},
		{"dateOfBirth", float64(654220800000), "1990-09-25"},
		{"dateOfBirth", "last spring", "last spring"},
		{"dnd", true, true},
		{"dnd", false, nil}, // an opt-out in Rankr is nobody's to take back
		{"dnd", "false", nil},
		{"customFields.size", float64(7), float64(7)},
		{"customFields.colours", []string{"red", "", "blue"}, []string{"red", "blue"}},
		{"customFields.colours", []string{}, nil},
		{"customFields.file", map[string]any{"url": "x"}, nil},
	} {
		got := Map(Contact{Fields: Fields{c.name: c.value}}, swiss)
		assert.Equal(t, c.want, got.Fields[c.name], "%s: %v", c.name, c.value)
	}
}

func TestAPhoneIsReadWithTheContactsCountryBeforeTheLocations(t *testing.T) {
	contact := Contact{Fields: Fields{"phone": "030 901820", "country": "DE"}}
	assert.Equal(t, "+4930901820", Map(contact, Location{Country: "US"}).Fields["phone"])
	assert.False(t, contact.NeedsCountry())
	assert.True(t, Contact{Fields: Fields{"phone": "030 901820"}}.NeedsCountry())
	assert.False(t, Contact{Fields: Fields{"phone": "+4930901820"}}.NeedsCountry())
}

func TestTagsAreFolded(t *testing.T) {
	assert.Equal(t, []string{"a", "vip"}, FoldTags([]string{" VIP", "vip", "", "a"}))
}

func TestMapIsTotalAndStable(t *testing.T) {
	values := rapid.OneOf(
		rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Float64().AsAny(), rapid.SliceOf(rapid.String()).AsAny(),
		rapid.MapOf(rapid.String(), rapid.Int()).AsAny(),
	)
	names := rapid.OneOf(rapid.SampledFrom(StandardFields), rapid.StringMatching(`customFields\.[a-z_]{1,8}`))
	rapid.Check(t, func(t *rapid.T) {
		contact := Contact{Fields: rapid.MapOf(names, values).Draw(t, "fields"), Tags: rapid.SliceOf(rapid.String()).Draw(t, "tags")}
		location := Location{Country: rapid.SampledFrom([]string{"", "CH", "US", "??"}).Draw(t, "country")}
		first := Map(contact, location)
		twice := Map(first, location)
		require.Equal(t, first.Tags, twice.Tags)
		require.Equal(t, first.Fields, twice.Fields, "what is in form stays as it is")
		for name, value := range first.Fields {
			require.NotNil(t, value, name)
		}
		require.Equal(t, first, Map(contact, location))
	})
}

func BenchmarkMapAndFingerprint(b *testing.B) {
	contact := Contact{Fields: Fields{"email": "Jane@example.com", "phone": "+41 44 668 18 00", "country": "ch", "firstName": "Jane"}, Tags: []string{"VIP"}}
	for i := range 40 {
		contact.Fields[CustomField+string(rune('a'+i%26))+string(rune('a'+i/26))] = "value"
	}
	prints := NewFingerprinter(make([]byte, 32))
	b.ReportAllocs()
	for b.Loop() {
		prints.Fields(Map(contact, Location{}).Fields)
	}
}

func TestFingerprintsTellValuesApartOnlyWithTheirKey(t *testing.T) {
	one, other := NewFingerprinter([]byte("one")), NewFingerprinter([]byte("other"))
	fields := Fields{"email": "a", "firstName": "a"}
	assert.Equal(t, one.Fields(fields), one.Fields(fields))
	assert.NotEqual(t, one.Fields(fields)["email"], one.Fields(fields)["firstName"], "a value is bound to its name")
	assert.NotEqual(t, one.Fields(fields)["email"], other.Fields(fields)["email"])
	text, err := json.Marshal(one.Fields(Fields{"email": "jane@example.com"}))
	require.NoError(t, err)
	assert.NotContains(t, string(text), "jane")
}
