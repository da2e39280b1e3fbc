package guest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSELinuxWithoutPolicy: where no policy is loaded the engine sets no label, and says so to whoever asks for one; nor does it
// pretend to have AppArmor.
func TestSELinuxWithoutPolicy(t *testing.T) {
	if lsm := text(t, "/sys/kernel/security/lsm"); !strings.Contains(lsm, "selinux") || strings.Contains(lsm, "apparmor") {
		t.Fatalf("the kernel has %s", lsm)
	}
	if text(t, "/sys/fs/selinux/enforce") != "0" {
		t.Fatal("a policy is enforced, and none was loaded")
	}
	e := start(t)
	t.Run("info", func(t *testing.T) {
		out := e.brig("info", "--format", "{{.SecurityOptions}} {{.Warnings}}")
		if strings.Contains(out, "name=selinux") || strings.Contains(out, "apparmor") || !strings.Contains(out, "selinux labels of containers") {
			t.Error(out)
		}
	})
	t.Run("run", func(t *testing.T) {
		e.brig("run", "--rm", "--security-opt", "label=disable", "--security-opt", "apparmor=unconfined", "box", "true")
	})
	for _, o := range []string{"label:level:s0:c100,c200", "label=level:s0:c100,c200", "label:user:x", "label:role:x", "label:type:x"} {
		t.Run(o, func(t *testing.T) {
			e.refused(t, 125, []string{"--security-opt " + o, "no SELinux with a policy for containers"}, "run", "--rm", "--security-opt", o, "box", "true")
		})
	}
	t.Run("AppArmor", func(t *testing.T) {
		e.refused(t, 125, []string{"--security-opt apparmor=brig-default", "no AppArmor"}, "run", "--rm", "--security-opt", "apparmor=brig-default", "box", "true")
	})
}

// contained is the label that the engine gives.
var contained = regexp.MustCompile(`^system_u:system_r:container_t:(s0:c\d+,c\d+)$`)

// TestSELinuxZEnforces has Debian's policy, with the types of dist/selinux, refuse what is otherwise allowed. It is the last: a
// policy cannot be taken away.
func TestSELinuxZEnforces(t *testing.T) {
	enforce(t)
	e := start(t)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("sh", "-c", "dmesg | grep avc | tail -n 40").CombinedOutput()
			t.Logf("%s", out)
		}
	})
	t.Run("info", func(t *testing.T) {
		if out := e.brig("info", "--format", "{{.SecurityOptions}} {{.Warnings}}"); !strings.Contains(out, "name=selinux") || strings.Contains(out, "selinux labels") {
			t.Error(out)
		}
	})
	labels(t, e)
	everydaySELinux(t, e)
	hostFiles(t, e)
	private(t, e)
}

