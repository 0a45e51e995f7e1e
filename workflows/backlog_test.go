package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// TestABacklogBehavesLikeItsModel holds the backlog against the obvious one: a map of what is queued and a set of what
// is in flight.
func TestABacklogBehavesLikeItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, now := newBacklog(), start
		queued, flying := map[string]names.Reference{}, map[string]bool{}
		var pages [][]names.Hint
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				reference := names.Reference{Hint: names.Hint{
					Contact: fmt.Sprint("C", rapid.IntRange(0, 9).Draw(t, "contact")),
					At:      at(rapid.IntRange(0, 99).Draw(t, "at")),
				}}
				if wait := rapid.IntRange(0, 5).Draw(t, "wait"); wait > 2 {
					reference.NotBefore = now.Add(time.Duration(wait) * time.Second)
				}
				b.add(reference, now)
				if known, ok := queued[reference.Contact]; ok {
					reference.Hint = known.Merge(reference.Hint)
					if known.NotBefore.After(reference.NotBefore) {
						reference.NotBefore = known.NotBefore
					}
				}
				queued[reference.Contact] = reference
			},
			"take": func(t *rapid.T) {
				size := rapid.IntRange(1, 4).Draw(t, "size")
				ready := 0
				for contact, reference := range queued {
					if !flying[contact] && !reference.NotBefore.After(now) {
						ready++
					}
				}
				page := b.take(now, size)
				assert.Len(t, page, min(size, ready))
				for _, hint := range page {
					assert.False(t, flying[hint.Contact], "in two pages")
					assert.Equal(t, queued[hint.Contact].Hint, hint)
					assert.False(t, queued[hint.Contact].NotBefore.After(now), "too early")
					flying[hint.Contact] = true
					delete(queued, hint.Contact)
				}
				pages = append(pages, page)
			},
			"land": func(t *rapid.T) {
				if len(pages) == 0 {
					t.Skip("none in flight")
				}
				i := rapid.IntRange(0, len(pages)-1).Draw(t, "page")
				b.land(pages[i])
				for _, hint := range pages[i] {
					delete(flying, hint.Contact)
				}
				pages = append(pages[:i], pages[i+1:]...)
			},
			"pass": func(t *rapid.T) { now = now.Add(time.Second) },
			"cut": func(t *rapid.T) {
				if len(flying) > 0 {
					t.Skip("pages are under way")
				}
				keep, size := rapid.IntRange(0, 5).Draw(t, "keep"), rapid.IntRange(1, 3).Draw(t, "size")
				cut := b.cut(keep, size)
				assert.Len(t, cut, max(0, min(size, len(queued)-keep)))
				for _, reference := range cut {
					assert.Equal(t, queued[reference.Contact], reference)
					delete(queued, reference.Contact)
				}
			},
			"": func(t *rapid.T) {
				var earliest time.Time
				found := false
				for contact, reference := range queued {
					if !flying[contact] && (!found || reference.NotBefore.Before(earliest)) {
						earliest, found = reference.NotBefore, true
					}
				}
				next, any := b.next()
				assert.Equal(t, found, any)
				assert.Equal(t, earliest, next)
				assert.Equal(t, len(flying), b.flying)
				assert.Equal(t, len(queued) == 0 && len(flying) == 0, b.empty())
				assert.Len(t, b.references(), len(queued))
				for _, reference := range b.references() {
					assert.Equal(t, queued[reference.Contact], reference)
				}
			},
		})
	})
}

func TestABacklogIsTakenInTheOrderItCame(t *testing.T) {
	b := newBacklog()
	for i := range 5 {
		b.add(names.Reference{Hint: names.Hint{Contact: fmt.Sprint(i)}}, at(i))
	}
	b.add(names.Reference{Hint: names.Hint{Contact: "0"}}, at(9))
	assert.Equal(t, at(0), b.oldest())
	assert.Equal(t, []names.Hint{{Contact: "0"}, {Contact: "1"}}, b.take(start, 2))
	assert.Equal(t, at(2), b.oldest())
	assert.Equal(t, []names.Hint{{Contact: "2"}, {Contact: "3"}, {Contact: "4"}}, b.take(start, 9))
	assert.Zero(t, b.oldest())
}
