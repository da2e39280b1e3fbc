package policy

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire"
)

func TestDisksOfRatesAreFound(t *testing.T) {
	if list, err := Disks(nil); len(list) != 0 || err != nil {
		t.Errorf("no rates: %v, %v", list, err)
	}
	for _, no := range []string{"/dev/null", "/dev", "/dev/shm/nothing", ""} {
		_, err := Disks([]wire.Rate{{Source: no}})
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), no+" is no disk") {
			t.Errorf("%q: %v", no, err)
		}
	}
	there, _ := filepath.Glob("/sys/dev/block/*")
	found := 0
	for _, dir := range there {
		number := filepath.Base(dir)
		to, _ := os.Readlink(dir)
		disk := "/dev/" + filepath.Base(to)
		if st, err := os.Stat(disk); err != nil || st.Mode()&os.ModeType != os.ModeDevice {
			continue
		}
		found++
		asked := []wire.Rate{{Source: disk, Kind: "rbps", Most: 7}}
		list, err := Disks(asked)
		if _, no := os.Stat(dir + "/partition"); no == nil {
			if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "a part of one") {
				t.Errorf("%s is a part: %v", disk, err)
			}
			continue
		}
		if want := []wire.Rate{{Source: disk, Kind: "rbps", Most: 7, Disk: number}}; err != nil || !reflect.DeepEqual(list, want) {
			t.Errorf("%s: %+v, %v", disk, list, err)
		}
		if asked[0].Disk != "" {
			t.Error("the list of the record has changed")
		}
	}
	if found == 0 {
		t.Skip("missing: a disk with a node in /dev")
	}
}
