package connect

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// callback is where GHL sends people back to. What it tells is believed only of the browser that was sent there, once.
func (p *pages) callback(w http.ResponseWriter, r *http.Request) page {
	query, wrong := read(r.URL)
	if wrong != nil {
		return *wrong
	}
	// It goes on when the browser leaves: the state and the code work once, and what GHL gives for them must be kept.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	switch verdict, err := p.use(ctx, query.Get("state"), p.browser(r)); {
	case err != nil:
		return p.failed(err)
	case verdict == unknown:
		return page{
			status: http.StatusForbidden, result: wrongState, Title: "Nothing was connected", Again: true,
			Words: []string{
				"This browser did not open the link, or more than ten minutes passed since it did.",
				"If you came from GHL's marketplace, begin with the link below.",
			},
		}
	case verdict == used:
		return page{
			status: http.StatusForbidden, result: repeated, Title: "This page was opened before", Again: true,
			Words: []string{"Each link works once. What the page said the first time holds; if you did not see it, open the link again: connecting twice does no harm."},
		}
	}
	if word := query.Get("error"); word != "" {
		return said(word)
	}
	code := crm.Secret(query.Get("code"))
	if code == "" {
		return page{
			status: http.StatusBadRequest, result: malformed, Title: "Nothing was connected", Again: true,
			Words: []string{"GHL sent you back without a code."},
		}
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience + time.Second)) // else the server's own holds
	return p.connect(ctx, code)
}

// read parses a query that is short and says everything once.
func read(u *url.URL) (url.Values, *page) {
	if len(u.RawQuery) > maxQuery {
		return nil, &page{
			status: http.StatusRequestURITooLong, result: malformed, Title: "Nothing was connected", Again: true,
			Words: []string{"The address is too long to be one that GHL sends people to."},
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	for _, name := range []string{"state", "code", "error"} {
		if err != nil || len(query[name]) > 1 {
			return nil, &page{
				status: http.StatusBadRequest, result: malformed, Title: "Nothing was connected", Again: true,
				Words: []string{"The address is not one that GHL sends people to."},
			}
		}
	}
	return query, nil
}

// said answers what GHL says in place of a code. Its own words are not shown: anybody can write an address.
func said(word string) page {
	told := page{status: http.StatusBadRequest, result: refused, Title: "Nothing was connected", Again: true}
	switch word {
	case "access_denied":
		told.result = denied
		told.Words = []string{"The app was not given access in GHL. If that was not meant, open the link again and allow it."}
	case "server_error", "temporarily_unavailable":
		told.status, told.result, told.wait = http.StatusBadGateway, unavailable, comeAgain
		told.Words = []string{"GHL has a problem of its own. Wait a moment, then open the link again."}
	case "invalid_scope":
		told.Words = []string{"GHL refuses the scopes that the app asks for. Whoever runs it compares them with those of the app's page in GHL's marketplace."}
	default:
		told.Words = []string{"GHL refused to connect. Open the link again; if it stays so, whoever runs the app compares its settings with the app's page in GHL's marketplace."}
	}
	return told
}

// connect changes the code, finds the locations, keeps the grant and starts them.
func (p *pages) connect(ctx context.Context, code crm.Secret) page {
	exchanging, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	// No kind is asked for: whether it is a location's or a company's, GHL decides by what was chosen.
	grant, err := p.OAuth.Exchange(exchanging, code, "")
	if err != nil {
		return p.failed(err)
	}
	connections, missed, err := Keep(ctx, p.OAuth, p.Install, grant, p.AppID)
	if missed != nil {
		p.Log.Warn("the list of a company's locations could not be read", "owner", grant.Owner(), "code", known(missed).Code)
	}
	if err != nil { // opening the link again makes up for all of it
		return p.failed(err)
	}
	lines, failures := p.start(ctx, connections)
	p.Log.Info("the app was installed", "owner", grant.Owner(), "locations", len(lines))
	if len(failures) > 0 { // one line, however many an agency has
		p.Log.Warn("connected locations could not be started", "owner", grant.Owner(), "locations", len(failures), "code", failures[0].Code)
	}
	return p.tell(grant, lines, failures, missed)
}

// Keep keeps a grant, then connects the locations that it is for. A company's is kept before they are listed: the list takes a
// while, and a location whose INSTALL comes meanwhile may be missing there. Missed says why the list is not whole.
func Keep(
	ctx context.Context, oauth OAuth, install func(context.Context, crm.Grant, []crm.InstalledLocation) ([]crm.Connection, error),
	grant crm.Grant, app string,
) (connections []crm.Connection, missed, err error) {
	if connections, err = install(ctx, grant, nil); err != nil || grant.Location != "" {
		return connections, nil, err
	}
	locations, missed := installed(ctx, oauth, grant, app)
	connections, err = install(ctx, grant.Kept(), locations)
	return connections, missed, err
}

// installed are the locations of a grant's company that have the app. When the list can't be read to its end, those that were
// chosen at the consent page are known all the same; the error tells of the others.
func installed(ctx context.Context, oauth OAuth, grant crm.Grant, app string) ([]crm.InstalledLocation, error) {
	listing, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	var found []crm.InstalledLocation
	var missed error
	for location, err := range oauth.InstalledLocations(listing, grant.AccessToken, grant.Company, app) {
		if err != nil {
			missed = err
			break
		}
		found = append(found, location)
	}
	for _, id := range grant.Approved {
		if !slices.ContainsFunc(found, func(l crm.InstalledLocation) bool { return l.ID == id }) {
			found = append(found, crm.InstalledLocation{ID: id})
		}
	}
	return found, missed
}

// starts is how many locations are started at once.
const starts = 8

// start starts each; that one can't be started keeps no other from it.
func (p *pages) start(ctx context.Context, connections []crm.Connection) (lines []line, failures []*crm.Error) {
	lines = make([]line, len(connections))
	all := make([]*crm.Error, len(connections))
	var group sync.WaitGroup
	slots := make(chan struct{}, starts)
	for i, connection := range connections {
		lines[i] = line{Name: connection.Name, ID: connection.Location}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if all[i] = p.startOne(ctx, connection.Location); all[i] != nil {
				lines[i].Trouble = "Kept, but not started: " + crm.Catalogue[all[i].Code].Sentence + "."
			}
		})
	}
	group.Wait()
	return lines, slices.DeleteFunc(all, func(e *crm.Error) bool { return e == nil })
}

