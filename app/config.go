// Package app is the assembly: it reads the settings and wires everything else together. It is the only package that
// knows all the others.
package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/joho/godotenv"
	"github.com/kelseyhightower/envconfig"

	"github.com/rankrsync/rankrsync/crm/rules"
)

//go:generate go test -run TestTheConfigurationPageIsFresh -update .

// The settings are one struct, read once at start and checked as a whole, so that whoever sets rankrsync up learns of
// everything that is missing or wrong in one message.

// Program is who reads the settings: it decides which of them are required, and where /metrics is by default.
type Program string

// The programs.
const (
	Worker  Program = "worker"  // runs workflows and activities
	Serve   Program = "serve"   // receives webhooks
	Command Program = "command" // a person's single command
)

// Config is every setting. The tag required names the programs that can't do without, except where the setting that unless
// names is another way; shown is the default as the documentation tells it, where it is not one value. Temporal's own
// settings (TEMPORAL_*) are read by its SDK.
type Config struct {
	GHLBaseURL    BaseURL     `envconfig:"GHL_BASE_URL" default:"https://services.leadconnectorhq.com" desc:"where GoHighLevel's API is"`
	GHLToken      Secret      `envconfig:"GHL_TOKEN" required:"worker" unless:"GHL_CLIENT_ID" desc:"a private integration token with the scopes contacts.readonly, locations.readonly and locations/customFields.readonly, for the poll of tasks locations/tasks.readonly, for businesses businesses.readonly, and contacts.write for tag workflows (GHL: Settings, Private Integrations); for several locations one token that serves all, or one each, separated by commas in the order of GHL_LOCATION_ID"`
	GHLLocations  Locations   `envconfig:"GHL_LOCATION_ID" required:"worker,serve" unless:"GHL_CLIENT_ID" desc:"the id of the location to keep in step (GHL: Settings, Business Profile); several are separated by commas; the poll of one that is taken out pauses until it comes back"`
	GHLAPIVersion APIVersion  `envconfig:"GHL_API_VERSION" desc:"the version of GHL's API to speak in all calls, such as 2021-07-28; empty: what each call was written for"`
	GHLWebhookKey WebhookKeys `envconfig:"GHL_WEBHOOK_KEY" default:"MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg=" desc:"the Ed25519 public keys GHL signs webhooks with, each in base64 (SPKI), separated by commas; the default is the one GHL publishes"`
	GHLAppID      string      `envconfig:"GHL_APP_ID" desc:"the id of the marketplace app whose webhooks are accepted; empty: those of any app"`

	GHLClientID     string  `envconfig:"GHL_CLIENT_ID" desc:"the client id of a marketplace app: locations and agencies then connect by a link, see starter connect; GHL_TOKEN and GHL_LOCATION_ID may stand beside it"`
	GHLClientSecret Secret  `envconfig:"GHL_CLIENT_SECRET" desc:"that app's client secret"`
	GHLRedirectURL  BaseURL `envconfig:"GHL_REDIRECT_URL" desc:"that app's redirect URL: https://<your host>/oauth/callback, which leads to HTTP_ADDR"`
	GHLConsentURL   BaseURL `envconfig:"GHL_CONSENT_URL" default:"https://marketplace.gohighlevel.com/v2/oauth/chooselocation" desc:"where people give their consent; white-label agencies have a host of their own"`
	GHLVersionID    string  `envconfig:"GHL_VERSION_ID" desc:"the version id in the app's install link, which private apps need"`

	GHLRate Rate `envconfig:"GHL_RATE" default:"100/10s" desc:"GHL's limit of calls per location; 0 for none"`

	RankrBaseURL      BaseURL  `envconfig:"RANKR_BASE_URL" required:"worker" desc:"where Rankr's API is, such as https://api.rankr.example"`
	RankrToken        Secret   `envconfig:"RANKR_TOKEN" required:"worker" unless:"RANKR_CLIENT_ID" desc:"Rankr's API token; in its place RANKR_CLIENT_ID, RANKR_CLIENT_SECRET and RANKR_TOKEN_URL, or accounts in sync.yaml for all locations"`
	RankrClientID     string   `envconfig:"RANKR_CLIENT_ID" desc:"the id of an OAuth 2.0 client of Rankr's that gets its tokens itself (client credentials)"`
	RankrClientSecret Secret   `envconfig:"RANKR_CLIENT_SECRET" desc:"that client's secret"`
	RankrTokenURL     TokenURL `envconfig:"RANKR_TOKEN_URL" desc:"where that client gets its tokens, such as https://api.rankr.example/oauth/token"`
	RankrRate         Rate     `envconfig:"RANKR_RATE" default:"100/10s" desc:"Rankr's limit of calls per account; 0 for none"`

	StoreURL StoreURL `envconfig:"STORE_URL" default:"sqlite:rankrsync.db" desc:"where links and problems are kept, for worker and starter alike: sqlite: and a file's path, or where several machines share them postgres://user:password@host/database (an empty database that the user owns; sslmode=verify-full and the like as PostgreSQL's own clients have them); or file: and the full path of a file that says it"`

	SecretKey     Secret  `envconfig:"SECRET_KEY" desc:"the key that seals tokens in the store: 32 random bytes in base64, as openssl rand -base64 32 prints them; several are separated by commas, of which the first one seals and all of them open; keep a copy, for without it the tokens are lost"`
	SecretKeyFile KeyFile `envconfig:"SECRET_KEY_FILE" desc:"in place of SECRET_KEY the full path of a file with the keys, one a line"`

	SyncFile string `envconfig:"SYNC_FILE" shown:"sync.yaml, if it is there" desc:"the file with the rules for segments, tags, follow-ups and businesses, and with Rankr accounts of single locations: docs/sync-yaml.md"`

	OnDelete     OnDelete     `envconfig:"ON_DELETE" default:"delete" desc:"what becomes of a record we created in Rankr when its contact is deleted in GHL: delete or keep"`
	PollInterval PollInterval `envconfig:"POLL_INTERVAL" default:"5m" desc:"how often each location is searched for changes no webhook told of: from 1m to 15m, or 0 for never"`
	PollSince    PollSince    `envconfig:"POLL_SINCE" default:"now" desc:"where a location's first poll starts: now, all, or a time such as 2026-01-31T00:00:00Z"`
	Backfill     Backfill     `envconfig:"BACKFILL" default:"offer" desc:"what becomes of the contacts that a location has when it is connected by a link: start loads them at once, with offer starter backfill does when somebody says so"`
	QuietPeriod  Pause        `envconfig:"QUIET_PERIOD" default:"2s" desc:"how long a contact that was just brought into step rests, so that a burst of edits becomes one round: up to 1m"`

	HTTPAddr Address `envconfig:"HTTP_ADDR" default:"127.0.0.1:8088" desc:"where starter serve listens for webhooks"`
	OpsAddr  Address `envconfig:"OPS_ADDR" shown:"127.0.0.1:9090 for the starter, 127.0.0.1:9091 for the worker" desc:"where /metrics, /healthz and /readyz are; keep it private"`

	LogLevel        LogLevel  `envconfig:"LOG_LEVEL" default:"info" desc:"debug, info, warn or error"`
	LogFormat       LogFormat `envconfig:"LOG_FORMAT" default:"auto" desc:"text, json, or auto: text on a terminal, JSON elsewhere"`
	MetricsLocation Switch    `envconfig:"METRICS_LOCATION" default:"true" desc:"whether the metrics of changes carry the location as a label: true or false"`

	origins  map[string]string // of each variable: where its value came from
	keys     Secret            // of SECRET_KEY or SECRET_KEY_FILE
	rules    *rules.Rules      // of sync.yaml; nil where no worker reads it
	accounts []rankrAccess     // of the rules, in their order
}

