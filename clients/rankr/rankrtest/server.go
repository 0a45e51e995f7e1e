// Package rankrtest is a Rankr to test against: a real HTTP server with state that keeps to the contract of package
// contract strictly, and that misbehaves in every way a knob asks for. At its zero knobs it is a well-behaved Rankr
// with an empty account.
//
// It knows nothing of our client, so a mistake there can't hide behind the same mistake here.
package rankrtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	decode "github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"

	"github.com/rankrsync/rankrsync/clients/rankr/contract"
)

// Server is the fake. It serves any number of clients at once; each request is carried out at one instant.
type Server struct {
	// Now is the fake's clock: dates, the Date header, the limit and the 24 hours of an Idempotency-Key. Nil: the
	// machine's. Set it before the first request.
	Now func() time.Time
	// Loud is told of every request for a path, method or query that the contract does not have: t.Errorf in tests.
	// Nil: such requests are only answered with 501 and counted.
	Loud func(format string, args ...any)

	mu         sync.Mutex
	knobs      Knobs
	accounts   map[string]*account
	records    map[string]*Record // of all accounts, by id
	made       int
	tasks      *shelf[Task, *Task]
	notes      *shelf[Note, *Note]
	businesses *shelf[Business, *Business]
	segments   *shelf[Segment, *Segment]
	oauth      oauth
	journal
}

// New returns an empty Rankr.
func New() *Server {
	s := &Server{
		accounts: map[string]*account{}, records: map[string]*Record{},
		tasks: newShelf[Task]("task", "tasks", "title"), notes: newShelf[Note]("note", "notes", "content"),
		businesses: newShelf[Business]("business", "businesses", "name"),
		segments:   newShelf[Segment]("segment", "segments", "name"),
	}
	s.businesses.alone, s.businesses.gone = true, s.detach
	s.segments.alone, s.segments.gone = true, s.empty
	s.segments.unique, s.segments.fold = "name", foldName
	return s
}

// Start serves a new Rankr on a loopback socket until the test ends. A request that the contract does not have
// fails the test.
func Start(t interface {
	Cleanup(func())
	Errorf(format string, args ...any)
},
) (*Server, string) {
	s := New()
	s.Loud = t.Errorf
	wire := httptest.NewServer(s)
	t.Cleanup(wire.Close)
	return s, wire.URL
}

// operation is one row of the contract.
type operation struct {
	name, method, path string
	queries            []string
	do                 func(*Server, *account, request) answer
}

var operations = []operation{
	{"contacts.find", http.MethodGet, "/contacts/", []string{"externalId", "email", "phone", "limit", "startAfter"}, (*Server).find},
	{"contacts.create", http.MethodPost, "/contacts/", nil, (*Server).create},
	{"contacts.get", http.MethodGet, "/contacts/{id}", nil, (*Server).get},
	{"contacts.update", http.MethodPut, "/contacts/{id}", nil, (*Server).update},
	{"contacts.delete", http.MethodDelete, "/contacts/{id}", nil, (*Server).delete},
	{"contacts.addTags", http.MethodPost, "/contacts/{id}/tags", nil, (*Server).addTags},
	{"contacts.removeTags", http.MethodDelete, "/contacts/{id}/tags", nil, (*Server).removeTags},
	{"tasks.list", http.MethodGet, "/contacts/{id}/tasks", nil, (*Server).listTasks},
	{"tasks.create", http.MethodPost, "/contacts/{id}/tasks", nil, (*Server).createTask},
	{"tasks.update", http.MethodPut, "/contacts/{id}/tasks/{taskId}", nil, (*Server).updateTask},
	{"tasks.complete", http.MethodPut, "/contacts/{id}/tasks/{taskId}/completed", nil, (*Server).completeTask},
	{"tasks.delete", http.MethodDelete, "/contacts/{id}/tasks/{taskId}", nil, (*Server).deleteTask},
	{"notes.list", http.MethodGet, "/contacts/{id}/notes", nil, (*Server).listNotes},
	{"notes.create", http.MethodPost, "/contacts/{id}/notes", nil, (*Server).createNote},
	{"notes.update", http.MethodPut, "/contacts/{id}/notes/{noteId}", nil, (*Server).updateNote},
	{"notes.delete", http.MethodDelete, "/contacts/{id}/notes/{noteId}", nil, (*Server).deleteNote},
	{"contacts.setSegments", http.MethodPut, "/contacts/{id}/segments", nil, (*Server).setSegments},
	{"contacts.ofBusiness", http.MethodGet, "/contacts/business/{businessId}", []string{"limit", "startAfter"}, (*Server).ofBusiness},
	{"businesses.find", http.MethodGet, "/businesses/", []string{"externalId", "limit", "startAfter"}, (*Server).findBusinesses},
	{"businesses.create", http.MethodPost, "/businesses/", nil, (*Server).createBusiness},
	{"businesses.get", http.MethodGet, "/businesses/{id}", nil, (*Server).getBusiness},
	{"businesses.update", http.MethodPut, "/businesses/{id}", nil, (*Server).updateBusiness},
	{"businesses.delete", http.MethodDelete, "/businesses/{id}", nil, (*Server).deleteBusiness},
	{"segments.find", http.MethodGet, "/segments/", []string{"name", "limit", "startAfter"}, (*Server).findSegments},
	{"segments.create", http.MethodPost, "/segments/", nil, (*Server).createSegment},
	{"segments.update", http.MethodPut, "/segments/{id}", nil, (*Server).updateSegment},
	{"segments.delete", http.MethodDelete, "/segments/{id}", nil, (*Server).deleteSegment},
}

