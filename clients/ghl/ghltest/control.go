package ghltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// Control returns a handler that does over HTTP, as JSON, what the server's methods do: for when the fake is a
// process of its own. [Remote] is its client. It has no access control: keep it on loopback.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(*http.Request) (any, error){
		"GET /knobs":                     func(*http.Request) (any, error) { return s.Knobs(), nil },
		"PATCH /knobs":                   s.patchKnobs,
		"PUT /locations":                 s.putLocation,
		"POST /locations/{id}/seed":      s.seed,
		"GET /locations/{id}/limits":     func(r *http.Request) (any, error) { return s.Limits(r.PathValue("id")), nil },
		"POST /locations/{id}/scopes":    s.scope((*Server).Grant),
		"DELETE /locations/{id}/scopes":  s.scope((*Server).Revoke),
		"GET /businesses":                func(r *http.Request) (any, error) { return s.Businesses(r.URL.Query().Get("location")), nil },
		"POST /businesses":               s.postBusiness,
		"PATCH /businesses/{id}":         patch(s, Person.EditBusiness),
		"DELETE /businesses/{id}":        func(r *http.Request) (any, error) { return nil, s.person(r).DeleteBusiness(r.PathValue("id")) },
		"PUT /contacts/{id}/business":    s.attachment,
		"DELETE /contacts/{id}/business": func(r *http.Request) (any, error) { return s.person(r).Detach(r.PathValue("id")) },
		"GET /contacts":                  func(r *http.Request) (any, error) { return s.Contacts(r.URL.Query().Get("location")), nil },
		"POST /contacts":                 s.postContact,
		"GET /contacts/{id}":             s.readContact,
		"PATCH /contacts/{id}":           s.patchContact,
		"DELETE /contacts/{id}":          func(r *http.Request) (any, error) { return nil, s.person(r).Delete(r.PathValue("id")) },
		"POST /contacts/{id}/tags":       s.tag(Person.Tag),
		"DELETE /contacts/{id}/tags":     s.tag(Person.Untag),
		"GET /contacts/{id}/tasks":       func(r *http.Request) (any, error) { return s.Tasks(r.PathValue("id")), nil },
		"POST /contacts/{id}/tasks":      post(s, Person.AddTask),
		"PATCH /tasks/{id}":              patch(s, Person.EditTask),
		"DELETE /tasks/{id}":             func(r *http.Request) (any, error) { return nil, s.person(r).DeleteTask(r.PathValue("id")) },
		"GET /contacts/{id}/notes":       func(r *http.Request) (any, error) { return s.Notes(r.PathValue("id")), nil },
		"POST /contacts/{id}/notes":      post(s, Person.AddNote),
		"PATCH /notes/{id}":              patch(s, Person.EditNote),
		"DELETE /notes/{id}":             func(r *http.Request) (any, error) { return nil, s.person(r).DeleteNote(r.PathValue("id")) },
		"POST /installs":                 s.postInstall,
		"DELETE /installs":               func(r *http.Request) (any, error) { return nil, s.Uninstall(r.URL.Query().Get("owner")) },
		"PUT /choice":                    s.putChoice,
		"PUT /redirects":                 s.putRedirects,
		"POST /locations/{id}/suspend":   func(r *http.Request) (any, error) { s.Suspend(r.PathValue("id")); return nil, nil },
		"POST /locations/{id}/resume":    func(r *http.Request) (any, error) { s.Resume(r.PathValue("id")); return nil, nil },
		"POST /tokens/expire":            func(r *http.Request) (any, error) { s.Expire(r.URL.Query().Get("owner")); return nil, nil },
		"GET /calls":                     func(*http.Request) (any, error) { return s.Calls(), nil },
		"GET /stats":                     func(*http.Request) (any, error) { return s.Stats(), nil },
		"POST /reset":                    func(*http.Request) (any, error) { s.Reset(); return nil, nil },
		"GET /deliveries":                func(*http.Request) (any, error) { return s.Deliveries(), nil },
		"POST /settle":                   func(r *http.Request) (any, error) { return nil, s.Settle(r.Context()) },
		"POST /events/{kind}/{id}":       s.signedEvent,
		"GET /key":                       func(*http.Request) (any, error) { return s.PublicKey(), nil },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { control(w, r, handle) })
	}
	return mux
}

// control answers with what handle returns; its error becomes a text.
func control(w http.ResponseWriter, r *http.Request, handle func(*http.Request) (any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	result, err := handle(r)
	switch {
	case errors.Is(err, ErrGone):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, context.DeadlineExceeded):
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // the caller may be gone: its loss
	}
}

