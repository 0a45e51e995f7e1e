package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
)

const sealingKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// newAppWorld has no location of its own: they are connected by a link.
func newAppWorld(t *testing.T) *world {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	return newWorldOf(t, func(ghlURL string) stack.Settings {
		return stack.Settings{
			"GHL_TOKEN": "", "GHL_LOCATION_ID": "", "HTTP_ADDR": address, "POLL_INTERVAL": "5m",
			"GHL_CLIENT_ID": ghltest.ClientID, "GHL_CLIENT_SECRET": ghltest.ClientSecret, "GHL_REDIRECT_URL": "http://" + address + "/oauth/callback",
			"GHL_CONSENT_URL": ghlURL + "/v2/oauth/chooselocation", "SECRET_KEY": sealingKey,
		}
	})
}

// install opens the link as a person does, who makes the choice at GHL's page, and returns the page that they end at.
func (w *world) install(choice ghltest.Choice) (status int, page string) {
	w.t.Helper()
	w.ghl.Choose(choice)
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	answer, err := (&http.Client{Jar: jar}).Get(w.starter.HTTP + "/oauth/install")
	require.NoError(w.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	return answer.StatusCode, string(body)
}

func TestAnAgencyConnectsOnceAndAllItsLocationsAreLive(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t)
	for _, id := range []string{"agencyOne", "agencyTwo", "agencyThree"} {
		w.ghl.PutLocation(ghltest.Location{ID: id, Name: "Studio " + id, Company: "theAgency", Country: "US"})
	}
	status, page := w.install(ghltest.Choice{Company: "theAgency", Future: true})
	require.Equal(t, http.StatusOK, status, page)
	for _, id := range []string{"agencyOne", "agencyTwo", "agencyThree"} {
		assert.Contains(t, page, id)
		w.eventually(func() string {
			if _, err := w.client.ScheduleClient().GetHandle(t.Context(), "poll/"+id).Describe(t.Context()); err != nil {
				return "no poll is scheduled for " + id
			}
			return ""
		})
		contact := w.ghl.Create(id, ghltest.Contact{FirstName: "Mira", Email: id + "@example.com"})
		w.mirror(contact.ID, named("Mira"))
	}
	// A location that is made later gets the app by itself; its event does not name the agency.
	w.ghl.PutLocation(ghltest.Location{ID: "agencyFour", Company: "theAgency", Country: "US"})
	w.eventually(func() string {
		if _, err := w.client.ScheduleClient().GetHandle(t.Context(), "poll/agencyFour").Describe(t.Context()); err != nil {
			return "no poll is scheduled for agencyFour"
		}
		return ""
	})
	later := w.ghl.Create("agencyFour", ghltest.Contact{FirstName: "Lena", Email: "lena@example.com"})
	w.mirror(later.ID, named("Lena"))
	listed := w.run("connections", "-o", "json")
	assert.Equal(t, 0, listed.Code, listed.Stderr)
	assert.Contains(t, listed.Stdout, "agencyTwo")

	// A token that ends is renewed on the way, also by a worker that was started anew.
	w.ghl.Expire("")
	w.worker.Stop(patience)
	w.startWorker()
	contact := w.ghl.Create("agencyOne", ghltest.Contact{FirstName: "Noor", Email: "noor@example.com"})
	w.mirror(contact.ID, named("Noor"))

	// An uninstall is believed once GHL refuses the token: the poll goes, the records stay.
	records := len(w.rankr.All())
	require.NoError(t, w.ghl.Uninstall("company/theAgency"))
	w.eventually(func() string {
		if _, err := w.client.ScheduleClient().GetHandle(t.Context(), "poll/agencyOne").Describe(t.Context()); err == nil {
			return "the poll is still there"
		}
		return ""
	})
	assert.Len(t, w.rankr.All(), records)
	status, page = w.install(ghltest.Choice{Company: "theAgency"})
	require.Equal(t, http.StatusOK, status, page)
	_, err := w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Nora" })
	require.NoError(t, err)
	w.mirror(contact.ID, named("Nora"))
	assert.Len(t, w.rankr.All(), records, "nothing is made twice when it comes back")
}

