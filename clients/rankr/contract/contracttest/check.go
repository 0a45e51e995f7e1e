// Package contracttest holds what goes over the wire against the contract: every request and every answer.
package contracttest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/rankrsync/rankrsync/clients/rankr/contract"
)

// Document returns the contract, parsed and valid.
func Document() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(contract.OpenAPI)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
}

// Check is what a wire is watched for.
type Check struct {
	// Requests and Answers tell what is wrong with a request or an answer. Nil: that side is not looked at.
	Requests, Answers func(operation string, err error)

	router routers.Router
}

// Watch puts the check in front of a handler. A request that is outside of the contract still reaches the handler.
func (c Check) Watch(next http.Handler) http.Handler {
	doc, err := Document()
	if err != nil {
		panic(err)
	}
	if c.router, err = gorillamux.NewRouter(doc); err != nil {
		panic(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		input, err := c.request(r)
		if err != nil && c.Requests != nil {
			c.Requests(r.Method+" "+r.URL.EscapedPath(), err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		heard := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(heard, r)
		if input != nil && c.Answers != nil && !heard.gone {
			c.answer(r, input, heard)
		}
	})
}

func (c Check) request(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return nil, err
	}
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			RejectWhenRequestBodyNotSpecified: true, MultiError: true, SkipSettingDefaults: true,
		},
	}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		return input, err
	}
	for name := range r.URL.Query() { // the filter lets unknown ones pass
		if route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			return input, &openapi3filter.RequestError{Input: input, Reason: "unknown query " + name}
		}
	}
	return input, nil
}

func (c Check) answer(r *http.Request, input *openapi3filter.RequestValidationInput, heard *recorder) {
	err := openapi3filter.ValidateResponse(context.WithoutCancel(r.Context()), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: heard.status, Header: heard.Header(),
		Body: io.NopCloser(&heard.body), Options: input.Options,
	})
	if err != nil {
		c.Answers(input.Route.Operation.OperationID, err)
	}
}

// recorder keeps a copy of an answer; gone: the handler took the connection away.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	gone   bool
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

func (r *recorder) Write(text []byte) (int, error) {
	r.body.Write(text)
	return r.ResponseWriter.Write(text)
}

// Hijack is found by [http.ResponseController] before the real one.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.gone = true
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Unwrap lets [http.ResponseController] find the rest, such as Flush.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
