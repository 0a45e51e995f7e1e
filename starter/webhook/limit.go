package webhook

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// MaxBody is the largest body that is read, 4 MiB. GHL's events are a few kilobytes.
const MaxBody = 4 << 20

// firstRead holds nearly every event; a body that needs more room asks for it as it arrives, so that a sender who
// announces much and sends little holds little.
const firstRead = 4 << 10

// ordinary is more than any event of GHL's own takes. What goes beyond it shares half of the room, so that strangers with
// huge bodies can't keep honest senders out.
const ordinary = 64 << 10

// supported refuses what could not be an event before any of its body is read.
func supported(r *http.Request) Result {
	if r.Method != http.MethodPost {
		return NotPost
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return Unsupported
	}
	if kind := r.Header.Get("Content-Type"); kind != "" && !plainJSON(kind) {
		return Unsupported
	}
	if r.ContentLength > MaxBody {
		return TooLarge
	}
	return ""
}

func plainJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return false
	}
	charset := params["charset"]
	return charset == "" || strings.EqualFold(charset, "utf-8")
}

// limit reads the body within MaxBody and within what all bodies in hand may hold together. The caller calls
// release, whatever the result, once it no longer needs the body.
func (h *receiver) limit(w http.ResponseWriter, r *http.Request) (body []byte, release func(), result Result) {
	var held, heldLarge int64
	release = func() {
		h.bytes.Release(held)
		h.large.Release(heldLarge)
	}
	limited := http.MaxBytesReader(w, r.Body, MaxBody)
	for {
		if len(body) == cap(body) {
			more := int64(max(firstRead, cap(body)))
			if held+more > ordinary {
				if !h.large.TryAcquire(more) {
					return nil, release, Full
				}
				heldLarge += more
			}
			if !h.bytes.TryAcquire(more) {
				return nil, release, Full
			}
			held += more
			body = append(make([]byte, 0, held), body...)
		}
		n, err := limited.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		var tooLarge *http.MaxBytesError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return body, release, ""
		case errors.As(err, &tooLarge):
			return nil, release, TooLarge
		default:
			return nil, release, Cut
		}
	}
}
