package activities

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// round brings one contact into step. It is the protocol of one writer per contact: read the row, read GHL, decide;
// then either leave a trace that nothing was written, or hold the contact while writing. docs/architecture.md has the
// transitions, and explore_test.go tries every interleaving of two rounds and an editor with a fault at every step.
type round struct {
	*Contacts
	ref    crm.Ref
	object crm.Object
	hint   names.Hint
	// doubt: this is not the first attempt, or the record in Rankr moved under us. Rankr is read first and
	// fingerprints are not believed.
	doubt    bool
	winner   string // the record that Rankr named when it refused a duplicate
	repeated bool   // a write was already tried once more in this round
	// fresh is for how long a round that ended well is as good as a new one; zero: not at all.
	fresh time.Duration
	saved crm.Link // the row as this round left it, or found it where nothing was to be done
	// listed is the contact as a page of a search showed it whole; nil: it was not.
	listed   *crm.Contact
	listedAt time.Time
}

const (
	// maxRestarts bounds how often a round starts over because somebody moved the row; after that it comes again later.
	maxRestarts = 5
	// coverMargin is how much older than the last read a hint must be to cost no call: GHL's Date has whole seconds,
	// and its clocks may differ from one of its servers to the next.
	coverMargin = 10 * time.Second
)

func (r *round) run(ctx context.Context, once func(context.Context) (crm.Result, error)) (crm.Result, error) {
	for range maxRestarts {
		result, err := once(ctx)
		if !errors.Is(err, crm.ErrMoved) {
			return result, err
		}
	}
	return waiting(time.Second), nil
}

func (r *round) once(ctx context.Context) (crm.Result, error) {
	was, result, done, err := r.begin(ctx)
	if done || err != nil {
		return result, err
	}
	seen := sight{}
	if r.doubt || !was.Sure() || r.winner != "" {
		if seen, err = r.look(ctx, was); err != nil {
			return r.failed(ctx, was, time.Time{}, err)
		}
	}
	if next := r.finished(was, seen, time.Time{}); r.hint.Confirm && next.Sure() && r.asWritten(was, seen) {
		next.Problem = was.Problem // whether it is mended, only a read in GHL tells
		return r.advance(ctx, was, next, crm.Result{Outcome: crm.Unchanged, RankrID: was.RankrID})
	}
	got, at, err := r.read(ctx, was)
	if hasCode(err, crm.GHLNotFound) {
		return r.gone(ctx, was, seen, at)
	}
	if err != nil {
		return r.failed(ctx, was, time.Time{}, err)
	}
	source, want, err := r.wanted(ctx, r.ref.Location, got)
	switch {
	case err != nil:
		return r.failed(ctx, was, got.Updated, err)
	case want.Excluded:
		return r.exclude(ctx, was, seen, want, at)
	}
	return r.align(ctx, was, seen, want.Contact, r.decide(was, source, at), at)
}

// read reads the contact, or takes it as a page showed it. The page's index may lag behind the contact: what it shows counts
// only where it tells of a later change than anything that was read before, of a contact of which nothing else is in doubt. Its
// time is that of the oldest state the index may have shown, so that a hint of a change it did not know yet is not taken for
// covered.
func (r *round) read(ctx context.Context, was crm.Link) (crm.Contact, time.Time, error) {
	at := r.listedAt.Add(-searchLag)
	fresh := r.listed != nil && !r.doubt && was.Sure() && !was.Deleted && was.Problem == "" && was.LastRead.Before(at) &&
		was.DateUpdated.Before(r.listed.Updated)
	if fresh {
		return *r.listed, at, nil
	}
	return r.Source.Contact(ctx, r.ref)
}

// begin reads the row, takes over a lease that ran out, and ends a round that needs no call.
func (r *round) begin(ctx context.Context) (was crm.Link, result crm.Result, done bool, err error) {
	if was, err = r.Links.Link(ctx, r.ref, r.object); err != nil {
		return was, result, false, storeError(err)
	}
	if was.Expired() {
		if err := storeError(r.Links.TakeOver(ctx, was)); err != nil {
			return was, result, false, err
		}
		return was, result, false, crm.ErrMoved // read it afresh
	}
	result, done, err = r.early(ctx, was)
	return was, result, done, err
}

