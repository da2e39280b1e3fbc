// Package rootfs prepares everything that a container's file system consists of as detached mounts: descriptors that
// no path leads to and that a plan attaches inside the container's own mount namespace.
//
// Zone: brig-warden (root). Input: sealed files and directories of the warden's store, by descriptor; id ranges; sizes;
// host paths that a caller named, opened in a child with the caller's ids.
// Output: descriptors of mounts. Spec: the kernel's erofs, overlayfs, tmpfs, devpts; mount_setattr(2).
// Answers: A3 (nothing of a stranger is resolved by path with the warden's rights), A4 (images stay packed), A2 (files
// of the engine are on a file system of their own, of 64 KiB).
package rootfs
