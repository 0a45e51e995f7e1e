//go:build unix && !linux

package process

import "syscall"

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func launch(starts <-chan func()) {
	for start := range starts {
		start()
	}
}
