// Command peers drills Brig and the engines that people know, one after the other, and writes what it found as a page.
//
//	peers [-bin DIR] [-write FILE] [-only NAME,NAME] [-probes ID,ID] [-dir DIR] [-install]
//
// The engines are Brig, Debian's docker.io and podman, and the newest moby that builds from the Go module proxy. Each
// lives in a room of its own (test/room) with nothing but its defaults; the drill runs in the room, too, as brig drill
// would on a host. A peer that is missing is a line that says so; -install fetches them first.
package main

import (
	"context"
	"errors"
	"flag"

	"github.com/brig-engine/brig/test/room"
)

func main() {
	room.Main()
	var stage room.Stage
	stage.Flags("docs/drill.md")
	probes := flag.String("probes", "", "try only these attacks or probes (with commas)")
	flag.Parse()
	room.Play("peers", func(ctx context.Context) (err error) {
		strike, err := stage.Set(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, strike()) }()
		s := &session{bin: stage.Bin, dir: stage.Dir, peers: stage.Peers, probes: *probes}
		page, err := s.page(ctx, stage.Wanted)
		if err != nil {
			return err
		}
		return stage.Publish(page.markdown())
	})
}
