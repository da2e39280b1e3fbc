// compat writes docs/docker-compatibility.md: what becomes of each option of docker run and of each field of a create
// request. It is made from the table that the engine's refusals come from, so that the page says what the engine does.
//
//	go run ./dist/compat -o docs/docker-compatibility.md
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "docs/docker-compatibility.md", "file to write")
	flag.Parse()
	if err := os.WriteFile(*out, []byte(page()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "compat:", err)
		os.Exit(1)
	}
}
