package warden

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/cli/launch/groups"
	"github.com/brig-engine/brig/internal/cli/launch/machine"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/client"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/wire/objects"
)

// rig is a keeper and a warden of the real programs, with the test in brigd's place.
type rig struct {
	t      *testing.T
	dir    string
	keeper *exec.Cmd
	listen *net.UnixListener
	client *client.Client
	store  *client.Client
	api    int // the API listening socket
	raw    int // the end of the connection to the warden that brigd has
	hello  wire.HelloReply
	peer   *net.UnixConn
	image  string
}

// newRig builds the programs, starts the engine in a network namespace of its own and takes brigd's place.
func newRig(t *testing.T) *rig {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("the warden's tests run as root")
	}
	dir, err := os.MkdirTemp("", "brig-rig-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: t, dir: dir}
	build := exec.Command("go", "build", "-o", dir+"/", "../../cmd/brig-keeper", "../../cmd/brig-warden", "../../cmd/brig-worker", "../../cmd/brig-router", "../../cmd/brig-store", "./testdata/brigd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	os.MkdirAll(dir+"/run/daemon", 0o711)
	os.Mkdir(dir+"/root", 0o711)
	os.Chmod(dir, 0o711)
	r.listen, err = net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/run/daemon/test.sock", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir+"/run/daemon/test.sock", 0o777)
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *rig) start() {
	r.t.Helper()
	where, err := machine.Prepare(groups.Instance(r.dir + "/root"))
	if err := errors.Join(err, machine.Directories(r.dir+"/root", r.dir+"/run", ""), wire.WriteJSON(r.dir+"/run/"+wire.MachineFile, where)); err != nil {
		r.t.Fatal(err)
	}
	r.keeper = exec.Command(r.dir+"/brig-keeper", "--root", r.dir+"/root", "--run", r.dir+"/run", "--socket", r.dir+"/run/brig.sock")
	log, err := os.OpenFile(r.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	r.keeper.Stdout, r.keeper.Stderr = log, log
	r.keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := r.keeper.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.accept()
}

// accept takes the place of a brigd that has just started.
func (r *rig) accept() {
	r.t.Helper()
	r.listen.SetDeadline(time.Now().Add(15 * time.Second))
	c, err := r.listen.AcceptUnix()
	if err != nil {
		r.t.Fatalf("no brigd: %v\n%s", err, r.log())
	}
	oob := make([]byte, 64)
	_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		r.t.Fatal(err)
	}
	msgs, _ := unix.ParseSocketControlMessage(oob[:n])
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		r.t.Fatal(err)
	}
	r.api = fds[1]
	if r.raw, err = unix.Dup(fds[0]); err != nil {
		r.t.Fatal(err)
	}
	conn, err := wire.FileConn(fds[0], "warden")
	if err != nil {
		r.t.Fatal(err)
	}
	r.client, r.peer = client.New(conn, "the warden"), c
	if conn, err = wire.FileConn(fds[2], "store"); err != nil {
		r.t.Fatal(err)
	}
	r.store = client.New(conn, "brig-store")
	r.call(wire.OpHello, wire.Hello{Version: wire.Version}, &r.hello)
}

func (r *rig) log() string {
	b, _ := os.ReadFile(r.dir + "/log")
	return string(b)
}

