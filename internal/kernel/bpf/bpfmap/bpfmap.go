// Package bpfmap makes hash maps that packet programs look into.
//
// Zone: brig-router; what runs as root loads no program that has a map. Input: interfaces and addresses of endpoints.
// Output: maps in the kernel, which live as long as a descriptor or a program names them. Spec: bpf(2).
package bpfmap

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/bpf"
)

// Map is a hash map in the kernel with keys and values of fixed size. It is safe for use by several goroutines; the
// kernel changes one element at a time.
type Map struct {
	fd         int
	key, value int
}

// NewHash makes a hash map for at most entries elements. name as in bpf.LoadProgram; sizes are in bytes.
func NewHash(name string, keySize, valueSize, entries int) (*Map, error) {
	a := struct {
		kind, key, value, entries, flags uint32
		inner, numa                      uint32
		name                             [16]byte
	}{kind: unix.BPF_MAP_TYPE_HASH, key: uint32(keySize), value: uint32(valueSize), entries: uint32(entries)}
	copy(a.name[:15], name)
	fd, err := bpf.Call(unix.BPF_MAP_CREATE, unsafe.Pointer(&a), unsafe.Sizeof(a))
	if err != nil {
		return nil, fmt.Errorf("make map %s: %w", name, err)
	}
	return &Map{fd: fd, key: keySize, value: valueSize}, nil
}

// FD is the descriptor by which a program that is loaded names the map.
func (m *Map) FD() int { return m.fd }

// Close drops the map; a program that uses it keeps it alive.
func (m *Map) Close() error { return unix.Close(m.fd) }

// Put sets the value of key, whether or not it was there. unix.E2BIG when the map is full.
func (m *Map) Put(key, value []byte) error {
	return m.element(unix.BPF_MAP_UPDATE_ELEM, "put", key, value)
}

// Delete removes key; unix.ENOENT when it is not there.
func (m *Map) Delete(key []byte) error {
	return m.element(unix.BPF_MAP_DELETE_ELEM, "delete", key, nil)
}

// element does one operation. The kernel reads as many bytes as the map was made for, so lengths are
// checked.
func (m *Map) element(cmd uintptr, what string, key, value []byte) error {
	if len(key) != m.key || len(value) != m.value && cmd != unix.BPF_MAP_DELETE_ELEM {
		return fmt.Errorf("map element %s: key of %d and value of %d bytes, not %d and %d: %w",
			what, len(key), len(value), m.key, m.value, unix.EINVAL)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&key[0])
	a := struct {
		fd, _             uint32
		key, value, flags uint64
	}{fd: uint32(m.fd), key: address(key)}
	if value != nil {
		pin.Pin(&value[0])
		a.value = address(value)
	}
	if _, err := bpf.Call(cmd, unsafe.Pointer(&a), unsafe.Sizeof(a)); err != nil {
		return fmt.Errorf("map element %s: %w", what, err)
	}
	return nil
}

func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }
