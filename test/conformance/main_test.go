package conformance

import (
	"os"
	"testing"

	"github.com/brig-engine/brig/test/room"
)

// TestMain: this program is also the parts of a room, and what runs scripts in one.
func TestMain(m *testing.M) {
	room.Main()
	if len(os.Args) > 1 && os.Args[1] == playerWord {
		os.Exit(playerMain(os.Args[2]))
	}
	os.Exit(m.Run())
}