func waiting(wait time.Duration) crm.Result {
	return crm.Result{Outcome: crm.Waiting, Wait: max(wait, 10*time.Millisecond)}
}

// early ends a round that needs no call.
func (r *round) early(ctx context.Context, was crm.Link) (crm.Result, bool, error) {
	switch {
	case was.Parked != "":
		result, err := r.park(ctx, was, time.Time{}, &crm.Error{Code: was.Parked, Operation: "parked"})
		return result, true, err
	case was.Held():
		return waiting(was.HeldUntil.Sub(was.Now)), true, nil
	case r.covered(was), r.isFresh(was):
		r.saved = was
		return crm.Result{Outcome: crm.Covered, RankrID: was.RankrID}, true, nil
	}
	if quiet := was.Finished.Add(r.Quiet).Sub(was.Now); quiet > 0 && !was.Finished.IsZero() {
		return waiting(min(quiet, r.Quiet)), true, nil
	}
	return crm.Result{}, false, nil
}

// covered tells whether a finished round already read GHL after what the hint tells of.
func (r *round) covered(was crm.Link) bool {
	return !r.hint.At.IsZero() && was.Sure() && was.Problem == "" && was.MappingVersion == r.mappingVersion() &&
		!r.hint.At.Add(coverMargin).After(was.Covered)
}

// isFresh tells whether the last round is recent enough to be as good as a new one.
func (r *round) isFresh(was crm.Link) bool {
	return was.Sure() && was.Problem == "" && !was.Finished.IsZero() && was.Now.Before(was.Finished.Add(r.fresh))
}

// sight is what a look at Rankr found.
type sight struct {
	looked bool
	record *crm.Contact // nil: nothing is there, or nobody looked
}

// look reads the record in Rankr before GHL is asked: while Rankr is away that costs no GHL call, and what an
// unanswered write left behind is seen.
func (r *round) look(ctx context.Context, was crm.Link) (sight, error) {
	id := was.RankrID
	if r.winner != "" {
		id = r.winner
	}
	if id != "" {
		have, err := r.Destination.Contact(ctx, r.ref.Location, id)
		switch {
		case hasCode(err, crm.RankrNotFound):
			return sight{looked: true}, nil
		case err != nil:
			return sight{}, err
		// One that somebody gave to another contact is not ours any more.
		case have.ExternalID == r.ref.Contact || have.ExternalID == "" && r.winner == "":
			have = crm.Map(have, crm.Location{})
			return sight{true, &have}, nil
		}
	}
	found, err := r.Destination.Find(ctx, r.ref.Location, crm.Keys{ExternalID: r.ref.Contact})
	if err != nil {
		return sight{}, err
	}
	for _, have := range found {
		if have.ExternalID == r.ref.Contact {
			have = crm.Map(have, crm.Location{})
			return sight{true, &have}, nil
		}
	}
	return sight{looked: true}, nil
}

// asWritten tells whether Rankr holds what the last finished round left there, and nothing that a write since then may
// have added: then a confirmation needs no read of GHL.
func (r *round) asWritten(was crm.Link, seen sight) bool {
	if seen.record == nil || seen.record.ID != was.RankrID || was.Deleted {
		return false
	}
	have := *seen.record
	for _, name := range was.Intent.Fields {
		if _, there := have.Fields[name]; there && was.Fields[name] == "" {
			return false
		}
	}
	prints := r.Prints.Fields(have.Fields)
	for name, print := range was.Fields {
		if prints[name] != print {
			return false
		}
	}
	missing := crm.Without(was.Tags, have.Tags)
	perhaps := crm.Without(was.Intent.Tags, was.Tags) // a write may have added them, and GHL does not have them
	return have.ExternalID == was.Contact && len(missing) == 0 && len(crm.Without(perhaps, have.Tags)) == len(perhaps)
}

