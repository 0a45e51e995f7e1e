package rankr

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// maxSegmentPages bounds a walk over the segments of the account: 5,000 of them. Half a list would make segments again
// that are there, so more are an error.
const maxSegmentPages = 50

// segment is a segment as the contract shows it.
type segment struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

// of tells whether it is a segment at all: all of an account are listed together.
func (s segment) of(string) bool { return crm.ValidID(s.ID) && s.Name != "" }

func (s segment) key() string { return s.ID }

func (s segment) toCRM(string) crm.Segment {
	return crm.Segment{ID: s.ID, Name: s.Name, Description: s.Description}
}

// membership is sent and answered by the call for a contact's segments.
type membership struct {
	SegmentIDs []string `json:"segmentIds"`
}

// Segments returns all segments of the account, each once.
func (c *Client) Segments(ctx context.Context, location string) ([]crm.Segment, error) {
	call := c.call(findSegments, location)
	call.Query = url.Values{"limit": {strconv.Itoa(pageSize)}}
	all := []segment{}
	for range maxSegmentPages {
		page, next, meta, err := c.segmentPage(ctx, call)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next == "" {
			segments, ok := items(all, "")
			if !ok {
				return nil, c.rest.Foreign(call, meta)
			}
			return segments, nil
		}
		call.Query.Set("startAfter", next)
	}
	return nil, &crm.Error{Code: crm.RankrInvalid, Operation: "rankr " + findSegments.Name, Fields: []string{"segments"}}
}

// segmentPage reads one page. One that is followed by itself is no answer.
func (c *Client) segmentPage(ctx context.Context, call rest.Call) (page []segment, next string, meta rest.Meta, err error) {
	var answer struct {
		Segments []segment `json:"segments"`
		Next     string    `json:"next"`
	}
	meta, err = c.rest.Do(ctx, call, &answer)
	if err == nil && (answer.Segments == nil || answer.Next != "" && answer.Next == call.Query.Get("startAfter")) {
		err = c.rest.Foreign(call, meta)
	}
	return answer.Segments, answer.Next, meta, err
}

// CreateSegment makes a segment. Without an idempotency key it refuses.
func (c *Client) CreateSegment(ctx context.Context, location, idempotencyKey string, s crm.Segment) (crm.Segment, error) {
	name := strings.TrimSpace(s.Name)
	if name == "" {
		return crm.Segment{}, createSegment.refuse("name")
	}
	body := map[string]any{"name": name}
	if s.Description != "" {
		body["description"] = s.Description
	}
	call, err := c.creating(createSegment, location, idempotencyKey, body)
	if err != nil {
		return crm.Segment{}, err
	}
	var answer struct {
		Segment segment `json:"segment"`
	}
	meta, err := c.rest.Do(ctx, call, &answer)
	if err != nil {
		return crm.Segment{}, err
	}
	if got := answer.Segment; !got.of("") || !strings.EqualFold(got.Name, name) {
		return crm.Segment{}, c.rest.Foreign(call, meta)
	}
	return answer.Segment.toCRM(""), nil
}

// SetSegments replaces the segments that a record is in; none takes it out of all.
func (c *Client) SetSegments(ctx context.Context, location, record string, segments []string) error {
	wanted := membership{SegmentIDs: sortedOnce(segments)}
	for _, id := range wanted.SegmentIDs {
		if !crm.ValidID(id) {
			return setSegments.refuse("segmentIds")
		}
	}
	call, err := c.on(setSegments, location, record)
	if err != nil {
		return err
	}
	call.Body = wanted
	var answer membership
	meta, err := c.rest.Do(ctx, call, &answer)
	if err == nil && (answer.SegmentIDs == nil || !slices.Equal(sortedOnce(answer.SegmentIDs), wanted.SegmentIDs)) {
		return c.rest.Foreign(call, meta)
	}
	return err
}

// sortedOnce returns the ids sorted and each once; it never returns nil, for "none" goes over the wire as an empty list.
func sortedOnce(ids []string) []string {
	sorted := append([]string{}, ids...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
