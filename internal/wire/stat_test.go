package wire

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// stat writes a line as the kernel does: the name may hold anything, and fields are numbered from 1.
func stat(pid int, name string, start uint64, status int) string {
	f := make([]string, 50)
	for i := range f {
		f[i] = fmt.Sprint(i + 3)
	}
	f[0], f[22-3], f[52-3] = "Z", fmt.Sprint(start), fmt.Sprint(status)
	return fmt.Sprintf("%d (%s) %s\n", pid, name, strings.Join(f, " "))
}

// TestNameOfAProcessCannotForgeItsFields, whatever it holds.
func TestNameOfAProcessCannotForgeItsFields(t *testing.T) {
	forged := strings.TrimSpace(stat(1, "init", 1, 0)[1:])
	for _, name := range []string{"sh", "", ")", "(", "a) Z 1 1", "))) ", "\n", "x\n1 (y) Z", "\x00", "\xff)", forged} {
		if got, err := ParseStat(stat(4711, name, 1<<63, 256)); err != nil || got != 1<<63 {
			t.Errorf("name %q: %d, %v", name, got, err)
		}
	}
}

// TestBrokenStatIsAnError, never a time of zero.
func TestBrokenStatIsAnError(t *testing.T) {
	good := stat(1, "sh", 2, 3)
	for name, s := range map[string]string{
		"empty":       "",
		"no name":     strings.NewReplacer("(", "", ")", "").Replace(good),
		"cut":         "1 (sh) " + strings.Join(strings.Fields(good)[2:21], " "),
		"start time":  strings.Replace(good, " 2 ", " -2 ", 1),
		"only a name": "1 (sh)",
		"large":       strings.Replace(good, " 2 ", " 99999999999999999999 ", 1),
	} {
		if n, err := ParseStat(s); err == nil {
			t.Errorf("%s: %q became %d", name, s, n)
		}
	}
	if n, err := StartTime(1 << 30); err == nil {
		t.Errorf("a process that cannot be began at %d", n)
	}
}

// TestStatOfThisProcess: the kernel's own line, with a name made to break parsers.
func TestStatOfThisProcess(t *testing.T) {
	n, err := StartTime(os.Getpid())
	if err != nil || n == 0 {
		t.Fatalf("%d, %v", n, err)
	}
	again, err := StartTime(os.Getpid())
	if err != nil || again != n {
		t.Errorf("%d, then %d, %v", n, again, err)
	}
}

// FuzzParseStat: the name is the process's own choice; nothing in it changes what is read.
func FuzzParseStat(f *testing.F) {
	f.Add("sh", uint32(1), uint64(2), uint16(3))
	f.Add("a) R 1 2 3\n4 (b", uint32(1<<22), uint64(1)<<63, uint16(9))
	f.Fuzz(func(t *testing.T, name string, pid uint32, start uint64, status uint16) {
		if got, err := ParseStat(stat(int(pid), name, start, int(status))); err != nil || got != start {
			t.Errorf("%d, %v; want %d", got, err, start)
		}
		if n, err := ParseStat(name); err == nil && !strings.Contains(name, ")") {
			t.Errorf("%q became %d", name, n)
		}
	})
}
