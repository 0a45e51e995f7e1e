// Package ghltest is a GoHighLevel (GHL) server to test against: an http.Handler with state of its own that behaves
// as GHL is known to, in its answers, refusals, limits, lagging search and signed webhooks. Knobs make it misbehave.
//
// It never imports our clients: it would share their mistakes. What it does not know (a path, a query parameter, a
// property of a body) it refuses, and remembers; see [Server.Unknown].
package ghltest

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a fake GHL. Its zero value is ready: no location, no fault, GHL's published limits. It is safe for
// concurrent use.
type Server struct {
	// Now is the server's clock: limits, dates of contacts, the search's lag, webhooks and the Date header go by
	// it. Nil means time.Now. Set it before the first call.
	Now func() time.Time

	locations sync.Map // id → *location
	tokens    sync.Map // token → *location
	records   sync.Map // contact id → *record
	owners    sync.Map // task or note id → the *record of its contact
	companies sync.Map // business id → *location

	knobs     atomic.Pointer[Knobs]
	knobsLock sync.Mutex // held by whoever replaces knobs

	journal journal
	sender  sender
	oauth   oauth
}

// New returns a server without locations; see [Server.PutLocation] and [Server.Seed].
func New() *Server { return &Server{} }

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// operation is one endpoint; the names are those of the catalogue of GHL operations.
type operation struct {
	name, method, path, scope string
	query                     []string // the parameters it knows
	handle                    func(*exchange) answer
}

var operations = []operation{
	{"contacts.search", "POST", "contacts/search", "contacts.readonly", nil, searchContacts},
	{"contacts.create", "POST", "contacts/", "contacts.write", nil, createContact},
	{"contacts.upsert", "POST", "contacts/upsert", "contacts.write", nil, upsertContact},
	{"contacts.get-duplicate", "GET", "contacts/search/duplicate", "contacts.readonly", []string{"locationId", "number", "email"}, findDuplicate},
	{"contacts.list", "GET", "contacts/", "contacts.readonly", []string{"locationId", "limit", "startAfter", "startAfterId", "query"}, listContacts},
	{"contacts.list-by-business", "GET", "contacts/business/{id}", "contacts.readonly", []string{"locationId", "limit", "skip", "query"}, listByBusiness},
	{"contacts.appointments.list", "GET", "contacts/{id}/appointments", "contacts.readonly", nil, listAppointments},
	{"businesses.list", "GET", "businesses/", "businesses.readonly", []string{"locationId", "limit", "skip"}, listBusinesses},
	{"businesses.get", "GET", "businesses/{id}", "businesses.readonly", nil, getBusiness},
	{"contacts.business.bulk-update", "POST", "contacts/bulk/business", "contacts.write", nil, attachContacts},
	{"users.list-by-location", "GET", "users/", "users.readonly", []string{"locationId"}, listUsers},
	{"contacts.get", "GET", "contacts/{id}", "contacts.readonly", nil, getContact},
	{"contacts.update", "PUT", "contacts/{id}", "contacts.write", nil, updateContact},
	{"contacts.delete", "DELETE", "contacts/{id}", "contacts.write", nil, deleteContact},
	{"contacts.tags.add", "POST", "contacts/{id}/tags", "contacts.write", nil, addTags},
	{"contacts.tags.remove", "DELETE", "contacts/{id}/tags", "contacts.write", nil, removeTags},
	{"contacts.tasks.list", "GET", "contacts/{id}/tasks", "contacts.readonly", nil, listTasks},
	{"contacts.tasks.create", "POST", "contacts/{id}/tasks", "contacts.write", nil, createTask},
	{"contacts.tasks.get", "GET", "contacts/{id}/tasks/{item}", "contacts.readonly", nil, getTask},
	{"contacts.tasks.update", "PUT", "contacts/{id}/tasks/{item}", "contacts.write", nil, updateTask},
	{"contacts.tasks.complete", "PUT", "contacts/{id}/tasks/{item}/completed", "contacts.write", nil, completeTask},
	{"contacts.tasks.delete", "DELETE", "contacts/{id}/tasks/{item}", "contacts.write", nil, deleteTask},
	{"contacts.notes.list", "GET", "contacts/{id}/notes", "contacts.readonly", nil, listNotes},
	{"contacts.notes.create", "POST", "contacts/{id}/notes", "contacts.write", nil, createNote},
	{"contacts.notes.get", "GET", "contacts/{id}/notes/{item}", "contacts.readonly", nil, getNote},
	{"contacts.notes.update", "PUT", "contacts/{id}/notes/{item}", "contacts.write", nil, updateNote},
	{"contacts.notes.delete", "DELETE", "contacts/{id}/notes/{item}", "contacts.write", nil, deleteNote},
	{"locations.get", "GET", "locations/{id}", "locations.readonly", nil, getLocation},
	{"locations.tasks.search", "POST", "locations/{id}/tasks/search", "locations/tasks.readonly", nil, searchTasks},
	{"oauth.token", "POST", "oauth/token", "", nil, issueToken},
	{"oauth.location-token", "POST", "oauth/locationToken", "oauth.write", nil, mintToken},
	{"oauth.installed-locations", "GET", "oauth/installedLocations", "oauth.readonly", []string{"companyId", "appId", "skip", "limit", "isInstalled"}, listInstalled},
	{"locations.custom-fields.list", "GET", "locations/{id}/customFields", "locations/customFields.readonly", []string{"model"}, listCustomFields},
}

