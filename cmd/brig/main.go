// brig is the command line of the engine.
package main

import (
	"context"
	"os"

	"github.com/brig-engine/brig/internal/cli"
)

// version is set by the linker (-X main.version=…), to the same value as that of the engine's programs. It is not
// theirs because their packages are for Linux only.
var version = "0.1.0-dev"

func main() {
	app := cli.App{Version: version}
	os.Exit(app.Run(context.Background(), os.Args[1:]))
}
