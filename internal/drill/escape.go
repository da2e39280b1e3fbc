package drill

import (
	"archive/tar"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// newVolume names a volume that nobody has.
func newVolume() string {
	var b [6]byte
	rand.Read(b[:])
	return "brig-drill-" + hex.EncodeToString(b[:])
}

// forgetVolumes removes volumes, with a deadline of its own.
func (r *run) forgetVolumes(names ...string) {
	for _, name := range names {
		r.engine.RemoveVolume(r.ctx, name)
	}
}

// ownCanary gives a probe that may have things land in it a canary directory of its own.
func (r *run) ownCanary() (q *run, dir *hostDir, err error) {
	if dir, err = plantDir(); err != nil {
		return nil, nil, fmt.Errorf("plant a canary directory: %w", err)
	}
	c := *r
	c.dir = dir
	return &c, dir, nil
}

// tryMaskedPaths has an image whose /dev/null and /dev/console lead to the host: engines cover what a container may not
// see with the one, and put a terminal on the other.
func tryMaskedPaths(r *run) Verdict {
	var all []Verdict
	for _, name := range []string{"null", "console", "ptmx"} {
		q, dir, err := r.ownCanary()
		if err != nil {
			return couldNot("%v", err)
		}
		for _, target := range []string{dir.file(), dots + strings.TrimPrefix(dir.file(), "/")} {
			v := q.fromImage(Spec{Args: probeArgs(r.probe.ID, dir.secret.hash(), "/proc/timer_list", "/proc/kcore", "/proc/keys",
				"/proc/interrupts", "/proc/scsi", "/proc/acpi", "/sys/firmware", "/dev/null")}, func(t *tar.Writer) {
				put(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "dev/" + name, Linkname: target, Mode: 0o777}, nil)
			})
			v.Detail = strings.ReplaceAll("/dev/"+name+": "+v.Detail, dir.path, "CANARY")
			all = append(all, q.undisturbed(v))
		}
		dir.remove()
	}
	return worstOf(all)
}

// tryVolumeRace has one container exchange a directory of a volume with a link to the host, while others are started that
// have a second volume inside of it: the engine makes the place for that.
func tryVolumeRace(r *run) Verdict {
	q, dir, err := r.ownCanary()
	if err != nil {
		return couldNot("%v", err)
	}
	defer dir.remove()
	outer, inner := newVolume(), newVolume()
	defer r.forgetVolumes(outer, inner)
	swap, err := r.start(Spec{Args: probeArgs("swap", "1100", "/v/x", dir.path), Shared: []SharedVolume{{outer, "/v"}}})
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(swap)
	var all []Verdict
	started := 0
	for end := time.Now().Add(1000 * time.Millisecond); time.Now().Before(end) && len(all) < 24; {
		v := r.dared(Spec{Shared: []SharedVolume{{outer, "/v"}, {inner, "/v/x/deep"}},
			Args: probeArgs("masked-paths", dir.secret.hash(), "/v/x/secret", "/v/x/deep/secret")})
		if v = q.undisturbed(v); v.Layer != "policy" {
			started++
		}
		all = append(all, v)
		if v.Verdict == Exposed {
			break
		}
	}
	s := r.outcome(swap)
	if len(all) == 0 || s.Verdict != lookOutside {
		return couldNot("the swapping container: %s", s.Detail)
	}
	v := worstOf(all)
	v.Detail = fmt.Sprintf("%d of %d containers started beside %s; %s", started, len(all), s.Detail, v.Detail)
	return v
}

// tryProcVolume puts a volume over /proc whose files are links to the host: what the engine writes to the kernel there, a
// sysctl or a label for a security module, would go to the host's file instead.
func tryProcVolume(r *run) Verdict {
	var all []Verdict
	for _, at := range []string{"/proc", "/proc/sys", "/proc/self"} {
		q, dir, err := r.ownCanary()
		if err != nil {
			return couldNot("%v", err)
		}
		volume, port := newVolume(), "/net/ipv4/ip_unprivileged_port_start"
		plant := []string{"/bin/brig-probe", "plant", "/v" + port, dir.file(), "/v/sys" + port, dir.file(), "/v/attr/exec", dir.file(),
			"/v/self/attr/exec", dir.file(), "/v/thread-self/attr/exec", dir.file(), "/v/self/attr/apparmor/exec", dir.file()}
		v := r.plantAndDare(plant, volume, Spec{Shared: []SharedVolume{{volume, at}}, Sysctls: map[string]string{
			"net.ipv4.ip_unprivileged_port_start": "1024"}, Args: probeArgs("masked-paths", dir.secret.hash(), "/proc/sys"+port)})
		v.Detail = at + ": " + v.Detail
		all = append(all, q.undisturbed(v))
		r.forgetVolumes(volume)
		dir.remove()
	}
	return worstOf(all)
}

// plantAndDare fills a volume at /v by a container that runs plant, and dares the engine with another one.
func (r *run) plantAndDare(plant []string, volume string, spec Spec) Verdict {
	box, err := r.start(Spec{Args: plant, Shared: []SharedVolume{{volume, "/v"}}})
	if err != nil {
		return couldNot("%v", err)
	}
	status, err := box.Wait(r.ctx)
	r.remove(box)
	if err != nil || status != 0 {
		return couldNot("the volume could not be filled: status %d, %v", status, err)
	}
	return r.dared(spec)
}

