package cgroup

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/wire"
)

// always are the devices of every container. They may be read and written; nobody needs to make device nodes.
var always = []wire.DeviceRule{
	{Type: "c", Major: 1, Minor: 3, Access: "rw"},    // null
	{Type: "c", Major: 1, Minor: 5, Access: "rw"},    // zero
	{Type: "c", Major: 1, Minor: 7, Access: "rw"},    // full
	{Type: "c", Major: 1, Minor: 8, Access: "rw"},    // random
	{Type: "c", Major: 1, Minor: 9, Access: "rw"},    // urandom
	{Type: "c", Major: 5, Minor: 0, Access: "rw"},    // tty
	{Type: "c", Major: 5, Minor: 2, Access: "rw"},    // ptmx
	{Type: "c", Major: 136, Minor: -1, Access: "rw"}, // pts/*
}

// maxDevices bounds the rules of one container.
const maxDevices = 256

// checkDevices holds rules against the kernel's ranges: 12 bits of major, 20 of minor number, -1 for any.
func checkDevices(rules []wire.DeviceRule) error {
	if len(rules) > maxDevices {
		return fmt.Errorf("%d device rules; %d are possible: %w", len(rules), maxDevices, errdefs.ErrInvalidArgument)
	}
	for _, r := range rules {
		if r.Type != "c" && r.Type != "b" || r.Major < -1 || r.Major >= 1<<12 || r.Minor < -1 || r.Minor >= 1<<20 ||
			r.Access == "" || strings.Trim(r.Access, "rwm") != "" {
			return fmt.Errorf("device rule %+v: %w", r, errdefs.ErrInvalidArgument)
		}
	}
	return nil
}

// allowDevices lets the group use the devices of every container and those of rules, and no other.
func (g *Group) allowDevices(rules []wire.DeviceRule) error {
	if h := g.p.host.find("devices"); h != nil {
		if err := g.write(h, "devices.deny", "a"); err != nil {
			return err
		}
		fd, err := unix.Openat(h.fd, g.id+"/devices.allow", unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			return fmt.Errorf("open devices.allow: %w", class(err))
		}
		defer unix.Close(fd)
		for _, list := range [][]wire.DeviceRule{always, rules} {
			for _, r := range list {
				line := r.Type + " " + star(r.Major) + ":" + star(r.Minor) + " " + r.Access
				if _, err := unix.Write(fd, []byte(line)); err != nil {
					return fmt.Errorf("write %q to devices.allow: %w", line, err)
				}
			}
		}
		return nil
	}
	return g.attachProgram(rules)
}

func (g *Group) attachProgram(rules []wire.DeviceRule) error {
	prog := g.p.prog
	if len(rules) > 0 {
		var err error
		if prog, err = bpf.LoadProgram(bpf.CgroupDevice, "brig_devices", deviceProgram(rules)); err != nil {
			return err
		}
		defer unix.Close(prog)
	}
	dir, err := unix.Openat(g.p.host.unified.fd, g.id, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return class(err)
	}
	defer unix.Close(dir)
	return bpf.AttachDevice(dir, prog)
}

func star(n int64) string {
	if n < 0 {
		return "*"
	}
	return fmt.Sprint(n)
}

// deviceProgram allows the devices of every container and those of rules, each for its access, and refuses all else.
// Its argument is struct bpf_cgroup_dev_ctx: access << 16 | type, major, minor.
func deviceProgram(rules []wire.DeviceRule) []bpf.Insn {
	const kind, access, major, minor = bpf.R2, bpf.R3, bpf.R4, bpf.R5
	prog := []bpf.Insn{
		bpf.Load(bpf.W, kind, bpf.R1, 0),
		bpf.Op(bpf.Mov, access, kind), bpf.OpImm(bpf.Rsh, access, 16),
		bpf.OpImm(bpf.And, kind, 0xffff),
		bpf.Load(bpf.W, major, bpf.R1, 4),
		bpf.Load(bpf.W, minor, bpf.R1, 8),
	}
	for i, r := range append(always[:len(always):len(always)], rules...) {
		next := fmt.Sprintf("rule %d", i+1)
		want := int32(unix.BPF_DEVCG_DEV_CHAR)
		if r.Type == "b" {
			want = unix.BPF_DEVCG_DEV_BLOCK
		}
		prog = append(prog, bpf.JumpIfImm(bpf.NE, kind, want, next))
		if r.Major >= 0 {
			prog = append(prog, bpf.JumpIfImm(bpf.NE, major, int32(r.Major), next))
		}
		if r.Minor >= 0 {
			prog = append(prog, bpf.JumpIfImm(bpf.NE, minor, int32(r.Minor), next))
		}
		prog = append(prog,
			bpf.JumpIfImm(bpf.AnySet, access, ^accessBits(r.Access)&7, next),
			bpf.OpImm(bpf.Mov, bpf.R0, 1), bpf.Exit(),
			bpf.Label(next))
	}
	return append(prog, bpf.OpImm(bpf.Mov, bpf.R0, 0), bpf.Exit())
}

func accessBits(letters string) int32 {
	var bits int32
	for _, l := range letters {
		switch l {
		case 'm':
			bits |= unix.BPF_DEVCG_ACC_MKNOD
		case 'r':
			bits |= unix.BPF_DEVCG_ACC_READ
		case 'w':
			bits |= unix.BPF_DEVCG_ACC_WRITE
		}
	}
	return bits
}
