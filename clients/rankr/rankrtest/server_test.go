package rankrtest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr/contract/contracttest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
)

// rankr is a fake on a socket whose every answer is held against the contract.
type rankr struct {
	*rankrtest.Server
	t     *testing.T
	url   string
	token string
}

func start(t *testing.T) *rankr {
	s := rankrtest.New()
	check := contracttest.Check{Answers: func(operation string, err error) { t.Errorf("answer to %s: %v", operation, err) }}
	wire := httptest.NewServer(check.Watch(s))
	t.Cleanup(wire.Close)
	return &rankr{Server: s, t: t, url: wire.URL, token: "token"}
}

// reply is an answer with its body read; empty when the body is no JSON object.
type reply struct {
	*http.Response
	body map[string]any
	err  error // of the wire
}

func (r reply) contact() map[string]any {
	contact, _ := r.body["contact"].(map[string]any)
	return contact
}

func (r reply) fields() []string {
	list, _ := r.body["fields"].([]any)
	var names []string
	for _, item := range list {
		names = append(names, item.(map[string]any)["field"].(string))
	}
	return names
}

func (r reply) ids() []string {
	var ids []string
	for _, contact := range r.body["contacts"].([]any) {
		ids = append(ids, contact.(map[string]any)["id"].(string))
	}
	return ids
}

// do sends one request; headers come as names and values in turn.
func (r *rankr) do(method, path, body string, headers ...string) reply {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Authorization", "Bearer "+r.token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	got := reply{Response: response, err: err}
	_ = json.Unmarshal(text, &got.body)
	return got
}

// create makes a contact and returns its id.
func (r *rankr) create(body string, headers ...string) string {
	r.t.Helper()
	made := r.do("POST", "/contacts/", body, headers...)
	require.NoError(r.t, made.err)
	require.Equal(r.t, 201, made.StatusCode, made.body)
	return made.contact()["id"].(string)
}

func TestContactIsWhatWasSentAfterCreateAndUpdate(t *testing.T) {
	r := start(t)
	id := r.create(`{"externalId":"ghl1","email":" Rubika@Deos.example","phone":"+12025550143","dnd":true,"tags":["Lead "," lead"],
		"customFields":{"pincode":"560001","size":3,"likes":["a","b"]}}`)
	got := r.do("GET", "/contacts/"+id, "").contact()
	assert.Equal(t, "rubika@deos.example", got["email"])
	assert.Equal(t, []any{"lead"}, got["tags"])
	assert.Equal(t, true, got["dnd"])
	assert.Nil(t, got["lastName"])

	put := r.do("PUT", "/contacts/"+id, `{"email":null,"lastName":"Deo","dnd":false,"customFields":{"pincode":null,"size":4}}`)
	assert.Equal(t, 200, put.StatusCode)
	got = put.contact()
	assert.Nil(t, got["email"])
	assert.Equal(t, "Deo", got["lastName"])
	assert.Equal(t, false, got["dnd"])
	assert.Equal(t, "+12025550143", got["phone"], "what was not sent stays")
	assert.Equal(t, map[string]any{"size": 4.0, "likes": []any{"a", "b"}}, got["customFields"], "custom fields merge key by key")
}

func TestExternalIDIsUniqueAndTheConflictNamesTheWinner(t *testing.T) {
	r := start(t)
	first, second := r.create(`{"externalId":"ghl1"}`), r.create(`{}`)
	for _, refused := range []reply{
		r.do("POST", "/contacts/", `{"externalId":"ghl1"}`),
		r.do("PUT", "/contacts/"+second, `{"externalId":"ghl1"}`),
	} {
		assert.Equal(t, 409, refused.StatusCode)
		assert.Equal(t, first, refused.body["id"])
	}
	assert.Equal(t, 200, r.do("PUT", "/contacts/"+first, `{"externalId":null}`).StatusCode)
	assert.Equal(t, 200, r.do("PUT", "/contacts/"+second, `{"externalId":"ghl1"}`).StatusCode)
	assert.Empty(t, r.Doubled())
	_, err := r.Add(rankrtest.Record{ExternalID: "ghl1"})
	require.Error(t, err, "people can't double it either")
}

func TestExternalIDStaysUniqueWhenManyCreateAtOnce(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() { r.do("POST", "/contacts/", `{"externalId":"ghl1"}`, "Idempotency-Key", strconv.Itoa(i%2)) })
	}
	all.Wait()
	assert.Len(t, r.All(), 1)
	assert.Len(t, r.History("ghl1"), 1)
}

