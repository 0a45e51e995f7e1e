// Package webhook receives GHL's webhooks. A webhook is a hint, never data: once limited, verified and parsed, all
// that is kept of it is which contact may have changed, when GHL says so, and which of its tasks was made or completed.
package webhook

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/rankrsync/rankrsync/workflows/names"
	"github.com/rankrsync/rankrsync/workflows/nudge"
)

// Nudger hands hints over to Temporal: a [nudge.Nudger]. It returns nil only when Temporal has them: a 2xx is our promise
// for that.
type Nudger interface {
	Contacts(ctx context.Context, location string, hints ...names.Hint) error
	TasksAndNotes(ctx context.Context, location string, hint names.Hint) error
	// Poll asks for a poll of the location that begins after the call; [nudge.ErrNoPoll] where it has none.
	Poll(ctx context.Context, location string) error
}

// Options tell a receiver whom to believe, whom to serve and how much to hold. Keys, Nudger and Serves are needed.
type Options struct {
	Keys   []ed25519.PublicKey // of GHL, see [ParseKeys]; a signature of any of them is good
	Nudger Nudger
	Serves func(location string) bool // GHL sends the events of every installation of an app; others' stop here
	AppID  string                     // events of another app are dropped; empty: not checked
	// Installs hears of installs and their ends; nil, or without an AppID: they are ignored.
	Installs Installs

	// Observe is told how each request ended. Both words come from small fixed sets: kind is an official event
	// type, "unknown", or "none" when the request was refused before its body was believed.
	Observe func(kind string, result Result)
	Log     *slog.Logger
	Now     func() time.Time

	MaxBytes int64         // of bodies in hand at once; default 64 MiB
	MaxCount int64         // of events waiting for Temporal at once; default 10,000
	Timeout  time.Duration // of one hand-over to Temporal; default 5 s, inside any sender's patience
}

// Installs is told that the app was installed or taken away: for a location, or for a company, where location is empty.
// It believes nothing without asking GHL, for a signature proves neither that the event is recent nor that it is ours. False:
// the location or company is none of ours.
type Installs interface {
	Installed(ctx context.Context, location, company string, at time.Time) (bool, error)
	Uninstalled(ctx context.Context, location, company string, at time.Time) (bool, error)
}

// Result says in a word how a request ended; it is the label of a metric.
type Result string

// The results. Only the first six are answered with 200.
const (
	Accepted    Result = "accepted"    // Temporal has the hint
	Polled      Result = "polled"      // an event that does not say whose task it is: a poll of the location will find it
	Unplaced    Result = "unplaced"    // the same where the location has no poll: nothing finds it
	Ignored     Result = "ignored"     // an event of something that is not kept in step
	Foreign     Result = "foreign"     // a location we don't serve
	OtherApp    Result = "other_app"   // signed by GHL, but sent for another app
	Unsigned    Result = "unsigned"    // no signature, or several
	Forged      Result = "forged"      // a signature of nobody we know
	Malformed   Result = "malformed"   // signed, but not an event we could read in one way only
	TooLarge    Result = "too_large"   // more than MaxBody
	NotPost     Result = "not_post"    // another method
	Unsupported Result = "unsupported" // not plain JSON
	Cut         Result = "cut"         // the body ended early or took too long
	Full        Result = "full"        // no room: the sender comes again
	Unavailable Result = "unavailable" // Temporal is away: the sender comes again
)

// none is the kind of a request that was refused before its body was believed.
const none = "none"

// comeAgain is what a sender is told to wait when there is no room or no Temporal. GHL retries up to 12 times.
const comeAgain = 10 * time.Second

