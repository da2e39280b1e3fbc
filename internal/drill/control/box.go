package control

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
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
	err := become(os.Args[2], os.Args[3:])
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

// become mounts what a program expects, changes the root and executes it. It returns only with an error.
func become(root string, args []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, m := range []struct{ what, dir string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/dev/shm"}} {
		if err := unix.Mount(m.what, root+m.dir, m.what, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.what, err)
		}
	}
	for _, name := range []string{"null", "kmsg"} {
		target := root + "/dev/" + name
		if f, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
			f.Close()
		}
		if err := unix.Mount("/dev/"+name, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return unix.Exec(args[0], args, os.Environ())
}

type box struct {
	engine *Engine
	root   string
	ip     string
	cmd    *exec.Cmd
	out    bytes.Buffer
	ended  chan struct{}
}

// Start makes a box with a link to the hub.
func (e *Engine) Start(_ context.Context, spec drill.Spec) (drill.Box, error) {
	n := e.boxes.Add(1)
	b := &box{engine: e, root: e.root(spec.Image), ip: fmt.Sprintf("10.99.0.%d", n+1), ended: make(chan struct{})}
	b.cmd = b.command(spec.Args, append(spec.Env, "PATH=/bin"))
	b.cmd.Stdout = &b.out
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

func (b *box) command(args, env []string) *exec.Cmd {
	return &exec.Cmd{Path: "/proc/self/exe", Args: append([]string{selfName, "run", b.root}, args...), Env: env,
		Stderr: os.Stderr, SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}}
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
	return b.cmd.Start()
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
	<-b.ended
	return b.out.Bytes(), nil
}

func (b *box) Exec(_ context.Context, args ...string) ([]byte, error) {
	join := &box{engine: b.engine, root: b.root}
	join.cmd = join.command(args, []string{"PATH=/bin"})
	join.cmd.Stdout = &join.out
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- netns.Do(fmt.Sprintf("/proc/%d/ns/net", b.cmd.Process.Pid), join.born)
	}()
	if err := <-result; err != nil {
		return nil, err
	}
	err := join.cmd.Wait()
	return join.out.Bytes(), err
}

func (b *box) Info(context.Context) (drill.Info, error) {
	return drill.Info{PID: b.cmd.Process.Pid, IP: b.ip, Gateway: gateway}, nil
}

func (b *box) Remove(context.Context) error {
	b.cmd.Process.Kill()
	<-b.ended
	return nil
}
