package drill

import (
	"archive/tar"
	"strings"
)

// tryLinkedDirectories has images in which a directory that the engine puts something on is a link to the host's canary.
func tryLinkedDirectories(r *run) Verdict {
	return worstOf([]Verdict{r.linked("etc", "", false), r.linked("etc", dots, true), r.linked("dev", dots, false),
		r.linked("proc", "", false), r.linked("sys", dots, false)})
}

// tryVolumeLink declares a volume where the image has a link to the host's canary: an engine fills a new volume with what
// the image has there.
func tryVolumeLink(r *run) Verdict {
	return worstOf([]Verdict{r.linked("v", "", false, "/v"), r.linked("v", dots, true, "/v")})
}

// dots lead from any directory of an image to the root, and from there no further up.
var dots = strings.Repeat("../", 20)

// linked attacks from an image in which name is a link to a canary of its own, by way of up. With decoy the image has a
// directory where the link leads inside, so that an engine which stays inside has no reason to refuse.
func (r *run) linked(name, up string, decoy bool, volume ...string) Verdict {
	dir, err := plantDir()
	if err != nil {
		return couldNot("plant a canary directory: %v", err)
	}
	defer dir.remove()
	inside := strings.TrimPrefix(dir.path, "/")
	target := dir.path
	if up != "" {
		target = up + inside
	}
	spec := Spec{Args: probeArgs(r.probe.ID, dir.secret.hash(), "/"+name+"/secret")}
	v := r.fromImage(spec, func(t *tar.Writer) {
		if decoy {
			put(t, tar.Header{Typeflag: tar.TypeReg, Name: inside + "/decoy", Mode: 0o644}, []byte("of the image"))
		}
		put(t, tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
	}, volume...)
	v.Detail = strings.ReplaceAll("/"+name+": "+v.Detail, dir.path, "CANARY")
	q := *r
	q.dir = dir
	return q.undisturbed(v)
}