// mapped brings GHL's contact into the form of the contract; the location is read only where a phone number can't be
// understood without its country.
func (c *Contacts) mapped(ctx context.Context, location string, got crm.Contact) (crm.Contact, error) {
	place := crm.Location{ID: location}
	if got.NeedsCountry() {
		var err error
		if place, err = c.place(ctx, location); err != nil {
			return crm.Contact{}, err
		}
	}
	return crm.Map(got, place), nil
}

// wanted is the record that Rankr should hold of GHL's contact. Source is the contact in the form of the contract, which rules are
// worked out on.
func (c *Contacts) wanted(ctx context.Context, location string, got crm.Contact) (source crm.Contact, want rules.Mapped, err error) {
	if source, err = c.mapped(ctx, location, got); err != nil {
		return source, want, err
	}
	want, err = c.Rules.Map(location, source)
	if err == nil && !want.Excluded && c.Rules.Maps(location) {
		want.Contact, err = c.mapped(ctx, location, want.Contact) // what expressions came to has its form to find, too
	}
	return source, want, err
}

// mappingVersion names the mapping that the round applies.
func (r *round) mappingVersion() string {
	if r.object != crm.ContactItself {
		return crm.MappingVersion
	}
	return r.Rules.MappingVersion(r.ref.Location)
}

// align compares what GHL has with what Rankr has, and writes the difference.
func (r *round) align(ctx context.Context, was crm.Link, seen sight, want crm.Contact, decision crm.Decision, at time.Time) (crm.Result, error) {
	target := was.RankrID
	if seen.looked {
		target = ""
	}
	have := seen.record
	if have == nil && target == "" {
		found, err := r.Destination.Find(ctx, r.ref.Location, want.Keys(r.ref))
		if err != nil {
			return r.failed(ctx, was, want.Updated, err)
		}
		for i := range found {
			found[i] = crm.Map(found[i], crm.Location{})
		}
		if have, err = crm.Match(r.ref, want, found); err != nil {
			return r.failed(ctx, was, want.Updated, err)
		}
		seen.looked = true
	}
	if have != nil {
		target = have.ID
	}
	next := r.finished(was, seen, at)
	next.RankrID, next.Deleted = target, false
	next.Fields, next.Tags = r.Prints.Fields(want.Fields), want.Tags
	next.DateUpdated, next.Decision = want.Updated, decision
	if target != was.RankrID {
		next.CreatedByUs = was.Intent.Create && have != nil && have.ExternalID == r.ref.Contact
	}
	if target == "" {
		return r.create(ctx, was, next, want)
	}
	return r.update(ctx, was, next, want, have)
}

// decide works out what the rules say of the contact whose row is was. Source is the contact in the form of the contract.
func (r *round) decide(was crm.Link, source crm.Contact, at time.Time) crm.Decision {
	before := was.Decision
	if before.At.IsZero() {
		before.At = was.Covered // there was nothing to decide, but the contact is not new
	}
	return r.Rules.Decide(before, source, at)
}

// finished is the row after a round that ended well. Unsure ends only with a look at Rankr that is at least a lease
// later than what made it unsure: until then the request of a killed or frozen worker may still land.
func (r *round) finished(was crm.Link, seen sight, at time.Time) crm.Link {
	next := was
	if !at.IsZero() { // else nothing was read in GHL
		next.LastRead, next.Covered = at, at
	}
	next.Finished, next.Problem, next.MappingVersion = was.Now, "", r.mappingVersion()
	if !was.Sure() && seen.looked && !was.Now.Before(was.UnsureSince.Add(r.Lease)) {
		next.UnsureSince = time.Time{}
	}
	if next.Sure() {
		next.Intent = crm.Intent{}
	}
	return next
}

