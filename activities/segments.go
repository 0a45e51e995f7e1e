package activities

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Segments brings about what the rules decide beside the contact itself: the segments it is in, the business it is attached
// to, and what is done in GHL when a tag is added. All fields are needed.
type Segments struct {
	Contacts    *Contacts // whose links, rules, lease, clocks and ways to both systems are shared
	Source      Automation
	Destination crm.SegmentDestination

	ids sync.Map // *segmentIDs by the name of the Rankr account
}

// Automation is what rules need in GHL.
type Automation interface {
	crm.SourceWriter
	Tasks(ctx context.Context, ref crm.Ref) ([]crm.Task, time.Time, error)
}

// BringSegmentsIntoStep brings about what the contact's last round decided, under the contact's protocol with a row of its
// own. It needs no read of the contact in GHL, unless it is asked for by hand or a tag was added that a rule waits for.
func (s *Segments) BringSegmentsIntoStep(ctx context.Context, in Round) (Answer, error) {
	if err := in.Validate(); err != nil {
		return Answer{}, leave(err)
	}
	result, err := s.bring(ctx, in.Ref, in.Hint, retried(ctx, in.Failures))
	if err != nil {
		return Answer{}, leave(err)
	}
	return Answer{Result: result, Searchable: s.Contacts.Searchable()}, nil
}

func (s *Segments) bring(ctx context.Context, ref crm.Ref, hint names.Hint, retry bool) (crm.Result, error) {
	g := segmentation{Segments: s, round: round{Contacts: s.Contacts, ref: ref, object: crm.Segments, hint: hint, doubt: retry}}
	return s.Contacts.guarded(ctx, &g.round, g.once)
}

// segmentation is a round of a contact's segments. Its link's Decision is what has been brought about in the record RankrID.
type segmentation struct {
	*Segments
	round
	record   string       // the contact's record in Rankr
	want     crm.Decision // what is to be brought about
	brought  crm.Decision // what has been, in this record
	business attachment
}

// businessPatience is how long a business's own workflow gets to mirror it before this one looks again, and
// maxBusinessPatience for how long it looks as often.
const (
	businessPatience    = 500 * time.Millisecond
	maxBusinessPatience = 15 * time.Second
)

func (g *segmentation) once(ctx context.Context) (crm.Result, error) {
	was, contact, result, done, err := g.beginWithContact(ctx)
	if done || err != nil {
		return result, err
	}
	if result, done, err := g.belongs(ctx, was, contact); done {
		return result, err
	}
	if g.hint.At.IsZero() && !g.hint.Confirm && contact.Problem == "" { // else nothing is decided until that is solved
		if result, done, err := g.afresh(ctx, was, contact); done {
			return result, err
		}
	}
	g.record, g.want, g.brought = contact.RankrID, contact.Decision, was.Decision
	if was.RankrID != g.record { // what was done in GHL counts for any record
		g.brought.Segments, g.brought.Business = nil, ""
	}
	if was.Problem != "" && was.Sure() && !g.hint.At.IsZero() && contact.LastRead.Equal(was.LastRead) {
		return crm.Result{Outcome: crm.Covered, RankrID: g.record}, nil // nothing was decided since the problem was found
	}
	was.LastRead = contact.LastRead // also where this round finds another
	return g.align(ctx, was)
}

// afresh is for somebody who asks by hand: the contact is read, and where the rules of today decide otherwise than is
// remembered, the contact's own round is asked to say so. Only that one decides.
func (g *segmentation) afresh(ctx context.Context, was, contact crm.Link) (crm.Result, bool, error) {
	got, at, err := g.Source().Contact(ctx, g.ref)
	if hasCode(err, crm.GHLNotFound) {
		return crm.Result{Outcome: crm.Gone}, true, g.askContact(ctx)
	}
	if err != nil {
		result, err := g.failed(ctx, was, time.Time{}, err)
		return result, true, err
	}
	mapped, err := g.mapped(ctx, g.ref.Location, got)
	if err != nil {
		result, err := g.failed(ctx, was, time.Time{}, err)
		return result, true, err
	}
	if contact.Decision.Same(g.decide(contact, mapped, at)) {
		return crm.Result{}, false, nil
	}
	return waiting(linkPatience), true, g.askContact(ctx)
}

// Source is GHL as contacts are read from it.
func (g *segmentation) Source() crm.Source { return g.round.Contacts.Source }

