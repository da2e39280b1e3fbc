package pty

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyDevptsGivesTerminals(t *testing.T) {
	dir, err := unix.Open(t.TempDir(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	if _, _, err := Open(dir); !errors.Is(err, unix.ENODEV) {
		t.Fatalf("got %v", err)
	}
}

func TestPairIsConnectedAndResizes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("missing: root privileges")
	}
	fs, err := unix.Fsopen("devpts", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fs)
	if err := errors.Join(unix.FsconfigSetString(fs, "ptmxmode", "666"), unix.FsconfigCreate(fs)); err != nil {
		t.Fatal(err)
	}
	dir, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	master, slave, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(master)
	defer unix.Close(slave)
	if err := Resize(master, 33, 111); err != nil {
		t.Fatal(err)
	}
	size, err := unix.IoctlGetWinsize(slave, unix.TIOCGWINSZ)
	if err != nil || size.Row != 33 || size.Col != 111 {
		t.Fatalf("size %+v %v", size, err)
	}
}
