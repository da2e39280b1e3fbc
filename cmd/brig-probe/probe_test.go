package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "brig-probe")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// The image has no shell and no other program: its commands are this one under their names.
func TestCommandsByTheirNames(t *testing.T) {
	program := build(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("content\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		out    string
		status int
	}{
		{[]string{"true"}, "", 0},
		{[]string{"/bin/false"}, "", 1},
		{[]string{"echo", "a", "b"}, "a b\n", 0},
		{[]string{"cat", "text"}, "content\n", 0},
		{[]string{"cat"}, "from standard input", 0},
		{[]string{"cat", "missing"}, "", 1},
		{[]string{"ls", "."}, "text\n", 0},
		{[]string{"env"}, "NAME=value\n", 0},
		{[]string{"sleep", "0.01"}, "", 0},
		{[]string{"sleep", "-1"}, "", 2},
		{[]string{"brig-probe", "echo", "x"}, "x\n", 0},
		{[]string{"brig-probe", "no-such-probe"}, "", 2},
		{[]string{"brig-probe"}, "", 2},
	} {
		cmd := exec.Cmd{Path: program, Args: c.args, Dir: dir, Env: []string{"NAME=value"},
			Stdin: strings.NewReader("from standard input")}
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if status := cmd.ProcessState.ExitCode(); string(out) != c.out || status != c.status {
			t.Errorf("%v: %q, exit status %d", c.args, out, status)
		}
	}
}

// The image is loaded into every engine and started many times: it stays small.
func TestProgramIsSmall(t *testing.T) {
	path := build(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 3<<20 {
		t.Errorf("%d bytes are more than 3 MiB", info.Size())
	}
	deps, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"net", "encoding/json", "regexp"} {
		if strings.Contains("\n"+string(deps), "\n"+pkg+"\n") {
			t.Errorf("package %s costs size and start time", pkg)
		}
	}
}

func TestLineIsJSON(t *testing.T) {
	for _, detail := range []string{"", "open → EPERM", "quote \" and \\ and \n and \x00 and \xff", "\x7f\u2028"} {
		var got struct {
			Probe, Attack, Verdict, Layer, Detail string
			DurationMS                            float64 `json:"duration_ms"`
		}
		v := verdict{probe: "p", attack: "A1", verdict: blocked, layer: "seccomp", detail: detail,
			took: 1500 * time.Microsecond}
		if err := json.Unmarshal(v.line(), &got); err != nil {
			t.Fatalf("%q: %v", v.line(), err)
		}
		if got.Detail != strings.ToValidUTF8(detail, "\ufffd") || got.DurationMS != 1.5 || got.Verdict != "blocked" {
			t.Errorf("%q became %+v", detail, got)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a\"\\\n\x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(quote(s), &back); err != nil {
			t.Fatalf("%q: %v", quote(s), err)
		}
		if utf8.ValidString(s) && back != s {
			t.Errorf("%q became %q", s, back)
		}
	})
}

func FuzzHoldsToken(f *testing.F) {
	f.Add([]byte("brig-canary-0123"), "x")
	f.Fuzz(func(t *testing.T, text []byte, hash string) {
		if holdsToken(text, hash) && !strings.Contains(string(text), tokenMark()) {
			t.Error("found a token where there is no mark")
		}
	})
}

func TestOnlyTheRightTokenIsFound(t *testing.T) {
	token, other := tokenMark()+strings.Repeat("a", tokenDigits), tokenMark()+strings.Repeat("b", tokenDigits)
	sum := sha256.Sum256([]byte(token))
	hash := hex.EncodeToString(sum[:])
	for text, want := range map[string]bool{
		token: true, "x" + token + "y": true, other + tokenMark() + token: true, other: false, token[:20]: false, "": false,
		tokenMark() + token[:tokenDigits]: false,
	} {
		if got := holdsToken([]byte(text), hash); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// A request whose answer behind the filter is a permission error could never be told from a refusal.
func TestEveryRequestCanBeSeenToPass(t *testing.T) {
	names := map[string]bool{}
	for _, r := range requests() {
		if names[r.name] {
			t.Errorf("%s is there twice", r.name)
		}
		names[r.name] = true
		if len(r.past) == 0 {
			t.Errorf("%s has no answer from behind the filter", r.name)
		}
		for _, e := range r.past {
			if e != 0 && denied(e) {
				t.Errorf("%s: %s does not tell who answered", r.name, errName(e))
			}
			if e == 0 && !r.child {
				t.Errorf("%s would change the probe itself", r.name)
			}
		}
	}
}

func TestForgedFrameIsWellFormed(t *testing.T) {
	template := make([]byte, etherHeader+ipHeader+udpHeader)
	template[etherHeader], template[etherHeader+9] = 0x45, 17
	copy(template[etherHeader+16:], []byte{192, 0, 2, 254})
	frame := forged(template, "mark", "198.51.100.66", "02:62:72:69:67:66")
	head := frame[etherHeader : etherHeader+ipHeader]
	if checksum(head) != 0 {
		t.Error("the IP checksum is wrong")
	}
	if n := binary.BigEndian.Uint16(head[2:]); int(n) != len(frame)-etherHeader {
		t.Errorf("the IP length is %d of %d", n, len(frame)-etherHeader)
	}
	if string(frame[len(frame)-4:]) != "mark" || head[12] != 198 || frame[6] != 2 {
		t.Errorf("% x", frame)
	}
	own := forged(template, "m", "own", "own")
	if [4]byte(own[etherHeader+12:]) != [4]byte{} || [6]byte(own[6:]) != [6]byte{} {
		t.Error("an own address was changed")
	}
	if n := len(arp([6]byte{}, [6]byte{}, 1, [6]byte{}, [4]byte{}, [6]byte{}, [4]byte{})); n != 60 {
		t.Errorf("an ARP frame has %d bytes", n)
	}
}
