package names

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 250e6, time.UTC)

func TestHintsTravelAsShortTextsAndComeBack(t *testing.T) {
	for text, hint := range map[string]Hint{
		`""`:                   {},
		`"C"`:                  {Contact: "C"},
		`"C@1767268800250"`:    {Contact: "C", At: noon},
		`"@1767268800250"`:     {At: noon},
		`"a@b"`:                {Contact: "a@b"},
		`"a@b@0"`:              {Contact: "a@b@0"},
		`"C@?"`:                {Contact: "C", Confirm: true},
		`"C@0+1767268800250"`:  {Contact: "C", Received: noon},
		`"C@1767268800250+0"`:  {Contact: "C", At: noon, Received: noon},
		`"C@1767268800250+70"`: {Contact: "C", At: noon, Received: noon.Add(70 * time.Millisecond)},
		`"C@1767268800250+-5"`: {Contact: "C", At: noon, Received: noon.Add(-5 * time.Millisecond)},
		`"C@1+x"`:              {Contact: "C@1+x"},
		`"C@+1"`:               {Contact: "C@+1"},
		`"\u003cscript\u003e"`: {Contact: "<script>"},

		`"C#created/T"`:                            {Contact: "C", Events: []string{"created/T"}},
		`"#overdue/T"`:                             {Events: []string{"overdue/T"}},
		`"C@0+1767268800250#overdue/T"`:            {Contact: "C", Received: noon, Events: []string{"overdue/T"}},
		`"C@1767268800250#completed/T"`:            {Contact: "C", At: noon, Events: []string{"completed/T"}},
		`"@1767268800250+0#completed/T,created/U"`: {At: noon, Received: noon, Events: []string{"completed/T", "created/U"}},
		`"a#b"`:          {Contact: "a#b"},
		`"C#"`:           {Contact: "C#"},
		`"C#created/"`:   {Contact: "C#created/"},
		`"C#/T"`:         {Contact: "C#/T"},
		`"C#created/T,"`: {Contact: "C#created/T,"},
	} {
		data, err := json.Marshal(hint)
		require.NoError(t, err)
		assert.Equal(t, text, string(data))

		var back Hint
		require.NoError(t, json.Unmarshal(data, &back))
		assert.Equal(t, hint, back)
	}
}

func TestPeopleMayWriteHintsAsObjects(t *testing.T) {
	var changed Changed
	require.NoError(t, json.Unmarshal([]byte(
		`{"hints":[{"contact":"C","at":"2026-01-01T12:00:00.25Z"},{"contact":"D","events":["created/T"]},"E",null]}`), &changed))
	assert.Equal(t, []Hint{{Contact: "C", At: noon}, {Contact: "D", Events: []string{"created/T"}}, {Contact: "E"}, {}}, changed.Hints)

	assert.Error(t, json.Unmarshal([]byte(`{"hints":[7]}`), &changed))
	assert.Error(t, json.Unmarshal([]byte(`{"hints":[{"at":"yesterday"}]}`), &changed))
}

func TestReferencesKeepTheirNotBefore(t *testing.T) {
	for text, reference := range map[string]Reference{
		`"C@1767268800250"`: {Hint: Hint{Contact: "C", At: noon}},
		`{"hint":"C","notBefore":"2026-01-01T12:00:00.25Z"}`: {Hint: Hint{Contact: "C"}, NotBefore: noon},
	} {
		data, err := json.Marshal(reference)
		require.NoError(t, err)
		assert.Equal(t, text, string(data))

		var back Reference
		require.NoError(t, json.Unmarshal(data, &back))
		assert.Equal(t, reference, back)
	}
}

func TestTheNewerHintWinsAndOneWithoutATimeWinsOverAll(t *testing.T) {
	older, newer, untimed := Hint{Contact: "C", At: noon}, Hint{Contact: "C", At: noon.Add(time.Second)}, Hint{Contact: "C"}
	assert.Equal(t, newer, older.Merge(newer))
	assert.Equal(t, newer, newer.Merge(older))
	assert.Equal(t, untimed, newer.Merge(untimed))
	assert.Equal(t, untimed, untimed.Merge(newer))
}