func (r *round) update(ctx context.Context, was, next crm.Link, want crm.Contact, have *crm.Contact) (crm.Result, error) {
	base := was
	if was.RankrID != next.RankrID {
		base.Fields, base.Tags = nil, nil // they belong to another record
	}
	plan, outcome, etag := crm.PlanByLink(base, want, next.Fields), crm.Updated, ""
	if have != nil {
		plan, etag = crm.PlanByRecord(base, want, *have), have.ETag
	}
	switch {
	case was.RankrID == "":
		outcome = crm.Adopted
	case plan.Empty():
		outcome = crm.Unchanged
	}
	result := crm.Result{Outcome: outcome, Fields: plan.Names(), RankrID: next.RankrID}
	if plan.Empty() {
		return r.advance(ctx, was, next, result)
	}
	claim := crm.Claim{RankrID: next.RankrID, Created: next.CreatedByUs, Intent: plan.Intent()}
	return r.write(ctx, base, next, claim, result,
		func(ctx context.Context, done *crm.Link) error {
			return r.carryOut(ctx, plan, etag, next, done)
		})
}

// carryOut writes the plan, and notes in done what certainly is in Rankr by now.
func (r *round) carryOut(ctx context.Context, plan crm.Plan, etag string, next crm.Link, done *crm.Link) error {
	location, id := r.ref.Location, next.RankrID
	if !plan.Patch.Empty() {
		if err := r.Destination.Update(ctx, location, id, etag, plan.Patch); err != nil {
			return err
		}
	}
	done.Fields, done.RankrID, done.CreatedByUs = next.Fields, id, next.CreatedByUs
	if len(plan.AddTags) > 0 {
		if err := r.Destination.AddTags(ctx, location, id, plan.AddTags); err != nil {
			return err
		}
	}
	done.Tags = crm.FoldTags(slices.Concat(done.Tags, plan.AddTags))
	if len(plan.RemoveTags) > 0 {
		return r.Destination.RemoveTags(ctx, location, id, plan.RemoveTags)
	}
	return nil
}

func (r *round) create(ctx context.Context, was, next crm.Link, want crm.Contact) (crm.Result, error) {
	record := crm.Contact{ExternalID: r.ref.Contact, Fields: want.Fields, Tags: want.Tags}
	fields := want.Fields.Names()
	if was.RankrID != "" {
		next.Generation++ // the record we had is gone from Rankr: its idempotency key would bring the old answer back
	}
	claim := crm.Claim{Intent: crm.Intent{Create: true, Fields: fields, Tags: want.Tags}}
	return r.write(ctx, was, next, claim, crm.Result{Outcome: crm.Created, Fields: fields},
		func(ctx context.Context, done *crm.Link) error {
			done.Generation = next.Generation
			created, err := r.Destination.Create(ctx, r.ref.Location, r.idempotencyKey(next.Generation), record)
			done.RankrID, done.CreatedByUs = created.ID, err == nil
			return err
		})
}

// idempotencyKey is derived, never random: a second attempt must be known as such. The generation tells a contact that
// was deleted and made again from the old one, whose answer Rankr would repeat.
func (r *round) idempotencyKey(generation int) string {
	return r.derived(strconv.Itoa(generation))
}

// derived is an idempotency key of this contact's, made of the parts.
func (r *round) derived(parts ...string) string {
	return derived(append([]string{r.StoreID, r.ref.Location, r.ref.Contact}, parts...)...)
}

func derived(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "/")))
	return hex.EncodeToString(sum[:16])
}

// beginWithContact is begin for what belongs to a contact, whose link it reads, too.
func (r *round) beginWithContact(ctx context.Context) (was, contact crm.Link, result crm.Result, done bool, err error) {
	if was, result, done, err = r.begin(ctx); done || err != nil {
		return was, contact, result, done, err
	}
	contact, err = r.Links.Link(ctx, r.ref, crm.ContactItself)
	return was, contact, result, false, storeError(err)
}