// versions are the values of the Version header that contacts and locations answer to.
var versions = []string{"2021-07-28", "2023-02-21", "v3"}

// exchange is one call while it is answered.
type exchange struct {
	server    *Server
	request   *http.Request
	body      []byte
	at        time.Time
	operation operation
	id, item  string    // the {id} and the {item} of the path
	location  *location // of the token; nil: nobody's, or a company's
	bearer    *bearer   // the token, if it is one of OAuth's
	knobs     *Knobs
	fault     Fault

	contact string // for the journal
	effect  bool   // something changed
}

// answer is what goes back.
type answer struct {
	status int
	body   map[string]any
}

// maxBody is more than GHL is known to take and less than would hurt.
const maxBody = 8 << 20

// ServeHTTP answers one call of the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	x := &exchange{server: s, request: r, body: body, at: s.now(), knobs: s.current()}
	switch {
	case err != nil:
		s.reply(w, x, refuse(http.StatusRequestEntityTooLarge, "request entity too large"))
		return
	case r.Method == http.MethodGet && slices.Contains(consentPaths, r.URL.Path):
		s.consent(w, x)
		return
	case !x.route():
		s.reply(w, x, x.unknown("no such operation: "+r.Method+" "+r.URL.EscapedPath()))
		return
	}
	if refusal, refused := x.admit(w.Header()); refused {
		s.reply(w, x, refusal)
		return
	}
	var faulty bool
	if x.fault, faulty = s.takeFault(x); faulty {
		s.misbehave(w, x)
		return
	}
	s.reply(w, x, x.handle())
}

// route finds the operation and its ids.
func (x *exchange) route() bool {
	path := strings.TrimPrefix(x.request.URL.EscapedPath(), "/")
	for _, op := range operations {
		if op.method != x.request.Method {
			continue
		}
		id, item, ok := match(op.path, path)
		if !ok {
			continue
		}
		x.operation, x.id, x.item = op, id, item
		if strings.HasPrefix(op.path, "contacts/{id}") {
			x.contact = id
		}
		return true
	}
	return false
}

// match compares an escaped path with a pattern, and returns what stands in the place of its {id} and {item}.
func match(pattern, path string) (id, item string, ok bool) {
	for {
		wanted, restOfPattern, more := strings.Cut(pattern, "/")
		part, restOfPath, moreOfPath := strings.Cut(path, "/")
		if more != moreOfPath {
			return "", "", false
		}
		switch wanted {
		case "{id}", "{item}":
			plain, err := url.PathUnescape(part)
			if err != nil || plain == "" {
				return "", "", false
			}
			if wanted == "{id}" {
				id = plain
			} else {
				item = plain
			}
		case part:
		default:
			return "", "", false
		}
		if !more {
			return id, item, true
		}
		pattern, path = restOfPattern, restOfPath
	}
}

// admit checks the token and counts the call against the limits of its location or company. Which of several refusals
// GHL would give first is not known; a call with a good token counts, however it ends.
func (x *exchange) admit(header http.Header) (refusal answer, refused bool) {
	if x.operation.open() {
		return answer{}, false
	}
	limits, known := x.identify()
	if !known {
		if x.request.Header.Get("Version") == "" {
			return noVersion, true
		}
		return refuse(http.StatusUnauthorized, "Invalid token: access token is invalid"), true
	}
	if !limits.take(x.server.now, x.knobs, header) {
		return refuse(http.StatusTooManyRequests, "Too Many Requests"), true
	}
	return answer{}, false
}

