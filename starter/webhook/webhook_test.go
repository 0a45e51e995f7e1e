package webhook

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// The key every test signs with, and the moment every test happens at.
var (
	private = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public  = private.Public().(ed25519.PublicKey)
	now     = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
)

const (
	location = "ve9EPM428h8vShlRW1KT"
	contact  = "nmFmQEsNgz6AVpgLVUJ0"
	created  = `{"type":"ContactCreate","locationId":"` + location + `","id":"` + contact + `","timestamp":"2026-09-01T11:59:00.000Z"}`
)

func sign(body string) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(body)))
}

// handed is what a nudger was given.
type handed struct {
	to       string // "contacts", "tasks-notes" or "poll"
	location string
	hint     names.Hint
}

// temporal is a nudger that remembers, fails with err, or waits in hold.
type temporal struct {
	mu   sync.Mutex
	got  []handed
	err  error
	hold func(context.Context) error
}

func (n *temporal) Contacts(ctx context.Context, location string, hints ...names.Hint) error {
	return n.take(ctx, "contacts", location, hints...)
}

func (n *temporal) TasksAndNotes(ctx context.Context, location string, hint names.Hint) error {
	return n.take(ctx, "tasks-notes", location, hint)
}

func (n *temporal) Poll(ctx context.Context, location string) error {
	return n.take(ctx, "poll", location, names.Hint{})
}

func (n *temporal) take(ctx context.Context, to, location string, hints ...names.Hint) error {
	if n.hold != nil {
		return n.hold(ctx)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, hint := range hints {
		n.got = append(n.got, handed{to, location, hint})
	}
	return n.err
}

// bench is a receiver behind a real socket.
type bench struct {
	t        *testing.T
	temporal *temporal
	url      string
	mu       sync.Mutex
	counted  map[string]int // "kind result"
}

func start(t *testing.T, change ...func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, temporal: &temporal{}, counted: map[string]int{}}
	o := Options{
		Keys:   []ed25519.PublicKey{public},
		Nudger: b.temporal,
		Serves: func(l string) bool { return l == location },
		Now:    func() time.Time { return now },
		Observe: func(kind string, result Result) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.counted[kind+" "+string(result)]++
		},
	}
	for _, f := range change {
		f(&o)
	}
	server := httptest.NewServer(New(o))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

func (b *bench) post(body string, header http.Header) *http.Response {
	b.t.Helper()
	request, err := http.NewRequest(http.MethodPost, b.url, strings.NewReader(body))
	require.NoError(b.t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(b.t, err)
	response.Body.Close()
	return response
}

// signed posts the body as GHL would and returns the status.
func (b *bench) signed(body string) int {
	b.t.Helper()
	return b.post(body, header(sign(body))).StatusCode
}

func header(signature string) http.Header {
	return http.Header{"Content-Type": {"application/json"}, "X-Ghl-Signature": {signature}}
}

func (b *bench) only(want string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Equal(b.t, map[string]int{want: 1}, b.counted)
}

func TestASignedContactEventBecomesOneHintWithItsOwnTime(t *testing.T) {
	for _, kind := range []string{"ContactCreate", "ContactUpdate", "ContactDelete", "ContactTagUpdate", "ContactDndUpdate"} {
		b := start(t)
		assert.Equal(t, 200, b.signed(strings.Replace(created, "ContactCreate", kind, 1)))
		assert.Equal(t, []handed{{"contacts", location, names.Hint{Contact: contact, At: now.Add(-time.Minute), Received: now}}}, b.temporal.got)
		b.only(kind + " accepted")
	}
}

func TestATaskOrNoteBecomesAHintForItsContactsTasksAndNotes(t *testing.T) {
	for kind, events := range map[string][]string{
		"TaskCreate": {"created/t"}, "TaskComplete": {"completed/t"}, "TaskDelete": nil,
		"NoteCreate": nil, "NoteUpdate": nil, "NoteDelete": nil,
	} {
		for name, body := range map[string]string{
			"flat":   `{"type":"` + kind + `","locationId":"` + location + `","id":"t","contactId":"` + contact + `","timestamp":"2026-09-01T11:59:00Z"}`,
			"nested": `{"type":"` + kind + `","timestamp":"2026-09-01T11:59:00Z","data":{"id":"t","locationId":"` + location + `","contactId":"` + contact + `"}}`,
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				b := start(t)
				assert.Equal(t, 200, b.signed(body))
				hint := names.Hint{Contact: contact, At: now.Add(-time.Minute), Received: now, Events: events}
				assert.Equal(t, []handed{{"tasks-notes", location, hint}}, b.temporal.got)
				b.only(kind + " accepted")
			})
		}
	}
}

