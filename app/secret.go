// Secrets: values that nothing shows, given themselves or by a file that is read again while the program runs.

package app

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Secret is a value that no print, log or encoder shows; only Reveal does. It is written as itself, or as file: and the
// full path of the file that it is in.
type Secret struct {
	value *string     // behind a pointer: fmt shows strings of fields that are not exported
	file  *secretFile // nil: the value itself was given
}

// NewSecret hides a value.
func NewSecret(value string) Secret { return Secret{value: &value} }

// Reveal returns the value itself, for the one place that sends it. Of a file it is what the file holds now, or held last
// when it can't be used: ask for it at each use, and keep it no longer.
func (s Secret) Reveal() string {
	switch {
	case s.file != nil:
		return s.file.reveal()
	case s.value != nil:
		return *s.value
	}
	return ""
}

// Decode reads the setting; the file is not looked at yet.
func (s *Secret) Decode(text string) error {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		if !filepath.IsAbs(path) { // not quoted: it could be the secret
			return errors.New("must have a full path behind file:, such as file:/run/secrets/token")
		}
		*s = Secret{file: newSecretFile(path)}
		return nil
	}
	if err := oneWord(text); err != nil {
		return err
	}
	*s = NewSecret(text)
	return nil
}

func oneWord(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("holds a blank or a control character")
	}
	return nil
}

// String shows that there is a secret, or which file it is in, but not the secret.
func (s Secret) String() string {
	switch {
	case s.file != nil:
		return "file:" + s.file.path
	case s.Reveal() == "":
		return ""
	}
	return "********"
}

// Format covers every verb: %#v and %x would otherwise walk into the struct.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue is what a log shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what JSON and its like show.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Secret) list() []string {
	value := s.Reveal()
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

// set tells whether there is a secret, or a file to have one from.
func (s Secret) set() bool { return s.file != nil || s.Reveal() != "" }

// check tells what is wrong with the secret. A file is read.
func (s Secret) check() error {
	if s.file != nil {
		return s.file.check()
	}
	return nil
}

// again lets the next Reveal look into the file whenever the last look was: the secret was refused.
func (s Secret) again() {
	if s.file != nil {
		s.file.again()
	}
}

// secretProblems says what each secret must be like, and finds what is wrong. The worker needs all secrets that are set, so
// it looks into their files; what another program does not use it may not be allowed to read.
func (c *Config) secretProblems(program Program) (problems []string) {
	c.keys = c.SecretKey
	if c.SecretKeyFile != "" {
		c.keys = Secret{file: newSecretFile(string(c.SecretKeyFile))}
		if c.SecretKey.set() {
			problems = append(problems, "SECRET_KEY is set, and so is SECRET_KEY_FILE: keep one of them")
		}
	}
	locations := len(c.GHLLocations)
	for _, secret := range c.secrets() {
		accept := func(_, next string) error { return oneWord(next) }
		switch secret.name {
		case "GHL_TOKEN":
			accept = func(_, next string) error { return cmp.Or(oneWord(next), oneEach(next, locations)) }
		case "STORE_URL":
			accept = func(_, next string) error { return storeURL(next) }
		case "SECRET_KEY", "SECRET_KEY_FILE":
			accept = acceptKeys
		}
		if file := secret.file; file != nil {
			file.name, file.accept = secret.name, accept
		}
		var err error
		switch {
		case secret.file == nil:
			err = accept("", secret.Reveal())
		case program == Worker:
			err = secret.check()
		}
		if err != nil {
			problems = append(problems, secret.name+" "+err.Error())
		}
	}
	return problems
}

// oneEach tells whether the tokens are one for all locations or one for each.
func oneEach(tokens string, locations int) error {
	all := strings.Split(tokens, ",")
	switch {
	case slices.Contains(all, ""):
		return errors.New("holds an empty token")
	case len(all) > 1 && len(all) != locations:
		return fmt.Errorf("holds %d tokens for %d locations: put there one for all, or one each", len(all), locations)
	}
	return nil
}

type namedSecret struct {
	name string
	Secret
}