// belongs ends a round of what belongs to a contact when that has no record yet, or none any more.
func (r *round) belongs(ctx context.Context, was, contact crm.Link) (crm.Result, bool, error) {
	switch {
	case contact.Decision.Excluded && contact.RankrID != "" && was.Sure(): // what is there stays as it is
		result, err := r.advance(ctx, was, r.finished(was, sight{}, contact.LastRead), crm.Result{Outcome: crm.Excluded})
		return result, true, err
	case contact.RankrID != "":
		return crm.Result{}, false, nil
	case contact.Deleted:
		next := r.finished(was, sight{looked: true}, contact.LastRead)
		next.RankrID, next.Fields, next.Records, next.Decision, next.Deleted = "", nil, nil, crm.Decision{}, true
		result, err := r.advance(ctx, was, next, crm.Result{Outcome: crm.Gone})
		return result, true, err
	case contact.Problem != "":
		result, err := r.park(ctx, was, time.Time{}, &crm.Error{Code: crm.NotLinked, Operation: "link"})
		return result, true, err
	}
	return waiting(linkPatience), true, r.askContact(ctx)
}

// askContact asks for a round of the contact itself.
func (r *round) askContact(ctx context.Context) error {
	return nudgeError(r.Nudge.Contact(ctx, r.ref.Location, names.Hint{Contact: r.ref.Contact}))
}

// lostRecord asks for the contact's own round when its record is gone from Rankr: only that one may make it again. While it
// has been asked and has a problem, this waits for that to be solved.
func (r *round) lostRecord(ctx context.Context, err error) error {
	if !hasCode(err, crm.RankrNotFound) {
		return err
	}
	contact, linkErr := r.Links.Link(ctx, r.ref, crm.ContactItself)
	if linkErr != nil {
		return storeError(linkErr)
	}
	switch {
	case contact.Sure():
		if err := r.Links.Unsure(ctx, contact); err != nil {
			return storeError(err)
		}
	case contact.Problem != "":
		return &crm.Error{Code: crm.NotLinked, Operation: "link"}
	}
	if err := r.askContact(ctx); err != nil {
		return err
	}
	return &crm.Error{Code: crm.Busy, Operation: "contact", Wait: linkPatience}
}

// advance ends a round that wrote nothing.
func (r *round) advance(ctx context.Context, was, next crm.Link, result crm.Result) (crm.Result, error) {
	switch err := storeError(r.Links.Advance(ctx, was, next)); {
	case errors.Is(err, crm.ErrTaken):
		return r.failed(ctx, was, next.DateUpdated, &crm.Error{Code: crm.MatchTaken, Operation: "link", Fields: []string{next.RankrID}})
	case err != nil:
		return crm.Result{}, err
	}
	r.saved = next
	return r.confirm(next, result), nil
}

// confirm asks for one more round while the contact is unsure.
func (r *round) confirm(next crm.Link, result crm.Result) crm.Result {
	if !next.Sure() {
		result.Wait = max(next.UnsureSince.Add(r.Lease).Sub(next.Now), time.Second)
	}
	return result
}