// opsAddr is where the ops server of a program is unless OPS_ADDR says otherwise.
var opsAddr = map[Program]Address{Worker: "127.0.0.1:9091", Serve: "127.0.0.1:9090", Command: "127.0.0.1:9090"}

// SettingsError lists everything that is missing or wrong; the program ends with exit code 2.
type SettingsError struct{ Problems []string }

func (e *SettingsError) Error() string {
	return "the settings can't be used:\n  " + strings.Join(e.Problems, "\n  ")
}

// The places a value can come from.
const (
	fromFlag        = "flag"
	fromProfile     = "profile" // of Temporal's configuration file
	fromEnvironment = "environment"
	fromFile        = ".env"
	fromDefault     = "default"
	fromNowhere     = "not set"
)

// Load reads the settings for a program. The environment wins over the file .env in the working directory. Its
// error is a *SettingsError.
func Load(program Program) (Config, error) {
	inFile, err := loadFile(".env")
	if err != nil {
		return Config{}, &SettingsError{[]string{err.Error()}}
	}
	config := Config{origins: map[string]string{}}
	for name := range inFile { // Temporal's own settings, too
		config.origins[name] = fromFile
	}
	var problems []string
	value := reflect.ValueOf(&config).Elem()
	for _, setting := range fields() {
		name := setting.Tag.Get("envconfig")
		config.origins[name] = origin(setting, inFile)
		if err := read(setting, value); err != nil {
			problems = append(problems, fmt.Sprintf("%s %s: %s", name, err, setting.Tag.Get("desc")))
		}
		required := slices.Contains(strings.Split(setting.Tag.Get("required"), ","), string(program))
		if required && setting.Tag.Get("unless") == "" && config.origins[name] == fromNowhere {
			problems = append(problems, fmt.Sprintf("%s is not set: put there %s", name, setting.Tag.Get("desc")))
		}
	}
	if config.OpsAddr == "" {
		config.OpsAddr = opsAddr[program]
	}
	if program == Worker {
		problems = append(problems, config.loadRules()...)
	}
	problems = append(problems, config.ghlProblems(program)...)
	problems = append(problems, config.rankrProblems(program)...)
	problems = append(problems, config.secretProblems(program)...)
	if problems != nil {
		return Config{}, &SettingsError{problems}
	}
	return config, nil
}

