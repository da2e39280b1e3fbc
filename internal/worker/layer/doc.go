// Package layer turns one layer blob, as a registry or a person gave it, into a data file and a table of contents.
//
// Zone: brig-worker, the job "layer": no network, no file system, three inherited descriptors.
// Input: a tar, plain or compressed with gzip or zstd; every byte is a stranger's. The blob's digest was verified
// before the first byte came here (so a decompressor never sees what nobody signed), which says nothing about its
// intent.
// Output: a data file (content of regular files, from 4096-byte boundaries) and a table of contents (package toc).
// Nothing of an archive becomes a path here: names are text, device nodes are numbers.
// Spec: POSIX pax interchange format; GNU tar's manual, "Basic Tar Format" and "Storing Sparse Files"; RFC 1952; RFC
// 8878. Where readers of tar differ, this one reads as Go's archive/tar does, because registries, scanners and
// signers use that: a fuzz target holds the two against each other.
// Answers: A4: `..` and absolute names, gzip bomb, zstd window bomb, sparse bomb (CVE-2026-32288), PAX bomb, million
// entries, outside decompressors from the image's own file system (CVE-2026-41567).
package layer
