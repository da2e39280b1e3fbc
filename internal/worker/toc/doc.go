// Package toc is the table of contents of one layer: everything of a layer's tar that is not the content of a file,
// in an order from which the tar is made again byte for byte, and beside it each entry as parsed.
//
// Zone: brig-worker, written by the job "layer", read by "merge", "export" and "save".
// Input: the reader's input was written by another worker, which a stranger's bytes may have conquered. So every
// number is held against the size of the data file, every name against the rules of a path, and all sizes against
// limits.
// Output: entries that are clean by themselves: relative slash-separated names without "." or "..", extents inside
// the data file, no type but those of Kind. What several entries mean together is the business of package index.
// Spec: this file.
// Answers: A4 (poisoned image: `..`, absolute names, sparse bomb, a table of contents that points outside its data).
//
// # Format, version 1
//
// Eight bytes "BRIGTOC\x01", then one zstd frame that holds records. Numbers are unsigned varints (encoding/binary),
// "signed" ones zigzag varints; a string is its length and its bytes. A record is its kind and its fields:
//
//	1 raw    string            bytes of the tar as they are (headers, padding)
//	2 data   offset, length    bytes of the tar that stand in the data file
//	3 zeros  length            bytes of the tar that are zero
//	4 entry  string            one parsed entry; does not stand for bytes of the tar
//	5 end    tar size, 32 bytes sha256 of the tar, number of entries, size of the data file; nothing follows
//
// The tar is what records 1 to 3 give in order. An entry is:
//
//	kind, mode, uid, gid, mtime seconds (signed), mtime nanoseconds, size, name, link,
//	number of xattrs, {name, value} in ascending order of names,
//	[regular files] chunk bits, number of extents, {logical offset, data offset, length} in ascending order
//
// The data file holds the content of regular files from 4096-byte boundaries, zero padded. An extent starts at a
// multiple of the file's chunk size, 4096 << chunk bits, and is as long as a multiple of it, except the one that
// reaches the end of the file, which is as long as a multiple of 4096. What no extent covers is a hole.
package toc