// person is the one who acts: with ?quiet=true no webhook tells of it.
func (s *Server) person(r *http.Request) Person {
	quiet, _ := strconv.ParseBool(r.URL.Query().Get("quiet"))
	return Person{s, quiet}
}

// patchKnobs sets the knobs that the body names and leaves the others as they are.
func (s *Server) patchKnobs(r *http.Request) (any, error) {
	var patch json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		return nil, err
	}
	var err error
	s.Set(func(k *Knobs) {
		next := *k
		if faultsIn(patch) {
			next.Faults = nil // a list is replaced, not written over
		}
		decoder := json.NewDecoder(bytes.NewReader(patch))
		decoder.DisallowUnknownFields() // a misspelt knob would do nothing
		if err = decoder.Decode(&next); err == nil {
			*k = next
		}
	})
	return s.Knobs(), err
}

func faultsIn(patch json.RawMessage) bool {
	var names struct{ Faults *json.RawMessage }
	return json.Unmarshal(patch, &names) == nil && names.Faults != nil
}

func (s *Server) putLocation(r *http.Request) (any, error) {
	var l Location
	if err := json.NewDecoder(r.Body).Decode(&l); err != nil {
		return nil, err
	}
	s.PutLocation(l)
	return l, nil
}

func (s *Server) postInstall(r *http.Request) (any, error) {
	var c Choice
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return nil, err
	}
	return s.Install(c)
}

func (s *Server) putChoice(r *http.Request) (any, error) {
	var c Choice
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return nil, err
	}
	s.Choose(c)
	return nil, nil
}

func (s *Server) putRedirects(r *http.Request) (any, error) {
	var urls []string
	if err := json.NewDecoder(r.Body).Decode(&urls); err != nil {
		return nil, err
	}
	s.AllowRedirects(urls...)
	return nil, nil
}

// scope changes the scopes of a location by those that the body lists.
func (s *Server) scope(change func(*Server, string, ...string)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var scopes []string
		if err := json.NewDecoder(r.Body).Decode(&scopes); err != nil {
			return nil, err
		}
		change(s, r.PathValue("id"), scopes...)
		return nil, nil
	}
}

func (s *Server) postBusiness(r *http.Request) (any, error) {
	var b Business
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		return nil, err
	}
	return s.person(r).AddBusiness(b.Location, b), nil
}

func (s *Server) attachment(r *http.Request) (any, error) {
	var business string
	if err := json.NewDecoder(r.Body).Decode(&business); err != nil {
		return nil, err
	}
	return s.person(r).Attach(r.PathValue("id"), business)
}

func (s *Server) seed(r *http.Request) (any, error) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 0 {
		return nil, errors.New("n must be a number")
	}
	return s.Seed(r.PathValue("id"), n), nil
}

func (s *Server) postContact(r *http.Request) (any, error) {
	var c Contact
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return nil, err
	}
	return s.person(r).Create(c.Location, c), nil
}

func (s *Server) readContact(r *http.Request) (any, error) {
	c, ok := s.Contact(r.PathValue("id"))
	if !ok {
		return nil, ErrGone
	}
	return c, nil
}

// patchContact sets what the body names; an empty value clears.
func (s *Server) patchContact(r *http.Request) (any, error) {
	var patch json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(patch, &Contact{}); err != nil {
		return nil, err
	}
	return s.person(r).Edit(r.PathValue("id"), func(c *Contact) {
		c.Tags, c.CustomFields = append([]string{}, c.Tags...), append([]Value{}, c.CustomFields...)
		_ = json.Unmarshal(patch, c) // tried just before
	})
}

// post hangs what the body holds on a contact.
func post[T any](s *Server, add func(Person, string, T) (T, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var made T
		if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
			return nil, err
		}
		return add(s.person(r), r.PathValue("id"), made)
	}
}

// patch sets what the body names of a task, a note or a business; an empty value clears.
func patch[T any](s *Server, edit func(Person, string, func(*T)) (T, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var values json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&values); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(values, new(T)); err != nil {
			return nil, err
		}
		return edit(s.person(r), r.PathValue("id"), func(record *T) {
			_ = json.Unmarshal(values, record) // tried just before
		})
	}
}

func (s *Server) tag(change func(Person, string, ...string) (Contact, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var tags []string
		if err := json.NewDecoder(r.Body).Decode(&tags); err != nil {
			return nil, err
		}
		return change(s.person(r), r.PathValue("id"), tags...)
	}
}

// SignedEvent is an event as it would be delivered.
type SignedEvent struct {
	Body      []byte `json:"body"` // base64 in JSON: every byte is signed
	Signature string `json:"signature"`
}

func (s *Server) signedEvent(r *http.Request) (any, error) {
	body, err := s.Event(r.PathValue("kind"), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return SignedEvent{body, s.Sign(body)}, nil
}
