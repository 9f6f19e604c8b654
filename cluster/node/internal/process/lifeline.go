package process

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

// LifelineVariable holds the number of a file descriptor, the reading end of a pipe whose other end the starter holds.
const LifelineVariable = "NODE_LIFELINE_FD"

// DieWithStarter ends this process when the pipe closes, so that a test run that was killed leaves nothing behind.
// A parent-death signal would do the same for the starting thread, which may end long before its process.
func DieWithStarter(descriptor string) error {
	if descriptor == "" {
		return nil
	}
	number, err := strconv.Atoi(descriptor)
	if err != nil || number < 0 {
		return fmt.Errorf("%s must be a file descriptor's number, not %q", LifelineVariable, descriptor)
	}
	pipe := os.NewFile(uintptr(number), "lifeline")
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		os.Exit(1)
	}()
	return nil
}