// secrets are the secret settings that are set, and those of the accounts in sync.yaml.
func (c Config) secrets() (all []namedSecret) {
	value := reflect.ValueOf(c)
	for _, field := range fields() {
		switch secret := value.FieldByIndex(field.Index).Interface().(type) {
		case Secret:
			all = append(all, namedSecret{field.Tag.Get("envconfig"), secret})
		case StoreURL:
			all = append(all, namedSecret{field.Tag.Get("envconfig"), secret.Secret})
		}
	}
	if c.SecretKeyFile != "" {
		all = append(all, namedSecret{"SECRET_KEY_FILE", c.keys})
	}
	for _, account := range c.accounts {
		all = append(all, namedSecret{account.name + ": token", account.token}, namedSecret{account.name + ": clientSecret", account.clientSecret})
	}
	return slices.DeleteFunc(all, func(secret namedSecret) bool { return !secret.set() })
}

// LogSecrets lets log hear when a secret's file changes, or can't be used.
func (c Config) LogSecrets(log *slog.Logger) {
	for _, secret := range c.secrets() {
		if file := secret.file; file != nil {
			file.mu.Lock()
			file.log = log
			file.mu.Unlock()
		}
	}
}

// secretFile is a file that holds one secret. Who keeps secrets replaces such files while programs run: Vault's agent and
// people rename a new file over the old one, Kubernetes turns a symbolic link. So the file is read again by its path, and
// not only when its time of change says so, which copies may carry over and fast changes may not move.
type secretFile struct {
	path string

	mu     sync.Mutex
	name   string // of the setting
	accept func(before, next string) error
	log    *slog.Logger
	value  *string // the last good one; empty: none yet
	looked time.Time
	failed bool // and it was said
}

const (
	// lookAgain is how long the value is taken for what the file holds.
	lookAgain = time.Second
	// maxSecret is more than any token or list of them has.
	maxSecret = 64 << 10
)

func newSecretFile(path string) *secretFile {
	return &secretFile{
		path:   filepath.Clean(path),
		value:  new(string),
		accept: func(_, next string) error { return oneWord(next) },
		log:    slog.New(slog.DiscardHandler),
	}
}

func (f *secretFile) reveal() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) >= lookAgain {
		f.look()
	}
	return *f.value
}

// check looks at once. With a good value from before nothing is wrong.
func (f *secretFile) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(); err != nil && *f.value == "" {
		return fmt.Errorf("names the file %s, which %w", f.path, err)
	}
	return nil
}

func (f *secretFile) again() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = time.Time{}
}

// look takes over what the file holds, if it can be used. It is said once when it can't, once when it can again, and
// whenever it is another value.
func (f *secretFile) look() error {
	f.looked = time.Now()
	value, err := f.read()
	if err == nil {
		err = f.accept(*f.value, value)
	}
	switch {
	case err != nil && *f.value == "": // who needs it from the start says so
	case err != nil && !f.failed:
		f.failed = true
		f.log.Warn("the secret's file can't be used; the last good value stays in use", "setting", f.name, "file", f.path, "reason", err.Error())
	case err == nil:
		if *f.value != "" && *f.value != value {
			f.log.Info("the secret was replaced", "setting", f.name, "file", f.path)
		} else if f.failed {
			f.log.Info("the secret's file can be used again", "setting", f.name, "file", f.path)
		}
		*f.value, f.failed = value, false
	}
	return err
}

// read returns what the file holds. Its errors say nothing of it.
func (f *secretFile) read() (string, error) {
	info, err := os.Stat(f.path) // before it is opened: opening a pipe would wait for a writer
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("is not there")
	case err != nil:
		return "", errors.New("can't be read")
	case !info.Mode().IsRegular():
		return "", errors.New("is no file")
	}
	file, err := os.Open(f.path)
	if err != nil {
		return "", errors.New("can't be read")
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	switch {
	case err != nil:
		return "", errors.New("can't be read")
	case len(text) > maxSecret:
		return "", errors.New("is too large")
	}
	value := strings.TrimRight(string(text), "\r\n")
	if value == "" {
		return "", errors.New("is empty")
	}
	return value, nil
}
