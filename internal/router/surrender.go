package router

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/seccomp"
)

// steady is what this process can do once the network is open. The bounding set has held no more since its birth.
const steady = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_BIND_SERVICE

// surrender gives up, on every thread, what only start-up needs: the capability to enter namespaces and to load
// programs, and the calls that do it.
func surrender() error {
	if err := cred.Keep(steady); err != nil {
		return err
	}
	return seal()
}

// never are calls of start-up. Whoever makes one later has conquered the process, and is killed.
var never = []uint32{unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_CAPSET, unix.SYS_EXECVEAT, unix.SYS_SECCOMP}

// seal loads a filter on all threads, on top of the one that this process was born with, which lets only calls of this
// architecture through. Of bpf(2) it leaves the changes of maps.
func seal() error {
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	kill := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS}
	allow := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}
	prog := []unix.SockFilter{{Code: load, K: seccomp.OffNumber}}
	for _, nr := range never {
		prog = append(prog, unix.SockFilter{Code: equal, K: nr, Jf: 1}, kill)
	}
	prog = append(prog, unix.SockFilter{Code: equal, K: unix.SYS_BPF, Jt: 1}, allow, unix.SockFilter{Code: load, K: seccomp.OffArgs})
	for _, cmd := range []uint32{unix.BPF_MAP_UPDATE_ELEM, unix.BPF_MAP_DELETE_ELEM} {
		prog = append(prog, unix.SockFilter{Code: equal, K: cmd, Jf: 1}, allow)
	}
	prog = append(prog, kill)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const everyThread = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	if err := seccomp.Load(prog, seccomp.LoadFlags|everyThread); err != nil {
		return fmt.Errorf("give up the calls of start-up: %w", err)
	}
	return nil
}
