package app

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWithoutAFileThereAreNoRules(t *testing.T) {
	t.Chdir(t.TempDir())
	loaded, err := LoadRules(Config{})
	require.NoError(t, err)
	assert.True(t, loaded.MirrorsBusinesses())
	assert.Empty(t, loaded.Segments())
}

func TestAFileIsReadFromTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("sync.yaml", []byte("segments: [{name: All, when: 'true'}]"), 0o600))
	loaded, err := LoadRules(Config{})
	require.NoError(t, err)
	assert.Len(t, loaded.Segments(), 1)
}

func TestAFileThatIsNamedMustBeThere(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := LoadRules(Config{SyncFile: "other.yaml"})
	require.ErrorContains(t, err, "SYNC_FILE: other.yaml can't be read")
	_, err = LoadRules(Config{SyncFile: "."})
	require.ErrorContains(t, err, "it must be a file")
}

func TestEveryMistakeOfTheFileIsListed(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("sync.yaml", []byte("segments:\n  - name: VIP\n    when: tagz\nbusiness: 1\n"), 0o600))
	_, err := LoadRules(Config{})
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	assert.Len(t, settings.Problems, 2)
	assert.ErrorContains(t, err, `sync.yaml:3:11: segments/VIP: when: unknown name tagz`)
}
