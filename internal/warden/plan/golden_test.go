package plan_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/daemon/explain"
	"github.com/brig-engine/brig/internal/warden/plan"
	"github.com/brig-engine/brig/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// printed is a plan as brigd prints it, which has it as JSON.
func printed(t *testing.T, p *plan.Plan) string {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	arrived, err := explain.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return explain.Text(arrived)
}

// goldenHost is a fixed host: golden plans do not depend on the machine.
func goldenTasks(n int) plan.Host {
	h := goldenHost()
	h.Tasks = n
	return h
}

func goldenHost() plan.Host {
	limit := func(kind int, soft, hard uint64) plan.Limit {
		return plan.Limit{Name: "nofile", Kind: kind, Soft: soft, Hard: hard}
	}
	return plan.Host{Limits: plan.Limits{OOMScoreAdj: "0", Resources: []plan.Limit{limit(unix.RLIMIT_NOFILE, 1024, 4096),
		{Name: "core", Kind: unix.RLIMIT_CORE, Hard: 1, Raise: true}}}, Landlock: true, LastCap: 40, ExecByFD: true, Filters: []plan.Filter{
		{Name: "floor", Code: make([]byte, 50*8)}, {Name: "default", Code: make([]byte, 100*8)}}}
}

// Every property of a container that the kernel enforces is a line of these files; a change of one is a review.
func TestGoldenPlans(t *testing.T) {
	births := map[string]func(in *plan.Input){
		"run":       func(*plan.Input) {},
		"run-it":    func(in *plan.Input) { in.Spec.Process.Terminal = true },
		"run-init":  func(in *plan.Input) { in.Spec.Init = true },
		"read-only": func(in *plan.Input) { in.Spec.WritableRoot = false },
		"mounts": func(in *plan.Input) {
			in.Spec.Mounts = []wire.Mount{{Kind: wire.MountVolume, Source: "data", Target: "/var/lib/data", Writable: true},
				{Kind: wire.MountBind, Source: "/srv/conf", Target: "/etc/app.conf"},
				{Kind: wire.MountTmpfs, Target: "/tmp", Writable: true, Exec: true}}
			in.Files = []int{1}
		},
		"user": func(in *plan.Input) {
			mask := uint32(0o27)
			in.Spec.Process.User = wire.User{UID: 1000, GID: 100, Groups: []uint32{100, 2000}, Umask: &mask}
			in.Spec.Process.Cwd = "/home/user"
		},
		"selinux": func(in *plan.Input) {
			in.ProcessLabel, in.MountLabel = "system_u:system_r:container_t:s0:c1,c513", "system_u:object_r:container_file_t:s0:c1,c513"
		},
		"apparmor":       func(in *plan.Input) { in.Spec.Process.AppArmor = "brig-default" },
		"new-privileges": func(in *plan.Input) { in.Spec.Process.AllowNewPrivileges = true },
		"sysctl": func(in *plan.Input) {
			in.Spec.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel.msgmax": "65536"}
		},
		"join-network": func(in *plan.Input) {
			in.Spec.Join = wire.Join{Container: strings.Repeat("a", 64), Namespaces: unix.CLONE_NEWNET}
			in.Spec.Network, in.Spec.Files = wire.Network{}, nil
		},
		"join-ipc-pid": func(in *plan.Input) {
			in.Spec.Join = wire.Join{Container: strings.Repeat("a", 64), Namespaces: unix.CLONE_NEWIPC | unix.CLONE_NEWPID}
		},
		"runtime": func(in *plan.Input) {
			in.Spec.Mounts = []wire.Mount{{Kind: wire.MountVolume, Source: "data", Target: "/var/lib/data", Writable: true},
				{Kind: wire.MountBind, Source: "/srv/conf", Target: "/etc/hosts", Writable: true}}
			in.Spec.WritableRoot, in.Files = false, []int{1}
			p := spec("/usr/sbin/runc", "run").Process
			p.NoLandlock = true
			in.Runtime = &p
		},
		"cgroups": func(in *plan.Input) { in.Tasks, in.ExecByFD = 2, false },
	}
	plans := map[string]func() (*plan.Plan, error){
		"exec": func() (*plan.Plan, error) {
			return plan.Join(&spec("sh", "-c", "id").Process, new(goldenTasks(1)))
		},
		"exec-apparmor": func() (*plan.Plan, error) {
			p := spec("sh", "-c", "id").Process
			p.AppArmor = "of-the-administrator"
			return plan.Join(&p, new(goldenHost()))
		},
		"exec-runtime": func() (*plan.Plan, error) {
			p, h := spec("/usr/sbin/runc", "exec").Process, goldenHost()
			p.NoLandlock = true
			h.Runtime = &p
			return plan.Join(&p, &h)
		},
		"exec-it": func() (*plan.Plan, error) {
			p := spec("sh").Process
			p.Terminal, p.Cwd = true, "/home/user"
			return plan.Join(&p, new(goldenHost()))
		},
		"service-brigd": func() (*plan.Plan, error) {
			return plan.Service(plan.ServiceInput{Args: []string{"brigd"}, Env: []string{"GOMAXPROCS=2"}, FDs: 2,
				UID: 0x7ffd0001, GID: 0x7ffd0001, Host: goldenHost()})
		},
		"service-router": func() (*plan.Plan, error) {
			const steady = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_BIND_SERVICE
			const start = steady | 1<<unix.CAP_SYS_ADMIN
			return plan.Service(plan.ServiceInput{Args: []string{"brig-router"}, FDs: 2, UID: 0x7ffd0002, GID: 0x7ffd0002,
				Capabilities: start, Steady: steady, Host: goldenHost()})
		},
		"service-store": func() (*plan.Plan, error) {
			return plan.Service(plan.ServiceInput{Args: []string{"brig-store", "/var/lib/brig/store"}, FDs: 3, UID: 0x7ffd0003, GID: 0x7ffd0003,
				Host: goldenHost()})
		},
		"service-worker": func() (*plan.Plan, error) {
			return plan.Service(plan.ServiceInput{Args: []string{"brig-worker"}, FDs: 3, UID: 1, GID: 1, Worker: true,
				Host: goldenTasks(1)})
		},
		"service-copier": func() (*plan.Plan, error) { return plan.Service(copier(nil)) },
		"service-copier-stopped": func() (*plan.Plan, error) {
			s := spec("sh")
			s.Mounts = []wire.Mount{{Kind: wire.MountVolume, Source: "data", Target: "/var/lib/data", Writable: true}}
			s.MaskedPaths, s.ReadonlyPaths = []string{"/proc/kcore"}, []string{"/proc/sys"}
			return plan.Service(copier(s))
		},
	}
	for name, change := range births {
		plans[name] = func() (*plan.Plan, error) {
			s := spec("sh", "-c", "id")
			s.MaskedPaths, s.ReadonlyPaths = []string{"/proc/kcore", "/sys/firmware"}, []string{"/proc/sys"}
			s.Network.Mode = wire.NetworkEndpoint
			in := plan.Input{Spec: s, Host: goldenHost()}
			change(&in)
			return plan.Birth(in)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(plans)) {
		t.Run(name, func(t *testing.T) {
			p, err := plans[name]()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Link(); err != nil {
				t.Fatal(err)
			}
			got := printed(t, p)
			file := filepath.Join("testdata", name+".plan")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the plan has changed; compare and use -update:\n%s", got)
			}
		})
	}
}
