package activities

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Backfills loads locations whole. All fields but TasksAndNotes are needed.
type Backfills struct {
	Contacts      *Contacts // whose rounds, links, lease and way back to Temporal are shared
	Source        crm.ContactWalker
	Destination   crm.RecordWalker
	Links         LinkReader
	TasksAndNotes *TasksAndNotes // nil: those of contacts can't be asked for
}

// LinkReader reads many links at once.
type LinkReader interface {
	Links(ctx context.Context, location string, object crm.Object, contacts []string) (map[string]crm.Link, error)
}

// The bounds of a listing. GHL shows 500 contacts a page at most; a listing's page is cut into pages of work.
const (
	listingSize  = 500
	backfillPage = 100
	// maxReads bounds how often a page of work is read on, when contacts that were added with an earlier date moved its last one.
	maxReads = 3
)

// Listing asks for the next contacts of a location.
type Listing struct {
	Location string `json:"location"`
	After    string `json:"after,omitempty"` // where an earlier listing stopped
	Seen     int    `json:"seen,omitempty"`  // listed by then
	Limit    int    `json:"limit,omitempty"` // how many more are wanted; 0: all
	// All lists contacts that are in step, too: something of theirs is asked for that the listing does not tell.
	All bool `json:"all,omitempty"`
}

// Listed is what a listing found.
type Listed struct {
	Pages []names.ListedPage `json:"pages,omitempty"` // those in which something is to be done
	Next  string             `json:"next,omitempty"`  // where the listing goes on; empty: all are listed
	Seen  int                `json:"seen"`
	Known int                `json:"known"` // in step already
	Total int                `json:"total"`
	Left  int                `json:"left"` // calls left today; -1: GHL does not say
}

// ListPages lists up to 500 contacts with one GHL call, and picks the pages in which one is not in step. Of contacts it tells no
// more than where their pages begin and end.
func (b *Backfills) ListPages(ctx context.Context, in Listing) (Listed, error) {
	var listed Listed
	err := b.guarded(ctx, in.Location, func() error {
		size := listingSize
		if in.Limit > 0 {
			size = min(size, in.Limit)
		}
		page, err := b.Source.ContactsAfter(ctx, in.Location, in.After, size)
		if err != nil {
			return err
		}
		listed, err = b.pages(ctx, in, page, size)
		return err
	})
	return listed, leave(err)
}

func (b *Backfills) pages(ctx context.Context, in Listing, page crm.Page, size int) (Listed, error) {
	listed := Listed{Seen: len(page.Documents), Total: page.Total, Left: page.Left}
	links, err := b.links(ctx, in.Location, page.Documents)
	if err != nil {
		return listed, err
	}
	after := in.After
	for part := range slices.Chunk(page.Documents, backfillPage) {
		todo := 0
		for _, document := range part {
			if !b.inStep(links[document.Contact], document) || in.All {
				todo++
			}
		}
		last := part[len(part)-1]
		if todo > 0 {
			listed.Pages = append(listed.Pages, names.ListedPage{After: after, Last: last.Contact, Contacts: len(part)})
		} else {
			listed.Known += len(part)
		}
		after = last.After
	}
	more := len(page.Documents) > 0 && (len(page.Documents) == size || in.Seen+len(page.Documents) < page.Total)
	more = more && in.Seen+len(page.Documents) != page.Total && (in.Limit == 0 || in.Limit > len(page.Documents))
	if more {
		listed.Next = after
	}
	return listed, nil
}

func (b *Backfills) links(ctx context.Context, location string, documents []crm.Document) (map[string]crm.Link, error) {
	contacts := make([]string, len(documents))
	for i, document := range documents {
		contacts[i] = document.Contact
	}
	links, err := b.Links.Links(ctx, location, crm.ContactItself, contacts)
	return links, storeError(err)
}

// inStep tells whether a contact needs no look: its last round saw the change that the listing tells of, and its tags and its
// business, which may change without one.
func (b *Backfills) inStep(link crm.Link, document crm.Document) bool {
	rules := b.Contacts.Rules
	if !knows(link, document, rules.MappingVersion(link.Location)) || !link.Sure() {
		return false
	}
	if document.Shown == nil || link.Problem != "" || link.Decision.Excluded {
		return true
	}
	tags := document.Shown.Tags == nil || slices.Equal(rules.Tags(link.Location, crm.FoldTags(document.Shown.Tags)), link.Tags)
	told := document.Shown.Business != "" || document.Whole
	return tags && (!told || !rules.MirrorsBusinesses() || document.Shown.Business == link.Decision.Business)
}

// PageOfBackfill asks for the contacts of a listed page to be brought into step.
type PageOfBackfill struct {
	Location string `json:"location"`
	names.ListedPage
	TasksAndNotes bool `json:"tasksAndNotes,omitempty"`
	// Failures counts the failures in a row before this page: after the first, Rankr is asked first.
	Failures int `json:"failures,omitempty"`
}

// BackfillAnswer is how a page ended.
type BackfillAnswer struct {
	PageAnswer
	Known int `json:"known"` // in step already
	Calls int `json:"calls"` // GHL calls to read the page
}

