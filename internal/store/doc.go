// Package store is the process brig-store. It holds sealed objects: files that nobody can change any more, named by what it
// computed itself.
//
// Zone: an id of its own in the host's namespaces, which the objects belong to; no capability; Landlock closes every
// directory but the store's.
// Input: operations of objects.Known, from brigd, and the files that come with them, which brigd or a worker wrote (either
// may be conquered); Ops, from the warden.
// Output: read-only descriptors of sealed files. The warden mounts what it gives, so it is trusted with that much: it reads
// no format, and hashes bytes.
// Spec: fcntl(2) F_SETLEASE (a read lease fails while a writer exists), openat(2) O_TMPFILE, linkat(2), FS_IOC_ENABLE_VERITY; the
// protocol is drawn in wire/objects.
// Answers: A4 (changing a blob, data file or index after it was verified, from a conquered daemon or worker).
//
//	Create ──▶ unnamed file, written by a worker ──▶ Seal: no writer left, hash, fs-verity, link, fsync ──▶ objects/HEX
//	                                                 └─ an index is checked by a fresh worker first ──▶ objects/HEX
//	                                                    and a list of it and of its devices is written ──▶ checked/HEX
//
// Everything lies in a directory that only it and root may enter, and is reached through its descriptor. It keeps no state
// beside that: it ends with its brigd, and the next brigd has a next one.
package store
