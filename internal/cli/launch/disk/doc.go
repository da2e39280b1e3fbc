// Package disk prepares the file system in which an engine bounds its containers and volumes, where the one of its
// directory has no project quota: a btrfs in the file ROOT/disk.img, mounted on ROOT/disk in the engine's own mount
// namespace.
//
//	Zone:    brig as root, before it becomes or starts the keeper. Nothing of a container's is read here but by the kernel.
//	Input:   ROOT, which only root can write to; the empty file system that is built in (dist/disk).
//	Output:  a mount that the keeper, each warden, and through their roots the containers hold.
//	Spec:    loop(4), btrfs(5), mount_namespaces(7).
//	Answers: A2 (the disk that one container fills for all).
//
// Why a file that is all allocated: one with holes would make a full disk of the host an I/O error for every container.
// Why here and not in the warden: an engine whose processes were all killed leaves containers that go on, and they keep
// the file system and its loop device. Whoever starts the next engine has to find those again, since two devices with the
// same file would destroy it; that happens once, before anything of a stranger's runs.
package disk
