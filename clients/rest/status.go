package rest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rankrsync/rankrsync/crm"
)

// codes are what one system's failures are called.
type codes struct {
	notFound, scope, token, tenant, invalid, duplicate, moved, limited, unavailable crm.Code
	suspended, reconnect                                                            crm.Code // empty: the system has no such refusals
}

var codesOf = map[string]codes{
	"ghl": {
		notFound: crm.GHLNotFound, scope: crm.GHLScope, token: crm.GHLToken, tenant: crm.GHLTenant,
		invalid: crm.GHLInvalid, duplicate: crm.GHLDuplicate, moved: crm.GHLUnavailable,
		limited: crm.GHLRateLimited, unavailable: crm.GHLUnavailable,
		suspended: crm.GHLSuspended, reconnect: crm.GHLReconnect,
	},
	"rankr": {
		notFound: crm.RankrNotFound, scope: crm.RankrToken, token: crm.RankrToken, tenant: crm.RankrToken,
		invalid: crm.RankrInvalid, duplicate: crm.RankrDuplicate, moved: crm.RankrMoved,
		limited: crm.RankrRateLimited, unavailable: crm.RankrUnavailable,
	},
}

// failure is the one reader of status codes. It returns nil for any 2xx: GHL answers some declared 200 with 201.
//
// A refusal counts only when the system itself spoke, in its own JSON shape: a 404 of a proxy in between must never
// read as "deleted". Such an answer, like none at all, leaves open whether a write took effect.
func (c *Client) failure(call Call, a answer) *crm.Error {
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	said, own := readRefusal(a)
	e := c.refuse(call, c.codes.unavailable)
	e.Status, e.TraceID = a.status, said.traceID
	grant, fields := c.ungranted(call, said)
	switch {
	case a.status == http.StatusTooManyRequests:
		e.Code, e.Wait = c.codes.limited, a.limits().closed
	case grant != "" && own && (a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized || a.status == http.StatusForbidden):
		e.Code, e.Fields = grant, fields
	case a.status == http.StatusUnauthorized:
		e.Code, e.Fields = c.unauthorized(said)
	case a.status == http.StatusPreconditionFailed && call.Header.Get("If-Match") != "":
		e.Code = c.codes.moved
	case !own || a.status < 400 || a.status >= 500 || a.status == http.StatusRequestTimeout || a.status == http.StatusTooEarly:
		e.Landed, e.Wait = a.sent && call.writes(), a.limits().closed
	case a.status == http.StatusForbidden:
		e.Code, e.Fields = c.forbidden(said)
	case a.status == http.StatusNotFound:
		e.Code = c.codes.notFound
	case said.winner != "":
		e.Code, e.ID = c.codes.duplicate, said.winner
	case said.about("version header", "api version", "invalid version"):
		e.Code, e.Fields = c.codes.token, []string{"Version"}
	default:
		e.Code, e.Fields = c.codes.invalid, said.fields
	}
	return e
}

// ungranted reads what is said where tokens are given out. A client that is refused is the token's code with the field
// "client", and another redirect address than the app's is the one with "redirect_uri".
func (c *Client) ungranted(call Call, said refusal) (crm.Code, []string) {
	switch {
	case c.codes.suspended != "" && said.about("location is not active"):
		return c.codes.suspended, nil
	case c.codes.reconnect == "" || call.Form == nil:
		return "", nil
	case said.about("redirect_uri", "redirect uri", "redirecturi"):
		return c.codes.token, []string{"redirect_uri"}
	case said.about("invalid client", "invalid_client", "unauthorized_client", "client_id", "client_secret", "clientid", "clientsecret"):
		return c.codes.token, []string{"client"}
	case said.about("invalid grant", "invalid_grant"):
		return c.codes.reconnect, nil
	}
	return "", nil
}

// unauthorized tells apart what GHL packs into one status. Each needs another remedy, so the field says which.
func (c *Client) unauthorized(said refusal) (crm.Code, []string) {
	switch {
	case said.about("user type", "authclass"): // an agency's token where a location's is needed; may also say "scope"
		return c.codes.token, []string{"userType"}
	case said.about("scope"):
		return c.codes.scope, nil
	case said.about("version"):
		return c.codes.token, []string{"Version"}
	default:
		return c.codes.token, nil
	}
}

func (c *Client) forbidden(said refusal) (crm.Code, []string) {
	if said.about("scope", "user type", "authclass") {
		return c.unauthorized(said)
	}
	return c.codes.tenant, nil
}

