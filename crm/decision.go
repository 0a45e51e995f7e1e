package crm

import (
	"maps"
	"slices"
	"time"
)

// Decision is what one read of a contact decides beside the contact itself: which segments it belongs to, which business it
// is attached to, and which tags were added that rules wait for. It holds names of rules and ids, never values.
type Decision struct {
	Segments []string `json:"segments,omitempty"` // names of the segments whose rule holds, sorted
	Business string   `json:"business,omitempty"` // GHL's id of the business; empty: none, or businesses are not mirrored
	// Added holds, for each tag that rules wait for, GHL's Date of the read that last found it added.
	Added map[string]time.Time `json:"added,omitempty"`
	// Failed names the rules that could not be worked out, sorted. What they decide stays as it was.
	Failed []string `json:"failed,omitempty"`

	// Watched are the tags that rules waited for at the time, and Tags those of them that the contact had: an addition
	// is a watched tag that was not there before. A rule that is new takes the tags that are there as they are.
	Watched []string  `json:"watched,omitempty"`
	Tags    []string  `json:"tags,omitempty"`
	At      time.Time `json:"at,omitzero"` // GHL's Date of the read; zero: nothing was ever decided

	// Excluded tells that the contact is not to be synced. What was decided before stays as it was.
	Excluded bool `json:"excluded,omitempty"`
}

// Zero tells whether there is nothing to remember.
func (d Decision) Zero() bool { return d.Empty() && len(d.Watched) == 0 && !d.Excluded }

// Empty tells whether there is nothing to bring about.
func (d Decision) Empty() bool {
	return len(d.Segments) == 0 && d.Business == "" && len(d.Added) == 0 && len(d.Failed) == 0
}

// Same tells whether both ask for the same to be brought about.
func (d Decision) Same(other Decision) bool {
	return slices.Equal(d.Segments, other.Segments) && d.Business == other.Business &&
		maps.EqualFunc(d.Added, other.Added, time.Time.Equal) && slices.Equal(d.Failed, other.Failed)
}

// Undecided tells whether what the contact's last finished round decided has not, or not for sure, been brought about, or not
// in the record that it is linked to now. Of a contact that is gone it is undecided that nothing is to be remembered.
func (l Link) Undecided() bool {
	if l.RankrID == "" {
		return l.Deleted && l.SegmentedRecord != ""
	}
	return l.SegmentedUnsure || !l.Decision.Same(l.Segmented) || l.SegmentedRecord != l.RankrID && !l.Decision.Empty()
}
