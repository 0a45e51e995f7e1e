package ghltest

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
)

// The types of events about the app itself.
const (
	Install   = "INSTALL"
	Uninstall = "UNINSTALL"
)

// DefaultCompany has the locations that name no other.
const DefaultCompany = "CompanyHarbour000001"

const (
	userID = "UserWhoInstalled0001"
	planID = "66a0419a0dffa47fb5f8b22f"
)

// Choice is what a person decides at the consent page.
type Choice struct {
	Location  string   `json:"location,omitempty"`  // the app is for this one alone
	Company   string   `json:"company,omitempty"`   // or for a company's
	Locations []string `json:"locations,omitempty"` // of the company; nil: all
	Future    bool     `json:"future,omitempty"`    // the company's locations to come get it too
	Deny      bool     `json:"deny,omitempty"`      // or for nobody
}

// install is the app at a location or at a company. A company's approves locations.
type install struct {
	owner       string
	location    *location // nil: a company's
	company     string
	scopes      []string
	approved    []string // a company's
	all, future bool
	at          time.Time
	gone        bool
}

// has tells whether a company's app may speak for a location.
func (i *install) has(location string) bool { return !i.gone && slices.Contains(i.approved, location) }

func (i *install) suspended() bool { return i.location != nil && i.location.suspended.Load() }

func (l *location) company() string { return cmp.Or(l.settings.Load().Company, DefaultCompany) }

// installed tells whether a location has the app, its own or its company's. The lock is held.
func (o *oauth) installed(l *location) bool {
	own, companys := o.installs["location/"+l.id], o.installs["company/"+l.company()]
	return own != nil && !own.gone || companys != nil && companys.has(l.id)
}

// locationsOf returns a company's locations by their ids.
func (s *Server) locationsOf(company string) []*location {
	var all []*location
	for _, entry := range s.locations.Range {
		if l := entry.(*location); l.company() == company {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b *location) int { return strings.Compare(a.id, b.id) })
	return all
}

// Install installs the app as a person would, tells of it, and returns the code that goes to the app. It is good with
// any redirect address. Scopes: none are all.
func (s *Server) Install(c Choice, scopes ...string) (code string, err error) {
	if scopes == nil {
		scopes = allScopes()
	}
	return s.install(c, "", scopes)
}

func allScopes() (scopes []string) {
	for _, op := range operations {
		if op.scope != "" {
			scopes = append(scopes, op.scope)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

var errChoice = errors.New("ghltest: the choice names no location or company that is there")

// install makes or renews an install, and a code for it. The event goes out before the code does: GHL's, too, may come
// before the app has changed the code.
func (s *Server) install(c Choice, redirect string, scopes []string) (string, error) {
	i := &install{scopes: scopes, at: s.now(), future: c.Future}
	events := []event{}
	switch l, known := s.location(c.Location); {
	case known:
		i.owner, i.location, i.company = "location/"+l.id, l, l.company()
		events = append(events, event{kind: Install, about: installation{location: l.id, company: i.company, user: userID}})
	case c.Location == "" && len(s.locationsOf(c.Company)) > 0:
		i.owner, i.company, i.all = "company/"+c.Company, c.Company, c.Locations == nil
		events = append(events, event{kind: Install, about: installation{company: c.Company, user: userID}})
		for _, l := range s.locationsOf(c.Company) {
			if i.all || slices.Contains(c.Locations, l.id) {
				i.approved = append(i.approved, l.id)
				events = append(events, event{kind: Install, about: installation{location: l.id, company: c.Company, user: userID}})
			}
		}
	default:
		return "", errChoice
	}
	text := s.oauth.enter(i, redirect)
	s.publish(events...)
	return text, nil
}

// enter keeps an install, which replaces the settings of one that is there: its tokens stay good.
func (o *oauth) enter(i *install, redirect string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.installs == nil {
		o.installs, o.codes = map[string]*install{}, map[string]*code{}
	}
	if old := o.installs[i.owner]; old != nil && !old.gone {
		*old = *i
		i = old
	}
	o.installs[i.owner] = i
	text := "code-" + newUUID()
	o.codes[text] = &code{install: i, redirect: redirect, expires: i.at.Add(codeLife)}
	return text
}

// Uninstall takes the app from an owner, "location/L" or "company/K", and tells of it. Its tokens are good no longer,
// and those minted from them neither. A location whose company has the app loses what it has from there.
func (s *Server) Uninstall(owner string) error {
	about, err := s.installation(owner)
	if err != nil {
		return err
	}
	if !s.oauth.remove(owner, about.company, about.location) {
		return ErrGone
	}
	if about.location != "" {
		about.company = "" // the event names one of the two
	}
	s.publish(event{kind: Uninstall, about: about})
	return nil
}

func (o *oauth) remove(owner, company, location string) (found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := o.installs[owner]; i != nil && !i.gone {
		i.gone, found = true, true
	}
	if i := o.installs["company/"+company]; i != nil && i.has(location) {
		i.approved = slices.DeleteFunc(slices.Clone(i.approved), func(id string) bool { return id == location })
		found = true
	}
	return found
}

// Suspend pauses a location, as unpaid bills do: none of its tokens is good, and no new ones are given. What GHL says to
// calls other than those for tokens is not known; here the token is invalid, so that the next refresh tells.
func (s *Server) Suspend(location string) { s.demand(location).suspended.Store(true) }

// Resume ends that. Refresh tokens are as good as before.
func (s *Server) Resume(location string) { s.demand(location).suspended.Store(false) }

// autoInstall gives the app to a new location of a company that wants it there.
func (s *Server) autoInstall(l *location) {
	s.oauth.mu.Lock()
	i := s.oauth.installs["company/"+l.company()]
	future := i != nil && !i.gone && i.future
	if future {
		i.approved = append(slices.Clone(i.approved), l.id)
	}
	s.oauth.mu.Unlock()
	if future {
		s.publish(event{kind: Install, about: installation{location: l.id}}) // who and which company may be missing
	}
}

// installation is what an event tells of the app at a location or at a company.
type installation struct{ location, company, user string }

func (i installation) home() (location, contact string) { return i.location, "" }

func (i installation) told() map[string]any {
	told := map[string]any{}
	for name, value := range map[string]string{"companyId": i.company, "userId": i.user} {
		if value != "" {
			told[name] = value
		}
	}
	return told
}

// toldOfInstall is what only the event of an install says.
func toldOfInstall(told map[string]any) {
	told["planId"], told["trial"] = planID, map[string]any{}
	told["isWhitelabelCompany"], told["whitelabelDetails"] = false, map[string]any{}
	told["companyName"] = "Example Company"
}

// installation finds who an owner's name means.
func (s *Server) installation(owner string) (installation, error) {
	kind, id, _ := strings.Cut(owner, "/")
	if l, ok := s.location(id); ok && kind == "location" {
		return installation{location: id, company: l.company(), user: userID}, nil
	}
	if kind == "company" && len(s.locationsOf(id)) > 0 {
		return installation{company: id, user: userID}, nil
	}
	return installation{}, ErrGone
}
