package rankrtest_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
)

// listed are the ids on all pages of a list of the account.
func (r *rankr) listed(name, query string) []string {
	r.t.Helper()
	ids := []string{}
	for next := ""; ; {
		page := r.do("GET", "/"+name+"/?limit=2"+query+next, "")
		require.Equal(r.t, 200, page.StatusCode, page.body)
		for _, each := range page.body[name].([]any) {
			ids = append(ids, each.(map[string]any)["id"].(string))
		}
		after, _ := page.body["next"].(string)
		if after == "" {
			return ids
		}
		next = "&startAfter=" + after
	}
}

func TestBusinessIsWhatWasSentAfterCreateAndUpdate(t *testing.T) {
	r := start(t)
	made := r.made("/businesses/", `{"externalId":"b1","name":"Harbour","email":" Hello@Harbour.example","phone":"+12025550143",
		"website":"https://h.example","address":"1 Main St","city":"Bonn","state":"NW","postalCode":"00123","country":"DE","description":"x"}`)
	assert.Equal(t, []any{"b1", "Harbour", "hello@harbour.example", "00123"}, []any{made["externalId"], made["name"], made["email"], made["postalCode"]})
	one := "/businesses/" + made["id"].(string)
	assert.Equal(t, made, r.do("GET", one, "").item())
	got := r.do("PUT", one, `{"name":"Harbour Street","city":null,"externalId":null}`).item()
	assert.Equal(t, []any{"Harbour Street", nil, nil, "NW"}, []any{got["name"], got["city"], got["externalId"], got["state"]}, "what was not sent stays")
	assert.Equal(t, 2, r.Businesses()[0].Version)

	assert.Equal(t, true, r.do("DELETE", one, "").body["succeeded"])
	for _, gone := range []reply{r.do("GET", one, ""), r.do("DELETE", one, ""), r.do("PUT", one, `{"name":"x"}`)} {
		assert.Equal(t, 404, gone.StatusCode)
		assert.Equal(t, "no such business", gone.body["message"])
	}
}

func TestSegmentIsWhatWasSentAfterCreateAndUpdate(t *testing.T) {
	r := start(t)
	made := r.made("/segments/", `{"name":"Hot leads","description":"x"}`)
	assert.Equal(t, []any{"Hot leads", "x"}, []any{made["name"], made["description"]})
	assert.NotContains(t, made, "externalId")
	one := "/segments/" + made["id"].(string)
	got := r.do("PUT", one, `{"name":"HOT leads","description":null}`).item()
	assert.Equal(t, []any{"HOT leads", nil}, []any{got["name"], got["description"]}, "it may change the case of its own name")
	assert.Equal(t, 200, r.do("DELETE", one, "").StatusCode)
	assert.Equal(t, "no such segment", r.do("DELETE", one, "").body["message"])
	assert.Equal(t, "no such segment", r.do("PUT", one, `{"name":"x"}`).body["message"])
}

func TestBusinessAndSegmentAreUniqueAndTheConflictNamesTheWinner(t *testing.T) {
	r := start(t)
	for _, kind := range []struct{ list, winner, same, other, change string }{
		{"/businesses/", `{"externalId":"x1","name":"A"}`, `{"externalId":"x1","name":"B"}`, `{"name":"A"}`, `{"externalId":"x1"}`},
		{"/segments/", `{"name":"Straße"}`, `{"name":"STRAßE"}`, `{"name":"b"}`, `{"name":"straße"}`},
	} {
		winner := r.made(kind.list, kind.winner)["id"].(string)
		other := r.made(kind.list, kind.other)["id"].(string)
		for _, refused := range []reply{r.do("POST", kind.list, kind.same), r.do("PUT", kind.list+other, kind.change)} {
			assert.Equal(t, 409, refused.StatusCode)
			assert.Equal(t, winner, refused.body["id"])
		}
		assert.Equal(t, 200, r.do("DELETE", kind.list+winner, "").StatusCode)
		assert.Equal(t, 200, r.do("PUT", kind.list+other, kind.change).StatusCode, "it is free again")
	}
	assert.Empty(t, r.DoubledBusinesses())
	assert.Empty(t, r.DoubledSegments())
	_, err := r.AddBusiness(rankrtest.Business{Item: rankrtest.Item{ExternalID: "x1"}, Name: "C"})
	require.ErrorContains(t, err, "taken", "people can't double it either")
	_, err = r.AddSegment(rankrtest.Segment{Name: " STRAßE "})
	require.ErrorContains(t, err, "taken")
}

