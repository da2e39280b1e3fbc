package feature

import (
	"errors"
	"os"
	"testing"
)

func TestEveryFeatureSaysWhatItIsForAndHowToGetIt(t *testing.T) {
	seen := map[string]bool{}
	for i, f := range All() {
		if f.Name == "" || f.For == "" || f.Fix == "" || seen[f.Name] {
			t.Errorf("feature %d: %+v", i, f)
		}
		if f.probe == nil && f.Since == [2]int{} {
			t.Errorf("%s: neither a probe nor a version", f.Name)
		}
		seen[f.Name] = true
	}
}

func TestVersionDecidesWhereNothingIsProbed(t *testing.T) {
	if err := (Feature{Since: [2]int{2, 6}}).Probe(); err != nil {
		t.Error(err)
	}
	if err := (Feature{Since: [2]int{999, 0}}).Probe(); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("kernel 999.0: %v", err)
	}
}

func TestProbesLeaveNoDescriptorBehind(t *testing.T) {
	count := func() int {
		l, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(l)
	}
	for _, f := range All() {
		f.Probe() // the first call may open the poller
	}
	before := count()
	for _, f := range All() {
		t.Logf("%-22s %v", f.Name, f.Probe())
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}

func TestProbeFindsNoFileSystemThatDoesNotExist(t *testing.T) {
	if err := fileSystem("no-such-fs")(); err == nil {
		t.Error("found")
	}
}

func TestHiddenPartsOfProcAreSeen(t *testing.T) {
	const clean = "22 27 0:21 / /proc rw - proc proc rw\n23 22 0:9 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n"
	if err := overmounted(clean); err != nil {
		t.Error(err)
	}
	if err := overmounted(clean + "24 22 0:5 / /proc/kcore rw - tmpfs tmpfs rw\n"); err == nil {
		t.Error("a masked /proc/kcore was not seen")
	}
}

func TestDisabledControllersAreSeen(t *testing.T) {
	const table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\npids\t0\t1\t1\n"
	if enabled(table, "memory") || !enabled(table, "pids") || enabled(table, "cpu") {
		t.Error("the table was misread")
	}
}