func TestFindReturnsWhatMatchesAnyKey(t *testing.T) {
	r := start(t)
	byMail := r.create(`{"email":"jane@example.com"}`)
	byPhone := r.create(`{"phone":"+12025550143"}`)
	r.create(`{"email":"other@example.com","phone":"+12025550144","externalId":"other"}`)
	byID := r.create(`{"externalId":"ghl1"}`)

	found := r.do("GET", "/contacts/?"+url.Values{"externalId": {"ghl1"}, "email": {" Jane@Example.com"}, "phone": {"+12025550143"}}.Encode(), "")
	assert.Equal(t, []string{byID, byMail, byPhone}, found.ids(), "the one with the external id first")
	assert.Nil(t, found.body["next"])
	assert.Empty(t, r.do("GET", "/contacts/?externalId=GHL1", "").ids(), "case matters in an external id")
	assert.Empty(t, r.do("GET", "/contacts/?email=jane", "").ids(), "no match by prefix")
	assert.Equal(t, 422, r.do("GET", "/contacts/?email=", "").StatusCode)

	r.do("PUT", "/contacts/"+byMail, `{"email":"new@example.com"}`)
	r.do("DELETE", "/contacts/"+byPhone, "")
	assert.Equal(t, []string{byID}, r.do("GET", "/contacts/?externalId=ghl1&email=jane@example.com&phone=%2B12025550143", "").ids())
}

func TestPagesHoldEveryContactOnceAlsoWhenSomeAreDeletedBetween(t *testing.T) {
	r := start(t)
	for range 7 {
		r.create(`{"email":"shared@example.com"}`)
	}
	for _, query := range []string{"/contacts/?limit=3", "/contacts/?limit=3&email=shared@example.com"} {
		var ids []string
		for next := ""; ; {
			page := r.do("GET", query+"&startAfter="+next, "")
			if next == "" {
				page = r.do("GET", query, "")
			}
			ids = append(ids, page.ids()...)
			if next, _ = page.body["next"].(string); next == "" {
				break
			}
		}
		assert.Len(t, ids, 7)
	}
	first := r.do("GET", "/contacts/?limit=3", "")
	require.NoError(t, r.Remove(first.ids()[2]))
	assert.Len(t, r.do("GET", "/contacts/?limit=100&startAfter="+first.body["next"].(string), "").ids(), 4)
	assert.Equal(t, []string{"limit"}, r.do("GET", "/contacts/?limit=101", "").fields())
	assert.Equal(t, []string{"startAfter"}, r.do("GET", "/contacts/?startAfter=x", "").fields())
}

func TestIdempotencyKeyGivesTheSameAnswerForADay(t *testing.T) {
	r := start(t)
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	r.Now = func() time.Time { return now }
	key := []string{"Idempotency-Key", "k1"}

	assert.Equal(t, 422, r.do("POST", "/contacts/", `{"phone":"12"}`, key...).StatusCode)
	id := r.create(`{"firstName":"A"}`, key...)
	r.do("PUT", "/contacts/"+id, `{"firstName":"B"}`)
	again := r.do("POST", "/contacts/", `{"firstName":"C"}`, key...)
	assert.Equal(t, 201, again.StatusCode)
	assert.Equal(t, "A", again.contact()["firstName"], "the first answer, whatever happened since")
	assert.NotEqual(t, id, r.create(`{}`, "Idempotency-Key", "k2"))

	require.NoError(t, r.Remove(id))
	assert.Equal(t, id, r.do("POST", "/contacts/", `{}`, key...).contact()["id"], "also when it is gone")
	now = now.Add(24 * time.Hour)
	assert.NotEqual(t, id, r.create(`{}`, key...))
	assert.True(t, r.Calls()[3].Replayed)
	assert.False(t, r.Calls()[3].Effect)
}

func TestTagsAreFoldedAddedAndRemovedOneByOne(t *testing.T) {
	r := start(t)
	id := r.create(`{"tags":["theirs"]}`)
	added := r.do("POST", "/contacts/"+id+"/tags", `{"tags":["Lead","lead ","vip"]}`)
	assert.Equal(t, []any{"theirs", "lead", "vip"}, added.body["tags"])
	removed := r.do("DELETE", "/contacts/"+id+"/tags", `{"tags":["VIP","never"]}`)
	assert.Equal(t, []any{"theirs", "lead"}, removed.body["tags"])
	for _, body := range []string{`{}`, `{"tags":[]}`, `{"tags":"lead"}`, `{"tags":[1]}`, `{"tags":[" "]}`, `{"tags":null}`} {
		assert.Equal(t, []string{"tags"}, r.do("POST", "/contacts/"+id+"/tags", body).fields(), body)
	}
	record, _ := r.Get(id)
	assert.Equal(t, []string{"theirs", "lead"}, record.Tags)
}

