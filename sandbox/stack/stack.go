// Package stack starts the programs that make a working rankrsync on one machine: the embedded Temporal server, the
// fake GHL and Rankr, the worker and the starter. The demo, `make run`, the end-to-end tests and the benchmarks all
// use it.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/sandbox/process"
)

// readyTimeout is ample: the server is ready in half a second, the others in less.
const readyTimeout = time.Minute

// Stack is where the programs are and where they work.
type Stack struct {
	Bin string // directory of the binaries, as make builds them
	Dir string // working directory of worker and starter: the store's place, and where a .env would be read from
	Log string // directory of the log files; empty: everything goes to our standard error
}

// Settings are environment variables.
type Settings map[string]string

// With returns the settings with others laid over them.
func (s Settings) With(others Settings) Settings {
	all := maps.Clone(s)
	if all == nil {
		all = Settings{}
	}
	maps.Copy(all, others)
	return all
}

// inherited are the variables of the parent that a program needs whatever its settings are.
var inherited = []string{"PATH", "HOME", "TMPDIR", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "GORACE", "GOCOVERDIR"}

// environment is that of a child: only what it is told, so that a developer's own settings don't leak in.
func (s Settings) environment() []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		env = append(env, name+"="+s[name])
	}
	return env
}

// Temporal is a running embedded server.
type Temporal struct {
	*process.Process
	Address   string `json:"address"`
	Namespace string `json:"namespace"`
	UI        string `json:"ui"` // URL; empty: no UI
}

// Temporal starts the embedded server. Files is the directory of its files (empty: in memory); a port of 0 is a free
// one, and so is a UI port of -1, while 0 means no UI.
func (s Stack) Temporal(ctx context.Context, files string, port, uiPort int) (*Temporal, error) {
	args := []string{"-attached", "-db", files, "-port", strconv.Itoa(port), "-ui-port", strconv.Itoa(uiPort)}
	p, err := s.start("rankrsync-temporal", args, nil)
	if err != nil {
		return nil, err
	}
	t := &Temporal{Process: p}
	return t, orKill(p, p.ReadLine(ctx, t))
}

// Workflow is where the UI shows the newest run of a workflow.
func (t *Temporal) Workflow(id string) string {
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s", t.UI, t.Namespace, url.PathEscape(id))
}

// Fakes is a running pair of fakes and what is needed to use them.
type Fakes struct {
	*process.Process `json:"-"`
	GHL              string `json:"ghl"`          // URL of the fake GHL
	GHLControl       string `json:"ghlControl"`   // URL for ghltest.Remote
	Rankr            string `json:"rankr"`        // URL of the fake Rankr
	RankrControl     string `json:"rankrControl"` // URL for rankrtest.Remote
	Location         string `json:"location"`     // the one GHL location there is
	GHLToken         string `json:"ghlToken"`
	RankrToken       string `json:"rankrToken"`
	WebhookKey       string `json:"webhookKey"` // public key of the webhooks, as GHL_WEBHOOK_KEY wants it
}

// Fakes starts the fake GHL, with some contacts, and an empty fake Rankr.
func (s Stack) Fakes(ctx context.Context, contacts int) (*Fakes, error) {
	p, err := s.start("rankrsync-fakes", []string{"-attached", "-contacts", strconv.Itoa(contacts)}, nil)
	if err != nil {
		return nil, err
	}
	f := &Fakes{Process: p}
	return f, orKill(p, p.ReadLine(ctx, f))
}

// Settings point worker and starter at the fakes.
func (f *Fakes) Settings() Settings {
	return Settings{
		"GHL_BASE_URL": f.GHL, "GHL_TOKEN": f.GHLToken, "GHL_LOCATION_ID": f.Location, "GHL_WEBHOOK_KEY": f.WebhookKey,
		"RANKR_BASE_URL": f.Rankr, "RANKR_TOKEN": f.RankrToken,
	}
}

// Program is a running worker or starter.
type Program struct {
	*process.Process
	Ops  string // URL of /metrics, /healthz and /readyz
	HTTP string // URL of the webhooks; the starter's only
}

// Worker starts a worker and returns once it is ready. An OPS_ADDR in the settings wins over a free one.
func (s Stack) Worker(ctx context.Context, settings Settings) (*Program, error) {
	return s.program(ctx, "worker", nil, settings)
}

// Starter starts `starter serve` and returns once it is ready. Addresses in the settings win over free ones.
func (s Stack) Starter(ctx context.Context, settings Settings) (*Program, error) {
	return s.program(ctx, "starter", []string{"serve"}, settings)
}

func (s Stack) program(ctx context.Context, name string, args []string, settings Settings) (*Program, error) {
	ops, err := freeAddress()
	if err != nil {
		return nil, err
	}
	web, err := freeAddress()
	if err != nil {
		return nil, err
	}
	settings = Settings{"OPS_ADDR": ops, "HTTP_ADDR": web}.With(settings)
	p, err := s.start(name, args, settings)
	if err != nil {
		return nil, err
	}
	program := &Program{Process: p, Ops: "http://" + settings["OPS_ADDR"], HTTP: "http://" + settings["HTTP_ADDR"]}
	return program, orKill(p, program.waitUntilReady(ctx))
}

// waitUntilReady asks /readyz.
func (p *Program) waitUntilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		body, err := get(ctx, p.Ops+"/readyz?verbose")
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return p.ReadLine(ctx, nil) // says how it ended, and why
		case <-ctx.Done():
			return fmt.Errorf("%s did not become ready: %w\n%s", p.Name, err, body)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Metric returns the sum of a metric over all its label sets that hold each of the given pairs, such as
// `outcome="created"`.
func (p *Program) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	text, err := get(ctx, p.Ops+"/metrics")
	if err != nil {
		return 0, err
	}
	var sum float64
lines:
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || !strings.HasPrefix(rest, "{") && !strings.HasPrefix(rest, " ") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue lines
			}
		}
		fields := strings.Fields(rest[strings.LastIndex(rest, "}")+1:])
		if len(fields) == 0 {
			continue
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

// Result is what a program that ran to its end left.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs one of the binaries to its end, as a person would.
func (s Stack) Run(ctx context.Context, settings Settings, name string, args ...string) (Result, error) {
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, s.path(name), args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = settings.environment(), s.Dir, &stdout, &stderr
	err := cmd.Run()
	result := Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil // an exit code is an answer
	}
	return result, err
}

func (s Stack) start(name string, args []string, settings Settings) (*process.Process, error) {
	if _, err := os.Stat(s.path(name)); err != nil {
		return nil, fmt.Errorf("%s is not built: run make build first (%w)", name, err)
	}
	c := process.Command{Name: name, Path: s.path(name), Args: args, Env: settings.environment(), Dir: s.Dir}
	if s.Log != "" {
		c.Log = filepath.Join(s.Log, name+".log")
	}
	return process.Start(c)
}

func (s Stack) path(name string) string { return filepath.Join(s.Bin, name) }

// orKill leaves no process behind a failed start.
func orKill(p *process.Process, err error) error {
	if err != nil {
		p.Kill()
	}
	return err
}

// freeAddress finds a port below those that the kernel gives to outgoing connections: nobody takes it by chance before it
// is used.
func freeAddress() (string, error) {
	var err error
	for range 50 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

// get returns the body, also beside the error of a status other than 200.
func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return string(body), err
}