func TestATaskWhoseIdCanNotBeRealIsAHintWithoutAnEvent(t *testing.T) {
	for _, id := range []string{``, `,"id":null`, `,"id":""`, `,"id":12`, `,"id":"a/b"`, `,"id":"a,overdue/b"`, `,"id":"followUp:r:t"`, `,"id":"` + strings.Repeat("a", 65) + `"`} {
		for _, kind := range []string{"TaskCreate", "TaskComplete"} {
			b := start(t)
			assert.Equal(t, 200, b.signed(`{"type":"`+kind+`","locationId":"`+location+`","contactId":"`+contact+`"`+id+`}`))
			assert.Equal(t, []handed{{"tasks-notes", location, names.Hint{Contact: contact, Received: now}}}, b.temporal.got)
		}
	}
}

func TestATaskThatDoesNotSayWhoseItIsBecomesAPollOfTheLocation(t *testing.T) {
	for _, contactID := range []string{``, `,"contactId":null`, `,"contactId":""`} {
		b := start(t)
		assert.Equal(t, 200, b.signed(`{"type":"TaskCreate","locationId":"`+location+`","id":"t"`+contactID+`}`))
		assert.Equal(t, []handed{{"poll", location, names.Hint{}}}, b.temporal.got)
		b.only("TaskCreate polled")
	}
	b := start(t)
	b.temporal.err = nudge.ErrNoPoll
	assert.Equal(t, 200, b.signed(`{"type":"TaskDelete","locationId":"`+location+`","id":"t"}`), "coming again would not help")
	b.only("TaskDelete unplaced")
}

func TestWhoseTaskItIsIsReadStrictly(t *testing.T) {
	ids := `"locationId":"` + location + `","id":"t"`
	for name, body := range map[string]string{
		"a number":         `{"type":"TaskCreate",` + ids + `,"contactId":12}`,
		"a path":           `{"type":"TaskCreate",` + ids + `,"contactId":"../K"}`,
		"another case":     `{"type":"TaskCreate",` + ids + `,"contactID":"` + contact + `"}`,
		"twice":            `{"type":"TaskCreate",` + ids + `,"contactId":"` + contact + `","contactId":"` + contact + `"}`,
		"two of them":      `{"type":"TaskCreate",` + ids + `,"contactId":"` + contact + `","data":{"contactId":"other"}}`,
		"no location":      `{"type":"TaskCreate","id":"t"}`,
		"a note's missing": `{"type":"NoteCreate",` + ids + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			assert.Equal(t, 400, b.signed(body))
			assert.Empty(t, b.temporal.got)
		})
	}
}

