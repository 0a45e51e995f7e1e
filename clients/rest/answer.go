package rest

import (
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds how deep an answer may nest. No vendor document is deeper than ten.
const maxDepth = 200

// What stands in the place of fields when no field is wrong but the whole answer is more than we take.
const (
	tooLarge = "answer-too-large"
	tooDeep  = "answer-too-deep"
)

// answer is what came back, as far as it came.
type answer struct {
	status int // 0: none
	header http.Header
	body   []byte
	sent   bool // the request went out, so it may have had its effect
	cut    bool // no answer, one that broke off, or one that is too long
	large  bool // of these: too long
}

func (a answer) meta() Meta {
	date, _ := http.ParseTime(a.header.Get("Date")) // zero when missing or junk
	left, _ := a.daily()
	return Meta{Status: a.status, Date: date, ETag: a.header.Get("ETag"), DailyLeft: left}
}

// ReadOptions are how a vendor's JSON is read: as leniently as the vendors' own JavaScript does, so that a doubled
// name or a broken character does not keep a record from being read at all.
var ReadOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// isJSON tells whether the body is complete, within bounds and says that it is JSON.
func (a answer) isJSON() bool {
	deepest, _ := nesting(a.body)
	return a.saysJSON() && !a.cut && deepest <= maxDepth
}

// saysJSON tells what the body claims to be. A proxy's HTML claims no such thing.
func (a answer) saysJSON() bool {
	media, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return false
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// decode reads a good answer into out. When it can't, and the same answer would fail the same way, it says why: the
// name of a field of a wrong type, if it is one we know, or that the answer is more than we take.
func (a answer) decode(out any) (fields []string, ok bool) {
	if out == nil && len(a.body) == 0 && !a.cut {
		return nil, true
	}
	if !a.isJSON() {
		return a.excess(), false
	}
	if out == nil {
		return nil, true
	}
	err := json.Unmarshal(a.body, out, ReadOptions)
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		return fieldOf(wrong.JSONPointer), false
	}
	return nil, err == nil
}

// excess tells by how a JSON answer is more than we take. One that broke off may be smaller the next time.
func (a answer) excess() []string {
	if !a.saysJSON() {
		return nil
	}
	if a.large {
		return []string{tooLarge}
	}
	if deepest, closed := nesting(a.body); deepest > maxDepth && closed {
		return []string{tooDeep}
	}
	return nil
}

// fieldOf makes a field's name of where in the document it stands: /contact/customFields/3/value is
// customFields.value. The document's outermost name is its envelope: when that is wrong, no field is.
func fieldOf(pointer jsontext.Pointer) []string {
	var parts []string
	for token := range pointer.Tokens() {
		parts = append(parts, token)
	}
	if len(parts) < 2 {
		return nil
	}
	return knownFields(strings.Join(parts[1:], "."))
}

// nesting counts brackets outside of strings. Whether they match is the decoder's business.
func nesting(text []byte) (deepest int, closed bool) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\':
			i++ // whatever it escapes
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			depth++
			deepest = max(deepest, depth)
		case b == '}' || b == ']':
			depth--
		}
	}
	return deepest, depth == 0 && !quoted
}

// limits is what an answer tells of the vendor's rate limit.
type limits struct {
	remaining, most int           // of the vendor's window; most 0: not told
	per             time.Duration // the window's length; 0: not told
	closed          time.Duration // the vendor wants to be left alone for this long
	left, day       int           // of the day's budget; day 0: not told
	ends            time.Duration // until the day does; 0: not told
}
