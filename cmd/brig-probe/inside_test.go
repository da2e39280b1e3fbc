package main

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAHogThatHoldsNothingNeedsNobodyOutside(t *testing.T) {
	for _, x := range []struct {
		n       int
		refusal error
		want    string
	}{
		{128, unix.EMFILE, lookOutside}, {20000, nil, lookOutside}, {0, unix.EPERM, blocked}, {0, unix.EMFILE, couldNotTry},
		{0, unix.ENOENT, notApplicable},
	} {
		v := held(x.n, "things", x.refusal)
		if v.verdict != x.want || (v.hold > 0) != (x.want == lookOutside) {
			t.Errorf("%d, %v: %+v", x.n, x.refusal, v)
		}
	}
}

// A process's own limit of descriptors is not the limit that a hog looks for.
func TestAHogGoesOnBehindItsOwnLimit(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	null := func() (int, error) { return unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) }
	n, err := takeAll(null, 200)
	if n != 200 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// What a question asks must not change anything: it reads, or names nothing that exists.
func TestQuestionsAreWellFormed(t *testing.T) {
	asked := 0
	for _, q := range questions() {
		if q.kind == 0 {
			continue
		}
		asked++
		if q.protocol == unix.NETLINK_ROUTE && (q.kind != unix.RTM_NEWLINK || strings.Trim(string(q.payload), "\x00") != "") {
			t.Errorf("%s names an interface", q.name)
		}
		if q.protocol == unix.NETLINK_GENERIC && int(binary.NativeEndian.Uint16(q.payload[4:])+3)&^3 != len(q.payload)-4 {
			t.Errorf("%s: the attribute's length is wrong", q.name)
		}
	}
	if asked < 6 {
		t.Errorf("%d questions", asked)
	}
}

func TestOnlyADumpIsExposed(t *testing.T) {
	const aborted, dumped = unix.WaitStatus(unix.SIGABRT), unix.WaitStatus(0x80)
	for _, x := range []struct {
		status unix.WaitStatus
		most   uint64
		want   string
	}{
		{aborted | dumped, 1, exposed}, {aborted | dumped, 0, exposed}, {aborted, 1, blocked}, {aborted, 0, blocked},
		{aborted, unix.RLIM_INFINITY, couldNotTry}, {0, 1, couldNotTry},
	} {
		if v := judgeCrash(x.status, x.most); v.verdict != x.want {
			t.Errorf("status %#x, limit %d: %+v", int(x.status), x.most, v)
		}
	}
}

// The exit status of a program that could not be executed as it should must not look like rights.
func TestRightsAreToldApart(t *testing.T) {
	status := toolRights(nil)
	if root := (status-rightsNone)&rightsRoot != 0; root != (os.Geteuid() == 0) || status < rightsNone || status > rightsNone+3 {
		t.Errorf("status %d", status)
	}
}