func TestNestedBodiesAreUnderstood(t *testing.T) {
	for name, body := range map[string]string{
		"all under data":       `{"type":"ContactUpdate","timestamp":"2026-09-01T11:59:00Z","data":{"locationId":"` + location + `","id":"` + contact + `","type":"lead"}}`,
		"location beside type": `{"type":"ContactUpdate","locationId":"` + location + `","data":{"id":"` + contact + `"}}`,
		"both agree":           `{"type":"ContactUpdate","locationId":"` + location + `","data":{"id":"` + contact + `","locationId":"` + location + `"}}`,
		"data is null":         `{"type":"ContactUpdate","locationId":"` + location + `","id":"` + contact + `","data":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			assert.Equal(t, 200, b.signed(body))
			require.Len(t, b.temporal.got, 1)
			assert.Equal(t, contact, b.temporal.got[0].hint.Contact)
		})
	}
}

func TestATimeThatCannotBeBelievedIsUnknown(t *testing.T) {
	for text, want := range map[string]time.Time{
		`"2026-09-01T12:00:30Z"`:          now.Add(30 * time.Second), // clocks differ a little
		`"2026-09-01T12:02:00Z"`:          {},                        // the future
		`"9999-01-01T00:00:00Z"`:          {},
		`"2026-09-01T14:00:00.000+02:00"`: now,
		`"yesterday"`:                     {},
		`1788264000000`:                   {},
		`null`:                            {},
		`""`:                              {},
	} {
		t.Run(text, func(t *testing.T) {
			b := start(t)
			assert.Equal(t, 200, b.signed(strings.Replace(created, `"2026-09-01T11:59:00.000Z"`, text, 1)))
			require.Len(t, b.temporal.got, 1)
			assert.Equal(t, want, b.temporal.got[0].hint.At)
		})
	}
}

func TestWhateverIsNotSignedByTheVendorIsRefusedBeforeItIsRead(t *testing.T) {
	good := sign(created)
	raw, err := base64.StdEncoding.DecodeString(good)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(created))
	legacy, err := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, digest[:])
	require.NoError(t, err)
	encode := base64.StdEncoding.EncodeToString
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))

	for name, c := range map[string]struct {
		body   string
		header http.Header
		result Result
	}{
		"no header":           {created, http.Header{}, Unsigned},
		"empty":               {created, header(""), Unsigned},
		"N/A":                 {created, header("N/A"), Unsigned},
		"twice":               {created, http.Header{"X-Ghl-Signature": {good, good}}, Unsigned},
		"joined by a comma":   {created, header(good + "," + good), Unsigned},
		"url-safe base64":     {created, header(base64.URLEncoding.EncodeToString(append([]byte{0xfb, 0xff}, raw[2:]...))), Unsigned},
		"no padding":          {created, header(strings.TrimRight(good, "=")), Unsigned},
		"loose last bits":     {created, header(good[:len(good)-3] + string(good[len(good)-3]+1) + "=="), Unsigned},
		"63 bytes":            {created, header(encode(raw[:63])), Unsigned},
		"65 bytes":            {created, header(encode(append(bytes.Clone(raw), 0))), Unsigned},
		"only the legacy one": {created, http.Header{"X-Wh-Signature": {encode(legacy)}}, Unsigned},
		"legacy beside wrong": {created, http.Header{"X-Ghl-Signature": {encode(make([]byte, 64))}, "X-Wh-Signature": {encode(legacy)}}, Forged},
		"another key":         {created, header(encode(ed25519.Sign(other, []byte(created)))), Forged},
		"newline added":       {created + "\n", header(good), Forged},
		"re-serialised":       {strings.ReplaceAll(created, ":", ": "), header(good), Forged},
		"one bit":             {created, header(encode(append([]byte{raw[0] ^ 1}, raw[1:]...))), Forged},
		"not even JSON":       {"\x00", header(good), Forged},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			assert.Equal(t, 401, b.post(c.body, c.header).StatusCode)
			assert.Empty(t, b.temporal.got)
			b.only("none " + string(c.result))
		})
	}
}

func TestASignatureOfAnyOfTheKeysIsGood(t *testing.T) {
	other, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	b := start(t, func(o *Options) { o.Keys = []ed25519.PublicKey{other, public} })
	assert.Equal(t, 200, b.signed(created))
}

func TestABodyThatTwoReadersCouldReadDifferentlyIsRefused(t *testing.T) {
	ids := `"locationId":"` + location + `","id":"` + contact + `"`
	for name, body := range map[string]string{
		"empty":                        ``,
		"not JSON":                     `contact`,
		"cut":                          created[:len(created)-1],
		"cut in data":                  `{"type":"ContactUpdate","data":{"id":"` + contact + `"},`,
		"array":                        `[` + created + `]`,
		"text":                         `"ContactCreate"`,
		"two values":                   created + created,
		"trailing word":                created + `x`,
		"byte order mark":              "\ufeff" + created,
		"NaN":                          `{"type":"ContactUpdate",` + ids + `,"x":NaN}`,
		"invalid UTF-8":                `{"type":"ContactUpdate",` + ids + `,"x":"` + "\xff" + `"}`,
		"lone surrogate":               `{"type":"ContactUpdate",` + ids + `,"x":"\ud800"}`,
		"location twice":               `{"type":"ContactUpdate","locationId":"other",` + ids + `}`,
		"location twice, escaped":      `{"type":"ContactUpdate","location\u0049d":"other",` + ids + `}`,
		"anything twice":               `{"type":"ContactUpdate",` + ids + `,"x":1,"x":2}`,
		"another case":                 `{"type":"ContactUpdate","LOCATIONID":"other",` + ids + `}`,
		"another case alone":           `{"Type":"ContactUpdate",` + ids + `}`,
		"a Kelvin sign is a k to fold": `{"type":"ContactUpdate","time\u017ftamp":"2026-09-01T11:59:00Z",` + ids + `}`,
		"another case under data":      `{"type":"ContactUpdate","locationId":"` + location + `","data":{"ID":"` + contact + `"}}`,
		"two ids":                      `{"type":"ContactUpdate",` + ids + `,"data":{"id":"other"}}`,
		"two locations":                `{"type":"ContactUpdate",` + ids + `,"data":{"locationId":"other"}}`,
		"depth":                        `{"type":"ContactUpdate",` + ids + `,"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`,
		"type is a number":             `{"type":1,` + ids + `}`,
		"id is an object":              `{"type":"ContactUpdate","locationId":"` + location + `","id":{"$ne":1}}`,
		"id is a number":               `{"type":"ContactUpdate","locationId":"` + location + `","id":12}`,
		"id with NUL":                  `{"type":"ContactUpdate","locationId":"` + location + `","id":"a\u0000b"}`,
		"id is a path":                 `{"type":"ContactUpdate","locationId":"` + location + `","id":"a/b"}`,
		"id climbs":                    `{"type":"ContactUpdate","locationId":"` + location + `","id":"../K"}`,
		"id is escaped":                `{"type":"ContactUpdate","locationId":"` + location + `","id":"a%2fb"}`,
		"id ends in a newline":         `{"type":"ContactUpdate","locationId":"` + location + `","id":"abc\n"}`,
		"id looks alike":               `{"type":"ContactUpdate","locationId":"` + location + `","id":"аbc"}`,
		"id is long":                   `{"type":"ContactUpdate","locationId":"` + location + `","id":"` + strings.Repeat("a", 4096) + `"}`,
		"no id":                        `{"type":"ContactUpdate","locationId":"` + location + `"}`,
		"id is null":                   `{"type":"ContactUpdate","locationId":"` + location + `","id":null}`,
		"no location":                  `{"type":"ContactUpdate","id":"` + contact + `"}`,
		"location is a path":           `{"type":"ContactUpdate","locationId":"a/b","id":"` + contact + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			assert.Equal(t, 400, b.signed(body))
			assert.Empty(t, b.temporal.got)
		})
	}
}

