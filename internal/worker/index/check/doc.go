// Package check verifies an index before root mounts it. It shares no code with the writer, only the constants of the
// format, and runs in a process that never saw the archive.
//
// Zone: brig-worker, the job "check": no network, no file system, one inherited descriptor.
// Input: an index that another worker wrote, which a stranger's bytes may have conquered; and the sizes of the
// devices, by fstat.
// Output: yes with the digest of exactly the bytes that were checked, or an error that says where the index is wrong.
// What it passes is a subset of EROFS far smaller than what the kernel accepts: one block size, extended inodes, no
// compression, no shared attributes, no device nodes, nothing that has two meanings.
// Spec: package erofs.
// Answers: A4 (a file-system index with extents outside its data, cycles, bad names).
//
// What holds for an index that passed:
//
//   - every byte that an inode, an attribute, a chunk table or a directory claims is inside the index, and no two
//     claims overlap;
//   - every extent is inside its device;
//   - the directories are a tree: each has one name, its ".." is its parent; names are legal, sorted and unique;
//   - the counts of links and of inodes are what they say;
//   - inodes are regular files, directories, symbolic links and FIFOs; types in directories agree with their inodes.
package check
