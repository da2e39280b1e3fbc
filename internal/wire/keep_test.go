package wire

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestKeepMessagesKeepTheirOrderAndDescriptors.
func TestKeepMessagesKeepTheirOrderAndDescriptors(t *testing.T) {
	a, b := newPair(t)
	sent := []struct {
		keep Keep
		fds  []int
	}{
		{Keep{Op: KeepHold, Key: "pty/x"}, []int{0}},
		{Keep{Op: KeepDrop, Key: "pty/x"}, nil},
		{Keep{Op: KeepHave, Key: strings.Repeat("k", 1000)}, []int{0}},
		{Keep{Op: KeepEnd}, nil},
	}
	for _, s := range sent {
		if err := a.SendKeep(s.keep, s.fds...); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	for _, s := range sent {
		k, fds, err := b.ReceiveKeep()
		if err != nil || k != s.keep || len(fds) != len(s.fds) {
			t.Errorf("%+v with %d became %+v with %d, %v", s.keep, len(s.fds), k, len(fds), err)
		}
		CloseAll(fds)
	}
	if _, _, err := b.ReceiveKeep(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

// TestBrokenKeepMessageIsAnErrorAndLeavesNoDescriptor open; the next message is read as if nothing had been.
func TestBrokenKeepMessageIsAnErrorAndLeavesNoDescriptor(t *testing.T) {
	a, b := newPair(t)
	before := openFDs(t)
	for _, body := range []string{`{"op":"hold","key":"x","more":1}`, `{"op":1}`, `[]`, `"hold"`, ``} {
		if err := a.Send(&Frame{Body: json.RawMessage(body)}, []int{0}); err != nil {
			t.Fatal(err)
		}
		if k, fds, err := b.ReceiveKeep(); err == nil {
			t.Errorf("%s became %+v with %v", body, k, fds)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors were open before, %d after", before, after)
	}
	if err := a.SendKeep(Keep{Op: KeepDrop, Key: "y"}); err != nil {
		t.Fatal(err)
	}
	if k, _, err := b.ReceiveKeep(); err != nil || k.Key != "y" {
		t.Errorf("%+v, %v", k, err)
	}
}
