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

	listTasks = Operation{
		"tasks.list", http.MethodGet, "contacts/{id}/tasks", true,
		"reads all tasks of a record",
	}
	createTask = Operation{
		"tasks.create", http.MethodPost, "contacts/{id}/tasks", true,
		"makes a task; the Idempotency-Key gives the first answer again",
	}
	updateTask = Operation{
		"tasks.update", http.MethodPut, "contacts/{id}/tasks/{taskId}", true,
		"sets and clears a task's fields",
	}
	completeTask = Operation{
		"tasks.complete", http.MethodPut, "contacts/{id}/tasks/{taskId}/completed", true,
		"completes or reopens a task",
	}
	deleteTask = Operation{
		"tasks.delete", http.MethodDelete, "contacts/{id}/tasks/{taskId}", true,
		"deletes a task; no other ever gets its id",
	}

	listNotes = Operation{
		"notes.list", http.MethodGet, "contacts/{id}/notes", true,
		"reads all notes of a record",
	}
	createNote = Operation{
		"notes.create", http.MethodPost, "contacts/{id}/notes", true,
		"makes a note; the Idempotency-Key gives the first answer again",
	}
	updateNote = Operation{
		"notes.update", http.MethodPut, "contacts/{id}/notes/{noteId}", true,
		"sets and clears a note's fields",
	}
	deleteNote = Operation{
		"notes.delete", http.MethodDelete, "contacts/{id}/notes/{noteId}", true,
		"deletes a note; no other ever gets its id",
	}

	findBusinesses = Operation{
		"businesses.find", http.MethodGet, "businesses/", true,
		"finds the business with an external id",
	}
	getBusiness = Operation{
		"businesses.get", http.MethodGet, "businesses/{id}", true,
		"reads one business",
	}
	createBusiness = Operation{
		"businesses.create", http.MethodPost, "businesses/", true,
		"makes a business; the Idempotency-Key gives the first answer again",
	}
	updateBusiness = Operation{
		"businesses.update", http.MethodPut, "businesses/{id}", true,
		"sets and clears a business's fields",
	}
	deleteBusiness = Operation{
		"businesses.delete", http.MethodDelete, "businesses/{id}", true,
		"deletes a business and detaches its contacts; no other ever gets its id",
	}

	findSegments = Operation{
		"segments.find", http.MethodGet, "segments/", true,
		"reads all segments, page by page",
	}
	createSegment = Operation{
		"segments.create", http.MethodPost, "segments/", true,
		"makes a segment; the Idempotency-Key gives the first answer again",
	}
	setSegments = Operation{
		"contacts.setSegments", http.MethodPut, "contacts/{id}/segments", true,
		"replaces the segments that a record is in",
	}
)

// Operations are all calls that this package can make.
var Operations = []Operation{
	findContacts, getContact, createContact, updateContact, deleteContact, addTags, removeTags,
	listTasks, createTask, updateTask, completeTask, deleteTask,
	listNotes, createNote, updateNote, deleteNote,
	findBusinesses, getBusiness, createBusiness, updateBusiness, deleteBusiness,
	findSegments, createSegment, setSegments,
}

// call makes a request of an operation on a whole collection.
func (c *Client) call(o Operation, location string) rest.Call {
	return rest.Call{Operation: o.Name, Method: o.Method, Path: o.Path, Account: c.account(location), Header: http.Header{}}
}

// on makes a request of an operation on one record, on a task or note of one, or on one business: the ids take the places
// of the braces in their order. An id that could lead to another path is refused before anything is sent.
func (c *Client) on(o Operation, location string, ids ...string) (rest.Call, error) {
	call := c.call(o, location)
	for _, id := range ids {
		if !crm.ValidID(id) {
			return rest.Call{}, o.refuse("id")
		}
		start, end := strings.Index(call.Path, "{"), strings.Index(call.Path, "}")
		call.Path = call.Path[:start] + url.PathEscape(id) + call.Path[end+1:]
	}
	return call, nil
}

// refuse is the error for what can't be sent at all.
func (o Operation) refuse(fields ...string) error {
	return &crm.Error{Code: crm.InvalidInput, Operation: "rankr " + o.Name, Fields: fields}
}
