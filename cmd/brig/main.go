// brig is the command line of the engine.
//
// The runtime would keep the limits of this process's control group open, and look for new ones from time to time; a
// command line does nothing for which the number of processors counts.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"context"
	"os"

	"github.com/brig-engine/brig/internal/cli"
	_ "github.com/brig-engine/brig/internal/cli/single"
)

// version is set by the linker (-X main.version=…), to the same value as that of the engine's programs. It is not
// theirs because their packages are for Linux only.
var version = "0.1.0-dev"

func main() {
	app := cli.App{Version: version}
	os.Exit(app.Run(context.Background(), os.Args[1:]))
}
