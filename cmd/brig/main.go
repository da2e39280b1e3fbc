// brig is the command line of the engine.
//
// The runtime would read the limits of this process's control group at every start, and look for new ones from time to
// time; a command line does nothing for which the number of processors counts.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/brig-engine/brig/internal/cli"
)

// version is set by the linker (-X main.version=…), to the same value as that of the engine's programs. It is not
// theirs because their packages are for Linux only.
var version = "0.1.0-dev"

func main() {
	runtime.GOMAXPROCS(1) // what threads cost each other is more than what they could do at once
	app := cli.App{Version: version}
	os.Exit(app.Run(context.Background(), os.Args[1:]))
}
