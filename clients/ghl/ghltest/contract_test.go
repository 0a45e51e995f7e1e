package ghltest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

// specs are the official OpenAPI documents.
type specs struct{ contacts, locations, users, businesses *openapi3.T }

func officialSpecs(t *testing.T) specs {
	t.Helper()
	folder := filepath.Join("..", "..", "..", "..", "shared", "ghl", "openapi", "apps")
	load := func(name string) *openapi3.T { return officialSpec(t, filepath.Join(folder, name)) }
	return specs{load("contacts.json"), load("locations.json"), load("users.json"), load("businesses.json")}
}

func officialSpec(t *testing.T, file string) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	doc, err := loader.LoadFromFile(file)
	if err != nil {
		t.Skip("the official OpenAPI documents are not at hand: ", err)
	}
	return doc
}

// exceptions are the places where the documents are silent or wrong, and why the fake does not follow them.
var exceptions = map[string]string{
	"403":                        "no 403 is declared; it was seen for tokens of another location",
	"404":                        "no 404 is declared in v2; v3 declares it",
	"contacts.search 422":        "only 200, 400 and 401 are declared; 422 was seen without locationId or pageLimit",
	"locations.tasks.search 200": "a task is declared as a list, which can't be",
	"businesses.list 422":        "only 200, 400 and 401 are declared; the other lists declare it",
	attaching + " 400":           "only 200 and 422 are declared; all others declare it, and 401",
	attaching + " 401":           "as with 400",
	customFieldValue:             "declared as a string, but the fields' types are number, list and object as well",
}

const (
	customFieldValue = "contact.customFields.value"
	attaching        = "contacts.business.bulk-update"
)

// templates are the documents' paths of the operations.
var templates = map[string]string{
	"contacts.upsert": "/contacts/upsert", "contacts.get-duplicate": "/contacts/search/duplicate",
	"businesses.list": "/businesses/", "businesses.get": "/businesses/{businessId}", attaching: "/contacts/bulk/business",
	"contacts.list": "/contacts/", "contacts.list-by-business": "/contacts/business/{businessId}",
	"contacts.appointments.list": "/contacts/{contactId}/appointments", "users.list-by-location": "/users/",
	"contacts.create": "/contacts/", "contacts.search": "/contacts/search",
	"contacts.get": "/contacts/{contactId}", "contacts.update": "/contacts/{contactId}", "contacts.delete": "/contacts/{contactId}",
	"contacts.tags.add": "/contacts/{contactId}/tags", "contacts.tags.remove": "/contacts/{contactId}/tags",
	"contacts.tasks.list": "/contacts/{contactId}/tasks", "contacts.tasks.create": "/contacts/{contactId}/tasks",
	"contacts.tasks.get":      "/contacts/{contactId}/tasks/{taskId}",
	"contacts.tasks.update":   "/contacts/{contactId}/tasks/{taskId}",
	"contacts.tasks.complete": "/contacts/{contactId}/tasks/{taskId}/completed",
	"contacts.tasks.delete":   "/contacts/{contactId}/tasks/{taskId}",
	"contacts.notes.list":     "/contacts/{contactId}/notes", "contacts.notes.create": "/contacts/{contactId}/notes",
	"contacts.notes.get":    "/contacts/{contactId}/notes/{id}",
	"contacts.notes.update": "/contacts/{contactId}/notes/{id}",
	"contacts.notes.delete": "/contacts/{contactId}/notes/{id}",
	"locations.get":         "/locations/{locationId}", "locations.tasks.search": "/locations/{locationId}/tasks/search",
	"locations.custom-fields.list": "/locations/{locationId}/customFields",
}

// check validates one answer.
func (s specs) check(t *testing.T, call ghltest.Call, request *http.Request, r reply) {
	t.Helper()
	doc, template := s.contacts, templates[call.Operation]
	if strings.HasPrefix(call.Operation, "locations.") {
		doc = s.locations
	}
	if strings.HasPrefix(call.Operation, "users.") {
		doc = s.users
	}
	if strings.HasPrefix(call.Operation, "businesses.") {
		doc = s.businesses
	}
	fits(t, doc, template, call, request, r)
}

