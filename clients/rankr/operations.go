package rankr

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// operation is one row of the contract that we use. Every one of them may be sent again when its answer was lost;
// repeat says why.
type operation struct{ name, method, path, repeat string }

var (
	findContacts  = operation{"contacts.find", http.MethodGet, "/contacts/", "reads only"}
	getContact    = operation{"contacts.get", http.MethodGet, "/contacts/{id}", "reads only"}
	createContact = operation{"contacts.create", http.MethodPost, "/contacts/", "the Idempotency-Key gives the first answer again"}
	updateContact = operation{"contacts.update", http.MethodPut, "/contacts/{id}", "sets values, never adds to them"}
	deleteContact = operation{"contacts.delete", http.MethodDelete, "/contacts/{id}", "ids are never given out again"}
	addTags       = operation{"contacts.addTags", http.MethodPost, "/contacts/{id}/tags", "a tag that is there already stays"}
	removeTags    = operation{"contacts.removeTags", http.MethodDelete, "/contacts/{id}/tags", "a tag that is gone already stays away"}
)

// operations is the whole table.
var operations = []operation{findContacts, getContact, createContact, updateContact, deleteContact, addTags, removeTags}

// account is whose token and whose rate limit a call uses: there is one Rankr account in an installation.
const account = "account"

// call starts a call on a collection.
func (o operation) call() rest.Call {
	return rest.Call{Operation: o.name, Method: o.method, Path: o.path, Account: account, Header: http.Header{}}
}

// on starts a call on one record. An id that could lead to another path is refused before anything is sent.
func (o operation) on(id string) (rest.Call, error) {
	if !crm.ValidID(id) {
		return rest.Call{}, o.refuse("id")
	}
	call := o.call()
	call.Path = strings.Replace(o.path, "{id}", url.PathEscape(id), 1)
	return call, nil
}

// refuse is the error for what can't be sent at all.
func (o operation) refuse(fields ...string) error {
	return &crm.Error{Code: crm.InvalidInput, Operation: "rankr " + o.name, Fields: fields}
}