func TestSegmentStaysSingleWhenFiftyContactsAskForItAtOnce(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			name := []string{"Hot leads", "hot LEADS"}[i%2]
			r.do("POST", "/segments/", `{"name":"`+name+`"}`, "Idempotency-Key", fmt.Sprint(i%5))
			r.do("POST", "/businesses/", `{"externalId":"b1","name":"A"}`, "Idempotency-Key", fmt.Sprint(i%5))
		})
	}
	all.Wait()
	assert.Len(t, r.Segments(), 1)
	assert.Len(t, r.Businesses(), 1)
	assert.Len(t, r.SegmentHistory("HOT leads"), 1)
	assert.Len(t, r.BusinessHistory("b1"), 1)
}

func TestBusinessesAndSegmentsAreFoundByKeyOrListedByPage(t *testing.T) {
	r := start(t)
	var businesses, segments []string
	for i := range 5 {
		businesses = append(businesses, r.made("/businesses/", fmt.Sprintf(`{"externalId":"b%d","name":"A"}`, i))["id"].(string))
		segments = append(segments, r.made("/segments/", fmt.Sprintf(`{"name":"S%d"}`, i))["id"].(string))
	}
	assert.Equal(t, businesses, r.listed("businesses", ""))
	assert.Equal(t, segments, r.listed("segments", ""))
	assert.Equal(t, businesses[3:4], r.listed("businesses", "&externalId=b3"))
	assert.Empty(t, r.listed("businesses", "&externalId=B3"), "case matters in an external id")
	assert.Equal(t, segments[3:4], r.listed("segments", "&name=s3"), "and does not in a name")
	assert.Empty(t, r.listed("segments", "&name=s"))

	first := r.do("GET", "/segments/?limit=2", "")
	require.NoError(t, r.RemoveSegment(segments[1]))
	rest := r.do("GET", "/segments/?startAfter="+first.body["next"].(string), "")
	assert.Len(t, rest.body["segments"], 3, "a delete between two pages skips nobody")
	assert.Equal(t, []string{"limit"}, r.do("GET", "/segments/?limit=0", "").fields())
	assert.Equal(t, []string{"startAfter"}, r.do("GET", "/businesses/?startAfter=x", "").fields())
	assert.Equal(t, []string{"name"}, r.do("GET", "/segments/?name=", "").fields())
	r.Set(func(k *rankrtest.Knobs) { k.NotFoundAll = true })
	assert.Empty(t, r.listed("segments", ""))
	assert.Equal(t, 404, r.do("GET", "/businesses/"+businesses[0], "").StatusCode)
}

func TestContactIsAttachedAndPutIntoSegments(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.ETags = true })
	business := r.made("/businesses/", `{"name":"A"}`)["id"].(string)
	first, second := r.made("/segments/", `{"name":"B"}`)["id"].(string), r.made("/segments/", `{"name":"A"}`)["id"].(string)
	id := r.create(`{"businessId":"` + business + `","firstName":"Ann"}`)
	one := "/contacts/" + id
	read := r.do("GET", one, "")
	assert.Equal(t, []any{business, []any{}}, []any{read.contact()["businessId"], read.contact()["segments"]})

	set := r.do("PUT", one+"/segments", `{"segmentIds":["`+second+`","`+first+`","`+second+`"]}`)
	assert.Equal(t, map[string]any{"segmentIds": []any{first, second}}, set.body)
	assert.Equal(t, []string{"A", "B"}, r.SegmentsOf(id))
	assert.Equal(t, 412, r.do("PUT", one, `{"city":"Bonn"}`, "If-Match", read.Header.Get("ETag")).StatusCode, "a membership is a change of the contact")
	set = r.do("PUT", one+"/segments", `{"segmentIds":["`+first+`"]}`)
	assert.Equal(t, map[string]any{"segmentIds": []any{first}}, set.body, "it replaces")

	tag := r.do("GET", one, "").Header.Get("ETag")
	detached := r.do("PUT", one, `{"businessId":null}`)
	assert.Equal(t, []any{nil, []any{first}, "Ann"}, []any{detached.contact()["businessId"], detached.contact()["segments"], detached.contact()["firstName"]})
	assert.NotEqual(t, tag, detached.Header.Get("ETag"))
	assert.Equal(t, 200, r.do("PUT", one, `{"businessId":"`+business+`"}`).StatusCode)
	assert.Equal(t, map[string]any{"segmentIds": []any{}}, r.do("PUT", one+"/segments", `{"segmentIds":[]}`).body)
	calls := r.Calls()
	last := calls[len(calls)-1]
	assert.Equal(t, []any{"contacts.setSegments", id, true}, []any{last.Operation, last.RecordID, last.Effect})
}

func TestWhatDoesNotExistIsRefusedByNameAndNothingIsWritten(t *testing.T) {
	r := start(t)
	id := "/contacts/" + r.create(`{"externalId":"ghl1"}`)
	business := "/businesses/" + r.made("/businesses/", `{"name":"A"}`)["id"].(string)
	segment := r.made("/segments/", `{"name":"A"}`)["id"].(string)
	r.Set(func(k *rankrtest.Knobs) { k.Tokens = map[string]string{"token": "", "b": "B"} })
	r.token = "b"
	theirs := r.made("/segments/", `{"name":"A"}`)["id"].(string)
	other := r.made("/businesses/", `{"name":"B"}`)["id"].(string)
	assert.Equal(t, 404, r.do("GET", business, "").StatusCode)
	assert.Equal(t, 404, r.do("DELETE", "/segments/"+segment, "").StatusCode)
	assert.Equal(t, []string{theirs}, r.listed("segments", ""))
	r.token = "token"
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/contacts/", `{"businessId":"none"}`, "businessId"},
		{"POST", "/contacts/", `{"businessId":null}`, "businessId"},
		{"PUT", id, `{"city":"x","businessId":"none"}`, "businessId"},
		{"PUT", id, `{"city":"x","businessId":"` + other + `"}`, "businessId"},
		{"PUT", id, `{"city":"x","businessId":""}`, "businessId"},
		{"PUT", id, `{"city":"x","businessId":7}`, "businessId"},
		{"PUT", id, `{"city":"x","segments":["` + segment + `"]}`, "segments"},
		{"PUT", id + "/segments", `{"segmentIds":["` + segment + `","none"]}`, "segmentIds"},
		{"PUT", id + "/segments", `{"segmentIds":["` + segment + `","` + theirs + `"]}`, "segmentIds"},
		{"PUT", id + "/segments", `{"segmentIds":["a/b"]}`, "segmentIds"},
		{"PUT", id + "/segments", `{"segmentIds":[""]}`, "segmentIds"},
		{"PUT", id + "/segments", `{"segmentIds":[null]}`, "segmentIds"},
		{"PUT", id + "/segments", `{"segmentIds":null}`, "segmentIds"},
		{"PUT", id + "/segments", `{}`, "segmentIds"},
		{"PUT", id + "/segments", `{"segmentIds":[],"x":1}`, "x"},
		{"POST", "/businesses/", `{}`, "name"},
		{"POST", "/businesses/", `{"name":" "}`, "name"},
		{"POST", "/businesses/", `{"name":"B","email":"nobody"}`, "email"},
		{"POST", "/businesses/", `{"name":"B","phone":"555"}`, "phone"},
		{"POST", "/businesses/", `{"name":"B","country":"Germany"}`, "country"},
		{"POST", "/businesses/", `{"name":"B","industry":"x"}`, "industry"},
		{"PUT", business, `{"name":null}`, "name"},
		{"PUT", business, `{"externalId":""}`, "externalId"},
		{"PUT", business, `{"city":["x"]}`, "city"},
		{"PUT", business, `{}`, "body"},
		{"POST", "/segments/", `{}`, "name"},
		{"POST", "/segments/", `{"name":""}`, "name"},
		{"POST", "/segments/", `{"name":"B "}`, "name"},
		{"POST", "/segments/", `{"name":"B","externalId":"x"}`, "externalId"},
		{"PUT", "/segments/" + segment, `{"name":null}`, "name"},
		{"PUT", "/segments/" + segment, `{"description":"` + strings.Repeat("x", 64<<10+1) + `"}`, "description"},
	} {
		refused := r.do(c.method, c.path, c.body)
		assert.Equal(t, 422, refused.StatusCode, "%s %.60s", c.path, c.body)
		assert.Contains(t, refused.fields(), c.field, "%s %.60s", c.path, c.body)
	}
	assert.Equal(t, 404, r.do("PUT", "/contacts/none/segments", `{"segmentIds":[]}`).StatusCode)
	for _, id := range []string{"a%2Fb", "..%2Fx", strings.Repeat("x", 65)} {
		assert.Equal(t, 422, r.do("GET", "/businesses/"+id, "").StatusCode)
		assert.Equal(t, 422, r.do("DELETE", "/segments/"+id, "").StatusCode)
	}
	record, _ := r.Mirror("ghl1")
	assert.Equal(t, 1, record.Version)
	assert.Len(t, r.All(), 1)
	assert.Len(t, r.Businesses(), 2)
	assert.Len(t, r.Segments(), 2)
}

