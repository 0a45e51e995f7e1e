// HTTP servers: the deadlines and limits that both of them have, and the private one with metrics and health.

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rankrsync/rankrsync/crm"
)

// NewServer returns a server that nobody can hold up: slow headers, slow bodies and idle connections are cut.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second, // a webhook's body and its hand-over fit into it
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Listener is a server with its place to listen.
type Listener struct {
	net.Listener
	server *http.Server
}

// Listen takes the addresses of all servers before any of them serves: an address that is taken is a setting to
// correct, not a surprise later.
func Listen(name string, address Address, server *http.Server) (Listener, error) {
	listener, err := net.Listen("tcp", string(address))
	if err != nil {
		return Listener{}, &SettingsError{[]string{fmt.Sprintf("%s %s can't be listened on: is it taken by another program?", name, address)}}
	}
	return Listener{listener, server}, nil
}

// Serve runs the server until ctx ends, then lets the requests in hand finish for at most drain.
func (l Listener) Serve(ctx context.Context, drain time.Duration) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		stopped <- errors.Join(l.server.Shutdown(ctx), l.server.Close())
	})
	defer stop()
	if err := l.server.Serve(l.Listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// Ready tells whether a program can do its work: it is not on its way out, and every check passes.
type Ready struct {
	leaving atomic.Bool
	mu      sync.Mutex
	checks  []check
}

type check struct {
	name string
	run  func(context.Context) error
}

// Check adds a check. Its error's text is shown to whoever may see OPS_ADDR.
func (r *Ready) Check(name string, run func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, check{name, run})
}

// Leave makes the program not ready for good: whoever sends it work should stop before it drains.
func (r *Ready) Leave() { r.leaving.Store(true) }

// ServeHTTP answers 200 or 503; with ?verbose it lists each check.
func (r *Ready) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), 3*time.Second)
	defer cancel()
	r.mu.Lock()
	checks := append([]check{{"running", func(context.Context) error {
		if r.leaving.Load() {
			return errors.New("the program is on its way out")
		}
		return nil
	}}}, r.checks...)
	r.mu.Unlock()

	failures := make([]error, len(checks))
	var group errgroup.Group
	for i, c := range checks {
		group.Go(func() error {
			failures[i] = c.run(ctx)
			return failures[i]
		})
	}
	status, verdict := http.StatusOK, "ready"
	if group.Wait() != nil {
		status, verdict = http.StatusServiceUnavailable, "not ready"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if request.URL.Query().Has("verbose") {
		for i, c := range checks {
			if failures[i] == nil {
				fmt.Fprintf(w, "[+] %s ok\n", c.name)
			} else {
				fmt.Fprintf(w, "[-] %s: %v\n", c.name, failures[i])
			}
		}
	}
	fmt.Fprintln(w, verdict)
}

// storeCheck is the store's part in a program's readiness.
func storeCheck(err error) error {
	if err == nil {
		return nil
	}
	return &crm.Error{Code: crm.StoreUnavailable}
}

// Ops is the private side of a program: /metrics, /healthz (the process runs) and /readyz (it can do its work).
func Ops(metrics http.Handler, ready *Ready) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", Healthy)
	mux.Handle("GET /readyz", ready)
	return mux
}

// Healthy says that the process runs.
func Healthy(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
