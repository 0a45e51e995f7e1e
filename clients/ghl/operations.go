package ghl

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rankrsync/rankrsync/clients/rest"
)

// Operation is one row of GHL's API as we use it.
type Operation struct {
	Name       string // as in the catalogue of GHL's operations
	Method     string
	Path       string // braces hold ids
	Scope      string // what the token must be allowed
	Version    string // the Version header of the published spec
	Repeatable bool   // doing it twice is the same as once
	Doc        string
}

var (
	getContact = Operation{
		"contacts.get", http.MethodGet, "contacts/{contactId}", "contacts.readonly", "2021-07-28", true,
		"reads one contact",
	}
	searchContacts = Operation{
		"contacts.search", http.MethodPost, "contacts/search", "contacts.readonly", "2021-07-28", true,
		"finds the contacts that changed since a time, a page a call",
	}
	getLocation = Operation{
		"locations.get", http.MethodGet, "locations/{locationId}", "locations.readonly", "2021-07-28", true,
		"reads a location's country and time zone, and proves that the token is good for it",
	}
	listCustomFields = Operation{
		"locations.custom-fields.list", http.MethodGet, "locations/{locationId}/customFields", "locations/customFields.readonly", "2021-07-28", true,
		"lists the keys of a location's custom fields, which contacts only name by id",
	}
)

// Operations are all calls that this package can make.
var Operations = []Operation{getContact, searchContacts, getLocation, listCustomFields}

// call makes a request of an operation. The id takes the place of the path's braces; operations without any get "".
func (c *Client) call(o Operation, location, id string) rest.Call {
	path := o.Path
	if before, tail, ok := strings.Cut(path, "{"); ok {
		_, after, _ := strings.Cut(tail, "}")
		path = before + url.PathEscape(id) + after
	}
	version := c.version
	if version == "" {
		version = o.Version
	}
	return rest.Call{
		Operation: o.Name, Method: o.Method, Path: path, Account: location,
		Header: http.Header{"Version": {version}},
	}
}