func TestContactsStayWhenTheirBusinessOrSegmentGoes(t *testing.T) {
	r := start(t)
	business, segment := r.made("/businesses/", `{"name":"A"}`)["id"].(string), r.made("/segments/", `{"name":"A"}`)["id"].(string)
	kept := r.made("/segments/", `{"name":"B"}`)["id"].(string)
	ids := []string{}
	for range 3 {
		id := r.create(`{"businessId":"` + business + `"}`)
		r.do("PUT", "/contacts/"+id+"/segments", `{"segmentIds":["`+segment+`","`+kept+`"]}`)
		ids = append(ids, id)
	}
	page := r.do("GET", "/contacts/business/"+business+"?limit=2", "")
	assert.Equal(t, ids[:2], page.ids())
	assert.Equal(t, ids[2:], r.do("GET", "/contacts/business/"+business+"?startAfter="+page.body["next"].(string), "").ids())

	assert.Equal(t, 200, r.do("DELETE", "/segments/"+segment, "").StatusCode)
	require.NoError(t, r.RemoveBusiness(business))
	assert.Equal(t, 404, r.do("GET", "/contacts/business/"+business, "").StatusCode)
	for _, record := range r.All() {
		assert.Empty(t, record.BusinessID)
		assert.Equal(t, []string{kept}, record.Segments)
		assert.Equal(t, 4, record.Version)
	}
	history := r.History("")
	assert.Equal(t, []string{"client", "person"}, []string{history[len(history)-4].By, history[len(history)-1].By})
}

func TestDoubledBusinessesAndSegmentsAreSeenEvenAfterOneIsGone(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.NoUnique, k.NoIdempotency = true, true })
	for range 2 {
		r.made("/businesses/", `{"externalId":"b1","name":"A"}`, "Idempotency-Key", "k")
	}
	r.made("/segments/", `{"name":"A"}`, "Idempotency-Key", "k")
	r.made("/segments/", `{"name":"a"}`, "Idempotency-Key", "k")
	require.NoError(t, r.RemoveBusiness(r.Businesses()[0].ID))
	require.NoError(t, r.RemoveSegment(r.Segments()[0].ID))
	assert.Equal(t, []string{"b1"}, r.DoubledBusinesses())
	assert.Equal(t, []string{"a"}, r.DoubledSegments())
	assert.Empty(t, r.Doubled(), "contacts are counted apart")
}

