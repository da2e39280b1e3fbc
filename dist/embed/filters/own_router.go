package filters

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/seccomp/filter"
)

// Router is the filter of brig-router (A6): netlink of two families, sockets of the two Internet families, files of
// /proc/sys/net by way of Landlock. What it may do while it opens the network and never after that (network namespaces,
// programs for bpf(2), giving up capabilities) it takes away from itself with a second filter.
func Router(arch filter.Arch) filter.Filter {
	t := table{arch: arch}
	t.runtime()
	t.spare("unshare setns bpf")
	t.allow(descriptors)
	t.allow("memfd_create bind listen setsockopt openat newfstatat")
	t.allow("unshare", low(0, filter.MaskedEQ, unix.CLONE_NEWNET, ^uint32(0)))
	t.allow("setns", low(1, filter.MaskedEQ, unix.CLONE_NEWNET, ^uint32(0)))
	for _, cmd := range []uint32{unix.BPF_MAP_CREATE, unix.BPF_PROG_LOAD, unix.BPF_MAP_UPDATE_ELEM, unix.BPF_MAP_DELETE_ELEM} {
		t.allow("bpf", low(0, filter.MaskedEQ, cmd, ^uint32(0)))
	}
	t.allow("capget capset")
	t.allow("seccomp", low(0, filter.MaskedEQ, unix.SECCOMP_SET_MODE_FILTER, ^uint32(0)))
	t.allow("ioctl", low(1, filter.MaskedEQ, unix.SIOCGSKNS, ^uint32(0)))
	t.allow("socket", filter.Arg{Op: filter.EQ, Value: unix.AF_UNIX}, low(1, filter.MaskedEQ, unix.SOCK_DGRAM, 0xf))
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		for _, kind := range []uint32{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			t.allow("socket", filter.Arg{Op: filter.EQ, Value: family}, low(1, filter.MaskedEQ, kind, 0xf))
		}
	}
	for _, protocol := range []uint64{unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER} {
		t.allow("socket", filter.Arg{Op: filter.EQ, Value: unix.AF_NETLINK},
			filter.Arg{Index: 2, Op: filter.EQ, Value: protocol})
	}
	return t.allowList()
}

// spare takes calls out of the rules so far.
func (t *table) spare(names string) {
	var spared table
	spared.arch = t.arch
	spared.allow(names)
	for i := range t.rules {
		r := &t.rules[i]
		r.Calls = slices.DeleteFunc(r.Calls, func(nr uint32) bool { return slices.Contains(spared.rules[0].Calls, nr) })
	}
	t.rules = slices.DeleteFunc(t.rules, func(r filter.Rule) bool { return len(r.Calls) == 0 })
}
