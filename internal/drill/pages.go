package drill

import (
	"bytes"
	"strings"
)

// tryPageCache has the attacker change a file of the image, and looks at it from the neighbour, who has the same image. It
// also reports whether both have one copy of it in memory: then a mistake of the kernel's would be enough.
func tryPageCache(r *run) Verdict {
	const file, mark = "/etc/group", "changed:x:1:\n"
	before, err := r.neighbour.Exec(r.ctx, "/bin/cat", file)
	if err != nil {
		return couldNot("read %s in the neighbour: %v", file, err)
	}
	box, v := r.holding(Spec{Args: probeArgs(r.probe.ID, mark)})
	if box != nil {
		defer r.remove(box)
	}
	if v.Verdict != lookOutside {
		return v
	}
	now, err := r.neighbour.Exec(r.ctx, "/bin/cat", file)
	switch {
	case err != nil:
		return couldNot("read %s in the neighbour: %v", file, err)
	case !bytes.Equal(before, now):
		return Verdict{Verdict: Exposed, Detail: "the neighbour sees what was written: " + v.Detail}
	}
	v.Verdict, v.Detail = Blocked, v.Detail+"; "+r.sharedPages(box)
	return v
}

// sharedPages says whether what the neighbour reads of a file of the image is then in the attacker's memory, too. It is a
// report: who shares saves memory, and who does not has one layer more.
func (r *run) sharedPages(box Box) string {
	const file, unknown = "/etc/passwd", "whether containers share the image's pages cannot be told"
	look := func(tool string) string {
		out, err := box.Exec(r.ctx, probeArgs(tool, file)...)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(out))
	}
	if look("evict") != "absent" {
		return unknown
	}
	if _, err := r.neighbour.Exec(r.ctx, "/bin/cat", file); err != nil {
		return unknown
	}
	switch look("resident") {
	case "resident":
		return "containers of one image share its pages in memory"
	case "absent":
		return "containers of one image have their own pages in memory"
	}
	return unknown
}
