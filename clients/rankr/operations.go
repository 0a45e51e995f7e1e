package rankr

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// Operation is one row of the contract as we use it.
type Operation struct {
	Name       string // as in the contract
	Method     string
	Path       string // braces hold ids
	Repeatable bool   // doing it twice is the same as once: it may be sent again when its answer was lost
	Doc        string
}

var (
	findContacts = Operation{
		"contacts.find", http.MethodGet, "contacts/", true,
		"finds the records for which any of several keys matches",
	}
	getContact = Operation{
		"contacts.get", http.MethodGet, "contacts/{id}", true,
		"reads one record",
	}
	createContact = Operation{
		"contacts.create", http.MethodPost, "contacts/", true,
		"makes a record; the Idempotency-Key gives the first answer again",
	}
	updateContact = Operation{
		"contacts.update", http.MethodPut, "contacts/{id}", true,
		"sets and clears single fields",
	}
	deleteContact = Operation{
		"contacts.delete", http.MethodDelete, "contacts/{id}", true,
		"deletes a record; no other ever gets its id",
	}
	addTags = Operation{
		"contacts.addTags", http.MethodPost, "contacts/{id}/tags", true,
		"adds tags to those the record has",
	}
	removeTags = Operation{
		"contacts.removeTags", http.MethodDelete, "contacts/{id}/tags", true,
		"removes tags from those the record has",
	}
)

// Operations are all calls that this package can make.
var Operations = []Operation{findContacts, getContact, createContact, updateContact, deleteContact, addTags, removeTags}

// account is whose token and whose rate limit a call uses: there is one Rankr account in an installation.
const account = "account"

// call makes a request of an operation on a whole collection.
func (o Operation) call() rest.Call {
	return rest.Call{Operation: o.Name, Method: o.Method, Path: o.Path, Account: account, Header: http.Header{}}
}

// on makes a request of an operation on one record. An id that could lead to another path is refused before
// anything is sent.
func (o Operation) on(id string) (rest.Call, error) {
	if !crm.ValidID(id) {
		return rest.Call{}, o.refuse("id")
	}
	call := o.call()
	call.Path = strings.Replace(o.Path, "{id}", url.PathEscape(id), 1)
	return call, nil
}

// refuse is the error for what can't be sent at all.
func (o Operation) refuse(fields ...string) error {
	return &crm.Error{Code: crm.InvalidInput, Operation: "rankr " + o.Name, Fields: fields}
}
