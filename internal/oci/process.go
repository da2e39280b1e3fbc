package oci

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/brig-engine/brig/internal/kernel/calls"
	"github.com/brig-engine/brig/internal/kernel/cred"
	"github.com/brig-engine/brig/internal/kernel/release"
	"github.com/brig-engine/brig/internal/oci/birth"
	"github.com/brig-engine/brig/internal/oci/config"
	"github.com/brig-engine/brig/internal/oci/userns"
	"github.com/brig-engine/brig/internal/seccomp/filter"
	"github.com/brig-engine/brig/internal/seccomp/seccompspec"
)

// describeProcess makes the container's own process.
func (c *container) describeProcess(in *birth.Input) error {
	if err := c.compile(); err != nil {
		return err
	}
	if c.spec.Linux.MountLabel != "" && !selinux() {
		return fmt.Errorf("linux.mountLabel: SELinux is not on")
	}
	p, err := c.a.process(c.spec.Process, c.Filters, in.UserNS)
	if err != nil {
		return err
	}
	if err = c.preserve(p); err != nil {
		return err
	}
	if pers := c.spec.Linux.Personality; pers != nil {
		if len(pers.Flags) > 0 {
			return fmt.Errorf("linux.personality.flags: the specification has none, and %q is given", pers.Flags)
		}
		switch pers.Domain {
		case specs.PerLinux:
			p.Personality = 0
		case specs.PerLinux32:
			p.Personality = 8
		default:
			return fmt.Errorf("linux.personality.domain: %q is none of LINUX, LINUX32", pers.Domain)
		}
	}
	home(p, c.fds["root"])
	in.Process = *p
	if !p.Terminal {
		giveStdio(userns.Host(c.spec.Linux.UIDMappings, p.UID))
	}
	return nil
}

// compile makes programs of the seccomp profile.
func (c *container) compile() error {
	s := c.spec.Linux.Seccomp
	if s == nil {
		return nil
	}
	program, err := compileProfile(s)
	if err != nil {
		return fmt.Errorf("seccomp profile: %w", err)
	}
	c.Filters = []seccompspec.Program{program}
	return c.checkListener()
}

func compileProfile(s *specs.LinuxSeccomp) (out seccompspec.Program, err error) {
	p, err := seccompspec.New(s)
	if err != nil {
		return out, err
	}
	f, err := p.Filter(filter.Arch(runtime.GOARCH))
	if err != nil {
		return out, err
	}
	return p.Compile(&f)
}

// preserve gives the process descriptors of the caller: those that were counted, and those of socket activation.
func (c *container) preserve(p *birth.Process) error {
	n := c.o.fds
	mine := os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) // and not left over from somebody else (sd_listen_fds(3))
	if listen, err := strconv.Atoi(os.Getenv("LISTEN_FDS")); err == nil && listen > 0 && mine {
		n += listen
		p.Env = append(p.Env, "LISTEN_FDS="+strconv.Itoa(listen), "LISTEN_PID=1")
	}
	return passOn(p, n, c.fds)
}

// passOn gives those that the caller has left open for this program. Every one of ours is close-on-exec, and none of them may
// reach a container (CVE-2024-21626).
func passOn(p *birth.Process, n int, fds descriptors) error {
	for i := range n {
		if flags, err := unix.FcntlInt(uintptr(3+i), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			return fmt.Errorf("--preserve-fds: descriptor %d was not given: %w", 3+i, unix.EBADF)
		}
		fd, err := unix.FcntlInt(uintptr(3+i), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("--preserve-fds: descriptor %d: %w", 3+i, err)
		}
		fds[fmt.Sprintf("fd%d", i)] = fd
	}
	p.FDs = n
	return nil
}

// process turns a process of a configuration into the kernel's terms.
func (a *app) process(s *specs.Process, filters []seccompspec.Program, userNS bool) (*birth.Process, error) {
	p := &birth.Process{Args: s.Args, Env: s.Env, Cwd: cleanCwd(s.Cwd), UID: s.User.UID, GID: s.User.GID, Groups: s.User.AdditionalGids,
		Umask: 0o022, NoNewPrivs: s.NoNewPrivileges, Terminal: s.Terminal, Personality: -1, AppArmor: s.ApparmorProfile,
		SELinux: s.SelinuxLabel}
	if s.User.Umask != nil {
		p.Umask = *s.User.Umask
	}
	if s.ConsoleSize != nil {
		p.Rows, p.Cols = uint16(s.ConsoleSize.Height), uint16(s.ConsoleSize.Width)
	}
	if s.OOMScoreAdj != nil {
		p.OOMScoreAdj = strconv.Itoa(*s.OOMScoreAdj)
	}
	for _, f := range filters {
		p.Filters = append(p.Filters, calls.Filter{Name: "seccomp", Code: f.Code, Flags: loadFlags(f)})
	}
	if s.ApparmorProfile != "" && !apparmor() {
		return nil, fmt.Errorf("process.apparmorProfile: AppArmor is not on")
	}
	if s.SelinuxLabel != "" && !selinux() {
		return nil, fmt.Errorf("process.selinuxLabel: SELinux is not on")
	}
	version, err := release.Version()
	if err != nil {
		return nil, err
	}
	p.ExecByFD = slices.Compare(version[:], []int{6, 14}) >= 0
	if p.LastCap, err = cred.LastCapability(); err != nil {
		return nil, err
	}
	if err := a.capabilities(p, s.Capabilities, userNS); err != nil {
		return nil, err
	}
	if err := schedule(p, s); err != nil {
		return nil, err
	}
	return p, limits(p, s.Rlimits)
}

