package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// FilterMaxInstructions is the kernel's bound for one program (BPF_MAXINSNS).
const FilterMaxInstructions = 4096

// Filter is a system call filter as the kernel takes it: what OpFilterPut carries. brigd has compiled it, and the warden
// stacks it on a floor of its own, which no Filter can weaken.
type Filter struct {
	// Program is classic BPF, eight bytes for each instruction (struct sock_filter).
	Program []byte `json:"program"`
	// Log asks the kernel to log every verdict other than allow.
	Log bool `json:"log,omitempty"`
}

// Validate checks the length. What the instructions may be is the kernel's to say, and it does when it loads them.
func (f *Filter) Validate() error {
	if n := len(f.Program); n == 0 || n%8 != 0 || n/8 > FilterMaxInstructions {
		return fmt.Errorf("filter: a program of %d bytes; it has 1 to %d instructions of 8 bytes", n, FilterMaxInstructions)
	}
	return nil
}

// Digest names the filter: sha256:hex of the program and a byte for Log.
func (f *Filter) Digest() string {
	named := append(bytes.Clone(f.Program), 0)
	if f.Log {
		named[len(f.Program)] = 1
	}
	sum := sha256.Sum256(named)
	return "sha256:" + hex.EncodeToString(sum[:])
}
