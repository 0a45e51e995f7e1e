//go:build !race

package activities

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// The explorer tries every interleaving of two rounds and an editor of the GHL record, against the real store, with one
// fault at every step: a crash before or after the step, an answer that is lost, a write that lands late, or up to two
// pauses longer than the lease. Then the mended system runs, as Temporal would make it run, and both sides must agree. States
// that were seen before are not explored again: a round is a function of what it observed, so the rows, both systems
// and each round's observations are the whole state. (Thousands of runs: not under the race detector, which the other
// tests of this package are for.)

const (
	lease = 30 * time.Second
	where = "loc"
)

// scenario is the world before the two rounds start.
type scenario struct {
	name     string
	contacts [2]string // what the two rounds work on
	ghl      map[string]string
	rankr    []crm.Contact
	linked   bool // the contacts are in step already, through records we made
	edits    []edit
}

type edit struct {
	contact string
	value   string // empty: deleted
}

var scenarios = []scenario{
	{name: "two contacts match one record", contacts: [2]string{"c", "d"}, ghl: map[string]string{"c": "A", "d": "A"}, rankr: []crm.Contact{stranger("own")}},
	{name: "a new contact is edited", contacts: [2]string{"c", "c"}, ghl: map[string]string{"c": "A"}, edits: []edit{{"c", "B"}}},
	{name: "a linked contact is edited", contacts: [2]string{"c", "c"}, ghl: map[string]string{"c": "A"}, linked: true, edits: []edit{{"c", "B"}}},
	{name: "a linked contact is edited and edited back", contacts: [2]string{"c", "c"}, ghl: map[string]string{"c": "A"}, linked: true, edits: []edit{{"c", "B"}, {"c", "A"}}},
	{name: "a field is filled and emptied", contacts: [2]string{"c", "c"}, ghl: map[string]string{"c": "A"}, linked: true, edits: []edit{{"c", "B+"}, {"c", "B"}}},
	{name: "a new contact is deleted", contacts: [2]string{"c", "c"}, ghl: map[string]string{"c": "A"}, edits: []edit{{"c", ""}}},
	{name: "a linked contact is deleted", contacts: [2]string{"c", "c"}, ghl: map[string]string{"c": "A"}, linked: true, edits: []edit{{"c", ""}}},
	{name: "a record is adopted", contacts: [2]string{"c", "c"}, ghl: map[string]string{"c": "A"}, rankr: []crm.Contact{stranger("own")}, edits: []edit{{"c", "B"}}},
	{name: "an adopted record's contact is deleted", contacts: [2]string{"c", "c"}, ghl: map[string]string{"c": "A"}, rankr: []crm.Contact{stranger("own")}, edits: []edit{{"c", ""}}},
}

// stranger is a record that somebody made in Rankr.
func stranger(company string) crm.Contact {
	return crm.Contact{ID: "r-own", Fields: crm.Fields{"email": "x@example.com", "companyName": company}}
}

// wrong are the known wrong protocols, each with a scenario that shows it. Each is the right one with one thing spoilt
// between the round and the store.
var wrong = []struct {
	name, scenario string
	spoil          func(*spoiler)
}{
	{"no advance on equal", "a linked contact is edited and edited back", func(s *spoiler) { s.noAdvance = true }},
	{"fingerprint saved before the write", "a field is filled and emptied", func(s *spoiler) { s.earlyPrint = true }},
	{"unsure cleared too early", "a new contact is edited", func(s *spoiler) { s.earlySure = true }},
	{"unsure without a version step", "a new contact is edited", func(s *spoiler) { s.noStep = true }},
	{"no reservation", "two contacts match one record", func(s *spoiler) { s.noReservation = true }},
	{"attempt 2 believes fingerprints", "a new contact is edited", func(s *spoiler) { s.believe = true }},
}

func TestEveryInterleavingEndsInStep(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			e := newExplorer(t, s, nil)
			if failure := e.explore(); failure != "" {
				t.Fatal(failure)
			}
			t.Logf("%d states, %d runs", len(e.seen), e.runs)
		})
	}
}

func TestTheExplorerFindsEveryKnownWrongProtocol(t *testing.T) {
	for _, w := range wrong {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == w.scenario })
			e := newExplorer(t, scenarios[i], w.spoil)
			failure := e.explore()
			require.NotEmpty(t, failure, "not found: the explorer is blind for it")
			t.Logf("found after %d runs: %s", e.runs, failure)
		})
	}
}

