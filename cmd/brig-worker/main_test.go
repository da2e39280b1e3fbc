package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
	"github.com/brig-engine/brig/internal/worker"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// The test binary is the worker, if it is told so.
const asWorker = "BRIG_TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		os.Exit(worker.Run(table()))
	}
	os.Exit(m.Run())
}

// start starts a worker without environment and gives the connection to it.
func start(t *testing.T) (*wire.Conn, *exec.Cmd) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "worker's end")
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = []string{asWorker + "=1"}, []*os.File{theirs}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	conn, err := wire.FileConn(pair[0], "our end")
	if err != nil {
		t.Fatal(err)
	}
	return conn, cmd
}

// store is a stand-in for brigd: files by the names under which workers ask for them.
type store struct {
	t     *testing.T
	files map[string]*os.File
}

func (s *store) create(name string) *os.File {
	s.t.Helper()
	f, err := os.CreateTemp(s.t.TempDir(), "f")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	s.files[name] = f
	return f
}

// open gives a new description, as brigd does for sealed files.
func (s *store) open(name string) *os.File {
	s.t.Helper()
	f, err := os.Open(s.files[name].Name())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	return f
}

func (s *store) read(name string) []byte {
	b, err := os.ReadFile(s.files[name].Name())
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *store) host() jobs.Host {
	return jobs.Host{File: func(f jobs.File) (int, error) {
		if s.files[f.Name] == nil && strings.HasPrefix(f.Name, "blob/") && !strings.Contains(f.Name, ":") {
			return int(s.create(f.Name).Fd()), nil
		}
		if s.files[f.Name] == nil {
			return -1, fmt.Errorf("no %s: %w", f.Name, errdefs.ErrNotFound)
		}
		return int(s.open(f.Name).Fd()), nil
	}}
}