// write holds the contact while deed writes to Rankr, and records what came of it. The deed's deadline lies inside the
// lease, so that a slow write ends before another round may take over.
func (r *round) write(ctx context.Context, was, next crm.Link, claim crm.Claim, result crm.Result,
	deed func(context.Context, *crm.Link) error,
) (crm.Result, error) {
	claim.Holder, claim.Lease, claim.Intent = rand.Text(), r.Lease, was.Intent.With(claim.Intent)
	held, err := r.Links.Acquire(ctx, was, claim)
	switch err = storeError(err); {
	case errors.Is(err, crm.ErrTaken):
		return r.failed(ctx, was, next.DateUpdated, &crm.Error{Code: crm.MatchTaken, Operation: "link", Fields: []string{claim.RankrID}})
	case errors.Is(err, crm.ErrBraked):
		return r.failed(ctx, was, next.DateUpdated, &crm.Error{Code: crm.DeleteBrake, Operation: "contacts.delete"})
	case err != nil:
		return crm.Result{}, err
	}
	writing, cancel := context.WithTimeout(ctx, r.Lease*2/3)
	defer cancel()
	done := was // what is known to be in Rankr, should the deed fail half-way
	done.LastRead = next.LastRead
	if claim.RankrID != was.RankrID && !claim.Delete {
		done.RankrID, done.CreatedByUs = "", false // reserved, not linked, until something was written
	}
	if err := deed(writing, &done); err != nil {
		return r.broken(ctx, held, done, next, err)
	}
	next.RankrID, next.CreatedByUs = done.RankrID, done.CreatedByUs
	switch r.object {
	case crm.TasksAndNotes: // Rankr gave them their ids just now
		next.Fields, next.Records = done.Fields, done.Records
	case crm.Segments:
		next.Decision = done.Decision
	}
	if !next.Sure() {
		next.Intent = held.Intent
	}
	if err := r.release(ctx, held, next, false, nil); err != nil {
		return r.lost(ctx, held, err)
	}
	r.saved = next
	if done.RankrID != "" {
		result.RankrID = done.RankrID
	}
	return r.confirm(next, result), nil
}

// release lets go of the contact even when the round itself was called off: else everybody waits for the lease to end.
func (r *round) release(ctx context.Context, held, next crm.Link, unsure bool, problem *crm.ProblemRecord) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Lease/3)
	defer cancel()
	return storeError(r.Links.Release(ctx, held, next, unsure, problem))
}

// lost handles a release that failed. Somebody took over while we wrote, perhaps over something newer: the contact is
// unsure, and a round must look.
func (r *round) lost(ctx context.Context, held crm.Link, err error) (crm.Result, error) {
	if !errors.Is(err, crm.ErrMoved) {
		return crm.Result{}, err
	}
	if err := storeError(r.Links.Unsure(context.WithoutCancel(ctx), held)); err != nil {
		return crm.Result{}, err
	}
	return waiting(r.Lease), nil
}

// broken lets go of the contact after a deed that failed, with what is known of its effect.
func (r *round) broken(ctx context.Context, held, done, next crm.Link, cause error) (crm.Result, error) {
	e := r.named(safe(cause))
	again := !r.repeated // start over at once, but only once: what does not help then needs time or a person
	switch e.Code {
	case crm.RankrNotFound: // deleted in Rankr by somebody: it is made again
		if r.object == crm.ContactItself || r.object == crm.ABusiness {
			done.RankrID, done.CreatedByUs, done.Fields, done.Tags = "", false, nil, nil
			done.Generation++
		} else { // one of them, or the whole record
			r.doubt = true
		}
	case crm.RankrDuplicate:
		if r.winner = e.ID; !again {
			e = &crm.Error{Code: crm.MatchTaken, Operation: e.Operation, Fields: strings.Fields(e.ID)}
		}
	case crm.RankrMoved:
		r.doubt = true
	default:
		again = false
	}
	r.repeated = true
	unsure := e.Landed || errors.Is(cause, context.Canceled)
	if unsure && done.RankrID == "" {
		done.RankrID, done.CreatedByUs = held.RankrID, held.CreatedByUs
	}
	if unsure || !done.Sure() {
		done.Intent = held.Intent
	} else {
		done.Intent = crm.Intent{}
	}
	var problem *crm.ProblemRecord
	if e.Retry() == crm.Never && !again {
		done.Problem, done.Finished, done.DateUpdated, done.MappingVersion = e.Code, held.Now, next.DateUpdated, r.mappingVersion()
		problem = r.problem(e)
		if err := r.parkLocation(ctx, e.Code); err != nil {
			return crm.Result{}, err
		}
	}
	if err := r.release(ctx, held, done, unsure, problem); err != nil {
		return r.lost(ctx, held, err)
	}
	switch {
	case again:
		return crm.Result{}, crm.ErrMoved
	case problem != nil:
		return asResult(e), nil
	}
	return crm.Result{}, cause
}

