package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestContainersHaveNothingOfTheStarter (T15): who starts the engine with a lower priority, on one processor, without signals
// and with an umask gets the same containers, and the engine its directories.
func TestContainersHaveNothingOfTheStarter(t *testing.T) {
	const script = `umask; grep -E 'Sig(Blk|Ign)|Cpus_allowed_list|THP' /proc/self/status
		cat /proc/self/timerslack_ns /proc/self/coredump_filter
		read -r stat < /proc/self/stat; set -- ${stat##*) }; echo nice ${17} policy ${39}`
	e := startEngine(t).withBusybox()
	want := e.brig("run", "--rm", "box", "sh", "-c", script)
	for _, s := range []string{"0022\n", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "\n50000\n00000033\nnice 0 policy 0"} {
		if !strings.Contains(want, s) {
			t.Errorf("there is no %q in\n%s", s, want)
		}
	}
	dir, err := os.MkdirTemp("", "brig-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	again := &engine{t: t, dir: dir, socket: filepath.Join(dir, "run", "brig.sock"), netns: newNetns(t)}
	t.Cleanup(again.cleanup)
	start := exec.Command("nohup", "taskset", "-c", "0", "chrt", "-b", "0", "nice", "-n", "7", "ionice", "-c", "3", "setarch", "-R", "sh", "-c",
		`trap '' INT QUIT USR1; umask 077; echo 0x1 > /proc/self/coredump_filter; exec "$0" "$@"`, bin(t, "brig"),
		"engine", "start", "--root", dir+"/root", "--run", dir+"/run", "--socket", again.socket)
	start.Env = again.brigCommand().Env
	if out, err := again.inside(start); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, again.log())
	}
	if got := again.withBusybox().brig("run", "--rm", "box", "sh", "-c", script); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
