// Command weaken builds Brig with its defences made removable: the same sources, with a question put in front of each
// defence. An engine of that build which finds BRIG_WITHOUT=landlock,floor in its environment goes without those two.
// `brig drill --depth` starts such engines, and the tests of this package show of each defence that something notices
// when it is gone.
//
//	sources ──edits──▶ overlay (go build -overlay) ──▶ bin/depth/{brig, brigd, brig-warden, …}
//
// Nothing of this is in the sources or programs that people run: no switch exists there that could be thrown. The edits
// are texts that must stand exactly once in their files, so that whoever changes a defence is told to look here.
//
// Zone: build. Input: this repository. Output: programs for the drill alone. Spec: go help build (-overlay).
// Answers: none; it shows that other things do.
package main
