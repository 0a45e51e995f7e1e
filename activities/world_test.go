package activities_test

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"golang.org/x/oauth2"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/clients/ghl"
	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/names"
)

const loc = "loc"

// world is everything around the deeds, for real: the clients over sockets to both fakes, and the store in a file. Only
// the clock is the test's.
type world struct {
	t        *testing.T
	ghl      *ghltest.Server
	rankr    *rankrtest.Server
	store    *store.Store
	contacts *activities.Contacts
	tasks    *activities.TasksAndNotes
	segments *activities.Segments
	business *activities.Businesses
	polls    *activities.Polls
	nudged   *nudges
	rankrURL string

	mu    sync.Mutex
	now   time.Time
	ahead time.Duration // of GHL's clock, which else is the real one
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ghl: ghltest.New(), nudged: &nudges{}, now: time.Now()}
	w.ghl.Now = w.ghlClock
	w.ghl.FailOnUnknown(t)
	w.ghl.PutLocation(ghltest.Location{
		ID: loc, Country: "CH",
		CustomFields: []ghltest.CustomField{{ID: "cf1", Name: "Pincode", Key: "contact.pincode", DataType: "TEXT"}},
	})
	w.ghl.Set(func(k *ghltest.Knobs) { k.Unlimited = true })
	t.Cleanup(w.ghl.Close)
	wire := httptest.NewServer(w.ghl)
	t.Cleanup(wire.Close)
	w.rankr, w.rankrURL = rankrtest.Start(t)
	w.rankr.Set(func(k *rankrtest.Knobs) { k.Unlimited = true })
	var err error
	w.store, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "store.db"), store.WithClock(w.clock))
	require.NoError(t, err)
	t.Cleanup(func() { w.store.Close() })
	source := ghl.New(rest.New(rest.Options{System: "ghl", BaseURL: wire.URL, Timeout: 2 * time.Second, Tokens: func(location string) (oauth2.TokenSource, error) {
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: ghltest.Token(location)}), nil
	}}), ghl.Options{})
	destination := rankr.New(rest.New(rest.Options{System: "rankr", BaseURL: w.rankrURL, Timeout: 2 * time.Second, Tokens: func(string) (oauth2.TokenSource, error) {
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token"}), nil
	}}), rankr.Options{})
	w.contacts = &activities.Contacts{
		Source: source, Destination: destination, Links: w.store, Nudge: w.nudged, Prints: w.store.Fingerprinter(), StoreID: w.store.ID(),
		Quiet: 2 * time.Second, Lease: 30 * time.Second, Searchable: func() bool { return true },
	}
	w.tasks = &activities.TasksAndNotes{Contacts: w.contacts, Source: source, Destination: destination}
	w.segments = &activities.Segments{Contacts: w.contacts, Source: source, Destination: destination}
	w.contacts.Segments = w.segments
	w.business = &activities.Businesses{Contacts: w.contacts, Source: source, Destination: destination}
	w.polls = &activities.Polls{Source: source, Destination: destination, Ticks: w.store, Nudge: w.nudged}
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) ghlClock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// passInGHL moves GHL's clock.
func (w *world) passInGHL(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// round runs the deed as a worker would, after the quiet period.
func (w *world) round(contact string) (crm.Result, error) {
	w.pass(3 * time.Second)
	return w.deed(activities.Round{Ref: crm.Ref{Location: loc, Contact: contact}})
}

func (w *world) deed(in activities.Round) (crm.Result, error) {
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.contacts)
	value, err := env.ExecuteActivity(w.contacts.BringIntoStep, in)
	if err != nil {
		return crm.Result{}, err
	}
	var answer activities.Answer
	require.NoError(w.t, value.Get(&answer))
	return answer.Result, nil
}

func (w *world) good(contact string) crm.Result {
	w.t.Helper()
	result, err := w.round(contact)
	require.NoError(w.t, err)
	return result
}

func (w *world) page(hints ...names.Hint) (activities.PageAnswer, error) {
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.contacts)
	value, err := env.ExecuteActivity(w.contacts.BringPageIntoStep, activities.PageRound{Location: loc, Hints: hints})
	if err != nil {
		return activities.PageAnswer{}, err
	}
	var answer activities.PageAnswer
	require.NoError(w.t, value.Get(&answer))
	return answer, nil
}

func (w *world) poll(in activities.Tick) (activities.TickAnswer, error) {
	if in.Location == "" {
		in.Location = loc
	}
	env := (&testsuite.WorkflowTestSuite{}).NewTestActivityEnvironment()
	env.RegisterActivity(w.polls)
	value, err := env.ExecuteActivity(w.polls.FindChanges, in)
	if err != nil {
		return activities.TickAnswer{}, err
	}
	var answer activities.TickAnswer
	require.NoError(w.t, value.Get(&answer))
	return answer, nil
}

func (w *world) problems() []crm.ProblemRecord {
	problems, err := w.store.Problems(w.t.Context(), store.Filter{})
	require.NoError(w.t, err)
	return problems
}

// calls returns the operations both systems saw since the last look.
func (w *world) calls() (ghlCalls, rankrCalls []string) {
	for _, c := range w.ghl.Calls() {
		ghlCalls = append(ghlCalls, c.Operation)
	}
	for _, c := range w.rankr.Calls() {
		rankrCalls = append(rankrCalls, c.Operation)
	}
	w.ghl.Reset()
	w.rankr.Forget()
	return ghlCalls, rankrCalls
}

// nudges notes what was handed over to Temporal.
type nudges struct {
	mu                   sync.Mutex
	hints                []names.Hint
	tasks                []names.Hint // those about tasks and notes
	segments, businesses []names.Hint
	due                  map[string]time.Time // by contact and task: what waits
	fail                 error
}

func (n *nudges) Contact(ctx context.Context, location string, hint names.Hint) error {
	return n.Contacts(ctx, location, hint)
}

func (n *nudges) Contacts(_ context.Context, _ string, hints ...names.Hint) error {
	return n.note(&n.hints, hints...)
}

// note adds to one of the lists, unless Temporal is away.
func (n *nudges) note(list *[]names.Hint, hints ...names.Hint) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail == nil {
		*list = append(*list, hints...)
	}
	return n.fail
}

func (n *nudges) TasksAndNotes(_ context.Context, _ string, hint names.Hint) error {
	return n.note(&n.tasks, hint)
}

func (n *nudges) Segments(_ context.Context, _ string, hint names.Hint) error {
	return n.note(&n.segments, hint)
}

func (n *nudges) Business(_ context.Context, _ string, hint names.Hint) error {
	return n.note(&n.businesses, hint)
}

func (n *nudges) DueDate(_ context.Context, _, contact, task string, due time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail == nil {
		if n.due == nil {
			n.due = map[string]time.Time{}
		}
		n.due[contact+"/"+task] = due
	}
	return n.fail
}

func (n *nudges) NoDueDate(_ context.Context, _, contact, task string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail == nil {
		delete(n.due, contact+"/"+task)
	}
	return n.fail
}

func (n *nudges) take() []string { return n.taken(&n.hints) }

func (n *nudges) takeTasks() []string { return n.taken(&n.tasks) }

// takeHints is for those of whom the hints matter.
func (n *nudges) takeHints(hints *[]names.Hint) []names.Hint {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := *hints
	*hints = nil
	return taken
}

func (n *nudges) taken(hints *[]names.Hint) []string {
	var contacts []string
	for _, hint := range n.takeHints(hints) {
		contacts = append(contacts, hint.Contact)
	}
	return contacts
}