// trySysctls asks for switches of the whole machine, with the values that they have, and for names and values that lead
// elsewhere.
func trySysctls(r *run) Verdict {
	q, dir, err := r.ownCanary()
	if err != nil {
		return couldNot("%v", err)
	}
	defer dir.remove()
	var all []Verdict
	for _, name := range []string{"kernel/core_pattern", "kernel/modprobe", "vm/stat_interval", "fs/suid_dumpable", "kernel/panic"} {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			continue
		}
		for _, spelled := range []string{strings.ReplaceAll(name, "/", "."), name} {
			v := r.switched(spelled, strings.TrimSpace(string(value)))
			if v.Verdict == Exposed {
				return v
			}
			all = append(all, v)
		}
	}
	for _, trick := range [][2]string{{"net/" + dots + dir.file(), "1"}, {"net." + dots + dir.file(), "1"},
		{"kernel.shm_rmid_forced", "1\n" + dots + dir.file() + "=1"}, {"kernel.shm_rmid_forced", "1+net/" + dots + dir.file() + "=1"}} {
		v := r.switched(trick[0], trick[1])
		if v.Verdict == Exposed { // it took the switch; where it went, the canary says
			v = Verdict{Verdict: Blocked, Layer: "kernel", Detail: "taken, and nothing came of it"}
		}
		all = append(all, q.undisturbed(v))
	}
	return worstOf(all)
}

// switched starts a container with a sysctl.
func (r *run) switched(name, value string) Verdict {
	box, err := r.start(Spec{Sysctls: map[string]string{name: value}, Args: []string{"/bin/true"}})
	if err != nil {
		return r.refused("", err)
	}
	r.remove(box)
	return Verdict{Verdict: Exposed, Detail: name + " of the whole machine was taken"}
}

// tryProcesses gives away numbers of processes of the host.
func tryProcesses(r *run) Verdict {
	return r.attack(Spec{Args: probeArgs(r.probe.ID, strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid()), strconv.Itoa(r.near.PID))})
}

// tryInherited looks at what root and a user of the image have from who started them.
func tryInherited(r *run) Verdict {
	return worstOf([]Verdict{
		r.attack(Spec{Args: probeArgs(r.probe.ID, "0")}),
		r.fromImage(Spec{User: "boat", Args: probeArgs(r.probe.ID, "1000", "4242")}, func(t *tar.Writer) {
			put(t, tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/false\nboat:x:1000:1000::/:/bin/false\n"))
			put(t, tar.Header{Typeflag: tar.TypeReg, Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nboat:x:1000:\ncrew:x:4242:boat\n"))
		})})
}

// trySelfExe has a container execute /proc/self/exe: where the engine's own program executes what the image names, that is
// the engine's program, and who runs it can open it.
func trySelfExe(r *run) Verdict {
	box, err := r.start(Spec{Args: []string{"/proc/self/exe", "sleep", "30"}})
	if err != nil {
		return r.refused("", err)
	}
	defer r.remove(box)
	info, err := box.Info(r.ctx)
	if err != nil {
		status, waitErr := box.Wait(r.ctx)
		if waitErr != nil {
			return couldNot("%v", waitErr)
		}
		return Verdict{Verdict: Blocked, Layer: "no engine program inside", Detail: fmt.Sprintf("it ended with status %d", status)}
	}
	exe, err := os.Open(fmt.Sprintf("/proc/%d/exe", info.PID))
	if err != nil {
		return couldNot("%v", err)
	}
	defer exe.Close()
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", info.PID))
	if seals, err := unix.FcntlInt(exe.Fd(), unix.F_GET_SEALS, 0); err == nil && seals&unix.F_SEAL_WRITE != 0 {
		return Verdict{Verdict: Blocked, Layer: "sealed copy", Detail: "it executed " + name + ", which nobody can change"}
	}
	var fs unix.Statfs_t
	if unix.Fstatfs(int(exe.Fd()), &fs) == nil && fs.Flags&unix.ST_RDONLY != 0 {
		return Verdict{Verdict: Blocked, Layer: "read-only copy", Detail: "it executed " + name + " of a file system that is read-only"}
	}
	own, errOwn := os.Stat(fmt.Sprintf("/proc/%d/root/bin/brig-probe", info.PID))
	got, errGot := exe.Stat()
	if errOwn == nil && errGot == nil && os.SameFile(own, got) {
		return Verdict{Verdict: Blocked, Layer: "no engine program inside", Detail: "it executed the image's own program"}
	}
	return Verdict{Verdict: Exposed, Detail: "it executed " + name + ", a file of the host's"}
}

// tryExecStopped executes programs in a container that stops whoever comes in, and looks whether the engine waits for them
// with everything else.
func tryExecStopped(r *run) Verdict {
	box, err := r.start(Spec{Args: probeArgs("stop-everybody", "1500")})
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	came := make(chan error, 4)
	for range cap(came) {
		go func() {
			_, err := box.Exec(r.ctx, "/bin/sleep", "0.2")
			came <- err
		}()
	}
	time.Sleep(200 * time.Millisecond)
	begin := time.Now()
	other, err := r.start(Spec{Args: []string{"/bin/true"}})
	took := time.Since(begin)
	if err == nil {
		r.remove(other)
	}
	v := r.outcome(box)
	bound := r.bound(0, time.Second)
	if err != nil || took > bound {
		return Verdict{Verdict: Exposed, Detail: fmt.Sprintf("another container took %s to start (%v), bound %s", milli(took), err, milli(bound))}
	}
	if v.Verdict != lookOutside {
		return v
	}
	if strings.HasPrefix(v.Detail, "0 ") {
		return couldNot("nobody who came in could be stopped")
	}
	v.Verdict, v.Detail = Blocked, fmt.Sprintf("%s; another container started in %s, bound %s", v.Detail, milli(took), milli(bound))
	return v
}

// tryShared starts the attacker with a volume: it is what engines share with the host, if anything.
func tryShared(r *run) Verdict { return r.attack(Spec{Args: probeArgs(r.probe.ID), Volume: volumeDir}) }