func TestRefusedValuesAreNamedAndNothingIsWritten(t *testing.T) {
	r := start(t)
	id := r.create(`{"firstName":"A"}`)
	for body, field := range map[string]string{
		`{"firstName":"B","gender":"x"}`:                   "gender",
		`{"firstName":"B","FirstName":"x"}`:                "FirstName",
		`{"firstName":"B","id":"x"}`:                       "id",
		`{"firstName":"B","tags":["x"]}`:                   "tags",
		`{"firstName":"B","email":"nobody"}`:               "email",
		`{"firstName":"B","phone":"(202) 555-0143"}`:       "phone",
		`{"firstName":"B","country":"Germany"}`:            "country",
		`{"firstName":"B","dateOfBirth":"31.12.1990"}`:     "dateOfBirth",
		`{"firstName":"B","dnd":"yes"}`:                    "dnd",
		`{"firstName":"B","dnd":null}`:                     "dnd",
		`{"firstName":"B","city":7}`:                       "city",
		`{"firstName":"B","externalId":""}`:                "externalId",
		`{"firstName":"B","customFields":null}`:            "customFields",
		`{"firstName":"B","customFields":{"a":{"b":1}}}`:   "customFields.a",
		`{"firstName":"B","customFields":{"a":["x",1]}}`:   "customFields.a",
		`{"firstName":"B","customFields":{"":1}}`:          "customFields",
		`{"city":"` + strings.Repeat("x", 64<<10+1) + `"}`: "city",
		`{}`: "body",
	} {
		refused := r.do("PUT", "/contacts/"+id, body)
		assert.Equal(t, 422, refused.StatusCode, body[:min(60, len(body))])
		assert.Equal(t, []string{field}, refused.fields(), body[:min(60, len(body))])
	}
	record, _ := r.Get(id)
	assert.Equal(t, map[string]any{"firstName": "A"}, record.Fields)
	assert.Equal(t, 1, record.Version)
	r.Set(func(k *rankrtest.Knobs) { k.Lax = true })
	assert.Equal(t, 200, r.do("PUT", "/contacts/"+id, `{"phone":"(202) 555-0143"}`).StatusCode)
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	id := r.create(`{}`)
	long := `{"city":"` + strings.Repeat("x", 1<<20) + `"}`
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/contacts/" + id, `{"city":`, 400},
		{"PUT", "/contacts/" + id, `[]`, 400},
		{"PUT", "/contacts/" + id, `null`, 400},
		{"PUT", "/contacts/" + id, ``, 400},
		{"PUT", "/contacts/" + id, `{"city":"a","city":"b"}`, 400},
		{"PUT", "/contacts/" + id, "{\"city\":\"\xff\"}", 400},
		{"PUT", "/contacts/" + id, `{"customFields":{"a":1e999}}`, 400},
		{"PUT", "/contacts/" + id, deep, 400},
		{"PUT", "/contacts/" + id, long, 413},
		{"GET", "/contacts/" + id, `{}`, 400},
		{"GET", "/contacts/none", ``, 404},
		{"PUT", "/contacts/none", `{"city":"x"}`, 404},
		{"DELETE", "/contacts/none", ``, 404},
		{"POST", "/contacts/none/tags", `{"tags":["x"]}`, 404},
		{"GET", "/contacts/" + strings.Repeat("x", 65), ``, 422},
		{"GET", "/contacts/a%2Fb", ``, 422},
		{"GET", "/contacts/..%2Fx", ``, 422},
	} {
		assert.Equal(t, c.status, r.do(c.method, c.path, c.body).StatusCode, "%s %.60s %.60s", c.method, c.path, c.body)
	}
	assert.Equal(t, 415, r.do("PUT", "/contacts/"+id, `{"city":"x"}`, "Content-Type", "text/plain").StatusCode)
	assert.Equal(t, 422, r.do("POST", "/contacts/", `{}`, "Idempotency-Key", strings.Repeat("k", 256)).StatusCode)
	assert.Len(t, r.All(), 1)
}