// identify finds whose token it is, and what counts their calls.
func (x *exchange) identify() (*limiter, bool) {
	token, _ := strings.CutPrefix(x.request.Header.Get("Authorization"), "Bearer ")
	if holder, known := x.server.tokens.Load(token); known {
		x.location = holder.(*location)
	} else if x.bearer, known = x.server.oauth.bearer(token, x.at); !known {
		return nil, false
	} else if x.location = x.bearer.location; x.location == nil {
		return x.server.oauth.limiter(x.bearer.install.company), true
	}
	return &x.location.limits, !x.location.suspended.Load()
}

// open is true for what needs no token, and forCompanies for what needs a company's.
func (o operation) open() bool         { return o.scope == "" }
func (o operation) forCompanies() bool { return strings.HasPrefix(o.scope, "oauth.") }

// allowed tells whether the token has the operation's scope.
func (x *exchange) allowed() bool {
	has := func(scopes []string) bool { return slices.Contains(scopes, x.operation.scope) }
	if x.bearer != nil && !has(x.bearer.install.scopes) {
		return false
	}
	if x.location == nil {
		return true
	}
	scopes := x.location.settings.Load().Scopes
	return scopes == nil || has(scopes)
}

// handle lets the operation answer, once the call has what every operation asks for.
func (x *exchange) handle() answer {
	version := x.request.Header.Get("Version")
	switch {
	case x.operation.open(): // these ask for no version either
	case version == "":
		return noVersion
	case !slices.Contains(versions, version):
		return refuse(http.StatusBadRequest, "version header is invalid")
	case x.operation.forCompanies() != (x.location == nil):
		return wrongKind
	case !x.allowed():
		return refuse(http.StatusUnauthorized, "The token is not authorized for this scope.")
	}
	for name := range x.request.URL.Query() {
		if !slices.Contains(x.operation.query, name) {
			return x.unknown("no such query parameter of " + x.operation.name + ": " + name)
		}
	}
	return x.operation.handle(x)
}

// v3 tells whether the call speaks the newest version, which spells some names differently.
func (x *exchange) v3() bool { return x.request.Header.Get("Version") == "v3" }

// unknown is the loud answer to what the fake can't do: a test that provokes it must fail, so it is remembered.
func (x *exchange) unknown(what string) answer {
	x.server.journal.unknown(what)
	return refuse(http.StatusInternalServerError, "ghltest: "+what)
}

// noVersion is what a call without the Version header gets.
var noVersion = refuse(http.StatusUnauthorized, "version header was not found.")

// wrongKind is what a company's token gets where a location's is needed, and the other way round.
var wrongKind = refuse(http.StatusUnauthorized, "This authClass type is not allowed to access this scope.")

// refuse makes a refusal in the shape that the specs give for its status: a list of messages for 422, one message
// for all others. The shapes of 403, 404, 429 and 5xx are in no spec; they follow those of 400 and 401.
func refuse(status int, messages ...string) answer {
	body := map[string]any{"statusCode": status, "error": http.StatusText(status)}
	switch status {
	case http.StatusUnprocessableEntity:
		body["message"] = messages
	case http.StatusBadRequest:
		delete(body, "error")
		fallthrough
	default:
		body["message"] = strings.Join(messages, "; ")
	}
	return answer{status, body}
}

// reply notes the call down and sends the answer.
func (s *Server) reply(w http.ResponseWriter, x *exchange, a answer) {
	s.journal.add(x.call(a.status))
	body := make(map[string]any, len(a.body)+1)
	for name, value := range a.body {
		body[name] = value
	}
	body["traceId"] = newTrace()
	text, err := json.Marshal(body)
	if err != nil {
		text = fmt.Appendf(nil, `{"statusCode":500,"message":"ghltest: %q"}`, err)
		a.status = http.StatusInternalServerError
	}
	s.send(w, x, a.status, "application/json; charset=utf-8", text)
}

func (s *Server) send(w http.ResponseWriter, x *exchange, status int, contentType string, text []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	if x.fault.RetryAfter != "" {
		w.Header().Set("Retry-After", x.fault.RetryAfter)
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller may be gone: its loss
}

func newTrace() string {
	return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
}
