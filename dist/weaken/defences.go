package main

import "slices"

// Defence is one that can be taken away.
type Defence struct {
	ID    string
	What  string // for the legend of the matrix
	Edits []Edit
	// Red are tests which fail without it.
	Red []Test
	// Vital says why an engine cannot run without it, so that only tests can; "" if it can.
	Vital string
}

// Edit replaces a text, which stands in the file exactly once.
type Edit struct{ File, Old, New string }

// Test is a test of a package: the argument of go test -run.
type Test struct{ Package, Run string }

// unless carries out a statement only while the defence is there.
func unless(id, file, statement string) Edit {
	return Edit{file, statement, "if !without(\"" + id + "\") {\n" + statement + "\n}"}
}

// first puts a statement that takes the defence away in front of what stands in the file.
func first(id, file, at, statement string) Edit {
	return Edit{file, at, "if without(\"" + id + "\") {\n" + statement + "\n}\n" + at}
}

// empty makes a function return at once; head is its first line.
func empty(id, file, head, result string) Edit {
	return Edit{file, head, head + "\nif without(\"" + id + "\") {\nreturn " + result + "\n}"}
}

// passing hands BRIG_WITHOUT down: our processes are started with an environment of their own.
func passing() []Edit {
	const path = `Env:   []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"`
	const without = `handDown()`
	return []Edit{
		{"internal/cli/launch/start_linux.go", path + "}", path + ", " + without + "}"},
		{"internal/keeper/keeper.go", path + "}", path + ", " + without + "}"},
		// What is missing is asked for in the spawner too, from memory that it gives up otherwise.
		{"internal/kernel/clone/spawner.go", "	if strings.Contains(string(maps), \"/libc\") ||", "	if true ||"},
		{"internal/warden/service.go", `"HOME=" + state}`, `"HOME=" + state, ` + without + `}`},
		{"internal/warden/service.go", `Args: []string{"brig-router"}, FDs: 2,`,
			`Args: []string{"brig-router"}, Env: []string{` + without + `}, FDs: 2,`},
		{"internal/warden/service.go", `Args: []string{"brig-store", dir}, FDs: 3,`,
			`Args: []string{"brig-store", dir}, Env: []string{` + without + `}, FDs: 3,`},
	}
}

const (
	warden   = "internal/warden"
	plan     = "internal/warden/plan"
	clone    = "internal/kernel/clone"
	store    = "internal/store"
	firewall = "internal/router/firewall"
	link     = "internal/router/link"
)

// Defences lists them in the order of the matrix: what a program is born with, then what surrounds it, then what
// surrounds its image.
func Defences() []Defence {
	return slices.Concat(ofPrograms(), ofSurroundings(), ofImages(), ofTheAPI(), ofCopies())
}

