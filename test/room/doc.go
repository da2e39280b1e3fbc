// Package room gives other engines a place to run on this machine without touching it, for those who compare Brig with
// them: test/bench measures, test/peers attacks.
//
// A room is a process of the calling program that is process 1 of its own PID, mount and network namespaces, with its
// own /run, /var/lib and /dev/shm and a directory on disk. Nothing of an engine outlives its room, and the host's
// network and engines are not touched. Devices, /sys and the control groups' hierarchies are the machine's, and no
// privilege is taken away: what an engine does or does not defend must not be the room's doing.
//
// Peers come from Debian's packages, unpacked and not installed, and from the Go module proxy, all below the user's
// cache directory; Peers.Install fetches them.
package room
