package process

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A child that has ended is collected, so that no zombies pile up under pid 1.
func TestReapCollectsChildren(t *testing.T) {
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for syscall.Kill(child.Process.Pid, 0) == nil {
		if time.Now().After(deadline) {
			t.Fatalf("the child %d must have been collected", child.Process.Pid)
		}
		reap()
		time.Sleep(time.Millisecond)
	}
}
