// brig-warden holds the keys: it is started by brig-keeper, as root, and by nobody else.
//
// The runtime would give its mappings names, where the kernel can keep them, and the spawner keeps what has a name.
//
//go:debug decoratemappings=0
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/brig-engine/brig/internal/warden"
)

func main() {
	cfg := warden.Config{Listener: 3, Keeper: 4, Ready: 5}
	flag.StringVar(&cfg.Root, "root", "", "directory of durable state")
	flag.StringVar(&cfg.Run, "run", "", "directory of volatile state")
	flag.StringVar(&cfg.Libexec, "libexec", "", "directory of the other programs")
	flag.IntVar(&cfg.Deaths, "deaths", 0, "how many wardens have died in the last minute")
	flag.Parse()
	if cfg.Root == "" || cfg.Run == "" || cfg.Libexec == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "brig-warden: started by brig-keeper only. Next: brig engine start")
		os.Exit(2)
	}
	if err := warden.Run(cfg); err != nil {
		fmt.Fprintln(os.Stderr, "brig-warden:", err)
		os.Exit(1)
	}
}