func TestWhatIsNotForUsIsCountedAndStopsBeforeTemporal(t *testing.T) {
	for name, c := range map[string]struct {
		body, counted string
	}{
		"a known type without contacts": {`{"type":"OpportunityCreate","locationId":"` + location + `","id":"x/y"}`, "OpportunityCreate ignored"},
		"an unheard-of type":            {`{"type":"ContactExploded","locationId":"` + location + `","id":1}`, "unknown ignored"},
		"no type":                       {`{}`, "unknown ignored"},
		"a huge number nobody reads":    {`{"type":"UserCreate","x":1e400}`, "UserCreate ignored"},
		"another location":              {strings.Replace(created, location, "notOurs", 1), "ContactCreate foreign"},
		"another app":                   {strings.Replace(created, `{`, `{"appId":"theirs",`, 1), "ContactCreate other_app"},
		"no app":                        {created, "ContactCreate other_app"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(o *Options) { o.AppID = "ours" })
			assert.Equal(t, 200, b.signed(c.body))
			assert.Empty(t, b.temporal.got)
			b.only(c.counted)
		})
	}
}

func TestTheAppIsCheckedOnlyWhereItIsConfigured(t *testing.T) {
	assert.Equal(t, 200, start(t).signed(strings.Replace(created, `{`, `{"appId":"theirs",`, 1)))
	b := start(t, func(o *Options) { o.AppID = "ours" })
	assert.Equal(t, 200, b.signed(strings.Replace(created, `{`, `{"appId":"ours",`, 1)))
	b.only("ContactCreate accepted")
}

