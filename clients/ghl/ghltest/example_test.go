package ghltest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

// A test puts the fake on a socket, makes it misbehave, and looks at what was asked of it.
func Example() {
	ghl := ghltest.New()
	defer ghl.Close()
	wire := httptest.NewServer(ghl)
	defer wire.Close()

	ada := ghl.Create("harbour", ghltest.Contact{FirstName: "Ada"})
	ghl.Fail(ghltest.Fault{Operation: "contacts.get", Status: http.StatusServiceUnavailable, Times: 1})

	request, _ := http.NewRequest("GET", wire.URL+"/contacts/"+ada.ID, nil)
	request.Header.Set("Authorization", "Bearer "+ghltest.Token("harbour"))
	request.Header.Set("Version", "2021-07-28")
	for range 2 {
		answer, _ := http.DefaultClient.Do(request)
		answer.Body.Close()
	}
	for _, call := range ghl.Calls() {
		fmt.Println(call.Operation, call.Status)
	}
	// Output:
	// contacts.get 503
	// contacts.get 200
}