// failed ends a round in which nothing was written. What can never succeed as it is becomes a problem; everything else
// goes up, to be tried again.
func (r *round) failed(ctx context.Context, was crm.Link, updated time.Time, err error) (crm.Result, error) {
	var e *crm.Error
	if !errors.As(err, &e) || e.Retry() != crm.Never || e.Code == crm.InvalidInput {
		return crm.Result{}, err
	}
	if err := r.parkLocation(ctx, e.Code); err != nil {
		return crm.Result{}, err
	}
	return r.park(ctx, was, updated, e)
}

func (r *round) park(ctx context.Context, was crm.Link, updated time.Time, e *crm.Error) (crm.Result, error) {
	e = r.named(e)
	next := was
	next.Finished, next.Problem, next.MappingVersion = was.Now, e.Code, r.mappingVersion()
	if !updated.IsZero() {
		next.DateUpdated = updated // the poll leaves it alone until it moves
	}
	if r.object == crm.TasksAndNotes {
		next.Fields = toldLater(was.Fields, r.hint.Events)
	}
	if err := storeError(r.Links.Park(ctx, was, next, *r.problem(e))); err != nil {
		return crm.Result{}, err
	}
	return asResult(e), nil
}

// parkLocation stops all other contacts from running into a wall that this one found: the credentials serve them all.
// One that GHL refuses for a single contact, while it shows the location, is that contact's own problem.
func (r *round) parkLocation(ctx context.Context, code crm.Code) error {
	location := r.ref.Location
	switch code {
	case crm.GHLScope:
		if r.object != crm.ContactItself { // contacts need another
			return nil
		}
	case crm.GHLSuspended, crm.GHLReconnect: // no call of the location can be made at all
	case crm.GHLToken, crm.GHLTenant:
		if _, _, err := r.Source.Location(ctx, location); !hasCode(err, crm.GHLCredentials...) {
			return nil
		}
	case crm.RankrToken, crm.RankrAccount:
		if !refused(ctx, r.Destination, location) {
			return nil
		}
		if len(r.Accounts) == 0 { // else each location of the account finds out by itself, and so does its poll when it is mended
			location = crm.Everywhere
		}
	default:
		return nil
	}
	return storeError(r.Links.ParkLocation(ctx, location, code))
}

// named says of which account of sync.yaml Rankr refuses the credentials.
func (r *round) named(e *crm.Error) *crm.Error {
	account := r.Accounts.Of(r.ref.Location)
	if account == "" || !slices.Contains(crm.RankrCredentials, e.Code) {
		return e
	}
	named := *e // the one that a token source gave is everybody's
	named.Fields = append([]string{"accounts/" + account}, e.Fields...)
	return &named
}

// refused asks Rankr one cheap question and tells whether it is our credentials that it refuses.
func refused(ctx context.Context, rankr crm.Destination, location string) bool {
	_, err := rankr.Find(ctx, location, crm.Keys{ExternalID: "rankrsync-probe"})
	return hasCode(err, crm.RankrCredentials...)
}

func (r *round) problem(e *crm.Error) *crm.ProblemRecord {
	return &crm.ProblemRecord{Ref: r.ref, Object: r.object, Code: e.Code, Operation: e.Operation, Fields: e.Fields, TraceID: e.TraceID}
}

func asResult(e *crm.Error) crm.Result {
	return crm.Result{Outcome: crm.Problem, Code: e.Code, Fields: e.Fields, Detail: crm.Catalogue[e.Code].Sentence}
}

// gone brings a contact into step that GHL no longer has. A 404 alone is no evidence: a wrong tenant, an outage or a
// proxy answers so too. The location must answer well, with the same token, in the same round.
func (r *round) gone(ctx context.Context, was crm.Link, seen sight, at time.Time) (crm.Result, error) {
	seen, err := r.certain(ctx, was, seen)
	if err != nil {
		return r.failed(ctx, was, time.Time{}, err)
	}
	next := r.finished(was, seen, at)
	next.DateUpdated, next.Decision = time.Time{}, crm.Decision{}
	if target, _ := r.target(was, seen); target != "" {
		if _, _, err := r.Source.Location(ctx, r.ref.Location); err != nil {
			return r.failed(ctx, was, time.Time{}, err)
		}
	}
	keep, said := r.Rules.KeepsDeleted(r.ref.Location)
	return r.part(ctx, was, next, seen, keep || !said && r.KeepDeleted, crm.Gone)
}