func TestWhatIsNotInTheContractIsLoud(t *testing.T) {
	r := bare(t)
	var heard []string
	r.Loud = func(format string, args ...any) { heard = append(heard, format) }
	for _, c := range [][2]string{
		{"GET", "/"},
		{"GET", "/contacts"},
		{"GET", "/contacts//"},
		{"PATCH", "/contacts/x"},
		{"GET", "/contacts/x/appointments"},
		{"GET", "/contacts/x/tasks/y"},
		{"POST", "/businesses"},
		{"GET", "/segments/x"},
		{"GET", "/businesses/?name=x"},
		{"GET", "/contacts/x/segments"},
		{"GET", "/contacts/?query=jane"},
		{"GET", "/contacts/?email=a&email=b"},
		{"GET", "/contacts/x?full=1"},
	} {
		assert.Equal(t, 501, r.do(c[0], c[1], "").StatusCode, c)
	}
	assert.Len(t, heard, 13)
	assert.Equal(t, 9, r.Counters().Operations["unknown"])
}

func TestTokensOpenAccountsThatDoNotSeeEachOther(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.Tokens = map[string]string{"a": "A", "b": "B"} })
	assert.Equal(t, 401, r.do("GET", "/contacts/", "").StatusCode)
	r.token = "a"
	id := r.create(`{"externalId":"ghl1"}`, "Idempotency-Key", "k")
	r.token = "b"
	assert.Equal(t, 404, r.do("GET", "/contacts/"+id, "").StatusCode)
	assert.Empty(t, r.do("GET", "/contacts/?externalId=ghl1", "").ids())
	assert.NotEqual(t, id, r.create(`{"externalId":"ghl1"}`, "Idempotency-Key", "k"))
	assert.Equal(t, 401, r.do("GET", "/contacts/", "", "Authorization", "Basic x").StatusCode)
}

func TestLimitHoldsInAnyWindow(t *testing.T) {
	r := start(t)
	now := time.Date(2026, 11, 1, 23, 59, 0, 0, time.UTC)
	r.Now = func() time.Time { return now }
	r.Set(func(k *rankrtest.Knobs) { k.Limit, k.Daily = 3, 5 })
	get := func() reply { return r.do("GET", "/contacts/", "") }

	assert.Equal(t, "2", get().Header.Get("X-RateLimit-Remaining"))
	now = now.Add(6 * time.Second)
	get()
	assert.Equal(t, "0", get().Header.Get("X-RateLimit-Remaining"))
	refused := get()
	assert.Equal(t, 429, refused.StatusCode)
	assert.Equal(t, "4", refused.Header.Get("Retry-After"))
	assert.Equal(t, "10000", refused.Header.Get("X-RateLimit-Interval-Milliseconds"))
	now = now.Add(4*time.Second - time.Nanosecond)
	assert.Equal(t, 429, get().StatusCode, "a nanosecond too early")
	now = now.Add(time.Nanosecond)
	assert.Equal(t, 200, get().StatusCode)
	assert.Equal(t, 429, get().StatusCode, "no fixed windows: the other two still count")
	now = now.Add(10 * time.Second)
	assert.Equal(t, "0", get().Header.Get("X-RateLimit-Daily-Remaining"))
	assert.Equal(t, "40", get().Header.Get("Retry-After"), "until midnight UTC")
	assert.Equal(t, 3, r.Counters().BusiestWindow)
	r.Set(func(k *rankrtest.Knobs) { k.Unlimited, k.Daily = true, 0 })
	assert.Empty(t, get().Header.Get("X-RateLimit-Max"))
}

func TestIfMatchRefusesAnOlderState(t *testing.T) {
	r := start(t)
	id := r.create(`{}`)
	assert.Empty(t, r.do("GET", "/contacts/"+id, "").Header.Get("ETag"))
	assert.Equal(t, 200, r.do("PUT", "/contacts/"+id, `{"city":"a"}`, "If-Match", `"old"`).StatusCode, "without ETags it is ignored")

	r.Set(func(k *rankrtest.Knobs) { k.ETags = true })
	tag := r.do("GET", "/contacts/"+id, "").Header.Get("ETag")
	moved := r.do("PUT", "/contacts/"+id, `{"city":"b"}`, "If-Match", tag).Header.Get("ETag")
	assert.NotEqual(t, tag, moved)
	assert.Equal(t, 412, r.do("PUT", "/contacts/"+id, `{"city":"c"}`, "If-Match", tag).StatusCode)
	record, _ := r.Get(id)
	assert.Equal(t, "b", record.Fields["city"])
}

