package policy

import (
	"strings"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules/capname"
)

// defaultCaps are Docker's fourteen without NET_RAW (spoofing, A7), MKNOD (device nodes), AUDIT_WRITE (forged audit
// records) and SETFCAP (CVE-2021-3493: capabilities of files that meant the host's; under no_new_privs and nosuid those of
// a file give nothing inside). ping needs none of them: ping_group_range is open inside.
func defaultCaps() uint64 { return wire.OrdinaryCaps }

// beyondFloor may be added by nobody, whatever the administrator's policy says.
func beyondFloor() uint64 { return mask(capname.Never...) }

func mask(names ...string) (m uint64) {
	for _, n := range names {
		bit, ok := capBit(n)
		if ok {
			m |= bit
		}
	}
	return m
}

// capBit finds a capability by name, with or without CAP_, in any case.
func capBit(name string) (uint64, bool) {
	i, ok := capname.Number(name)
	if !ok {
		return 0, false
	}
	return 1 << i, true
}

// capabilities computes the set: the default, or everything below the floor with --cap-add ALL, or nothing with
// --cap-drop ALL; then single additions, then single removals, so that a removal always wins over ALL.
func (c *collector) capabilities(add, drop []string) uint64 {
	set := defaultCaps()
	if c.level == Compat {
		set |= compatCaps()
	}
	var more, less uint64
	for _, n := range drop {
		if isAll(n) {
			set = 0
			continue
		}
		bit, ok := capBit(n)
		if !ok {
			c.invalid("--cap-drop", n, "there is no capability of this name")
		}
		less |= bit
	}
	for _, n := range add {
		if isAll(n) {
			c.refuse(true, "HostConfig.CapAdd=ALL", "ALL")
			continue
		}
		bit, ok := capBit(n)
		switch {
		case !ok:
			c.invalid("--cap-add", n, "there is no capability of this name")
		case bit&beyondFloor() != 0:
			c.refuse(true, "HostConfig.CapAdd=SYS_ADMIN and others", n)
		}
		more |= bit
	}
	if both := more & less; both != 0 {
		for i, n := range capname.All {
			if both>>i&1 != 0 {
				c.invalid("--cap-add", n, "the same capability is in --cap-drop")
			}
		}
	}
	return (set | more) &^ less
}

func isAll(n string) bool { return strings.EqualFold(n, "ALL") }

// capsFor gives the sets of a process: a user that is not root gets the bounding set alone, as execve would.
func capsFor(set uint64, uid uint32) wire.Capabilities {
	c := wire.Capabilities{Bounding: set}
	if uid == 0 {
		c.Permitted = set
	}
	return c
}
