package rankr_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/crm"
)

func TestSegmentsAreReadPageByPageEachOnce(t *testing.T) {
	server, client := fake(t, nil)
	none, err := client.Segments(t.Context(), "L")
	require.NoError(t, err)
	assert.Empty(t, none)
	var want []crm.Segment
	for i := range 250 {
		made, err := server.AddSegment(rankrtest.Segment{Name: fmt.Sprint("Segment ", i), Description: "x"})
		require.NoError(t, err)
		want = append(want, crm.Segment{ID: made.ID, Name: made.Name, Description: "x"})
	}
	got, err := client.Segments(t.Context(), "L")
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Len(t, server.Calls(), 4)
}

func TestSegmentIsMadeOnceWhateverIsLostAndWhateverTheCase(t *testing.T) {
	server, client := fake(t, nil)
	hot := crm.Segment{Name: " Hot leads ", Description: "x"}
	server.Set(func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{ResetAfter: true, Times: 1}} })
	_, err := client.CreateSegment(t.Context(), "L", "key", hot)
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable})
	assert.True(t, err.(*crm.Error).Landed)
	made, err := client.CreateSegment(t.Context(), "L", "key", hot)
	require.NoError(t, err)
	assert.Equal(t, crm.Segment{ID: made.ID, Name: "Hot leads", Description: "x"}, made)
	_, err = client.CreateSegment(t.Context(), "L", "another key", crm.Segment{Name: "HOT LEADS"})
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrDuplicate})
	assert.Equal(t, made.ID, err.(*crm.Error).ID, "the winner is named")
	assert.False(t, err.(*crm.Error).Landed)
	assert.Len(t, server.SegmentHistory(""), 1)
}

func TestMembershipIsReplaced(t *testing.T) {
	server, client := fake(t, nil)
	on := newTarget(t, server, rankrtest.Record{ExternalID: "E1", Tags: []string{"vip"}})
	first, err := client.CreateSegment(t.Context(), "L", "a", crm.Segment{Name: "A"})
	require.NoError(t, err)
	second, err := client.CreateSegment(t.Context(), "L", "b", crm.Segment{Name: "B"})
	require.NoError(t, err)
	read := func() []string {
		contact, err := client.Contact(t.Context(), "L", on.record)
		require.NoError(t, err)
		assert.Equal(t, []any{on.business, []string{"vip"}}, []any{contact.Business, contact.Tags}, "the rest stays")
		return contact.Segments
	}
	assert.Equal(t, []string{on.segment}, read())
	wanted := []string{second.ID, first.ID, second.ID}
	require.NoError(t, client.SetSegments(t.Context(), "L", on.record, wanted))
	assert.Equal(t, []string{second.ID, first.ID, second.ID}, wanted, "what is given is not touched")
	assert.Equal(t, []string{first.ID, second.ID}, read())

	require.NoError(t, server.RemoveSegment(first.ID))
	assert.Equal(t, []string{second.ID}, read())
	err = client.SetSegments(t.Context(), "L", on.record, []string{first.ID, second.ID})
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid})
	assert.Equal(t, []string{"segmentIds"}, err.(*crm.Error).Fields, "a segment that is gone is named")
	assert.False(t, err.(*crm.Error).Landed)
	assert.Equal(t, []string{second.ID}, read())

	require.NoError(t, client.SetSegments(t.Context(), "L", on.record, nil))
	assert.Empty(t, read())
	require.NoError(t, client.Delete(t.Context(), "L", on.record))
	require.ErrorIs(t, client.SetSegments(t.Context(), "L", on.record, nil), &crm.Error{Code: crm.RankrNotFound})
}

func TestMembershipThatIsWrittenMovesTheRecord(t *testing.T) {
	server, client := fake(t, nil)
	server.Set(func(k *rankrtest.Knobs) { k.ETags = true })
	on := newTarget(t, server, rankrtest.Record{})
	read, err := client.Contact(t.Context(), "L", on.record)
	require.NoError(t, err)
	require.NoError(t, client.SetSegments(t.Context(), "L", on.record, nil))
	err = client.Update(t.Context(), "L", on.record, read.ETag, crm.Patch{Business: new(string)})
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrMoved})
}