type explorer struct {
	t        *testing.T
	scenario scenario
	store    *store.Store
	raw      *sql.DB
	spoil    func(*spoiler)
	clock    time.Time
	seen     map[uint64]bool
	runs     int
}

func newExplorer(t *testing.T, s scenario, spoil func(*spoiler)) *explorer {
	dir := t.TempDir()
	if memory, err := os.MkdirTemp("/dev/shm", "explore"); err == nil { // no disk: thousands of commits
		dir = memory
		t.Cleanup(func() { os.RemoveAll(memory) })
	}
	e := &explorer{t: t, scenario: s, spoil: spoil, seen: map[uint64]bool{}}
	file := filepath.Join(dir, "store.db")
	var err error
	e.store, err = store.Open(t.Context(), "sqlite:"+file, store.WithClock(func() time.Time { return e.clock }))
	require.NoError(t, err)
	t.Cleanup(func() { e.store.Close() })
	e.raw, err = sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)")
	require.NoError(t, err)
	e.raw.SetMaxOpenConns(1)
	t.Cleanup(func() { e.raw.Close() })
	return e
}

// explore walks the tree of choices depth first; it returns the first failure with the steps that led to it.
func (e *explorer) explore() string {
	stack := [][]int{nil}
	for len(stack) > 0 {
		path := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		e.runs++
		r := newRun(e)
		widths, fresh := r.follow(path)
		if r.failure != "" {
			return r.failure + "\n  " + strings.Join(r.log, "\n  ")
		}
		// Siblings of every choice that this run made for the first time.
		for depth := len(path); depth < fresh; depth++ {
			for choice := 1; choice < widths[depth]; choice++ {
				stack = append(stack, append(slices.Clone(r.path[:depth]), choice))
			}
		}
	}
	return ""
}

// run is one way through the tree.
type run struct {
	*explorer
	ghl      map[string]string
	edited   map[string]time.Time
	edits    []edit
	records  map[string]crm.Contact
	answered map[string]string // idempotency key → record
	made     int
	everGone map[string]bool
	rounds   []*actor
	ghosts   []ghost
	faulted  bool
	pauses   int
	done     map[string]int  // edits of a contact that happened
	covered  map[string]int  // … and those that a round, begun after them, has brought into step
	again    map[string]bool // contacts for which somebody will run another round
	confirm  map[string]bool // … that has nothing to do but to confirm
	failed   map[string]bool // … as a second attempt
	path     []int
	log      []string
	failure  string
}

type ghost struct {
	what string
	land func()
	by   time.Time
}

// actor is one round in a goroutine of its own, which stops before every step until it is told how the step goes.
type actor struct {
	run      *run
	name     string
	contact  string
	asks     chan string
	says     chan mode
	observed string
	at       string // the step it stands before
	since    int    // edits of its contact that happened before its first step; -1: it did not take one yet
	over     bool
}

type mode int

const (
	goOn mode = iota
	crashBefore
	crashAfter
	loseAnswer
	landLate
	abandon // the run is over: end the goroutine
)

func (m mode) String() string {
	return []string{"", " — CRASH before it", " — CRASH after it", " — ANSWER LOST", " — LANDS LATE, answer lost", ""}[m]
}

func newRun(e *explorer) *run {
	e.clock = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	r := &run{
		explorer: e, ghl: maps.Clone(e.scenario.ghl), edited: map[string]time.Time{}, edits: e.scenario.edits,
		records: map[string]crm.Contact{}, answered: map[string]string{}, everGone: map[string]bool{},
		again: map[string]bool{}, confirm: map[string]bool{}, failed: map[string]bool{}, done: map[string]int{}, covered: map[string]int{},
	}
	for _, table := range []string{"links", "problems", "deletes", "parked"} {
		_, err := e.raw.Exec("DELETE FROM " + table)
		require.NoError(e.t, err)
	}
	for _, record := range e.scenario.rankr {
		r.records[record.ID] = record
	}
	for contact := range e.scenario.ghl {
		r.edited[contact] = e.clock.Add(-time.Hour)
		if e.scenario.linked {
			r.mend(contact, names.Hint{}, false)
		}
	}
	e.clock = e.clock.Add(time.Minute)
	return r
}

