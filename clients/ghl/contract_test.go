package ghl

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// searchFields stand in for the spec where it is silent: the body of POST /contacts/search has an empty schema in all
// versions. The fields are those of the page that the spec links to.
var searchFields = []string{"locationId", "pageLimit", "page", "searchAfter", "query", "filters", "sort"}

// TestEveryRequestKeepsToTheOfficialSpec validates path, method, headers, query and body of each request that the
// client can make. There is one exception, searchFields.
func TestEveryRequestKeepsToTheOfficialSpec(t *testing.T) {
	specs := []routers.Router{router(t, "contacts.json"), router(t, "locations.json"), router(t, "users.json"), router(t, "businesses.json")}
	s := &script{says: nil}
	s.says = map[string]func(*http.Request) (int, string){}
	answers(s)
	validated := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		validate(t, specs, r)
		if r.URL.Path == "/contacts/search" {
			var fields map[string]json.RawMessage
			assert.NoError(t, json.Unmarshal(body, &fields))
			for name := range fields {
				assert.Contains(t, searchFields, name)
			}
		}
		validated++
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	everything(t, newClient(server.URL))
	assert.Equal(t, len(Operations)+1, validated, "each operation, and the second page of the search")
}

// router reads a spec whose paths begin at the root, as the test's server's do.
func router(t *testing.T, name string) routers.Router {
	t.Helper()
	path := filepath.Join("../../../shared/ghl/openapi/apps", name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("the official OpenAPI files are not here: ../shared/ghl/openapi/apps")
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	spec, err := loader.LoadFromFile(path)
	require.NoError(t, err)
	spec.Servers = nil
	router, err := gorillamux.NewRouter(spec)
	require.NoError(t, err)
	return router
}

func validate(t *testing.T, specs []routers.Router, r *http.Request) {
	for _, spec := range specs {
		route, params, err := spec.FindRoute(r)
		if err != nil {
			continue
		}
		err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true},
		})
		assert.NoError(t, err, "%s %s", r.Method, r.URL)
		var known []string
		for _, p := range slices.Concat(route.Operation.Parameters, route.PathItem.Parameters) {
			if p.Value.In == "query" {
				known = append(known, p.Value.Name)
			}
		}
		for name := range r.URL.Query() {
			assert.Contains(t, known, name, "%s %s", r.Method, r.URL)
		}
		return
	}
	t.Errorf("no spec knows %s %s", r.Method, r.URL)
}