// ghlProblems holds the ways to be let into GHL apart: tokens of locations, an app that they are connected by, or both.
func (c Config) ghlProblems(program Program) (problems []string) {
	set := func(name string) bool { return c.origins[name] != fromNowhere }
	missing := func(name, why string) {
		if !set(name) {
			problems = append(problems, name+" is not set: "+why)
		}
	}
	if !set("GHL_CLIENT_ID") {
		for _, setting := range fields() {
			name := setting.Tag.Get("envconfig")
			needed := slices.Contains(strings.Split(setting.Tag.Get("required"), ","), string(program))
			if needed && setting.Tag.Get("unless") == "GHL_CLIENT_ID" {
				missing(name, "put there "+setting.Tag.Get("desc"))
			}
		}
		return problems
	}
	if program == Command {
		return nil
	}
	missing("GHL_CLIENT_SECRET", "it goes with GHL_CLIENT_ID")
	missing("GHL_REDIRECT_URL", "it goes with GHL_CLIENT_ID")
	if !set("SECRET_KEY") && !set("SECRET_KEY_FILE") {
		problems = append(problems, "SECRET_KEY is not set: with GHL_CLIENT_ID tokens are kept, and must be sealed; put there what openssl rand -base64 32 prints")
	}
	if set("GHL_TOKEN") != set("GHL_LOCATION_ID") && program == Worker {
		missing("GHL_TOKEN", "it goes with GHL_LOCATION_ID")
		missing("GHL_LOCATION_ID", "it goes with GHL_TOKEN")
	}
	return problems
}

// Token returns the GHL token of a location as it is now; false: the location is not ours.
func (c Config) Token(location string) (Secret, bool) {
	i := slices.Index(c.GHLLocations, location)
	tokens := c.GHLToken.list()
	switch {
	case i < 0 || len(tokens) == 0:
		return Secret{}, false
	case len(tokens) == 1:
		return NewSecret(tokens[0]), true
	}
	return NewSecret(tokens[i]), true // as many as locations: nothing else is accepted
}

// fields are the struct's settings in their order.
func fields() []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(reflect.TypeFor[Config]()), func(f reflect.StructField) bool {
		return f.Tag.Get("envconfig") == ""
	})
}

// read lets envconfig read one setting. It would stop at the first that is wrong, so each is handed to it in a
// struct of its own. Of its error only the cause is kept: the rest quotes the value, which may be a secret.
func read(setting reflect.StructField, config reflect.Value) error {
	alone := reflect.New(reflect.StructOf([]reflect.StructField{{Name: setting.Name, Type: setting.Type, Tag: setting.Tag}}))
	err := envconfig.Process("", alone.Interface())
	var wrong *envconfig.ParseError
	if errors.As(err, &wrong) {
		return wrong.Err
	}
	config.FieldByIndex(setting.Index).Set(alone.Elem().Field(0))
	return err
}

