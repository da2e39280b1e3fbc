package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the attackers of the kernel's memory are given, and what they try to take, in things that cost the kernel at least
// so many bytes each. It is little, so that an engine that gives it does not suffer.
const (
	chargedGiven = 32 << 20
	manyFiles    = 200_000 // of 256 bytes
	manyWatches  = 240_000 // of 200
	manyPrograms = 32      // with as many bytes of arguments as one may have
	argumentSize = 1500 << 10
	cachedFile   = 96 << 20
	manyNames    = 250_000 // of 192
	namesGiven   = chargedGiven/192 + 30_000
)

// charged runs a hog that has the kernel take memory for it, with little memory of its own.
func charged(args ...any) func(*run) Verdict {
	var text []string
	for _, a := range args {
		text = append(text, fmt.Sprint(a))
	}
	return func(r *run) Verdict {
		return r.attack(Spec{Memory: chargedGiven, Args: probeArgs(append([]string{r.probe.ID}, text...)...)})
	}
}

// tryDentries asks for names that do not exist, and looks at the machine's count of remembered ones meanwhile.
func tryDentries(r *run) Verdict {
	before, err := dentries()
	if err != nil {
		return couldNot("%v", err)
	}
	box, v := r.holding(Spec{Memory: chargedGiven, Args: probeArgs(r.probe.ID, strconv.Itoa(manyNames))})
	if box != nil {
		defer r.remove(box)
	}
	if box != nil && v.Verdict == CouldNotTry { // it may have been killed before it could say anything
		if status, err := box.Wait(r.ctx); err == nil && status == killed {
			return Verdict{Verdict: Blocked, Layer: "memory cgroup", Detail: fmt.Sprintf("killed on the way to %d names", manyNames)}
		}
	}
	if v.Verdict != lookOutside {
		return v
	}
	now, err := dentries()
	if err != nil {
		return couldNot("%v", err)
	}
	v.Detail += fmt.Sprintf(", %d more remembered by the machine, bound %d", now-before, namesGiven)
	if v.Verdict = Blocked; now-before > namesGiven {
		v.Verdict, v.Layer = Exposed, ""
	}
	return v
}

// killed is the status of a program that the kernel has ended.
const killed = 128 + 9

// dentries is how many names the kernel remembers.
func dentries() (int, error) {
	text, err := os.ReadFile("/proc/sys/fs/dentry-state")
	if err != nil {
		return 0, err
	}
	n, _, _ := strings.Cut(string(text), "\t")
	return strconv.Atoi(n)
}

// tryHugePages looks whether the machine has any first: no probe sets them aside.
func tryHugePages(r *run) Verdict {
	free := 0
	sizes, _ := filepath.Glob("/sys/kernel/mm/hugepages/*/free_hugepages")
	for _, name := range append(sizes, "/proc/sys/vm/nr_overcommit_hugepages") {
		text, _ := os.ReadFile(name)
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		free += n
	}
	if free == 0 {
		return Verdict{Verdict: NotApplicable, Detail: "this machine has set no huge pages aside"}
	}
	return r.attack(Spec{Args: probeArgs(r.probe.ID, "1")})
}

// tryIO writes through to the disk from one container while the neighbour does the same, a little at a time, as a
// database would.
func tryIO(r *run) Verdict {
	var v Verdict
	for range 3 {
		calm, err := r.syncWrites()
		if err != nil {
			return couldNot("%v", err)
		}
		box, err := r.start(Spec{Args: probeArgs(r.probe.ID, "1200")})
		if err != nil {
			return couldNot("%v", err)
		}
		busy, err := r.syncWrites()
		v = r.outcome(box)
		r.remove(box)
		if err != nil {
			return couldNot("%v", err)
		}
		if v.Verdict != lookOutside {
			return v
		}
		bound := r.bound(calm, starvedDisk)
		v.Detail += fmt.Sprintf("; neighbour's slowest write %s → %s, bound %s", milli(calm), milli(busy), milli(bound))
		if busy <= bound {
			v.Verdict, v.Layer = Blocked, "disk scheduler"
			return v
		}
		v.Verdict = Exposed
	}
	return v
}

// starvedDisk is what a write of a neighbour's may take in any case: that of a disk which is asked by two.
const starvedDisk = 200 * time.Millisecond

// syncWrites is how long the slowest of the neighbour's writes takes.
func (r *run) syncWrites() (slowest time.Duration, err error) {
	out, err := r.neighbour.Exec(r.ctx, probeArgs("sync-write", "60")...)
	if err != nil {
		return 0, fmt.Errorf("write in the neighbour: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		us, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("the neighbour's writes: %.80q", out)
		}
		slowest = max(slowest, time.Duration(us)*time.Microsecond)
	}
	return slowest, nil
}

