package use

import (
	"strings"

	"github.com/moby/moby/api/types/container"
)

// blkio reads what went to and from block devices: io.stat of version 2 has one line a device, version 1 one line a
// device and kind of operation, in a file for bytes and one for operations.
func (t Texts) blkio() (b container.BlkioStats) {
	if text, ok := t["io.stat"]; ok {
		for line := range strings.Lines(text) {
			dev, rest, _ := strings.Cut(line, " ")
			major, minor, ok := device(dev)
			if !ok {
				continue
			}
			n := map[string]uint64{}
			for s := range strings.FieldsSeq(rest) {
				key, value, _ := strings.Cut(s, "=")
				n[key] = number(value)
			}
			b.IoServiceBytesRecursive = append(b.IoServiceBytesRecursive,
				container.BlkioStatEntry{Major: major, Minor: minor, Op: "read", Value: n["rbytes"]},
				container.BlkioStatEntry{Major: major, Minor: minor, Op: "write", Value: n["wbytes"]})
		}
		return b
	}
	b.IoServiceBytesRecursive = operations(t["v1/blkio.throttle.io_service_bytes_recursive"])
	b.IoServicedRecursive = operations(t["v1/blkio.throttle.io_serviced_recursive"])
	return b
}

func operations(text string) (list []container.BlkioStatEntry) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue // the sum of all devices
		}
		if major, minor, ok := device(f[0]); ok {
			list = append(list, container.BlkioStatEntry{Major: major, Minor: minor, Op: f[1], Value: number(f[2])})
		}
	}
	return list
}

// device reads 8:0.
func device(s string) (major, minor uint64, ok bool) {
	a, b, ok := strings.Cut(s, ":")
	return number(a), number(b), ok
}

// networks reads net/dev. Loopback is not counted: Docker counts what a network of its own is at the other end of.
func networks(text string) map[string]container.NetworkStats {
	var m map[string]container.NetworkStats
	for line := range strings.Lines(text) {
		i := strings.LastIndexByte(line, ':') // a name may have one
		if i < 0 {
			continue
		}
		name, f := strings.TrimSpace(line[:i]), strings.Fields(line[i+1:])
		if name == "lo" || len(f) < 16 {
			continue
		}
		if m == nil {
			m = map[string]container.NetworkStats{}
		}
		m[name] = container.NetworkStats{RxBytes: number(f[0]), RxPackets: number(f[1]), RxErrors: number(f[2]), RxDropped: number(f[3]),
			TxBytes: number(f[8]), TxPackets: number(f[9]), TxErrors: number(f[10]), TxDropped: number(f[11])}
	}
	return m
}
