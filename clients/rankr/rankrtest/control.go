package rankrtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Control serves the knobs, the people's verbs and the logs to [Remote], for a fake that runs in a process of its
// own. Who reaches it can do everything: serve it on loopback only, beside the Rankr it controls.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /knobs", show(func(*http.Request) (any, error) { return s.Knobs(), nil }))
	mux.HandleFunc("PUT /knobs", take(func(_ *http.Request, knobs Knobs) (any, error) {
		s.Set(func(k *Knobs) { *k = knobs })
		return knobs, nil
	}))
	mux.HandleFunc("GET /records", show(func(*http.Request) (any, error) { return s.All(), nil }))
	mux.HandleFunc("POST /records", take(func(_ *http.Request, r Record) (any, error) { return s.Add(r) }))
	mux.HandleFunc("PUT /records/{id}", take(func(r *http.Request, record Record) (any, error) {
		return s.Edit(r.PathValue("id"), func(have *Record) { *have = record })
	}))
	mux.HandleFunc("DELETE /records/{id}", show(func(r *http.Request) (any, error) { return nil, s.Remove(r.PathValue("id")) }))
	mux.HandleFunc("PUT /records/{id}/business", show(func(r *http.Request) (any, error) {
		return s.Attach(r.PathValue("id"), r.FormValue("id"))
	}))
	mux.HandleFunc("POST /records/{id}/segments", show(func(r *http.Request) (any, error) {
		return s.PutIntoSegment(r.PathValue("id"), r.FormValue("id"))
	}))
	mux.HandleFunc("DELETE /records/{id}/segments", show(func(r *http.Request) (any, error) {
		return s.TakeOutOfSegment(r.PathValue("id"), r.FormValue("id"))
	}))
	serveItems(mux, s, s.tasks)
	serveItems(mux, s, s.notes)
	serveItems(mux, s, s.businesses)
	serveItems(mux, s, s.segments)
	mux.HandleFunc("GET /calls", show(func(*http.Request) (any, error) { return s.Calls(), nil }))
	mux.HandleFunc("DELETE /calls", show(func(*http.Request) (any, error) { s.Forget(); return nil, nil }))
	mux.HandleFunc("GET /history", show(func(r *http.Request) (any, error) { return s.History(r.FormValue("externalId")), nil }))
	mux.HandleFunc("GET /doubled", show(func(*http.Request) (any, error) { return s.Doubled(), nil }))
	mux.HandleFunc("GET /counters", show(func(*http.Request) (any, error) { return s.Counters(), nil }))
	return mux
}

// serveItems serves people's verbs and the history of tasks, notes, businesses or segments.
func serveItems[T any, P contents[T]](mux *http.ServeMux, s *Server, h *shelf[T, P]) {
	name := h.plural
	mux.HandleFunc("GET /"+name, show(func(r *http.Request) (any, error) { return shown(s, h, r.FormValue("contactId")), nil }))
	mux.HandleFunc("POST /"+name, take(func(_ *http.Request, made T) (any, error) { return add(s, h, made) }))
	mux.HandleFunc("PUT /"+name+"/{id}", take(func(r *http.Request, next T) (any, error) {
		return edit(s, h, r.PathValue("id"), func(have P) { *have = next })
	}))
	mux.HandleFunc("DELETE /"+name+"/{id}", show(func(r *http.Request) (any, error) { return nil, discard(s, h, r.PathValue("id")) }))
	mux.HandleFunc("GET /"+name+"/history", show(func(r *http.Request) (any, error) { return history(s, h, r.FormValue("externalId")), nil }))
	mux.HandleFunc("GET /"+name+"/doubled", show(func(*http.Request) (any, error) { return doubled(s, h), nil }))
}

func show(get func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := get(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
}

func take[T any](do func(*http.Request, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var value T
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&value); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		show(func(r *http.Request) (any, error) { return do(r, value) })(w, r)
	}
}

// Remote is a [Server] in another process, reached through its [Server.Control].
type Remote struct {
	URL    string       // where Control is served
	Client *http.Client // nil: http.DefaultClient
}

// Set turns knobs. Two at the same time may undo each other.
func (r Remote) Set(ctx context.Context, turn func(*Knobs)) error {
	knobs, err := ask[Knobs](ctx, r, http.MethodGet, "/knobs", nil)
	if err != nil {
		return err
	}
	turn(&knobs)
	_, err = ask[Knobs](ctx, r, http.MethodPut, "/knobs", knobs)
	return err
}

// All is [Server.All].
func (r Remote) All(ctx context.Context) ([]Record, error) {
	return ask[[]Record](ctx, r, http.MethodGet, "/records", nil)
}

// Mirrors returns the records that carry the external id.
func (r Remote) Mirrors(ctx context.Context, externalID string) ([]Record, error) {
	all, err := r.All(ctx)
	var mirrors []Record
	for _, record := range all {
		if record.ExternalID == externalID {
			mirrors = append(mirrors, record)
		}
	}
	return mirrors, err
}

// Add is [Server.Add].
func (r Remote) Add(ctx context.Context, record Record) (Record, error) {
	return ask[Record](ctx, r, http.MethodPost, "/records", record)
}

// Edit is [Server.Edit]; a change that comes between its read and its write is lost.
func (r Remote) Edit(ctx context.Context, id string, change func(*Record)) (Record, error) {
	all, err := r.All(ctx)
	if err != nil {
		return Record{}, err
	}
	for _, record := range all {
		if record.ID == id {
			record = record.clone()
			change(&record)
			return ask[Record](ctx, r, http.MethodPut, "/records/"+url.PathEscape(id), record)
		}
	}
	return Record{}, errUnknownRecord
}

// Remove is [Server.Remove].
func (r Remote) Remove(ctx context.Context, id string) error {
	_, err := ask[any](ctx, r, http.MethodDelete, "/records/"+url.PathEscape(id), nil)
	return err
}

// Calls is [Server.Calls].
func (r Remote) Calls(ctx context.Context) ([]Call, error) {
	return ask[[]Call](ctx, r, http.MethodGet, "/calls", nil)
}

// Forget is [Server.Forget].
func (r Remote) Forget(ctx context.Context) error {
	_, err := ask[any](ctx, r, http.MethodDelete, "/calls", nil)
	return err
}

// History is [Server.History].
func (r Remote) History(ctx context.Context, externalID string) ([]Event, error) {
	return ask[[]Event](ctx, r, http.MethodGet, "/history?externalId="+url.QueryEscape(externalID), nil)
}

// Doubled is [Server.Doubled].
func (r Remote) Doubled(ctx context.Context) ([]string, error) {
	return ask[[]string](ctx, r, http.MethodGet, "/doubled", nil)
}

// Counters is [Server.Counters].
func (r Remote) Counters(ctx context.Context) (Counters, error) {
	return ask[Counters](ctx, r, http.MethodGet, "/counters", nil)
}

func ask[T any](ctx context.Context, r Remote, method, path string, send any) (got T, err error) {
	var body io.Reader
	if send != nil {
		text, err := json.Marshal(send)
		if err != nil {
			return got, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.URL, "/")+path, body)
	if err != nil {
		return got, err
	}
	client := r.Client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return got, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return got, fmt.Errorf("rankrtest: %s %s: %s: %w", method, path, bytes.TrimSpace(text), errRefused)
	}
	return got, json.NewDecoder(response.Body).Decode(&got)
}

var errRefused = errors.New("the remote Rankr refuses")
