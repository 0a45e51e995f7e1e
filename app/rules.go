package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/rankrsync/rankrsync/crm/rules"
)

// maxRules is more than any file of rules may have: what is longer is not read to its end.
const maxRules = 2 << 20

// LoadRules reads the file of rules. Without a file under the default name there are none, and businesses are mirrored; one that
// is named and missing, or wrong, is a *[SettingsError] that lists everything.
func LoadRules(config Config) (*rules.Rules, error) {
	name := config.SyncFile
	if name == "" {
		name = "sync.yaml"
	}
	file, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && config.SyncFile == "":
		return rules.Default(), nil
	case err != nil:
		return nil, &SettingsError{[]string{fmt.Sprintf("SYNC_FILE: %s can't be read: is it there, and may this program read it?", name)}}
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxRules))
	if err != nil {
		return nil, &SettingsError{[]string{fmt.Sprintf("SYNC_FILE: %s can't be read: it must be a file", name)}}
	}
	loaded, err := rules.Parse(name, data)
	if err != nil {
		return nil, &SettingsError{strings.Split(err.Error(), "\n")}
	}
	return loaded, nil
}
