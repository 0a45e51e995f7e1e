package activities

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// Reconciles compares the two sides of locations, and has repaired what drifted. All fields are needed.
type Reconciles struct {
	Backfills *Backfills // which walks both sides
}

// CompareRound names the location to be compared.
type CompareRound struct {
	Location string `json:"location"`
}

// Compare reads both sides by pages and tells where they differ. It believes no fingerprint of its own alone: what a page shows is
// held against the record, what it does not show is held against what the contact's last round left there, and every difference is
// confirmed by a read of both sides. It writes nothing, and costs GHL a call for 500 contacts, Rankr one for a page of records, and
// both one for each difference.
//
// A record of a contact that has no link in this location is no drift: it may be another location's that shares the account.
func (r *Reconciles) Compare(ctx context.Context, in CompareRound) (names.ReconcileResult, error) {
	var result names.ReconcileResult
	err := r.Backfills.guarded(ctx, in.Location, func() error {
		c := comparison{
			Backfills: r.Backfills, location: in.Location, records: map[string]*kept{},
			result: names.ReconcileResult{Location: in.Location, Counts: map[string]int{}, Drifts: []names.Drift{}},
		}
		for _, step := range []func(context.Context) error{c.readRecords, c.readContacts, c.readRest} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		result = c.result
		return nil
	})
	return result, leave(err)
}

// kept is what is kept of a record: marks of its values, some 300 bytes.
type kept struct {
	id      string
	again   bool // another record has the same external id
	present bool // its contact was listed
	marks   []uint64
}

func (m *kept) has(mark uint64) bool {
	_, found := slices.BinarySearch(m.marks, mark)
	return found
}

// comparison is one on its way.
type comparison struct {
	*Backfills
	location string
	records  map[string]*kept // by external id
	result   names.ReconcileResult
}

// mark stands for a value of a field.
func mark(name, print string) uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name + "\x00" + print))
	return sum.Sum64()
}

// folded are the fields that a page shows in lower case where it does not show the contact whole.
var folded = []string{"firstName", "lastName"}

// marks are those of all values, of names in lower case, too.
func (c *comparison) marks(contact crm.Contact) []uint64 {
	var all []uint64
	for name, print := range c.Contacts.Prints.Fields(contact.Fields) {
		all = append(all, mark(name, print))
	}
	for _, name := range folded {
		if value, ok := contact.Fields[name].(string); ok {
			all = append(all, mark(name+" folded", strings.ToLower(value)))
		}
	}
	for _, tag := range contact.Tags {
		all = append(all, mark("tag", tag))
	}
	slices.Sort(all)
	return all
}

func (c *comparison) readRecords(ctx context.Context) error {
	return c.eachRecord(ctx, c.location, "reconcile", func(records []crm.Contact) {
		c.result.RankrCalls++
		c.result.Records += len(records)
		for _, record := range records {
			if record.ExternalID == "" {
				continue
			}
			if known := c.records[record.ExternalID]; known != nil {
				known.again = known.again || known.id != record.ID
				continue
			}
			c.records[record.ExternalID] = &kept{id: record.ID, marks: c.marks(crm.Map(record, crm.Location{}))}
		}
	})
}

func (c *comparison) readContacts(ctx context.Context) error {
	return c.eachContact(ctx, c.location, func(page crm.Page, links map[string]crm.Link) error {
		c.result.GHLCalls++
		c.result.Contacts += len(page.Documents)
		for _, document := range page.Documents {
			if err := c.compare(ctx, links[document.Contact], document); err != nil {
				return err
			}
		}
		return nil
	})
}

// compare holds one contact against its record.
func (c *comparison) compare(ctx context.Context, link crm.Link, document crm.Document) error {
	record := c.records[document.Contact]
	if record == nil {
		return c.confirm(ctx, link, document.Contact, "")
	}
	record.present = true
	if record.again {
		c.drift(names.Drift{Kind: names.DriftDuplicate, Contact: document.Contact, RankrID: record.id, Code: string(link.Problem)})
		return nil
	}
	suspect, err := c.suspect(ctx, link, document, record)
	if err != nil || !suspect {
		return err
	}
	return c.confirm(ctx, link, document.Contact, record.id)
}

