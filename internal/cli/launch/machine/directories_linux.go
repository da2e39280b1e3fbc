package machine

import (
	"cmp"
	"os"
	"path/filepath"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// The ids of brigd and brig-store on the host, whose directories belong to them.
const (
	brigdID = 0x7ffd0001
	StoreID = 0x7ffd0003
)

// Directories makes those of an engine in root and run, which are there. kind is how those of containers are bounded.
func Directories(root, run, kind string) error {
	base := root
	if kind == wire.InImage {
		base = root + "/disk"
	}
	for _, d := range []struct {
		path  string
		mode  os.FileMode
		owner int
	}{
		{root + "/" + rules.Dir, 0o755, 0},
		{root + "/daemon", 0o700, brigdID},
		{root + "/store", 0o700, StoreID},
		{base + "/containers", 0o700, 0}, {base + "/volumes", 0o700, 0}, {base + "/trash", 0o700, 0},
		{run + "/daemon", 0o700, brigdID},
		{run + "/containers", 0o700, 0}, {run + "/scratch", 0o700, 0}, {run + "/fifo", 0o700, 0}, {run + "/exits", 0o700, 0},
	} {
		path := filepath.Clean(d.path)
		if err := cmp.Or(os.MkdirAll(path, d.mode), os.Chmod(path, d.mode), os.Lchown(path, d.owner, d.owner)); err != nil {
			return err
		}
	}
	return nil
}
