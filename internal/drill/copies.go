package drill

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"time"
)

// tryCopyRace copies into and out of a container that exchanges the place for a link to the host meanwhile.
func tryCopyRace(r *run) Verdict {
	q, dir, err := r.ownCanary()
	if err != nil {
		return couldNot("%v", err)
	}
	defer dir.remove()
	box, err := r.start(Spec{Args: probeArgs("swap", "1000", "/x", dir.path)})
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	var archive bytes.Buffer
	t := tar.NewWriter(&archive)
	put(t, tar.Header{Typeflag: tar.TypeReg, Name: "planted", Mode: 0o644}, []byte("by a copy"))
	t.Close()
	in, out := 0, 0
	for end := time.Now().Add(900 * time.Millisecond); time.Now().Before(end); {
		if box.CopyIn(r.ctx, "/x", bytes.NewReader(archive.Bytes())) == nil {
			in++
		}
		if how := dir.disturbed(); how != "" {
			return Verdict{Verdict: Exposed, Detail: how}
		}
		got, err := box.CopyOut(r.ctx, "/x/secret")
		if err == nil {
			out++
		}
		if bytes.Contains(got, []byte(dir.secret)) {
			return Verdict{Verdict: Exposed, Detail: "the host's canary was copied out"}
		}
	}
	v := r.outcome(box)
	if v.Verdict != lookOutside {
		return v
	}
	if in == 0 {
		return couldNot("not one copy succeeded beside %s", v.Detail)
	}
	v.Verdict, v.Detail = Blocked, fmt.Sprintf("%d copies in, %d out beside %s", in, out, v.Detail)
	return q.undisturbed(v)
}

// trojans are files of the image that an engine may take for its own: programs that unpack, and libraries that find names.
var trojans = []string{"bin/xz", "bin/unxz", "bin/unpigz", "bin/gunzip", "bin/gzip", "bin/zstd", "bin/bzip2", "bin/tar"}

var libraries = []string{"lib/libnss_files.so.2", "lib/x86_64-linux-gnu/libnss_files.so.2", "lib64/libnss_files.so.2",
	"usr/lib/x86_64-linux-gnu/libnss_files.so.2", "etc/nsswitch.conf", "etc/ld.so.preload"}

// tryCopyTrojan copies packed archives into a container whose image has programs of the names that unpack them.
func tryCopyTrojan(r *run) Verdict {
	defer r.unfeed()
	if refusal := r.feedImage(nil, func(t *tar.Writer) {
		for _, name := range trojans {
			put(t, tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755}, r.program)
			put(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/" + name, Linkname: "/" + name, Mode: 0o777}, nil)
		}
		for _, name := range libraries {
			put(t, tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755}, []byte("no library"))
		}
	}); refusal != "" {
		return couldNot("the image: %s", refusal)
	}
	args := []string{"copy-trojan", "600"}
	for _, name := range slices.Concat(trojans, libraries) {
		args = append(args, "/"+name)
	}
	box, err := r.start(Spec{Image: poisonName, Args: probeArgs(args...)})
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	time.Sleep(150 * time.Millisecond) // until it watches
	copied := 0
	for _, archive := range packed() {
		if box.CopyIn(r.ctx, "/tmp", bytes.NewReader(archive)) == nil {
			copied++
		}
	}
	if _, err := box.CopyOut(r.ctx, "/tmp/copied"); err != nil && copied == 0 {
		return couldNot("nothing could be copied: %v", err)
	}
	v := r.outcome(box)
	v.Detail += fmt.Sprintf("; %d archives copied in", copied)
	return v
}

// packed are a plain and a packed archive, and what looks like others.
func packed() [][]byte {
	var plain, gz bytes.Buffer
	t := tar.NewWriter(&plain)
	put(t, tar.Header{Typeflag: tar.TypeReg, Name: "copied", Mode: 0o644, Uname: "somebody", Gname: "somebody"}, []byte("by a copy"))
	t.Close()
	z := gzip.NewWriter(&gz)
	z.Write(plain.Bytes())
	z.Close()
	rest := strings.Repeat("\x00", 64)
	return [][]byte{plain.Bytes(), gz.Bytes(), []byte("\xfd7zXZ\x00" + rest), []byte("\x28\xb5\x2f\xfd" + rest), []byte("BZh9" + rest)}
}