func ofPrograms() []Defence {
	return []Defence{
		{"capabilities", "ten capabilities, none that amounts to the host", []Edit{
			first("capabilities", plan+"/confine.go", "	c := p.Capabilities\n	nnp :=", `
				q, every := *p, possible(uint64(1)<<(h.LastCap+1)-1)
				q.Capabilities.Bounding, q.Capabilities.Permitted = every, every
				p = &q`),
		}, []Test{{plan, "TestProcessOneHasItsOwnIdsNamesAndCapabilities"}}, ""},

		{"seccomp", "system-call filter: the profile", []Edit{
			first("seccomp", warden+"/floor.go", "	if p.Filter == nil || p.Filter.Narrows {", "return list"),
		}, []Test{{warden, "TestFloorComesFirst"}}, ""},

		{"floor", "system-call filter: the floor, below every profile", []Edit{
			{warden + "/floor.go", "	list := []plan.Filter{{Name: floor + \"'s\", Code: f[floor]}}",
				"	list := []plan.Filter{{Name: floor + \"'s\", Code: f[floor]}}\n	if without(\"floor\") {\n		list = nil\n	}"},
		}, []Test{{warden, "TestFloorComesFirst"}}, ""},

		{"user-namespace", "user namespace: ids and capabilities that mean nothing to the host", userNamespace(),
			[]Test{{plan, "TestProcessOneHasItsOwnIdsNamesAndCapabilities"}}, ""},

		{"landlock", "Landlock domain", []Edit{
			{plan + "/confine.go", "	if h.Landlock && !p.NoLandlock {", "	if h.Landlock && !p.NoLandlock && !without(\"landlock\") {"},
		}, []Test{{plan, "TestLandlockSeparatesExecFromProcessOne"}, {plan, "TestLandlockAloneStopsMounts"}, {plan, "TestLandlockAloneKeepsExecsOutOfProcessOne"}}, ""},

		{"no-new-privs", "no_new_privs: a program's file gives no privilege", []Edit{
			{plan + "/confine.go", "	nnp := !p.AllowNewPrivileges\n	all :=",
				"	nnp := !p.AllowNewPrivileges && !without(\"no-new-privs\")\n	all :="},
		}, []Test{{plan, "TestProcessOneHasItsOwnIdsNamesAndCapabilities"}}, ""},

		{"dumpable", "unreadable processes: nobody inside looks into one that joins", []Edit{
			// A change of ids makes a process unreadable, too, unless fs.suid_dumpable says otherwise: as if it did.
			{plan + "/begin.go", "b.do(what, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)",
				"b.do(what, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, map[bool]int{true: 1}[without(\"dumpable\")])"},
			first("dumpable", warden+"/host.go", "	return cred.Drop(needed)",
				"unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)"),
		}, []Test{{plan, "TestJoiningProcessIsUnreadable"}}, ""},

		{"close-range", "closed descriptors: none of the engine's reaches a child", []Edit{
			{clone + "/spawn.go", "	syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, fdGiven, ^uintptr(0)>>32, 0, 0, 0, 0)\n	syscall.RawSyscall6(unix.SYS_MADVISE,",
				"	if !descriptorsStay {\n		syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, fdGiven, ^uintptr(0)>>32, 0, 0, 0, 0)\n	}\n	syscall.RawSyscall6(unix.SYS_MADVISE,"},
			{clone + "/spawn.go", "	syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, fdSocket, fdMemory, 0, 0, 0, 0)",
				"	if !descriptorsStay {\n		syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, fdSocket, fdMemory, 0, 0, 0, 0)\n	}"},
			unless("close-range", plan+"/service.go", "	b.do(\"close the others\", unix.SYS_CLOSE_RANGE, 3, aside-1, 0)"),
		}, []Test{{clone, "TestChildSeesNoDescriptorOfTheEngine"}},
			"a child finds what it is given by number, from the first that is free"},
	}
}

// userNamespace leaves the container in the host's, with the host's ids.
func userNamespace() []Edit {
	const id = "user-namespace"
	return []Edit{
		empty(id, warden+"/pool.go", "func (r *ranges) take() (uint32, error) {", "0, nil"),
		{warden + "/pool.go", "	return id >= firstIDs &&", "	return id == 0 && without(\"user-namespace\") || id >= firstIDs &&"},
		first(id, warden+"/idmap/idmap.go", "	fds, err := namespaces(flags,", `
			fds, err := namespaces(unix.CLONE_NEWNET, ids, ids, furnish, []int{proc}, "net")
			if err != nil {
				return -1, -1, -1, err
			}
			user, err := NewUserns(ids, ids) // for the maps of mounts
			return user, fds[0], fds[1], err`),
		{warden + "/idmap/idmap.go", "	if flags&unix.CLONE_NEWUSER == 0 {", "	if flags&unix.CLONE_NEWUSER == 0 && !without(\"user-namespace\") {"},
		{plan + "/confine.go", "uint64(1)<<(h.LastCap+1) - 1\n	b.ids(p,", "possible(uint64(1)<<(h.LastCap+1) - 1)\n	b.ids(p,"},
		// What is not the warden's could not be a container's: the capabilities of both are then over the same namespace.
		first(id, warden+"/host.go", "	return cred.Drop(needed)", "return nil"),
		unless(id, plan+"/birth.go", "		b.do(\"enter the sandbox's user namespace\", unix.SYS_SETNS, Ref(\"<userns>\"), unix.CLONE_NEWUSER)"),
		{plan + "/birth.go", "		namespaces|unix.CLONE_NEWUSER|unix.CLONE_NEWNET|unix.CLONE_NEWCGROUP)", `
			func(flags int) int {
				if without("user-namespace") {
					flags &^= unix.CLONE_NEWUSER
				}
				return flags
			}(namespaces|unix.CLONE_NEWUSER|unix.CLONE_NEWNET|unix.CLONE_NEWCGROUP))`},
	}
}