// TestSELinuxZRuntime has brig-oci alone set the labels that another engine asks for, with mqueue, which no user namespace may label.
func TestSELinuxZRuntime(t *testing.T) {
	enforce(t)
	const level, bundle = "s0:c3,c4", "/data/bundle"
	sh(t, "mkdir -p /data/bundle/rootfs && tar -C /data/bundle/rootfs -xf "+box(t))
	if err := filepath.WalkDir(bundle, func(name string, _ fs.DirEntry, err error) error {
		return errors.Join(err, unix.Lsetxattr(name, "security.selinux", []byte("system_u:object_r:container_file_t:"+level), 0))
	}); err != nil {
		t.Fatal(err)
	}
	for name, users := range map[string]string{"": "", "in a user namespace": `,{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":0,"size":65536}],` +
		`"gidMappings":[{"containerID":0,"hostID":0,"size":65536}`} {
		t.Run("labels "+name, func(t *testing.T) {
			config := `{"ociVersion":"1.2.0","root":{"path":"rootfs"},"process":{"cwd":"/","user":{},"noNewPrivileges":true,"env":["PATH=/bin"],
				"selinuxLabel":"system_u:system_r:container_t:` + level + `",
				"args":["sh","-c","cat /proc/self/attr/current; echo; grep -c context=.*container_file_t:` + level + ` /proc/mounts; echo x >/tmp/x && cat /tmp/x; : >/dev/mqueue/q && echo queue"]},
				"mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"},
				{"destination":"/dev/mqueue","type":"mqueue","source":"mqueue"},{"destination":"/tmp","type":"tmpfs","source":"tmpfs"}],
				"linux":{"mountLabel":"system_u:object_r:container_file_t:` + level + `",
				"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"network"}` + users + `]}}`
			if err := os.WriteFile(bundle+"/config.json", []byte(config), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("/vm/bin/brig-oci", "--root", "/run/oci", "run", "--bundle", bundle, "labelled").CombinedOutput()
			said := strings.ReplaceAll(string(out), "\x00", "")
			if err != nil || !strings.HasPrefix(said, "system_u:system_r:container_t:"+level+"\n") || !strings.HasSuffix(said, "x\nqueue\n") || strings.Contains(said, "\n0\n") {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}

// enforce loads the policy that was compiled outside, as an init does, and has the kernel enforce it.
func enforce(t *testing.T) {
	t.Helper()
	if text(t, "/sys/fs/selinux/mls") == "1" {
		return
	}
	if err := os.WriteFile("/sys/fs/selinux/load", readFile(t, "/vm/selinux.policy"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/sys/fs/selinux/enforce", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	// As a distribution's /dev has it.
	if err := unix.Setxattr("/dev/null", "security.selinux", []byte("system_u:object_r:null_device_t:s0"), 0); err != nil {
		t.Fatal(err)
	}
	if text(t, "/sys/fs/selinux/enforce") != "1" || text(t, "/sys/fs/selinux/mls") != "1" {
		t.Fatal("the policy is not enforced")
	}
}

// label is that of a container's program.
func (e *engine) label(args ...string) string {
	e.t.Helper()
	out := e.brig(append(append([]string{"run", "--rm"}, args...), "box", "cat", "/proc/self/attr/current")...)
	return strings.Trim(out, "\x00\r\n ")
}

func labels(t *testing.T, e *engine) {
	t.Run("by default, two are never the same", func(t *testing.T) {
		first, second := e.label(), e.label()
		if !contained.MatchString(first) || !contained.MatchString(second) || first == second {
			t.Errorf("%q and %q", first, second)
		}
	})
	for name, args := range map[string][]string{"init": {"--init"}, "terminal": {"-t"}, "new privileges": {"--security-opt", "no-new-privileges=false"}} {
		t.Run(name, func(t *testing.T) {
			if l := e.label(args...); !contained.MatchString(l) {
				t.Errorf("%q", l)
			}
		})
	}
	for _, o := range []string{"label=level:s0:c100,c200", "label:level:s0:c100,c200"} {
		t.Run(o, func(t *testing.T) {
			if l := e.label("--security-opt", o); l != "system_u:system_r:container_t:s0:c100,c200" {
				t.Errorf("%q", l)
			}
		})
	}
	t.Run("what the policy does not have", func(t *testing.T) {
		e.refused(t, 125, []string{"SELinux label system_u:system_r:nobodys_t", "no such thing"}, "run", "--rm", "--security-opt", "label=type:nobodys_t", "box", "true")
		e.refused(t, 125, []string{"container_file_t:s9", "invalid argument"}, "run", "--rm", "--security-opt", "label=level:s9", "box", "true")
	})
	t.Run("disable", func(t *testing.T) {
		if l := e.label("--security-opt", "label=disable"); !strings.HasPrefix(l, "system_u:system_r:kernel_t:") {
			t.Errorf("%q", l)
		}
	})
	t.Run("inspect, exec and who joins", func(t *testing.T) {
		e.brig("run", "-d", "--name", "web", "--ipc", "shareable", "box", "sleep", "1000")
		defer e.brig("rm", "-f", "web")
		want := strings.Trim(e.brig("exec", "web", "cat", "/proc/1/attr/current"), "\x00")
		m := contained.FindStringSubmatch(want)
		if m == nil {
			t.Fatalf("process 1 has %q", want)
		}
		if out := e.brig("inspect", "--format", "{{.ProcessLabel}} {{.MountLabel}}", "web"); out != want+" system_u:object_r:container_file_t:"+m[1] {
			t.Errorf("inspect says %q", out)
		}
		if out := strings.Trim(e.brig("exec", "web", "cat", "/proc/self/attr/current"), "\x00"); out != want {
			t.Errorf("what is executed has %q", out)
		}
		if out := e.label("--network", "container:web", "--ipc", "container:web"); out != want {
			t.Errorf("who joins it has %q", out)
		}
		e.brig("exec", "web", "sh", "-c", "echo x >/dev/shm/x")
		if out := e.brig("run", "--rm", "--ipc", "container:web", "box", "cat", "/dev/shm/x"); out != "x" {
			t.Error(out)
		}
	})
}

// everydaySELinux is what must work under a label.
func everydaySELinux(t *testing.T, e *engine) {
	const script = `try() { sh -c "$1" >/dev/null 2>/tmp/err || echo "$1: $(cat /tmp/err)"; }
		for d in / /tmp /dev/shm /data /cache; do try "echo x >$d/x && mv $d/x $d/y && ln -s y $d/z && cat $d/z && mkdir $d/d && rm -r $d/d $d/y $d/z"; done
		for f in /dev/stdout /dev/stderr /dev/null /dev/zero /proc/self/comm; do try "echo x >$f"; done
		try "cat /dev/urandom | head -c 10"
		try "cp /bin/busybox /tmp/busybox && /tmp/busybox true"
		try "busybox mknod /tmp/fifo p && (echo x >/tmp/fifo & cat /tmp/fifo)"
		try "busybox chown 5:5 /tmp/busybox"
		try "sleep 100 & kill \$!"
		try "ls /dev/mqueue /dev/pts"
		try ": >/dev/mqueue/q && cat /dev/mqueue/q && rm /dev/mqueue/q"
		try "(echo x | busybox nc -l -p 80 -w 5 &) ; usleep 300000; busybox nc 127.0.0.1 80"
		try "cat /etc/hosts /etc/resolv.conf /proc/meminfo /proc/net/dev /proc/sys/kernel/osrelease /sys/kernel/mm/transparent_hugepage/enabled"`
	for name, args := range map[string][]string{"pipes": nil, "terminal": {"-t"}, "init": {"--init"}, "a level": {"--security-opt", "label=level:s0:c7,c9", "--shm-size", "1m"}} {
		t.Run("everyday things, "+name, func(t *testing.T) {
			args = append(append([]string{"run", "--rm", "-v", "data:/data", "--tmpfs", "/cache", "--mount", "type=image,source=box,target=/image"}, args...),
				"box", "sh", "-c", script+"; /image/bin/busybox true; echo end")
			if out, status := e.try(args...); out != "end" || status != 0 {
				t.Errorf("status %d: %s", status, out)
			}
		})
	}
	t.Run("two share a volume", func(t *testing.T) {
		e.brig("run", "--rm", "-v", "both:/data", "box", "sh", "-c", "mkdir /data/d && echo x >/data/d/f")
		if out := e.brig("run", "--rm", "-v", "both:/data", "box", "cat", "/data/d/f"); out != "x" {
			t.Error(out)
		}
	})
	t.Run("cp and commit", func(t *testing.T) {
		e.brig("run", "--name", "copied", "box", "sh", "-c", "echo x >/file")
		defer e.brig("rm", "-f", "copied")
		if out := e.brig("cp", "copied:/file", "-"); !strings.Contains(out, "x") {
			t.Error(out)
		}
		e.brig("commit", "copied", "committed")
		if out := e.brig("run", "--rm", "committed", "cat", "/file"); out != "x" {
			t.Error(out)
		}
	})
}

// hostFiles: what DAC allows SELinux refuses, until the file is relabelled or the label is switched off.
func hostFiles(t *testing.T, e *engine) {
	sh(t, "mkdir -p /data/host/below && echo x >/data/host/below/f && echo x >/data/out && ln -s /data/out /data/host/link")
	read := func(args ...string) (string, int) {
		return e.try(append(append([]string{"run", "--rm"}, args...), "box", "cat", "/host/below/f")...)
	}
	out, _ := read("-v", "/data/host:/host")
	if !strings.Contains(out, "Permission denied") {
		t.Errorf("a file that is not the container's is read: %s", out)
	}
	if out, _ := read("-v", "/data/host:/host", "--security-opt", "label=disable"); out != "x" {
		t.Errorf("refused by something else than SELinux: %s", out)
	}
	for range 2 {
		if out, _ := read("-v", "/data/host:/host:z"); out != "x" {
			t.Errorf("z: %s", out)
		}
	}
	if out, _ := read("-v", "/data/host:/host"); out != "x" {
		t.Errorf("after z: %s", out)
	}
	for file, want := range map[string]string{"/data/host/below/f": "system_u:object_r:container_file_t:s0", "/data/out": "unlabeled"} {
		label := make([]byte, 256)
		n, err := unix.Getxattr(file, "security.selinux", label)
		if err != nil || !strings.Contains(string(label[:n]), want) {
			t.Errorf("%s has the label %q, want %s (%v)", file, label[:max(n, 0)], want, err)
		}
	}
	for _, dir := range []string{"/usr", "/etc", "/home"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		e.refused(t, 125, []string{"relabels no directory that the host itself needs", dir}, "run", "--rm", "-v", dir+":/host:z", "box", "true")
	}
}

// private: of Z each container's directory is its own, and what is made in it. That it is the categories which refuse is shown by
// a third container that is given those of one of them.
func private(t *testing.T, e *engine) {
	sh(t, "mkdir -p /data/both/p1 /data/both/p2")
	e.brig("run", "--rm", "-v", "/data/both:/all:z", "box", "true")
	for _, n := range []string{"1", "2"} {
		e.brig("run", "-d", "--name", "p"+n, "-v", "/data/both/p"+n+":/own:Z", "-v", "/data/both:/all", "box", "sh", "-c", "echo mine >/own/f; sleep 1000")
		defer e.brig("rm", "-f", "p"+n)
	}
	for _, c := range []struct{ who, file, want string }{
		{"p1", "/own/f", "mine"}, {"p2", "/own/f", "mine"}, {"p1", "/all/p2/f", "denied"}, {"p2", "/all/p1/f", "denied"},
	} {
		if out, _ := e.try("exec", c.who, "cat", c.file); !strings.Contains(out, c.want) {
			t.Errorf("%s reads %s: %s", c.who, c.file, out)
		}
	}
	_, level, _ := strings.Cut(e.brig("inspect", "--format", "{{.ProcessLabel}}", "p1"), "container_t:")
	if out, _ := e.try("run", "--rm", "-v", "/data/both:/all", "--security-opt", "label=level:"+level, "box", "cat", "/all/p1/f", "/all/p2/f"); !strings.HasPrefix(out, "mine") || !strings.Contains(out, "/all/p2/f") {
		t.Errorf("with the level %s of p1: %s", level, out)
	}
}

func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}