// align compares what is decided with what Rankr has, and brings the difference about.
func (g *segmentation) align(ctx context.Context, was crm.Link) (crm.Result, error) {
	if err := g.attach(ctx); err != nil {
		return crm.Result{}, err
	}
	if g.business.pending && was.Sure() && !g.doubt && but(g.want).Same(but(g.brought)) {
		return g.comeAgain()
	}
	if wait := was.UnsureSince.Add(g.Lease).Sub(was.Now); !was.Sure() && wait > 0 && g.mayHaveMade(was) {
		return waiting(wait), nil // GHL has no idempotency key: a task that is on its way must have landed before it is looked for
	}
	have, err := g.round.Contacts.Destination.Contact(ctx, g.ref.Location, g.record)
	if err != nil {
		return g.failed(ctx, was, time.Time{}, g.lostRecord(ctx, err))
	}
	steps, err := g.plan(ctx, have)
	if err != nil {
		return g.failed(ctx, was, time.Time{}, err)
	}
	next := g.finished(was, sight{looked: true}, was.LastRead)
	next.Covered = time.Time{} // hints that say when are not older news, but the read that decided
	next.RankrID, next.Deleted, next.Decision = g.record, false, g.outcome()
	result := crm.Result{Outcome: crm.Unchanged, RankrID: g.record}
	if len(steps) == 0 {
		return g.nothingToWrite(ctx, was, next, result)
	}
	result.Outcome = crm.Updated
	claim := crm.Claim{RankrID: g.record}
	for _, each := range steps {
		claim.Intent.Fields = append(claim.Intent.Fields, each.name)
		if !slices.Contains(result.Fields, each.shown) {
			result.Fields = append(result.Fields, each.shown)
		}
	}
	result, err = g.write(ctx, was, next, claim, result, func(ctx context.Context, done *crm.Link) error {
		done.RankrID, done.Decision = g.record, g.brought
		for _, each := range steps {
			if err := each.do(ctx, done); err != nil {
				return err
			}
		}
		done.Decision = next.Decision
		return g.trouble()
	})
	return g.unfinished(result, err)
}

func (g *segmentation) nothingToWrite(ctx context.Context, was, next crm.Link, result crm.Result) (crm.Result, error) {
	if trouble := g.trouble(); trouble != nil {
		was.Decision, was.RankrID = next.Decision, next.RankrID
		return g.failed(ctx, was, time.Time{}, trouble)
	}
	return g.unfinished(g.advance(ctx, was, next, result))
}

// unfinished asks for another round while the business is not mirrored yet.
func (g *segmentation) unfinished(result crm.Result, err error) (crm.Result, error) {
	if err != nil || !g.business.pending || result.Outcome == crm.Problem {
		return result, err
	}
	return g.comeAgain()
}

// comeAgain waits for the business: soon while it may just be on its way, else as for a system that is away.
func (g *segmentation) comeAgain() (crm.Result, error) {
	if g.hint.Received.IsZero() || time.Since(g.hint.Received) < maxBusinessPatience {
		return waiting(businessPatience), nil
	}
	return crm.Result{}, &crm.Error{Code: crm.Busy, Operation: "business", Wait: maxBusinessPatience}
}

// trouble is what keeps this round from ending well although nothing failed.
func (g *segmentation) trouble() error {
	switch {
	case len(g.want.Failed) > 0:
		return &crm.Error{Code: crm.RuleFailed, Operation: "rules", Fields: g.want.Failed}
	case g.business.stuck:
		return &crm.Error{Code: crm.NotLinked, Operation: "business", Fields: []string{g.want.Business}}
	}
	return nil
}

// outcome is what will have been brought about once all steps are taken.
func (g *segmentation) outcome() crm.Decision {
	outcome := g.want
	switch {
	case g.business.pending:
		outcome.Business = g.brought.Business
	case g.business.gone:
		outcome.Business = ""
	}
	return outcome
}

// but is a decision without the business.
func but(d crm.Decision) crm.Decision {
	d.Business = ""
	return d
}

// attachment is what is to become of the businessId of Rankr's record.
type attachment struct {
	target  *string // to be written unless it is there; nil: left as it is
	ours    string  // what may be taken away: the business that we attached
	pending bool    // the business is not mirrored yet: its SyncBusiness has been asked
	stuck   bool    // it has a problem of its own
	gone    bool    // GHL did not have it
}

