// Package control is a container engine without any defence: what the drill's probes must find exposed. A probe that
// reports anything else here is broken.
//
// It is no engine that was weakened, since Brig's floor refuses to be, but what containers are before anybody thinks of
// security: a directory, chroot, and namespaces, with every capability and no filter.
//
//   - One process-id and one IPC namespace for all boxes; the initial user namespace; root with all capabilities.
//   - The root is a directory of the host's file system, the same for all boxes of an image.
//   - Archives are unpacked to paths on the host, links followed, device nodes and set-user-id programs made, digests not
//     looked at. Files of the engine, mounts and volumes go wherever a link of the image leads.
//   - A user's number is looked up as a name first; crashes are dumped; a descriptor of the host's root stays open.
//   - All boxes are on one hub (a bridge that never learns), in a "host" namespace that forwards everything.
//   - What a box prints is kept without bound, and executions have none. The API serves one caller after the other, and gives
//     everybody every directory of the host.
//   - The image's config speaks to the engine: its labels name programs of the host, its variables those of the engine.
//   - Sysctls are written and volumes mounted by path; copies are unpacked by the container's own programs.
//   - Programs that enter have the engine wait for them, and capabilities are passed on.
//   - A control socket lies in the box. A process that joins a box takes its time, and is this very program.
//
// Everything of it lives in namespaces and a temporary directory of its own; the machine's are not touched. The process
// that holds the namespaces ends when its standard input does, so nothing survives the test.
//
// Zone: tests of the drill, as root. Answers: none, on purpose.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/internal/drill/netns"
)

const (
	selfName = "brig-weak-box" // argv[0] by which this program knows that it is a box and not the test
	gateway  = "10.99.0.1"
	subnet   = "/24"
	bridge   = "hub0"
)

// Engine is the engine without defences.
type Engine struct {
	dir       string
	holder    *exec.Cmd
	hold      io.Closer // closing it ends the holder, and with it every box
	boxes     atomic.Int32
	listeners []io.Closer
	leak      *os.File // of the host's root, in every box
	joining   sync.Mutex
	disk      *slowDisk
	images    map[string]imageConfig
	created   map[string]drill.Spec // by the API
	started   map[string]drill.Box
}

// New makes the namespaces. Main must have been called at the start of the program.
func New() (*Engine, error) {
	dir, err := os.MkdirTemp("", "weak") // short: socket paths have 108 bytes
	if err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, images: map[string]imageConfig{}, created: map[string]drill.Spec{}, started: map[string]drill.Box{}}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	if e.leak, err = os.Open("/"); err != nil {
		return nil, err
	}
	e.disk = newSlowDisk(dir)
	if err := e.start(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) start() error {
	e.holder = &exec.Cmd{Path: "/proc/self/exe", Args: []string{selfName, "hold"}, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS}}
	in, err := e.holder.StdinPipe()
	if err != nil {
		return err
	}
	e.hold = in
	if err := e.holder.Start(); err != nil {
		return fmt.Errorf("make the namespaces: %w", err)
	}
	path, _ := e.Network(context.Background())
	if err := netns.Do(path, e.network); err != nil {
		return err
	}
	return e.serve()
}

// network makes the hub and everything behind it, in the "host" namespace.
func (e *Engine) network() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	never := uint32(0) // how long an address is remembered: a bridge that forgets at once is a hub
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, AgeingTime: &never}); err != nil {
		return fmt.Errorf("make the hub: %w", err)
	}
	if err := addresses("lo", "169.254.169.254/32"); err != nil {
		return err
	}
	if err := addresses(bridge, gateway+subnet); err != nil {
		return err
	}
	for name, value := range map[string]string{"ip_forward": "1", "conf/all/rp_filter": "0", "conf/default/rp_filter": "0",
		"conf/" + bridge + "/rp_filter": "0"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	metadata, err := net.Listen("tcp4", "169.254.169.254:80")
	if err != nil {
		return err
	}
	e.listeners = append(e.listeners, metadata)
	return nil
}

func addresses(link string, cidrs ...string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("%s: %w", link, err)
	}
	for _, cidr := range cidrs {
		a, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return fmt.Errorf("address %s on %s: %w", cidr, link, err)
		}
	}
	return netlink.LinkSetUp(l)
}

// Close ends every box and removes everything.
func (e *Engine) Close() error {
	e.leak.Close()
	for _, l := range e.listeners {
		l.Close()
	}
	if e.hold != nil {
		e.hold.Close()
	}
	if e.holder != nil && e.holder.Process != nil {
		e.holder.Process.Kill() // process 1 of the namespace: all others go with it
		e.holder.Wait()
	}
	e.disk.remove()
	return os.RemoveAll(e.dir)
}

// Name is the heading of the column.
func (e *Engine) Name() string { return "no defence" }

// Network is the namespace that plays the host's.
func (e *Engine) Network(context.Context) (string, error) {
	return fmt.Sprintf("/proc/%d/ns/net", e.holder.Process.Pid), nil
}

// Sockets is the control socket, as the boxes see it.
func (e *Engine) Sockets() []string { return []string{"/run/docker.sock"} }

func (e *Engine) root(image string) string {
	return filepath.Join(e.dir, strings.NewReplacer("/", "_", ":", "_").Replace(image))
}

// HasImage says whether the image's directory is there.
func (e *Engine) HasImage(_ context.Context, image string) (bool, error) {
	_, err := os.Stat(e.root(image))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Unload removes the image's directory.
func (e *Engine) Unload(_ context.Context, image string) error { return os.RemoveAll(e.root(image)) }

// Load unpacks an archive as no engine should.
func (e *Engine) Load(_ context.Context, archive io.Reader) error {
	image, layers, config, err := readArchive(archive)
	if err != nil {
		return err
	}
	root := e.root(image)
	for _, dir := range []string{"dev/shm", "dev/pts", "etc", "proc", "sys", "run"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	for _, l := range layers {
		if err := unpack(root, l); err != nil {
			return err
		}
	}
	e.images[image] = config
	for v := range config.Volumes {
		if err := fillVolume(root + v); err != nil {
			return err
		}
	}
	l, err := net.Listen("unix", filepath.Join(root, "run/docker.sock"))
	if err != nil {
		return err
	}
	e.listeners = append(e.listeners, l)
	return nil
}

var _ drill.Engine = (*Engine)(nil)
