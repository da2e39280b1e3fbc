package e2e

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// applets are the names by which the busybox of the test image is called.
var applets = []string{"sh", "true", "false", "cat", "sleep", "id", "echo", "ls", "touch", "head", "dd", "tty", "stat", "grep",
	"kill", "ps", "stty", "nc", "wget", "ping", "nslookup", "hostname", "env", "pwd", "rm", "mkdir", "seq", "ip", "tail", "yes", "df", "chmod", "trap", "wc", "readlink"}

// busyboxTar is a root file system with a static busybox, as brig import takes it.
func busyboxTar(t testing.TB) []byte {
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
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"bin/", "etc/", "data/", "root/"} {
		add(tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/data:/bin/sh\n"))
	add(tar.Header{Name: "etc/group", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:\nworker:x:1000:\nextra:x:2000:worker\n"))
	add(tar.Header{Name: "data/hello", Typeflag: tar.TypeReg, Mode: 0o644, Uid: 1000, Gid: 1000}, []byte("from the image\n"))
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, bin)
	for _, n := range applets {
		add(tar.Header{Name: "bin/" + n, Typeflag: tar.TypeLink, Linkname: "bin/busybox", Mode: 0o755}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withBusybox imports the test image under the name box.
func (e *engine) withBusybox() *engine {
	e.t.Helper()
	path := filepath.Join(e.dir, "busybox.tar")
	if err := os.WriteFile(path, busyboxTar(e.t), 0o644); err != nil {
		e.t.Fatal(err)
	}
	e.brig("import", "--change", "ENV PATH=/bin", "--change", `CMD ["sh"]`, path, "box")
	return e
}