// suspect tells whether a read of both sides is worth its calls.
func (c *comparison) suspect(ctx context.Context, link crm.Link, document crm.Document, record *kept) (bool, error) {
	partial := !document.Whole && c.Contacts.Rules.Maps(c.location) // of what a page leaves out, expressions can't tell
	if document.Shown == nil || partial || link.RankrID != record.id || !c.inStep(link, document) {
		return true, nil
	}
	_, shown, err := c.Contacts.wanted(ctx, c.location, *document.Shown)
	if hasCode(err, crm.RuleFailed) || err == nil && shown.Excluded {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	prints := c.Contacts.Prints.Fields(shown.Fields)
	for name, print := range prints {
		wanted := mark(name, print)
		if value, ok := shown.Fields[name].(string); ok && !document.Whole && slices.Contains(folded, name) {
			wanted = mark(name+" folded", strings.ToLower(value))
		}
		if !record.has(wanted) {
			return true, nil
		}
	}
	for name, print := range link.Fields {
		if _, told := prints[name]; !told && (document.Whole || !record.has(mark(name, print))) {
			return true, nil
		}
	}
	for _, tag := range shown.Tags {
		if !record.has(mark("tag", tag)) {
			return true, nil
		}
	}
	return false, nil
}

// confirm reads both sides: pages lag behind, and show not all.
func (c *comparison) confirm(ctx context.Context, link crm.Link, contact, record string) error {
	ref := crm.Ref{Location: c.location, Contact: contact}
	if ref.Validate() != nil {
		return nil
	}
	c.result.GHLCalls++
	got, _, err := c.Contacts.Source.Contact(ctx, ref)
	if hasCode(err, crm.GHLNotFound) {
		return nil // it is gone, and no drift: its record, if there is one, is looked at with the rest
	}
	if err != nil {
		return err
	}
	_, want, err := c.Contacts.wanted(ctx, c.location, got)
	switch {
	case hasCode(err, crm.RuleFailed): // it has a problem, and nothing to be compared with
		c.drift(names.Drift{Kind: names.DriftDifferent, Contact: contact, RankrID: record, Code: string(crm.RuleFailed)})
		return nil
	case err != nil || want.Excluded: // what is there of one that is not synced is nobody's drift
		return err
	case record == "":
		c.drift(names.Drift{Kind: names.DriftMissing, Contact: contact, Code: string(link.Problem)})
		return nil
	}
	c.result.RankrCalls++
	have, err := c.Contacts.Destination.Contact(ctx, c.location, record)
	switch {
	case hasCode(err, crm.RankrNotFound):
		c.drift(names.Drift{Kind: names.DriftMissing, Contact: contact, Code: string(link.Problem)})
		return nil
	case err != nil:
		return err
	}
	base := link
	if link.RankrID != record {
		base.Fields, base.Tags = nil, nil // they belong to another record
	}
	plan := crm.PlanByRecord(base, want.Contact, crm.Map(have, crm.Location{}))
	found := names.Drift{Kind: names.DriftDifferent, Contact: contact, RankrID: record, Fields: plan.Names(), Code: string(link.Problem)}
	switch {
	case link.RankrID != record:
		found.Kind = names.DriftBroken
	case plan.Empty():
		return nil
	}
	c.drift(found)
	return nil
}

// readRest looks at the records whose contacts were not listed.
func (c *comparison) readRest(ctx context.Context) error {
	var rest []crm.Document
	for _, contact := range slices.Sorted(maps.Keys(c.records)) {
		if !c.records[contact].present && crm.ValidID(contact) {
			rest = append(rest, crm.Document{Contact: contact})
		}
	}
	for part := range slices.Chunk(rest, listingSize) {
		links, err := c.links(ctx, c.location, part)
		if err != nil {
			return err
		}
		for _, document := range part {
			link := links[document.Contact]
			if link.Version == 0 {
				continue
			}
			c.result.GHLCalls++
			_, _, err := c.Contacts.Source.Contact(ctx, crm.Ref{Location: c.location, Contact: document.Contact})
			if hasCode(err, crm.GHLNotFound) {
				c.drift(names.Drift{
					Kind: names.DriftExtra, Contact: document.Contact, RankrID: c.records[document.Contact].id, Code: string(link.Problem),
				})
			} else if err != nil {
				return err
			}
		}
		activity.RecordHeartbeat(ctx)
	}
	return nil
}

func (c *comparison) drift(found names.Drift) {
	c.result.Counts[found.Kind]++
	if len(c.result.Drifts) < names.MaxDrifts {
		c.result.Drifts = append(c.result.Drifts, found)
	}
}

// Repairs asks for contacts to be brought into step whatever their links say.
type Repairs struct {
	Location string   `json:"location"`
	Contacts []string `json:"contacts"`
}

// Repair hands the contacts over to their own rounds, which read both sides since their links are not believed any more. It returns
// how many there are.
func (r *Reconciles) Repair(ctx context.Context, in Repairs) (int, error) {
	err := r.Backfills.guarded(ctx, in.Location, func() error {
		for part := range slices.Chunk(in.Contacts, listingSize) {
			links, err := r.Backfills.Links.Links(ctx, in.Location, crm.ContactItself, part)
			if err != nil {
				return storeError(err)
			}
			var hints []names.Hint
			for _, contact := range part {
				if !crm.ValidID(contact) {
					continue
				}
				hints = append(hints, names.Hint{Contact: contact, Received: time.Now()})
				link := links[contact]
				if link.Version == 0 || !link.Sure() || link.Held() {
					continue
				}
				if err := r.Backfills.Contacts.Links.Unsure(ctx, link); err != nil && !errors.Is(err, crm.ErrMoved) {
					return storeError(err)
				}
			}
			if err := nudgeError(r.Backfills.Contacts.Nudge.Contacts(ctx, in.Location, hints...)); err != nil {
				return err
			}
			activity.RecordHeartbeat(ctx)
		}
		return nil
	})
	return len(in.Contacts), leave(err)
}
