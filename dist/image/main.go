// image packs brig-probe into the image that the engine brings along: the same archive, of the same bytes for the same
// program, that the drill loads into other engines.
//
//	go run ./dist/image -o image.tar bin/brig-probe
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/brig-engine/brig/internal/drill"
)

func main() {
	out := flag.String("o", "image.tar", "archive to write")
	flag.Parse()
	program, err := os.ReadFile(flag.Arg(0))
	if err == nil {
		err = os.WriteFile(*out, drill.ImageTar(program), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}
