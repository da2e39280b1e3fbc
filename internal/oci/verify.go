package oci

import (
	"fmt"
	"os"
	"strings"

	"github.com/brig-engine/brig/internal/oci/config"
)

// checkMounts looks at the mounts of a container that is built and executes nothing yet: below its proc is nothing but what
// may be there, whatever links of the image the mount points led through (CVE-2019-16884, CVE-2023-27561).
func checkMounts(pid int, root string) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return fmt.Errorf("look at the container's mounts: %w", err)
	}
	if at := covered(string(b), root); at != "" {
		return fmt.Errorf("a mount covers %s: nothing may do that, by whatever links of the image it came there", at)
	}
	return nil
}

// covered gives a path below the container's /proc that has a mount and may not. root is where the container's root is
// mounted, or, if it is nowhere there, what was mounted on / last.
func covered(mountinfo, root string) string {
	type mount struct{ id, parent, at, kind string }
	var all []mount
	top := -1
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(kind) == 0 {
			continue
		}
		m := mount{f[0], f[1], unescape(f[4]), kind[0]}
		if m.at == root || m.at == "/" && (top < 0 || all[top].at == "/") {
			top = len(all)
		}
		all = append(all, m)
	}
	if top < 0 {
		return ""
	}
	base := strings.TrimSuffix(all[top].at, "/")
	inside := map[string]bool{} // what is mounted on /proc of the container, or below
	for _, m := range all {
		switch {
		case m.parent == all[top].id && m.at == base+"/proc" && m.kind == "proc":
			inside[m.id] = true
		case inside[m.parent]:
			if where := strings.TrimPrefix(m.at, base); !config.Coverable(where) {
				return where
			}
			inside[m.id] = true
		}
	}
	return ""
}

// unescape undoes what mountinfo does to blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
