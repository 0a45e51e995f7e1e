package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file tells of the machine, and of what a process takes of it. What an operating system does not tell is left
// out.

// describe tells what the figures depend on: processor, memory, disk, and how busy the machine was before we began.
func describe(dir string) string {
	var parts []string
	add := func(format string, values ...any) { parts = append(parts, fmt.Sprintf(format, values...)) }
	add("%d × %s", runtime.NumCPU(), or(field("/proc/cpuinfo", "model name"), runtime.GOARCH))
	if kilobytes, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		add("%d GiB of memory", (kilobytes+1<<19)>>20)
	}
	kernel, _, _ := strings.Cut(line("/proc/sys/kernel/osrelease"), "-") // the rest is the builder's
	add("%s", strings.TrimSpace(runtime.GOOS+" "+kernel))
	if name := filesystem(dir); name != "" {
		add("%s", name)
	}
	if p50, err := syncTime(dir); err == nil {
		add("fsync p50 %s", p50.Round(10*time.Microsecond))
	}
	add("%s", runtime.Version())
	if load, _, ok := strings.Cut(line("/proc/loadavg"), " "); ok {
		add("load before the run %s", load)
	}
	return fmt.Sprintf("%s: %s.", time.Now().UTC().Format(time.DateOnly), strings.Join(parts, ", "))
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// field is a value of a file with lines like "name : value"; empty: it is not there.
func field(file, name string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func line(file string) string {
	text, _ := os.ReadFile(file)
	return strings.TrimSpace(string(text))
}

// filesystem is the type of the one that a directory is on. In memory, "FULL" would mean nothing.
func filesystem(dir string) (name string) {
	text, _ := os.ReadFile("/proc/self/mounts")
	longest := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) < longest || f[1] != "/" && f[1] != dir && !strings.HasPrefix(dir, f[1]+"/") {
			continue
		}
		longest, name = len(f[1]), f[2]
	}
	return name
}

// syncTime is how long the disk takes to keep a page for good.
func syncTime(dir string) (time.Duration, error) {
	file, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	page := make([]byte, 4096)
	times := make([]time.Duration, 200)
	for i := range times {
		began := time.Now()
		if _, err := file.Write(page); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// peakMemory is the most that a process ever had in memory, in MB.
func peakMemory(pid int) (float64, error) {
	text := field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM")
	kilobytes, err := strconv.Atoi(strings.TrimSuffix(text, " kB"))
	if err != nil {
		return 0, fmt.Errorf("the system does not tell the memory of process %d", pid)
	}
	return float64(kilobytes) * 1024 / 1e6, nil
}

// cpu is the processor time that each of our processes has taken so far.
func (b *bench) cpu() map[string]time.Duration {
	taken := map[string]time.Duration{"fakes and callers": processTime(os.Getpid()), "Temporal": processTime(b.temporal.PID())}
	if b.worker != nil {
		taken["worker"] = processTime(b.worker.PID())
	}
	if b.starter != nil {
		taken["starter"] = processTime(b.starter.PID())
	}
	return taken
}

// addCPU adds who took how much processor time for each of n things since before.
func (b *bench) addCPU(what string, n int, before map[string]time.Duration) {
	now := b.cpu()
	for _, name := range []string{"Temporal", "worker", "starter", "fakes and callers"} {
		if took := now[name] - before[name]; took > 0 {
			b.add(figure{What: "processor time of " + what + ": " + name, Value: took.Seconds() * 1000 / float64(n), Unit: "ms"})
		}
	}
}

// tick is the unit of the processor times that Linux tells.
const tick = 10 * time.Millisecond

// processTime is the processor time of a process; 0 where the system does not tell.
func processTime(pid int) time.Duration {
	const tick = 10 * time.Millisecond                                       // of all Linux systems that Go runs on
	_, rest, _ := strings.Cut(line(fmt.Sprintf("/proc/%d/stat", pid)), ") ") // the name may hold blanks
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * tick
}

// strangers is the share of the machine's processor time that programs which are not ours have taken since it was
// called, in percent: figures that were measured beside them are too low. It must be asked before our programs stop.
func (b *bench) strangers() func() float64 {
	began, taken, ours := time.Now(), busy(), sum(b.cpu())
	return func() float64 {
		all := time.Since(began) * time.Duration(runtime.NumCPU())
		return max(0, float64(busy()-taken-(sum(b.cpu())-ours))/float64(all)*100)
	}
}

func sum(times map[string]time.Duration) (all time.Duration) {
	for _, t := range times {
		all += t
	}
	return all
}

// busy is the processor time that the machine has spent on anything.
func busy() (all time.Duration) {
	first, _, _ := strings.Cut(line("/proc/stat"), "\n")
	const idle, waiting = 4, 5 // columns; the first has the name
	for i, column := range strings.Fields(first) {
		if ticks, err := strconv.Atoi(column); err == nil && i != idle && i != waiting {
			all += time.Duration(ticks) * tick
		}
	}
	return all
}
