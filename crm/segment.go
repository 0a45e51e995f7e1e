package crm

import "context"

// Segment is a group of contacts in Rankr. Its name is unique there, whatever the case of its letters.
type Segment struct {
	ID          string
	Name        string
	Description string
}

// SegmentDestination is what a [Destination] does with segments. The rules for errors, idempotency keys and Landed are
// the Destination's.
type SegmentDestination interface {
	// Segments returns all segments of the account.
	Segments(ctx context.Context, location string) ([]Segment, error)
	// CreateSegment makes a segment; [RankrDuplicate] carries the id of the one that has the name already.
	CreateSegment(ctx context.Context, location, idempotencyKey string, segment Segment) (Segment, error)
	// SetSegments replaces the segments that a record is in. [RankrNotFound] when the record is gone, [RankrInvalid]
	// when one of the segments is.
	SetSegments(ctx context.Context, location, record string, segments []string) error
}
