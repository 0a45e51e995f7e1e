package ghltest

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Location is one sub-account: whose contacts they are, and who may ask for them.
type Location struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Country  string `json:"country,omitempty"` // two capital letters
	Timezone string `json:"timezone,omitempty"`
	Company  string `json:"companyId,omitempty"` // empty: [DefaultCompany]

	Tokens []string `json:"tokens,omitempty"` // accepted; nil: [Token] of the location
	Scopes []string `json:"scopes,omitempty"` // of its tokens; nil: all

	CustomFields     []CustomField `json:"customFields,omitempty"`
	Users            []User        `json:"users,omitempty"`
	DuplicateAllowed bool          `json:"duplicateAllowed,omitempty"` // two contacts may share an email or a phone
}

// CustomField defines a custom field of a location.
type CustomField struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Key      string   `json:"fieldKey"` // "contact.pincode"
	DataType string   `json:"dataType"` // "TEXT", "NUMERICAL", "CHECKBOX", …
	Options  []string `json:"picklistOptions,omitempty"`
}

// Token is what a location accepts unless it is told otherwise.
func Token(location string) string { return "pit-" + location }

// location is a Location with its contacts.
type location struct {
	id        string
	settings  atomic.Pointer[Location]
	limits    limiter
	suspended atomic.Bool
	shelf
}

// PutLocation adds a location, or replaces the settings of one; its contacts stay. A token belongs to the location
// that named it last.
func (s *Server) PutLocation(settings Location) {
	if settings.Tokens == nil {
		settings.Tokens = []string{Token(settings.ID)}
	}
	fresh := &location{id: settings.ID}
	fresh.settings.Store(&settings) // nobody must see one without
	entry, known := s.locations.LoadOrStore(settings.ID, fresh)
	l := entry.(*location)
	if old := l.settings.Swap(&settings); old != nil {
		for _, token := range old.Tokens {
			s.tokens.CompareAndDelete(token, l)
		}
	}
	for _, token := range settings.Tokens {
		s.tokens.Store(token, l)
	}
	if !known {
		s.autoInstall(l)
	}
}

// Revoke takes scopes from a location's tokens: calls that need them are refused.
func (s *Server) Revoke(location string, scopes ...string) {
	s.rescope(location, func(have []string) []string {
		return slices.DeleteFunc(have, func(scope string) bool { return slices.Contains(scopes, scope) })
	})
}

// Grant gives scopes to a location's tokens.
func (s *Server) Grant(location string, scopes ...string) {
	s.rescope(location, func(have []string) []string { return append(have, scopes...) })
}

// rescope changes a location's scopes and leaves its other settings as they are.
func (s *Server) rescope(location string, change func([]string) []string) {
	settings := *s.demand(location).settings.Load()
	if settings.Scopes == nil {
		settings.Scopes = allScopes()
	}
	settings.Scopes = change(slices.Clone(settings.Scopes))
	s.PutLocation(settings)
}

// location returns a location that is there.
func (s *Server) location(id string) (*location, bool) {
	entry, ok := s.locations.Load(id)
	if !ok {
		return nil, false
	}
	return entry.(*location), true
}

// demand returns the location, and makes one with default settings if there is none.
func (s *Server) demand(id string) *location {
	if l, ok := s.location(id); ok {
		return l
	}
	s.PutLocation(Location{ID: id, Name: "Location " + id, Country: "US", Timezone: "America/Chicago"})
	l, _ := s.location(id)
	return l
}

// anotherTenant is the refusal of a good token for a location that is not its own.
var anotherTenant = refuse(http.StatusForbidden, "The token does not have access to this location.")

func getLocation(x *exchange) answer {
	if x.id != x.location.id {
		return anotherTenant
	}
	settings := x.location.settings.Load()
	document := map[string]any{"id": x.claim(settings.ID)}
	put := func(name, value string) {
		if value != "" {
			document[name] = value
		}
	}
	put("name", settings.Name)
	put("country", settings.Country)
	put("timezone", settings.Timezone)
	return answer{http.StatusOK, map[string]any{"location": document}}
}

func listCustomFields(x *exchange) answer {
	if x.id != x.location.id {
		return anotherTenant
	}
	model := x.request.URL.Query().Get("model")
	switch {
	case !slices.Contains([]string{"", "contact", "opportunity", "all"}, model):
		return refuse(http.StatusUnprocessableEntity, "model must be one of the following values: contact, opportunity, all")
	case model == "opportunity":
		return answer{http.StatusOK, map[string]any{"customFields": []any{}}}
	}
	fields := []any{}
	for i, field := range x.location.settings.Load().CustomFields {
		document := map[string]any{
			"id": field.ID, "name": field.Name, "fieldKey": field.Key, "dataType": field.DataType,
			"placeholder": "", "position": i * 50, "model": "contact", "locationId": x.claim(x.location.id),
		}
		if field.Options != nil {
			document["picklistOptions"] = field.Options
		}
		fields = append(fields, document)
	}
	return answer{http.StatusOK, map[string]any{"customFields": fields}}
}

// customField finds a definition by id or by key, with or without its leading "contact.".
func (l *location) customField(id, key string) (CustomField, bool) {
	fields := l.settings.Load().CustomFields
	i := slices.IndexFunc(fields, func(f CustomField) bool {
		if id != "" {
			return f.ID == id
		}
		return key != "" && strings.TrimPrefix(f.Key, "contact.") == strings.TrimPrefix(key, "contact.")
	})
	if i < 0 {
		return CustomField{}, false
	}
	return fields[i], true
}