// BackfillPage reads the page again with one GHL call and brings each of its contacts into step that is not. A contact that the
// page shows whole needs no call of its own. One that fails on its own account, or that somebody else writes at the moment, goes
// to its own SyncContact; a system that is away fails the page, which goes on where it was.
func (b *Backfills) BackfillPage(ctx context.Context, in PageOfBackfill) (BackfillAnswer, error) {
	var answer BackfillAnswer
	err := b.guarded(ctx, in.Location, func() error {
		p := backfilling{Backfills: b, in: in, page: page{Contacts: b.Contacts, location: in.Location, retry: retried(ctx, in.Failures)}}
		defer p.begin(ctx)()
		err := p.run(ctx)
		answer = p.answer
		answer.PageAnswer = p.progress.Answer
		return err
	})
	return answer, leave(err)
}

// backfilling is one page on its way.
type backfilling struct {
	*Backfills
	page
	in     PageOfBackfill
	answer BackfillAnswer
}

func (p *backfilling) run(ctx context.Context) error {
	documents, at, err := p.read(ctx)
	if err != nil {
		return err
	}
	links, err := p.links(ctx, p.in.Location, documents)
	if err != nil {
		return err
	}
	return forEach(ctx, &p.page, documents, func(d crm.Document) string { return d.Contact }, func(d crm.Document) error {
		return p.one(ctx, d, at, p.inStep(links[d.Contact], d))
	})
}

// read returns the page's documents: from its place to its last contact, or as many as there were when it was listed.
func (p *backfilling) read(ctx context.Context) (documents []crm.Document, at time.Time, err error) {
	after := p.in.After
	for range maxReads {
		page, err := p.Source.ContactsAfter(ctx, p.in.Location, after, max(p.in.Contacts, 1))
		if err != nil {
			return nil, at, err
		}
		p.answer.Calls++
		if at.IsZero() {
			at = page.At
		}
		for _, document := range page.Documents {
			documents, after = append(documents, document), document.After
			if document.Contact == p.in.Last {
				return documents, at, nil
			}
		}
		if len(page.Documents) == 0 {
			break
		}
	}
	return documents, at, nil
}

// one brings one contact into step, and what belongs to it where that was asked for.
func (p *backfilling) one(ctx context.Context, document crm.Document, at time.Time, inStep bool) error {
	ref := crm.Ref{Location: p.location, Contact: document.Contact}
	hint := names.Hint{Contact: document.Contact}
	if inStep {
		if err := p.align(ctx, ref); err != nil {
			return err
		}
		p.note(ctx, document.Contact, func() { p.answer.Known++ })
		return nil
	}
	r := round{Contacts: p.page.Contacts, ref: ref, object: crm.ContactItself, hint: hint, doubt: p.retry, listedAt: at}
	if document.Whole {
		r.listed = document.Shown
	}
	result, err := p.bringRound(ctx, r, p.segment)
	if err == nil && result.Wait > 0 { // its SyncContact waits where that can be seen
		hint.Confirm = result.Outcome != crm.Waiting
		return p.pass(ctx, hint)
	}
	if err == nil && result.Outcome != crm.Problem && result.Outcome != crm.Gone {
		if err := p.align(ctx, ref); err != nil {
			return err
		}
	}
	return p.ended(ctx, hint, result, err, p.in.Contacts == 1)
}

// align brings the contact's tasks and notes into step; what does not end well at the first try is left to their own workflow.
func (p *backfilling) align(ctx context.Context, ref crm.Ref) error {
	if !p.in.TasksAndNotes || p.TasksAndNotes == nil {
		return nil
	}
	hint := names.Hint{Contact: ref.Contact}
	if result, err := p.TasksAndNotes.bring(ctx, ref, hint, p.retry); err == nil && result.Wait == 0 {
		return nil
	}
	return nudgeError(p.Nudge.TasksAndNotes(ctx, ref.Location, hint))
}

// SurveyRound names a location whose contacts are to be held against Rankr's records.
type SurveyRound struct {
	Location string `json:"location"`
}

// maxSurvey bounds what a walk of Rankr's records may find: a survey keeps three fingerprints of each, a comparison more.
const maxSurvey = 1_000_000

// eachContact walks a location's contacts in the order in which they were added, a page of 500 at a time with the links of its contacts.
func (b *Backfills) eachContact(ctx context.Context, location string, do func(page crm.Page, links map[string]crm.Link) error) error {
	seen, after := 0, ""
	for {
		page, err := b.Source.ContactsAfter(ctx, location, after, listingSize)
		if err != nil {
			return err
		}
		links, err := b.links(ctx, location, page.Documents)
		if err != nil {
			return err
		}
		if err := do(page, links); err != nil {
			return err
		}
		activity.RecordHeartbeat(ctx)
		n := len(page.Documents)
		if seen += n; n == 0 || seen >= page.Total && n < listingSize {
			return nil
		}
		after = page.Documents[n-1].After
	}
}

