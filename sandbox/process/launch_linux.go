package process

import (
	"runtime"
	"syscall"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

func launch(starts <-chan func()) {
	runtime.LockOSThread()
	for start := range starts {
		start()
	}
}
