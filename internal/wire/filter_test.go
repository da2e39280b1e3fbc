package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFilterOfImpossibleLengthIsRefused(t *testing.T) {
	for size, ok := range map[int]bool{0: true, 7: false, 8: true, 12: false, 8 * FilterMaxInstructions: true,
		8*FilterMaxInstructions + 8: false} {
		f := Filter{Program: make([]byte, size)}
		if f.Valid() != ok {
			t.Errorf("%d bytes: %v", size, !ok)
		}
	}
}

func TestListenerBelongsToAProgram(t *testing.T) {
	const listens = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	program := make([]byte, 8)
	for f, ok := range map[*Filter]bool{
		{Program: program, Flags: listens | unix.SECCOMP_FILTER_FLAG_LOG, Listener: "/l", Metadata: `"x"`}:         true,
		{Program: program, Flags: listens, Listener: Recorder, Metadata: `{"a":1}`}:                                true,
		{Program: program, Flags: listens, Metadata: `""`}:                                                         false, // nobody would be told
		{Program: program, Listener: "/l", Metadata: `""`}:                                                         false, // there would be nothing to tell
		{Flags: listens, Listener: "/l", Metadata: `""`}:                                                           false, // nothing is loaded that could ask
		{Program: program, Flags: listens, Listener: "../l", Metadata: `""`}:                                       false, // a socket of somebody else's
		{Program: program, Flags: listens, Listener: "/l", Metadata: `"",\"pid\":1`}:                               false, // other words than brigd's to say
		{Program: program, Flags: listens, Listener: "/l", Metadata: `"` + strings.Repeat("x", maxMetadata) + `"`}: false, // a send that waits
		{Program: program, Flags: unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH}:                                            false,
		{Narrows: true}: true,
	} {
		if f.Valid() != ok {
			t.Errorf("%+v: %v", f, !ok)
		}
	}
}

// The longest one travels with what it is for in one packet.
func TestLongestFilterSurvivesTheWire(t *testing.T) {
	f := Filter{Program: bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, FilterMaxInstructions), Flags: unix.SECCOMP_FILTER_FLAG_LOG}
	b, err := json.Marshal(f)
	if err != nil || len(b) > MaxInline/2 {
		t.Fatalf("%d bytes do not travel in a packet: %v", len(b), err)
	}
	var back Filter
	if err := DecodeStrict(b, &back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Program, back.Program) || back.Flags != f.Flags {
		t.Error("it is another one")
	}
	if err := DecodeStrict([]byte(`{"program":"AAAA","rules":[1]}`), &back); err == nil {
		t.Error("an unknown field passes")
	}
}

func FuzzFilterDecodesOrIsRefused(f *testing.F) {
	f.Add([]byte(`{"program":"BgAAAAAA/38=","flags":2}`))
	f.Add([]byte(`{"program":"BgAAAAAA/3"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var filter Filter
		if DecodeStrict(b, &filter) != nil || !filter.Valid() {
			return
		}
		out, err := json.Marshal(filter)
		if err != nil {
			t.Fatal(err)
		}
		var again Filter
		if err := DecodeStrict(out, &again); err != nil || !bytes.Equal(again.Program, filter.Program) || again.Flags != filter.Flags {
			t.Fatalf("does not survive the wire: %v", err)
		}
	})
}