func TestAChangeWinsOverAConfirmation(t *testing.T) {
	change, confirmation := Hint{Contact: "C", At: noon}, Hint{Contact: "C", Confirm: true}
	assert.Equal(t, change, change.Merge(confirmation))
	assert.Equal(t, change, confirmation.Merge(change))
	assert.Equal(t, confirmation, confirmation.Merge(confirmation))
}

func TestTheOldestReceiptIsKept(t *testing.T) {
	early, late := Hint{Contact: "C", Received: noon}, Hint{Contact: "C", Received: noon.Add(time.Second)}
	assert.Equal(t, early, late.Merge(early))
	assert.Equal(t, early, early.Merge(late))
	assert.Equal(t, noon, Hint{Contact: "C"}.Merge(early).Received)
}

func TestEventsAreJoinedSortedAndKeptOnce(t *testing.T) {
	one := Hint{Contact: "C", At: noon, Events: []string{"created/T", "overdue/U"}}
	other := Hint{Contact: "C", At: noon.Add(time.Second), Events: []string{"completed/T", "created/T"}}
	want := Hint{Contact: "C", At: noon.Add(time.Second), Events: []string{"completed/T", "created/T", "overdue/U"}}
	assert.Equal(t, want, one.Merge(other))
	assert.Equal(t, want, other.Merge(one))
	assert.Equal(t, []string{"created/T", "overdue/U"}, one.Events, "what was merged is left as it was")
	assert.Equal(t, []string{"completed/T", "created/T"}, other.Events)

	assert.Equal(t, one.Events, one.Merge(Hint{Contact: "C"}).Events, "a read that is asked for forgets none")
	assert.Equal(t, one.Events, one.Merge(Hint{Contact: "C", Confirm: true}).Events)
	assert.Nil(t, Hint{Contact: "C"}.Merge(Hint{Contact: "C"}).Events)
}

func TestEventsAreBounded(t *testing.T) {
	var all Hint
	for i := range 2 * MaxEvents {
		all = all.Merge(Hint{Events: []string{fmt.Sprintf("completed/%059d", i)}})
	}
	assert.Len(t, all.Events, MaxEvents)
	assert.True(t, slices.IsSorted(all.Events))
	data, err := json.Marshal(Changed{Hints: []Hint{all}})
	require.NoError(t, err)
	assert.Less(t, len(data), 20_000, "a round's input, again and again in one history")
}

func TestWhoDoesNotSayWhenHeHeardOfABusinessHasItRead(t *testing.T) {
	heard, later := Hint{Received: noon}, Hint{Received: noon.Add(time.Second)}
	assert.Equal(t, heard, heard.MergeOfBusiness(later))
	assert.Equal(t, heard, later.MergeOfBusiness(heard))
	assert.Zero(t, heard.MergeOfBusiness(Hint{}))
	assert.Zero(t, Hint{}.MergeOfBusiness(heard))
	assert.Zero(t, heard.MergeOfBusiness(Hint{}).MergeOfBusiness(later), "and nothing that comes after changes that")
	assert.Equal(t, heard, heard.MergeOfBusiness(Hint{Confirm: true}), "a confirmation is nobody's wish")
	assert.Equal(t, heard, Hint{Confirm: true}.MergeOfBusiness(heard))
}

func TestAFullSignalStaysFarFromTheServersLimit(t *testing.T) {
	changed := Changed{Hints: make([]Hint, MaxHints)}
	for i := range changed.Hints {
		changed.Hints[i] = Hint{Contact: strings.Repeat("C", 64), At: noon, Received: noon}
	}
	data, err := json.Marshal(changed)
	require.NoError(t, err)
	assert.Less(t, len(data), 100_000)
}
