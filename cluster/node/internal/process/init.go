// Package process is what the parts of a node need of the operating system, and of nothing else.
package process

import (
	"os"
	"os/signal"
	"syscall"
)

// Init is pid 1 of the node's pid namespace: it collects orphans, and its end is the end of everything in
// there, mounts and network included. It returns on SIGTERM or SIGINT.
func Init([]string) int {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for {
		select {
		case <-ended:
			return 0
		case <-children:
			reap()
		}
	}
}

// reap collects every child that has ended: one signal may stand for many.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