func ofSurroundings() []Defence {
	return []Defence{
		{"masked-paths", "hidden and read-only files of the kernel", []Edit{
			empty("masked-paths", plan+"/mounts.go", "func (b *builder) mask(where string) {", ""),
			empty("masked-paths", plan+"/mounts.go", "func (b *builder) readOnly(where string) {", ""),
		}, []Test{{plan, "TestMaskedAndReadOnlyPaths"}}, ""},

		{"nosuid", "file systems on which set-user-id bits are dead", []Edit{
			first("nosuid", plan+"/mounts.go", "	b.do(\"restrict \"+where, unix.SYS_MOUNT_SETATTR, mount,", "set &^= unix.MOUNT_ATTR_NOSUID"),
			first("nosuid", "internal/kernel/mount/mount.go", "	fd, err := unix.Fsmount(fs,", "attr &^= unix.MOUNT_ATTR_NOSUID"),
			first("nosuid", warden+"/rootfs/image.go", "	flags := uint(unix.AT_EMPTY_PATH)\n", "attr &^= unix.MOUNT_ATTR_NOSUID"),
		}, []Test{{plan, "TestNothingOfTheHostIsMounted"}}, ""},

		{"cgroup-bounds", "control group: bounds of memory, processes and CPU share", []Edit{
			empty("cgroup-bounds", warden+"/cgroup/limits.go", "func (g *Group) bound(res wire.Resources) error {", "nil"),
		}, []Test{{warden + "/cgroup", "TestForkBombEndsAtItsLimit"}}, ""},

		{"limits", "limits of a process and of its terminals", []Edit{
			first("limits", warden+"/process.go", "		kind, ok := rlimits[want.Type]", "break"),
			{warden + "/rootfs/dev.go", "mount.UInt(\"max\", 256)", "mount.UInt(\"max\", map[bool]uint32{true: 1 << 20, false: 256}[without(\"limits\")])"},
		}, []Test{{warden + "/rootfs", "TestTerminalsOfAContainerAreBounded"}}, ""},

		{"devices", "control group: six devices and no other", []Edit{
			empty("devices", warden+"/cgroup/group.go", "func (g *Group) refuseDevices(prog, old int) error {", "nil"),
		}, []Test{{warden + "/cgroup", "TestDeviceProgramRefusesWhatIsNotListed"}}, ""},

		{"rules", "firewall rules of the router and of the host", []Edit{
			empty("rules", firewall+"/inside.go", "func (i *Inside) Replace(members []Member, hosts []netip.Addr) error {",
				"i.write(append(i.elements(members), filled{i.hosts, addressElements(hosts)}, filled{i.flows, nil}), nil)"),
			{firewall + "/host.go", "	return h.write(h.elements(members), h.chains())", `
				chains := h.chains()
				if without("rules") {
					chains = slices.DeleteFunc(chains, func(b base) bool { return b.name == "through" || b.name == "enter" })
				}
				return h.write(h.elements(members), chains)`},
			{firewall + "/host.go", "import (\n", "import (\n\"slices\"\n"},
		}, []Test{{link, "TestContainersReachNeitherEachOtherNorTheHost"}}, ""},

		{"tc", "programs at each end of the network, which know no rules", []Edit{
			first("tc", firewall+"/gate.go", "	if ingress != \"\" {", "return"),
		}, []Test{{link, "TestSecondLayerHoldsWithoutAnyRule"}}, ""},
	}
}

func ofImages() []Defence {
	return []Defence{
		{"sealing", "sealed files: nobody writes to what was verified", []Edit{
			empty("sealing", store+"/store.go", "func lease(f *os.File) error {", "nil"),
		}, []Test{{store, "TestSealRefusesWhileAWriterExists"}}, ""},

		{"index-check", "a second process checks a file-system index", []Edit{
			{store + "/store.go", "	seen, err := check(f, files)\n	if err != nil {",
				"	seen, err := check(f, files)\n	if err != nil && !without(\"index-check\") {"},
		}, []Test{{store, "TestIndexNeedsItsCheckAndItsDevices"}}, ""},

		{"worker", "confinement of the process that reads strangers' archives", []Edit{
			{plan + "/service.go", "	if in.Worker {\n		b.worker(&in)", "	if in.Worker && !without(\"worker\") {\n		b.worker(&in)"},
			{plan + "/service.go", "	if in.Landlock {\n		// The", "	if in.Landlock && !(in.Worker && without(\"worker\")) {\n		// The"},
			{plan + "/service.go", "	b.seccomp(in.Filters)", "	if !(in.Worker && without(\"worker\")) {\n		b.seccomp(in.Filters)\n	}"},
		}, []Test{{plan, "TestWorkerHasNothing"}}, ""},
	}
}

