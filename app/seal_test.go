package app

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/seal"
)

// sealKey makes a good key of a word.
func sealKey(word string) string {
	return base64.StdEncoding.EncodeToString([]byte((word + "-canary-abcdefghijklmnopqrstuvwxyz")[:32]))
}

func sealer(t *testing.T, changes map[string]string) (*Sealer, Config) {
	t.Helper()
	config, err := loaded(t, changes)
	require.NoError(t, err)
	s, err := config.Sealer()
	require.NoError(t, err)
	return s, config
}

func TestKeysAreGivenThemselvesOrInAFile(t *testing.T) {
	one, two := sealKey("one"), sealKey("two")
	sealed, err := func() ([]byte, error) {
		s, _ := sealer(t, map[string]string{"SECRET_KEY": one})
		return s.Seal([]byte("x"), []byte("row"))
	}()
	require.NoError(t, err)
	for name, changes := range map[string]map[string]string{
		"two":             {"SECRET_KEY": two + "," + one},
		"a reference":     {"SECRET_KEY": "file:" + written(t, two+","+one+"\n")},
		"a file of lines": {"SECRET_KEY_FILE": written(t, two+"\n\n "+one+"\r\n")},
	} {
		s, _ := sealer(t, changes)
		plain, err := s.Open(sealed, []byte("row"))
		require.NoError(t, err, name)
		assert.Equal(t, "x", string(plain))
		assert.False(t, s.Current(sealed), name)
		fresh, err := s.Seal(plain, []byte("row"))
		require.NoError(t, err)
		assert.True(t, s.Current(fresh), name)
	}
}

func TestKeysThatCannotBeUsedAreToldAtTheStart(t *testing.T) {
	good := sealKey("one")
	for want, changes := range map[string]map[string]string{
		"SECRET_KEY can't be used: key 1 is not 32 bytes in base64":        {"SECRET_KEY": "canary"},
		"SECRET_KEY can't be used: key 2 is not 32 bytes in base64":        {"SECRET_KEY": good + ",canary"},
		"SECRET_KEY can't be used: key 2 is there twice":                   {"SECRET_KEY": good + "," + good},
		"which can't be used: key 1 is not 32 bytes in base64":             {"SECRET_KEY_FILE": written(t, "canary")},
		"SECRET_KEY_FILE is not a full path like /run/secrets/keys":        {"SECRET_KEY_FILE": "canary"},
		"SECRET_KEY is set, and so is SECRET_KEY_FILE: keep one of them":   {"SECRET_KEY": good, "SECRET_KEY_FILE": written(t, good)},
		"SECRET_KEY_FILE names the file /nowhere/keys, which is not there": {"SECRET_KEY_FILE": "/nowhere/keys"},
	} {
		_, err := loaded(t, changes)
		var settings *SettingsError
		require.ErrorAs(t, err, &settings, want)
		assert.Len(t, settings.Problems, 1)
		assert.Contains(t, err.Error(), want)
		assert.NotContains(t, err.Error(), "canary")
		assert.NotContains(t, err.Error(), good)
	}
}

func TestWhoeverSealsNeedsAKey(t *testing.T) {
	config, err := loaded(t, nil)
	require.NoError(t, err, "nothing is sealed yet")
	_, err = config.Sealer()
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	assert.Contains(t, err.Error(), "SECRET_KEY is not set")

	environment(t, map[string]string{"SECRET_KEY_FILE": "/nowhere/keys"})
	config, err = Load(Command)
	require.NoError(t, err)
	_, err = config.Sealer()
	require.ErrorContains(t, err, "SECRET_KEY_FILE names the file /nowhere/keys, which is not there")
}

func TestAWrongKeyIsFoundBeforeAnythingIsSealed(t *testing.T) {
	right, _ := sealer(t, map[string]string{"SECRET_KEY": sealKey("one")})
	stored, err := right.Prove(nil)
	require.NoError(t, err)
	fresh, err := right.Prove(stored)
	require.NoError(t, err)
	assert.Nil(t, fresh, "nothing to store")

	both, _ := sealer(t, map[string]string{"SECRET_KEY": sealKey("two") + "," + sealKey("one")})
	_, err = both.Prove(stored)
	require.NoError(t, err)
	assert.False(t, both.Current(stored))
	turned, err := both.Proof()
	require.NoError(t, err)

	wrong, _ := sealer(t, map[string]string{"SECRET_KEY": sealKey("two")})
	_, err = wrong.Prove(stored)
	var settings *SettingsError
	require.ErrorAs(t, err, &settings)
	assert.Equal(t, 2, ExitCode(err))
	assert.Contains(t, err.Error(), "SECRET_KEY is not the key that the store's secrets are sealed with, and nothing was changed")
	_, err = wrong.Prove(turned)
	require.NoError(t, err, "after the change the old key can go")

	stored[len(stored)-1]++
	_, err = right.Prove(stored)
	require.ErrorIs(t, err, &crm.Error{Code: crm.SealBroken})
}

func TestKeysAreChangedUnderARunningProgram(t *testing.T) {
	one, two := sealKey("one"), sealKey("two")
	path := written(t, one)
	s, config := sealer(t, map[string]string{"SECRET_KEY_FILE": path})
	var log bytes.Buffer
	config.LogSecrets(slog.New(slog.NewTextHandler(&log, nil)))
	old, err := s.Seal([]byte("x"), []byte("row"))
	require.NoError(t, err)
	put := func(keys ...string) {
		replace(t, path, strings.Join(keys, "\n"))
		config.keys.again()
	}

	put(two)
	assert.True(t, s.Current(old), "a key that opens nothing of what is there is not taken")
	assert.Contains(t, log.String(), "lacks the key that sealed until now")
	put("canary")
	assert.True(t, s.Current(old))

	put(one, two)
	assert.True(t, s.Current(old))
	put(two, one)
	assert.False(t, s.Current(old))
	plain, err := s.Open(old, []byte("row"))
	require.NoError(t, err)
	fresh, err := s.Seal(plain, []byte("row"))
	require.NoError(t, err)
	put(two)
	assert.True(t, s.Current(fresh))
	_, err = s.Open(old, []byte("row"))
	require.ErrorIs(t, err, seal.ErrKey)
	for _, secret := range []string{one, two, "canary"} {
		assert.NotContains(t, log.String(), secret)
	}
}
