package guest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKernel61Verity: where the file system can hold sealed objects to their content, it does, and containers run from them.
func TestKernel61Verity(t *testing.T) {
	t.Setenv("TMPDIR", "/quota")
	e := start(t)
	objects, err := filepath.Glob("/quota/*/store/objects/*")
	if err != nil || len(objects) < 2 {
		t.Fatalf("%v: %v", err, objects)
	}
	lists, err := filepath.Glob("/quota/*/store/checked/*")
	if err != nil || len(lists) < 1 {
		t.Fatalf("%v: %v", err, lists)
	}
	for _, o := range append(objects, lists...) {
		var st unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, o, 0, unix.STATX_MODE, &st); err != nil || st.Attributes&unix.STATX_ATTR_VERITY == 0 {
			t.Errorf("%s has no fs-verity: %v", o, err)
		}
		if f, err := os.OpenFile(o, os.O_WRONLY, 0); !errors.Is(err, unix.EPERM) {
			f.Close()
			t.Errorf("%s can be opened for writing: %v", o, err)
		}
	}
	e.brig("run", "--rm", "box", "true")
}