// contacts is the deed under test: the real round and the real store, spoilt where the test asks for it.
func (r *run) contacts(a *actor) *Contacts {
	s := &spoiler{Store: r.store, run: r}
	if r.spoil != nil {
		r.spoil(s)
	}
	side := &sides{run: r, actor: a}
	return &Contacts{
		Source: ghlSide{side}, Destination: rankrSide{side}, Links: &steppedLinks{spoiler: s, actor: a},
		Prints: r.store.Fingerprinter(), StoreID: r.store.ID(), Lease: lease, Searchable: func() bool { return false },
	}
}

func (r *run) start(name, contact string, retry bool, hint names.Hint) {
	a := &actor{run: r, name: name, contact: contact, since: -1, asks: make(chan string), says: make(chan mode)}
	r.rounds = append(r.rounds, a)
	deed := r.contacts(a)
	go func() {
		defer close(a.asks)
		result, err := deed.bring(context.Background(), crm.Ref{Location: where, Contact: contact}, hint, retry, deed.askSegments)
		a.observed += fmt.Sprint("→", result, err)
		if err != nil {
			r.again[contact], r.failed[contact] = true, true
			return
		}
		if result.Wait > 0 {
			r.again[contact] = true
			r.confirm[contact] = result.Outcome != crm.Waiting
		}
		if result.Outcome != crm.Waiting && !hint.Confirm {
			r.covered[contact] = max(r.covered[contact], a.since)
		}
	}()
	a.wait()
}

// wait blocks until the round stands before its next step or is over.
func (a *actor) wait() {
	step, ok := <-a.asks
	a.at, a.over = step, !ok
}

// step is called by the round before everything it does to the world.
func (a *actor) step(what string, write bool, do func() error) (err error) {
	if a == nil {
		return do()
	}
	a.asks <- what
	m := <-a.says
	if a.since < 0 {
		a.since = a.run.done[a.contact]
	}
	switch m {
	case crashBefore:
		a.crash()
	case crashAfter:
		_ = do()
		a.crash()
	case loseAnswer:
		_ = do()
		return a.lost(write)
	case landLate:
		a.run.ghosts = append(a.run.ghosts, ghost{what, func() { _ = do() }, a.run.clock.Add(lease)})
		return a.lost(write)
	case abandon:
		runtime.Goexit()
	}
	return do()
}

func (a *actor) lost(write bool) error {
	if write {
		return &crm.Error{Code: crm.RankrUnavailable, Landed: true}
	}
	return &crm.Error{Code: crm.StoreUnavailable}
}

// crash ends the round where it stands; Temporal will try the deed again.
func (a *actor) crash() {
	a.run.again[a.contact], a.run.failed[a.contact] = true, true
	a.observed += "→crashed"
	runtime.Goexit()
}

type choice struct {
	what string
	do   func()
}

// choices are all the ways the run can go on from here.
func (r *run) choices() []choice {
	var all []choice
	for _, a := range r.rounds {
		if a.over {
			continue
		}
		all = append(all, r.turn(a, goOn))
		if !r.faulted {
			for _, m := range r.faults(a) {
				all = append(all, r.turn(a, m))
			}
		}
	}
	if len(r.edits) > 0 {
		all = append(all, choice{fmt.Sprintf("GHL: %s becomes %q", r.edits[0].contact, r.edits[0].value), r.edit})
	}
	for i, g := range r.ghosts {
		all = append(all, choice{"LANDS NOW: " + g.what, func() { r.land(i) }})
	}
	if (!r.faulted || r.pauses == 1) && len(all) > 0 {
		all = append(all, choice{"PAUSE of two leases", func() {
			r.faulted = true
			r.pauses++
			r.pass(2 * lease)
		}})
	}
	return all
}

func (r *run) faults(a *actor) []mode {
	switch {
	case strings.HasPrefix(a.at, "write "):
		return []mode{crashBefore, crashAfter, loseAnswer, landLate, modeLateCrash}
	case strings.HasPrefix(a.at, "store "):
		return []mode{crashBefore, crashAfter, loseAnswer}
	}
	return []mode{crashBefore}
}

// modeLateCrash is a worker that is killed while its request is on the wire.
const modeLateCrash = abandon + 1

