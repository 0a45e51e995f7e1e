package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives/timestamp"
	sqliteschema "go.temporal.io/server/schema/sqlite"
)

const (
	mainStore       = "default"
	visibilityStore = "visibility"
)

// openStores makes the two databases ready: the workflows' own, and the one that lists are made from. Apart
// they have two writers instead of one, which gives 10 to 20 % at full load.
func openStores(dir string) (map[string]config.DataStore, error) {
	stores := map[string]config.DataStore{}
	for _, name := range []string{mainStore, visibilityStore} {
		open := func() (*config.SQL, error) { return memoryStore(name), nil }
		if dir != "" {
			open = func() (*config.SQL, error) { return fileStore(dir, name) }
		}
		cfg, err := open()
		if err != nil {
			return nil, fmt.Errorf("%s store: %w", name, err)
		}
		stores[name] = config.DataStore{SQL: cfg}
	}
	if err := createNamespace(stores[mainStore].SQL); err != nil {
		return nil, fmt.Errorf("open the files in %s (does another server run on them?): %w", dir, err)
	}
	return stores, nil
}

// memoryStore is a database that ends with the process.
func memoryStore(name string) *config.SQL {
	return &config.SQL{
		PluginName: sqlite.PluginName, DatabaseName: name, MaxConns: 1, MaxIdleConns: 1,
		ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
	}
}

// fileStore is a database in a file of dir, made with its schema when it isn't there.
func fileStore(dir, name string) (*config.SQL, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := filepath.Abs(filepath.Join(dir, "temporal-"+name+".db"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := createFile(file); err != nil {
			return nil, fmt.Errorf("create %s: %w", file, err)
		}
	} else if err != nil {
		return nil, err
	}
	return &config.SQL{
		PluginName: sqlite.PluginName, DatabaseName: uri(file), MaxConns: 1, MaxIdleConns: 1, ConnectAttributes: durable,
	}, nil
}

// durable is how a file is opened: what the server has acknowledged survives a power cut (with synchronous=normal
// everything since the last checkpoint would be lost), and a second server on the same files is refused.
//
// One connection is on purpose. The server's transactions read before they write, so several at once end in
// "database is locked" (hundreds of times in 900 workflows); begun with the write lock, they sleep while they wait
// for it instead of queueing. Four connections gave two thirds of the throughput for 1.4 times the CPU of one.
var durable = map[string]string{
	"mode": "rw", "journal_mode": "wal", "synchronous": "full", "locking_mode": "exclusive", "busy_timeout": "5000",
}

// createFile makes a database beside its place and moves it there when it is whole: a start that is killed half
// way must not leave a file without half of its tables.
func createFile(file string) error {
	draft := file + ".draft"
	if err := os.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := sqliteschema.SetupSchema(&config.SQL{
		PluginName: sqlite.PluginName, DatabaseName: uri(draft),
		ConnectAttributes: map[string]string{"mode": "rwc", "journal_mode": "off", "synchronous": "off"},
	}); err != nil {
		return err
	}
	f, err := os.Open(draft)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(draft, file)
}

// uri escapes a path for SQLite's file: form, where ?, # and % mean something.
func uri(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// createNamespace registers the namespace with our search attributes, so that a new server knows them from its
// first moment: attributes that are added later take up to ten seconds to be seen. An existing one is left alone.
func createNamespace(cfg *config.SQL) error {
	attributes := map[string]enumspb.IndexedValueType{}
	for _, name := range searchAttributes {
		attributes[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	ns, err := sqliteschema.NewNamespaceConfig(clusterName, namespace, false, attributes)
	if err != nil {
		return err
	}
	ns.Detail.Config.Retention = timestamp.DurationPtr(retention)
	return sqliteschema.CreateNamespaces(cfg, ns)
}