// attach finds out which record the contact's business is.
func (g *segmentation) attach(ctx context.Context) error {
	g.business = attachment{}
	if !g.Rules.MirrorsBusinesses() { // what was attached before is left alone as well
		return nil
	}
	if g.brought.Business != "" && g.brought.Business != g.want.Business {
		before, err := g.mirror(ctx, g.brought.Business)
		if err != nil {
			return err
		}
		nobody := ""
		g.business.ours, g.business.target = before.RankrID, &nobody
	}
	if g.want.Business == "" {
		return nil
	}
	link, err := g.mirror(ctx, g.want.Business)
	switch {
	case err != nil:
		return err
	case link.RankrID != "":
		g.business.target = &link.RankrID
	case link.Deleted: // the contact will tell that it has none any more, or it was looked at before GHL showed it
		g.business.gone = true
	case link.Problem != "":
		g.business.stuck = true // it is no longer the one before in any case
	default:
		g.business.pending, g.business.target = true, nil
		return g.round.askBusiness(ctx, g.ref.Location, g.want.Business) // it goes on by itself once it was asked
	}
	return nil
}

// lostBusiness asks for the business's own round when Rankr does not know the record that it is remembered to have: people
// deleted it, and only that round may make it again.
func (g *segmentation) lostBusiness(ctx context.Context, record string, err error) error {
	if !hasCode(err, crm.RankrInvalid) || !slices.Contains(safe(err).Fields, "businessId") {
		return err
	}
	link, linkErr := g.mirror(ctx, g.want.Business)
	if linkErr != nil {
		return linkErr
	}
	if link.RankrID == record && link.Sure() {
		if err := storeError(g.Links.Unsure(ctx, link)); err != nil {
			return err
		}
	}
	hint := names.Hint{Contact: g.want.Business, Received: time.Now()}
	if err := nudgeError(g.Nudge.Business(ctx, g.ref.Location, hint)); err != nil {
		return err
	}
	return &crm.Error{Code: crm.Busy, Operation: "business", Wait: linkPatience}
}

func (g *segmentation) mirror(ctx context.Context, business string) (crm.Link, error) {
	link, err := g.Links.Link(ctx, crm.Ref{Location: g.ref.Location, Contact: business}, crm.ABusiness)
	return link, storeError(err)
}

// segmentStep is one write. It notes in done what certainly has been brought about by then.
type segmentStep struct {
	name  string // as an intent
	shown string // what people see of it
	do    func(context.Context, *crm.Link) error
}

func (g *segmentation) plan(ctx context.Context, have crm.Contact) ([]segmentStep, error) {
	var steps []segmentStep
	members, err := g.members(ctx, have.Segments)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(members, have.Segments) {
		steps = append(steps, segmentStep{"segments", "segments", func(ctx context.Context, done *crm.Link) error {
			if err := g.join(ctx, have.Segments, members); err != nil {
				return err
			}
			done.Decision.Segments = g.want.Segments
			return nil
		}})
	}
	if target := g.business.target; target != nil && have.Business != *target && (*target != "" || have.Business == g.business.ours) {
		steps = append(steps, segmentStep{"businessId", "businessId", func(ctx context.Context, done *crm.Link) error {
			if err := g.Segments.Contacts.Destination.Update(ctx, g.ref.Location, g.record, "", crm.Patch{Business: target}); err != nil {
				return g.lostBusiness(ctx, *target, err)
			}
			done.Decision.Business = g.outcome().Business
			return nil
		}})
	}
	return append(steps, g.additions()...), nil
}

// members are the segments that the record should be in: those that the rules don't manage as they are, of the others
// exactly the decided ones. Those that are missing in Rankr are made.
func (g *segmentation) members(ctx context.Context, have []string) ([]string, error) {
	managed := g.Rules.Segments()
	if len(managed) == 0 && len(g.want.Segments) == 0 {
		return have, nil
	}
	ids, err := g.idsFor(g.ref.Location).of(ctx, g.Segments, g.ref.Location, managed, g.want.Segments)
	if err != nil {
		return nil, err
	}
	var members []string
	ours := map[string]bool{}
	for _, segment := range managed {
		ours[ids[fold(segment.Name)]] = !slices.Contains(g.want.Failed, rules.SegmentRule(segment.Name))
	}
	for _, id := range have {
		if !ours[id] {
			members = append(members, id)
		}
	}
	for _, name := range g.want.Segments {
		if id := ids[fold(name)]; id != "" {
			members = append(members, id)
		}
	}
	slices.Sort(members)
	return slices.Compact(members), nil
}

// maxJoins bounds how often a membership is written in one round: the second time with segments that were made again, the
// third where Rankr repeated the answer for one that was deleted.
const maxJoins = 3