// certain looks at the record that is about to go, unless somebody did: it must still be this contact's.
func (r *round) certain(ctx context.Context, was crm.Link, seen sight) (sight, error) {
	if was.RankrID == "" || seen.looked {
		return seen, nil
	}
	return r.look(ctx, was)
}

// target is the record in Rankr that is this contact's, and whether we made it.
func (r *round) target(was crm.Link, seen sight) (id string, ours bool) {
	switch {
	case seen.record != nil:
		return seen.record.ID, was.CreatedByUs || was.Intent.Create && seen.record.ExternalID == r.ref.Contact
	case seen.looked:
		return "", was.CreatedByUs
	}
	return was.RankrID, was.CreatedByUs
}

// exclude ends a round of a contact that is not to be synced.
func (r *round) exclude(ctx context.Context, was crm.Link, seen sight, want rules.Mapped, at time.Time) (crm.Result, error) {
	parts := want.OnLeave != rules.LeaveKeep
	if parts {
		var err error
		if seen, err = r.certain(ctx, was, seen); err != nil {
			return r.failed(ctx, was, want.Updated, err)
		}
	}
	next := r.finished(was, seen, at)
	next.DateUpdated = want.Updated
	target, ours := r.target(was, seen)
	if target == "" || parts {
		next.Decision = crm.Decision{Excluded: true}
		return r.part(ctx, was, next, seen, want.OnLeave != rules.LeaveDelete, crm.Excluded)
	}
	next.Decision.Excluded, next.Deleted = true, false
	next.RankrID, next.CreatedByUs = target, ours
	if seen.record != nil { // what a write that was never answered left there is known now
		have := crm.Fields{}
		for _, name := range slices.Concat(was.Fields.Names(), was.Intent.Fields) {
			if value, there := seen.record.Fields[name]; there {
				have[name] = value
			}
		}
		left := crm.FoldTags(slices.Concat(was.Tags, was.Intent.Tags))
		next.Fields, next.Tags = r.Prints.Fields(have), crm.Without(left, crm.Without(left, seen.record.Tags))
	}
	return r.advance(ctx, was, next, crm.Result{Outcome: crm.Excluded, RankrID: target})
}

// part lets go of the contact's record, which is deleted if we made it and it is not to be kept. None is how it ends when there is no record.
func (r *round) part(ctx context.Context, was, next crm.Link, seen sight, keep bool, none crm.Outcome) (crm.Result, error) {
	target, ours := r.target(was, seen)
	next.RankrID, next.CreatedByUs, next.Fields, next.Tags, next.Deleted = "", false, nil, nil, true
	if target == "" {
		return r.advance(ctx, was, next, crm.Result{Outcome: none})
	}
	next.Generation++
	claim := crm.Claim{RankrID: target, Created: ours, Intent: was.Intent, Delete: ours && !keep}
	result := crm.Result{Outcome: crm.Unlinked, RankrID: target, Fields: []string{"externalId"}}
	if claim.Delete {
		result = crm.Result{Outcome: crm.Deleted, RankrID: target}
	}
	return r.write(ctx, was, next, claim, result, func(ctx context.Context, done *crm.Link) error {
		var err error
		if claim.Delete {
			err = r.Destination.Delete(ctx, r.ref.Location, target)
		} else {
			nobody := ""
			err = r.Destination.Update(ctx, r.ref.Location, target, "", crm.Patch{ExternalID: &nobody})
		}
		if err == nil || hasCode(err, crm.RankrNotFound) {
			done.RankrID, done.CreatedByUs = "", false
			return nil
		}
		return err
	})
}
