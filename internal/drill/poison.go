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
		return Verdict{Verdict: Exposed, Detail: "the engine accepted a layer that its digest does not describe"}
	case refusal == "":
		return couldNot("the engine neither refused the archive nor has the image")
	}
	return Verdict{Verdict: Blocked, Layer: "digest check", Detail: "load → " + refusal}
}

// tryEscape loads entries that lead out of the root in every old way, and then runs a container of what became of them.
func tryEscape(r *run) Verdict {
	defer r.unfeed()
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	out := strings.Repeat("../", 24) + strings.TrimPrefix(r.dir.path, "/")
	put(t, tar.Header{Typeflag: tar.TypeReg, Name: r.dir.path + "/absolute", Mode: 0o644}, []byte("x"))
	put(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "door", Linkname: r.dir.path, Mode: 0o777}, nil)
	put(t, tar.Header{Typeflag: tar.TypeReg, Name: "door/through-symlink", Mode: 0o644}, []byte("x"))
	put(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "peek", Linkname: out + "/secret", Mode: 0o777}, nil)
	put(t, tar.Header{Typeflag: tar.TypeLink, Name: "borrowed", Linkname: r.dir.file(), Mode: 0o644}, nil)
	t.Close()
	links := r.escape(buf.Bytes())
	if links.Verdict == Exposed {
		return links
	}
	r.unfeed()
	buf.Reset()
	t = tar.NewWriter(&buf)
	put(t, tar.Header{Typeflag: tar.TypeReg, Name: out + "/dots", Mode: 0o644}, []byte("x"))
	t.Close()
	dots := r.escape(buf.Bytes())
	if dots.Verdict == Blocked && links.Verdict == Blocked {
		dots.Detail = "dots: " + dots.Detail + "; links: " + links.Detail
	} else if dots.Verdict == Blocked {
		return links
	}
	return dots
}

func (r *run) escape(evil []byte) Verdict {
	refusal := r.feed(writeImage(poisonName, []layer{{tar: programLayer(r.program)}, {tar: evil}}))
	v := Verdict{Verdict: Blocked, Layer: "verification", Detail: "refused: " + refusal}
	if refusal == "" {
		inert := r.attack(Spec{Image: poisonName, Args: probeArgs("host-paths", r.dir.secret.hash(), "/borrowed")})
		if inert.Verdict == Blocked {
			inert = r.attack(Spec{Image: poisonName, Args: probeArgs("host-paths", r.dir.secret.hash(), "/peek")})
		}
		v = inert
		if v.Verdict == Blocked {
			v.Layer, v.Detail = "inert content", "taken, and nothing led out of the image"
		}
	}
	return r.undisturbed(v)
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