func TestAPausedLocationIsParkedAndGoesOnByItself(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t)
	w.ghl.PutLocation(ghltest.Location{ID: "harbour", Country: "US"})
	status, page := w.install(ghltest.Choice{Location: "harbour"})
	require.Equal(t, http.StatusOK, status, page)
	contact := w.ghl.Create("harbour", ghltest.Contact{FirstName: "Mira", Email: "mira@example.com"})
	w.mirror(contact.ID, named("Mira"))
	time.Sleep(2100 * time.Millisecond) // the quiet period: the next round must meet the refusal
	w.ghl.Suspend("harbour")
	_, err := w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Mirah" })
	require.NoError(t, err)
	w.eventually(func() string {
		if problems := w.run("problems"); !strings.Contains(problems.Stdout, "RS-GHL-SUSPENDED") {
			return "no problem is told: " + problems.Stdout
		}
		return ""
	})
	assert.Contains(t, w.run("connections").Stdout, "suspended")
	w.ghl.Resume("harbour")
	w.run("poll", "now", "--location", "harbour")
	w.mirror(contact.ID, named("Mirah"))
}

func TestAWrongSealingKeyIsFoundAtStart(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t)
	w.ghl.PutLocation(ghltest.Location{ID: "harbour", Country: "US"})
	status, page := w.install(ghltest.Choice{Location: "harbour"})
	require.Equal(t, http.StatusOK, status, page)
	other := stack.Settings{"SECRET_KEY": "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="}
	result, err := w.stack.Run(t.Context(), w.settings.With(other), "worker")
	require.NoError(t, err)
	assert.Equal(t, 2, result.Code)
	assert.Contains(t, result.Stderr, "SECRET_KEY is not the key")
}

// grants are how the fake's tokens and codes look.
var grants = regexp.MustCompile(`(?i)(access|refresh|code)-[0-9a-f]{8}-[0-9a-f]{4}`)

func TestNoTokenCodeSecretOrPersonalDataIsFoundOutsideOfGHLAndRankr(t *testing.T) {
	t.Parallel()
	w := newAppWorld(t)
	w.ghl.PutLocation(ghltest.Location{ID: "agencyOne", Company: "theAgency", Country: "US"})
	status, page := w.install(ghltest.Choice{Company: "theAgency"})
	require.Equal(t, http.StatusOK, status, page)
	contact := w.ghl.Create("agencyOne", ghltest.Contact{FirstName: "Kanarienvogel", Email: canary + "@example.com", Phone: "+1" + ringing, Country: "US"})
	record := w.mirror(contact.ID, named("Kanarienvogel")).ID
	w.ghl.Expire("") // so that tokens are refused, renewed and minted
	_, err := w.ghl.Edit(contact.ID, func(c *ghltest.Contact) { c.FirstName = "Kanarienvogels" })
	require.NoError(t, err)
	w.mirror(contact.ID, named("Kanarienvogels"))
	_, err = w.ghl.AddNote(contact.ID, ghltest.Note{Body: "Kanarienvogel asks to be called at " + ringing})
	require.NoError(t, err)
	w.eventually(func() string {
		if n := len(w.rankr.Notes(record)); n != 1 {
			return fmt.Sprintf("Rankr has %d notes", n)
		}
		return ""
	})
	_, _ = http.Get(w.starter.HTTP + "/oauth/callback?code=code-00000000-0000&state=x") // refused, and perhaps logged

	clean := func(where string, text []byte) {
		t.Helper()
		assert.Empty(t, string(grants.Find(text)), where)
		assert.Empty(t, leaks(text), where)
		for _, secret := range []string{ghltest.ClientSecret, sealingKey} {
			assert.NotContains(t, string(text), secret, where)
		}
	}
	clean("the page", []byte(page))
	for _, command := range []string{"connections", "problems", "config"} {
		result := w.run(command, "-o", "json")
		clean("starter "+command, []byte(result.Stdout+result.Stderr))
	}
	runs, err := w.client.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{})
	require.NoError(t, err)
	require.NotEmpty(t, runs.GetExecutions())
	for _, run := range runs.GetExecutions() {
		text, err := protojson.Marshal(w.history(run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId()))
		require.NoError(t, err)
		clean(run.GetExecution().GetWorkflowId(), decoded(text))
	}
	for _, program := range []*stack.Program{w.worker, w.starter} {
		clean("the metrics of "+program.Name, []byte(w.exposition(program)))
	}
	for _, dir := range []string{w.stack.Dir, w.stack.Log} { // the store, Temporal's files, the logs
		require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			clean(path, content)
			return err
		}))
	}
}