// refuse starts an error for a call that certainly had no effect.
func (c *Client) refuse(call Call, code crm.Code) *crm.Error {
	return &crm.Error{Code: code, Operation: c.system + " " + call.Operation}
}

// unreadable is the error for a good status with a body that can't be used. A field of a wrong type, or a record that
// is too large or too deep, is the record's own fault, and trying again would never end; anything else is no answer of
// the system's.
func (c *Client) unreadable(call Call, meta Meta, fields []string) *crm.Error {
	e := c.refuse(call, c.codes.unavailable)
	if fields != nil {
		e.Code = c.codes.invalid
	}
	e.Status, e.Fields, e.Landed = meta.Status, fields, call.writes()
	return e
}

func (c Call) writes() bool { return c.Method != http.MethodGet && c.Method != http.MethodHead }

// refusal is what may be kept of an error body. Its messages never leave this file.
type refusal struct {
	messages []string // lower case
	fields   []string
	traceID  string
	winner   string // the id that a duplicate lost against
}

func (r refusal) about(words ...string) bool {
	return slices.ContainsFunc(r.messages, func(message string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(message, word) })
	})
}

// grantErrors are what RFC 6749 lets a token endpoint say.
var grantErrors = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
}

var tracePattern = regexp.MustCompile(`^[A-Za-z0-9-]{8,64}$`)

// readRefusal reads an error body of either system; own tells whether it has their shape. A 404 must carry its own
// status and a message, since contacts are deleted on its word.
func readRefusal(a answer) (said refusal, own bool) {
	var body map[string]jsontext.Value
	if !a.isJSON() || json.Unmarshal(a.body, &body, ReadOptions) != nil {
		return refusal{}, false
	}
	said.messages = texts(body["message"])
	if envelope := object(body["error"]); envelope != nil { // v3: {error: {code, message}}
		said.messages = append(said.messages, texts(envelope["message"])...)
	}
	if kind := strings.Join(texts(body["error"]), ""); slices.Contains(grantErrors, kind) { // OAuth's own shape
		said.messages = append(said.messages, kind)
		said.messages = append(said.messages, texts(body["error_description"])...)
	}
	for _, message := range said.messages {
		said.fields = append(said.fields, namedFields(message)...)
	}
	for _, field := range list(body["fields"]) { // Rankr: [{field, message}]
		said.fields = append(said.fields, knownFields(strings.Join(texts(object(field)["field"]), ""))...)
	}
	slices.Sort(said.fields)
	said.fields = slices.Compact(said.fields)
	for i := range said.messages {
		said.messages[i] = strings.ToLower(said.messages[i])
	}
	if trace := strings.Join(texts(body["traceId"]), ""); tracePattern.MatchString(trace) {
		said.traceID = trace
	}
	said.winner = winner(a.status, body)
	status := number(body["statusCode"])
	if a.status == http.StatusNotFound {
		return said, status == http.StatusNotFound && len(said.messages) > 0
	}
	return said, status == a.status || len(said.messages) > 0
}

// winner finds the id of the record that exists already: GHL puts it into a 400's meta, Rankr into a 409.
func winner(status int, body map[string]jsontext.Value) string {
	id := texts(object(body["meta"])["contactId"])
	if status == http.StatusConflict && len(id) == 0 {
		id = texts(body["id"])
	}
	if len(id) == 1 && crm.ValidID(id[0]) {
		return id[0]
	}
	return ""
}

// The readers below take what has the wanted type and nothing else: an error body with a surprise in one place is
// still good in the others.

func texts(value jsontext.Value) (all []string) {
	var one string
	if value.Kind() == '"' && json.Unmarshal(value, &one, ReadOptions) == nil {
		return []string{one}
	}
	for _, item := range list(value) {
		if item.Kind() == '"' {
			all = append(all, texts(item)...)
		}
	}
	return all
}

func list(value jsontext.Value) (items []jsontext.Value) {
	if value.Kind() == '[' {
		_ = json.Unmarshal(value, &items, ReadOptions)
	}
	return items
}

func object(value jsontext.Value) (members map[string]jsontext.Value) {
	if value.Kind() == '{' {
		_ = json.Unmarshal(value, &members, ReadOptions)
	}
	return members
}

func number(value jsontext.Value) (n int) {
	if value.Kind() == '0' {
		_ = json.Unmarshal(value, &n)
	}
	return n
}
