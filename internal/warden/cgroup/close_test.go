package cgroup

import "golang.org/x/sys/unix"

// Close drops the descriptors and nothing else. The warden keeps them for its life.
func (p *Parent) Close() {
	for _, h := range p.hierarchies {
		unix.Close(h.fd)
	}
	if p.prog >= 0 {
		unix.Close(p.prog)
	}
}
