package oci

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Each line is something that a configuration can say of a process.
func TestProcess(t *testing.T) {
	b := newBox(t, "id; umask; cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; grep -E 'Cap|NoNewPrivs|Seccomp:|SigIgn|SigBlk' /proc/self/status; env; hostname; pwd; cat /proc/sys/kernel/domainname; cat /proc/sys/net/ipv4/ip_forward")
	umask, score := uint32(0o27), 77
	p := b.spec.Process
	p.User = specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9, 10}, Umask: &umask}
	p.OOMScoreAdj, p.NoNewPrivileges, p.Cwd = &score, true, "/made/for/it"
	p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}}
	ambient := []string{"CAP_NET_BIND_SERVICE"}
	p.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_NET_BIND_SERVICE", "CAP_KILL"}, Effective: ambient, Permitted: ambient,
		Inheritable: ambient, Ambient: ambient}
	b.spec.Hostname, b.spec.Domainname = "ship", "sea"
	b.spec.Root.Readonly = false
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	b.spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64},
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdirat", "mkdir"}, Action: specs.ActErrno}}}
	b.prints("uid=7 gid=8 groups=9,10", "0027", "77", "100", "200", "CapInh:\t0000000000000400", "CapPrm:\t0000000000000400",
		"CapEff:\t0000000000000400", "CapBnd:\t0000000000000420", "CapAmb:\t0000000000000400", "NoNewPrivs:\t1", "Seccomp:\t2",
		"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "HOME=/home/mate", "ship", "/made/for/it", "sea", "1")
	b.spec.Process.Args = []string{"mkdir", "/tmp/x"}
	if out, status := b.once(); status == 0 || !strings.Contains(out, "not permitted") {
		t.Errorf("mkdir in spite of the filter: %d %s", status, out)
	}
	// Without no_new_privs the filter is loaded by another order of steps (T16).
	b.spec.Process.NoNewPrivileges = false
	if out, status := b.once(); status == 0 || !strings.Contains(out, "not permitted") {
		t.Errorf("mkdir in spite of the filter: %d %s", status, out)
	}
}

// A caller that ignores signals, has an umask and a low priority makes the same containers (T15).
func TestCallerLeavesNoTrace(t *testing.T) {
	b := newBox(t, "umask; grep -E 'Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd; cat /proc/self/stat | while read a b c d e f g h i j k l m n o p q r s rest; do echo nice $s; done")
	b.write()
	cmd := exec.Command("nice", "-n", "5", "sh", "-c", `trap '' INT HUP QUIT; umask 077; exec "$0" --root "$1" run --bundle "$2" "$3" 9</dev/null`,
		b.program, b.state, b.dir, b.id)
	out, err := cmd.CombinedOutput()
	want := "0022\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n1\n2\n3\nnice 0\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s want\n%s", err, out, want)
	}
}

func TestNamespacesByPath(t *testing.T) {
	one := newBox(t, idle)
	one.write()
	pidFile := filepath.Join(one.dir, "pid")
	one.ok("run", "-d", "--pid-file", pidFile, "--bundle", one.dir, one.id)
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	other := newBox(t, "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; hostname")
	other.spec.Hostname = ""
	for i, n := range other.spec.Linux.Namespaces {
		name := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts", specs.PIDNamespace: "pid"}[n.Type]
		if name != "" {
			other.spec.Linux.Namespaces[i].Path = "/proc/" + string(pid) + "/ns/" + name
		}
	}
	var want []string
	for _, name := range []string{"net", "ipc", "uts", "pid"} {
		link, err := os.Readlink("/proc/" + string(pid) + "/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, link)
	}
	other.prints(append(want, "brig")...)
	other.spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.UTSNamespace, Path: "/proc/" + string(pid) + "/ns/net"}}
	other.write()
	other.refused("no namespace of type uts", "run", "--bundle", other.dir, other.id)
	other.spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}}
	other.write()
	other.refused("has no mount namespace", "run", "--bundle", other.dir, other.id)
}