// ofTheAPI are bounds of the engine itself, against containers that print and callers that ask without end.
func ofTheAPI() []Defence {
	const api, container, event, log = "internal/daemon/api", "internal/daemon/container", "internal/daemon/event", "internal/daemon/log"
	return []Defence{
		{"log-bound", "logs: files that are rotated", []Edit{
			{log + "/write.go", "	if st.Size() > 0 && st.Size()+int64(len(b)) > s.size {",
				"	if st.Size() > 0 && st.Size()+int64(len(b)) > s.size && !without(\"log-bound\") {"},
		}, []Test{{log, "TestTheDiskSpaceOfALogIsBounded"}}, ""},

		{"callers", "API: turns of each caller, and bounds of what is remembered of requests", []Edit{
			empty("callers", api+"/door.go", "func turn(ctx context.Context) (done func(), err error) {", "func() {}, nil"),
			unless("callers", event+"/event.go", "	shorten(&m)"),
			{event + "/event.go", "b.bytes > pastBytes && len(b.kept) > 1", "b.bytes > pastBytes && len(b.kept) > 1 && !without(\"callers\")"},
			{container + "/exec.go", "c.execBytes+x.size() > maxExecBytes {", "c.execBytes+x.size() > maxExecBytes && !without(\"callers\") {"},
		}, []Test{{event, "TestThePastIsBoundedInBytes"}, {api, "TestTurns"}, {container, "TestExecsAreRememberedInBounds"}}, ""},

		{"slow-clients", "API: who does not read is waited for, or dropped", []Edit{
			empty("slow-clients", container+"/hub.go", "func (h *hub) wait() {", ""),
		}, []Test{{container, "TestOneSlowClientIsDroppedWhenAnotherWaits"}}, ""},
	}
}

// ofCopies are those of cp and its kin. An engine goes without none of them: what they keep out needs a race to be won, or
// a program that the engine does not start in any other way, so it is tests that miss them.
func ofCopies() []Defence {
	const tree, kernel, why = "internal/worker/tree", "internal/kernel/path", "only copies are worse off, which no probe of the matrix makes"
	return []Defence{
		{"copy-in-root", "names of a container are resolved inside its root (CVE-2018-15664)", []Edit{
			{kernel + "/path.go", "	how := How(uint64(flags), mode, resolve)", `
				if without("copy-in-root") {
					resolve = 0
				}
				how := How(uint64(flags), mode, resolve)`},
		}, []Test{{tree, "TestSwappedNamesStayInside"}, {tree, "TestHostileArchivesStayInside"}}, why},

		{"copy-no-mounts", "a copy mounts and makes nothing in a container that runs (CVE-2026-41568, CVE-2026-42306)", []Edit{
			first("copy-no-mounts", plan+"/service.go", "	// The root file system by itself, for reading:", `
				b.do("make a mount point", unix.SYS_MKDIRAT, unix.AT_FDCWD, "/data", 0o755).Or(unix.EEXIST)
				b.do("mount a volume again", unix.SYS_MOUNT, "/data", "/data", "", unix.MS_BIND, "")`),
		}, []Test{{plan, "TestCopierOfARunningContainerMountsNothing"}}, why},

		{"copy-no-programs", "what copies maps no code and runs no program of a container (CVE-2019-14271, CVE-2026-41567)", []Edit{
			first("copy-no-programs", "dist/embed/filters/own.go", "	t.allow(\"openat2 newfstatat getdents64 readlinkat mkdirat symlinkat linkat", "	t.allow(\"mmap mprotect execveat openat\")"),
		}, []Test{{"dist/embed/filters", "TestOwnProgramsRunUnderTheirFilters"}}, why},
	}
}
