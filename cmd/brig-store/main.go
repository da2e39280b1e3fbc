// brig-store holds the sealed objects of an engine. The warden starts it with the store's directory as its argument, and
// connections at the descriptors 3 to 5.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/brig-engine/brig/internal/store"
)

func main() {
	runtime.GOMAXPROCS(max(2, runtime.NumCPU()/2)) // objects are hashed side by side
	if len(os.Args) != 2 || !filepath.IsAbs(os.Args[1]) {
		fmt.Fprintln(os.Stderr, "brig-store: started by brig-warden only. Next: brig engine start")
		os.Exit(2)
	}
	if err := store.Run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "brig-store:", err)
		os.Exit(1)
	}
}
