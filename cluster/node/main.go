// Command node is a one-node Kubernetes in one file: etcd, the control plane, the node agents and kubectl.
//
// The first argument names the part, the rest are that part's own flags. A link to the file that is called
// kubectl is kubectl. The harness beside this folder starts the parts; one file for all of them is built once
// and is a tenth of the size of seven.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"querytask.dev/cluster/internal/process"
)

func main() {
	name, args := choose(os.Args)
	run, ok := parts[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "node: the part must be one of %s, not %q\n", strings.Join(names(), ", "), name)
		os.Exit(2)
	}
	if err := process.DieWithStarter(os.Getenv(process.LifelineVariable)); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(2)
	}
	os.Args = append([]string{name}, args...)
	os.Exit(run(os.Args))
}

// choose tells which part is meant and which flags are the part's own.
func choose(argv []string) (name string, args []string) {
	if filepath.Base(argv[0]) == "kubectl" {
		return "kubectl", argv[1:]
	}
	if len(argv) < 2 {
		return "", nil
	}
	return argv[1], argv[2:]
}

func names() []string {
	all := make([]string, 0, len(parts))
	for name := range parts {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