func TestSegmentThatCanNotBeSentCostsNoCall(t *testing.T) {
	server, client := fake(t, nil)
	for _, id := range []string{"", "a/b", "..", "a\nb", "a%2Fb", "a?b=c", "{id}", "ä", strings.Repeat("x", 65)} {
		for field, err := range map[string]error{
			"id":         client.SetSegments(t.Context(), "L", id, []string{"s"}),
			"segmentIds": client.SetSegments(t.Context(), "L", "x", []string{"s", id}),
		} {
			require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
			assert.Equal(t, []string{field}, err.(*crm.Error).Fields)
		}
	}
	for key, name := range map[string]string{"": "A", "key": " "} {
		_, err := client.CreateSegment(t.Context(), "L", key, crm.Segment{Name: name})
		require.ErrorIs(t, err, &crm.Error{Code: crm.InvalidInput})
	}
	assert.Empty(t, server.Calls())
}

// TestAnswersAboutOtherSegmentsAreNoAnswers: believing one would make segments again that are there, or take a membership
// for written that is not.
func TestAnswersAboutOtherSegmentsAreNoAnswers(t *testing.T) {
	list := func(c *rankr.Client) error { _, err := c.Segments(t.Context(), "L"); return err }
	create := func(c *rankr.Client) error {
		_, err := c.CreateSegment(t.Context(), "L", "key", crm.Segment{Name: "Hot"})
		return err
	}
	set := func(c *rankr.Client) error { return c.SetSegments(t.Context(), "L", "R1", []string{"S2", "S1"}) }
	none := func(c *rankr.Client) error { return c.SetSegments(t.Context(), "L", "R1", nil) }
	for _, test := range []struct {
		body string
		do   func(*rankr.Client) error
	}{
		{`{}`, list},
		{`{"segments":null}`, list},
		{`{"tags":[]}`, list},
		{`{"segments":[{"name":"Hot"}]}`, list},
		{`{"segments":[{"id":"S1","name":""}]}`, list},
		{`{"segments":[{"id":"../x","name":"Hot"}]}`, list},
		{`{"segments":[],"next":"again"}`, list},
		{`{"segment":{"name":"Hot"}}`, create},
		{`{"segment":{"id":"S1","name":"Cold"}}`, create},
		{`{"segment":{"id":"a b","name":"Hot"}}`, create},
		{`{}`, set},
		{`{"segmentIds":null}`, set},
		{`{"segmentIds":["S1"]}`, set},
		{`{"segmentIds":["S1","S2","S3"]}`, set},
		{`{"segmentIds":["S1"]}`, none},
		{`{"ok":true}`, none},
	} {
		require.ErrorIs(t, test.do(saying(t, 200, test.body)), &crm.Error{Code: crm.RankrUnavailable}, test.body)
	}
	require.NoError(t, set(saying(t, 200, `{"segmentIds":["S2","S1","S1"]}`)), "their order is no matter")
	require.NoError(t, create(saying(t, 201, `{"segment":{"id":"S1","name":"HOT"}}`)), "nor is the case of a name")
}

func TestHalfOfTheSegmentsIsNotAllOfThem(t *testing.T) {
	server, client := fake(t, nil)
	for i := range 150 {
		_, err := server.AddSegment(rankrtest.Segment{Name: fmt.Sprint("S", i)})
		require.NoError(t, err)
	}
	server.Set(func(k *rankrtest.Knobs) {
		k.Faults = []rankrtest.Fault{{Operation: "segments.find", Skip: 1, Status: 503}}
	})
	got, err := client.Segments(t.Context(), "L")
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrUnavailable})
	assert.Nil(t, got)

	pages := 0
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		pages++
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"segments":[{"id":"S%d","name":"%[1]d"}],"next":"c%[1]d"}`, pages)
	}))
	t.Cleanup(endless.Close)
	got, err = newClient(endless.URL, nil).Segments(t.Context(), "L")
	require.ErrorIs(t, err, &crm.Error{Code: crm.RankrInvalid}, "more than are taken")
	assert.Equal(t, []string{"segments"}, err.(*crm.Error).Fields)
	assert.Nil(t, got)
	assert.Equal(t, 50, pages)
}

func TestSegmentsOfARecordComeSortedAndOnce(t *testing.T) {
	client := saying(t, 200, `{"contact":{"id":"R1","businessId":"B1","segments":["S2","S1","S2"]}}`)
	got, err := client.Contact(t.Context(), "L", "R1")
	require.NoError(t, err)
	assert.Equal(t, []string{"S1", "S2"}, got.Segments)
	assert.Equal(t, "B1", got.Business)
}
