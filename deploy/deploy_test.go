// Package deploy holds what surrounds the programs where they run: the jobs of docker-compose.yml. Its tests hold
// docker-compose.yml and .env.example against the programs' own settings.
package deploy

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/internal/pgtest"
	"github.com/rankrsync/rankrsync/store"
	"github.com/rankrsync/rankrsync/workflows/names"
)

//go:generate go test -run TestTheExampleSettingsAreFresh -update .

var update = flag.Bool("update", false, "write .env.example instead of comparing it")

// required are the settings without which compose refuses to start.
var required = []string{"RANKR_BASE_URL"}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func load(t *testing.T, settings ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../docker-compose.yml"}, cli.WithWorkingDirectory(".."), cli.WithEnv(settings))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	var settings []string
	for _, name := range required {
		settings = append(settings, name+"=value-of-"+name)
	}
	p, err := load(t, settings...)
	require.NoError(t, err)
	return p
}

func TestComposeStartsEverythingInOrder(t *testing.T) {
	p := project(t)
	assert.ElementsMatch(t, []string{
		"postgresql", "temporal-schema", "temporal", "temporal-namespace", "temporal-ui", "store-database", "worker", "starter",
	}, p.ServiceNames())
	const healthy, completed = types.ServiceConditionHealthy, types.ServiceConditionCompletedSuccessfully
	for service, wants := range map[string]map[string]string{
		"temporal-schema":    {"postgresql": healthy},
		"temporal":           {"temporal-schema": completed},
		"temporal-namespace": {"temporal": healthy},
		"temporal-ui":        {"temporal": healthy},
		"store-database":     {"postgresql": healthy},
		"worker":             {"temporal-namespace": completed, "store-database": completed},
		"starter":            {"temporal-namespace": completed, "store-database": completed},
	} {
		got := map[string]string{}
		for on, dependency := range p.Services[service].DependsOn {
			got[on] = dependency.Condition
		}
		assert.Equal(t, wants, got, service)
	}
	for _, service := range []string{"postgresql", "temporal", "worker", "starter"} {
		assert.NotNil(t, p.Services[service].HealthCheck, "%s has no health check", service)
	}
}

func TestComposePublishesOnLoopbackOnly(t *testing.T) {
	published := map[string]string{}
	for name, service := range project(t).Services {
		assert.NotEqual(t, "host", service.NetworkMode, name)
		for _, port := range service.Ports {
			assert.Equal(t, "127.0.0.1", port.HostIP, "%s publishes port %s to everybody", name, port.Published)
			published[port.Published] = name
		}
	}
	assert.Equal(t, map[string]string{
		"7233": "temporal", "8233": "temporal-ui", "8088": "starter", "9090": "starter", "9091": "worker",
	}, published)
}

func TestComposePinsEveryImage(t *testing.T) {
	for name, service := range project(t).Services {
		if service.Build == nil {
			assert.Regexp(t, `:\d+(\.\d+)*$`, service.Image, name)
		}
	}
}

func TestComposeRunsTheServerAndUIOfTheSandbox(t *testing.T) {
	module, err := os.ReadFile("../sandbox/temporal/go.mod")
	require.NoError(t, err)
	p := project(t)
	for service, dependency := range map[string]string{
		"temporal": "go.temporal.io/server", "temporal-schema": "go.temporal.io/server",
		"temporal-namespace": "go.temporal.io/server", "temporal-ui": "github.com/temporalio/ui-server/v2",
	} {
		_, version, _ := strings.Cut(p.Services[service].Image, ":")
		assert.Contains(t, string(module), dependency+" v"+version, service)
	}
}

func TestComposeGivesWorkerAndStarterOneStoreAndTheSameSettings(t *testing.T) {
	p := project(t)
	worker, starter := p.Services["worker"], p.Services["starter"]
	assert.Equal(t, worker.Volumes, starter.Volumes)
	require.Len(t, worker.Volumes, 1)
	assert.Equal(t, "/data", worker.Volumes[0].Target, "where a store of SQLite is")
	require.NotNil(t, worker.Environment["STORE_URL"])
	for name, value := range worker.Environment {
		if name != "OPS_ADDR" {
			assert.Equal(t, value, starter.Environment[name], name)
		}
	}
}