// New returns the handler for POST /webhooks/ghl. The server around it sets the deadlines of headers and bodies.
func New(o Options) http.Handler {
	if len(o.Keys) == 0 || o.Nudger == nil || o.Serves == nil {
		panic("webhook: Options need Keys, Nudger and Serves")
	}
	if o.Observe == nil {
		o.Observe = func(string, Result) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 20
	}
	if o.MaxCount == 0 {
		o.MaxCount = 10_000
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	return &receiver{
		Options: o,
		bytes:   semaphore.NewWeighted(o.MaxBytes),
		large:   semaphore.NewWeighted(o.MaxBytes / 2),
		waiting: semaphore.NewWeighted(o.MaxCount),
		outage:  &rate.Sometimes{Interval: 10 * time.Second},
	}
}

type receiver struct {
	Options
	bytes   *semaphore.Weighted // held by bodies from their first byte until they are parsed
	large   *semaphore.Weighted // what of it the parts of bodies past ordinary may hold
	waiting *semaphore.Weighted // held by hints until Temporal has them
	outage  *rate.Sometimes     // a storm during an outage is one line in the log, not one per event
}

// ServeHTTP tells the whole story of one request; every ending is counted once and answered once.
func (h *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, result := h.receive(w, r)
	h.Observe(kind, result)
	answer(w, result)
}

func (h *receiver) receive(w http.ResponseWriter, r *http.Request) (string, Result) {
	if result := supported(r); result != "" {
		return none, result
	}
	signature, ok := signature(r.Header)
	if !ok {
		return none, Unsigned
	}
	event, result := h.read(w, r, signature)
	if result != "" {
		return none, result
	}
	if result := h.judge(event); result != "" {
		return event.kind, result
	}
	return event.kind, h.handOver(r.Context(), event)
}

// read limits, verifies and parses, in this order: nothing of a body is looked at before its signature holds. The
// body is dropped on return, so that an event waiting for Temporal holds a few words only.
func (h *receiver) read(w http.ResponseWriter, r *http.Request, signature []byte) (event, Result) {
	body, release, result := h.limit(w, r)
	defer release()
	if result != "" {
		return event{}, result
	}
	if !verify(h.Keys, body, signature) {
		return event{}, Forged
	}
	e, err := parse(body, h.Now())
	if err != nil {
		h.Log.Debug("webhook refused", "system", "ghl", "result", string(Malformed), "reason", err.Error())
		return event{}, Malformed
	}
	return e, ""
}

// judge tells whether the event stops here. One key signs for all apps and all locations, so a good signature
// proves neither that the event is for our app nor that the location is ours.
func (h *receiver) judge(e event) Result {
	switch {
	case e.about() == nothing:
		return Ignored
	case !e.sound():
		return Malformed
	case e.about() == anInstall:
		return h.judgeInstall(e)
	case !h.Serves(e.location):
		return Foreign
	case h.AppID != "" && e.app != h.AppID:
		return OtherApp
	}
	return ""
}

// judgeInstall lets through only what is about our own app: whose locations they are, Installs knows.
func (h *receiver) judgeInstall(e event) Result {
	switch {
	case h.Installs == nil || h.AppID == "":
		return Ignored
	case e.app != h.AppID:
		return OtherApp
	}
	return ""
}

func (h *receiver) handOver(ctx context.Context, e event) Result {
	if !h.waiting.TryAcquire(1) {
		return Full
	}
	defer h.waiting.Release(1)
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	accepted, err := h.nudge(ctx, e)
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, nudge.ErrFull):
		return Full
	case errors.Is(err, nudge.ErrNoPoll):
		return Unplaced
	}
	h.outage.Do(func() {
		h.Log.Warn("webhooks are not handed over to Temporal; senders are told to come again", "location", e.location, "error", err)
	})
	return Unavailable
}

// nudge hands the event's hint over to where it belongs.
func (h *receiver) nudge(ctx context.Context, e event) (Result, error) {
	switch {
	case e.about() == anInstall:
		return h.installed(ctx, e)
	case e.homeless():
		return Polled, h.Nudger.Poll(ctx, e.location)
	case e.about() == aContact:
		return Accepted, h.Nudger.Contacts(ctx, e.location, names.Hint{Contact: e.id, At: e.at, Received: h.Now()})
	}
	return Accepted, h.Nudger.TasksAndNotes(ctx, e.location,
		names.Hint{Contact: e.contact, At: e.at, Received: h.Now(), Events: e.happened()})
}

func (h *receiver) installed(ctx context.Context, e event) (Result, error) {
	tell := func() (bool, error) { return h.Installs.Installed(ctx, e.location, e.company, e.at) }
	if e.kind == uninstall {
		tell = func() (bool, error) { return h.Installs.Uninstalled(ctx, e.location, e.company, e.at) }
	}
	if ours, err := tell(); err != nil || ours {
		return Accepted, err
	}
	return Foreign, nil
}

// answer says as little as a sender needs; GHL reads the status only.
func answer(w http.ResponseWriter, result Result) {
	switch result {
	case Accepted, Polled, Unplaced, Ignored, Foreign, OtherApp:
		w.WriteHeader(http.StatusOK)
	case Unsigned, Forged:
		http.Error(w, "X-GHL-Signature must hold one valid signature of the body", http.StatusUnauthorized)
	case Malformed:
		http.Error(w, "the body is not one well-formed event", http.StatusBadRequest)
	case Cut:
		http.Error(w, "the body did not arrive whole", http.StatusBadRequest)
	case TooLarge:
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
	case Unsupported:
		http.Error(w, "the body must be plain JSON", http.StatusUnsupportedMediaType)
	case NotPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
	case Full, Unavailable:
		w.Header().Set("Retry-After", strconv.Itoa(int(comeAgain.Seconds())))
		http.Error(w, "come again", http.StatusServiceUnavailable)
	}
}
