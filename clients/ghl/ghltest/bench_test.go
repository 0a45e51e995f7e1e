package ghltest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
)

// The fake must not be what a benchmark of the product measures.
func BenchmarkGet(b *testing.B) {
	s := ghltest.New()
	s.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	ids := s.Seed(home, 10_000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		serveOnce(s, "GET", "/contacts/"+ids[i%len(ids)])
	}
}

func BenchmarkEventAndSign(b *testing.B) {
	s := ghltest.New()
	ids := s.Seed(home, 100)
	for i := range b.N {
		body, _ := s.Event(ghltest.ContactUpdate, ids[i%len(ids)])
		s.Sign(body)
	}
}

func BenchmarkSeedTenThousand(b *testing.B) {
	for range b.N {
		ghltest.New().Seed(home, 10_000)
	}
}

func serveOnce(s *ghltest.Server, method, path string) {
	r := httptest.NewRequest(method, path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+ghltest.Token(home))
	r.Header.Set("Version", "2021-07-28")
	s.ServeHTTP(httptest.NewRecorder(), r)
}
