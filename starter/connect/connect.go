// Package connect has the pages by which people connect GHL: the link that leads to GHL's consent page, and the page where
// they come back with a code, which is changed for tokens there and then.
package connect

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// OAuth is GHL as far as installs go: clients/ghl has one.
type OAuth interface {
	ConsentURL(state string) string
	Exchange(ctx context.Context, code crm.Secret, kind crm.TokenKind) (crm.Grant, error)
	InstalledLocations(ctx context.Context, companyToken crm.Secret, company, app string) iter.Seq2[crm.InstalledLocation, error]
}

// Sealer seals what browsers carry: connections have one.
type Sealer interface {
	Seal(plain, row []byte) ([]byte, error)
	Open(sealed, row []byte) ([]byte, error)
}

// Options tell the pages whom to ask and whom to tell. OAuth, Sealer, UseState, Install and Start are needed.
type Options struct {
	OAuth  OAuth
	AppID  string
	Secure bool // the redirect URL is https, and so the cookie is for https alone

	// Sealer and UseState are the same for all processes behind one address: a browser may come back to any of them.
	Sealer Sealer
	// UseState notes that a state was used; [crm.ErrMoved] when it was before.
	UseState func(ctx context.Context, state []byte, ends time.Time) error

	// Install keeps a grant, and returns the locations that are connected by it. Doing it twice is as good as once.
	Install func(ctx context.Context, grant crm.Grant, locations []crm.InstalledLocation) ([]crm.Connection, error)
	// Start has a connected location brought to life; it returns once Temporal has it.
	Start func(ctx context.Context, location string) error
	// Backfill tells that who starts a location has the contacts loaded that are there already. Else people say when.
	Backfill bool

	// Observe is told how each request ended, in one of the words below.
	Observe func(result string)
	Log     *slog.Logger
	Now     func() time.Time
}

// The results, which are a metric's label.
const (
	sentOff       = "sent_off"      // to the consent page
	connected     = "connected"     // all that was found
	partly        = "partly"        // some locations, or not all could be found or started
	nothing       = "nothing"       // a company without a location that has the app
	denied        = "denied"        // by the person
	refused       = "refused"       // by GHL, for what only people can change
	wrongState    = "wrong_state"   // another browser, too late, or never ours
	repeated      = "repeated"      // a state that was used
	malformed     = "malformed"     // a request that nobody sends who means well
	unavailable   = "unavailable"   // GHL, the store or Temporal is away
	misconfigured = "misconfigured" // our own settings are wrong
	internal      = "internal"      // a bug of ours
)

const (
	// maxQuery is more than GHL's codes and our states take.
	maxQuery = 8 << 10
	// patience bounds a whole callback. An agency's takes longest: a page of locations a call, and a start for each.
	patience = 50 * time.Second
	// asking bounds what GHL is asked, so that time is left to keep what it gave.
	asking = 15 * time.Second
	// noting bounds what the store is asked before that.
	noting = 5 * time.Second
)

// New returns the handler of GET /oauth/install and GET /oauth/callback.
func New(o Options) http.Handler {
	if o.OAuth == nil || o.Sealer == nil || o.UseState == nil || o.Install == nil || o.Start == nil {
		panic("connect: Options need OAuth, Sealer, UseState, Install and Start")
	}
	if o.Observe == nil {
		o.Observe = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &pages{o}
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth/install", p.only(p.install))
	mux.HandleFunc("/oauth/callback", p.only(p.callback))
	return mux
}

type pages struct{ Options }

// only lets GET through: a HEAD would use up a state that the person who follows needs. Whatever panics is told to nobody but
// the log, and there without its value, which could hold a token.
func (p *pages) only(do func(http.ResponseWriter, *http.Request) page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var shown page
		func() {
			defer func() {
				if recover() != nil {
					p.Log.Error("a page panicked", "stack", string(debug.Stack()))
					shown = p.failed(&crm.Error{Code: crm.Internal, Operation: "connect"})
				}
			}()
			if r.Method != http.MethodGet {
				w.Header().Set("Allow", http.MethodGet)
				shown = page{status: http.StatusMethodNotAllowed, result: malformed, Title: "Only GET is served here"}
				return
			}
			shown = do(w, r)
		}()
		p.Observe(shown.result)
		if shown.status == http.StatusFound {
			guard(w.Header())
			w.WriteHeader(shown.status)
			return
		}
		reply(w, shown)
	}
}

// install sends the browser to GHL's consent page, and nowhere else whatever the request says.
func (p *pages) install(w http.ResponseWriter, r *http.Request) page {
	state, browser, err := p.open(p.browser(r))
	if err != nil {
		return p.failed(err)
	}
	http.SetCookie(w, &http.Cookie{
		Name: p.cookie(), Value: browser, Path: "/", MaxAge: int(life.Seconds()),
		Secure: p.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	w.Header().Set("Location", p.OAuth.ConsentURL(state))
	return page{status: http.StatusFound, result: sentOff}
}

// cookie is the name of the browser's key. The prefix keeps other hosts of the same domain from setting it.
func (p *pages) cookie() string {
	if p.Secure {
		return "__Host-rankrsync-install"
	}
	return "rankrsync-install"
}

// browser is the key that the browser shows; of several, one was put there by somebody else, and none counts.
func (p *pages) browser(r *http.Request) string {
	if shown := r.CookiesNamed(p.cookie()); len(shown) == 1 {
		return shown[0].Value
	}
	return ""
}