func (r *run) turn(a *actor, m mode) choice {
	what := fmt.Sprintf("%s: %s%s", a.name, a.at, m.label())
	return choice{what, func() {
		if m != goOn {
			r.faulted = true
		}
		if m == modeLateCrash {
			a.says <- landLate
			a.wait()
			if !a.over {
				a.says <- crashBefore
				a.wait()
			}
			return
		}
		a.says <- m
		a.wait()
	}}
}

func (m mode) label() string {
	if m == modeLateCrash {
		return " — LANDS LATE, crash"
	}
	return m.String()
}

func (r *run) edit() {
	e := r.edits[0]
	r.edits = r.edits[1:]
	r.edited[e.contact] = r.clock
	r.done[e.contact]++
	if e.value == "" {
		delete(r.ghl, e.contact)
		r.everGone[e.contact] = true
		return
	}
	r.ghl[e.contact] = e.value
}

func (r *run) land(i int) {
	g := r.ghosts[i]
	r.ghosts = slices.Delete(slices.Clone(r.ghosts), i, i+1)
	g.land()
}

// pass lets time go by; what is on the wire arrives before it is too old.
func (r *run) pass(d time.Duration) {
	r.clock = r.clock.Add(d)
	for i := 0; i < len(r.ghosts); {
		if r.ghosts[i].by.Before(r.clock) {
			r.land(i)
		} else {
			i++
		}
	}
}

// follow goes the given way and then always takes the first choice. It returns how many choices each point had, and
// up to where the states were new.
func (r *run) follow(path []int) (widths []int, fresh int) {
	defer r.abandon()
	for i, contact := range r.scenario.contacts {
		r.start(fmt.Sprint("round ", i+1), contact, false, names.Hint{})
	}
	mended := 0
	for depth := 0; ; depth++ {
		all := r.choices()
		if len(r.rounds) == r.live() && len(all) == 0 {
			panic("a round stands still")
		}
		if r.allOver() && len(r.edits) == 0 {
			if !r.nextMending(&mended) {
				for len(r.ghosts) > 0 {
					r.land(0)
				}
				r.verdict()
				return widths, depth
			}
			all = r.choices()
		}
		if depth >= len(path) {
			key := r.key()
			if r.seen[key] {
				return widths, depth
			}
			r.seen[key] = true
		}
		pick := 0
		if depth < len(path) {
			pick = path[depth]
		}
		widths = append(widths, len(all))
		r.path = append(r.path, pick)
		r.log = append(r.log, all[pick].what)
		all[pick].do()
		if r.failure = r.always(); r.failure != "" {
			return widths, depth
		}
	}
}

func (r *run) live() (n int) {
	for _, a := range r.rounds {
		if !a.over {
			n++
		}
	}
	return n
}

func (r *run) allOver() bool { return r.live() == 0 }

func (r *run) abandon() {
	for _, a := range r.rounds {
		for !a.over {
			a.says <- abandon
			a.wait()
		}
	}
}

// nextMending starts the next round that the mended system owes: for a change, its webhook's; for a round that failed or
// asked to come again, another one. At most a handful: else it never comes to rest.
func (r *run) nextMending(mended *int) bool {
	for _, contact := range slices.Sorted(maps.Keys(r.scenario.ghl)) {
		again, failed := r.again[contact], r.failed[contact]
		if !again && r.covered[contact] >= r.done[contact] {
			continue
		}
		if *mended++; *mended > 12 {
			r.failure = "the mended system never comes to rest"
			return false
		}
		r.log = append(r.log, "time passes")
		hint := names.Hint{At: r.edited[contact]}
		if again {
			hint = names.Hint{Confirm: r.confirm[contact] && !failed && r.covered[contact] >= r.done[contact]}
			r.pass(lease + time.Second)
		}
		delete(r.again, contact)
		delete(r.confirm, contact)
		delete(r.failed, contact)
		r.faulted, r.pauses = true, 2 // the system is mended
		r.start(fmt.Sprint("mended ", *mended), contact, failed, hint)
		return true
	}
	return false
}

// mend brings a contact into step without any steps: how a scenario begins.
func (r *run) mend(contact string, hint names.Hint, retry bool) {
	deed := r.contacts(nil)
	_, err := deed.bring(context.Background(), crm.Ref{Location: where, Contact: contact}, hint, retry, deed.askSegments)
	require.NoError(r.t, err)
}

