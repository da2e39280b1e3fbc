package container

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/containerd/errdefs"
)

func adjectives() []string {
	return []string{"able", "amber", "ample", "azure", "brisk", "broad", "calm", "candid", "clever", "coastal", "crisp",
		"daring", "deep", "eager", "early", "even", "fair", "fleet", "fresh", "gallant", "gentle", "golden", "hardy",
		"hearty",
		"humble", "idle", "jolly", "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "mild", "modest", "nimble",
		"noble", "northern", "patient", "placid", "plucky", "polar", "prompt", "proud", "quick", "quiet", "rapid", "ready",
		"royal", "rugged", "salty", "serene", "sharp", "silent", "silver", "sober", "solid", "southern", "spry", "stark",
		"steady", "stout", "sturdy", "sunny", "swift", "tidal", "tidy", "trim", "trusty", "upright", "valiant", "vivid",
		"wakeful", "warm", "western", "wise", "witty", "young", "zesty"}
}

func nouns() []string {
	return []string{"albatross", "anchor", "barge", "beacon", "berth", "bight", "boatswain", "bow", "bowline", "breeze",
		"buoy", "cable", "capstan", "captain", "chart", "cleat", "clipper", "compass", "coral", "cove", "crest", "current",
		"cutter", "deck", "dinghy", "dock", "dolphin", "estuary", "fathom", "ferry", "fjord", "flag", "foam", "frigate",
		"galley",
		"gale", "gull", "gunwale", "halyard", "harbour", "hatch", "hawser", "heron", "hull", "island", "jetty", "jib",
		"kedge",
		"keel", "ketch", "knot", "lagoon", "lantern", "leeward", "lighthouse", "log", "mainsail", "mariner", "mast",
		"mooring",
		"oar", "otter", "pelican", "petrel", "pier", "pilot", "plank", "porpoise", "quay", "reef", "rigging", "rudder",
		"sailor",
		"schooner", "seal", "sextant", "shoal", "skipper", "sloop", "spar", "spray", "starboard", "stern", "swell", "tern",
		"tide", "tiller", "topsail", "trawler", "tug", "voyage", "wake", "wave", "wharf", "winch", "yawl"}
}

// newID gives 64 random hex digits.
func newID() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// newName gives adjective_noun, and from the third try on a number behind it.
func newName(try int) string {
	var b [8]byte
	rand.Read(b[:])
	a, n := adjectives(), nouns()
	name := a[int(binary.LittleEndian.Uint16(b[:]))%len(a)] + "_" + n[int(binary.LittleEndian.Uint16(b[2:]))%len(n)]
	if try > 1 {
		name += fmt.Sprint(binary.LittleEndian.Uint32(b[4:]) % 100_000)
	}
	return name
}

// checkName allows [a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}.
func checkName(n string) error {
	ok := len(n) >= 2 && len(n) <= 255
	for i := 0; i < len(n) && ok; i++ {
		c := n[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = letter || i > 0 && (c == '_' || c == '.' || c == '-')
	}
	if !ok {
		return fmt.Errorf("invalid container name (%.64q): 2 to 255 letters, digits, _ . - "+
			"that begin with a letter or digit: %w",
			n, errdefs.ErrInvalidArgument)
	}
	return nil
}
