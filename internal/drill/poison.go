package drill

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Poisoned archives are handed to the engine as `load` would. An engine may refuse one, or take it and keep it inert;
// what counts is what the canaries say afterwards.

const poisonName = "brig-probe-poisoned:latest"

// feed loads a poisoned archive and returns the engine's refusal, "" if it took it. An engine that has seen enough may
// close before the rest was sent, and its sentence is lost on the way: the words are asked for again, a few times.
func (r *run) feed(archive []byte) (refusal string) {
	var err error
	for try := 0; try < 5; try++ {
		var cut *net.OpError
		if err = r.engine.Load(r.ctx, bytes.NewReader(archive)); !errors.As(err, &cut) {
			break
		}
	}
	if err != nil {
		return firstLine(err.Error())
	}
	return ""
}

func (r *run) unfeed() { r.engine.Unload(r.ctx, poisonName) }

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = shortDigests(s)
	if r := []rune(s); len(r) > 160 {
		s = string(r[:160]) + "…"
	}
	return s
}

// shortDigests leaves twelve digits of every SHA-256 in a text: enough to tell them apart.
func shortDigests(s string) string {
	var out, run []byte
	flush := func() {
		if len(run) >= 64 {
			run = append(run[:12], "…"...)
		}
		out, run = append(out, run...), run[:0]
	}
	for i := range len(s) {
		if c := s[i]; c >= '0' && c <= '9' || c >= 'a' && c <= 'f' {
			run = append(run, c)
			continue
		}
		flush()
		out = append(out, s[i])
	}
	flush()
	return string(out)
}

// tryDigest changes a byte of a layer and leaves its digest as it was.
func tryDigest(r *run) Verdict {
	defer r.unfeed()
	// A program that no engine has seen yet: a layer that it already has would not be looked at again.
	good := programLayer(append(bytes.Clone(r.program), newToken()...))
	evil := bytes.Clone(good)
	evil[len(evil)/2] ^= 1 // within the program's code, so that the archive stays well-formed
	refusal := r.feed(writeImage(poisonName, []layer{{tar: evil, claim: digest(good)}}))
	have, err := r.engine.HasImage(r.ctx, poisonName)
	switch {
	case err != nil:
		return couldNot("ask for the image: %v", err)
	case have:
		return r.firstUse()
	case refusal == "":
		return couldNot("the engine neither refused the archive nor has the image")
	}
	return Verdict{Verdict: Blocked, Layer: "digest check", Detail: "load → " + refusal}
}

// firstUse makes a container of a layer that its digest does not describe: some engines look no earlier.
func (r *run) firstUse() Verdict {
	box, err := r.start(Spec{Image: poisonName, Args: []string{"/bin/true"}})
	if err != nil {
		return Verdict{Verdict: Blocked, Layer: "digest check", Detail: "loaded, then " + firstLine(err.Error())}
	}
	r.remove(box)
	return Verdict{Verdict: Exposed, Detail: "a container was made of a layer that its digest does not describe"}
}

// escape is one old way out of the root, as the entries of a layer.
type escape struct {
	name    string
	entries []tar.Header
	read    string // a file in which a container of the image would find the canary
}

// escapes lead to a directory of the host. They are tried one by one: an engine that stumbles over one of them has not
// refused the others.
func escapes(to *hostDir) []escape {
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644} }
	link := func(kind byte, name, to string) tar.Header {
		return tar.Header{Typeflag: kind, Name: name, Linkname: to, Mode: 0o777}
	}
	out := strings.Repeat("../", 24) + strings.TrimPrefix(to.path, "/")
	return []escape{
		{"absolute name", []tar.Header{file(to.path + "/absolute")}, ""},
		{"name through a link", []tar.Header{link(tar.TypeSymlink, "door", to.path), file("door/through")}, ""},
		{"dots", []tar.Header{file(out + "/dots")}, ""},
		{"hard link", []tar.Header{link(tar.TypeLink, "borrowed", to.file())}, "/borrowed"},
	}
}

// tryEscape loads entries that lead out of the root, and makes a container of what became of each.
func tryEscape(r *run) Verdict {
	defer r.unfeed()
	var seen, inert, refused []string
	words := "" // of the first refusal
	for i := range escapes(r.dir) {
		e, v, refusal := r.escape(i)
		r.unfeed()
		switch {
		case v.Verdict == Exposed:
			seen = append(seen, e+": "+v.Detail)
		case refusal != "":
			refused = append(refused, e)
			if words == "" {
				words = " (" + refusal + ")"
			}
		case v.Verdict == Blocked:
			inert = append(inert, e)
		default:
			return v
		}
	}
	if len(seen) > 0 {
		return Verdict{Verdict: Exposed, Detail: strings.Join(seen, "; ")}
	}
	v := Verdict{Verdict: Blocked, Layer: "inert content"}
	if len(refused) > 0 {
		v.Layer, v.Detail = "verification", "refused: "+strings.Join(refused, ", ")+words
	}
	if len(inert) > 0 {
		v.Detail = strings.TrimPrefix(v.Detail+"; taken, and led nowhere: "+strings.Join(inert, ", "), "; ")
	}
	return v
}

// escape loads one archive, which aims at a directory of its own, and says what became of it, or in which words the
// engine refused it, then or when a container was to be made of it.
func (r *run) escape(nth int) (name string, v Verdict, refusal string) {
	dir, err := plantDir()
	if err != nil {
		return "", couldNot("plant a canary directory: %v", err), ""
	}
	defer dir.remove()
	e := escapes(dir)[nth]
	if refusal = r.feed(escapeImage(r.program, e)); refusal == "" {
		v, refusal = r.unpacked(dir, e.read)
	}
	if how := dir.disturbed(); how != "" {
		v, refusal = Verdict{Verdict: Exposed, Detail: how}, ""
	}
	return e.name, v, refusal
}

func escapeImage(program []byte, e escape) []byte {
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	for _, h := range e.entries {
		var content []byte
		if h.Typeflag == tar.TypeReg {
			content = []byte("x")
		}
		put(t, h, content)
	}
	t.Close()
	return writeImage(poisonName, []layer{{tar: programLayer(program)}, {tar: buf.Bytes()}})
}

// unpacked makes a container of the poisoned image, for which some engines unpack it first, and has it read a file, if one
// is named.
func (r *run) unpacked(dir *hostDir, read string) (v Verdict, refusal string) {
	args := []string{"/bin/true"}
	if read != "" {
		args = probeArgs("host-paths", dir.secret.hash(), read)
	}
	box, err := r.start(Spec{Image: poisonName, Args: args})
	if err != nil {
		return Verdict{}, firstLine(err.Error())
	}
	defer r.remove(box)
	if read == "" {
		return Verdict{Verdict: Blocked}, ""
	}
	return r.outcome(box), ""
}

// tryDiskInImage brings a device node along and reads it.
func tryDiskInImage(r *run) Verdict {
	defer r.unfeed()
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	put(t, tar.Header{Typeflag: tar.TypeBlock, Name: "disk", Mode: 0o666, Devmajor: int64(r.disk.major),
		Devminor: int64(r.disk.minor)}, nil)
	t.Close()
	image := writeImage(poisonName, []layer{{tar: programLayer(r.program)}, {tar: buf.Bytes()}})
	if refusal := r.feed(image); refusal != "" {
		return Verdict{Verdict: Blocked, Layer: "verification", Detail: fmt.Sprintf("refused: %s", refusal)}
	}
	return r.attack(Spec{Image: poisonName, Args: probeArgs("disk-node", r.disk.secret.hash(), "/disk")})
}
