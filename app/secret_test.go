package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/clients/rankr"
	"github.com/rankrsync/rankrsync/clients/rankr/rankrtest"
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// written writes a file of a secret and returns its path.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// replace puts a new file in the place of the old one at once, as Vault's agent does.
func replace(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// becomes waits until the secret is seen by whoever just uses it.
func becomes(t *testing.T, want string, reveal func() string) {
	t.Helper()
	require.Eventually(t, func() bool { return reveal() == want }, 10*time.Second, 10*time.Millisecond)
}

// loaded loads the settings of a worker with these changes.
func loaded(t *testing.T, changes map[string]string) (Config, error) {
	t.Helper()
	variables := enough()
	for name, value := range changes {
		variables[name] = value
	}
	environment(t, variables)
	return Load(Worker)
}

// buffer is a log that is written and read at once.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestASecretIsReadFromItsFileAndAgainWhenTheFileChanges(t *testing.T) {
	path := written(t, "first\n")
	config, err := loaded(t, map[string]string{"RANKR_TOKEN": "file:" + path})
	require.NoError(t, err)
	reveal := config.RankrToken.Reveal
	assert.Equal(t, "first", reveal(), "without the line's end")

	replace(t, path, "second\r\n")
	becomes(t, "second", reveal)
	require.NoError(t, os.WriteFile(path, []byte("third"), 0o600), "written in its place")
	becomes(t, "third", reveal)

	// A copy may carry the time of the old file over.
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("fifth"), 0o600))
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	becomes(t, "fifth", reveal)
}

func TestASecretFollowsTheLinksOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	version := func(name, token string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "token"), []byte(token), 0o400))
		require.NoError(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..2026_01", "first")
	require.NoError(t, os.Symlink("..data/token", filepath.Join(dir, "token")))
	config, err := loaded(t, map[string]string{"GHL_TOKEN": "file:" + filepath.Join(dir, "token")})
	require.NoError(t, err)
	reveal := func() string { token, _ := config.Token("L1"); return token.Reveal() }
	assert.Equal(t, "first", reveal())
	version("..2026_02", "second")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..2026_01")))
	becomes(t, "second", reveal)
}

func TestAFileThatCannotBeUsedKeepsTheLastGoodSecretAndIsToldOnce(t *testing.T) {
	path := written(t, "canary-1")
	config, err := loaded(t, map[string]string{"GHL_TOKEN": "file:" + path, "GHL_LOCATION_ID": "L1,L2"})
	require.NoError(t, err)
	log := &buffer{}
	config.LogSecrets(slog.New(slog.NewTextHandler(log, nil)))
	look := func() string { // as a second later
		config.GHLToken.again()
		return config.GHLToken.Reveal()
	}
	for reason, spoil := range map[string]func(){
		"is not there":                     func() {},
		"is empty":                         func() { replace(t, path, "\n") },
		"holds a blank":                    func() { replace(t, path, "canary 2") },
		"holds 3 tokens for 2 locations":   func() { replace(t, path, "canary-2,canary-3,canary-4") },
		"holds an empty token":             func() { replace(t, path, "canary-2,") },
		"is too large":                     func() { replace(t, path, strings.Repeat("canary", maxSecret)) },
		"is no file":                       func() { require.NoError(t, os.Mkdir(path, 0o700)) },
		"is no file: a pipe nobody writes": func() { require.NoError(t, syscall.Mkfifo(path, 0o600)) },
	} {
		require.NoError(t, os.RemoveAll(path))
		spoil()
		for range 3 {
			assert.Equal(t, "canary-1", look(), reason)
		}
		said := log.String()
		assert.Equal(t, 1, strings.Count(said, "the last good value stays in use"), said)
		reason, _, _ = strings.Cut(reason, ":")
		assert.Contains(t, said, reason)
		assert.Contains(t, said, "setting=GHL_TOKEN")
		assert.Contains(t, said, path)

		require.NoError(t, os.RemoveAll(path))
		replace(t, path, "canary-1")
		assert.Equal(t, "canary-1", look())
		assert.Contains(t, log.String(), "can be used again")
		assert.NotContains(t, log.String(), "canary")
		log.text.Reset()
	}
	replace(t, path, "canary-5,canary-6")
	look()
	for location, want := range map[string]string{"L1": "canary-5", "L2": "canary-6"} {
		token, _ := config.Token(location)
		assert.Equal(t, want, token.Reveal())
	}
	assert.Contains(t, log.String(), "the secret was replaced")
	assert.NotContains(t, log.String(), "canary")
}

func TestAFileIsReadOnceASecondHoweverOftenItIsUsed(t *testing.T) {
	path := written(t, "first")
	config, err := loaded(t, map[string]string{"RANKR_TOKEN": "file:" + path})
	require.NoError(t, err)
	file := config.RankrToken.file
	file.looked = time.Now().Add(time.Hour) // the next look is far
	replace(t, path, "second")
	assert.Equal(t, "first", config.RankrToken.Reveal())
	file.looked = time.Now().Add(-lookAgain)
	assert.Equal(t, "second", config.RankrToken.Reveal())
}