// TestTheStoreJobMakesWhatComposeConnectsTo runs the job twice against a real PostgreSQL, as a restart of compose does.
func TestTheStoreJobMakesWhatComposeConnectsTo(t *testing.T) {
	server, err := url.Parse(pgtest.New(t))
	require.NoError(t, err)
	password, _ := server.User.Password()
	for range 2 {
		job := exec.CommandContext(t.Context(), "/bin/sh", "setup-store.sh")
		job.Env = append(os.Environ(), "PGHOST="+server.Hostname(), "PGPORT="+server.Port(), "PGUSER="+server.User.Username(), "PGPASSWORD="+password)
		out, err := job.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	at, err := url.Parse(*project(t).Services["worker"].Environment["STORE_URL"])
	require.NoError(t, err)
	assert.Equal(t, "postgresql", at.Hostname(), "the service")
	at.Host = server.Host
	records, err := store.Open(t.Context(), at.String())
	require.NoError(t, err)
	require.NoError(t, records.Close())
}

func TestComposeKeepsAStoreThatTheSettingsName(t *testing.T) {
	settings := []string{"STORE_URL=sqlite:/data/rankrsync.db"}
	for _, name := range required {
		settings = append(settings, name+"=x")
	}
	p, err := load(t, settings...)
	require.NoError(t, err)
	assert.Equal(t, "sqlite:/data/rankrsync.db", *p.Services["worker"].Environment["STORE_URL"])
}

func TestComposeSetsOnlyWhatTheProgramsRead(t *testing.T) {
	p := project(t)
	known := map[string]bool{"TEMPORAL_ADDRESS": true, "TEMPORAL_NAMESPACE": true}
	for _, setting := range app.Describe() {
		known[setting.Name] = true
	}
	for _, program := range []string{"worker", "starter"} {
		for name := range p.Services[program].Environment {
			assert.True(t, known[name], "%s is no setting of %s", name, program)
		}
	}
	for _, setting := range app.Describe() {
		if setting.Required != "" && setting.Unless == "" {
			assert.Contains(t, required, setting.Name, "compose must ask for what the programs require")
		}
	}
}

func TestComposeSaysWhatIsMissingBeforeItStartsAnything(t *testing.T) {
	for _, missing := range required {
		var settings []string
		for _, name := range required {
			if name != missing {
				settings = append(settings, name+"=x")
			}
		}
		_, err := load(t, settings...)
		require.ErrorContains(t, err, missing)
		require.ErrorContains(t, err, ".env.example")
	}
}

func TestComposeConnectsByALinkWithoutATokenOfTheSettings(t *testing.T) {
	p, err := load(t, "RANKR_BASE_URL=x", "GHL_CLIENT_ID=app-1", "GHL_CLIENT_SECRET=s", "GHL_REDIRECT_URL=u", "SECRET_KEY=k")
	require.NoError(t, err)
	for _, program := range []string{"worker", "starter"} {
		environment := p.Services[program].Environment
		for name, value := range map[string]string{
			"GHL_TOKEN": "", "GHL_LOCATION_ID": "", "GHL_CLIENT_ID": "app-1", "GHL_CLIENT_SECRET": "s", "GHL_REDIRECT_URL": "u", "SECRET_KEY": "k",
		} {
			if assert.NotNil(t, environment[name], name) {
				assert.Equal(t, value, *environment[name], name)
			}
		}
	}
}

func TestComposeMountsFilesThatExist(t *testing.T) {
	for name, service := range project(t).Services {
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeBind {
				info, err := os.Stat(volume.Source)
				require.NoError(t, err, name)
				assert.True(t, info.Mode().IsRegular(), volume.Source)
			}
		}
	}
}

func TestTheNamespaceJobRegistersOurSearchAttributes(t *testing.T) {
	job, err := os.ReadFile("setup-namespace.sh")
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^for attribute in (.*); do$`).FindSubmatch(job)
	require.NotNil(t, found)
	assert.ElementsMatch(t, []string{names.GhlLocation.GetName(), names.GhlContact.GetName(), names.SyncState.GetName()}, strings.Fields(string(found[1])))
}

func TestTheDynamicConfigurationNamesOurQueues(t *testing.T) {
	text, err := os.ReadFile("../sandbox/temporal/dynamicconfig.yaml")
	require.NoError(t, err)
	queues := map[string]int{}
	for _, found := range regexp.MustCompile(`taskQueueName: (\S+)`).FindAllSubmatch(text, -1) {
		queues[string(found[1])]++
	}
	assert.Equal(t, map[string]int{names.Live: 2, names.Bulk: 2}, queues, "read and write partitions of both activity queues")
}

func TestTheExampleSettingsAreFresh(t *testing.T) {
	const path = "../.env.example"
	want := example()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
	}
	got, err := os.ReadFile(filepath.Clean(path))
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "run go generate ./deploy")
}

// example is .env.example: what is required first, then every other setting with its default, switched off.
func example() string {
	var b strings.Builder
	b.WriteString("# Copy this file to .env and fill in the first part; make run and docker compose read it.\n" +
		"# Written by go generate ./deploy from the programs' settings: change it there.\n")
	write := func(title string, want bool, mark string) {
		fmt.Fprintf(&b, "\n# --- %s ---\n", title)
		for _, setting := range app.Describe() {
			if (setting.Required != "") != want {
				continue
			}
			value := setting.Default
			if strings.Contains(value, " for the ") {
				value = "" // a default that is not one value
			}
			fmt.Fprintf(&b, "\n# %s\n%s%s=%s\n", sentence(setting), mark, setting.Name, value)
		}
	}
	write("needed", true, "")
	write("as they are unless you change them", false, "#")
	b.WriteString("\n# Temporal's own settings are read, too; for example:\n#TEMPORAL_ADDRESS=127.0.0.1:7233\n#TEMPORAL_NAMESPACE=default\n")
	return b.String()
}

func sentence(setting app.Description) string {
	if setting.Unless != "" && !strings.Contains(setting.Text, setting.Unless) {
		return setting.Text + "; not needed where " + setting.Unless + " is set"
	}
	if strings.Contains(setting.Default, " for the ") {
		return setting.Text + " (default: " + setting.Default + ")"
	}
	return setting.Text
}
