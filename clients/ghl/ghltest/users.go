package ghltest

import "net/http"

// User is somebody who works in a location: contacts and tasks are assigned to users.
type User struct {
	ID        string `json:"id"`
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
	Email     string `json:"email,omitempty"`
	Deleted   bool   `json:"deleted,omitempty"`
}

// listUsers is deprecated; the newest version has it no more.
func listUsers(x *exchange) answer {
	switch {
	case x.request.URL.Query().Get("locationId") != x.location.id:
		return anotherTenant
	case x.v3():
		return removed
	}
	documents := []any{}
	for _, u := range x.location.settings.Load().Users {
		document := map[string]any{
			"id": u.ID, "firstName": u.FirstName, "lastName": u.LastName, "name": u.FirstName + " " + u.LastName, "email": u.Email,
			"deleted": u.Deleted,
			"roles":   map[string]any{"type": "account", "role": "user", "locationIds": []string{x.claim(x.location.id)}},
		}
		documents = append(documents, document)
	}
	return answer{http.StatusOK, map[string]any{"users": documents}}
}
