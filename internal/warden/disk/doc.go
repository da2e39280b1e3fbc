// Package disk bounds the writable layer of each container, and each volume, in bytes and in inodes.
//
// Zone: brig-warden (root). Input: names that the warden has checked; sizes. Output: directories with a bound.
// Spec: see internal/kernel/quota. Answers: A2 (one container fills the disk of all).
//
// What serves is found by trying, once, when a warden starts:
//
//	ROOT/disk is a btrfs with quota     each directory is a subvolume of it. brig engine start has mounted it: it is the
//	                                    file system in ROOT/disk.img, whose room is all allocated, so that a full disk of the
//	                                    host is no I/O error in here. It grows in steps while the host keeps a reserve.
//	ROOT has project quota              each directory is a project (ext4, XFS)
//	neither                             nothing is bounded, info says so, and a size that was asked for is refused
//
// Where containers or volumes are in ROOT from before, no image is made: they work as they did.
package disk