// always must hold at every instant.
func (r *run) always() string {
	mirrors := map[string]int{}
	for _, record := range r.records {
		if record.ExternalID != "" {
			mirrors[record.ExternalID]++
		}
	}
	for contact, n := range mirrors {
		if n > 1 {
			return "two records for contact " + contact
		}
	}
	return r.failure
}

// verdict must hold at the end.
func (r *run) verdict() {
	if r.failure != "" {
		return
	}
	strangers := len(r.scenario.rankr)
	inStep := 0
	for contact := range r.scenario.ghl {
		value, exists := r.ghl[contact]
		record := r.mirror(contact)
		switch {
		case exists && record == nil && r.parked(contact):
			// the loser of two: a person must act
		case exists && record == nil:
			r.failure = "contact " + contact + " is not in Rankr"
		case !exists && record != nil:
			r.failure = "contact " + contact + " is gone in GHL but not in Rankr"
		case exists:
			inStep++
			want := crm.Map(ghlContact(contact, value), crm.Location{})
			for _, name := range []string{"firstName", "city"} {
				if record.Fields[name] != want.Fields[name] {
					r.failure = fmt.Sprintf("%s is %v in GHL and %v in Rankr", name, want.Fields[name], record.Fields[name])
				}
			}
		}
	}
	if own, ok := r.records["r-own"]; strangers > 0 && (!ok || own.Fields["companyName"] != "own") {
		r.failure = "what somebody made in Rankr was deleted or changed"
	}
	if len(r.records) > inStep+strangers || (strangers == 0 && len(r.records) != inStep) {
		r.failure = fmt.Sprintf("%d records in Rankr for %d contacts in step and %d of somebody's own", len(r.records), inStep, strangers)
	}
}

func (r *run) parked(contact string) bool {
	var n int
	require.NoError(r.t, r.raw.QueryRow("SELECT count(*) FROM problems WHERE contact = ?", contact).Scan(&n))
	return n == 1
}

func (r *run) mirror(contact string) *crm.Contact {
	for _, record := range r.records {
		if record.ExternalID == contact {
			return &record
		}
	}
	return nil
}

