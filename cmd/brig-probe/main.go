package main

import (
	"os"
	"strings"
	"time"
)

// probe tries one technique with the arguments that the drill gave.
type probe struct {
	attack string
	run    func(args []string) verdict
}

// probes are looked up by name; a function and not a variable, so that a container that runs "true" builds no table.
func probes() map[string]probe {
	return map[string]probe{
		"system-calls":       {"A1", probeSystemCalls},
		"call-sweep":         {"A1", probeCallSweep},
		"other-user":         {"A1", probeOtherUser},
		"terminal-input":     {"A1", probeTerminalInput},
		"page-cache":         {"A1", probePageCache},
		"socket-families":    {"A1", probeSocketFamilies},
		"abi-32":             {"A1", probeABI32},
		"kernel-files":       {"A1", probeKernelFiles},
		"new-namespaces":     {"A1", probeNewNamespaces},
		"netlink-protocols":  {"A1", probeNetlinkProtocols},
		"fork-bomb":          {"A2", probeForkBomb},
		"thread-bomb":        {"A2", probeThreadBomb},
		"zombie-flood":       {"A2", probeZombieFlood},
		"key-hog":            {"A2", probeKeyHog},
		"huge-pages":         {"A2", probeHugePages},
		"file-hog":           {"A2", probeFileHog},
		"epoll-hog":          {"A2", probeEpollHog},
		"argument-hog":       {"A2", probeArgumentHog},
		"dentry-hog":         {"A2", probeDentryHog},
		"page-cache-hog":     {"A2", probePageCacheHog},
		"io-hog":             {"A2", probeIOHog},
		"engine-files-hog":   {"A2", probeEngineFilesHog},
		"connection-hog":     {"A2", probeConnectionHog},
		"packet-flood":       {"A2", probePacketFlood},
		"memory-hog":         {"A2", probeMemoryHog},
		"shm-hog":            {"A2", probeShmHog},
		"disk-hog":           {"A2", probeDiskHog},
		"volume-hog":         {"A2", probeDiskHog},
		"inode-hog":          {"A2", probeInodeHog},
		"cpu-hog":            {"A2", probeCPUHog},
		"inotify-hog":        {"A2", probeInotifyHog},
		"mqueue-hog":         {"A2", probeMqueueHog},
		"pty-hog":            {"A2", probePtyHog},
		"open-by-handle":     {"A3", probeOpenByHandle},
		"host-paths":         {"A3", probeHostPaths},
		"kernel-knobs":       {"A3", probeKernelKnobs},
		"mknod-disk":         {"A3", probeMknodDisk},
		"mount-afresh":       {"A3", probeMountAfresh},
		"mount-shared":       {"A3", probeMountShared},
		"processes":          {"A3", probeProcesses},
		"inherited-rights":   {"A3", probeInheritedRights},
		"copy-trojan":        {"A3", probeCopyTrojan},
		"swap":               {"A3", probeSwap},
		"stop-everybody":     {"A3", probeStopEverybody},
		"masked-paths":       {"A3", probeReadCanary},
		"exec-joiner":        {"A3", probeExecJoiner},
		"capabilities":       {"A3", probeCapabilities},
		"setuid-program":     {"A3", probeSetuidProgram},
		"user-number":        {"A3", probeUserNumber},
		"workdir-descriptor": {"A3", probeWorkdir},
		"linked-directories": {"A3", probeReadCanary},
		"volume-link":        {"A3", probeReadCanary},
		"disk-node":          {"A4", probeDiskNode},
		"secrets":            {"A5", probeSecrets},
		"leftovers":          {"A5", probeLeftovers},
		"core-dump":          {"A5", probeCoreDump},
		"metadata":           {"A5", probeMetadata},
		"reach":              {"A6", probeReach},
		"engine-sockets":     {"A6", probeEngineSockets},
		"sniff":              {"A6", probeSniff},
		"raw-sockets":        {"A7", probeRawSockets},
		"forge":              {"A7", probeForge},
		"arp-claim":          {"A7", probeARPClaim},
	}
}

func main() {
	name := os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:]
	args := os.Args[1:]
	if name == "brig-probe" {
		if len(args) == 0 {
			fail("usage: brig-probe COMMAND|PROBE [ARGUMENT...]")
		}
		name, args = args[0], args[1:]
	}
	if tool := tools(name); tool != nil {
		os.Exit(tool(args))
	}
	p, ok := probes()[name]
	if !ok {
		fail("brig-probe: no command or probe is called " + name)
	}
	begin := time.Now()
	v := p.run(args)
	v.probe, v.attack, v.took = name, p.attack, time.Since(begin)
	os.Stdout.Write(v.line())
	time.Sleep(v.hold)
}

// fail ends the program as a shell would when it is called wrongly.
func fail(text string) {
	os.Stderr.WriteString(text + "\n")
	os.Exit(2)
}