func TestIdempotencyKeyOfABusinessAndOfASegmentGivesTheFirstAnswer(t *testing.T) {
	r := start(t)
	key := []string{"Idempotency-Key", "k"}
	assert.Equal(t, 422, r.do("POST", "/segments/", `{}`, key...).StatusCode)
	segment := r.made("/segments/", `{"name":"A"}`, key...)
	business := r.made("/businesses/", `{"name":"A"}`, key...)
	require.NoError(t, r.RemoveSegment(segment["id"].(string)))
	assert.Equal(t, segment, r.made("/segments/", `{"name":"B"}`, key...), "also when it is gone")
	assert.Equal(t, business, r.made("/businesses/", `{"name":"B"}`, key...))
	assert.Empty(t, r.Segments())
	assert.Len(t, r.Businesses(), 1)
}

func TestPeopleWorkWithBusinessesAndSegmentsWithoutACall(t *testing.T) {
	r := start(t)
	contact, err := r.Add(rankrtest.Record{ExternalID: "ghl1"})
	require.NoError(t, err)
	own, err := r.AddBusiness(rankrtest.Business{Name: "Own"})
	require.NoError(t, err)
	segment, err := r.AddSegment(rankrtest.Segment{Name: "Own"})
	require.NoError(t, err)
	_, err = r.Attach(contact.ID, own.ID)
	require.NoError(t, err)
	_, err = r.PutIntoSegment(contact.ID, segment.ID)
	require.NoError(t, err)
	twice, err := r.PutIntoSegment(contact.ID, segment.ID)
	require.NoError(t, err)
	assert.Equal(t, []any{own.ID, []string{segment.ID}}, []any{twice.BusinessID, twice.Segments})
	for _, err := range []error{
		second(r.Attach(contact.ID, "none")), second(r.Attach("none", own.ID)), second(r.PutIntoSegment(contact.ID, "none")),
		second(r.Add(rankrtest.Record{BusinessID: "none"})), r.RemoveSegment("none"), r.RemoveBusiness(segment.ID),
	} {
		require.Error(t, err)
	}
	_, err = r.EditSegment(segment.ID, func(s *rankrtest.Segment) { s.Name = "Ours" })
	require.NoError(t, err)
	_, err = r.EditBusiness(own.ID, func(b *rankrtest.Business) { b.City = "Bonn" })
	require.NoError(t, err)
	assert.Equal(t, []string{"Ours"}, r.SegmentsOf(contact.ID))
	assert.Len(t, r.SegmentHistory("own"), 2)
	out, err := r.TakeOutOfSegment(contact.ID, segment.ID)
	require.NoError(t, err)
	assert.Empty(t, out.Segments)
	apart, err := r.Attach(contact.ID, "")
	require.NoError(t, err)
	assert.Empty(t, apart.BusinessID)
	assert.Empty(t, r.Calls())
	assert.Len(t, r.History("ghl1"), 6)
}

func second[T any](_ T, err error) error { return err }

func TestFaultHitsTheBusinessOrSegmentItNames(t *testing.T) {
	r := bare(t)
	id := r.made("/businesses/", `{"externalId":"b1","name":"A"}`)["id"].(string)
	segment := r.made("/segments/", `{"name":"Hot"}`)["id"].(string)
	r.hit(rankrtest.Fault{ExternalID: "b1", Status: 500})
	assert.Equal(t, 500, r.do("GET", "/businesses/?externalId=b1", "").StatusCode)
	assert.Equal(t, 500, r.do("GET", "/businesses/"+id, "").StatusCode)
	assert.Equal(t, 500, r.do("POST", "/businesses/", `{"externalId":"b1","name":"A"}`).StatusCode)
	assert.Equal(t, 200, r.do("GET", "/businesses/", "").StatusCode)
	r.hit(rankrtest.Fault{ExternalID: "hot", Status: 500})
	assert.Equal(t, 500, r.do("POST", "/segments/", `{"name":"HOT"}`).StatusCode)
	assert.Equal(t, 500, r.do("GET", "/segments/?name=Hot", "").StatusCode)
	assert.Equal(t, 500, r.do("DELETE", "/segments/"+segment, "").StatusCode)
	call := r.Calls()[3]
	assert.Equal(t, []any{"businesses.get", "", "", id, "b1"}, []any{call.Operation, call.RecordID, call.ExternalID, call.ItemID, call.ItemExternalID})
}

