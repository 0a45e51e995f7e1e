package rankrtest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Segment is one segment as the fake holds it. Who is in it stands in the records.
type Segment struct {
	Item
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

func (s *Segment) key() string { return foldName(s.Name) }

// foldName brings a segment's name into the form in which names are compared.
func foldName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func (s *Segment) set(k Knobs, name string, value any) string {
	switch name {
	case "name":
		if text, ok := value.(string); ok && (text == "" || text != strings.TrimSpace(text)) {
			return "is empty, or not trimmed"
		}
		return k.put(&s.Name, name, value, false)
	case "description":
		return k.put(&s.Description, name, value, true)
	}
	return "unknown property"
}

func (s *Segment) wire() map[string]any {
	return map[string]any{"name": s.Name, "description": textOrNull(s.Description)}
}

func (s *Server) findSegments(a *account, req request) answer { return search(s, s.segments, a, req) }

func (s *Server) createSegment(a *account, req request) answer { return create(s, s.segments, a, req) }

func (s *Server) updateSegment(a *account, req request) answer { return update(s, s.segments, a, req) }

func (s *Server) deleteSegment(a *account, req request) answer { return remove(s, s.segments, a, req) }

func (s *Server) setSegments(a *account, req request) answer {
	r := s.known(a, req.id)
	if r == nil {
		return notFound("contact")
	}
	next := r.clone()
	ids, errs := s.knobs.membership(req.body)
	if !slices.Contains(s.knobs.KeepOld, "segmentIds") {
		next.Segments = ids
	}
	next = fold(next)
	if errs = append(errs, s.strangers(a, next)...); errs != nil {
		refused := *invalid(errs...)
		refused.record = r
		return refused
	}
	s.replace(a, r, next, client)
	return answer{status: http.StatusOK, body: map[string]any{"segmentIds": append([]string{}, r.Segments...)}, record: r}
}

// empty takes all contacts out of a segment that is gone.
func (s *Server) empty(segment *Item, by string) {
	s.changeRecords(segment.Account, by,
		func(r *Record) bool { return slices.Contains(r.Segments, segment.ID) },
		func(r *Record) { r.Segments = without(r.Segments, segment.ID) })
}

func without(ids []string, gone string) []string {
	return slices.DeleteFunc(ids, func(id string) bool { return id == gone })
}

// AddSegment makes a segment as a person in Rankr does, in the Account that it names. What the fake gives it itself (id,
// dates, version) is ignored.
func (s *Server) AddSegment(segment Segment) (Segment, error) { return add(s, s.segments, segment) }

// EditSegment changes a segment as a person in Rankr does: name and description.
func (s *Server) EditSegment(id string, change func(*Segment)) (Segment, error) {
	return edit(s, s.segments, id, change)
}

// RemoveSegment deletes a segment as a person in Rankr does. No record is in it any more.
func (s *Server) RemoveSegment(id string) error { return discard(s, s.segments, id) }

// PutIntoSegment puts a record into a segment as a person in Rankr does.
func (s *Server) PutIntoSegment(record, segment string) (Record, error) {
	return s.Edit(record, func(r *Record) { r.Segments = append(r.Segments, segment) })
}

// TakeOutOfSegment takes a record out of a segment as a person in Rankr does.
func (s *Server) TakeOutOfSegment(record, segment string) (Record, error) {
	return s.Edit(record, func(r *Record) { r.Segments = without(r.Segments, segment) })
}

// Segments returns the segments of all accounts, oldest first.
func (s *Server) Segments() []Segment { return shown(s, s.segments, "") }

// SegmentsOf returns the names of the segments that a record is in, sorted.
func (s *Server) SegmentsOf(record string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := []string{}
	if r := s.records[record]; r != nil {
		for _, id := range r.Segments {
			names = append(names, s.segments.held[id].Name)
		}
	}
	slices.Sort(names)
	return names
}

// SegmentHistory returns the changes of all segments that ever had the name, in letters of any case, oldest first; empty: of
// all. An event's ExternalID is the name in lower case.
func (s *Server) SegmentHistory(name string) []Event { return history(s, s.segments, name) }

// DoubledSegments returns the names, in lower case, that more than one segment of an account had at any instant ever, sorted;
// see [Server.Doubled].
func (s *Server) DoubledSegments() []string { return doubled(s, s.segments) }

// Segments is [Server.Segments].
func (r Remote) Segments(ctx context.Context) ([]Segment, error) {
	return ask[[]Segment](ctx, r, http.MethodGet, "/segments", nil)
}

// AddSegment is [Server.AddSegment].
func (r Remote) AddSegment(ctx context.Context, segment Segment) (Segment, error) {
	return ask[Segment](ctx, r, http.MethodPost, "/segments", segment)
}

// EditSegment is [Server.EditSegment]; a change that comes between its read and its write is lost.
func (r Remote) EditSegment(ctx context.Context, id string, change func(*Segment)) (Segment, error) {
	return remoteEdit(ctx, r, "segments", id, change)
}

// RemoveSegment is [Server.RemoveSegment].
func (r Remote) RemoveSegment(ctx context.Context, id string) error {
	_, err := ask[any](ctx, r, http.MethodDelete, "/segments/"+url.PathEscape(id), nil)
	return err
}

// PutIntoSegment is [Server.PutIntoSegment].
func (r Remote) PutIntoSegment(ctx context.Context, record, segment string) (Record, error) {
	return ask[Record](ctx, r, http.MethodPost, "/records/"+url.PathEscape(record)+"/segments?id="+url.QueryEscape(segment), nil)
}

// TakeOutOfSegment is [Server.TakeOutOfSegment].
func (r Remote) TakeOutOfSegment(ctx context.Context, record, segment string) (Record, error) {
	return ask[Record](ctx, r, http.MethodDelete, "/records/"+url.PathEscape(record)+"/segments?id="+url.QueryEscape(segment), nil)
}

// SegmentHistory is [Server.SegmentHistory].
func (r Remote) SegmentHistory(ctx context.Context, name string) ([]Event, error) {
	return ask[[]Event](ctx, r, http.MethodGet, "/segments/history?externalId="+url.QueryEscape(name), nil)
}

// DoubledSegments is [Server.DoubledSegments].
func (r Remote) DoubledSegments(ctx context.Context) ([]string, error) {
	return ask[[]string](ctx, r, http.MethodGet, "/segments/doubled", nil)
}
