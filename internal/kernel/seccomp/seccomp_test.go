package seccomp

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestTableIsSortedAndNumbersAreUnique(t *testing.T) {
	if !slices.IsSortedFunc(calls[:], func(a, b call) int { return strings.Compare(a.name, b.name) }) {
		t.Error("the table is not sorted: lookups would miss names")
	}
	for _, arch := range []string{"amd64", "arm64", "i386"} {
		seen := map[int]string{}
		for i := range calls {
			nr := calls[i].on(arch)
			if nr < 0 {
				continue
			}
			if other := seen[nr]; other != "" {
				t.Errorf("%s: %s and %s are both %d", arch, other, calls[i].name, nr)
			}
			seen[nr] = calls[i].name
			if got, ok := Number(arch, calls[i].name); !ok || int(got) != nr || Name(arch, got) != calls[i].name {
				t.Errorf("%s: %s is %d, looked up as %d", arch, calls[i].name, nr, got)
			}
		}
	}
}

func TestNumbersAreTheKernels(t *testing.T) {
	for _, c := range []struct {
		name         string
		amd64, arm64 int
	}{
		{"read", 0, 63}, {"execve", 59, 221}, {"clone", 56, 220}, {"socket", 41, 198}, {"ioctl", 16, 29}, {"mount", 165, 40},
		{"umount2", 166, 39}, {"personality", 135, 92}, {"clone3", 435, 435}, {"cachestat", 451, 451},
		{"statmount", 457, 457}, {"listmount", 458, 458}, {"mseal", 462, 462}, {"setxattrat", 463, 463},
		{"open_tree_attr", 467, 467}, {"file_getattr", 468, 468}, {"file_setattr", 469, 469},
		{"io_uring_setup", 425, 425}, {"keyctl", 250, 219}, {"iopl", 172, -1}, {"socketcall", -1, -1}, {"umount", -1, -1},
	} {
		for arch, want := range map[string]int{"amd64": c.amd64, "arm64": c.arm64} {
			got, ok := Number(arch, c.name)
			if ok != (want >= 0) || ok && int(got) != want {
				t.Errorf("%s on %s: %d, %v; want %d", c.name, arch, got, ok, want)
			}
		}
		if !Exists(c.name) {
			t.Errorf("%s exists, the table says no", c.name)
		}
	}
	for name, want := range map[string]uint32{"read": 3, "execve": 11, "umount": 22, "old_mmap": 0, "socketcall": 102, "ipc": 117,
		"clone": 120, "mmap2": 192, "set_thread_area": 243, "socket": 359, "clone3": 435} {
		if got, _ := Number("i386", name); got != want {
			t.Errorf("%s on i386: %d, want %d", name, got, want)
		}
	}
	if Exists("no_such_call") || Name("amd64", 4000) != "#4000" {
		t.Error("the table knows calls that do not exist")
	}
	if _, ok := Number("riscv64", "read"); ok {
		t.Error("the table claims to know riscv64")
	}
}

func TestProgramSizeIsBoundedAsInTheKernel(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 1: true, MaxInsns: true, MaxInsns + 1: false} {
		if fp, err := Fprog(make([]unix.SockFilter, n)); (err == nil) != ok || ok && int(fp.Len) != n {
			t.Errorf("%d instructions: length %d, %v", n, fp.Len, err)
		}
	}
	if unsafe.Sizeof(unix.SockFprog{}) != 16 {
		t.Error("struct sock_fprog is not 16 bytes")
	}
}
