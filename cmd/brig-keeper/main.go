// brig-keeper keeps the warden running and holds what must survive it. It is started by brig engine start.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/brig-engine/brig/internal/keeper"
)

func main() {
	var cfg keeper.Config
	readyFD := flag.Int("ready-fd", -1, "descriptor that receives one line when the engine answers")
	flag.StringVar(&cfg.Root, "root", "/var/lib/brig", "directory of durable state")
	flag.StringVar(&cfg.Run, "run", "/run/brig", "directory of volatile state")
	flag.StringVar(&cfg.Socket, "socket", "", "path of the API socket (default RUN/brig.sock)")
	flag.StringVar(&cfg.Libexec, "libexec", "", "directory of the other programs (default: that of this one)")
	flag.Parse()
	if err := run(&cfg, *readyFD); err != nil {
		fmt.Fprintln(os.Stderr, "brig-keeper:", err)
		os.Exit(1)
	}
}

func run(cfg *keeper.Config, readyFD int) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if cfg.Socket == "" {
		cfg.Socket = filepath.Join(cfg.Run, "brig.sock")
	}
	if cfg.Libexec == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cfg.Libexec = filepath.Dir(self)
	}
	for _, p := range []*string{&cfg.Root, &cfg.Run, &cfg.Socket, &cfg.Libexec} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	if os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()) { // sd_listen_fds(3)
		cfg.Listener, cfg.Socket = os.NewFile(3, "listener"), ""
	}
	if readyFD >= 0 {
		cfg.Ready = os.NewFile(uintptr(readyFD), "ready")
	}
	return keeper.Run(*cfg)
}
