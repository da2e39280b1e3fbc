// brig-keeper keeps the warden running and holds what must survive it. It is started by brig engine start.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/brig-engine/brig/internal/keeper"
)

func main() {
	var cfg keeper.Config
	readyFD := flag.Int("ready-fd", -1, "descriptor that receives one line when the engine answers")
	flag.StringVar(&cfg.Root, "root", "", "directory of durable state")
	flag.StringVar(&cfg.Run, "run", "", "directory of volatile state")
	flag.StringVar(&cfg.Socket, "socket", "", "path of the API socket")
	flag.Parse()
	if err := run(&cfg, *readyFD); err != nil {
		fmt.Fprintln(os.Stderr, "brig-keeper:", err)
		os.Exit(1)
	}
}

func run(cfg *keeper.Config, readyFD int) error {
	if flag.NArg() > 0 || !filepath.IsAbs(cfg.Root) || !filepath.IsAbs(cfg.Run) || !filepath.IsAbs(cfg.Socket) {
		return errors.New("takes absolute paths as --root, --run and --socket, and no arguments. Next: brig engine start")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cfg.Libexec = filepath.Dir(self)                        // where the other programs are
	if os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()) { // sd_listen_fds(3)
		cfg.Listener, cfg.Socket = os.NewFile(3, "listener"), ""
	}
	if readyFD >= 0 {
		cfg.Ready = os.NewFile(uintptr(readyFD), "ready")
	}
	return keeper.Run(*cfg)
}
