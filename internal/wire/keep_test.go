package wire

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKeepMessagesKeepTheirOrderAndDescriptors.
func TestKeepMessagesKeepTheirOrderAndDescriptors(t *testing.T) {
	a, b := newPair(t)
	sent := []struct {
		frame Frame
		fds   []int
	}{
		{Frame{Op: KeepHold, Keys: []string{"pty/x", "y"}}, []int{0, 1}},
		{Frame{Op: KeepDrop, Keys: []string{"pty/x"}}, nil},
		{Frame{Op: KeepHave, Keys: []string{strings.Repeat("k", 1000)}}, []int{0}},
		{Frame{Op: KeepEnd}, nil},
	}
	for _, s := range sent {
		if err := a.Send(&s.frame, s.fds); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	for _, s := range sent {
		f, fds, err := b.Receive()
		if err != nil || f.Op != s.frame.Op || !slices.Equal(f.Keys, s.frame.Keys) || len(fds) != len(s.fds) {
			t.Errorf("%+v with %d became %+v with %d, %v", s.frame, len(s.fds), f, len(fds), err)
		}
		CloseAll(fds)
	}
	if _, _, err := b.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

// TestBrokenKeepMessageIsAnErrorAndLeavesNoDescriptor open; the next message is read as if nothing had been.
func TestBrokenKeepMessageIsAnErrorAndLeavesNoDescriptor(t *testing.T) {
	a, b := newPair(t)
	before := openFDs(t)
	for _, packet := range []string{`{"op":"hold","keys":["x"],"more":1}`, `{"op":1}`, `{"keys":"x"}`, `[]`, `"hold"`, ` `} {
		if _, _, err := a.Raw().WriteMsgUnix([]byte(packet), unix.UnixRights(0), nil); err != nil {
			t.Fatal(err)
		}
		if f, fds, err := b.Receive(); err == nil {
			t.Errorf("%s became %+v with %v", packet, f, fds)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors were open before, %d after", before, after)
	}
	if err := a.Send(&Frame{Op: KeepDrop, Keys: []string{"y"}}, nil); err != nil {
		t.Fatal(err)
	}
	if f, _, err := b.Receive(); err != nil || !slices.Equal(f.Keys, []string{"y"}) {
		t.Errorf("%+v, %v", f, err)
	}
}
