package connect

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// page is what a person is shown, and how the request ended.
type page struct {
	status int
	result string        // see Options.Observe
	wait   time.Duration // before it makes sense to come again; 0: not told

	Title     string
	Words     []string
	Failure   *failure
	Locations []line
	Again     bool // with the link to begin anew
}

// failure names the code, for people to search for or to report. The names in Fields are settings', never values.
type failure struct {
	Code    crm.Code
	Fields  string
	TraceID string
}

// line is one location.
type line struct{ Name, ID, Trouble string }

// comeAgain is what clients are told to wait when somebody is away.
const comeAgain = 10 * time.Second

// reply writes the page. It is rendered before the status goes out, and nothing of it may be kept, framed or told to others.
func reply(w http.ResponseWriter, p page) {
	var text bytes.Buffer
	if err := layout.Execute(&text, p); err != nil { // the layout and the pages are ours: a test shows each
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	guard(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(text.Len()))
	if p.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.wait.Seconds())))
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(text.Bytes()) // the browser may be gone
}

// guard sets the headers of every answer. The address of the callback holds a code: nobody may keep it or hear of it.
func guard(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// policy allows the style below and nothing else.
var policy = "default-src 'none'; style-src 'sha256-" + hash(style) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const style = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 38rem; margin: 0 auto; padding: 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
li { margin: 0.5rem 0; }
code { font-size: 0.875rem; }
`

var layout = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{.Title}}</title>
<style>` + style + `</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{range .Words}}<p>{{.}}</p>
{{end}}{{with .Locations}}<ul>
{{range .}}<li>{{with .Name}}<strong>{{.}}</strong> {{end}}<code>{{.ID}}</code>{{with .Trouble}}<br>{{.}}{{end}}</li>
{{end}}</ul>
{{end}}{{with .Failure}}<p><code>{{.Code}}{{with .Fields}} [{{.}}]{{end}}{{with .TraceID}} traceId {{.}}{{end}}</code></p>
{{end}}{{if .Again}}<p><a href="install">Open the link again</a></p>
{{end}}</main>
</body>
</html>
`))

// sentence writes words of the catalogue as a sentence.
func sentence(words string) string {
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:] + "."
}
