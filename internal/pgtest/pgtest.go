//go:build unix

// Package pgtest lends tests a real PostgreSQL: a private server on loopback, in a folder of its own, started once for all
// tests of a package and stopped after them, whatever becomes of them.
package pgtest

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that makes the databases
	"github.com/stretchr/testify/require"
)

// Needed is the variable that makes a missing PostgreSQL a failure. CI sets it: a skipped test would prove nothing there.
const Needed = "POSTGRES_NEEDED"

// shared are the servers of the package under test: one for tests, which need not wait for the disk, one for benchmarks.
var shared struct {
	sync.Mutex
	servers   map[bool]*server // by whether a commit waits for the disk
	databases int
}

// Main runs the tests of a package and stops the server after them: os.Exit(pgtest.Main(m)) in TestMain.
func Main(m *testing.M) int {
	defer func() {
		for _, s := range shared.servers {
			s.stop()
		}
	}()
	return m.Run()
}

// New makes an empty database and returns its URL. Without PostgreSQL on this machine, the test is skipped.
func New(t testing.TB) string {
	t.Helper()
	programs := installed()
	if programs == "" {
		const missing = "PostgreSQL is not installed: on Debian, apt install postgresql"
		if os.Getenv(Needed) != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	shared.Lock()
	defer shared.Unlock()
	_, durable := t.(*testing.B)
	s := shared.servers[durable]
	if s == nil {
		var err error
		s, err = start(programs, durable)
		require.NoError(t, err)
		if shared.servers == nil {
			shared.servers = map[bool]*server{}
		}
		shared.servers[durable] = s
	}
	shared.databases++
	name := fmt.Sprint("test", shared.databases)
	require.NoError(t, s.do("CREATE DATABASE "+name))
	t.Cleanup(func() { _ = s.do("DROP DATABASE " + name + " WITH (FORCE)") })
	return s.url(name)
}

// installed is the folder with the programs of the newest PostgreSQL; empty: there is none.
func installed() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // where Debian has them
	if len(found) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return ""
		}
		return filepath.Dir(path)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// server is a running PostgreSQL.
type server struct {
	folder, password string
	port             int
	durable          bool
	shell            *exec.Cmd
	life             io.Closer // the server ends when this closes, also by our death
}

func start(programs string, durable bool) (*server, error) {
	folder, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &server{folder: folder, password: rand.Text(), durable: durable}
	if err = s.start(programs); err != nil {
		s.stop()
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	return s, nil
}

func (s *server) start(programs string) error {
	as, err := somebody(s.folder)
	if err != nil {
		return err
	}
	secret, data := filepath.Join(s.folder, "password"), filepath.Join(s.folder, "data")
	if err := os.WriteFile(secret, []byte(s.password), 0o644); err != nil { //nolint:gosec // its folder lets nobody else in
		return err
	}
	initdb := exec.Command(filepath.Join(programs, "initdb"), "--pgdata="+data, "--username=tester", "--pwfile="+secret, //nolint:gosec // found by installed
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = s.folder, as
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	for range 5 { // somebody else may take the free port first
		if err = s.run(programs, data, as); err == nil {
			return nil
		}
	}
	return err
}

// somebody is whom to run as when we are root, as whom PostgreSQL refuses to run. The folder becomes theirs.
func somebody(folder string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		who, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(who.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(who.Gid, 10, 32)
		if err := errors.Join(err, err2, os.Chown(folder, int(uid), int(gid))); err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("there is no user but root to run PostgreSQL as")
}

// run starts the server under a shell that ends it and takes its files away once its standard input closes: we close it, and
// so does our end.
func (s *server) run(programs, data string, as *syscall.SysProcAttr) error {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = free.Addr().(*net.TCPAddr).Port
	free.Close()
	log, err := os.Create(filepath.Join(s.folder, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.shell = exec.Command("/bin/sh", "-c", `"$@" </dev/null & server=$!; read -r _; kill -QUIT $server; wait $server; rm -rf data`, "sh", //nolint:gosec // our own words
		filepath.Join(programs, "postgres"), "-D", data, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", fmt.Sprintf("fsync=%t", s.durable))
	s.shell.Dir, s.shell.SysProcAttr, s.shell.Stdout, s.shell.Stderr = s.folder, as, log, log
	if s.life, err = s.shell.StdinPipe(); err != nil {
		return err
	}
	if err := s.shell.Start(); err != nil {
		return err
	}
	if err := s.answers(); err != nil {
		s.end()
		return err
	}
	return nil
}

func (s *server) answers() error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := s.do("SELECT 1")
		if err == nil {
			return nil
		}
		log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
		if time.Now().After(end) || strings.Contains(string(log), "database system is shut down") {
			return fmt.Errorf("%w\n%s", err, log)
		}
	}
}

func (s *server) url(database string) string {
	return fmt.Sprintf("postgres://tester:%s@127.0.0.1:%d/%s?sslmode=disable", s.password, s.port, database)
}

func (s *server) do(statement string) error {
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}

func (s *server) end() {
	if s.life != nil {
		s.life.Close()
		_ = s.shell.Wait() // it was killed
	}
}

func (s *server) stop() {
	s.end()
	_ = os.RemoveAll(s.folder)
}
