package wire

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
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
		got, err := ParseStat(stat(4711, name, 1<<63, 256))
		if want := (ExitNote{PID: 4711, StartTime: 1 << 63, Status: 256}); err != nil || got != want {
			t.Errorf("name %q: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

// TestBrokenStatIsAnError, never a note with zeros.
func TestBrokenStatIsAnError(t *testing.T) {
	good := stat(1, "sh", 2, 3)
	for name, s := range map[string]string{
		"empty":        "",
		"no name":      strings.NewReplacer("(", "", ")", "").Replace(good),
		"cut":          good[:len(good)-4],
		"no pid":       strings.TrimPrefix(good, "1"),
		"start time":   strings.Replace(good, " 2 ", " -2 ", 1),
		"status":       strings.TrimSpace(good) + "x",
		"only a name":  "1 (sh)",
		"large status": strings.Replace(good, " 3\n", " 99999999999999999999\n", 1),
	} {
		if n, err := ParseStat(s); err == nil {
			t.Errorf("%s: %q became %+v", name, s, n)
		}
	}
	if n, err := ReadStat(1 << 30); err == nil {
		t.Errorf("a process that cannot be became %+v", n)
	}
}

// TestStatOfThisProcess: the kernel's own line, with a name made to break parsers.
func TestStatOfThisProcess(t *testing.T) {
	n, err := ReadStat(os.Getpid())
	if err != nil || n.PID != os.Getpid() || n.StartTime == 0 || n.Status != 0 {
		t.Fatalf("%+v, %v", n, err)
	}
	again, err := ReadStat(os.Getpid())
	if err != nil || again != n {
		t.Errorf("%+v, then %+v, %v", n, again, err)
	}
}

// TestStatusOfWaitBecomesTheShellsCode: code as it is, signal over 128.
func TestStatusOfWaitBecomesTheShellsCode(t *testing.T) {
	for status, want := range map[int]Exit{
		0:                        {},
		1 << 8:                   {Code: 1},
		255 << 8:                 {Code: 255},
		int(unix.SIGKILL):        {Code: 137, Signal: 9},
		int(unix.SIGSEGV) | 0x80: {Code: 139, Signal: 11}, // with a core
	} {
		want.At = 5
		if got := (ExitNote{Status: status, At: 5}).Exit(); got != want {
			t.Errorf("status %#x is %+v, want %+v", status, got, want)
		}
	}
}

// TestAnyExitNoteRoundTrips through its file.
func TestAnyExitNoteRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := ExitNote{Status: rapid.IntRange(0, 1<<16-1).Draw(t, "status"), At: rapid.Int64Min(0).Draw(t, "at")}
		got, err := ParseExitNote(n.String())
		if err != nil || got != n {
			t.Fatalf("%+v became %+v, %v", n, got, err)
		}
	})
}

// FuzzParseStat: the name is the process's own choice; nothing in it changes what is read.
func FuzzParseStat(f *testing.F) {
	f.Add("sh", uint32(1), uint64(2), uint16(3))
	f.Add("a) R 1 2 3\n4 (b", uint32(1<<22), uint64(1)<<63, uint16(9))
	f.Fuzz(func(t *testing.T, name string, pid uint32, start uint64, status uint16) {
		want := ExitNote{PID: int(pid), StartTime: start, Status: int(status)}
		if got, err := ParseStat(stat(int(pid), name, start, int(status))); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		if n, err := ParseStat(name); err == nil && !strings.Contains(name, ")") {
			t.Errorf("%q became %+v", name, n)
		}
	})
}

// FuzzParseExitNote: what is read is what would be written, or an error.
func FuzzParseExitNote(f *testing.F) {
	f.Add("256 1790000000000000000\n")
	f.Add("9")
	f.Add("-1 -1\nmore")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseExitNote(s)
		if err != nil {
			return
		}
		if again, err := ParseExitNote(n.String()); err != nil || again != n {
			t.Errorf("%q: %+v, then %+v, %v", s, n, again, err)
		}
	})
}
