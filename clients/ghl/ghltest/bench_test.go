package ghltest_test

import (
	"io"
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

func BenchmarkGetOverSockets(b *testing.B) {
	s := ghltest.New()
	s.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	id := s.Seed(home, 1)[0]
	wire := httptest.NewServer(s)
	defer wire.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest("GET", wire.URL+"/contacts/"+id, nil)
			r.Header.Set("Authorization", "Bearer "+ghltest.Token(home))
			r.Header.Set("Version", "2021-07-28")
			answer, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	})
}

func BenchmarkWebhooksDelivered(b *testing.B) {
	s := ghltest.New()
	id := s.Seed(home, 1)[0]
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer sink.Close()
	defer s.Close()
	s.Deliver(sink.URL)
	b.ResetTimer()
	for range min(b.N, 50_000) { // more than may wait would be dropped
		_, _ = s.Edit(id, func(c *ghltest.Contact) { c.City += "x"; c.City = c.City[max(0, len(c.City)-9):] })
	}
	_ = s.Settle(b.Context())
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
