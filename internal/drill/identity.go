package drill

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
)

// dared runs an attacker whose container an engine may refuse to start. That is a defence, and named so, if the same
// engine starts a container of the same user from an image and in a directory without the trick.
func (r *run) dared(spec Spec) Verdict {
	if spec.Image == "" {
		spec.Image = ImageName
	}
	box, err := r.engine.Start(r.ctx, spec)
	if err == nil {
		defer r.remove(box)
		return r.outcome(box)
	}
	return r.refused(spec.User, err)
}

// refused is the verdict of an engine that did not start an attacker.
func (r *run) refused(user string, err error) Verdict {
	if !r.starts { // once for a probe
		plain, err := r.engine.Start(r.ctx, Spec{Image: ImageName, User: user, Args: []string{"/bin/true"}})
		if err != nil {
			return couldNot("start the attacker: %v", err)
		}
		r.remove(plain)
		r.starts = true
	}
	return Verdict{Verdict: Blocked, Layer: "policy", Detail: "refused: " + firstLine(err.Error())}
}

// fromImage feeds an image that has the program, a layer upon it, and perhaps a volume, and attacks from there.
func (r *run) fromImage(spec Spec, fill func(*tar.Writer), volume ...string) Verdict {
	more := map[string]any{}
	for _, v := range volume {
		more["Volumes"] = map[string]any{v: struct{}{}}
	}
	return r.fromImageOf(spec, more, fill)
}

// fromImageOf is fromImage with more defaults in the image's config.
func (r *run) fromImageOf(spec Spec, more map[string]any, fill func(*tar.Writer)) Verdict {
	defer r.unfeed()
	if refusal := r.feedImage(more, fill); refusal != "" {
		return Verdict{Verdict: Blocked, Layer: "verification", Detail: "refused: " + refusal}
	}
	spec.Image = poisonName
	return r.dared(spec)
}

// feedImage loads the image of fromImageOf; the caller takes it away.
func (r *run) feedImage(more map[string]any, fill func(*tar.Writer)) (refusal string) {
	var upper bytes.Buffer
	t := tar.NewWriter(&upper)
	fill(t)
	t.Close()
	return r.feed(writeImageOf(poisonName, []layer{{tar: programLayer(r.program)}, {tar: upper.Bytes()}}, more))
}

// ordinary is the user that an attacker of these probes is.
const ordinary = "1000"

// fileCapability is the extended attribute of a program that has CAP_CHOWN, effective at once: struct vfs_cap_data,
// revision 2.
var fileCapability = string([]byte{1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})

func trySetuid(r *run) Verdict {
	const setuid, capable = "bin/setuid", "bin/capable"
	return r.fromImage(Spec{User: ordinary, Args: probeArgs(r.probe.ID, "/"+setuid, "/"+capable)}, func(t *tar.Writer) {
		put(t, tar.Header{Typeflag: tar.TypeReg, Name: setuid, Mode: 0o4755}, r.program)
		put(t, tar.Header{Typeflag: tar.TypeReg, Name: capable, Mode: 0o755,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": fileCapability}}, r.program)
	})
}

// tryUserNumber has a user in the image whose name is a number, and who is root.
func tryUserNumber(r *run) Verdict {
	return worstOf([]Verdict{r.fromImage(Spec{User: ordinary, Args: probeArgs(r.probe.ID)}, func(t *tar.Writer) {
		put(t, tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644},
			[]byte("root:x:0:0:root:/root:/bin/false\n"+ordinary+":x:0:0:root:/root:/bin/false\n"))
	}), r.execAsOne()})
}

// execAsOne executes a program as user 1, who was root to an engine that read the number wrongly (CVE-2026-30892).
func (r *run) execAsOne() Verdict {
	box, _, err := r.idle()
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	out, err := box.ExecAs(r.ctx, "1", "/bin/id")
	who := strings.TrimSpace(string(out))
	switch {
	case err != nil:
		return couldNot("execute id as user 1: %v", err)
	case !strings.HasPrefix(who, "uid=1 "):
		return Verdict{Verdict: Exposed, Detail: "executed as user 1: " + firstLine(who)}
	}
	return Verdict{Verdict: Blocked, Layer: "policy", Detail: "executed as user 1: " + firstLine(who)}
}

// tryWorkdir asks for one descriptor of the engine after the other as the working directory.
func tryWorkdir(r *run) Verdict {
	var all []Verdict
	for fd := 3; fd <= 15; fd++ {
		all = append(all, r.dared(Spec{WorkDir: fmt.Sprintf("/proc/self/fd/%d", fd),
			Args: probeArgs(r.probe.ID, r.dir.secret.hash(), r.dir.file())}))
	}
	return worstOf(all)
}

// worstOf is the verdict of several tries: what got through, else what could not be tried, else the first of those that
// were refused, with how many there were.
func worstOf(all []Verdict) Verdict {
	for _, bad := range []string{Exposed, CouldNotTry} {
		for _, v := range all {
			if v.Verdict == bad {
				return v
			}
		}
	}
	v := all[0]
	layers := map[string]bool{v.Layer: true}
	for _, other := range all[1:] {
		if other.Layer != "" && !layers[other.Layer] {
			layers[other.Layer] = true
			v.Layer += " or " + other.Layer
		}
	}
	v.Detail = fmt.Sprintf("%d tries: %s", len(all), v.Detail)
	return v
}
