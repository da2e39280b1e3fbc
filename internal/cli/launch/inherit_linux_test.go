package launch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inherited is what the keeper and all after it have from who started it.
func inherited() string {
	umask := unix.Umask(0)
	unix.Umask(umask)
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return err.Error()
	}
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		return err.Error()
	}
	dumped, _ := os.ReadFile("/proc/self/coredump_filter")
	slack, _ := os.ReadFile("/proc/self/timerslack_ns")
	return fmt.Sprintf("umask %03o, policy %d, nice %d, %d processors, dumped %s, slack %s\n", umask, attr.Policy, attr.Nice,
		cpus.Count(), strings.TrimSpace(string(dumped)), strings.TrimSpace(string(slack)))
}

// TestTheKeeperHasNothingOfItsStarter: neither one that is started nor one that this process becomes (T15). The command that
// needed an engine keeps its own umask.
func TestTheKeeperHasNothingOfItsStarter(t *testing.T) {
	if dir := os.Getenv("BRIG_TEST_STARTER"); dir != "" {
		run := filepath.Join(dir, "run")
		err := Start(Options{Root: filepath.Join(dir, "root"), Run: run, Socket: filepath.Join(run, "brig.sock"),
			Programs: filepath.Join(dir, "programs"), Foreground: os.Getenv("BRIG_TEST_FOREGROUND") != ""})
		if umask := unix.Umask(0); err != nil || umask != 0o077 {
			t.Fatalf("%v, umask %03o", err, umask)
		}
		return
	}
	for _, foreground := range []string{"", "1"} {
		o := options(t, "inherit")
		cmd := exec.Command("taskset", "-c", "0", "nice", "-n", "7", "sh", "-c",
			`umask 077; echo 0x1 > /proc/self/coredump_filter; exec "$0" -test.run='TestTheKeeperHasNothingOfItsStarter$'`, os.Args[0])
		cmd.Env = append(os.Environ(), "BRIG_TEST_STARTER="+filepath.Dir(o.Run), "BRIG_TEST_FOREGROUND="+foreground)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if foreground == "" {
			if out, err = os.ReadFile(filepath.Join(o.Run, "engine.log")); err != nil {
				t.Fatal(err)
			}
		}
		want := fmt.Sprintf("umask 022, policy 0, nice 0, %d processors, dumped 00000033, slack 1000000\n", processors(t))
		if string(out) != want {
			t.Errorf("foreground %q: got %s, want %s", foreground, out, want)
		}
	}
}

// processors are all that this machine has for us, whatever we were started with.
func processors(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("sh", "-c", "taskset -p -c 0-8191 $$ > /dev/null; nproc").Output()
	n := 0
	if _, scanErr := fmt.Sscan(string(out), &n); err != nil || scanErr != nil {
		t.Fatal(err, scanErr)
	}
	return n
}
