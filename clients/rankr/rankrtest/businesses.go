package rankrtest

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Business is one business as the fake holds it.
type Business struct {
	Item
	Name        string `json:"name"`
	Email       string `json:"email,omitempty"`
	Phone       string `json:"phone,omitempty"`
	Website     string `json:"website,omitempty"`
	Address     string `json:"address,omitempty"`
	City        string `json:"city,omitempty"`
	State       string `json:"state,omitempty"`
	PostalCode  string `json:"postalCode,omitempty"`
	Country     string `json:"country,omitempty"`
	Description string `json:"description,omitempty"`
}

// places are where the contract's properties are kept.
func (b *Business) places() map[string]*string {
	return map[string]*string{
		"name": &b.Name, "email": &b.Email, "phone": &b.Phone, "website": &b.Website, "address": &b.Address, "city": &b.City,
		"state": &b.State, "postalCode": &b.PostalCode, "country": &b.Country, "description": &b.Description,
	}
}

func (b *Business) set(k Knobs, name string, value any) string {
	place := b.places()[name]
	if place == nil {
		return b.Item.set(k, name, value)
	}
	text, isText := value.(string)
	if name == "name" && isText && strings.TrimSpace(text) == "" {
		return "is empty"
	}
	if name == "email" && isText {
		text = foldEmail(text)
		value = text
	}
	if why := wrongForm(name, text); why != "" && text != "" && !k.Lax {
		return why
	}
	return k.put(place, name, value, name != "name")
}

func (b *Business) wire() map[string]any {
	out := map[string]any{"externalId": textOrNull(b.ExternalID)}
	for name, place := range b.places() {
		out[name] = textOrNull(*place)
	}
	return out
}

func (s *Server) findBusinesses(a *account, req request) answer {
	return search(s, s.businesses, a, req)
}

func (s *Server) createBusiness(a *account, req request) answer {
	return create(s, s.businesses, a, req)
}

func (s *Server) getBusiness(a *account, req request) answer { return readOne(s, s.businesses, a, req) }

func (s *Server) updateBusiness(a *account, req request) answer {
	return update(s, s.businesses, a, req)
}

func (s *Server) deleteBusiness(a *account, req request) answer {
	return remove(s, s.businesses, a, req)
}

func (s *Server) ofBusiness(a *account, req request) answer {
	start, limit, errs := paging(req)
	if errs != nil {
		return *invalid(errs...)
	}
	if !s.businesses.has(a.name, req.item) || s.knobs.NotFoundAll {
		return notFound("business")
	}
	at, exact := slices.BinarySearchFunc(a.order, start, func(r *Record, number int) int { return cmp.Compare(r.number, number) })
	if exact {
		at++
	}
	attached := slices.DeleteFunc(slices.Clone(a.order[at:]), func(r *Record) bool { return r.BusinessID != req.item })
	return onePage("contacts", attached, limit, func(r *Record) int { return r.number }, (*Record).wire)
}

// strangers names the properties of a record that point at a business or a segment that the account does not have.
func (s *Server) strangers(a *account, r Record) (errs []FieldError) {
	if r.BusinessID != "" && !s.businesses.has(a.name, r.BusinessID) {
		errs = append(errs, FieldError{"businessId", "no such business"})
	}
	if slices.ContainsFunc(r.Segments, func(id string) bool { return !s.segments.has(a.name, id) }) {
		errs = append(errs, FieldError{"segmentIds", "no such segment"})
	}
	return errs
}

// detach takes a business that is gone off all contacts.
func (s *Server) detach(business *Item, by string) {
	s.changeRecords(business.Account, by, func(r *Record) bool { return r.BusinessID == business.ID }, func(r *Record) { r.BusinessID = "" })
}

// changeRecords changes all records of an account that match.
func (s *Server) changeRecords(account, by string, match func(*Record) bool, change func(*Record)) {
	a := s.account(account)
	for _, r := range a.order {
		if match(r) {
			next := r.clone()
			change(&next)
			s.replace(a, r, next, by)
		}
	}
}

// AddBusiness makes a business as a person in Rankr does, in the Account that it names. What the fake gives it itself (id,
// dates, version) is ignored.
func (s *Server) AddBusiness(business Business) (Business, error) {
	return add(s, s.businesses, business)
}

// EditBusiness changes a business as a person in Rankr does: external id and contents.
func (s *Server) EditBusiness(id string, change func(*Business)) (Business, error) {
	return edit(s, s.businesses, id, change)
}

// RemoveBusiness deletes a business as a person in Rankr does. Its contacts stay, attached to none.
func (s *Server) RemoveBusiness(id string) error { return discard(s, s.businesses, id) }

// Attach attaches a record to a business as a person in Rankr does; empty: to none.
func (s *Server) Attach(record, business string) (Record, error) {
	return s.Edit(record, func(r *Record) { r.BusinessID = business })
}

// Businesses returns the businesses of all accounts, oldest first.
func (s *Server) Businesses() []Business { return shown(s, s.businesses, "") }

// BusinessHistory returns the changes of all businesses that ever carried the external id, oldest first; empty: of all.
func (s *Server) BusinessHistory(externalID string) []Event {
	return history(s, s.businesses, externalID)
}

// DoubledBusinesses returns the external ids that more than one business of an account had at any instant ever, sorted; see
// [Server.Doubled].
func (s *Server) DoubledBusinesses() []string { return doubled(s, s.businesses) }

// Businesses is [Server.Businesses].
func (r Remote) Businesses(ctx context.Context) ([]Business, error) {
	return ask[[]Business](ctx, r, http.MethodGet, "/businesses", nil)
}

// AddBusiness is [Server.AddBusiness].
func (r Remote) AddBusiness(ctx context.Context, business Business) (Business, error) {
	return ask[Business](ctx, r, http.MethodPost, "/businesses", business)
}

// EditBusiness is [Server.EditBusiness]; a change that comes between its read and its write is lost.
func (r Remote) EditBusiness(ctx context.Context, id string, change func(*Business)) (Business, error) {
	return remoteEdit(ctx, r, "businesses", id, change)
}

// RemoveBusiness is [Server.RemoveBusiness].
func (r Remote) RemoveBusiness(ctx context.Context, id string) error {
	_, err := ask[any](ctx, r, http.MethodDelete, "/businesses/"+url.PathEscape(id), nil)
	return err
}

// Attach is [Server.Attach].
func (r Remote) Attach(ctx context.Context, record, business string) (Record, error) {
	return ask[Record](ctx, r, http.MethodPut, "/records/"+url.PathEscape(record)+"/business?id="+url.QueryEscape(business), nil)
}

// BusinessHistory is [Server.BusinessHistory].
func (r Remote) BusinessHistory(ctx context.Context, externalID string) ([]Event, error) {
	return ask[[]Event](ctx, r, http.MethodGet, "/businesses/history?externalId="+url.QueryEscape(externalID), nil)
}

// DoubledBusinesses is [Server.DoubledBusinesses].
func (r Remote) DoubledBusinesses(ctx context.Context) ([]string, error) {
	return ask[[]string](ctx, r, http.MethodGet, "/businesses/doubled", nil)
}
