package connect

import (
	"html"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/rankrsync/rankrsync/crm"
)

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
