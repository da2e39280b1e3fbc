// loc prints how much code runs as root: ours by package, and libraries by module (the standard library and
// golang.org/x/sys aside), of the runtime for other engines first, which is apart. The limits are held by test/posture.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/brig-engine/brig/test/posture"
)

func main() {
	err := run("brig-oci, for other engines", posture.RuntimePrograms)
	if err == nil {
		fmt.Println()
		err = run("runs as root", posture.RootPrograms)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "loc:", err)
		os.Exit(1)
	}
}

func run(title string, programs []string) error {
	list, err := posture.List(programs...)
	if err != nil {
		return err
	}
	counts := map[string]posture.Count{}
	for _, p := range list {
		if p.Standard || p.Module == nil || p.Module.Path == "golang.org/x/sys" {
			continue
		}
		name := p.Module.Path
		if p.Ours() {
			name = strings.TrimPrefix(p.ImportPath, posture.Module)
		}
		c, err := p.Lines()
		if err != nil {
			return err
		}
		t := counts[name]
		counts[name] = posture.Count{Files: t.Files + c.Files, Lines: t.Lines + c.Lines, Code: t.Code + c.Code}
	}
	printTable(title, counts)
	return nil
}

func printTable(title string, counts map[string]posture.Count) {
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	sort.Strings(names)
	var ours, libraries posture.Count
	fmt.Printf("%-44s %6s %7s %7s\n", title, "files", "lines", "code")
	for _, n := range names {
		c, sum := counts[n], &libraries
		if strings.HasPrefix(n, "internal/") || strings.HasPrefix(n, "cmd/") {
			sum = &ours
		}
		sum.Files, sum.Lines, sum.Code = sum.Files+c.Files, sum.Lines+c.Lines, sum.Code+c.Code
		fmt.Printf("%-44s %6d %7d %7d\n", n, c.Files, c.Lines, c.Code)
	}
	fmt.Printf("%-44s %6d %7d %7d\n", "ours", ours.Files, ours.Lines, ours.Code)
	fmt.Printf("%-44s %6d %7d %7d\n", "libraries", libraries.Files, libraries.Lines, libraries.Code)
}