func TestTheBodyIsLimited(t *testing.T) {
	pad := func(n int) string { return created + strings.Repeat(" ", n-len(created)) }
	b := start(t)
	assert.Equal(t, 200, b.signed(pad(MaxBody)), "the limit itself is allowed")
	assert.Equal(t, 413, b.signed(pad(MaxBody+1)))

	long := pad(MaxBody + 1)
	request, err := http.NewRequest(http.MethodPost, b.url, io.MultiReader(strings.NewReader(long))) // chunked
	require.NoError(t, err)
	request.Header = header(sign(long))
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, 413, response.StatusCode)
}

func TestOnlyPlainJSONIsTaken(t *testing.T) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write([]byte(created))
	require.NoError(t, writer.Close())
	with := func(name, value string) http.Header {
		h := header(sign(created))
		h.Set(name, value)
		return h
	}
	b := start(t)
	assert.Equal(t, 415, b.post(packed.String(), with("Content-Encoding", "gzip")).StatusCode)
	assert.Equal(t, 415, b.post(created, with("Content-Type", "multipart/form-data; boundary=x")).StatusCode)
	assert.Equal(t, 415, b.post(created, with("Content-Type", "application/x-www-form-urlencoded")).StatusCode)
	assert.Equal(t, 415, b.post(created, with("Content-Type", "application/json; charset=utf-16")).StatusCode)
	assert.Empty(t, b.temporal.got)
	assert.Equal(t, 200, b.post(created, with("Content-Type", "application/json; charset=UTF-8")).StatusCode)
	assert.Equal(t, 200, b.post(created, with("Content-Encoding", "identity")).StatusCode)

	response, err := http.Get(b.url)
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, 405, response.StatusCode)
	assert.Equal(t, "POST", response.Header.Get("Allow"))
}

func TestTheSenderComesAgainWhenTemporalIsAwayOrFull(t *testing.T) {
	for result, err := range map[Result]error{
		Unavailable: errors.New("away"),
		Full:        nudge.ErrFull,
	} {
		b := start(t)
		b.temporal.err = err
		response := b.post(created, header(sign(created)))
		assert.Equal(t, 503, response.StatusCode)
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		require.NoError(t, err)
		assert.Positive(t, seconds)
		b.only("ContactCreate " + string(result))
	}
}

func TestAHandOverThatHangsEndsInTime(t *testing.T) {
	b := start(t, func(o *Options) { o.Timeout = 10 * time.Millisecond })
	b.temporal.hold = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	assert.Equal(t, 503, b.signed(created))
	b.only("ContactCreate unavailable")
}

func TestNoMoreEventsWaitForTemporalThanThereIsRoomFor(t *testing.T) {
	b := start(t, func(o *Options) { o.MaxCount = 1 })
	entered, leave := make(chan struct{}), make(chan struct{})
	b.temporal.hold = func(context.Context) error { entered <- struct{}{}; <-leave; return nil }
	first := make(chan int)
	go func() { first <- b.signed(created) }()
	<-entered
	assert.Equal(t, 503, b.signed(created))
	close(leave)
	assert.Equal(t, 200, <-first)
}

