package groups

import (
	"crypto/sha256"
	"encoding/hex"
)

// Instance makes engines side by side distinct in everything that the kernel names globally.
func Instance(root string) string {
	if root == "/var/lib/brig" { // the usual directory: the plain name
		return "brig"
	}
	sum := sha256.Sum256([]byte(root))
	return "brig-" + hex.EncodeToString(sum[:3])
}
