package tree

import (
	"bytes"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/wire/jobs"
)

// CVE-2018-15664: while names are copied in and out, another process puts links that lead to the host in their place,
// back and forth. What is read never has the host's bytes, and nothing is written there. Without RESOLVE_IN_ROOT and its
// kin (kernel/path) this fails at once.
func TestSwappedNamesStayInside(t *testing.T) {
	w := newWorld(t, `mkdir -p d/e; echo mine > d/e/canary; echo mine > f; mkfifo fifo`)
	w.sh("ln -s " + w.host + " swap; ln -s " + w.host + "/canary g; ln -s ../../host d/x")
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			for _, pair := range [][2]string{{"d/e", "swap"}, {"f", "g"}, {"d/x", "fifo"}} {
				_ = unix.Renameat2(w.fd, pair[0], w.fd, pair[1], unix.RENAME_EXCHANGE)
			}
		}
		done <- n
	}()
	rounds := 0
	for start := time.Now(); time.Since(start) < 2*time.Second || rounds < 10 && time.Since(start) < time.Minute; rounds++ {
		for _, p := range []string{"/", "/d", "/d/e", "/d/e/canary", "/f", "/d/x", "/swap/.", "/g"} {
			_, _, _ = w.read(p) // contents looks for the host's bytes; that something vanishes is no failure
		}
		for _, p := range []string{"d/e", "d", "d/x", "swap", ""} {
			w.into(p)
		}
	}
	stop.Store(true)
	if n := <-done; n < 100 || rounds < 10 {
		t.Errorf("only %d swaps beside %d copies", n, rounds)
	}
	w.untouched()
}

// into writes to a directory as TreeWrite does.
func (w *world) into(p string) {
	task := &work{params: &jobs.TreeParams{Do: jobs.TreeWrite, Path: "/" + p}, limits: limits, root: w.fd}
	dest, err := task.destination()
	if err != nil {
		return
	}
	defer unix.Close(dest)
	in := entries(w.t, file("canary", "written"), file("e/new", "written"), file("d/e/new", "written"))
	_ = newUnpacker(dest, task.params, limits).unpack(in)
}

// What would wait for somebody is not waited for: a FIFO without a writer, under a name that was a file's a moment ago.
func TestFIFOsDoNotHang(t *testing.T) {
	w := newWorld(t, "mkfifo p; mkdir d; mkfifo d/p")
	ended := make(chan string)
	go func() {
		var b bytes.Buffer
		k := newPacker(&b, limits)
		_ = k.file(w.fd, "p", "p") // as if it had been a file when it was looked at
		_, names, _ := w.read("/")
		ended <- names
	}()
	select {
	case names := <-ended:
		if !strings.Contains(names, "/d/p") {
			t.Errorf("%q", names)
		}
	case <-time.After(10 * time.Second):
		t.Error("hangs")
	}
}

func TestChangesAndLayers(t *testing.T) {
	w := newWorld(t, `mkdir -p image/etc/conf image/usr/bin image/opt/x image/same image/opq changed
		echo a > image/etc/passwd; echo b > image/etc/conf/c; echo t > image/usr/bin/tool; echo k > image/usr/bin/kept; echo o > image/opt/x/y; touch image/opq/old image/opq/both; echo w > image/was
		cp -a image/etc image/usr image/same image/opq changed/; rm -r changed/etc/conf changed/usr/bin/*
		echo changed > changed/etc/passwd; mknod changed/usr/bin/tool c 0 0; mknod changed/opt c 0 0; mkdir -p changed/new/deep; echo n > changed/new/deep/f
		rm changed/opq/old; mknod changed/never c 0 0
		rm -f changed/was; mkdir changed/was; ln -s /x changed/link; echo s > changed/.wh.fake; touch -r image/same changed/same; touch -r image/usr changed/usr`)
	w.xattr("changed/opq", "user.overlay.opaque", "y")
	d := &differ{limit: 100}
	if err := d.directory(w.open(w.root+"/changed"), w.open(w.root+"/image"), "/", 0); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := d.write(&b); err != nil {
		t.Fatal(err)
	}
	want := `[{"Path":"/.wh.fake","Kind":1},{"Path":"/etc","Kind":0},{"Path":"/etc/passwd","Kind":0},{"Path":"/link","Kind":1},` +
		`{"Path":"/new","Kind":1},{"Path":"/new/deep","Kind":1},{"Path":"/new/deep/f","Kind":1},{"Path":"/opq","Kind":0},{"Path":"/opq/both","Kind":0},` +
		`{"Path":"/opq/old","Kind":2},{"Path":"/opt","Kind":2},{"Path":"/usr","Kind":0},{"Path":"/usr/bin","Kind":0},{"Path":"/usr/bin/tool","Kind":2},{"Path":"/was","Kind":0}]`
	if got := strings.TrimSpace(b.String()); got != want {
		t.Errorf("changes:\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	err := packTo(&b, limits, &jobs.TreeResult{}, func(p *packer) error {
		p.layer = true
		return p.directory(w.open(w.root+"/changed"), "", 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, names := contents(t, io.Reader(&b))
	if want := "etc/ etc/passwd link .wh.never new/ new/deep/ new/deep/f opq/ opq/.wh..wh..opq opq/both .wh.opt same/ usr/ usr/bin/ usr/bin/.wh.tool was/"; names != want {
		t.Errorf("layer:\n%s\nwant\n%s", names, want)
	}
	if (&differ{limit: 2}).directory(w.open(w.root+"/changed"), w.open(w.root+"/image"), "/", 0) == nil {
		t.Error("changes have no bound")
	}
}