// ofContacts tells whether the operation is on contacts, or on something in one.
func (o operation) ofContacts() bool { return strings.HasPrefix(o.path, "/contacts/") }

// Routes returns what the fake serves: method and path of each operation by its name.
func Routes() map[string]string {
	routes := make(map[string]string, len(operations))
	for _, op := range operations {
		routes[op.name] = op.method + " " + op.path
	}
	return routes
}

// request is what arrived, read and taken apart.
type request struct {
	operation
	account string
	id      string // the contact in the path; empty for a collection
	item    string // the task, note, business or segment in the path, if one
	query   url.Values
	body    map[string]any
	key     string // Idempotency-Key
	ifMatch string
}

// answer is what goes back when nothing spoils it.
type answer struct {
	status int
	header map[string]string
	body   any
	record *Record // that it is about, if one
	item   *Item   // the task, note, business or segment that it is about, if one
}

// ServeHTTP serves the contract, the contract's document at /openapi.json, and tokens at TokenPath.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == "/openapi.json" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI())
		return
	}
	if s.serveToken(w, r) {
		return
	}
	req, refusal := s.read(r)
	if refusal != nil {
		s.mu.Lock()
		s.log(req, *refusal)
		s.mu.Unlock()
		s.send(w, *refusal)
		return
	}
	s.serve(w, r, req)
}

var openAPI = sync.OnceValue(func() []byte {
	var doc map[string]any
	if err := yaml.Unmarshal(contract.OpenAPI, &doc); err != nil {
		panic(err)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return text
})

// serve carries the request out, unless a knob has other plans for it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, req request) {
	call, fault, refusal := s.admit(req)
	if refusal != nil {
		s.send(w, *refusal)
		return
	}
	unheard := fault
	unheard.ResetAfter = true
	late := func() { s.carryOut(req, call, unheard) }
	if fault.ResetBefore {
		late = func() {}
	}
	if fault.Delay > 0 && !wait(r, fault.Delay, late) {
		return
	}
	if fault.ResetBefore || fault.LateEffect > 0 {
		time.AfterFunc(fault.LateEffect, late)
		reset(w)
		return
	}
	s.spoil(w, req, fault, s.carryOut(req, call, fault))
}

// wait holds the request up. A client that gives up meanwhile does not stop it: then late runs when the time has
// come, and wait is false.
func wait(r *http.Request, delay time.Duration, late func()) bool {
	until := time.Now().Add(delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		time.AfterFunc(time.Until(until), late)
		return false
	}
}

// admit lets the request in or refuses it, logs it, and picks the fault that will hit it.
func (s *Server) admit(req request) (*Call, Fault, *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tooMany := s.limit(s.account(req.account)); tooMany != nil {
		s.log(req, *tooMany)
		return nil, Fault{}, tooMany
	}
	return s.log(req, answer{}), s.fault(req), nil
}

// carryOut is the instant at which the request takes effect.
func (s *Server) carryOut(req request, call *Call, fault Fault) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault.Status != 0 && !fault.AfterEffect {
		call.Status = fault.shows(fault.Status)
		return answer{status: fault.Status}
	}
	a := s.account(req.account)
	done, replayed := a.answers.replay(req, s.now())
	if !replayed {
		done = req.do(s, a, req)
		if !s.knobs.NoIdempotency {
			a.answers.keep(req, done, s.now())
		}
	}
	call.Replayed = replayed
	s.settle(call, req, done)
	call.Status = fault.shows(done.status)
	header := s.limits(a)
	maps.Copy(header, done.header)
	done.header = header
	return done
}

