package cgroup

import "golang.org/x/sys/unix"

// Close drops the descriptors and nothing else. The warden keeps them for its life.
func (p *Parent) Close() {
	closeAll(p.hierarchies)
	if p.prog >= 0 {
		unix.Close(p.prog)
	}
}

func closeAll(list []*hierarchy) {
	for _, h := range list {
		unix.Close(h.base)
		if h.fd >= 0 {
			unix.Close(h.fd)
		}
	}
}
