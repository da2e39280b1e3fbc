// Package index merges the layers of an image into one EROFS index: a file system that holds names and metadata, and
// refers to the layers' data files as its devices.
//
// Zone: brig-worker, the job "merge": no network, no file system, inherited descriptors.
// Input: tables of contents that other workers wrote; package toc has held every entry against its rules.
// Output: an index that root will mount, once package check (in another process) has passed it; and the accounts of
// the image, so that brigd parses none of its files. The same input gives the same bytes.
// Spec: OCI image spec, layer.md (changesets, whiteouts); package erofs; passwd(5), group(5).
// Answers: A4 (whiteouts of whiteouts, opaque in odd order, symlink-then-file, hard link out, device nodes, setuid,
// security.capability, duplicate entries, million entries, huge /etc/passwd and /etc/group: CVE-2026-46680,
// CVE-2026-47262).
//
// # How layers become one tree
//
// Names are looked up as text, in the tree. No symbolic link is ever followed, so none can lead anywhere:
//
//   - A layer's whiteouts (.wh.NAME) and opaque marks (.wh..wh..opq) are applied first, wherever they stand in it,
//     and only to what lower layers brought. Then its other entries are put in order; the last one of a name wins.
//   - A directory over a directory changes its attributes and keeps its content. Everything else replaces what was
//     there, with all that was below it.
//   - Where a parent is missing, it is a directory of root's, mode 0755, time 0. Where a parent is not a directory (an
//     entry below a symbolic link), it is replaced by such a directory. The link's target is left alone.
//   - A hard link is another name of the same inode, also of a lower layer's. Its own attributes mean nothing. A
//     target that is missing, a directory, or was deleted by this layer is an error.
//   - Device nodes have names while layers are merged, and are left out at the end. Whiteouts are gone at the end;
//     other names that start with .wh..wh. are bookkeeping of AUFS and ignored.
//   - Extended attributes kept are user.*, trusted.* and POSIX ACLs, but none of overlayfs (user.overlay.*,
//     trusted.overlay.*), for which an image could forge deletions and redirections. security.* is left out: what the
//     host's kernel acts on (file capabilities, labels) is not an image's to say.
package index