func TestBodiesInHandAreBoundedTogether(t *testing.T) {
	b := start(t, func(o *Options) { o.MaxBytes = 2 * firstRead })
	// Two senders that announce much and send one byte hold the first read's room each, not what they announce.
	var slow []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() }) // else a test that fails waits for it for ever
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-GHL-Signature: "+sign("")+"\r\nContent-Length: 1000000\r\n\r\n{")
		require.NoError(t, err)
		slow = append(slow, conn)
	}
	require.Eventually(t, func() bool { return b.signed(created) == 503 }, 30*time.Second, 5*time.Millisecond)
	for _, conn := range slow {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return b.signed(created) == 200 }, 30*time.Second, 5*time.Millisecond,
		"what the slow ones held comes back")
}

func TestHugeBodiesOfStrangersLeaveRoomForHonestEvents(t *testing.T) {
	b := start(t, func(o *Options) { o.MaxBytes = 1 << 20 })
	for range 8 { // together they would hold twice the room
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		// Those that find no room are told so and cut off, perhaps in the middle of this.
		_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-GHL-Signature: "+sign("")+"\r\nContent-Length: 300000\r\n\r\n"+strings.Repeat("x", 200_000))
	}
	for range 50 {
		assert.Equal(t, 200, b.signed(created))
	}
}

func TestKeysThatCannotBeTrustedAreRefusedAtStart(t *testing.T) {
	spki := func(key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(der)
	}
	low := func(first ...byte) string {
		key := make(ed25519.PublicKey, ed25519.PublicKeySize)
		copy(key, first)
		return spki(key)
	}
	order8, err := base64.StdEncoding.DecodeString("JuiVj8KyJ7BFw/SJ8u+Y8NXfrAXTxjM5sTgCiG1T/AU=")
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, c := range map[string]struct{ text, want string }{
		"empty":             {"", "key 1: it is empty"},
		"an empty one more": {spki(public) + ",", "key 2: it is empty"},
		"no base64":         {"MCow*", "key 1: it is not standard base64"},
		"no key":            {"AAAA", "key 1: it is not a public key in SPKI form"},
		"the raw 32 bytes":  {base64.StdEncoding.EncodeToString(public), "key 1: it is not a public key in SPKI form"},
		"RSA":               {spki(&rsaKey.PublicKey), "key 1: it is not an Ed25519 key"},
		"the zero point":    {low(), "low order"},
		"the neutral point": {low(1), "low order"},
		"order eight":       {spki(ed25519.PublicKey(order8)), "low order"},
		"no point":          {low(2), "not a point"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseKeys(c.text)
			require.ErrorContains(t, err, c.want)
		})
	}
	keys, err := ParseKeys(" " + spki(public) + " , MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg=")
	require.NoError(t, err)
	require.Len(t, keys, 2)
	assert.Equal(t, public, keys[0])
}

func TestEveryOfficialExampleIsUnderstoodOrCounted(t *testing.T) {
	files, err := filepath.Glob("../../../shared/ghl/webhooks/*.json")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the official example payloads (../shared/ghl/webhooks) are not here")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			b := start(t)
			assert.Equal(t, 200, b.signed(string(body)))
			about := slices.ContainsFunc([]string{"Contact", "Task", "Note"}, func(kind string) bool {
				return strings.HasPrefix(filepath.Base(file), kind)
			})
			assert.Equal(t, about, len(b.temporal.got) == 1, "contacts, tasks and notes, and only they, become hints")
			if filepath.Base(file) == "UserCreate.json" { // its type is the placeholder "string"
				b.only("unknown ignored")
				return
			}
			for counted := range b.counted {
				assert.NotContains(t, counted, unknown)
			}
		})
	}
}