func TestWhatIsWrongWithASecretsFileIsToldAtTheStart(t *testing.T) {
	dir := t.TempDir()
	for value, want := range map[string]string{
		"file:secret":                               "RANKR_TOKEN must have a full path behind file:",
		"file:canary-token":                         "RANKR_TOKEN must have a full path behind file:",
		"file:":                                     "RANKR_TOKEN must have a full path behind file:",
		"file:" + dir + "/none":                     "RANKR_TOKEN names the file " + dir + "/none, which is not there",
		"file:" + dir:                               "RANKR_TOKEN names the file " + dir + ", which is no file",
		"file:" + written(t, ""):                    "which is empty",
		"file:" + written(t, "canary token"):        "which holds a blank or a control character",
		"file:" + written(t, "canary\ncanary"):      "which holds a blank or a control character",
		"file:" + written(t, "canary\x00"):          "which holds a blank or a control character",
		"file://" + dir + "/x,file:/canary-no-list": "which is not there",
	} {
		_, err := loaded(t, map[string]string{"RANKR_TOKEN": value})
		var settings *SettingsError
		require.ErrorAs(t, err, &settings, value)
		assert.Len(t, settings.Problems, 1, value)
		assert.Contains(t, err.Error(), want)
		assert.NotContains(t, strings.ReplaceAll(err.Error(), "canary-no-list", ""), "canary")
	}
}

func TestOnlyTheWorkerMustBeAbleToReadTheFiles(t *testing.T) {
	environment(t, map[string]string{
		"GHL_LOCATION_ID": "L1", "GHL_TOKEN": "file:/nowhere/ghl", "RANKR_TOKEN": "file:/nowhere/rankr", "SECRET_KEY_FILE": "/nowhere/keys",
	})
	for _, program := range []Program{Serve, Command} {
		config, err := Load(program)
		require.NoError(t, err)
		assert.Empty(t, config.GHLToken.Reveal())
	}
	_, err := Load(Worker)
	require.ErrorContains(t, err, "GHL_TOKEN names the file /nowhere/ghl, which is not there")
	require.ErrorContains(t, err, "RANKR_TOKEN names the file /nowhere/rankr, which is not there")
	require.ErrorContains(t, err, "SECRET_KEY_FILE names the file /nowhere/keys, which is not there")
}

// TestNothingShowsASecret plants secrets in every place there is and looks at everything that shows settings.
func TestNothingShowsASecret(t *testing.T) {
	seal := base64.StdEncoding.EncodeToString([]byte("canary-of-thirty-two-bytes-long!"))
	path := written(t, "canary-file")
	config, err := loaded(t, map[string]string{
		"GHL_TOKEN": "file:" + path, "RANKR_TOKEN": "", "SECRET_KEY": seal,
		"RANKR_CLIENT_ID": "me", "RANKR_CLIENT_SECRET": "canary-secret", "RANKR_TOKEN_URL": "https://rankr.example/token",
	})
	require.NoError(t, err)
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb, config)
		fmt.Fprintf(&shown, verb, []any{config.GHLToken, &config.RankrClientSecret, config.SecretKey})
	}
	slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "token", config.GHLToken, "config", config)
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "token", config.GHLToken, "config", config)
	require.NoError(t, json.NewEncoder(&shown).Encode(config))
	require.NoError(t, json.NewEncoder(&shown).Encode(config.Settings()))
	sealer, err := config.Sealer()
	require.NoError(t, err)
	ghl, err := config.ghlTokens()("L1")
	require.NoError(t, err)
	rankr, err := config.rankrTokens()(rankr.SharedAccount)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb, []any{sealer, config.secrets(), ghl})
		fmt.Fprintf(&shown, verb, sealer)
		fmt.Fprintf(&shown, verb, rankr)
	}
	for _, secret := range []string{"canary", fmt.Sprintf("%x", "canary"), seal, "Y2FuYXJ5"} {
		before, _, leaks := strings.Cut(shown.String(), secret)
		assert.False(t, leaks, "%s stands after %s", secret, before[max(0, len(before)-200):])
	}
	for _, setting := range config.Settings() {
		if setting.Name == "GHL_TOKEN" {
			assert.Equal(t, "file:"+path, setting.Value)
		}
	}
}

