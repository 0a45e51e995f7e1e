package ghltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// RemoteServer drives a fake in another process through its [Server.Control] handler. Its methods do what the
// methods of [Server] with the same name do.
type RemoteServer struct {
	base  string
	quiet bool
}

// Remote returns the client of the control handler at a base URL.
func Remote(baseURL string) RemoteServer { return RemoteServer{base: strings.TrimSuffix(baseURL, "/")} }

// Quietly returns a client whose changes no webhook tells of.
func (r RemoteServer) Quietly() RemoteServer { r.quiet = true; return r }

// Set sets the named knobs (JSON names of [Knobs]) and leaves the others as they are; faults are replaced as a list.
func (r RemoteServer) Set(ctx context.Context, knobs map[string]any) error {
	return r.do(ctx, http.MethodPatch, "/knobs", knobs, nil)
}

// Knobs returns the knobs as they stand.
func (r RemoteServer) Knobs(ctx context.Context) (Knobs, error) {
	return ask[Knobs](ctx, r, http.MethodGet, "/knobs", nil)
}

// Fail replaces all faults by the given ones.
func (r RemoteServer) Fail(ctx context.Context, faults ...Fault) error {
	return r.Set(ctx, map[string]any{"faults": faults})
}

// Heal takes all faults away.
func (r RemoteServer) Heal(ctx context.Context) error { return r.Fail(ctx) }

// Deliver sends the events of all changes from now on to a URL.
func (r RemoteServer) Deliver(ctx context.Context, url string) error {
	return r.Set(ctx, map[string]any{"webhookUrl": url})
}

// PutLocation adds a location, or replaces the settings of one.
func (r RemoteServer) PutLocation(ctx context.Context, l Location) error {
	return r.do(ctx, http.MethodPut, "/locations", l, nil)
}

// Seed puts n contacts into a location and returns their ids.
func (r RemoteServer) Seed(ctx context.Context, location string, n int) ([]string, error) {
	return ask[[]string](ctx, r, http.MethodPost, "/locations/"+url.PathEscape(location)+"/seed?n="+strconv.Itoa(n), nil)
}

// Limits tells how a location's calls stood against its limits.
func (r RemoteServer) Limits(ctx context.Context, location string) (Limits, error) {
	return ask[Limits](ctx, r, http.MethodGet, "/locations/"+url.PathEscape(location)+"/limits", nil)
}

// Contacts returns a location's contacts.
func (r RemoteServer) Contacts(ctx context.Context, location string) ([]Contact, error) {
	return ask[[]Contact](ctx, r, http.MethodGet, "/contacts?location="+url.QueryEscape(location), nil)
}

// Contact returns a contact as it is now.
func (r RemoteServer) Contact(ctx context.Context, id string) (Contact, error) {
	return ask[Contact](ctx, r, http.MethodGet, contactPath(id), nil)
}

// Create makes a contact in a location and returns it as saved.
func (r RemoteServer) Create(ctx context.Context, location string, c Contact) (made Contact, err error) {
	c.Location = location
	return made, r.do(ctx, http.MethodPost, r.as("/contacts"), c, &made)
}

// Edit sets the named values (JSON names of [Contact]); empty ones clear.
func (r RemoteServer) Edit(ctx context.Context, id string, values map[string]any) (Contact, error) {
	return ask[Contact](ctx, r, http.MethodPatch, r.as(contactPath(id)), values)
}

// Tag adds tags to a contact.
func (r RemoteServer) Tag(ctx context.Context, id string, tags ...string) (Contact, error) {
	return ask[Contact](ctx, r, http.MethodPost, r.as(contactPath(id)+"/tags"), tags)
}

// Untag takes tags from a contact.
func (r RemoteServer) Untag(ctx context.Context, id string, tags ...string) (Contact, error) {
	return ask[Contact](ctx, r, http.MethodDelete, r.as(contactPath(id)+"/tags"), tags)
}

// Delete deletes a contact.
func (r RemoteServer) Delete(ctx context.Context, id string) error {
	return r.do(ctx, http.MethodDelete, r.as(contactPath(id)), nil, nil)
}