// loadFile adds what only the file has to the environment, so that Temporal's SDK sees it too, and returns the
// names. A variable that is set to nothing counts as not set: compose files pass what they don't have as "".
func loadFile(path string) (map[string]bool, error) {
	values, err := godotenv.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s can't be read: every line must be NAME=value or a comment", path)
	}
	added := map[string]bool{}
	for name, value := range values {
		if os.Getenv(name) != "" || value == "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("%s can't be used: a variable's name or value holds a forbidden character", path)
		}
		added[name] = true
	}
	return added, nil
}

// origin tells where a setting's value will come from, and takes an empty variable away so that the default counts.
func origin(setting reflect.StructField, inFile map[string]bool) string {
	name := setting.Tag.Get("envconfig")
	switch {
	case inFile[name]:
		return fromFile
	case os.Getenv(name) != "":
		return fromEnvironment
	}
	_ = os.Unsetenv(name) // fails only for a name with "=" or NUL in it
	if setting.Tag.Get("default") == "" && setting.Tag.Get("shown") == "" {
		return fromNowhere
	}
	return fromDefault
}

// Setting is one effective setting as people may see it.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`  // masked where it is a secret
	Origin string `json:"origin"` // flag, environment, .env, profile, default or "not set"
}

// Settings returns the effective settings in the struct's order.
func (c Config) Settings() []Setting {
	value := reflect.ValueOf(c)
	var settings []Setting
	for _, field := range fields() {
		name := field.Tag.Get("envconfig")
		settings = append(settings, Setting{name, fmt.Sprint(value.FieldByIndex(field.Index).Interface()), c.origins[name]})
	}
	return settings
}

// Description is what there is to know of a setting before it is set.
type Description struct {
	Name, Default, Text string
	Required            string // by which programs
	Unless              string // the setting that is another way
}

// Describe returns every setting in the struct's order.
func Describe() []Description {
	var all []Description
	for _, field := range fields() {
		all = append(all, Description{
			Name:     field.Tag.Get("envconfig"),
			Default:  cmp.Or(field.Tag.Get("default"), field.Tag.Get("shown")),
			Required: strings.ReplaceAll(field.Tag.Get("required"), ",", ", "),
			Unless:   field.Tag.Get("unless"),
			Text:     field.Tag.Get("desc"),
		})
	}
	return all
}

// Page is docs/configuration.md.
func Page() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Written by go generate ./app from the struct Config: change it there. -->

Every setting is an environment variable. A file named .env in the working directory is read too; what the environment has wins
over it, and a command's flag wins over both. A variable that is set to nothing counts as not set. What is missing or wrong is
listed in one message, and the program ends with exit code 2 before anything starts. ` + "`starter config`" + ` prints what is
in force and where it comes from.

| variable | default | required by | what it is |
|---|---|---|---|
`)
	for _, d := range Describe() {
		if d.Unless != "" {
			d.Required += ", unless `" + d.Unless + "` is set"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Default, d.Required, d.Text)
	}
	b.WriteString(`
A secret (` + "`GHL_TOKEN`, `GHL_CLIENT_SECRET`, `RANKR_TOKEN`, `RANKR_CLIENT_SECRET`, `SECRET_KEY`, `STORE_URL`" + `) may stand in a file: ` + "`RANKR_TOKEN=file:/run/secrets/rankr`" + `, with
the file's full path. The worker looks into the file again while it runs, so a secret can be replaced without a restart; the
[runbook](runbook.md) says how. ` + "`starter config`" + ` shows the path, never the secret.

Temporal's settings are Temporal's own: ` + "`TEMPORAL_ADDRESS`" + ` (default localhost:7233), ` + "`TEMPORAL_NAMESPACE`" + `
(default default), ` + "`TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, `TEMPORAL_PROFILE` and `TEMPORAL_CONFIG_FILE`" + `, as its
[documentation](https://docs.temporal.io/develop/environment-configuration) describes them. The starter's flags
` + "`--address`, `--namespace` and `--profile`" + ` win over them.
`)
	return b.String()
}

// Duration of a setting, for those who need it as one.
func (p PollInterval) Duration() time.Duration { return time.Duration(p) }

// Duration of a setting, for those who need it as one.
func (p Pause) Duration() time.Duration { return time.Duration(p) }