// seeds are bodies near every edge that the fuzzer should start from.
var seeds = []string{
	created, `{}`, `[]`, ``, created + created,
	`{"type":"ContactUpdate","data":{"locationId":"` + location + `","id":"` + contact + `"}}`,
	`{"type":"ContactUpdate","locationId":"a","LOCATIONID":"b","id":"c"}`,
	`{"type":"ContactUpdate","locationId":"a","location\u0049d":"b","id":"c"}`,
	`{"type":"NoteUpdate","locationId":"` + location + `","id":"n","contactId":"` + contact + `"}`,
	`{"type":"TaskComplete","data":{"locationId":"` + location + `","id":"t"}}`,
	`{"type":"TaskCreate","locationId":null,"id":12,"tags":["\ud83d\ude00"]}`,
	`{"type":"INSTALL","appId":"a","companyId":"b","trial":{"onTrial":true}}`,
	"\ufeff{}", `{"x":NaN}`, `{"x":"\ud800"}`, `{"a":{"b":[{"c":[[]]}]},"timestamp":"2026-09-01T12:00:00Z"}`,
}

// FuzzReceiver posts signed bodies: whatever GHL might sign, the receiver answers with a status it means, hands
// over only ids that are safe in a name, and reads them as encoding/json would.
func FuzzReceiver(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	files, _ := filepath.Glob("../../../shared/ghl/webhooks/*.json")
	for _, file := range files {
		if body, err := os.ReadFile(file); err == nil {
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n := &temporal{}
		var kind string
		h := New(Options{
			Keys: []ed25519.PublicKey{public}, Nudger: n, Now: func() time.Time { return now },
			Serves:  func(string) bool { return true },
			Observe: func(k string, _ Result) { kind = k },
		})
		request := httptest.NewRequest(http.MethodPost, "/webhooks/ghl", bytes.NewReader(body))
		request.Header = header(sign(string(body)))
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, request)
		assert.Contains(t, []int{200, 400}, recorder.Code)
		if _, official := kinds[kind]; !official && kind != unknown && kind != none {
			t.Fatalf("%q would become a label", kind)
		}
		if len(n.got) == 0 {
			return
		}
		got := n.got[0]
		require.True(t, crm.ValidID(got.location) && (got.to == "poll" || crm.ValidID(got.hint.Contact)))
		require.False(t, got.hint.At.After(now.Add(maxSkew)))
		for _, event := range got.hint.Events {
			_, task, _ := strings.Cut(event, "/")
			require.True(t, got.to == "tasks-notes" && crm.ValidID(task), event)
		}
		var loose struct {
			LocationID, ID, ContactID string
			Data                      json.RawMessage
		}
		require.NoError(t, json.Unmarshal(body, &loose))
		if loose.LocationID != "" {
			require.Equal(t, loose.LocationID, got.location)
		}
		switch {
		case got.to == "contacts" && loose.ID != "":
			require.Equal(t, loose.ID, got.hint.Contact)
		case got.to != "contacts" && loose.ContactID != "":
			require.Equal(t, loose.ContactID, got.hint.Contact)
		}
	})
}

// FuzzSignature sends any header with a good body: only the one true signature passes.
func FuzzSignature(f *testing.F) {
	f.Add(sign(created))
	f.Add("N/A")
	f.Add(base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 64)))
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := signature(http.Header{"X-Ghl-Signature": {text}})
		if ok && verify([]ed25519.PublicKey{public}, []byte(created), s) {
			require.Equal(t, sign(created), text)
		}
	})
}

// FuzzKeys reads any setting; whatever passes is a usable key.
func FuzzKeys(f *testing.F) {
	f.Add("MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg=")
	f.Add("MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(text)
		if err == nil {
			require.NotEmpty(t, keys)
			require.False(t, verify(keys, []byte(created), make([]byte, ed25519.SignatureSize)))
		}
	})
}

// BenchmarkVerifyAndParse is the cost of one official event without HTTP.
func BenchmarkVerifyAndParse(b *testing.B) {
	body, err := os.ReadFile("../../../shared/ghl/webhooks/ContactUpdate.json")
	if err != nil {
		b.Skip("the official example payloads (../shared/ghl/webhooks) are not here")
	}
	h := header(sign(string(body)))
	keys := []ed25519.PublicKey{public}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		s, _ := signature(h)
		if !verify(keys, body, s) {
			b.Fatal("not verified")
		}
		if _, err := parse(body, now); err != nil {
			b.Fatal(err)
		}
	}
}