// fits validates an answer against a path of a document.
func fits(t *testing.T, doc *openapi3.T, template string, call ghltest.Call, request *http.Request, r reply) {
	t.Helper()
	path := doc.Paths.Value(template)
	require.NotNil(t, path, template)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request,
			Route:   &routers.Route{Spec: doc, Path: template, PathItem: path, Method: call.Method, Operation: path.GetOperation(call.Method)},
		},
		Status: r.status, Header: r.header,
		Body:    io.NopCloser(strings.NewReader(r.text)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	assert.NoError(t, openapi3filter.ValidateResponse(t.Context(), input), "%s %d %s", call.Operation, r.status, r.text)
}

func TestEveryAnswerFitsTheOfficialDocuments(t *testing.T) {
	official := officialSpecs(t)
	a := start(t)
	a.PutLocation(ghltest.Location{ID: "other"})
	a.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	ids := a.Seed(home, 20)
	a.PutLocation(ghltest.Location{ID: home, CustomFields: ghltest.SeedFields, Users: []ghltest.User{{ID: "u", FirstName: "Ann"}}})
	require.NoError(t, a.SetAppointments(ids[0], ghltest.Appointment{
		ID: "A", CalendarID: "k", Title: "Visit", Status: "new", AssignedTo: "u", Notes: "n", Address: "a", Start: "2021-07-16 11:00:00", End: "x",
	}))
	business := a.AddBusiness(home, ghltest.Business{
		Name: "Brook", Email: "hello@brook.example", Phone: "+12025550100", Website: "brook.example", Address: "1", City: "c", State: "s",
		PostalCode: "1", Country: "us", Description: "d",
	}).ID
	a.AddBusiness("other", ghltest.Business{ID: "others"})
	_, err := a.Attach(ids[0], business)
	require.NoError(t, err)
	full := map[string]any{
		"locationId": home, "firstName": "Ada", "lastName": "Brook", "email": "a@us.example", "phone": "+12025550199", "gender": "female",
		"dateOfBirth": "1990-09-25", "companyName": "c", "address1": "1", "city": "c", "state": "s", "postalCode": "1", "country": "US",
		"website": "w", "timezone": "Europe/Berlin", "source": "s", "assignedTo": "u", "dnd": true, "tags": []string{"vip"},
		"dndSettings":        map[string]any{"SMS": map[string]any{"status": "active"}},
		"inboundDndSettings": map[string]any{"all": map[string]any{"status": "active"}},
		"customFields":       []any{map[string]any{"id": ghltest.SeedFields[0].ID, "field_value": "plus"}},
	}
	update := map[string]any{"firstName": "Eve", "email": nil}
	seen, used, odd := map[string]bool{}, map[string]bool{}, false
	try := func(method, path string, body any) {
		t.Helper()
		request, err := http.NewRequest(method, a.url+path, nil)
		require.NoError(t, err)
		r := a.call(method, path, body)
		calls := a.Calls()
		call := calls[len(calls)-1]
		seen[call.Operation] = true
		for _, exception := range []string{strconv.Itoa(r.status), call.Operation + " " + strconv.Itoa(r.status)} {
			if exceptions[exception] != "" {
				used[exception] = true
				return
			}
		}
		if r.text, odd = withoutOddValues(t, r.text); odd {
			used[customFieldValue] = true
		}
		official.check(t, call, request, r)
	}
	hanging := func() {
		t.Helper()
		task, err := a.AddTask(ids[0], ghltest.Task{Title: "Call", Body: "b", AssignedTo: "u", Due: due})
		require.NoError(t, err)
		note, err := a.AddNote(ids[0], ghltest.Note{Body: "Likes tea", UserID: "u", Title: "t", Color: "#FFAA00"})
		require.NoError(t, err)
		tasks, notes := "/contacts/"+ids[0]+"/tasks", "/contacts/"+ids[0]+"/notes"
		for _, path := range []string{tasks, tasks + "/" + task.ID, notes, notes + "/" + note.ID, tasks + "/nobody", notes + "/nobody"} {
			try("GET", path, nil)
		}
		try("POST", tasks, map[string]any{"title": "Call", "dueDate": due, "completed": true})
		try("POST", tasks, map[string]any{})
		try("POST", notes, map[string]any{"body": "x"})
		try("POST", notes, map[string]any{})
		try("PUT", tasks+"/"+task.ID, map[string]any{"title": "x"})
		try("PUT", tasks+"/"+task.ID, map[string]any{"title": ""})
		try("PUT", tasks+"/"+task.ID+"/completed", map[string]any{"completed": true})
		try("PUT", tasks+"/"+task.ID+"/completed", "{")
		try("PUT", notes+"/"+note.ID, map[string]any{"body": "x"})
		try("PUT", notes+"/"+note.ID, map[string]any{"body": nil})
		try("DELETE", tasks+"/"+task.ID, nil)
		try("DELETE", notes+"/"+note.ID, nil)
		try("POST", "/locations/"+home+"/tasks/search", map[string]any{"contactId": ids[:1]})
		try("POST", "/locations/"+home+"/tasks/search", map[string]any{"limit": 0})
	}
	everything := func() {
		t.Helper()
		for _, id := range append(ids[:9:9], "nobody") {
			try("GET", "/contacts/"+id, nil)
		}
		try("POST", "/contacts/", full)
		try("POST", "/contacts/", map[string]any{"locationId": home})
		try("POST", "/contacts/", map[string]any{"nonsense": 1})
		try("PUT", "/contacts/"+ids[0], update)
		try("PUT", "/contacts/"+ids[0], map[string]any{"companyName": 1})
		try("PUT", "/contacts/"+ids[0], "{")
		try("POST", "/contacts/"+ids[0]+"/tags", map[string]any{"tags": []string{"x"}})
		try("DELETE", "/contacts/"+ids[0]+"/tags", map[string]any{"tags": []string{"x"}})
		try("DELETE", "/contacts/"+ids[0]+"/tags", map[string]any{})
		try("POST", "/contacts/upsert", map[string]any{"locationId": home, "email": "a@us.example"})
		try("POST", "/contacts/upsert", map[string]any{"locationId": home, "createNewIfDuplicateAllowed": "no"})
		try("GET", "/contacts/search/duplicate?locationId="+home+"&email=a@us.example", nil)
		try("GET", "/contacts/search/duplicate?locationId="+home+"&number=1", nil)
		try("POST", "/contacts/search", map[string]any{"locationId": home, "pageLimit": 10})
		try("POST", "/contacts/search", map[string]any{"locationId": home})
		try("POST", "/contacts/search", map[string]any{"locationId": home, "pageLimit": 1, "filters": []any{map[string]any{"field": "x"}}})
		try("GET", "/locations/"+home, nil)
		try("GET", "/locations/other", nil)
		try("GET", "/locations/"+home+"/customFields?model=contact", nil)
		try("GET", "/locations/"+home+"/customFields?model=odd", nil)
		hanging()
		try("GET", "/contacts/?limit=100&locationId="+home, nil)
		try("GET", "/contacts/?limit=101&locationId="+home, nil)
		try("GET", "/contacts/business/"+business+"?locationId="+home, nil)
		try("GET", "/contacts/business/b?skip=x&locationId="+home, nil)
		try("GET", "/businesses/?locationId="+home, nil)
		try("GET", "/businesses/?skip=x&locationId="+home, nil)
		for _, id := range []string{business, "others", "nobody"} {
			try("GET", "/businesses/"+id, nil)
			try("POST", "/contacts/bulk/business", map[string]any{"locationId": home, "ids": ids[:2], "businessId": id})
		}
		try("POST", "/contacts/bulk/business", map[string]any{"locationId": home, "ids": ids[1:2], "businessId": nil})
		try("POST", "/contacts/bulk/business", map[string]any{"locationId": home})
		try("GET", "/contacts/"+ids[0]+"/appointments", nil)
		try("GET", "/users/?locationId="+home, nil)
		try("DELETE", "/contacts/"+ids[len(ids)-1], nil)
		try("DELETE", "/contacts/nobody", nil)
	}
	everything()
	good := a.token
	a.token = "guess"
	everything()
	a.token, a.version = good, ""
	everything()
	a.version = "2019-01-01"
	everything()
	assert.Len(t, seen, len(templates), "every operation")
	assert.Len(t, used, len(exceptions), "an exception that nothing needs hides mistakes")
}

// withoutOddValues leaves out custom field values that are not text, see the exceptions, and says whether there
// were any.
func withoutOddValues(t *testing.T, text string) (rest string, odd bool) {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &body))
	contacts, _ := body["contacts"].([]any)
	for _, c := range append(contacts, body["contact"]) {
		contact, _ := c.(map[string]any)
		fields, _ := contact["customFields"].([]any)
		for _, f := range fields {
			if _, isText := f.(map[string]any)["value"].(string); !isText {
				delete(f.(map[string]any), "value")
				odd = true
			}
		}
	}
	out, err := json.Marshal(body)
	require.NoError(t, err)
	return string(out), odd
}