func TestRankrMayKeepOrChangeWhatABusinessOrMembershipSays(t *testing.T) {
	r := start(t)
	business := r.made("/businesses/", `{"name":"A"}`)["id"].(string)
	segment := r.made("/segments/", `{"name":"A"}`)["id"].(string)
	id := "/contacts/" + r.create(`{}`)
	r.Set(func(k *rankrtest.Knobs) {
		k.KeepOld, k.Normalise = []string{"businessId", "segmentIds", "city"}, []string{"state"}
	})
	assert.Nil(t, r.do("PUT", id, `{"businessId":"`+business+`"}`).contact()["businessId"])
	assert.Equal(t, []any{}, r.do("PUT", id+"/segments", `{"segmentIds":["`+segment+`"]}`).body["segmentIds"])
	got := r.do("PUT", "/businesses/"+business, `{"city":"Bonn","state":"nw"}`).item()
	assert.Equal(t, []any{nil, "NW"}, []any{got["city"], got["state"]})
}

func TestRemoteReachesBusinessesAndSegments(t *testing.T) {
	ctx := t.Context()
	r := start(t)
	control := httptest.NewServer(r.Control())
	t.Cleanup(control.Close)
	remote := rankrtest.Remote{URL: control.URL}
	contact, err := remote.Add(ctx, rankrtest.Record{})
	require.NoError(t, err)

	business, err := remote.AddBusiness(ctx, rankrtest.Business{Item: rankrtest.Item{ExternalID: "b1"}, Name: "A"})
	require.NoError(t, err)
	business, err = remote.EditBusiness(ctx, business.ID, func(b *rankrtest.Business) { b.City = "Bonn" })
	require.NoError(t, err)
	businesses, err := remote.Businesses(ctx)
	require.NoError(t, err)
	assert.Equal(t, []rankrtest.Business{business}, businesses)
	segment, err := remote.AddSegment(ctx, rankrtest.Segment{Name: "A B"})
	require.NoError(t, err)
	segment, err = remote.EditSegment(ctx, segment.ID, func(s *rankrtest.Segment) { s.Description = "x" })
	require.NoError(t, err)
	segments, err := remote.Segments(ctx)
	require.NoError(t, err)
	assert.Equal(t, []rankrtest.Segment{segment}, segments)

	_, err = remote.Attach(ctx, contact.ID, business.ID)
	require.NoError(t, err)
	_, err = remote.Attach(ctx, contact.ID, "none")
	require.Error(t, err)
	put, err := remote.PutIntoSegment(ctx, contact.ID, segment.ID)
	require.NoError(t, err)
	assert.Equal(t, []any{business.ID, []string{segment.ID}}, []any{put.BusinessID, put.Segments})
	edited, err := remote.Edit(ctx, contact.ID, func(record *rankrtest.Record) { record.Fields["city"] = "Bonn" })
	require.NoError(t, err)
	assert.Equal(t, []any{business.ID, []string{segment.ID}}, []any{edited.BusinessID, edited.Segments})
	out, err := remote.TakeOutOfSegment(ctx, contact.ID, segment.ID)
	require.NoError(t, err)
	assert.Empty(t, out.Segments)

	require.NoError(t, remote.RemoveBusiness(ctx, business.ID))
	require.Error(t, remote.RemoveBusiness(ctx, business.ID))
	require.NoError(t, remote.RemoveSegment(ctx, segment.ID))
	history, err := remote.BusinessHistory(ctx, "b1")
	require.NoError(t, err)
	assert.Len(t, history, 3)
	history, err = remote.SegmentHistory(ctx, "a b")
	require.NoError(t, err)
	assert.Len(t, history, 3)
	for _, doubled := range []func() ([]string, error){
		func() ([]string, error) { return remote.DoubledBusinesses(ctx) },
		func() ([]string, error) { return remote.DoubledSegments(ctx) },
	} {
		none, err := doubled()
		require.NoError(t, err)
		assert.Empty(t, none)
	}
}