// eachRecord walks the records of the location's Rankr account, a page at a time. More than [maxSurvey] are an error of the operation.
func (b *Backfills) eachRecord(ctx context.Context, location, operation string, do func(records []crm.Contact)) error {
	seen := 0
	for after := ""; ; {
		records, next, err := b.Destination.Records(ctx, location, after)
		if err != nil {
			return err
		}
		if seen += len(records); seen > maxSurvey {
			return &crm.Error{Code: crm.InvalidInput, Operation: operation, Fields: []string{"records"}}
		}
		do(records)
		activity.RecordHeartbeat(ctx)
		if after = next; next == "" {
			return nil
		}
	}
}

// Survey reads both sides by pages, writes nothing, and tells how the contacts would find their records. What search documents do
// not show unaltered is left aside: it decides no match.
func (b *Backfills) Survey(ctx context.Context, in SurveyRound) (names.Matches, error) {
	var found names.Matches
	err := b.guarded(ctx, in.Location, func() error {
		s := survey{Backfills: b, location: in.Location, found: names.Matches{Left: -1}, ids: map[string]bool{}, emails: map[string]int32{}, phones: map[string]int32{}}
		if err := s.records(ctx); err != nil {
			return err
		}
		if err := s.contacts(ctx); err != nil {
			return err
		}
		found = s.found
		return nil
	})
	return found, leave(err)
}

// survey is one on its way. Records without an external id are known by number: two that match one contact are told apart.
type survey struct {
	*Backfills
	location string
	ids      map[string]bool  // by external id
	emails   map[string]int32 // by fingerprint; -1: several records have it
	phones   map[string]int32
	whole    int // contacts that pages show whole
	found    names.Matches
}

func (s *survey) records(ctx context.Context) error {
	return s.eachRecord(ctx, s.location, "survey", func(records []crm.Contact) {
		for _, record := range records {
			s.keep(crm.Map(record, crm.Location{}))
		}
	})
}

func (s *survey) keep(record crm.Contact) {
	s.found.Records++
	if record.ExternalID != "" {
		s.ids[record.ExternalID] = true
		return
	}
	number := int32(s.found.Records)
	for field, known := range map[string]map[string]int32{"email": s.emails, "phone": s.phones} {
		value, _ := record.Fields[field].(string)
		if value == "" {
			continue
		}
		print := s.Contacts.Prints.Bytes([]byte(field), []byte(value))
		if _, again := known[print]; again {
			known[print] = -1
		} else {
			known[print] = number
		}
	}
}

func (s *survey) contacts(ctx context.Context) error {
	err := s.eachContact(ctx, s.location, func(page crm.Page, links map[string]crm.Link) error {
		s.found.GHLCalls++
		s.found.Left = page.Left
		for _, document := range page.Documents {
			if err := s.match(ctx, links[document.Contact], document); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.cost()
	}
	return err
}

// match counts one contact by what would find its record.
func (s *survey) match(ctx context.Context, link crm.Link, document crm.Document) error {
	s.found.Contacts++
	if link.RankrID != "" {
		s.found.Linked++
		if !s.inStep(link, document) {
			s.found.GHLCalls++
			s.found.RankrCalls++
		}
		return nil
	}
	if document.Whole {
		s.whole++
	}
	email, phone, err := s.keys(ctx, document)
	switch {
	case err != nil:
		return err
	case s.ids[document.Contact]:
		s.found.ByID++
	case email == 0 && phone == 0:
		s.found.New++
	case email < 0 || phone < 0 || email > 0 && phone > 0 && email != phone:
		s.found.Ambiguous++
	case email > 0:
		s.found.ByEmail++
	default:
		s.found.ByPhone++
	}
	return nil
}

// keys returns the numbers of the records that have the contact's email and phone; 0: none has.
func (s *survey) keys(ctx context.Context, document crm.Document) (email, phone int32, err error) {
	if document.Shown == nil {
		return 0, 0, nil
	}
	shown, err := s.Contacts.mapped(ctx, s.location, *document.Shown)
	if err != nil {
		return 0, 0, err
	}
	keys := shown.Keys(crm.Ref{Location: s.location, Contact: document.Contact})
	if keys.Email != "" {
		email = s.emails[s.Contacts.Prints.Bytes([]byte("email"), []byte(keys.Email))]
	}
	if keys.Phone != "" {
		phone = s.phones[s.Contacts.Prints.Bytes([]byte("phone"), []byte(keys.Phone))]
	}
	return email, phone, nil
}

// cost adds up what a backfill would spend: its listings and pages, a read of each contact that no page shows whole, a look-up
// in Rankr for each that is not linked, and a write for most of them.
func (s *survey) cost() {
	unlinked := s.found.Contacts - s.found.Linked
	s.found.GHLCalls += (unlinked+backfillPage-1)/backfillPage + unlinked - s.whole
	s.found.RankrCalls += 2 * unlinked
}

// guarded checks the location and keeps a panic's text back.
func (b *Backfills) guarded(ctx context.Context, location string, do func() error) error {
	if !crm.ValidID(location) {
		return &crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: []string{"location"}}
	}
	return unpanic(ctx, location, "", do)
}
