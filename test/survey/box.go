package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// boxTar is the root file system of the image box: busybox under all of its names, and three users.
func boxTar() ([]byte, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("%w. Next: apt-get install busybox-static", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	names, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("busybox --list: %w", err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(kind byte, name string, mode int64, content []byte, to string) {
		if err == nil {
			err = w.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Mode: mode, Size: int64(len(content)), Linkname: to})
		}
		if err == nil {
			_, err = w.Write(content)
		}
	}
	for _, dir := range []string{"bin/", "etc/", "root/"} {
		add(tar.TypeDir, dir, 0o755, nil, "")
	}
	add(tar.TypeDir, "tmp/", 0o1777, nil, "")
	add(tar.TypeReg, "etc/passwd", 0o644, []byte("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"), "")
	add(tar.TypeReg, "etc/group", 0o644, []byte("root:x:0:\nnobody:x:65534:\n"), "")
	add(tar.TypeReg, "bin/busybox", 0o755, program, "")
	for _, name := range strings.Fields(string(names)) {
		if name != "busybox" {
			add(tar.TypeLink, "bin/"+name, 0o755, nil, "bin/busybox")
		}
	}
	if err == nil {
		err = w.Close()
	}
	return b.Bytes(), err
}
