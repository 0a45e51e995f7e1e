package webhook

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// installs remembers what it was told; only location and company are ours.
type installs struct {
	told []string
	err  error
}

func (i *installs) Installed(_ context.Context, l, company string, at time.Time) (bool, error) {
	i.told = append(i.told, fmt.Sprint("installed ", l, " of ", company, " at ", at.Format(time.TimeOnly)))
	return l == location || company == "ourCompany", i.err
}

func (i *installs) Uninstalled(_ context.Context, l, company string, at time.Time) (bool, error) {
	i.told = append(i.told, fmt.Sprint("uninstalled ", l, " of ", company, " at ", at.Format(time.TimeOnly)))
	return l == location || company == "ourCompany", i.err
}

func TestAnInstallOfOurAppIsToldToWhoKnowsTheConnections(t *testing.T) {
	for name, c := range map[string]struct{ body, told, counted string }{
		"a location": {
			`{"type":"INSTALL","appId":"ours","locationId":"` + location + `","companyId":"c1","timestamp":"2026-09-01T11:00:00Z"}`,
			"installed " + location + " of c1 at 11:00:00", "INSTALL accepted",
		},
		"a company": {`{"type":"INSTALL","appId":"ours","companyId":"ourCompany"}`, "installed  of ourCompany at 00:00:00", "INSTALL accepted"},
		"the end of one": {
			`{"type":"UNINSTALL","appId":"ours","locationId":"` + location + `","timestamp":"2026-09-01T11:00:00Z"}`,
			"uninstalled " + location + " of  at 11:00:00", "UNINSTALL accepted",
		},
		"a stranger's": {`{"type":"UNINSTALL","appId":"ours","locationId":"other"}`, "uninstalled other of  at 00:00:00", "UNINSTALL foreign"},
	} {
		t.Run(name, func(t *testing.T) {
			known := &installs{}
			b := start(t, func(o *Options) { o.AppID, o.Installs = "ours", known })
			assert.Equal(t, 200, b.signed(c.body))
			assert.Equal(t, []string{c.told}, known.told)
			assert.Empty(t, b.temporal.got)
			b.only(c.counted)
		})
	}
}

func TestAnInstallThatIsNotOursOrCanNotBeRealStopsBeforeAnybodyIsTold(t *testing.T) {
	body := `{"type":"UNINSTALL","appId":"ours","locationId":"` + location + `"}`
	for name, c := range map[string]struct {
		body, app string
		status    int
		counted   string
	}{
		"another app":        {strings.Replace(body, "ours", "theirs", 1), "ours", 200, "UNINSTALL other_app"},
		"no app":             {strings.Replace(body, `"appId":"ours",`, "", 1), "ours", 200, "UNINSTALL other_app"},
		"we don't know ours": {body, "", 200, "UNINSTALL ignored"},
		"nobody's":           {`{"type":"INSTALL","appId":"ours"}`, "ours", 400, "INSTALL malformed"},
		"an id that is none": {`{"type":"INSTALL","appId":"ours","locationId":"a/b"}`, "ours", 400, "INSTALL malformed"},
		"a company's":        {`{"type":"INSTALL","appId":"ours","companyId":"../x"}`, "ours", 400, "INSTALL malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			known := &installs{}
			b := start(t, func(o *Options) { o.AppID, o.Installs = c.app, known })
			assert.Equal(t, c.status, b.signed(c.body))
			assert.Empty(t, known.told)
			b.only(c.counted)
		})
	}
}

func TestAnInstallThatCannotBeRememberedComesAgain(t *testing.T) {
	b := start(t, func(o *Options) { o.AppID, o.Installs = "ours", &installs{err: assert.AnError} })
	assert.Equal(t, 503, b.signed(`{"type":"INSTALL","appId":"ours","companyId":"c1"}`))
}
