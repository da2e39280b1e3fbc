// Package damage describes what is wrong in the engine's directories: what a crash, a disk or a person has broken.
//
// Zone: brigd. Input: what the packages of internal/daemon find. Output: the answer to /brig/check. Answers: none.
package damage

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// Damage is one thing that is wrong. What cannot be mended has a next step for a person instead.
type Damage struct {
	Kind   string `json:"kind"` // image, container, volume, network, file
	Object string `json:"object"`
	What   string `json:"what"`
	Next   string `json:"next,omitempty"`
	Mended bool   `json:"mended"`
	Error  string `json:"error,omitempty"` // why it could not be mended

	// Mend makes it right; nil: nothing that the engine has could.
	Mend func(context.Context) error `json:"-"`
}

// Repairable is the next step for all that has Mend.
const Repairable = "brig system check --repair"

// Report is the whole answer.
type Report struct {
	Checked  map[string]int `json:"checked"` // how many of each kind
	Damages  []Damage       `json:"damages"`
	Contents bool           `json:"contents"` // digests were computed, not sizes compared alone
}

// Both gives those of a second look that a first one had found: what was under way then is over.
func Both(first, second []Damage) []Damage {
	return slices.DeleteFunc(second, func(d Damage) bool {
		return !slices.ContainsFunc(first, func(f Damage) bool {
			return f.Kind == d.Kind && f.Object == d.Object && f.What == d.What
		})
	})
}

// Repair mends what can be.
func Repair(ctx context.Context, list []Damage) {
	for i := range list {
		d := &list[i]
		if d.Mend == nil {
			continue
		}
		if err := d.Mend(ctx); err != nil {
			d.Error = fmt.Sprintf("not mended: %v", err)
			continue
		}
		d.Mended, d.Next = true, ""
	}
}

// Stranger is a file or directory of the engine's that nothing refers to. It is removed.
func Stranger(path string) Damage {
	return Damage{Kind: "file", Object: path, What: "nothing refers to it", Next: Repairable,
		Mend: func(context.Context) error {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("%w. Next: rm -r %s, as root", err, path)
			}
			return nil
		}}
}
