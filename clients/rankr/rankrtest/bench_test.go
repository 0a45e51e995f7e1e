package rankrtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
)

// BenchmarkSyncOfOneContact is what bringing a new contact into step asks of Rankr: a search and a create. The fake
// must be far from being what a benchmark of the product measures.
func BenchmarkSyncOfOneContact(b *testing.B) {
	s := rankrtest.New()
	s.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	wire := httptest.NewServer(s)
	defer wire.Close()
	do := func(method, path, body string) {
		request, _ := http.NewRequest(method, wire.URL+path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer token")
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	for i := 0; b.Loop(); i++ {
		do("GET", fmt.Sprintf("/contacts/?externalId=e%d&email=e%d@example.com&phone=%%2B1202%07d", i, i, i), "")
		do("POST", "/contacts/", fmt.Sprintf(`{"externalId":"e%d","email":"e%d@example.com","phone":"+1202%07d","customFields":{"a":"b"},"tags":["x"]}`, i, i, i))
	}
	b.ReportMetric(float64(2*b.N)/b.Elapsed().Seconds(), "requests/s")
}
