// Package objects is what brigd and the warden ask of brig-store.
//
// Zone: brigd, brig-store; the warden asks for an index by [Op] of its own (wire.OpIndexOpen).
// Input: brig-store reads what brigd wrote, which may be conquered: strictly decoded. Output: typed requests and replies.
// Answers: A4 (changing what was verified, from a conquered daemon).
package objects

import "github.com/brig-engine/brig/internal/wire"

// What brigd asks, over a socket pair that nobody else has. Sealed objects are named by the sha256 that brig-store has
// computed itself.
//
//	brigd                              brig-store                            warden
//	  object.create       ──────────►
//	  an unnamed file     ◄──────────
//	  ─ a worker fills it ─
//	  object.seal + file  ──────────►    no writer left; hashed, linked
//	  Object              ◄──────────
//	  index.seal + file   ──────────►    no writer left
//	                                       worker.start + socket  ───────►
//	                                       its pidfd              ◄───────
//	  Object              ◄──────────    the worker approves; hashed, linked
//	                                                              ◄───────  index.open
//	                                       the index and its data ───────►
const (
	Create wire.Op = "object.create" // – → –, fd: an unnamed file, O_RDWR
	Seal   wire.Op = "object.seal"   // ObjectRef + fd → Object; fails while another writer exists
	Open   wire.Op = "object.open"   // ObjectRef → –, fd: O_RDONLY
	Remove wire.Op = "object.remove" // ObjectRef → –; refused while an index needs it
	List   wire.Op = "object.list"   // – → Listing
	// SealIndex has a fresh worker, which the warden starts, check the index first.
	SealIndex wire.Op = "index.seal" // Index + fd → Object
)

// Known is what brigd may ask of brig-store.
var Known = wire.List{Create: {}, Seal: {Least: 1, Most: 1}, Open: {}, Remove: {}, List: {}, SealIndex: {Least: 1, Most: 1}}

// Object describes a sealed object.
type Object struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Listing is the content of the store.
type Listing struct {
	Objects []Object `json:"objects"`
	// Indexes are the digests of the sealed file-system indexes: each of the index's own digest and those of its devices,
	// one a line.
	Indexes []string `json:"indexes"`
}

// Index is a file-system index whose devices are the sealed objects Data, in order.
type Index struct {
	Data []string `json:"data"`
}
