package connect

import (
	"html"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/crm"
)

func TestAFloodOfLinksCostsBoundedMemoryAndTheOldestStates(t *testing.T) {
	s, now := states{max: 100}, time.Now()
	first, browser := s.open("", now)
	last, lastBrowser := "", ""
	for range 100 {
		last, lastBrowser = s.open("", now)
	}
	assert.Len(t, s.queue, 100)
	assert.Len(t, s.known, 100)
	assert.Equal(t, unknown, s.use(first, browser, now))
	assert.Equal(t, good, s.use(last, lastBrowser, now))
	assert.Equal(t, used, s.use(last, lastBrowser, now))
	s.open("", now.Add(life))
	assert.Len(t, s.known, 1, "what is too old is forgotten")
}

func TestEveryCodeOfTheCatalogueHasAPageThatSaysWhatToDo(t *testing.T) {
	for code, entry := range crm.Catalogue {
		p := explain(&crm.Error{Code: code})
		recorder := httptest.NewRecorder()
		reply(recorder, p)
		text := html.UnescapeString(recorder.Body.String())
		assert.GreaterOrEqual(t, recorder.Code, 400, code)
		assert.Contains(t, text, sentence(entry.Sentence))
		assert.Contains(t, text, string(code))
		assert.Contains(t, strings.ToLower(text), "open the link again.</p>")
		assert.NotContains(t, text, "it is tried again", "here nobody does that")
		assert.NotContains(t, p.result, "connected")
	}
}
