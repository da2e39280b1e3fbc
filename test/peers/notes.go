package main

// note says why an engine leaves something open, and which of its options closes it. A probe needs none.
type note struct{ why, docker, podman string }

const ownProfile = "`--security-opt seccomp=FILE` with a profile of one's own."

var notes = map[string]note{
	"system-calls": {
		"Filters of system calls differ in what they let reach the kernel. A call that is let through is not yet an " +
			"attack: the kernel checks capabilities behind the filter, and each such call is code that has to be free of " +
			"faults.",
		"the profile of a newer release (moby, here) refuses io_uring; or " + ownProfile,
		"its profile allows mounting and new namespaces, so that Podman can run inside a container; " + ownProfile},
	"socket-families": {
		"The default profiles look at the family of a socket hardly or not at all. Families 17 and 44 are packet sockets " +
			"(see raw-sockets), 40 leads to the hypervisor, netfilter and xfrm are large parts of the kernel.",
		"`--cap-drop NET_RAW` takes 17 and 44 away, the rest takes " + ownProfile,
		ownProfile},
	"abi-32": {
		"The default profiles admit 32-bit programs, under the same list of calls, so that 32-bit images run.",
		ownProfile, ownProfile},
	"host-identity": {
		"User namespaces are there and off: with them, files in volumes belong to other ids than before, and some " +
			"options and images stop to work.",
		"`userns-remap` in `daemon.json` (one range for all containers), or rootless mode.",
		"`--userns=auto`, or Podman as an ordinary user."},
	"reach-neighbour": {
		"Containers on the default network are made to talk to each other.",
		"`\"icc\": false` in `daemon.json` for the default network, or a network for each group of containers.",
		"a network for each group of containers (`podman network create --opt isolate=true`)."},
	"reach-host": {
		"The bridge's own address is one of the host's, and a service that listens on all addresses listens there, too. " +
			"Neither engine has an option against it; a rule in the host's firewall closes it (refuse what comes in from the " +
			"bridge's interface), or `--network none`.", "", ""},
	"raw-sockets": {
		"NET_RAW is among the capabilities of a container, so that ping works.",
		"`--cap-drop NET_RAW`.", "`--cap-drop NET_RAW`."},
	"forge": {
		"With NET_RAW a container writes whole packets, and nothing on the bridge compares their sender with the " +
			"container's own. The neighbour's address and a wrong hardware address leave under the host's address, as all of " +
			"the network's own addresses do.",
		"`--cap-drop NET_RAW`.", "`--cap-drop NET_RAW`."},
	"forge-door": {
		"This is the second layer: a sender forged by somebody who got past the capability check. The bridge forwards " +
			"what it gets. There is no option for it; rules for the bridge (nftables, ebtables) would do, and `rp_filter` on " +
			"the host stops part of it.", "", ""},
	"arp-claim-door": {
		"The containers of a network share one Ethernet segment, where everybody may answer for any address. The probe " +
			"acts with every capability; in an engine whose containers have NET_RAW (see raw-sockets) so may they. Whoever is " +
			"taken for the gateway is sent the neighbour's packets, which sniff and sniff-door, that only listen, do not get.",
		"`--cap-drop NET_RAW`, or a network for each group of containers.",
		"a network for each group of containers."},
	"log-flood": {
		"What a container prints is kept in a file without bound, unless it is given one.",
		"`max-size` and `max-file` below `log-opts` in `daemon.json`, or the log driver `local`.",
		"`--log-opt max-size=10mb` on each container, or `log_size_max` in `containers.conf`."},
	"memory-hog": {
		"A container may take as much memory as there is, unless it is given a limit when it is made.",
		"`-m` on each container; there is no default for all.", "`-m` on each container."},
	"fork-bomb": {
		"A container may make as many processes as the machine can hold, unless it is given a limit. Where systemd " +
			"manages the control groups, its DefaultTasksMax may be a bound.",
		"`--pids-limit` on each container.", "`--pids-limit` on each container."},
	"cpu-hog": {
		"Shares are equal, and a neighbour still waited longer than the drill's bound.",
		"`--cpus` on each container.", "`--cpus` on each container."},
	"new-namespaces": {
		"Its default profile lets a container make user namespaces, so that Podman and build tools run inside of one. " +
			"Who has a namespace of his own is root there, and reaches kernel code that is otherwise for administrators.",
		"", ownProfile},
	"netlink-protocols": {
		"Everybody may ask the generic netlink family by name, and a name that is not there makes the kernel look for a " +
			"module of that name. It is a way into code that nobody loaded on purpose, not a hole by itself.",
		ownProfile, ownProfile},
	"inotify-hog": {
		"Inotify instances are counted by user, and those of a user namespace also on the account of who made it: root of " +
			"every container and of the host have one account, with user namespaces (made by root), too.",
		"rootless mode, with an account for each user.", "Podman as an ordinary user: an account for each."},
	"mqueue-hog": {
		"Message queues are counted as inotify instances are (see there).",
		"the same as for inotify-hog.", "the same as for inotify-hog."},
	"pty-hog": {
		"The terminals of a container have no bound of their own, and the machine has one for all that are not the host's.",
		"none; fewer for all: `sysctl kernel.pty.max`.", "none; fewer for all: `sysctl kernel.pty.max`."},
	"setuid-program": {
		"Programs like su and sudo work in a container as they do elsewhere. What root of the container may is another matter.",
		"`\"no-new-privileges\": true` in `daemon.json`.", "`--security-opt no-new-privileges`."},
	"linked-directories": {
		"A link that a standard directory of the image is made of was followed outside of the image, by the engine as " +
			"root: a name, not its content, was the image's choice. Newer releases may differ.", "", ""},
	"foreign-layer": {
		"A manifest can name addresses from which a layer is to be fetched, for layers that must not be copied to other " +
			"registries. The engine went where the manifest pointed, on the host's own loopback.", "", ""},
	"core-dump": {
		"How much of a crash is written, and where to, is the host's setting (kernel.core_pattern). Here it is a file in " +
			"the container; where the host has a handler, it is a program of the host's.",
		"`--ulimit core=1` (0 does not keep a handler from being started).", "`--ulimit core=1`."},
	"lan-neighbour": {
		"A port that is published for the host's loopback alone was reached on the container's own address, by a machine " +
			"next door that sends packets for it to the host. Docker has refused that since release 28.",
		"a newer release; or rules in the host's firewall.", "rules in the host's firewall."},
}
