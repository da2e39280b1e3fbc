// brig-router speaks netlink and nftables for the warden, which starts it with one socket, at descriptor 3.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/brig-engine/brig/internal/router"
)

func main() {
	runtime.GOMAXPROCS(1) // the kernel changes one network at a time
	if len(os.Args) != 1 {
		fmt.Fprintln(os.Stderr, "brig-router: started by brig-warden only. Next: brig engine start")
		os.Exit(2)
	}
	if err := router.Run(3); err != nil {
		fmt.Fprintln(os.Stderr, "brig-router:", err)
		os.Exit(1)
	}
}