func (p *pages) startOne(ctx context.Context, location string) (failure *crm.Error) {
	defer func() {
		if recover() != nil {
			p.Log.Error("a start panicked", "location", location, "stack", string(debug.Stack()))
			failure = &crm.Error{Code: crm.Internal}
		}
	}()
	err := p.Start(ctx, location)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*crm.Error](err); ok {
		return e
	}
	return &crm.Error{Code: crm.TemporalAway} // what Temporal's client says in words of its own
}

// tell is the page of a grant that is kept.
func (p *pages) tell(grant crm.Grant, lines []line, failures []*crm.Error, missed error) page {
	shown := page{status: http.StatusOK, result: connected, Title: "Connected", Locations: lines}
	switch {
	case missed != nil && len(lines) == 0:
		shown = explain(known(missed))
		shown.Title = "Your agency is connected, but not its locations"
		shown.Words = append([]string{"GHL did not tell which locations have the app."}, shown.Words...)
		return shown
	case len(lines) == 0:
		shown.result, shown.Title, shown.Again = nothing, "Your agency is connected, but none of its locations", true
		shown.Words = []string{"No location of the agency has the app yet. Install it for a location in GHL, or open the link again and choose some."}
		return shown.future(grant)
	case len(failures) == len(lines):
		shown = explain(failures[0])
		shown.Title, shown.Locations = "Kept, but not started yet", lines
		return shown
	}
	if len(failures) == 0 && missed == nil {
		shown.Words = []string{"The contacts of these locations are kept in step from now on.", p.earlier(), "You can close this page."}
		return shown.future(grant)
	}
	shown.result, shown.Again, shown.Title = partly, true, "Connected, but not all of it"
	shown.Words = []string{"The contacts of these locations are kept in step from now on, but for those with a note.", p.earlier()}
	if len(failures) > 0 {
		shown.Words = append(shown.Words, advice(failures[0]))
	}
	if missed != nil {
		shown.Words = append(shown.Words,
			"There may be more locations: GHL did not tell all that have the app. "+sentence(crm.Catalogue[known(missed).Code].Sentence),
			advice(known(missed)))
	}
	return shown.future(grant)
}

// earlier says what comes of the contacts that the locations have had before.
func (p *pages) earlier() string {
	if p.Backfill {
		return "Contacts that were there before are being loaded."
	}
	return "Contacts that were there before are not loaded by themselves: starter backfill does that, when whoever runs the app says so."
}

// future says what comes of locations that are made later.
func (p page) future(grant crm.Grant) page {
	if grant.Future {
		p.Words = append(p.Words, "Locations that are made later are connected by themselves.")
	}
	return p
}

// failed is the page of an install of which nothing is kept.
func (p *pages) failed(err error) page {
	e := known(err)
	p.Log.Warn("an install failed", "operation", e.Operation, "code", e.Code, "status", e.Status, "fields", e.Fields, "traceId", e.TraceID)
	return explain(e)
}

// known is the error where it is one of ours. The text of any other stays out of everything.
func known(err error) *crm.Error {
	if e, ok := errors.AsType[*crm.Error](err); ok {
		return e
	}
	return &crm.Error{Code: crm.Internal, Operation: "connect"}
}

// explain is the page of a failure, in the catalogue's words.
func explain(e *crm.Error) page {
	shown := page{
		Title: "Nothing was connected", Again: true,
		Words:   []string{sentence(crm.Catalogue[e.Code].Sentence), advice(e)},
		Failure: &failure{Code: e.Code, Fields: strings.Join(e.Fields, ", "), TraceID: e.TraceID},
	}
	switch e.Code {
	case crm.GHLUnavailable:
		shown.status, shown.result, shown.wait = http.StatusBadGateway, unavailable, comeAgain
	case crm.GHLRateLimited, crm.StoreUnavailable, crm.TemporalAway:
		shown.status, shown.result, shown.wait = http.StatusServiceUnavailable, unavailable, max(e.Wait, comeAgain)
	case crm.InvalidInput, crm.SealBroken:
		shown.status, shown.result = http.StatusInternalServerError, misconfigured
	case crm.GHLReconnect, crm.GHLSuspended, crm.GHLScope, crm.GHLTenant, crm.GHLToken, crm.GHLInvalid, crm.GHLNotFound:
		shown.status, shown.result = http.StatusBadRequest, refused
	default:
		shown.status, shown.result = http.StatusInternalServerError, internal
	}
	return shown
}

// advice is what to do. The catalogue speaks of work that is tried again by itself: here the person is who tries again.
func advice(e *crm.Error) string {
	entry := crm.Catalogue[e.Code]
	switch {
	case e.Code == crm.GHLReconnect:
		return "A code from GHL works once, and only for a few minutes. Open the link again."
	case entry.Retry != crm.Never && entry.Who != "you":
		return "Wait a moment, then open the link again."
	}
	return sentence(cmp.Or(entry.Remedy, "report it")) + " Then open the link again."
}
