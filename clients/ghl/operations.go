package ghl

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rankrsync/rankrsync/clients/rest"
)

// Operation is one row of GHL's API as we use it.
type Operation struct {
	Name       string // as in the catalogue of GHL's operations, where that has it
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
	createContact = Operation{
		"contacts.create", http.MethodPost, "contacts/", "contacts.write", "2021-07-28", false,
		"makes a contact",
	}
	updateContact = Operation{
		"contacts.update", http.MethodPut, "contacts/{contactId}", "contacts.write", "2021-07-28", true,
		"changes fields of a contact",
	}
	deleteContact = Operation{
		"contacts.delete", http.MethodDelete, "contacts/{contactId}", "contacts.write", "2021-07-28", true,
		"deletes a contact",
	}
	upsertContact = Operation{
		"contacts.upsert", http.MethodPost, "contacts/upsert", "contacts.write", "2021-07-28", true,
		"changes the contact with an email or phone, or makes it",
	}
	findDuplicate = Operation{
		"contacts.get-duplicate", http.MethodGet, "contacts/search/duplicate", "contacts.readonly", "2021-07-28", true,
		"finds the contact that has an email or phone",
	}
	addTags = Operation{
		"contacts.tags.add", http.MethodPost, "contacts/{contactId}/tags", "contacts.write", "2021-07-28", true,
		"adds tags to a contact",
	}
	removeTags = Operation{
		"contacts.tags.remove", http.MethodDelete, "contacts/{contactId}/tags", "contacts.write", "2021-07-28", true,
		"takes tags from a contact",
	}
	listContacts = Operation{
		"contacts.list", http.MethodGet, "contacts/", "contacts.readonly", "2021-07-28", true,
		"lists the contacts of a location, a page a call; deprecated",
	}
	listByBusiness = Operation{
		"contacts.list-by-business", http.MethodGet, "contacts/business/{businessId}", "contacts.readonly", "2021-07-28", true,
		"lists the contacts of a business, a page a call",
	}
	getBusiness = Operation{
		"businesses.get", http.MethodGet, "businesses/{businessId}", "businesses.readonly", "2021-07-28", true,
		"reads one business",
	}
	listBusinesses = Operation{
		"businesses.list", http.MethodGet, "businesses/", "businesses.readonly", "2021-07-28", true,
		"lists the businesses of a location, a page a call",
	}
	attachContacts = Operation{
		"contacts.business.bulk-update", http.MethodPost, "contacts/bulk/business", "contacts.write", "2021-07-28", true,
		"attaches contacts to a business, or detaches them",
	}
	listAppointments = Operation{
		"contacts.appointments.list", http.MethodGet, "contacts/{contactId}/appointments", "contacts.readonly", "2021-07-28", true,
		"lists all appointments of a contact",
	}
	listUsers = Operation{
		"users.list-by-location", http.MethodGet, "users/", "users.readonly", "2021-07-28", true,
		"lists the users of a location; deprecated",
	}
	listTasks = Operation{
		"contacts.tasks.list", http.MethodGet, "contacts/{contactId}/tasks", "contacts.readonly", "2021-07-28", true,
		"lists all tasks of a contact",
	}
	getTask = Operation{
		"contacts.tasks.get", http.MethodGet, "contacts/{contactId}/tasks/{taskId}", "contacts.readonly", "2021-07-28", true,
		"reads one task",
	}
	createTask = Operation{
		"contacts.tasks.create", http.MethodPost, "contacts/{contactId}/tasks", "contacts.write", "2021-07-28", false,
		"makes a task on a contact",
	}
	updateTask = Operation{
		"contacts.tasks.update", http.MethodPut, "contacts/{contactId}/tasks/{taskId}", "contacts.write", "2021-07-28", true,
		"changes fields of a task",
	}
	completeTask = Operation{
		"contacts.tasks.complete", http.MethodPut, "contacts/{contactId}/tasks/{taskId}/completed", "contacts.write", "2021-07-28", true,
		"completes or reopens a task",
	}
	deleteTask = Operation{
		"contacts.tasks.delete", http.MethodDelete, "contacts/{contactId}/tasks/{taskId}", "contacts.write", "2021-07-28", true,
		"deletes a task",
	}
	searchTasks = Operation{
		"locations.tasks.search", http.MethodPost, "locations/{locationId}/tasks/search", "locations/tasks.readonly", "2021-07-28", true,
		"lists the tasks of a location, a page a call",
	}
	listNotes = Operation{
		"contacts.notes.list", http.MethodGet, "contacts/{contactId}/notes", "contacts.readonly", "2021-07-28", true,
		"lists all notes of a contact",
	}
	getNote = Operation{
		"contacts.notes.get", http.MethodGet, "contacts/{contactId}/notes/{id}", "contacts.readonly", "2021-07-28", true,
		"reads one note",
	}
	createNote = Operation{
		"contacts.notes.create", http.MethodPost, "contacts/{contactId}/notes", "contacts.write", "2021-07-28", false,
		"makes a note on a contact",
	}
	updateNote = Operation{
		"contacts.notes.update", http.MethodPut, "contacts/{contactId}/notes/{id}", "contacts.write", "2021-07-28", true,
		"changes a note's content",
	}
	deleteNote = Operation{
		"contacts.notes.delete", http.MethodDelete, "contacts/{contactId}/notes/{id}", "contacts.write", "2021-07-28", true,
		"deletes a note",
	}
)

// Operations are all calls that this package can make.
var Operations = []Operation{
	getContact, searchContacts, getLocation, listCustomFields,
	createContact, updateContact, deleteContact, upsertContact, findDuplicate, addTags, removeTags,
	listContacts, listByBusiness, listAppointments, listUsers,
	getBusiness, listBusinesses, attachContacts,
	listTasks, getTask, createTask, updateTask, completeTask, deleteTask, searchTasks,
	listNotes, getNote, createNote, updateNote, deleteNote,
}

// ids is how many ids the path holds.
func (o Operation) ids() int { return strings.Count(o.Path, "{") }

// call makes a request of an operation. The ids take the places of the path's braces, in their order; those that the
// path has no place for are left out.
func (c *Client) call(o Operation, location string, ids ...string) rest.Call {
	path := o.Path
	for _, id := range ids[:o.ids()] {
		before, tail, _ := strings.Cut(path, "{")
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
