package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// question is added to each package that has an edit.
const question = `package %s

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// without tells whether the engine is to go without a defence.
func without(defence string) bool {
	return slices.Contains(strings.Split(os.Getenv("BRIG_WITHOUT"), ","), defence)
}

// handDown is the variable of the environment that says so.
func handDown() string { return "BRIG_WITHOUT=" + os.Getenv("BRIG_WITHOUT") }

// possible are those of some capabilities that a child in the same user namespace can have: this process's own.
func possible(capabilities uint64) uint64 {
	if !without("user-namespace") {
		return capabilities
	}
	var d [2]unix.CapUserData
	if unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &d[0]) != nil {
		return 0
	}
	return capabilities & (uint64(d[1].Permitted)<<32 | uint64(d[0].Permitted))
}

// descriptorsStay is the answer for code that can call no function.
var descriptorsStay = without("close-range")

var _, _, _ = possible, descriptorsStay, handDown
`

// edited applies all edits to the sources below root, in memory: the new text by file.
func edited(root string) (map[string]string, error) {
	edits := passing()
	for _, d := range Defences() {
		edits = append(edits, d.Edits...)
	}
	before, after := map[string]string{}, map[string]string{}
	for _, e := range edits {
		if _, ok := before[e.File]; !ok {
			b, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return nil, err
			}
			before[e.File], after[e.File] = string(b), string(b)
		}
		// In the file as people have it, and also among what other edits have made of it.
		if n, m := strings.Count(before[e.File], e.Old), strings.Count(after[e.File], e.Old); n != 1 || m != 1 {
			return nil, fmt.Errorf("%s: %q stands there %d times (%d in the edited file), not once", e.File, e.Old, n, m)
		}
		after[e.File] = strings.Replace(after[e.File], e.Old, e.New, 1)
	}
	return after, nil
}

// overlay writes the edited sources below dir, and the file that go build -overlay wants.
func overlay(root, dir string) (file string, err error) {
	files, err := edited(root)
	if err != nil {
		return "", err
	}
	for name, text := range maps.Clone(files) {
		_, pkg, _ := strings.Cut("\n"+text, "\npackage ")
		pkg, _, _ = strings.Cut(pkg, "\n")
		files[filepath.Join(filepath.Dir(name), "without.go")] = fmt.Sprintf(question, pkg)
	}
	replace := map[string]string{}
	for name, text := range files {
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, b, 0o644)
}