func TestRankrIsReachedWithATokenOrAsAnOAuthClient(t *testing.T) {
	const all = "RANKR_TOKEN is not set: put there Rankr's API token, or set RANKR_CLIENT_ID, RANKR_CLIENT_SECRET and RANKR_TOKEN_URL"
	id, secret, url := "RANKR_CLIENT_ID", "RANKR_CLIENT_SECRET", "RANKR_TOKEN_URL"
	values := map[string]string{"RANKR_TOKEN": "t", id: "me", secret: "hush", url: "https://rankr.example/oauth/token"}
	for _, test := range []struct {
		set  []string
		want []string
	}{
		{[]string{"RANKR_TOKEN"}, nil},
		{[]string{id, secret, url}, nil},
		{nil, []string{all}},
		{[]string{id}, []string{"RANKR_CLIENT_SECRET is not set: it goes with RANKR_CLIENT_ID", "RANKR_TOKEN_URL is not set: it goes with RANKR_CLIENT_ID"}},
		{[]string{secret, url}, []string{"RANKR_CLIENT_ID is not set: it goes with RANKR_CLIENT_SECRET and RANKR_TOKEN_URL"}},
		{[]string{"RANKR_TOKEN", url}, []string{"RANKR_TOKEN is set, and so is RANKR_TOKEN_URL: keep the token, or the client's id, secret and URL"}},
		{[]string{"RANKR_TOKEN", id, secret, url}, []string{"RANKR_TOKEN is set, and so is RANKR_CLIENT_ID, RANKR_CLIENT_SECRET, RANKR_TOKEN_URL: keep the token, or the client's id, secret and URL"}},
	} {
		changes := map[string]string{"RANKR_TOKEN": ""}
		for _, name := range test.set {
			changes[name] = values[name]
		}
		_, err := loaded(t, changes)
		if test.want == nil {
			require.NoError(t, err)
			continue
		}
		var settings *SettingsError
		require.ErrorAs(t, err, &settings)
		assert.Equal(t, test.want, settings.Problems)
	}
}

func TestATokenIsReplacedUnderARunningProgram(t *testing.T) {
	vendor := &struct {
		sync.Mutex
		token string
	}{token: "first"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		vendor.Lock()
		defer vendor.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Bearer "+vendor.token {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"statusCode":401,"message":"Invalid token"}`)
			return
		}
		fmt.Fprint(w, `{}`)
	}))
	defer server.Close()
	path := written(t, "first")
	config, err := loaded(t, map[string]string{"GHL_TOKEN": "file:" + path})
	require.NoError(t, err)
	client := rest.New(rest.Options{System: "ghl", BaseURL: server.URL, Tokens: config.ghlTokens()})
	call := func() error {
		_, err := client.Do(t.Context(), rest.Call{Operation: "contacts.get", Method: http.MethodGet, Path: "contacts/C", Account: "L1"}, nil)
		return err
	}
	require.NoError(t, call())

	replace(t, path, "second")
	vendor.Lock()
	vendor.token = "second"
	vendor.Unlock()
	require.NoError(t, call(), "the refused call looks into the file at once")

	vendor.Lock()
	vendor.token = "third"
	vendor.Unlock()
	require.ErrorIs(t, call(), &crm.Error{Code: crm.GHLToken})
	replace(t, path, "third")
	require.NoError(t, call())
}

func TestAWorkersRankrTokensComeFromTheTokenEndpoint(t *testing.T) {
	server, url := rankrtest.Start(t)
	server.SetClient(rankrtest.OAuthClient{ID: "me", Secret: "first"})
	path := written(t, "first\n")
	config, err := loaded(t, map[string]string{
		"RANKR_TOKEN": "", "RANKR_BASE_URL": url, "RANKR_CLIENT_ID": "me", "RANKR_CLIENT_SECRET": "file:" + path,
		"RANKR_TOKEN_URL": url + rankrtest.TokenPath,
	})
	require.NoError(t, err)
	client := rankr.New(rest.New(rest.Options{System: "rankr", BaseURL: string(config.RankrBaseURL), Tokens: config.rankrTokens()}), rankr.Options{})
	for _, location := range []string{"L1", "L2"} {
		_, err = client.Find(t.Context(), location, crm.Keys{ExternalID: "E"})
		require.NoError(t, err)
	}
	assert.Equal(t, 1, server.Issued())

	server.SetClient(rankrtest.OAuthClient{ID: "me", Secret: "second"})
	server.RevokeTokens()
	replace(t, path, "second\n")
	_, err = client.Find(t.Context(), "L1", crm.Keys{ExternalID: "E"})
	require.NoError(t, err, "the secret is the one of this moment")
}

func TestTheStoresURLMayStandInAFile(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "a store.db")
	path := written(t, url+"\n")
	config, err := loaded(t, map[string]string{"STORE_URL": "file:" + path})
	require.NoError(t, err)
	records, err := OpenStore(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, records.Close())
	assert.FileExists(t, strings.TrimPrefix(url, "sqlite:"))
	assert.Equal(t, "file:"+path, fmt.Sprintf("%+v", config.StoreURL))

	for text, want := range map[string]string{
		"postgres://canary@": "STORE_URL names the file " + path + ", which is not like sqlite:rankrsync.db or",
		"":                   "STORE_URL names the file " + path + ", which is empty",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err = loaded(t, map[string]string{"STORE_URL": "file:" + path})
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "canary")
		environment(t, with("STORE_URL", "file:"+path))
		config, err := Load(Command)
		require.NoError(t, err, "a command that needs no store")
		_, err = OpenStore(t.Context(), config)
		require.ErrorContains(t, err, want)
		_, err = Migrations(t.Context(), config)
		require.ErrorContains(t, err, want)
	}
}