func (s *store) run(job *jobs.Job, files ...*os.File) (*jobs.Result, error) {
	s.t.Helper()
	conn, cmd := start(s.t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	r, err := jobs.Run(ctx, conn, job, fds, s.host())
	if werr := cmd.Wait(); werr != nil && err == nil {
		s.t.Errorf("the worker ended with %v", werr)
	}
	return r, err
}

func (s *store) must(job *jobs.Job, files ...*os.File) *jobs.Result {
	s.t.Helper()
	r, err := s.run(job, files...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// twoLayers makes the tars of a small image.
func twoLayers(t *testing.T) [][]byte {
	var out [][]byte
	for n, files := range []map[string]string{
		{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbin:x:2:2:::\n", "etc/group": "root:x:0:\nwheel:x:10:root,bin\n",
			"gone": "x"},
		{".wh.gone": "", "new": strings.Repeat("new ", 100_000)},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, name := range []string{"etc/passwd", "etc/group", "gone", ".wh.gone", "new"} {
			if body, ok := files[name]; ok {
				h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body)), Mode: 0o644, Uid: n}
				if err := errors.Join(w.WriteHeader(h), second(io.WriteString(w, body))); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.Close()
		out = append(out, b.Bytes())
	}
	return out
}

func second(_ int, err error) error { return err }

// TestJobsFromEndToEnd runs every kind of job in a real worker process: layers to index to archive and back.
func TestJobsFromEndToEnd(t *testing.T) {
	s := &store{t: t, files: map[string]*os.File{}}
	tars := twoLayers(t)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(tars[1])
	z.Close()
	blobs := [][]byte{tars[0], zipped.Bytes()}

	merge, check := &jobs.MergeParams{}, &jobs.CheckParams{}
	save := jobs.SaveImage{Names: []string{"docker.io/library/small:1"}, Architecture: "amd64", OS: "linux"}
	for n, b := range blobs {
		in := s.create(fmt.Sprintf("in/%d", n))
		in.Write(b)
		data, toc := s.create(fmt.Sprintf("data/%d", n)), s.create(fmt.Sprintf("toc/%d", n))
		r := s.must(&jobs.Job{Kind: jobs.Layer, Layer: &jobs.LayerParams{BlobSize: int64(len(b))}},
			s.open(fmt.Sprintf("in/%d", n)), data, toc).Layer
		if r.DiffID != digest(tars[n]) || r.Size != int64(len(tars[n])) || r.Compression != []string{"none", "gzip"}[n] {
			t.Errorf("layer %d: %+v", n, r)
		}
		merge.Layers = append(merge.Layers, jobs.MergeLayer{DataSize: r.DataSize})
		check.Devices = append(check.Devices, r.DataSize)
		s.files["toc/"+r.DiffID], s.files["data/"+r.DiffID] = toc, data
		save.Layers = append(save.Layers, jobs.SaveLayer{DiffID: r.DiffID, Size: r.Size, DataSize: r.DataSize})

		out := s.create("out")
		e := s.must(&jobs.Job{Kind: jobs.Export, Export: &jobs.ExportParams{DataSize: r.DataSize}},
			out, s.open("toc/"+r.DiffID), s.open("data/"+r.DiffID)).Export
		if !bytes.Equal(s.read("out"), tars[n]) || e.DiffID != r.DiffID {
			t.Errorf("layer %d: the exported tar differs", n)
		}
	}

	m := s.must(&jobs.Job{Kind: jobs.Merge, Merge: merge}, s.create("index")).Merge
	if len(m.Users) != 2 || m.Users[1].Name != "bin" || m.Users[1].UID != 2 || len(m.Groups) != 2 ||
		strings.Join(m.Groups[1].Members, " ") != "root bin" || m.Inodes != 5 {
		t.Errorf("merge: %+v", m)
	}
	if c := s.must(&jobs.Job{Kind: jobs.Check, Check: check}, s.open("index")).Check; c.Digest != m.Digest {
		t.Errorf("check: %+v, merge: %+v", c, m)
	}

	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	save.Config, save.ConfigSize = digest(config), int64(len(config))
	s.create("config/" + save.Config).Write(config)
	s.must(&jobs.Job{Kind: jobs.Save, Save: &jobs.SaveParams{Images: []jobs.SaveImage{save}}}, s.create("saved"))
	l := s.must(&jobs.Job{Kind: jobs.Load, Load: &jobs.LoadParams{}}, s.open("saved")).Load
	if len(l.Images) != 1 || l.Images[0].Config != save.Config || len(l.Images[0].Layers) != 2 ||
		l.Images[0].Layers[1] != save.Layers[1].DiffID || l.Images[0].Names[0] != "docker.io/library/small:1" {
		t.Errorf("load: %+v", l)
	}
	for n, b := range l.Blobs {
		if got := s.read(fmt.Sprintf("blob/%d", n)); digest(got) != b.Digest || int64(len(got)) != b.Size {
			t.Errorf("blob %d is not %+v", n, b)
		}
	}
}

// TestErrorsKeepTheirClass: what the worker says against an input reaches brigd with class and sentence.
func TestErrorsKeepTheirClass(t *testing.T) {
	s := &store{t: t, files: map[string]*os.File{}}
	s.create("in").WriteString("\xfd7zXZ\x00 and so on")
	_, err := s.run(&jobs.Job{Kind: jobs.Layer, Layer: &jobs.LayerParams{}}, s.open("in"), s.create("d"),
		s.create("t"))
	if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "xz") {
		t.Errorf("xz: %v", err)
	}
	_, err = s.run(&jobs.Job{Kind: jobs.Merge,
		Merge: &jobs.MergeParams{Layers: []jobs.MergeLayer{{DataSize: 4096}}}},
		s.create("i"))
	if !errdefs.IsNotFound(err) {
		t.Errorf("a refused file: %v", err)
	}
	_, err = s.run(&jobs.Job{Kind: jobs.Check, Check: &jobs.CheckParams{}})
	if !errdefs.IsInvalidArgument(err) {
		t.Errorf("a missing descriptor: %v", err)
	}
}

// TestWorkerEndsWithItsDaemon: closing the connection ends a worker that is busy.
func TestWorkerEndsWithItsDaemon(t *testing.T) {
	s := &store{t: t, files: map[string]*os.File{}}
	r, w, err := os.Pipe() // nobody ever writes
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	conn, cmd := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err = jobs.Run(ctx, conn, &jobs.Job{Kind: jobs.Load, Load: &jobs.LoadParams{}}, []int{int(r.Fd())},
		s.host())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled job: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("the worker is still there")
	}
}

// TestWorkerOpensNothing reads the source: nothing a worker runs may name a path, start a program or open a socket. The
// sandbox refuses it as well; this finds it before that does. The exceptions are fill and label, which work in the
// directories that they were given, in a sandbox of their own.
func TestWorkerOpensNothing(t *testing.T) {
	banned := []string{"os.Open(", "os.Create(", "os.ReadFile(", "os.WriteFile(", "os.OpenFile(", "os.Mkdir", "os.Remove",
		"exec.Command", "net.Dial", "net.Listen(", "net.ListenPacket(", "net.ListenUDP(", "net.ListenTCP(", "unix.Open",
		"syscall.Open", "http.", "os.Getenv", "ioutil."}
	for _, root := range []string{"../../internal/worker", "."} {
		err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
			if d.IsDir() && (d.Name() == "fill" || d.Name() == "label") {
				return filepath.SkipDir
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			b, err := os.ReadFile(p)
			for _, s := range banned {
				if bytes.Contains(b, []byte(s)) {
					t.Errorf("%s calls %s", p, s)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