func (r *rig) stop() {
	r.keeper.Process.Signal(unix.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- r.keeper.Wait() }()
	time.Sleep(50 * time.Millisecond)
	r.peer.Close()
	select {
	case err := <-done:
		if err != nil {
			r.t.Errorf("keeper: %v", err)
		}
	case <-time.After(20 * time.Second):
		r.t.Error("the engine does not stop")
		r.keeper.Process.Kill()
	}
	if r.t.Failed() {
		r.t.Log(r.log())
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/*/*brig-*"); len(left) > 0 && strings.Contains(left[0], r.hello.Instance) {
		r.t.Errorf("control groups are left: %v", left)
	}
}

func (r *rig) try(op wire.Op, q, reply any, fds ...int) ([]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, stored := objects.Known[op]; stored {
		return r.store.Call(ctx, op, q, reply, fds...)
	}
	return r.client.Call(ctx, op, q, reply, fds...)
}

func (r *rig) call(op wire.Op, q, reply any, fds ...int) []int {
	r.t.Helper()
	got, err := r.try(op, q, reply, fds...)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", op, err, r.log())
	}
	return got
}

func (r *rig) object() int { return r.call(objects.Create, struct{}{}, nil)[0] }

func (r *rig) seal(fd int) objects.Object {
	r.t.Helper()
	var o objects.Object
	ctx := context.Background()
	if _, err := r.store.Give(ctx, objects.Seal, wire.ObjectRef{}, &o, fd); err != nil {
		r.t.Fatal(err)
	}
	return o
}

// job runs one job in a real worker.
func (r *rig) job(job *jobs.Job, fds []int, host jobs.Host) *jobs.Result {
	r.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := wire.FileConn(pair[0], "worker")
	if err != nil {
		r.t.Fatal(err)
	}
	got := r.call(wire.OpWorkerStart, wire.WorkerStart{}, nil, pair[1])
	unix.Close(pair[1])
	wire.CloseAll(got)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	res, err := jobs.Run(ctx, conn, job, fds, host)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.log())
	}
	return res
}

// busybox makes an image of a static busybox, through the store and two workers, as brigd would.
func (r *rig) busybox() string {
	r.t.Helper()
	if r.image != "" {
		return r.image
	}
	layer := busyboxLayer(r.t)
	blob := r.object()
	if _, err := unix.Pwrite(blob, layer, 0); err != nil {
		r.t.Fatal(err)
	}
	sealed := r.seal(blob)
	in := r.call(objects.Open, wire.ObjectRef{Digest: sealed.Digest}, nil)[0]
	data, toc := r.object(), r.object()
	res := r.job(&jobs.Job{Kind: jobs.Layer, Layer: &jobs.LayerParams{BlobSize: sealed.Size}}, []int{in, data, toc}, jobs.Host{})
	dataObject, tocObject := r.seal(data), r.seal(toc)
	index := r.object()
	merge := &jobs.Job{Kind: jobs.Merge, Merge: &jobs.MergeParams{Layers: []jobs.MergeLayer{{DataSize: res.Layer.DataSize}}}}
	r.job(merge, []int{index}, jobs.Host{File: func(f jobs.File) (int, error) {
		d := tocObject.Digest
		if strings.HasPrefix(f.Name, "data/") {
			d = dataObject.Digest
		}
		return r.call(objects.Open, wire.ObjectRef{Digest: d}, nil)[0], nil
	}})
	var o objects.Object
	if _, err := r.store.Give(context.Background(), objects.SealIndex, objects.Index{Data: []string{dataObject.Digest}}, &o, index); err != nil {
		r.t.Fatalf("%v\n%s", err, r.log())
	}
	r.image = o.Digest
	return o.Digest
}

func busyboxLayer(t *testing.T) []byte {
	t.Helper()
	bin, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("%v. Next: apt-get install busybox-static", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write(content)
	}
	for _, d := range []string{"bin/", "etc/", "tmp/", "data/"} {
		add(tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "srv/", Typeflag: tar.TypeDir, Mode: 0o757, Uid: 33, Gid: 33}, nil)
	add(tar.Header{Name: "srv/hello", Typeflag: tar.TypeReg, Mode: 0o646, Uid: 33, Gid: 33}, []byte("image\n"))
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, bin)
	for _, n := range []string{"sh", "true", "false", "cat", "sleep", "id", "echo", "ls", "touch", "head", "dd", "tty", "stat", "grep", "kill", "ps"} {
		add(tar.Header{Name: "bin/" + n, Typeflag: tar.TypeLink, Linkname: "bin/busybox", Mode: 0o755}, nil)
	}
	w.Close()
	return b.Bytes()
}

// caller is a connection to the API that root made, as brigd forwards it.
func (r *rig) caller() int {
	r.t.Helper()
	c, err := net.Dial("unix", r.dir+"/run/brig.sock")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	fd, _, err := unix.Accept4(r.api, unix.SOCK_CLOEXEC)
	if err != nil {
		r.t.Fatal(err)
	}
	return fd
}

// callerAs is one that a user made.
func (r *rig) callerAs(uid uint32) int {
	r.t.Helper()
	for path, mode := range map[string]os.FileMode{r.dir + "/run": 0o711, r.dir + "/run/brig.sock": 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			r.t.Fatal(err)
		}
	}
	made := make(chan error, 1)
	go func() { // on a thread of its own, which ends with the credentials that it has taken
		runtime.LockOSThread()
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		if errno != 0 {
			made <- errno
			return
		}
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			r.t.Cleanup(func() { unix.Close(c) })
			err = unix.Connect(c, &unix.SockaddrUnix{Name: r.dir + "/run/brig.sock"})
		}
		made <- err
	}()
	if err := <-made; err != nil {
		r.t.Fatal(err)
	}
	fd, _, err := unix.Accept4(r.api, unix.SOCK_CLOEXEC)
	if err != nil {
		r.t.Fatal(err)
	}
	return fd
}

// running is a process in a container as brigd would see it.
type running struct {
	r       *rig
	id      string
	started wire.Started
	fds     []int
}

var lastID int

func newID() string {
	lastID++
	return fmt.Sprintf("%064x", lastID+0xabc000)
}

func spec(image string, args ...string) wire.Spec {
	return wire.Spec{Image: image, WritableRoot: true, Hostname: "box",
		Process: wire.Process{Args: args, Env: []string{"PATH=/bin"}, Cwd: "/"}, Resources: wire.Resources{Memory: 64 << 20, Pids: 64, CPUShares: 1024}}
}

func (r *rig) run(id string, s wire.Spec, extra ...int) *running {
	r.t.Helper()
	p := &running{r: r, id: id}
	p.fds = r.call(wire.OpContainerStart, wire.ContainerStart{ID: id, Spec: s}, &p.started, extra...)
	return p
}

// wait reads the output to its end and finishes the container.
func (p *running) wait() (string, wire.Exit) {
	p.r.t.Helper()
	out := p.output()
	var exit wire.Exit
	p.r.call(wire.OpProcessFinish, wire.ProcessRef{ID: p.id}, &exit)
	return out, exit
}

// output waits for the end of the process and returns what it wrote.
func (p *running) output() string {
	p.r.t.Helper()
	if err := await(p.fds[0]); err != nil {
		p.r.t.Fatal(err)
	}
	var out bytes.Buffer
	for _, fd := range p.fds[len(p.fds)-2:] {
		unix.SetNonblock(fd, true)
		b := make([]byte, 64<<10)
		for {
			n, err := unix.Read(fd, b)
			if n <= 0 || err != nil {
				break
			}
			out.Write(b[:n])
		}
	}
	wire.CloseAll(p.fds)
	return strings.TrimSpace(out.String())
}

// refusesFilters hands over what is no program, and what only the kernel finds out about.
func (r *rig) refusesFilters(t *testing.T) {
	s := spec(r.image, "grep", "Seccomp_filters", "/proc/self/status")
	caller := r.caller()
	defer unix.Close(caller)
	for text, program := range map[string][]byte{"nonsense": []byte("no program here."), "no return": make([]byte, 8)} {
		s.Process.Filter = &wire.Filter{Program: program, Flags: unix.SECCOMP_FILTER_FLAG_LOG}
		_, err := r.try(wire.OpContainerStart, wire.ContainerStart{ID: newID(), Spec: s}, &wire.Started{}, caller)
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "load the profile's filter: the kernel has, or accepts, no such thing") {
			t.Errorf("%s: %v", text, err)
		}
	}
	s.Process.Filter = &wire.Filter{Program: []byte{unix.BPF_RET, 0, 0, 0, 0, 0, 0xff, 0x7f}, Flags: unix.SECCOMP_FILTER_FLAG_LOG}
	if out, _ := r.run(newID(), s, caller).wait(); out != "Seccomp_filters:\t2" {
		t.Errorf("a filter that allows everything: %q", out)
	}
}

func TestContainerLives(t *testing.T) {
	r := newRig(t)
	image := r.busybox()
	t.Run("output and exit code", func(t *testing.T) {
		out, exit := r.run(newID(), spec(image, "sh", "-c", "echo hello; echo oops >&2; exit 7")).wait()
		if out != "hello\noops" || exit.Code != 7 {
			t.Errorf("%q, %+v", out, exit)
		}
	})
	t.Run("program that is not there", func(t *testing.T) {
		_, err := r.try(wire.OpContainerStart, wire.ContainerStart{ID: newID(), Spec: spec(image, "nothing")}, &wire.Started{})
		var e *wire.Error
		if b, _ := json.Marshal(err); err == nil || !strings.Contains(err.Error(), "not found") {
			t.Errorf("%v %s %v", err, b, e)
		}
	})
	t.Run("filter that is no program", r.refusesFilters)
	t.Run("start that fails while its child is made", func(t *testing.T) {
		id, begun := newID(), time.Now()
		s := spec("sha256:"+strings.Repeat("0", 64), "true")
		s.Network = wire.Network{Mode: wire.NetworkEndpoint, Name: "bridge"}
		for range 12 {
			if _, err := r.try(wire.OpContainerStart, wire.ContainerStart{ID: id, Spec: s}, &wire.Started{}); !errdefs.IsNotFound(err) {
				t.Fatal(err)
			}
		}
		s.Image = image
		if _, exit := r.run(id, s).wait(); exit.Code != 0 || time.Since(begun) > 20*time.Second { // a group that stays is waited for, for 30
			t.Errorf("%+v after %v", exit, time.Since(begun))
		}
	})
	t.Run("killed for want of memory", func(t *testing.T) {
		s := spec(image, "sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1")
		_, exit := r.run(newID(), s).wait()
		if exit.Code == 0 {
			t.Errorf("%+v", exit)
		}
	})
	t.Run("endpoint", func(t *testing.T) {
		s := spec(image, "sh", "-c", "cat /proc/net/dev; cat /etc/hosts")
		s.Network = wire.Network{Mode: wire.NetworkEndpoint, Name: "bridge"}
		s.Files = []wire.File{{Path: "/etc/hosts", Content: "{{ADDRESS}} box\n"}}
		p := r.run(newID(), s)
		out, _ := p.wait()
		if !strings.Contains(out, "eth0") || !strings.Contains(out, p.started.Endpoint.Addr.String()+" box") {
			t.Errorf("%q %+v", out, p.started)
		}
	})
	t.Run("networks", func(t *testing.T) {
		s := spec(image, "sh", "-c", "while :; do echo x | nc -l -p 80; done")
		s.Network = wire.Network{Mode: wire.NetworkEndpoint, Name: "bridge", Membership: wire.Membership{Networks: []uint32{7}}}
		server, alone := newID(), newID()
		p := r.run(server, s)
		reach := func(when, want string, m wire.Membership) {
			t.Helper()
			s := spec(image, "sh", "-c", "for try in 1 2 3 4 5; do nc -w 2 "+p.started.Endpoint.Addr.String()+
				" 80 </dev/null 2>/dev/null && exit; sleep 0.2; done; echo no") // the server is a loop of single answers
			s.Network = wire.Network{Mode: wire.NetworkEndpoint, Name: "bridge", Membership: m}
			if out, _ := r.run(newID(), s).wait(); out != want {
				t.Errorf("%s: %q, want %q", when, out, want)
			}
		}
		reach("a member", "x", wire.Membership{Networks: []uint32{9, 7}})
		reach("no member", "no", wire.Membership{})
		reach("a member of another", "no", wire.Membership{Networks: []uint32{8}})
		r.call(wire.OpNetworkJoin, wire.NetworkJoin{ID: server, Membership: wire.Membership{Networks: []uint32{8}, Confined: true}}, nil)
		reach("it has joined the other", "x", wire.Membership{Networks: []uint32{8}})
		reach("it has left", "no", wire.Membership{Networks: []uint32{7}})
		r.joinsLeaveRepliesAlone(server)
		r.run(alone, spec(image, "sleep", "60"))
		for what, c := range map[string]struct {
			q    wire.NetworkJoin
			want func(error) bool
		}{
			"no container":        {wire.NetworkJoin{ID: newID()}, errdefs.IsNotFound},
			"no endpoint":         {wire.NetworkJoin{ID: alone}, errdefs.IsFailedPrecondition},
			"too many":            {wire.NetworkJoin{ID: server, Membership: wire.Membership{Networks: make([]uint32, 17)}}, errdefs.IsPermissionDenied},
			"one twice":           {wire.NetworkJoin{ID: server, Membership: wire.Membership{Networks: []uint32{5, 5}}}, errdefs.IsPermissionDenied},
			"one that is no such": {wire.NetworkJoin{ID: server, Membership: wire.Membership{Networks: []uint32{0}}}, errdefs.IsPermissionDenied},
		} {
			if _, err := r.try(wire.OpNetworkJoin, c.q, nil); !c.want(err) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, id := range []string{server, alone} {
			r.call(wire.OpContainerSignal, wire.ContainerSignal{ID: id, Signal: int(unix.SIGKILL)}, nil)
		}
		p.wait()
	})
	t.Run("executes and restarts with its data", func(t *testing.T) {
		id := newID()
		p := r.run(id, spec(image, "sleep", "60"))
		var started wire.Started
		fds := r.call(wire.OpExecStart, wire.ExecStart{ID: id, Exec: "abc", Process: wire.Process{Args: []string{"sh", "-c", "echo data > /data/f; id -u; exit 3"}, Env: []string{"PATH=/bin"}, Cwd: "/"}}, &started)
		x := &running{r: r, fds: fds}
		if out := x.output(); out != "0" {
			t.Errorf("exec said %q", out)
		}
		var exit wire.Exit
		r.call(wire.OpProcessFinish, wire.ProcessRef{ID: id, Exec: "abc"}, &exit)
		if exit.Code != 3 {
			t.Errorf("exec: %+v", exit)
		}
		r.call(wire.OpContainerSignal, wire.ContainerSignal{ID: id, Signal: int(unix.SIGKILL)}, nil)
		if _, exit := p.wait(); exit.Code != 137 {
			t.Errorf("%+v", exit)
		}
		if out, _ := r.run(id, spec(image, "cat", "/data/f")).wait(); out != "data" {
			t.Errorf("after a restart: %q", out)
		}
		r.call(wire.OpContainerRemove, wire.ContainerRef{ID: id}, nil)
	})
	t.Run("is watched, paused and bounded anew", func(t *testing.T) { r.canBeWatchedAndPaused(t, image) })
	t.Run("volumes are shared between ranges", func(t *testing.T) {
		r.call(wire.OpVolumeCreate, wire.VolumeRef{Name: "v"}, nil)
		s := spec(image, "sh", "-c", "echo x > /v/f; stat -c %u /v/f")
		s.Mounts = []wire.Mount{{Kind: wire.MountVolume, Source: "v", Target: "/v", Writable: true}}
		if out, _ := r.run(newID(), s).wait(); out != "0" {
			t.Errorf("first: %q", out)
		}
		s.Process.Args = []string{"sh", "-c", "cat /v/f; stat -c %u /v/f"}
		if out, _ := r.run(newID(), s).wait(); out != "x\n0" {
			t.Errorf("second: %q", out)
		}
	})
	t.Run("a new volume is filled from the image", func(t *testing.T) {
		r.call(wire.OpVolumeCreate, wire.VolumeRef{Name: "filled"}, nil)
		s := spec(image, "sh", "-c", "ls /srv; stat -c '%u %a' /srv /srv/hello; echo more >> /srv/hello; cat /srv/hello")
		s.Mounts = []wire.Mount{{Kind: wire.MountVolume, Source: "filled", Target: "/srv", Writable: true, Fill: true}}
		if out, _ := r.run(newID(), s).wait(); out != "hello\n33 757\n33 646\nimage\nmore" {
			t.Errorf("first: %q", out)
		}
		if out, _ := r.run(newID(), s).wait(); !strings.HasSuffix(out, "image\nmore\nmore") {
			t.Errorf("second: %q", out)
		}
	})
	t.Run("bind mounts need their caller", func(t *testing.T) {
		s := spec(image, "sh", "-c", "cat /b/f; touch /b/g; stat -c %u /b/f")
		host := t.TempDir()
		os.WriteFile(host+"/f", []byte("host\n"), 0o600)
		s.Mounts = []wire.Mount{{Kind: wire.MountBind, Source: host, Target: "/b", Writable: true}}
		if _, err := r.try(wire.OpContainerStart, wire.ContainerStart{ID: newID(), Spec: s}, &wire.Started{}); err == nil {
			t.Error("a bind mount without a caller was made")
		}
		pair, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		defer wire.CloseAll(pair[:])
		for name, forged := range map[string]int{"a socket pair": pair[0], "brigd's own connection": r.raw, "the listener": r.api} {
			_, err := r.try(wire.OpContainerStart, wire.ContainerStart{ID: newID(), Spec: s}, &wire.Started{}, forged)
			if !errdefs.IsPermissionDenied(err) {
				t.Errorf("%s was taken for a caller: %v", name, err)
			}
		}
		if out, _ := r.run(newID(), s, r.caller()).wait(); out != "host\n0" {
			t.Errorf("%q", out)
		}
		if _, err := os.Stat(host + "/g"); err != nil {
			t.Error(err)
		}
	})
	t.Run("the administrator's policy is not brigd's to bend", func(t *testing.T) { r.policyHolds(image) })
	t.Run("start to exit", func(t *testing.T) {
		runtime.GC()
		best := time.Hour
		for range 20 {
			s := spec(image, "true")
			s.Network = wire.Network{Mode: wire.NetworkEndpoint, Name: "bridge"}
			begin := time.Now()
			id := newID()
			p := r.run(id, s)
			await(p.fds[0])
			best = min(best, time.Since(begin))
			_, exit := p.wait()
			if exit.Code != 0 {
				t.Fatal(exit)
			}
			r.call(wire.OpContainerRemove, wire.ContainerRef{ID: id}, nil)
		}
		t.Logf("start to exit of true: %v", best)
	})
}

var _ = io.EOF

// joinsLeaveRepliesAlone: the endpoint in a reply that is being written does not change with the container's networks.
func (r *rig) joinsLeaveRepliesAlone(id string) {
	r.t.Helper()
	many := make([]uint32, wire.MaxNetworks)
	for i := range many {
		many[i] = uint32(i + 1)
	}
	r.call(wire.OpNetworkJoin, wire.NetworkJoin{ID: id}, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			r.try(wire.OpNetworkJoin, wire.NetworkJoin{ID: id, Membership: wire.Membership{Networks: many[:len(many)*(i%2)]}}, nil)
		}
	}()
	for asked := 0; ; asked++ {
		var st wire.Started
		fds, err := r.try(wire.OpContainerAttach, wire.ContainerRef{ID: id}, &st)
		if err != nil {
			r.t.Fatalf("attach %d: %v", asked, err)
		}
		wire.CloseAll(fds)
		if n := len(st.Endpoint.Networks); n != 0 && n != len(many) {
			r.t.Fatalf("attach %d: in %d networks", asked, n)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
