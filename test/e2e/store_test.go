package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const storeID = 0x7ffd0003

// Who holds what was verified has an id that nothing else has, no capability, and nobody's way into its directory.
func TestTheStoreIsItsProcessesAlone(t *testing.T) {
	e := startEngine(t).withBusybox()
	const id, none = "2147287043", "0000000000000000"
	everyThread(t, e.pid("brig-store"), map[string]string{"Uid": strings.Repeat(id+" ", 4), "Gid": strings.Repeat(id+" ", 4),
		"Groups": "", "CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1",
		"Seccomp": "2", "Seccomp_filters": "1"})
	e.ownStore(storeID, false)
	// Before there was such a process all of it was root's.
	e.stop()
	e.ownStore(storeID, true)
	e.start()
	e.brig("run", "--rm", "box", "true")
	e.brig("tag", "box", "again")
	e.ownStore(storeID, false)
}

// ownStore looks whose the store is, and what is in it; with toRoot it is given to root.
func (e *engine) ownStore(want uint32, toRoot bool) {
	e.t.Helper()
	dir, files := filepath.Join(e.dir, "root", "store"), 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if err != nil {
			return err
		}
		mode := uint32(0o444)
		if d.IsDir() {
			mode = 0o700
		} else {
			files++
		}
		if st.Uid != want || st.Mode&0o7777 != mode {
			e.t.Errorf("%s belongs to %d, with mode %o", path, st.Uid, st.Mode&0o7777)
		}
		if toRoot {
			return os.Lchown(path, 0, 0)
		}
		return nil
	})
	if err != nil || files < 4 {
		e.t.Fatalf("%d files, %v", files, err)
	}
}

// Its end ends brigd, and no container notices. Images that were not mounted yet are found by the next one.
func TestAKilledStoreIsReplacedAndNoContainerNotices(t *testing.T) {
	e := startEngine(t).withBusybox()
	e.brig("run", "-d", "--name", "one", "box", "sleep", "1000")
	brigd, store := e.pid("brigd"), e.pid("brig-store")
	e.killed("brig-store")
	e.eventually("another brigd and another store", func() bool {
		b, s := e.find("brigd"), e.find("brig-store")
		return b != 0 && s != 0 && b != brigd && s != store
	})
	if out := e.brig("exec", "one", "echo", "still", "here"); out != "still here" {
		t.Errorf("%q", out)
	}
	e.brig("commit", "one", "kept") // seals a layer and an index
	if out := e.brig("run", "--rm", "kept", "echo", "new"); out != "new" {
		t.Errorf("%q", out)
	}
	e.brig("rmi", "kept")
}
