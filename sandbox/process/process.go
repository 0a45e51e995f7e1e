// Package process runs our programs as children: each in a process group of its own, so that Ctrl-C reaches only the
// parent and the parent decides the order of the end, and none outlives the parent.
package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Command says what to run.
type Command struct {
	Name string   // for people
	Path string   // of the binary
	Args []string // without the binary
	Env  []string // all of it: nothing is inherited
	Dir  string   // working directory; empty: the parent's
	Log  string   // file that standard output and error are appended to; empty: the parent's standard error
}

// Process is a running or ended child.
type Process struct {
	Command
	cmd   *exec.Cmd
	stdin io.Closer // held open for as long as we live: programs with -attached stop when it ends
	lines chan []byte
	done  chan struct{}
	state error // of the end; read it only once done is closed
}

// Start runs the command.
func Start(c Command) (*Process, error) {
	log, err := c.openLog()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, in, log
	cmd.SysProcAttr = attributes()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	err = start(cmd)
	_ = in.Close() // the child has its own
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	p := &Process{Command: c, cmd: cmd, stdin: stdin, lines: make(chan []byte, 1), done: make(chan struct{})}
	go p.watch(out, log)
	return p, nil
}

func (c Command) openLog() (*os.File, error) {
	if c.Log == "" {
		return os.Stderr, nil
	}
	if err := os.MkdirAll(filepath.Dir(c.Log), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(c.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

// watch keeps the first line of the output for [Process.ReadLine], sends the rest to the log, and notes the end.
func (p *Process) watch(out *os.File, log *os.File) {
	reader := bufio.NewReader(out)
	if line, err := reader.ReadBytes('\n'); err == nil {
		p.lines <- line
	}
	_, _ = io.Copy(log, reader)
	p.state = p.cmd.Wait()
	_ = out.Close()
	if p.Log != "" {
		_ = log.Close()
	}
	close(p.done)
}

// ReadLine decodes the first line of the output, which our programs print as JSON once they serve.
func (p *Process) ReadLine(ctx context.Context, v any) error {
	select {
	case line := <-p.lines:
		return json.Unmarshal(line, v)
	case <-p.done:
		return fmt.Errorf("%s ended before it was ready: %w%s", p.Name, p.Err(), p.tail())
	case <-ctx.Done():
		return fmt.Errorf("%s was not ready in time%s", p.Name, p.tail())
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Err is how the process ended: nil while it runs and after exit code 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.state
	default:
		return nil
	}
}

// ExitCode is that of an ended process, or -1 when a signal ended it.
func (p *Process) ExitCode() int {
	<-p.done
	var exit *exec.ExitError
	if errors.As(p.state, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Stop asks the process to end, and ends it when it has not after the grace period.
func (p *Process) Stop(grace time.Duration) {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		p.Kill()
	}
}

// Kill ends the process and its children at once, as a crash would, and waits for it.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Signal sends a signal to the process and its children; one that has ended is left alone: its id may be another's.
func (p *Process) Signal(signal syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.PID(), signal)
	}
}

// tail is the end of the log, for an error message.
func (p *Process) tail() string {
	if p.Log == "" {
		return ""
	}
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return ""
	}
	const enough = 2000
	if len(text) > enough {
		text = text[len(text)-enough:]
	}
	return fmt.Sprintf("; the end of %s:\n%s", p.Log, text)
}

var launcher = struct {
	once  sync.Once
	start chan func()
}{start: make(chan func())}

// start starts the command from a thread that never ends: where the kernel is asked to end a child with its parent,
// it counts the thread that started the child as the parent.
func start(cmd *exec.Cmd) error {
	launcher.once.Do(func() { go launch(launcher.start) })
	result := make(chan error)
	launcher.start <- func() { result <- cmd.Start() }
	return <-result
}
