// brig-oci is an OCI runtime: Docker, containerd and Podman can start containers with it in place of runc or crun.
//
// The runtime of Go would give its mappings names, where the kernel can keep them, and the process that forks keeps what has
// a name; and it would look for limits of the number of processors, which count for nothing here.
//
//go:debug decoratemappings=0
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"os"

	"github.com/brig-engine/brig/internal/oci"
)

// version is set by the linker.
var version = "0.1.0-dev"

func main() { os.Exit(oci.Main(version, os.Args[1:])) }
