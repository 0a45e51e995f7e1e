package ghltest

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The consent page's paths: since 2026-05-27, and before.
var consentPaths = []string{"/v2/oauth/chooselocation", "/oauth/chooselocation"}

// maxState is more than any app needs to find its visitor again; GHL's own bound is not known.
const maxState = 4096

// consentParameters are those that the page knows. The last one is ours: what a person clicks at.
var consentParameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "loginWindowOpenMode", "version_id", "choose",
}

// Choose says what people decide at the consent page from now on. Until then the page shows what there is to choose.
func (s *Server) Choose(c Choice) {
	s.oauth.mu.Lock()
	defer s.oauth.mu.Unlock()
	s.oauth.choice = &c
}

// AllowRedirects lists the addresses that codes may be sent to, as an app's page at GHL does. None: any.
func (s *Server) AllowRedirects(urls ...string) {
	s.oauth.mu.Lock()
	defer s.oauth.mu.Unlock()
	s.oauth.redirects = urls
}

// consent answers the consent page: it sends the browser back to the app, or shows a page that says why not.
func (s *Server) consent(w http.ResponseWriter, x *exchange) {
	x.operation.name = "oauth.consent"
	query := x.request.URL.Query()
	status, words := http.StatusOK, s.doubt(query)
	target, err := url.Parse(query.Get("redirect_uri"))
	choice, decided := s.decision(query.Get("choose"))
	switch {
	case words != "":
		status = http.StatusBadRequest
	case err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https":
		status, words = http.StatusBadRequest, "redirect_uri is no address"
	case decided:
		back := url.Values{"state": {query.Get("state")}}
		if choice.Deny {
			back.Set("error", "access_denied")
		} else if code, err := s.install(choice, query.Get("redirect_uri"), strings.Fields(query.Get("scope"))); err != nil {
			status, words = http.StatusBadRequest, err.Error()
			break
		} else {
			back.Set("code", code)
			x.effect = true
		}
		target.RawQuery = merged(target.Query(), back).Encode()
		s.journal.add(x.call(http.StatusFound))
		http.Redirect(w, x.request, target.String(), http.StatusFound)
		return
	}
	s.journal.add(x.call(status))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = consentPage.Execute(w, map[string]any{"Words": words, "Choices": s.choices(x.request.URL)}) // the browser may be gone
}

// doubt is why a request for consent is refused, empty for a good one.
func (s *Server) doubt(query url.Values) string {
	for name := range query {
		if !slices.Contains(consentParameters, name) {
			s.journal.unknown("no such query parameter of the consent page: " + name)
			return "unknown parameter"
		}
	}
	s.oauth.mu.Lock()
	defer s.oauth.mu.Unlock()
	switch {
	case query.Get("response_type") != "code":
		return "response_type must be code"
	case query.Get("client_id") != ClientID:
		return "client_id is invalid"
	case strings.TrimSpace(query.Get("scope")) == "":
		return "scope is missing"
	case len(query.Get("state")) > maxState:
		return "state is too long"
	case s.oauth.redirects != nil && !slices.Contains(s.oauth.redirects, query.Get("redirect_uri")):
		return "redirect_uri is not one of the app's" // and so nobody is sent there
	}
	return ""
}

// decision is what the person clicked at, or was told to choose.
func (s *Server) decision(clicked string) (Choice, bool) {
	kind, id, _ := strings.Cut(clicked, "/")
	switch kind {
	case "location":
		return Choice{Location: id}, true
	case "company":
		return Choice{Company: id}, true
	case "deny":
		return Choice{Deny: true}, true
	}
	s.oauth.mu.Lock()
	defer s.oauth.mu.Unlock()
	if s.oauth.choice == nil {
		return Choice{}, false
	}
	return *s.oauth.choice, true
}

// choice is a link on the page.
type choice struct{ Words, Link string }

func (s *Server) choices(page *url.URL) (all []choice) {
	link := func(words, choose string) {
		u := url.URL{Path: page.Path, RawQuery: merged(page.Query(), url.Values{"choose": {choose}}).Encode()}
		all = append(all, choice{words, u.String()})
	}
	companies := map[string]bool{}
	for _, entry := range s.locations.Range {
		companies[entry.(*location).company()] = true
	}
	for company := range companies {
		link("All locations of "+company, "company/"+company)
		for _, l := range s.locationsOf(company) {
			link("Location "+l.settings.Load().Name+" ("+l.id+")", "location/"+l.id)
		}
	}
	slices.SortFunc(all, func(a, b choice) int { return strings.Compare(a.Words, b.Words) })
	link("Nobody", "deny")
	return all
}

func merged(values, more url.Values) url.Values {
	for name, value := range more {
		values[name] = value
	}
	return values
}

var consentPage = template.Must(template.New("consent").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>ghltest: choose a location</title>
{{if .Words}}<h1>This can't be installed</h1><p>{{.Words}}</p>
{{else}}<h1>Who may the app speak for?</h1>
<ul>{{range .Choices}}<li><a href="{{.Link}}">{{.Words}}</a></li>{{end}}</ul>{{end}}
</html>
`))