// key is the whole state as a hash.
func (r *run) key() uint64 {
	h := fnv.New64a()
	rows, err := r.raw.Query("SELECT l.*, coalesce(p.code, '') FROM links l LEFT JOIN problems p USING (location, contact) ORDER BY contact")
	require.NoError(r.t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(r.t, err)
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	for rows.Next() {
		require.NoError(r.t, rows.Scan(values...))
		for _, v := range values {
			fmt.Fprint(h, *v.(*any), "|")
		}
	}
	fmt.Fprint(h, r.ghl, r.records, r.answered, r.clock.Unix(), r.faulted, r.pauses, len(r.edits), r.edited, r.done, r.covered, r.again, r.confirm, r.failed)
	for _, g := range r.ghosts {
		fmt.Fprint(h, g.what, g.by)
	}
	for _, a := range r.rounds {
		fmt.Fprint(h, a.observed, a.at, a.since, a.over)
	}
	return h.Sum64()
}

// sides are GHL and Rankr in memory: only the store and the protocol are on trial here.
type sides struct {
	*run
	actor *actor
}

type (
	ghlSide   struct{ *sides }
	rankrSide struct{ *sides }
)

func (s *sides) step(what string, write bool, do func() error) error {
	err := s.actor.step(what, write, do)
	if s.actor != nil {
		s.actor.observed += fmt.Sprint("|", what, err)
	}
	return err
}

func (s *sides) observe(v any) {
	if s.actor != nil {
		s.actor.observed += fmt.Sprint("=", v)
	}
}

func ghlContact(contact, value string) crm.Contact {
	fields := crm.Fields{"email": "x@example.com", "firstName": strings.TrimSuffix(value, "+")}
	if strings.HasSuffix(value, "+") {
		fields["city"] = "Bern"
	}
	return crm.Contact{ID: contact, Location: where, Fields: fields}
}

func (s ghlSide) Contact(_ context.Context, ref crm.Ref) (contact crm.Contact, at time.Time, err error) {
	err = s.step("read GHL", false, func() error {
		value, ok := s.ghl[ref.Contact]
		at = s.clock
		if !ok {
			return &crm.Error{Code: crm.GHLNotFound}
		}
		contact = ghlContact(ref.Contact, value)
		contact.Updated = s.edited[ref.Contact]
		return nil
	})
	s.observe(contact.Fields)
	return contact, at, err
}

func (s ghlSide) Location(_ context.Context, location string) (l crm.Location, at time.Time, err error) {
	return crm.Location{ID: location}, s.clock, s.step("read location", false, func() error { return nil })
}

func (s ghlSide) ChangedSince(context.Context, string, time.Time) iter.Seq2[crm.Page, error] {
	return func(func(crm.Page, error) bool) {}
}

func (s rankrSide) Find(_ context.Context, _ string, keys crm.Keys) (found []crm.Contact, err error) {
	err = s.step("read Rankr by keys", false, func() error {
		for _, id := range slices.Sorted(maps.Keys(s.records)) {
			record := s.records[id]
			if record.ExternalID == keys.ExternalID || keys.Email != "" && record.Fields["email"] == keys.Email {
				found = append(found, clone(record))
			}
		}
		return nil
	})
	s.observe(found)
	return found, err
}

func (s rankrSide) Contact(_ context.Context, _, id string) (record crm.Contact, err error) {
	err = s.step("read Rankr", false, func() error {
		var ok bool
		if record, ok = s.records[id]; !ok {
			return &crm.Error{Code: crm.RankrNotFound}
		}
		record = clone(record)
		return nil
	})
	s.observe(record)
	return record, err
}

func clone(c crm.Contact) crm.Contact {
	c.Fields, c.Tags = maps.Clone(c.Fields), slices.Clone(c.Tags)
	return c
}

func (s rankrSide) Create(_ context.Context, _, key string, contact crm.Contact) (record crm.Contact, err error) {
	err = s.step("write create", true, func() error {
		if id, ok := s.answered[key]; ok {
			record = crm.Contact{ID: id, ExternalID: contact.ExternalID}
			return nil
		}
		if winner := s.mirror(contact.ExternalID); winner != nil {
			return &crm.Error{Code: crm.RankrDuplicate, ID: winner.ID}
		}
		s.made++
		record = clone(contact)
		record.ID = fmt.Sprint("r", s.made)
		s.records[record.ID], s.answered[key] = record, record.ID
		return nil
	})
	s.observe(record.ID)
	return record, err
}

func (s rankrSide) Update(_ context.Context, _, id, _ string, patch crm.Patch) error {
	return s.step(fmt.Sprint("write update ", patch.Set), true, func() error {
		record, ok := s.records[id]
		if !ok {
			return &crm.Error{Code: crm.RankrNotFound}
		}
		record = clone(record)
		if patch.ExternalID != nil {
			if winner := s.mirror(*patch.ExternalID); *patch.ExternalID != "" && winner != nil && winner.ID != id {
				return &crm.Error{Code: crm.RankrDuplicate, ID: winner.ID}
			}
			record.ExternalID = *patch.ExternalID
		}
		maps.Copy(record.Fields, patch.Set)
		for _, name := range patch.Clear {
			delete(record.Fields, name)
		}
		s.records[id] = record
		return nil
	})
}

func (s rankrSide) AddTags(context.Context, string, string, []string) error    { return nil }
func (s rankrSide) RemoveTags(context.Context, string, string, []string) error { return nil }

func (s rankrSide) Delete(_ context.Context, _, id string) error {
	return s.step("write delete", true, func() error {
		record, ok := s.records[id]
		if ok && !s.everGone[record.ExternalID] {
			s.failure = "deleted in Rankr what GHL never deleted"
		}
		delete(s.records, id)
		return nil
	})
}

// steppedLinks is the store, with a stop before every call.
type steppedLinks struct {
	*spoiler
	actor *actor
	holds int
}

func (l *steppedLinks) step(what string, do func() error) error {
	err := l.actor.step(what, false, do)
	if l.actor != nil {
		l.actor.observed += fmt.Sprint("|", what, err)
	}
	return err
}

func (l *steppedLinks) Link(ctx context.Context, ref crm.Ref, object crm.Object) (link crm.Link, err error) {
	err = l.step("read row", func() error {
		var err error
		link, err = l.spoiler.Link(ctx, ref, object)
		return err
	})
	if l.actor != nil {
		l.actor.observed += fmt.Sprint("=", link)
	}
	return link, err
}

func (l *steppedLinks) Advance(ctx context.Context, was, next crm.Link) error {
	return l.step("store advance", func() error { return l.spoiler.Advance(ctx, was, next) })
}

func (l *steppedLinks) Park(ctx context.Context, was, next crm.Link, problem crm.ProblemRecord) error {
	return l.step("store park", func() error { return l.spoiler.Park(ctx, was, next, problem) })
}

func (l *steppedLinks) Acquire(ctx context.Context, was crm.Link, claim crm.Claim) (held crm.Link, err error) {
	l.holds++
	if l.actor != nil {
		claim.Holder = fmt.Sprint(l.actor.name, " ", l.holds) // the same in every run
	}
	err = l.step("store acquire", func() error {
		var err error
		held, err = l.spoiler.Acquire(ctx, was, claim)
		return err
	})
	return held, err
}

func (l *steppedLinks) Release(ctx context.Context, held, next crm.Link, unsure bool, problem *crm.ProblemRecord) error {
	return l.step("store release", func() error { return l.spoiler.Release(ctx, held, next, unsure, problem) })
}

func (l *steppedLinks) TakeOver(ctx context.Context, was crm.Link) error {
	return l.step("store take over", func() error { return l.spoiler.TakeOver(ctx, was) })
}

func (l *steppedLinks) Unsure(ctx context.Context, held crm.Link) error {
	return l.step("store unsure", func() error { return l.spoiler.Unsure(ctx, held) })
}

// spoiler is the real store with one rule of the protocol broken, or none.
type spoiler struct {
	*store.Store
	run                                                              *run
	noAdvance, earlyPrint, earlySure, noStep, noReservation, believe bool
}

func (s *spoiler) Link(ctx context.Context, ref crm.Ref, object crm.Object) (crm.Link, error) {
	link, err := s.Store.Link(ctx, ref, object)
	if s.believe {
		link.UnsureSince = time.Time{}
	}
	return link, err
}

func (s *spoiler) Advance(ctx context.Context, was, next crm.Link) error {
	if s.noAdvance && was.Version > 0 && was.RankrID == next.RankrID && was.Sure() {
		return nil
	}
	return s.Store.Advance(ctx, was, s.sure(next))
}

func (s *spoiler) sure(next crm.Link) crm.Link {
	if s.earlySure {
		next.UnsureSince, next.Intent = time.Time{}, crm.Intent{}
	}
	return next
}

func (s *spoiler) Acquire(ctx context.Context, was crm.Link, claim crm.Claim) (crm.Link, error) {
	if s.noReservation {
		s.exec("DROP INDEX IF EXISTS links_contacts")
	}
	held, err := s.Store.Acquire(ctx, was, claim)
	if value, ok := s.run.ghl[was.Contact]; s.earlyPrint && err == nil && ok {
		want := crm.Map(ghlContact(was.Contact, value), crm.Location{})
		was := held
		held.Fields, held.DateUpdated = s.Fingerprinter().Fields(want.Fields), want.Updated
		err = s.Store.Advance(ctx, was, held)
		held.Version++
	}
	return held, err
}

func (s *spoiler) Release(ctx context.Context, held, next crm.Link, unsure bool, problem *crm.ProblemRecord) error {
	err := s.Store.Release(ctx, held, s.sure(next), unsure, problem)
	if s.earlySure && !unsure && err == nil { // also the mark that somebody set meanwhile
		s.exec("UPDATE links SET unsure_since = 0, intent = ''")
	}
	return err
}

func (s *spoiler) TakeOver(ctx context.Context, was crm.Link) error {
	err := s.Store.TakeOver(ctx, was)
	s.stepBack(was, err)
	return err
}

func (s *spoiler) Unsure(ctx context.Context, held crm.Link) error {
	err := s.Store.Unsure(ctx, held)
	s.stepBack(held, err)
	return err
}

func (s *spoiler) stepBack(link crm.Link, err error) {
	if s.noStep && err == nil {
		s.exec("UPDATE links SET version = version - 1 WHERE contact = '" + link.Contact + "'")
	}
}

func (s *spoiler) exec(query string) {
	_, err := s.run.raw.Exec(query)
	assert.NoError(s.run.t, err)
}
