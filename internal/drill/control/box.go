package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/internal/drill/netns"
)

// joinDelay is how long a program that joins a box stays visible before it becomes the container's.
const joinDelay = 30 * time.Millisecond

// Main turns this program into a part of a box when it was started as one; it returns otherwise. A test calls it first.
func Main() {
	if os.Args[0] == "/proc/self/exe" { // a box has executed the engine's program
		time.Sleep(time.Minute)
		os.Exit(1)
	}
	if os.Args[0] != selfName {
		return
	}
	if os.Args[1] == "hold" {
		go reap()
		var b [1]byte
		os.Stdin.Read(b[:]) // until the test closes it or is gone
		os.Exit(0)
	}
	time.Sleep(joinDelay)
	var b birth
	err := json.Unmarshal([]byte(os.Args[2]), &b)
	if err == nil {
		err = become(b, os.Args[3:])
	}
	os.Stderr.WriteString("weak box: " + err.Error() + "\n")
	os.Exit(127)
}

// reap collects orphans: the holder is process 1 of its namespace.
func reap() {
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

type box struct {
	engine *Engine
	root   string
	ip     string
	spec   drill.Spec
	cmd    *exec.Cmd
	log    *os.File // what it has printed, without bound
	out    output
	ended  chan struct{}
}

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.text.Bytes())
}

// Start makes a box with a link to the hub.
func (e *Engine) Start(_ context.Context, spec drill.Spec) (drill.Box, error) {
	e.joining.Lock() // one thing at a time
	defer e.joining.Unlock()
	n := e.boxes.Add(1)
	env := e.obey(&spec)
	for i, v := range spec.Shared {
		if spec.Shared = slices.Clone(spec.Shared); !strings.HasPrefix(v.Name, "/") {
			spec.Shared[i].Name = e.volume(v.Name)
			if err := os.MkdirAll(spec.Shared[i].Name, 0o777); err != nil {
				return nil, err
			}
		}
	}
	if spec.WorkDir != "" && !strings.HasPrefix(spec.WorkDir, "/proc/") {
		if err := os.MkdirAll(e.root(spec.Image)+"/"+spec.WorkDir, 0o755); err != nil {
			return nil, err
		}
	}
	b := &box{engine: e, root: e.root(spec.Image), ip: address(n), spec: spec, ended: make(chan struct{})}
	// An engine's own file, written by a path on the host.
	if err := os.WriteFile(b.root+"/etc/hosts", []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		return nil, err
	}
	b.cmd = b.command(spec.Args, slices.Concat(env, spec.Env, []string{"PATH=/bin"}))
	var err error
	if b.log, err = os.CreateTemp(e.dir, "log"); err != nil {
		return nil, err
	}
	b.cmd.Stdout = b.log
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespaces
		err := b.plug(fmt.Sprintf("port%d", n))
		if err == nil {
			err = b.born()
		}
		result <- err
	}()
	if err := <-result; err != nil {
		return nil, err
	}
	go func() {
		b.cmd.Wait()
		close(b.ended)
	}()
	return b, nil
}

// address is of the n-th box. Those of the first ones are free again when the last one is taken.
func address(n int32) string { return fmt.Sprintf("10.99.0.%d", n%250+2) }

// command leaves the descriptor of a host directory open in the box, as CVE-2024-21626 did.
func (b *box) command(args, env []string) *exec.Cmd {
	form, err := json.Marshal(birth{b.root, b.spec.User, b.spec.WorkDir, b.spec.Shared, b.spec.Sysctls})
	if err != nil {
		panic("control: " + err.Error()) // strings only
	}
	self := []string{selfName, "run", string(form)}
	return &exec.Cmd{Path: "/proc/self/exe", Args: append(self, args...), Env: env, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, ExtraFiles: []*os.File{b.engine.leak}}
}

// plug gives the calling thread a network namespace of its own, with a cable to the hub.
func (b *box) plug(port string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer ns.Close()
	host, _ := b.engine.Network(context.Background())
	err = netns.Do(host, func() error {
		hub, err := netlink.LinkByName(bridge)
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MasterIndex = port, hub.Attrs().Index
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(ns.Fd()))}
		if err := netlink.LinkAdd(pair); err != nil {
			return fmt.Errorf("make the cable %s: %w", port, err)
		}
		return netlink.LinkSetUp(pair)
	})
	if err != nil {
		return err
	}
	if err := addresses("lo"); err != nil {
		return err
	}
	if err := addresses("eth0", b.ip+subnet); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)})
}

// born starts the program in the shared namespaces, from the calling thread.
func (b *box) born() error {
	for name, flag := range map[string]int{"pid": unix.CLONE_NEWPID, "ipc": unix.CLONE_NEWIPC} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", b.engine.holder.Process.Pid, name))
		if err != nil {
			return err
		}
		err = unix.Setns(int(f.Fd()), flag)
		f.Close()
		if err != nil {
			return fmt.Errorf("join the %s namespace: %w", name, err)
		}
	}
	if err := b.cmd.Start(); err != nil {
		return err
	}
	b.engine.disk.add(b.cmd.Process.Pid)
	return nil
}

func (b *box) Wait(ctx context.Context) (int, error) {
	select {
	case <-b.ended:
		return b.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (b *box) Output(context.Context) ([]byte, error) {
	return os.ReadFile(b.log.Name())
}

func (b *box) ExecDetached(_ context.Context, args ...string) error {
	join, err := b.join(args)
	if err == nil {
		go join.cmd.Wait()
	}
	return err
}

// ExecAs does not look at the user.
func (b *box) ExecAs(ctx context.Context, _ string, args ...string) ([]byte, error) {
	return b.Exec(ctx, args...)
}

// Exec has the engine do nothing else until the program has ended.
func (b *box) Exec(_ context.Context, args ...string) ([]byte, error) {
	b.engine.joining.Lock()
	defer b.engine.joining.Unlock()
	join, err := b.join(args)
	if err != nil {
		return nil, err
	}
	err = join.cmd.Wait()
	return join.out.bytes(), err
}

// join starts a program in the box.
func (b *box) join(args []string) (*box, error) {
	join := &box{engine: b.engine, root: b.root}
	join.cmd = join.command(args, []string{"PATH=/bin"})
	join.cmd.Stdout = &join.out
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- netns.Do(fmt.Sprintf("/proc/%d/ns/net", b.cmd.Process.Pid), join.born)
	}()
	return join, <-result
}

func (b *box) Info(context.Context) (drill.Info, error) {
	return drill.Info{ID: "box", PID: b.cmd.Process.Pid, IP: b.ip, Gateway: gateway, Log: b.log.Name()}, nil
}

func (b *box) Remove(context.Context) error {
	b.cmd.Process.Kill()
	<-b.ended
	return os.Remove(b.log.Name())
}
