package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

// lifelineVariable holds the number of a file descriptor, the reading end of a pipe whose other end the starter holds.
const lifelineVariable = "NODE_LIFELINE_FD"

// dieWithStarter ends this process when the pipe closes, so that a test run that was killed leaves nothing behind.
// A parent-death signal would do the same for the starting thread, which may end long before its process.
func dieWithStarter(descriptor string) error {
	if descriptor == "" {
		return nil
	}
	number, err := strconv.Atoi(descriptor)
	if err != nil || number < 0 {
		return fmt.Errorf("%s must be a file descriptor's number, not %q", lifelineVariable, descriptor)
	}
	pipe := os.NewFile(uintptr(number), "lifeline")
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		os.Exit(1)
	}()
	return nil
}
