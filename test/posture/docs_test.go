package posture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What docs/threat-model.md calls a defence's test is one: the file is there and has a function of that name.
func TestThreatModelNamesTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile("`([A-Za-z0-9_./-]+_test\\.go)`|\\b((?:Test|Fuzz)[A-Z][A-Za-z0-9]+)")
	pairs := 0
	for bullet := range strings.SplitSeq(string(text), "\n- ") {
		source := ""
		for _, m := range word.FindAllStringSubmatch(bullet, -1) {
			if m[1] != "" {
				if source = readTest(root, m[1]); source == "" {
					t.Errorf("%s does not exist", m[1])
				}
				continue
			}
			pairs++
			if !strings.Contains(source, "\nfunc "+m[2]+"(") {
				t.Errorf("%s is not in the file that the threat model names before it", m[2])
			}
		}
	}
	if pairs < 50 {
		t.Errorf("only %d tests were found in the text", pairs)
	}
}

// readTest looks for a file below internal/ and below the root; "" if it is in neither.
func readTest(root, name string) string {
	for _, dir := range []string{"internal", "."} {
		if b, err := os.ReadFile(filepath.Join(root, dir, name)); err == nil {
			return string(b)
		}
	}
	return ""
}
