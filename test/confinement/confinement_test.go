package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/dist/embed/filters"
	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/warden/code"
	"github.com/brig-engine/brig/test/room"
)

func TestMain(m *testing.M) {
	room.Main()
	for i, a := range os.Args {
		if a == "-measure" { // this program, inside a room
			if err := lookInside(context.Background(), os.Args[i+1], os.Args[i-1], os.Args[i+3]); err != nil {
				os.Stderr.WriteString(err.Error() + "\n")
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// Following the programs instruction by instruction finds the calls that the tables they were made of let through.
func TestWhatIsFollowedIsWhatTheTablesSay(t *testing.T) {
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	var programs [][]instruction
	for _, name := range []string{"floor", "default"} {
		b, err := code.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, decode(b))
	}
	count := 0
	for _, nr := range kernel.Calls(runtime.GOARCH) {
		through := true
		for _, p := range programs {
			ok, err := passes(p, arch, nr)
			if err != nil {
				t.Fatal(err)
			}
			through = through && ok
		}
		if through {
			count++
		}
	}
	if want := filters.Left(filter.Arch(runtime.GOARCH)).Calls; count != want {
		t.Errorf("%d calls, the tables let %d through", count, want)
	}
	if ok, _ := passes(programs[0], unix.AUDIT_ARCH_I386, 20); ok && runtime.GOARCH == "amd64" {
		t.Error("i386 is not closed")
	}
}

// A program that cannot be followed is no program that lets nothing through.
func TestProgramsThatDoNotEnd(t *testing.T) {
	for name, p := range map[string][]instruction{"empty": nil, "unknown": {{code: 0x15, jt: 5, jf: 5}}, "loads": {{code: 0x20}}} {
		if ok, err := passes(p, 1, 1); !ok || err == nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

// Brig's defaults leave no more of anything than those of the distribution's Docker and Podman.
func TestBrigLeavesNoMoreThanOthers(t *testing.T) {
	if os.Getenv("BRIG_SLOW") == "" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	stage := room.Stage{Bin: bin, Dir: "/var/tmp"}
	strike, err := stage.Set(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := strike(); err != nil {
			t.Error(err)
		}
	}()
	for _, e := range []room.Engine{room.DockerIO("x"), room.Podman()} {
		if _, err := e.Find(stage.Peers); err == nil {
			continue
		}
		if _, err := exec.LookPath("apt-get"); err != nil {
			t.Skip("missing: docker engine")
		}
		if err := stage.Peers.Unpack(t.Context(), map[string]string{"docker.io": "docker.io", "podman": "podman"}[e.Name]); err != nil {
			t.Fatal(err)
		}
	}
	p := &page{}
	err = p.fill(t.Context(), &stage)
	for _, r := range p.results {
		if r.failure != "" {
			t.Errorf("%s: %s", r.name, r.failure)
		}
	}
	if err = errors.Join(err, p.hold()); err != nil {
		t.Errorf("%v\n%s", err, p.markdown())
	}
}