func TestPeopleChangeRecordsWithoutACall(t *testing.T) {
	r := start(t)
	added, err := r.Add(rankrtest.Record{Fields: map[string]any{"email": "Jane@Example.com"}, Tags: []string{"VIP"}})
	require.NoError(t, err)
	edited, err := r.Edit(added.ID, func(record *rankrtest.Record) { record.ExternalID = "ghl1"; record.Tags = nil })
	require.NoError(t, err)
	assert.Equal(t, 2, edited.Version)
	found, ok := r.Mirror("ghl1")
	require.True(t, ok)
	assert.Equal(t, edited, found)
	require.NoError(t, r.Remove(added.ID))
	require.Error(t, r.Remove(added.ID))
	assert.Empty(t, r.Calls())
	verbs := []string{}
	for _, event := range r.History("ghl1") {
		verbs = append(verbs, event.By+" "+event.Verb)
	}
	assert.Equal(t, []string{"person created", "person updated", "person deleted"}, verbs)
}

func TestDoubledExternalIDsAreSeenEvenAfterOneIsGone(t *testing.T) {
	r := start(t)
	r.Set(func(k *rankrtest.Knobs) { k.NoUnique, k.NoIdempotency = true, true })
	r.create(`{"externalId":"ghl1"}`, "Idempotency-Key", "k")
	second := r.create(`{"externalId":"ghl1"}`, "Idempotency-Key", "k")
	require.NoError(t, r.Remove(second))
	assert.Equal(t, []string{"ghl1"}, r.Doubled())
}

func TestDocumentIsServed(t *testing.T) {
	doc := start(t).do("GET", "/openapi.json", "")
	assert.Equal(t, 200, doc.StatusCode)
	for name, route := range rankrtest.Routes() {
		method, path, _ := strings.Cut(route, " ")
		operation := doc.body["paths"].(map[string]any)[path].(map[string]any)[strings.ToLower(method)].(map[string]any)
		assert.Equal(t, name, operation["operationId"])
		assert.NotContains(t, operation, "<<", "anchors are resolved")
	}
}

func TestFakeNeverImportsTheClient(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	var ours []string
	for dep := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(dep, "github.com/rankrsync/") {
			ours = append(ours, strings.TrimPrefix(dep, "github.com/rankrsync/rankrsync/"))
		}
	}
	assert.Equal(t, []string{"clients/rankr/contract", "clients/rankr/rankrtest"}, ours)
}

func TestRemoteReachesEverything(t *testing.T) {
	ctx := context.Background()
	r := start(t)
	control := httptest.NewServer(r.Control())
	t.Cleanup(control.Close)
	remote := rankrtest.Remote{URL: control.URL}

	require.NoError(t, remote.Set(ctx, func(k *rankrtest.Knobs) { k.Faults = []rankrtest.Fault{{Status: 503, Times: 1}} }))
	assert.Equal(t, 503, r.do("GET", "/contacts/", "").StatusCode)
	added, err := remote.Add(ctx, rankrtest.Record{ExternalID: "ghl1", Fields: map[string]any{"firstName": "A", "dnd": true}})
	require.NoError(t, err)
	_, err = remote.Add(ctx, rankrtest.Record{ExternalID: "ghl1"})
	require.ErrorContains(t, err, "taken")
	_, err = remote.Edit(ctx, added.ID, func(record *rankrtest.Record) { record.Fields["firstName"] = "B" })
	require.NoError(t, err)
	mirrors, err := remote.Mirrors(ctx, "ghl1")
	require.NoError(t, err)
	require.Len(t, mirrors, 1)
	assert.Equal(t, map[string]any{"firstName": "B", "dnd": true}, mirrors[0].Fields)

	calls, err := remote.Calls(ctx)
	require.NoError(t, err)
	assert.Len(t, calls, 1)
	counters, err := remote.Counters(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, counters.Statuses[503])
	require.NoError(t, remote.Forget(ctx))
	assert.Empty(t, r.Calls())
	history, err := remote.History(ctx, "ghl1")
	require.NoError(t, err)
	assert.Len(t, history, 2)
	require.NoError(t, remote.Remove(ctx, added.ID))
	require.Error(t, remote.Remove(ctx, added.ID))
	doubled, err := remote.Doubled(ctx)
	require.NoError(t, err)
	assert.Empty(t, doubled)
	all, err := remote.All(ctx)
	require.NoError(t, err)
	assert.Empty(t, all)
}
