package code

import (
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
)

// Read gives the bytes of a program for this machine: "floor", "floor-raw", "floor-admin", "floor-raw-admin",
// the same for 32 bits on amd64 (-abi32), "floor-runtime", "default", "brigd", "worker", "filler", "copier", "devices", "init".
func Read(name string) ([]byte, error) {
	text, err := files.ReadFile(runtime.GOARCH + "/" + name + ".txt")
	if err != nil {
		return nil, fmt.Errorf("built-in program: %w", err)
	}
	var out []byte
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, "  ")
		if out, err = hex.AppendDecode(out, []byte(strings.ReplaceAll(digits, " ", ""))); err != nil {
			return nil, fmt.Errorf("built-in program %s: %w", name, err)
		}
	}
	return out, nil
}