// tryEngineFiles fills what the engine has put into a container whose disk is bounded.
func tryEngineFiles(r *run) Verdict {
	return r.bounded(Spec{Args: probeArgs(r.probe.ID, strconv.Itoa(diskTaken)), Disk: diskGiven})
}

// tryKeys takes more keys than a user of the machine may have.
func tryKeys(r *run) Verdict {
	box, v := r.holding(Spec{Args: probeArgs(r.probe.ID, "400")})
	if box != nil {
		defer r.remove(box)
	}
	if v.Verdict == lookOutside {
		v.Verdict = Blocked
	}
	return v
}

// tryConnections counts how many connections of one container at a time get out.
func tryConnections(r *run) Verdict {
	most := trackedConnections()
	bound := min(most/12, 18_000)
	r.world.forget()
	v := r.attack(Spec{Args: probeArgs(r.probe.ID, worldAddress, strconv.Itoa(worldPort), strconv.Itoa(bound*4/3))})
	if v.Verdict != lookOutside {
		return v
	}
	got := r.world.flows()
	v.Detail += fmt.Sprintf(", %d connections at a time got out, bound %d of the machine's %d", got, bound, most)
	if v.Verdict = Blocked; got > bound {
		v.Verdict, v.Layer = Exposed, ""
	}
	if got == 0 {
		return couldNot("%s: not one packet got out", v.Detail)
	}
	return v
}

// trackedConnections is the size of the machine's table of connections; what it has by default on a machine that has not
// loaded it yet.
func trackedConnections() int {
	text, _ := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || n <= 0 {
		n = 262_144
	}
	return n
}

// tryPacketFlood floods the neighbour, the gateway and whoever is beyond the host. What the neighbour's kernel has received
// says whether the flood got there.
func tryPacketFlood(r *run) Verdict {
	before, err := r.received()
	if err != nil {
		return couldNot("%v", err)
	}
	v := r.attack(Spec{Args: probeArgs(r.probe.ID, "600", r.near.IP, r.near.Gateway, worldAddress)})
	if v.Verdict != lookOutside {
		return v
	}
	now, err := r.received()
	if err != nil {
		return couldNot("%v", err)
	}
	v.Detail += fmt.Sprintf(", %d of them to the neighbour", now-before)
	if v.Verdict = Blocked; now-before > 100 {
		v.Verdict, v.Layer = Exposed, ""
	}
	return v
}

// received is how many UDP packets the neighbour got, wanted or not.
func (r *run) received() (n int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/snmp", r.near.PID))
	if err != nil {
		return 0, fmt.Errorf("the neighbour's packets: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] != "Udp:":
		case names == nil:
			names = f
		default:
			for _, name := range []string{"InDatagrams", "NoPorts"} {
				if i := slices.Index(names, name); i > 0 && i < len(f) {
					got, _ := strconv.ParseInt(f[i], 10, 64)
					n += got
				}
			}
		}
	}
	return n, nil
}

// tryEngineCPU computes in three containers on all processors and asks the engine meanwhile.
func tryEngineCPU(r *run) Verdict {
	d, err := r.atEntrance()
	if err != nil {
		return couldNot("%v", err)
	}
	calm, err := d.second(400 * time.Millisecond)
	if err != nil {
		return couldNot("%v", err)
	}
	var boxes []Box
	defer func() {
		for _, b := range boxes {
			r.remove(b)
		}
	}()
	for range 3 {
		b, err := r.start(Spec{Args: probeArgs("cpu-hog", "1200")})
		if err != nil {
			return couldNot("%v", err)
		}
		boxes = append(boxes, b)
	}
	busy, err := d.second(800 * time.Millisecond)
	if err != nil {
		return couldNot("%v", err)
	}
	bound := r.bound(calm, starvedEngine)
	v := Verdict{Verdict: Blocked, Layer: "cpu cgroup", Detail: fmt.Sprintf(
		"3 containers compute on all processors; slowest answer of the engine %s → %s, bound %s", milli(calm), milli(busy), milli(bound))}
	if busy > bound {
		v.Verdict, v.Layer = Exposed, ""
	}
	return v
}

// starvedEngine is what an answer of the engine may take in any case: it needs several processes, each of which may wait for
// its turn once.
const starvedEngine = 300 * time.Millisecond