// join writes the membership. Segments that somebody deleted meanwhile are made again.
func (g *segmentation) join(ctx context.Context, have, members []string) error {
	var err error
	for range maxJoins {
		err = g.Destination.SetSegments(ctx, g.ref.Location, g.record, members)
		if !hasCode(err, crm.RankrInvalid) || !slices.Contains(safe(err).Fields, "segmentIds") {
			return err
		}
		g.idsFor(g.ref.Location).forget()
		var listed error
		if members, listed = g.members(ctx, have); listed != nil {
			return listed
		}
	}
	return err
}

// additions are the steps for tags that were added since the last round.
func (g *segmentation) additions() []segmentStep {
	var steps []segmentStep
	for _, tag := range slices.Sorted(maps.Keys(g.want.Added)) {
		at := g.want.Added[tag]
		if at.Equal(g.brought.Added[tag]) {
			continue
		}
		workflows := g.Rules.Adding(tag)
		for i, workflow := range workflows {
			steps = append(steps, segmentStep{tagWorkflow + workflow.Name, "tagWorkflows", func(ctx context.Context, done *crm.Link) error {
				if err := g.automate(ctx, workflow, tag, at); err != nil {
					return err
				}
				if i == len(workflows)-1 {
					done.Decision.Added = maps.Clone(done.Decision.Added)
					if done.Decision.Added == nil {
						done.Decision.Added = map[string]time.Time{}
					}
					done.Decision.Added[tag] = at
				}
				return nil
			}})
		}
	}
	return steps
}

// tagWorkflow begins the names of intents to do something in GHL.
const tagWorkflow = "tagWorkflows/"

// mayHaveMade tells whether a task that an earlier round made in GHL may not have landed yet.
func (g *segmentation) mayHaveMade(was crm.Link) bool {
	return slices.ContainsFunc(was.Intent.Fields, func(name string) bool { return strings.HasPrefix(name, tagWorkflow) })
}

// idsFor are those of the account that the location's records are in.
func (s *Segments) idsFor(location string) *segmentIDs {
	ids, _ := s.ids.LoadOrStore(s.Contacts.Accounts.Of(location), &segmentIDs{})
	return ids.(*segmentIDs)
}

// segmentIDs keeps for a while which segment has which id: they are the account's, the same for all its contacts.
type segmentIDs struct {
	mu    sync.Mutex
	known map[string]string // by folded name
	lost  map[string]string // what was known before Rankr refused it
	until time.Time
}

const segmentAge = 10 * time.Minute

// fold is a segment's name as Rankr keeps names apart.
func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// of returns the ids of the managed segments that exist, by folded name. The wanted ones are made where they are missing;
// one caller at a time asks, so that fifty contacts that come together make each once.
func (s *segmentIDs) of(ctx context.Context, deed *Segments, location string, managed []crm.Segment, wanted []string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().After(s.until) {
		all, err := deed.Destination.Segments(ctx, location)
		if err != nil {
			return nil, err
		}
		s.known, s.until = map[string]string{}, time.Now().Add(segmentAge)
		for _, segment := range all {
			s.known[fold(segment.Name)] = segment.ID
		}
	}
	for _, segment := range managed {
		if s.known[fold(segment.Name)] != "" || !slices.Contains(wanted, segment.Name) {
			continue
		}
		lost := s.lost[fold(segment.Name)]
		id, err := deed.makeSegment(ctx, location, segment, lost)
		for err == nil && id != lost && s.named(id) { // Rankr repeats its answer for one that people gave another name
			lost = id
			id, err = deed.makeSegment(ctx, location, segment, lost)
		}
		if err != nil {
			return nil, err
		}
		s.known[fold(segment.Name)] = id
	}
	return maps.Clone(s.known), nil
}

// named tells whether a segment is known under any name.
func (s *segmentIDs) named(id string) bool {
	return slices.Contains(slices.Collect(maps.Values(s.known)), id)
}

// forget has the segments listed again.
func (s *segmentIDs) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost, s.until = s.known, time.Time{}
}

// makeSegment makes a segment, or finds the one that somebody made since they were listed: names are unique. The id of one
// that was lost keeps Rankr from repeating its answer.
func (s *Segments) makeSegment(ctx context.Context, location string, segment crm.Segment, lost string) (string, error) {
	key := derived(s.Contacts.StoreID, "segment", fold(segment.Name), lost)
	made, err := s.Destination.CreateSegment(ctx, location, key, segment)
	if hasCode(err, crm.RankrDuplicate) && safe(err).ID != "" {
		return safe(err).ID, nil
	}
	return made.ID, err
}
