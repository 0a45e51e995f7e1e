package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
)

// This file has the two systems and the people who work in them.

const rankrToken = "rankr-bench-token"

// fakes are a GHL and a Rankr without limits, on loopback.
type fakes struct {
	ghl              *ghltest.Server
	rankr            *rankrtest.Server
	ghlURL, rankrURL string
	writes           *writes
	valve            *valve
	servers          []*http.Server
	made             int // contacts
	edits            atomic.Int64
}

func newFakes() (*fakes, error) {
	f := &fakes{ghl: ghltest.New(), rankr: rankrtest.New()}
	f.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	f.rankr.Set(func(k *rankrtest.Knobs) { k.Unlimited, k.Tokens = true, map[string]string{rankrToken: ""} })
	f.writes = &writes{rankr: f.rankr, contacts: map[string]string{}}
	f.valve = &valve{next: f.ghl}
	var err error
	if f.ghlURL, err = f.listen(f.valve); err != nil {
		return f, err
	}
	f.rankrURL, err = f.listen(f.writes)
	return f, err
}

func (f *fakes) listen(handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	f.servers = append(f.servers, server)
	go server.Serve(listener) //nolint:errcheck // it returns when the server is closed
	return "http://" + listener.Addr().String(), nil
}

func (f *fakes) close() {
	for _, server := range f.servers {
		_ = server.Close()
	}
	f.ghl.Close()
}

// populate makes n contacts in a location, each with what one knows of a good customer, and returns their ids. No two
// of the whole run share an email or a phone: they would be one person to Rankr.
func (f *fakes) populate(location string, n int) []string {
	f.ghl.PutLocation(ghltest.Location{
		ID: location, Name: "Bench", Country: "US", Timezone: "America/Chicago", CustomFields: ghltest.SeedFields,
	})
	ids := make([]string, n)
	for i := range ids {
		f.made++
		made := f.ghl.Quietly().Create(location, ghltest.Contact{
			FirstName: "Ada", LastName: "Brook",
			Email: fmt.Sprintf("person%d@bench.example", f.made), Phone: fmt.Sprintf("+1202%07d", f.made),
			CompanyName: "Brook & Sons", Address1: "12 Harbour St", City: "Springfield", State: "IL", PostalCode: "62701",
			Country: "US", Timezone: "America/Chicago", Source: "web form", Tags: []string{"customer", "vip"},
			CustomFields: []ghltest.Value{
				{ID: ghltest.SeedFields[0].ID, Value: "plus"}, {ID: ghltest.SeedFields[1].ID, Value: 3},
			},
		})
		ids[i] = made.ID
	}
	return ids
}

// settle makes n locations with one contact each, and returns the ids of both.
func (f *fakes) settle(prefix string, n int) (locations, contacts []string) {
	for i := range n {
		location := fmt.Sprintf("%s%05d", prefix, i)
		locations = append(locations, location)
		contacts = append(contacts, f.populate(location, 1)...)
	}
	return locations, contacts
}

// edit gives a contact another first name; no webhook tells of it yet.
func (f *fakes) edit(contact string) error {
	name := fmt.Sprintf("Ada %d", f.edits.Add(1))
	_, err := f.ghl.Quietly().Edit(contact, func(c *ghltest.Contact) { c.FirstName = name })
	return err
}

// webhook is a signed delivery.
type webhook struct{ body, signature string }

// webhook tells of a contact as it is now.
func (f *fakes) webhook(contact string) (webhook, error) {
	body, err := f.ghl.Event(ghltest.ContactUpdate, contact)
	return webhook{string(body), f.ghl.Sign(body)}, err
}

// webhooks tells of each contact.
func (f *fakes) webhooks(contacts []string) ([]webhook, error) {
	all := make([]webhook, len(contacts))
	for i, contact := range contacts {
		w, err := f.webhook(contact)
		if err != nil {
			return nil, err
		}
		all[i] = w
	}
	return all, nil
}

