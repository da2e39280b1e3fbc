package cgroup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
	"github.com/brig-engine/brig/internal/kernel/bpf/asm"
)

// rule is one line of the list of devices; -1 is every number.
type rule struct {
	allow        bool
	kind         byte // a, b, c
	major, minor int64
	access       string
}

// always are devices that the specification gives every container, with the right to make any node: what a node may be used
// for is decided when it is opened.
var always = []rule{
	{true, 'c', -1, -1, "m"}, {true, 'b', -1, -1, "m"},
	{true, 'c', 1, 3, "rwm"}, {true, 'c', 1, 5, "rwm"}, {true, 'c', 1, 7, "rwm"}, {true, 'c', 1, 8, "rwm"}, {true, 'c', 1, 9, "rwm"},
	{true, 'c', 5, 0, "rwm"}, {true, 'c', 5, 2, "rwm"}, {true, 'c', 136, -1, "rwm"},
}

// deviceRules are in their order: of those that match a device the last decides. The first refuses all.
func deviceRules(list []specs.LinuxDeviceCgroup) ([]rule, error) {
	rules := []rule{{false, 'a', -1, -1, "rwm"}}
	for i, d := range list {
		r := rule{allow: d.Allow, kind: 'a', major: -1, minor: -1, access: d.Access}
		switch d.Type {
		case "", "a":
		case "b", "c":
			r.kind = d.Type[0]
		default:
			return nil, fmt.Errorf("resources.devices[%d]: type %q is none of a, b, c", i, d.Type)
		}
		if d.Major != nil {
			r.major = *d.Major
		}
		if d.Minor != nil {
			r.minor = *d.Minor
		}
		if r.access == "" {
			r.access = "rwm"
		}
		if strings.Trim(r.access, "rwm") != "" {
			return nil, fmt.Errorf("resources.devices[%d]: access %q has other letters than r, w, m", i, d.Access)
		}
		rules = append(rules, r)
	}
	return append(rules, always...), nil
}

