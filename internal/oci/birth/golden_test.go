package birth

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/explain"
	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/oci/config"
)

var update = flag.Bool("update", false, "write the golden files")

func goldenProcess() Process {
	return Process{Args: []string{"sh", "-c", "true"}, Env: []string{"PATH=/usr/bin:/bin"}, Cwd: "/work", UID: 7, GID: 8, Groups: []uint32{9},
		Umask: 0o22, Held: 1<<41 - 1, Bounding: 1 << unix.CAP_KILL, Permitted: 1 << unix.CAP_KILL, Effective: 1 << unix.CAP_KILL,
		NoNewPrivs: true, Filters: []calls.Filter{{Name: "seccomp", Code: make([]byte, 8*100)}}, LastCap: 40, ExecByFD: true, Personality: -1,
		OOMScoreAdj: "0", Files: Limit{Name: "RLIMIT_NOFILE", Kind: unix.RLIMIT_NOFILE, Soft: 9, Hard: 20},
		Limits: []Limit{{Name: "RLIMIT_NOFILE", Kind: unix.RLIMIT_NOFILE, Soft: 10, Hard: 20}}}
}

func goldenInput() *Input {
	mount := func(at, kind, source string, options ...string) *config.Mount {
		m, err := config.ParseMount(&specs.Mount{Destination: at, Type: kind, Source: source, Options: options})
		if err != nil {
			panic(err)
		}
		return m
	}
	s := &specs.Spec{Hostname: "ship", Root: &specs.Root{Path: "rootfs", Readonly: true}, Linux: &specs.Linux{
		Sysctl: map[string]string{"net.ipv4.ip_forward": "1"}, MaskedPaths: []string{"/proc/kcore"}, ReadonlyPaths: []string{"/proc/sys"}}}
	for _, n := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.MountNamespace, specs.UTSNamespace, specs.CgroupNamespace} {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: n})
	}
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/run/netns/x"})
	return &Input{Spec: s, Root: "/bundle/rootfs", DevLinks: true, Pts: true, Wait: true, Tasks: 1, Process: goldenProcess(),
		Mounts: []*config.Mount{mount("/proc", "proc", "proc"), mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "ro"),
			mount("/dev/pts", "devpts", "devpts", "newinstance"), mount("/etc/hosts", "bind", "/run/hosts", "rbind", "ro"),
			mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro")},
		Files: map[int]bool{3: true}, Hierarchies: []Hierarchy{{Name: "cpu,cpuacct", Links: []string{"cpu", "cpuacct"}}},
		Devices: []Device{{Path: "/dev/null", Mode: unix.S_IFCHR | 0o666, Dev: unix.Mkdev(1, 3)}}}
}

// inOwnWords prints a list with what is said when an operation fails, in place of the reasons that the warden's plans have.
func inOwnWords(l *List) string {
	var b strings.Builder
	what := map[string]string{}
	n := 0
	for _, op := range l.Ops {
		if op.Label == "" && op.Stage == "" {
			n++
			what[strconv.Itoa(n)] = op.What
		}
	}
	last := ""
	sent, err := json.Marshal(l.Plan)
	if err != nil {
		panic(err)
	}
	p, err := explain.Decode(sent)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(explain.Text(p)) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		number, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if w := what[number]; w != "" && w != last {
			fmt.Fprintf(&b, "       # %s\n", w)
			last = w
		}
		b.WriteString(line)
	}
	return b.String()
}

// Every property of a container that the kernel enforces is a line of these files; a change of one is a review.
func TestGoldenLists(t *testing.T) {
	create := func(change func(in *Input)) func() (*List, error) {
		return func() (*List, error) {
			in := goldenInput()
			change(in)
			return Create(in)
		}
	}
	for name, make := range map[string]func() (*List, error){
		"create": create(func(*Input) {}),
		"run-it": create(func(in *Input) { in.Wait, in.Process.Terminal = false, true }),
		"listener": create(func(in *Input) { // the filter comes before the wait, and nothing but execve after it
			in.Process.AppArmor, in.Process.Filters[0].Flags = "mine", unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		}),
		"new-privileges": create(func(in *Input) {
			in.Process.NoNewPrivs, in.Process.AppArmor, in.Process.Ambient = false, "mine", 1<<unix.CAP_KILL
		}),
		"user-namespace": create(func(in *Input) {
			in.UserNS = true
			in.Spec.Linux.Namespaces = append(in.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace}, specs.LinuxNamespace{Type: specs.TimeNamespace})
			in.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 5}}
		}),
		"no-pivot": create(func(in *Input) { in.NoPivot, in.HostMounts = true, []string{"/proc", "/sys", "/proc"} }),
		"exec": func() (*List, error) {
			return Exec(&Entry{Namespaces: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Tasks: 1, Process: goldenProcess()})
		},
		"hook": func() (*List, error) {
			return Hook(unix.CLONE_NEWPID|unix.CLONE_NEWNS, "/usr/bin/hook", []string{"hook"}, nil), nil
		},
	} {
		l, err := make()
		if err != nil {
			t.Fatal(err)
		}
		if got := inOwnWords(l); strings.Contains(got, "not a system call") {
			t.Errorf("%s makes a call that nobody has named:\n%s", name, got)
		}
		if _, err := l.Link(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		file, got := filepath.Join("testdata", name+".plan"), inOwnWords(l)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || string(want) != got {
			t.Errorf("%s differs (%v); look at the change, then go test ./internal/oci/birth -update\n%s", file, err, got)
		}
	}
}