// Tasks returns a contact's tasks, oldest first.
func (r RemoteServer) Tasks(ctx context.Context, contact string) ([]Task, error) {
	return ask[[]Task](ctx, r, http.MethodGet, contactPath(contact)+"/tasks", nil)
}

// AddTask puts a task on a contact and returns it as saved.
func (r RemoteServer) AddTask(ctx context.Context, contact string, t Task) (Task, error) {
	return ask[Task](ctx, r, http.MethodPost, r.as(contactPath(contact)+"/tasks"), t)
}

// EditTask sets the named values (JSON names of [Task]); empty ones clear.
func (r RemoteServer) EditTask(ctx context.Context, id string, values map[string]any) (Task, error) {
	return ask[Task](ctx, r, http.MethodPatch, r.as("/tasks/"+url.PathEscape(id)), values)
}

// CompleteTask ticks a task off.
func (r RemoteServer) CompleteTask(ctx context.Context, id string) (Task, error) {
	return r.EditTask(ctx, id, map[string]any{"completed": true})
}

// DeleteTask deletes a task.
func (r RemoteServer) DeleteTask(ctx context.Context, id string) error {
	return r.do(ctx, http.MethodDelete, r.as("/tasks/"+url.PathEscape(id)), nil, nil)
}

// Notes returns a contact's notes, oldest first.
func (r RemoteServer) Notes(ctx context.Context, contact string) ([]Note, error) {
	return ask[[]Note](ctx, r, http.MethodGet, contactPath(contact)+"/notes", nil)
}

// AddNote puts a note on a contact and returns it as saved.
func (r RemoteServer) AddNote(ctx context.Context, contact string, n Note) (Note, error) {
	return ask[Note](ctx, r, http.MethodPost, r.as(contactPath(contact)+"/notes"), n)
}

// EditNote sets the named values (JSON names of [Note]); empty ones clear.
func (r RemoteServer) EditNote(ctx context.Context, id string, values map[string]any) (Note, error) {
	return ask[Note](ctx, r, http.MethodPatch, r.as("/notes/"+url.PathEscape(id)), values)
}

// DeleteNote deletes a note.
func (r RemoteServer) DeleteNote(ctx context.Context, id string) error {
	return r.do(ctx, http.MethodDelete, r.as("/notes/"+url.PathEscape(id)), nil, nil)
}

// Revoke takes scopes from a location's tokens.
func (r RemoteServer) Revoke(ctx context.Context, location string, scopes ...string) error {
	return r.do(ctx, http.MethodDelete, "/locations/"+url.PathEscape(location)+"/scopes", scopes, nil)
}

// Grant gives scopes to a location's tokens.
func (r RemoteServer) Grant(ctx context.Context, location string, scopes ...string) error {
	return r.do(ctx, http.MethodPost, "/locations/"+url.PathEscape(location)+"/scopes", scopes, nil)
}

// Install installs the app as a person would, tells of it, and returns the code that goes to the app.
func (r RemoteServer) Install(ctx context.Context, c Choice) (code string, err error) {
	return ask[string](ctx, r, http.MethodPost, "/installs", c)
}

// Uninstall takes the app from an owner, "location/L" or "company/K".
func (r RemoteServer) Uninstall(ctx context.Context, owner string) error {
	return r.do(ctx, http.MethodDelete, "/installs?owner="+url.QueryEscape(owner), nil, nil)
}

// Choose says what people decide at the consent page from now on.
func (r RemoteServer) Choose(ctx context.Context, c Choice) error {
	return r.do(ctx, http.MethodPut, "/choice", c, nil)
}

// AllowRedirects lists the addresses that codes may be sent to. None: any.
func (r RemoteServer) AllowRedirects(ctx context.Context, urls ...string) error {
	return r.do(ctx, http.MethodPut, "/redirects", urls, nil)
}

// Suspend pauses a location, as unpaid bills do.
func (r RemoteServer) Suspend(ctx context.Context, location string) error {
	return r.do(ctx, http.MethodPost, "/locations/"+url.PathEscape(location)+"/suspend", nil, nil)
}

// Resume ends that.
func (r RemoteServer) Resume(ctx context.Context, location string) error {
	return r.do(ctx, http.MethodPost, "/locations/"+url.PathEscape(location)+"/resume", nil, nil)
}

