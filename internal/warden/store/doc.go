// Package store holds sealed objects: files that nobody can change any more, named by what the warden itself computed.
//
// Zone: warden.
// Input: files that brigd or a worker wrote (either may be conquered); digests that brigd claims.
// Output: read-only descriptors of sealed files.
// Spec: fcntl(2) F_SETLEASE (a read lease fails while a writer exists), openat(2) O_TMPFILE, linkat(2).
// Answers: A4 (changing a blob, data file or index after it was verified, from a conquered daemon or worker).
//
//	Create ──▶ unnamed file, written by a worker ──▶ Seal: no writer left, hash, link, fsync ──▶ objects/HEX
//	                                                 └─ an index is checked by a fresh worker first ──▶ objects/HEX
//	                                                    and a list of it and of its devices is written ──▶ checked/HEX
//
// Everything lies in a directory that only root may enter, and is reached through its descriptor.
package store