func TestUserNamespace(t *testing.T) {
	b := newBox(t, "cat /proc/self/uid_map; id -u; touch /tmp/made /mnt/made; stat -c '%u %g' /tmp/made /mnt/made /mnt/before; echo x > /dev/null && echo null works; grep CapEff /proc/self/status; mount -t tmpfs tmpfs /full || echo refused")
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "before"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300000, Size: 1000}}
	b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = maps, maps
	b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	b.spec.Root.Readonly = false
	// The bind has the ids of the host outside, and the container's inside.
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: "/mnt", Source: outside, Options: []string{"bind", "idmap"}})
	root := filepath.Join(b.dir, "rootfs")
	if err := filepath.Walk(root, func(p string, _ os.FileInfo, err error) error {
		if err == nil {
			err = os.Lchown(p, 300000, 300000)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	b.prints("         0     300000       1000", "0\n", "0 0\n0 0\n0 0\n", "null works", "refused")
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(outside, "made"), &st); err != nil || st.Uid != 0 {
		t.Errorf("a file of an idmapped bind belongs to %d on the host, want 0 (%v)", st.Uid, err)
	}
	if err := unix.Stat(filepath.Join(root, "tmp/made"), &st); err != nil || st.Uid != 300000 {
		t.Errorf("a file of the root belongs to %d on the host, want 300000 (%v)", st.Uid, err)
	}
}

// Docker's way to a terminal: its other end is sent to a socket, and belongs to the container's own devpts.
func TestTerminalIsSent(t *testing.T) {
	b := newBox(t, "tty; stat -c %u /dev/pts/0; stty size; ls -l /dev/console")
	b.spec.Process.Terminal = true
	b.spec.Process.User.UID = 7
	b.spec.Process.ConsoleSize = &specs.Box{Height: 33, Width: 111}
	b.write()
	b.refused("needs --console-socket", "create", "--bundle", b.dir, b.id)
	socket := filepath.Join(b.dir, "console.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		got <- readTerminal(l)
	}()
	b.ok("create", "--bundle", b.dir, "--console-socket", socket, b.id)
	b.ok("start", b.id)
	select {
	case text := <-got:
		for _, line := range []string{"/dev/pts/0", "7", "33 111", "crw"} {
			if !strings.Contains("\n"+text, "\n"+line) {
				t.Errorf("no line begins with %q:\n%s", line, text)
			}
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no terminal came")
	}
}

// readTerminal takes a descriptor from the socket and reads what comes out of it.
func readTerminal(l *net.UnixListener) string {
	c, err := l.AcceptUnix()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	data, control := make([]byte, 100), make([]byte, 100)
	_, n, _, _, err := c.ReadMsgUnix(data, control)
	if err != nil {
		return err.Error()
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return "no descriptor"
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err.Error()
	}
	f := os.NewFile(uintptr(fds[0]), "terminal")
	defer f.Close()
	var text strings.Builder
	b := make([]byte, 1000)
	for {
		n, err := f.Read(b)
		text.Write(b[:n])
		if err != nil {
			return strings.ReplaceAll(text.String(), "\r", "")
		}
	}
}

func TestDescriptors(t *testing.T) {
	b := newBox(t, "cat <&3; cat <&4; ls /proc/self/fd")
	b.write()
	cmd := exec.Command("sh", "-c", `exec "$0" --root "$1" run --preserve-fds 2 --bundle "$2" "$3" 3</proc/sys/kernel/ostype 4</proc/sys/kernel/pid_max 5</dev/null`,
		b.program, b.state, b.dir, b.id)
	out, err := cmd.CombinedOutput()
	if lines := strings.Split(string(out), "\n"); err != nil || len(lines) != 9 || lines[0] != "Linux" {
		t.Errorf("%v\n%s", err, out)
	} else if _, err := strconv.Atoi(lines[1]); err != nil || strings.Join(lines[2:], " ") != "0 1 2 3 4 5 " { // 5 is the directory's
		t.Errorf("%q", lines)
	}
}
