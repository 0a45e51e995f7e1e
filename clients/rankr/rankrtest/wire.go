package rankrtest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
)

// spoil sends the answer as the fault wants it.
func (s *Server) spoil(w http.ResponseWriter, req request, fault Fault, a answer) {
	if fault.Status != 0 {
		header := a.header
		a = failure(fault.Status, "as the knob says")
		a.header = header
		if fault.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(fault.RetryAfter))
		}
	}
	switch {
	case fault.ResetAfter:
		reset(w)
	case fault.Cut:
		cut(w, a)
	case fault.HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, "<!doctype html><title>Please wait</title><h1>Checking your browser</h1>")
	case fault.Empty:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(a.status)
	case fault.Foreign:
		a.body = foreign(req)
		s.send(w, a)
	default:
		s.send(w, a)
	}
}

// foreign is a well-formed answer that has nothing to do with the question: another contact, task, note, business or segment
// where one was asked for, another contact's tasks, notes or segments, another program's answer elsewhere.
func foreign(req request) any {
	other := map[string]any{"id": "somebody-else", "externalId": "somebody-else", "contactId": "somebody-else", "name": "somebody else"}
	switch req.name {
	case "contacts.find", "segments.find":
		return map[string]any{"items": []any{other}, "count": 1}
	case "contacts.get", "contacts.create", "contacts.update":
		return map[string]any{"contact": other}
	case "tasks.list":
		return map[string]any{"tasks": []any{other}}
	case "tasks.create", "tasks.update", "tasks.complete":
		return map[string]any{"task": other}
	case "notes.list":
		return map[string]any{"notes": []any{other}}
	case "notes.create", "notes.update":
		return map[string]any{"note": other}
	case "businesses.find":
		return map[string]any{"businesses": []any{other}}
	case "businesses.get", "businesses.create", "businesses.update":
		return map[string]any{"business": other}
	case "segments.create", "segments.update":
		return map[string]any{"segment": other}
	case "contacts.setSegments":
		return map[string]any{"segmentIds": []any{"somebody-else"}}
	}
	return map[string]any{"ok": true}
}

// reset ends the connection the hard way: the peer gets a TCP RST, not an end of file.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // no socket of our own (HTTP/2, a recorder): the nearest there is
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// cut announces the whole answer, sends half and ends the connection.
func cut(w http.ResponseWriter, a answer) {
	text, err := json.Marshal(a.body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(a.status)
	_, _ = w.Write(text[:len(text)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
