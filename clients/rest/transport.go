package rest

import (
	"net"
	"net/http"
	"time"

	"github.com/go-resty/resty/v2"
)

// maxBody bounds an answer after decompression, so that a small gzip can't fill the memory.
const maxBody = 8 << 20

// newResty makes a resty client that does nothing of its own accord: no retries, no redirects, no cookies, and no
// log, for resty logs errors that hold URLs with query strings.
func newResty() *resty.Client {
	return resty.NewWithClient(&http.Client{
		Transport: newTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the token stays with the host it is for
		},
	}).SetLogger(silent{}).SetResponseBodyLimit(maxBody)
}

// newTransport keeps many connections to the one host that a client talks to: the standard transport keeps two and
// would dial anew for most calls of a busy worker.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    512,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// silent is a resty logger that says nothing.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