// calls are the GHL calls and the writes that Rankr has carried out, of the whole run.
func (f *fakes) calls() (reads, writes int) {
	for _, effects := range f.rankr.Counters().Effects {
		writes += effects
	}
	return f.ghl.Stats().Calls, writes
}

// inStep compares Rankr with GHL, as far as edits go.
func (f *fakes) inStep(contacts []string) error {
	for _, contact := range contacts {
		want, _ := f.ghl.Contact(contact)
		have, ok := f.rankr.Mirror(contact)
		if !ok || have.Fields["firstName"] != want.FirstName {
			return fmt.Errorf("contact %s is not in step: Rankr has the first name %v, GHL %q", contact, have.Fields["firstName"], want.FirstName)
		}
	}
	return nil
}

// writes stands before the fake Rankr and tells of each write the moment it was carried out.
type writes struct {
	bells
	rankr *rankrtest.Server

	mu       sync.Mutex
	contacts map[string]string   // by the id of their record
	awaited  map[string]struct{} // those not written to since watch was told of them
	last     time.Time           // when the last of them was
}

// ServeHTTP notes a write before its answer has left: the fake's answers are small enough to wait in the connection's
// buffer until we return.
func (w *writes) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if request.Method == http.MethodGet {
		w.rankr.ServeHTTP(response, request)
		return
	}
	if id, _, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/contacts/"), "/"); id != "" {
		w.rankr.ServeHTTP(response, request)
		w.note(w.owner(id))
		return
	}
	contact := named(request)
	w.rankr.ServeHTTP(response, request)
	if record, ok := w.rankr.Mirror(contact); ok {
		w.own(record.ID, contact)
		w.note(contact)
	}
}

// named returns the contact that a create is for. The body can be read again.
func named(request *http.Request) string {
	body, err := io.ReadAll(request.Body)
	request.Body = io.NopCloser(bytes.NewReader(body))
	var record struct {
		ExternalID string `json:"externalId"`
	}
	if err != nil || json.Unmarshal(body, &record) != nil {
		return ""
	}
	return record.ExternalID
}

func (w *writes) owner(record string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.contacts[record]
}

func (w *writes) own(record, contact string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.contacts[record] = contact
}

func (w *writes) note(contact string) {
	now := time.Now()
	w.mu.Lock()
	if _, awaited := w.awaited[contact]; awaited {
		delete(w.awaited, contact)
		w.last = now
	}
	w.mu.Unlock()
	w.ring(contact, now)
}

// watch waits for one write to each of these contacts from now on.
func (w *writes) watch(contacts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaited = make(map[string]struct{}, len(contacts))
	for _, contact := range contacts {
		w.awaited[contact] = struct{}{}
	}
}

// missing tells how many of the contacts still have no write, and when the last of the others got its first.
func (w *writes) missing() (int, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.awaited), w.last
}

// bells let callers wait for what happens to one of many keys.
type bells struct {
	lock    sync.Mutex
	waiting map[string]chan time.Time
}

// listen returns a channel that gets the time at which the key is rung next. One caller per key.
func (b *bells) listen(key string) <-chan time.Time {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.waiting == nil {
		b.waiting = map[string]chan time.Time{}
	}
	bell := make(chan time.Time, 1)
	b.waiting[key] = bell
	return bell
}

func (b *bells) ring(key string, at time.Time) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if bell, ok := b.waiting[key]; ok {
		bell <- at
		delete(b.waiting, key)
	}
}

// valve stands before the fake GHL and can make all calls wait.
type valve struct {
	next   http.Handler
	closed atomic.Pointer[chan struct{}] // nil: open
}

func (v *valve) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if closed := v.closed.Load(); closed != nil {
		select {
		case <-*closed:
		case <-r.Context().Done():
			return
		}
	}
	v.next.ServeHTTP(w, r)
}

// hold makes calls wait until release is called, once or more.
func (v *valve) hold() (release func()) {
	closed := make(chan struct{})
	v.closed.Store(&closed)
	return sync.OnceFunc(func() {
		v.closed.Store(nil)
		close(closed)
	})
}