func cleanCwd(dir string) string {
	if dir = strings.TrimRight(dir, "/"); dir == "" {
		return "/"
	}
	return dir
}

// capabilities are what was asked for, as far as there is such a thing and this process has it: of the rest the
// specification wants a warning, and no failure.
func (a *app) capabilities(p *birth.Process, c *specs.LinuxCapabilities, userNS bool) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	p.Held = uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32
	if userNS { // whoever enters one has all
		p.Held = 1<<(p.LastCap+1) - 1
	}
	if c == nil {
		return nil
	}
	var lost []string
	for _, set := range []struct {
		to    *uint64
		names []string
	}{{&p.Bounding, c.Bounding}, {&p.Effective, c.Effective}, {&p.Permitted, c.Permitted}, {&p.Inheritable, c.Inheritable},
		{&p.Ambient, c.Ambient}} {
		mask, unknown := config.CapabilityMask(set.names)
		*set.to = mask & p.Held
		lost = append(lost, unknown...)
		for i, name := range config.Capabilities {
			if mask&^p.Held&(1<<i) != 0 {
				lost = append(lost, name)
			}
		}
	}
	p.Effective &= p.Permitted
	p.Ambient &= p.Permitted & p.Inheritable
	if len(lost) > 0 {
		slices.Sort(lost)
		a.warn("capabilities that this runtime does not have: %s", strings.Join(slices.Compact(lost), ", "))
	}
	return nil
}

// limits marks those that are above this process's own: they are raised while it has the host's rights. That of open files is
// the caller's again, if the configuration has none.
func limits(p *birth.Process, list []specs.POSIXRlimit) error {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read the limit RLIMIT_NOFILE: %w", err)
	}
	p.Files = birth.Limit{Name: "RLIMIT_NOFILE", Kind: unix.RLIMIT_NOFILE, Soft: files.Cur, Hard: files.Max}
	if !slices.ContainsFunc(list, func(r specs.POSIXRlimit) bool { return r.Type == p.Files.Name }) {
		p.Limits = append(p.Limits, p.Files)
	}
	for _, r := range list {
		l := birth.Limit{Name: r.Type, Kind: config.Rlimit(r.Type), Soft: r.Soft, Hard: r.Hard}
		var now unix.Rlimit
		if err := unix.Getrlimit(l.Kind, &now); err != nil {
			return fmt.Errorf("read the limit %s: %w", r.Type, err)
		}
		l.Raise = r.Hard > now.Max
		p.Limits = append(p.Limits, l)
	}
	return nil
}

// schedule turns scheduler, I/O priority and processors into what the kernel reads.
func schedule(p *birth.Process, s *specs.Process) error {
	if sch := s.Scheduler; sch != nil {
		policies := map[specs.LinuxSchedulerPolicy]uint32{specs.SchedOther: 0, specs.SchedFIFO: 1, specs.SchedRR: 2, specs.SchedBatch: 3,
			specs.SchedIdle: 5, specs.SchedDeadline: 6}
		policy, ok := policies[sch.Policy]
		if !ok {
			return fmt.Errorf("process.scheduler.policy: %q is not supported", sch.Policy)
		}
		bits := map[specs.LinuxSchedulerFlag]uint64{specs.SchedFlagResetOnFork: 1, specs.SchedFlagReclaim: 2, specs.SchedFlagDLOverrun: 4,
			specs.SchedFlagKeepPolicy: 8, specs.SchedFlagKeepParams: 16, specs.SchedFlagUtilClampMin: 32, specs.SchedFlagUtilClampMax: 64}
		var flags uint64
		for _, f := range sch.Flags {
			bit, ok := bits[f]
			if !ok {
				return fmt.Errorf("process.scheduler.flags: %q is not supported", f)
			}
			flags |= bit
		}
		const size = 48 // without the bounds of utilisation, which the specification has no values for
		attr := unix.SchedAttr{Size: size, Policy: policy, Flags: flags, Nice: sch.Nice, Priority: uint32(sch.Priority),
			Runtime: sch.Runtime, Deadline: sch.Deadline, Period: sch.Period}
		p.Scheduler, _ = binary.Append(nil, binary.NativeEndian, attr) // numbers can be written
	}
	if io := s.IOPriority; io != nil {
		class, ok := map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3}[io.Class]
		if !ok || io.Priority < 0 || io.Priority > 7 {
			return fmt.Errorf("process.ioPriority: %q %d is no class and priority", io.Class, io.Priority)
		}
		p.IOPriority = class<<13 | io.Priority
	}
	if cpu := s.ExecCPUAffinity; cpu != nil && cpu.Final+cpu.Initial != "" {
		list := cpu.Final
		if list == "" {
			list = cpu.Initial
		}
		var err error
		if p.CPUs, err = config.CPUSet(list); err != nil {
			return fmt.Errorf("process.execCPUAffinity: %w", err)
		}
	}
	return nil
}

func apparmor() bool {
	b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && strings.HasPrefix(string(b), "Y")
}

func selinux() bool {
	_, err := os.Lstat("/sys/fs/selinux/enforce")
	return err == nil
}

// giveStdio makes the user of a process the owner of its standard descriptors, so that it can open them by name (T19).
func giveStdio(uid uint32) {
	for fd := range 3 {
		var st unix.Stat_t
		null := unix.Mkdev(1, 3)
		if unix.Fstat(fd, &st) == nil && st.Uid != uid && !(st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == null) {
			_ = unix.Fchown(fd, int(uid), -1) // of a file that cannot change hands it stays the owner's
		}
	}
}