func (s *Server) send(w http.ResponseWriter, a answer) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// read takes the request apart and refuses what the contract does not have.
func (s *Server) read(r *http.Request) (request, *answer) {
	knobs := s.Knobs()
	req, ok := route(r)
	if knobs.Down {
		return req, refusal(http.StatusServiceUnavailable, "down")
	}
	if !ok {
		return req, s.unknown("%s %s is not in the contract", r.Method, r.URL.EscapedPath())
	}
	for name, values := range req.query {
		if !slices.Contains(req.queries, name) || len(values) != 1 {
			return req, s.unknown("%s has no query %q, or not so often", req.name, name)
		}
	}
	account, known := s.opens(knobs, r.Header.Get("Authorization"))
	if !known {
		return req, refusal(http.StatusUnauthorized, "a bearer token of an account is needed")
	}
	req.account = account
	for _, id := range []string{req.id, req.item} {
		if id != "" && !idPattern.MatchString(id) {
			return req, invalid(FieldError{"id", "is not an id"})
		}
	}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 1 || len(keys) == 1 && (keys[0] == "" || len(keys[0]) > 255) {
		return req, invalid(FieldError{"Idempotency-Key", "must be one of 1 to 255 characters"})
	}
	req.key, req.ifMatch = r.Header.Get("Idempotency-Key"), r.Header.Get("If-Match")
	body, refused := readBody(r, req.operation, knobs.maxBody())
	req.body = body
	return req, refused
}

// route finds the operation by method and path. It looks at the escaped path: an id with an escaped slash is one
// segment.
func route(r *http.Request) (request, bool) {
	have := strings.Split(r.URL.EscapedPath(), "/")
	for _, op := range operations {
		want := strings.Split(op.path, "/")
		if op.method != r.Method || len(have) != len(want) {
			continue
		}
		req := request{operation: op, query: r.URL.Query()}
		if slices.EqualFunc(have, want, func(have, want string) bool {
			if !strings.HasPrefix(want, "{") {
				return have == want
			}
			id, err := url.PathUnescape(have)
			if want == "{id}" && op.ofContacts() {
				req.id = id
			} else {
				req.item = id
			}
			return err == nil && have != ""
		}) {
			return req, true
		}
	}
	return request{operation: operation{name: "unknown"}}, false
}

// readBody reads a JSON object where the operation has one, and insists on none elsewhere.
func readBody(r *http.Request, op operation, limit int64) (map[string]any, *answer) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return nil, refusal(http.StatusBadRequest, "the body did not arrive")
	case int64(len(raw)) > limit:
		return nil, refusal(http.StatusRequestEntityTooLarge, "the body is too large")
	case op.hasBody() != (len(raw) > 0):
		return nil, refusal(http.StatusBadRequest, "a body is missing, or there is one where none may be")
	case !op.hasBody():
		return nil, nil
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		return nil, refusal(http.StatusUnsupportedMediaType, "the body must be application/json")
	}
	// The strict decoder: a doubled key or broken UTF-8 is an error, not a guess.
	var body map[string]any
	if err := decode.Unmarshal(raw, &body); err != nil || body == nil {
		return nil, refusal(http.StatusBadRequest, "the body is not a JSON object")
	}
	return body, nil
}

func (o operation) hasBody() bool {
	return o.method == http.MethodPost || o.method == http.MethodPut || o.name == "contacts.removeTags"
}

func (s *Server) unknown(format string, args ...any) *answer {
	text := "rankrtest: " + fmt.Sprintf(format, args...)
	if s.Loud != nil {
		s.Loud("%s", text)
	}
	return refusal(http.StatusNotImplemented, text)
}

// FieldError names a property that is refused, and why.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

type failureBody struct {
	StatusCode int          `json:"statusCode"`
	Message    string       `json:"message"`
	Fields     []FieldError `json:"fields,omitempty"`
	ID         string       `json:"id,omitempty"`
}

func failure(status int, message string) answer {
	return answer{status: status, body: failureBody{StatusCode: status, Message: message}}
}

func refusal(status int, message string) *answer { a := failure(status, message); return &a }

func invalid(fields ...FieldError) *answer {
	const status = http.StatusUnprocessableEntity
	return &answer{status: status, body: failureBody{StatusCode: status, Message: "invalid", Fields: fields}}
}

// errUnknownRecord is for people who point at a record that is not there.
var errUnknownRecord = errors.New("rankrtest: no such record")