// SetDevices says which devices the container may use, in version 1 or, where its controller is not there, by a program.
func (g *Group) SetDevices(list []specs.LinuxDeviceCgroup) error {
	rules, err := deviceRules(list)
	if err != nil {
		return err
	}
	if d := g.find("devices"); d != nil && !d.V2() {
		return d.listDevices(rules)
	}
	u := g.unified()
	if u == nil {
		return fmt.Errorf("resources.devices: this machine has no control groups that refuse devices")
	}
	code, err := deviceProgram(rules)
	if err != nil {
		return err
	}
	dir, err := unix.Open(u.Name(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("resources.devices: %w", err)
	}
	defer unix.Close(dir)
	prog, err := bpf.LoadProgram(bpf.CgroupDevice, "brig_oci", code)
	if err != nil {
		return fmt.Errorf("resources.devices: %w", err)
	}
	defer unix.Close(prog)
	return bpf.AttachDevice(dir, prog, -1)
}

// listDevices writes the rules of version 1, which keeps exceptions to a refusal of all.
func (d *Dir) listDevices(rules []rule) error {
	for _, r := range rules {
		file, line := "devices.deny", r.text()
		if r.allow {
			file = "devices.allow"
		}
		if err := write(d.file(file), line); err != nil {
			return fmt.Errorf("resources.devices: %w", err)
		}
	}
	return nil
}

// ScopeDevices are the rules as systemd writes them on version 1, over those of the group, whenever it likes to; it has lists of
// what may be used only. In version 2 there is no rule that it would write.
func (g *Group) ScopeDevices(list []specs.LinuxDeviceCgroup) (map[string]any, error) {
	rules, err := deviceRules(list)
	if d := g.find("devices"); err != nil || d == nil || d.V2() {
		return nil, err
	}
	type device struct{ Node, Access string }
	allowed, all, since := []device{}, false, 0
	for i, r := range rules {
		switch {
		case r.kind == 'a':
			allowed, all, since = nil, r.allow, i
		case r.allow && r.major < 0 && r.minor >= 0, !r.allow && slices.ContainsFunc(rules[since:i], r.contradicts):
			return nil, fmt.Errorf("resources.devices: systemd cannot keep %q on control groups of version 1. "+
				"Next: set the engine to cgroupfs", map[bool]string{true: "allow ", false: "deny "}[r.allow]+r.text())
		case r.allow:
			allowed = append(allowed, device{r.node(), r.access})
		}
	}
	if all {
		return nil, nil
	}
	return map[string]any{"DevicePolicy": "strict", "DeviceAllow": allowed}, nil
}

// contradicts tells whether one rule allows what another refuses.
func (r *rule) contradicts(o rule) bool {
	same := func(a, b int64) bool { return a < 0 || b < 0 || a == b }
	return o.allow && (o.kind == 'a' || o.kind == r.kind && same(o.major, r.major) && same(o.minor, r.minor)) && strings.ContainsAny(o.access, r.access)
}

// node is the name of devices for systemd.
func (r *rule) node() string {
	kind := map[byte]string{'b': "block", 'c': "char"}[r.kind]
	switch {
	case r.major < 0:
		return kind + "-*"
	case r.minor < 0:
		return fmt.Sprintf("%s-%d", kind, r.major)
	}
	return fmt.Sprintf("/dev/%s/%d:%d", kind, r.major, r.minor)
}

func (r *rule) text() string {
	if r.kind == 'a' {
		return "a"
	}
	number := func(n int64) string {
		if n < 0 {
			return "*"
		}
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%c %s:%s %s", r.kind, number(r.major), number(r.minor), r.access)
}

// deviceProgram asks the rules from the last to the first. Its argument is struct bpf_cgroup_dev_ctx: access << 16 | type,
// major, minor.
func deviceProgram(rules []rule) ([]byte, error) {
	const kind, access, major, minor = asm.R2, asm.R3, asm.R4, asm.R5
	prog := []asm.Insn{
		asm.Load(asm.W, kind, asm.R1, 0),
		asm.Op(asm.Mov, access, kind), asm.OpImm(asm.Rsh, access, 16), asm.OpImm(asm.And, kind, 0xffff),
		asm.Load(asm.W, major, asm.R1, 4), asm.Load(asm.W, minor, asm.R1, 8),
	}
	for i, r := range slices.Backward(rules) {
		next := fmt.Sprintf("rule %d", i)
		switch r.kind {
		case 'b':
			prog = append(prog, asm.JumpIfImm(asm.NE, kind, unix.BPF_DEVCG_DEV_BLOCK, next))
		case 'c':
			prog = append(prog, asm.JumpIfImm(asm.NE, kind, unix.BPF_DEVCG_DEV_CHAR, next))
		}
		if r.major >= 0 {
			prog = append(prog, asm.JumpIfImm(asm.NE, major, int32(r.major), next))
		}
		if r.minor >= 0 {
			prog = append(prog, asm.JumpIfImm(asm.NE, minor, int32(r.minor), next))
		}
		mask, verdict := r.mask(), int32(0)
		if r.allow { // all that is asked for
			mask, verdict = ^mask, 1
			prog = append(prog, asm.Op(asm.Mov, asm.R0, access), asm.OpImm(asm.And, asm.R0, mask&7), asm.JumpIfImm(asm.NE, asm.R0, 0, next))
		} else { // any of it
			prog = append(prog, asm.Op(asm.Mov, asm.R0, access), asm.OpImm(asm.And, asm.R0, mask), asm.JumpIfImm(asm.EQ, asm.R0, 0, next))
		}
		prog = append(prog, asm.OpImm(asm.Mov, asm.R0, verdict), asm.Exit(), asm.Label(next))
	}
	return asm.Assemble(append(prog, asm.OpImm(asm.Mov, asm.R0, 0), asm.Exit()))
}

func (r *rule) mask() (m int32) {
	for _, letter := range r.access {
		switch letter {
		case 'r':
			m |= unix.BPF_DEVCG_ACC_READ
		case 'w':
			m |= unix.BPF_DEVCG_ACC_WRITE
		case 'm':
			m |= unix.BPF_DEVCG_ACC_MKNOD
		}
	}
	return m
}
