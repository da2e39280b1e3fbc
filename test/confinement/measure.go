package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/internal/drill/engineapi"
	kernel "github.com/brig-engine/brig/internal/kernel/seccomp"
)

// confinement is what one container is left with.
type confinement struct {
	Effective, Bounding []int // capabilities, by number
	Calls               []string
	Entries             []string // other ways into the kernel: i386, x32
	Families            []int
	Proc, Sys           map[string]int // files that could be written to, by directory
	Root                string         // the host's id of root inside, or "the host's"
	NoNewPrivs          bool
	Own, Shared         []string // namespaces
	Security            string   // what the kernel's security module says of the process
}

// measurePatience is for a container that starts and prints.
const measurePatience = time.Minute

// measure looks at a container of the engine at the socket, with its defaults and with these annotations. It runs where the
// engine does.
func measure(ctx context.Context, socket, program, user string, annotations map[string]string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, measurePatience)
	defer cancel()
	e, err := engineapi.Dial(ctx, socket)
	if err != nil {
		return err
	}
	probe, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := e.Load(ctx, bytes.NewReader(drill.ImageTar(probe))); err != nil {
		return err
	}
	box, err := e.Start(ctx, drill.Spec{Image: drill.ImageName, Args: []string{"brig-probe", "census"}, User: user, Annotations: annotations})
	if err != nil {
		return err
	}
	defer box.Remove(context.WithoutCancel(ctx))
	c := confinement{Proc: map[string]int{}, Sys: map[string]int{}}
	if err := c.inside(ctx, box); err != nil {
		return err
	}
	info, err := box.Info(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(c.status(info.PID), c.namespaces(info.PID), c.filters(info.PID)); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(c)
}

// inside reads what the census has printed.
func (c *confinement) inside(ctx context.Context, box drill.Box) error {
	text := ""
	for !strings.HasSuffix(text, "done\n") {
		b, err := box.Output(ctx)
		if err != nil {
			return err
		}
		text = string(b)
		select {
		case <-ctx.Done():
			return fmt.Errorf("the census does not end: %q", text)
		case <-time.After(50 * time.Millisecond):
		}
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case f[0] == "family":
			n, _ := strconv.Atoi(f[1])
			c.Families = append(c.Families, n)
		case f[0] == "writable" && strings.HasPrefix(f[1], "/proc"):
			c.Proc[f[1]], _ = strconv.Atoi(f[2])
		case f[0] == "writable":
			c.Sys[f[1]], _ = strconv.Atoi(f[2])
		}
	}
	return nil
}

func (c *confinement) status(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "CapEff":
			c.Effective = numbers(value)
		case "CapBnd":
			c.Bounding = numbers(value)
		case "NoNewPrivs":
			c.NoNewPrivs = value == "1"
		}
	}
	ids, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", pid))
	for line := range strings.Lines(string(ids)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "0" {
			c.Root = f[1]
		}
	}
	label, _ := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", pid))
	c.Security = strings.Trim(string(label), "\x00\n")
	return err
}

// numbers are the capabilities of a mask.
func numbers(mask string) (list []int) {
	m, _ := strconv.ParseUint(mask, 16, 64)
	for ; m != 0; m &= m - 1 {
		list = append(list, bits.TrailingZeros64(m))
	}
	return list
}

func (c *confinement) namespaces(pid int) error {
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"} {
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		ours, errOurs := os.Readlink("/proc/1/ns/" + kind)
		if err := errors.Join(err, errOurs); err != nil {
			return err
		}
		if ours == theirs {
			c.Shared = append(c.Shared, kind)
		} else {
			c.Own = append(c.Own, kind)
		}
	}
	return nil
}

// filters asks the kernel for the programs that the process has, and which calls get through all of them.
func (c *confinement) filters(pid int) error {
	programs, err := programsOf(pid)
	if err != nil {
		return fmt.Errorf("filters of process %d: %w", pid, err)
	}
	arch := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	for _, nr := range kernel.Calls(runtime.GOARCH) {
		through := true
		for _, p := range programs {
			ok, err := passes(p, arch, nr)
			if err != nil {
				return err
			}
			through = through && ok
		}
		if through {
			c.Calls = append(c.Calls, kernel.Name(runtime.GOARCH, nr))
		}
	}
	for name, other := range map[string]struct{ arch, nr uint32 }{ // getpid of each
		"i386": {unix.AUDIT_ARCH_I386, 20}, "x32": {unix.AUDIT_ARCH_X86_64, 1<<30 | 39}} {
		through := runtime.GOARCH == "amd64"
		for _, p := range programs {
			ok, err := passes(p, other.arch, other.nr)
			if err != nil {
				return err
			}
			through = through && ok
		}
		if through {
			c.Entries = append(c.Entries, name)
		}
	}
	slices.Sort(c.Entries)
	slices.Sort(c.Calls)
	return nil
}

// programsOf reads the filters of a process, which stands still meanwhile (ptrace(2), PTRACE_SECCOMP_GET_FILTER).
func programsOf(pid int) (list [][]instruction, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceAttach(pid); err != nil {
		return nil, err
	}
	defer unix.PtraceDetach(pid)
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		return nil, err
	}
	get := func(i int, to unsafe.Pointer) (int, error) {
		n, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SECCOMP_GET_FILTER, uintptr(pid), uintptr(i), uintptr(to), 0, 0)
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
	for i := 0; ; i++ {
		n, err := get(i, nil)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) && i == 0 { // no more, or no filter at all
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		b := make([]byte, 8*n)
		if n > 0 {
			if _, err := get(i, unsafe.Pointer(&b[0])); err != nil {
				return nil, err
			}
		}
		list = append(list, decode(b))
	}
}
