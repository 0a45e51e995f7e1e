package crm

import (
	"maps"
	"reflect"
	"slices"
)

// Plan is what must be written so that Rankr's record is in step.
type Plan struct {
	Patch      Patch
	AddTags    []string
	RemoveTags []string
}

// Empty tells whether nothing must be written.
func (p Plan) Empty() bool { return p.Patch.Empty() && len(p.AddTags) == 0 && len(p.RemoveTags) == 0 }

// Names returns the names of what the plan writes, sorted; tags are one name, for a tag itself may say too much.
func (p Plan) Names() []string {
	names := slices.Concat(p.Patch.Set.Names(), p.Patch.Clear)
	if p.Patch.ExternalID != nil {
		names = append(names, "externalId")
	}
	if len(p.AddTags)+len(p.RemoveTags) > 0 {
		names = append(names, "tags")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// PlanByLink compares with what the link remembers, without a look at Rankr's record: right only while the link is
// sure. A field that GHL had and no longer has is cleared; one that GHL never had is left alone.
func PlanByLink(link Link, want Contact, prints Fingerprints) Plan {
	plan := Plan{Patch: Patch{Set: Fields{}}}
	for name, value := range want.Fields {
		if link.Fields[name] != prints[name] {
			plan.Patch.Set[name] = value
		}
	}
	for name := range link.Fields {
		if _, ok := want.Fields[name]; !ok {
			plan.Patch.Clear = append(plan.Patch.Clear, name)
		}
	}
	slices.Sort(plan.Patch.Clear)
	plan.AddTags = Without(want.Tags, link.Tags)
	plan.RemoveTags = Without(link.Tags, want.Tags)
	return plan
}

// PlanByRecord compares with Rankr's record itself: for a record that is adopted, and whenever the link is in
// doubt. What only Rankr has stays as it is, but what the link or an unanswered write may have put there and GHL no
// longer has goes.
func PlanByRecord(link Link, want, have Contact) Plan {
	plan := Plan{Patch: Patch{Set: Fields{}}}
	for name, value := range want.Fields {
		if !reflect.DeepEqual(value, have.Fields[name]) {
			plan.Patch.Set[name] = value
		}
	}
	for _, name := range ours(link) {
		_, wanted := want.Fields[name]
		if _, there := have.Fields[name]; there && !wanted {
			plan.Patch.Clear = append(plan.Patch.Clear, name)
		}
	}
	if have.ExternalID != link.Contact {
		plan.Patch.ExternalID = &link.Contact
	}
	plan.AddTags = Without(want.Tags, have.Tags)
	plan.RemoveTags = Without(both(ourTags(link), have.Tags), want.Tags)
	return plan
}

// ours are the fields that a write of ours put, or may have put, into Rankr's record.
func ours(link Link) []string {
	names := slices.Concat(slices.Collect(maps.Keys(link.Fields)), link.Intent.Fields)
	slices.Sort(names)
	return slices.Compact(names)
}

func ourTags(link Link) []string { return FoldTags(slices.Concat(link.Tags, link.Intent.Tags)) }

// Intent is what carrying the plan out may put into Rankr's record.
func (p Plan) Intent() Intent { return Intent{Fields: p.Patch.Set.Names(), Tags: p.AddTags} }

// Match picks the record in Rankr that is this contact: the one that carries its id, else the only one that nobody
// else's id is on and whose email or phone is the contact's. None: nil. Several: [Ambiguous], naming them. What the
// system found is checked here again: one that ignores a key it does not know would offer any record.
func Match(ref Ref, want Contact, found []Contact) (*Contact, error) {
	var candidates []Contact
	for _, have := range found {
		switch {
		case have.ExternalID == ref.Contact:
			return &have, nil
		case have.ExternalID == "" && (same(want, have, "email") || same(want, have, "phone")):
			candidates = append(candidates, have)
		}
	}
	switch len(candidates) {
	case 0:
		return nil, nil
	case 1:
		return &candidates[0], nil
	}
	ids := make([]string, len(candidates))
	for i, have := range candidates {
		ids[i] = have.ID
	}
	slices.Sort(ids)
	return nil, &Error{Code: Ambiguous, Operation: "rankr contacts.find", Fields: ids}
}

func same(want, have Contact, field string) bool {
	value, ok := want.Fields[field]
	return ok && value == have.Fields[field]
}

// Keys returns what the contact may be found by in Rankr.
func (c Contact) Keys(ref Ref) Keys {
	email, _ := c.Fields["email"].(string)
	number, _ := c.Fields["phone"].(string)
	return Keys{ExternalID: ref.Contact, Email: email, Phone: number}
}

// Without returns a less what is in b. Both lists are sorted, as [FoldTags] leaves them.
func Without(a, b []string) []string {
	var left []string
	for _, s := range a {
		if _, found := slices.BinarySearch(b, s); !found {
			left = append(left, s)
		}
	}
	return left
}

// both returns what is in a and in b.
func both(a, b []string) []string { return Without(a, Without(a, b)) }
