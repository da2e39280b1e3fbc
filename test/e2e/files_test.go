package e2e

import "testing"

// TestFilesMoveBetweenDirectories protects what redis, git and every package manager do: a file gets a second name in
// another directory of the same mount. Landlock refuses that (EXDEV) in a domain that knows files and has no rule for
// it. mv would hide it, because it copies instead; a hard link does not.
func TestFilesMoveBetweenDirectories(t *testing.T) {
	e := startEngine(t).withBusybox()
	const link = "for d in /data /root /dev/shm; do " +
		"mkdir $d/$0 && touch $d/$0-x && busybox ln $d/$0-x $d/$0/y || echo $d; done"
	if out := e.brig("run", "--rm", "-v", "vol:/data", "box", "sh", "-c", link, "run"); out != "" {
		t.Errorf("a container cannot link files between directories in\n%s", out)
	}
	e.brig("run", "-d", "--name", "base", "-v", "vol:/data", "box", "sleep", "1000")
	if out := e.brig("exec", "base", "sh", "-c", link, "exec"); out != "" {
		t.Errorf("an executed program cannot link files between directories in\n%s", out)
	}
	e.brig("rm", "-f", "base")
	e.brig("volume", "rm", "vol")
}
