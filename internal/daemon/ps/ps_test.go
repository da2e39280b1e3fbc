package ps

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// texts are those of a process, as the kernel words them.
func texts(pid int, comm, state, more, cmdline string, uid int) wire.ProcTexts {
	return wire.ProcTexts{Stat: fmt.Sprintf("%d (%s) %s %s", pid, comm, state, more), Cmdline: cmdline,
		Status: fmt.Sprintf("Name:\t%s\nUmask:\t0022\nUid:\t%d\t%d\t%d\t%d\nGid:\t%d\t%d\t%d\t%d\n",
			strings.ReplaceAll(comm, "\n", `\n`), uid, uid, uid, uid, uid, uid, uid, uid)}
}

const firstID = 0x70010000

// Some processes with what they may do to a reader of /proc.
func crowd() []wire.ProcTexts {
	plain := "1 1 1 34816 1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 8640000 5242880 1024 18446744073709551615 1 1"
	return []wire.ProcTexts{
		texts(4300000, "x) R 1 (y", "S", plain, "evil\x00\x1b[2J\x00two words\n9 9 9\x00", firstID+1000),
		texts(100, "sh", "S", "7 100 100 34816 100 4194560 1 0 0 0 250 50 0 0 20 0 3 0 8640000 5242880 1024 184 1 1", "sh\x00-c\x00sleep 9\x00\x00", firstID),
		texts(101, "a\nb\t\x1b]0;x\a", "R", "100 100 100 0 -1 4194560 1 0 0 0 99999999 0 0 0 39 19 1 0 8800000 0 0 184 1 1", "", firstID+70000),
		texts(102, "gone", "Z", "100 102 102 0 -1 4194560 1 0 0 0 0 0 0 0 0 -20 1 0 900 0 0 184 1 1", "", firstID+7),
		{Stat: "103 (cut off", Cmdline: "x"}, {Stat: "", Status: ""}, {Stat: "x (y) S " + plain},
	}
}

func host() *Host {
	users := map[uint64]string{0: "root", 1000: "app\x1b"}
	return &Host{Range: firstID, User: func(id uint64) string { return users[id] }, Now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
		Up: 88_000 * time.Second, Memory: 8 << 30}
}

func TestTables(t *testing.T) {
	var b strings.Builder
	for _, options := range []string{"", "-ef", "aux", "-aux", "-e", "-o pid,comm", "-eo user,pid,ppid,%cpu,%mem,vsz,rss,tty,stat,start,time,cmd",
		"-e -o pid,pgid,sid,sess,uid,euid,ruid,gid,egid,rgid,group,nlwp,ni,pri,c,s", "--format=pid,etime,etimes,lstart,stime,start_time,bsdtime,ucmd,tname",
		"-opid,args", "-fopid,comm"} {
		columns, err := Options(options)
		if err != nil {
			t.Errorf("%q: %v", options, err)
			continue
		}
		titles, rows := Table(columns, crowd(), host())
		fmt.Fprintf(&b, "$ ps %s\n%s\n", options, strings.Join(titles, " | "))
		for _, row := range rows {
			fmt.Fprintln(&b, strings.Join(row, " | "))
		}
	}
	path := filepath.Join("testdata", "tables.txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", path, b.String())
	}
}

func TestOtherOptionsAreRefusedByName(t *testing.T) {
	for options, word := range map[string]string{
		"--forest": "--forest", "-ef --sort=pid": "--sort=pid", "-u root": "-u", "axf": "axf", "-l": "-l", "-ejH": "-ejH", "-o pid,nope": "nope",
		"-o pid=X,comm": "titles", "-o": "-o", "--format": "--format", "--format=": "--format=", "h": "h", "-p 1": "-p", "ef": "ef",
		"-o pid,,comm": `""`, "-o " + strings.Repeat("pid,", 100) + "pid": "at most",
	} {
		_, err := Options(options)
		if err == nil || !strings.Contains(err.Error(), word) || !errors.Is(err, errdefs.ErrNotImplemented) && !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%q: %v; want %q", options, err, word)
		}
	}
}

// TestOurselves holds the real texts of this process against what the kernel says elsewhere.
func TestOurselves(t *testing.T) {
	var x wire.ProcTexts
	for name, to := range map[string]*string{"stat": &x.Stat, "status": &x.Status, "cmdline": &x.Cmdline} {
		b, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			t.Fatal(err)
		}
		*to = string(b)
	}
	columns, err := Options("-o pid,ppid,uid,args,s")
	if err != nil {
		t.Fatal(err)
	}
	_, rows := Table(columns, []wire.ProcTexts{x}, &Host{})
	got, want := fmt.Sprint(rows), fmt.Sprintf("[[%d %d %d %s", os.Getpid(), os.Getppid(), os.Getuid(), strings.Join(os.Args, " "))
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzTable(f *testing.F) {
	for _, x := range crowd() {
		f.Add(x.Stat, x.Status, x.Cmdline, "aux")
	}
	all := ""
	for name := range known() {
		all += "," + name
	}
	f.Add("1 (a) S", "Uid:\t1", "\x00\x00", "-eo"+all[1:])
	f.Fuzz(func(t *testing.T, stat, status, cmdline, options string) {
		columns, err := Options(options)
		if err != nil {
			columns, _ = Options("-ef")
		}
		if len(columns) == 0 || len(columns) > maxColumns {
			t.Fatalf("%q gives %d columns", options, len(columns))
		}
		titles, rows := Table(columns, []wire.ProcTexts{{Stat: stat, Status: status, Cmdline: cmdline}}, host())
		for _, row := range rows {
			if len(row) != len(titles) {
				t.Fatalf("%q below %q", row, titles)
			}
			for _, cell := range row {
				if utf8.RuneCountInString(cell) > maxCell+20 || strings.ContainsFunc(cell, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Fatalf("cell %q", cell)
				}
			}
		}
	})
}