// Expire ends the access tokens of an owner now, or all.
func (r RemoteServer) Expire(ctx context.Context, owner string) error {
	return r.do(ctx, http.MethodPost, "/tokens/expire?owner="+url.QueryEscape(owner), nil, nil)
}

// Businesses returns a location's businesses, the one made last first.
func (r RemoteServer) Businesses(ctx context.Context, location string) ([]Business, error) {
	return ask[[]Business](ctx, r, http.MethodGet, "/businesses?location="+url.QueryEscape(location), nil)
}

// AddBusiness makes a business in a location and returns it as saved.
func (r RemoteServer) AddBusiness(ctx context.Context, location string, b Business) (Business, error) {
	b.Location = location
	return ask[Business](ctx, r, http.MethodPost, "/businesses", b)
}

// EditBusiness sets the named values (JSON names of [Business]); empty ones clear.
func (r RemoteServer) EditBusiness(ctx context.Context, id string, values map[string]any) (Business, error) {
	return ask[Business](ctx, r, http.MethodPatch, "/businesses/"+url.PathEscape(id), values)
}

// DeleteBusiness deletes a business and detaches its contacts.
func (r RemoteServer) DeleteBusiness(ctx context.Context, id string) error {
	return r.do(ctx, http.MethodDelete, r.as("/businesses/"+url.PathEscape(id)), nil, nil)
}

// Attach attaches a contact to a business.
func (r RemoteServer) Attach(ctx context.Context, contact, business string) (Contact, error) {
	return ask[Contact](ctx, r, http.MethodPut, r.as(contactPath(contact)+"/business"), business)
}

// Detach takes a contact off its business.
func (r RemoteServer) Detach(ctx context.Context, contact string) (Contact, error) {
	return ask[Contact](ctx, r, http.MethodDelete, r.as(contactPath(contact)+"/business"), nil)
}

// Calls returns the newest calls, oldest first.
func (r RemoteServer) Calls(ctx context.Context) ([]Call, error) {
	return ask[[]Call](ctx, r, http.MethodGet, "/calls", nil)
}

// Stats returns the counters.
func (r RemoteServer) Stats(ctx context.Context) (Stats, error) {
	return ask[Stats](ctx, r, http.MethodGet, "/stats", nil)
}

// Reset empties the logs and sets the counters to zero.
func (r RemoteServer) Reset(ctx context.Context) error {
	return r.do(ctx, http.MethodPost, "/reset", nil, nil)
}

// Deliveries returns the newest deliveries.
func (r RemoteServer) Deliveries(ctx context.Context) ([]Delivery, error) {
	return ask[[]Delivery](ctx, r, http.MethodGet, "/deliveries", nil)
}

// Settle waits until every event so far is delivered, given up or dropped.
func (r RemoteServer) Settle(ctx context.Context) error {
	return r.do(ctx, http.MethodPost, "/settle", nil, nil)
}

// Event returns an event about a contact, a task or a note with its signature, as it would be sent now.
func (r RemoteServer) Event(ctx context.Context, kind, contact string) (SignedEvent, error) {
	return ask[SignedEvent](ctx, r, http.MethodPost, "/events/"+url.PathEscape(kind)+"/"+url.PathEscape(contact), nil)
}

// PublicKey returns the key that signatures are checked with.
func (r RemoteServer) PublicKey(ctx context.Context) (string, error) {
	return ask[string](ctx, r, http.MethodGet, "/key", nil)
}

// ask returns what the control handler answers.
func ask[T any](ctx context.Context, r RemoteServer, method, path string, body any) (result T, err error) {
	err = r.do(ctx, method, path, body, &result)
	return result, err
}

func contactPath(id string) string { return "/contacts/" + url.PathEscape(id) }

// as says who acts.
func (r RemoteServer) as(path string) string {
	if r.quiet {
		return path + "?quiet=true"
	}
	return path
}

func (r RemoteServer) do(ctx context.Context, method, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode == http.StatusNotFound:
		return ErrGone
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("ghltest: %s %s: %s", method, path, bytes.TrimSpace(text))
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}
