package clients

import (
	"os"
	"testing"

	"github.com/brig-engine/brig/test/room"
)

// TestMain: this program is also the parts of a room.
func TestMain(m *testing.M) {
	room.Main()
	os.Exit(m.Run())
}
