package drill

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/drill/netns"
)

// atDoor runs a probe on the host, but in the network namespace of a container: with every capability, past seccomp
// and user namespace. What stops it there is the engine's network alone.
func (r *run) atDoor(box Info, args ...string) Verdict {
	out, err := r.onHost(box, args...)
	if err != nil {
		return couldNot("%v", err)
	}
	v, err := parseVerdict(out)
	if err != nil {
		return couldNot("%v", err)
	}
	return v
}

func (r *run) onHost(box Info, args ...string) ([]byte, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(r.ctx, r.options.Program, args...)
	cmd.Stdout = &out
	// The child is forked by the thread that entered the namespace, and is born there.
	err := netns.Do(fmt.Sprintf("/proc/%d/ns/net", box.PID), cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return nil, fmt.Errorf("run the probe in the attacker's network: %w", err)
	}
	return out.Bytes(), nil
}

// forgery is the senders that an attacker pretends to be, by the mark that their packets carry.
type forgery struct {
	honest string
	marks  []string // in the order of args
	what   map[string]string
	args   []string
}

func (r *run) forgery() forgery {
	stamp := string(newToken()[12:20])
	f := forgery{honest: stamp + "-honest", what: map[string]string{}}
	f.args = []string{"forge", "eth0", worldAddress, fmt.Sprint(worldPort), f.honest}
	add := func(what, ip, mac string) {
		mark := fmt.Sprintf("%s-%d", stamp, len(f.marks))
		f.marks = append(f.marks, mark)
		f.what[mark] = what
		f.args = append(f.args, mark+"="+ip+"/"+mac)
	}
	// 198.51.100.0/24 is TEST-NET-2: nobody's.
	add("a stranger's address", "198.51.100.66", "own")
	add("another hardware address", "own", "02:62:72:69:67:66")
	if r.near.IP != "" {
		add("the neighbour's address", r.near.IP, "own")
	}
	if r.near.Gateway != "" {
		add("the gateway's address", r.near.Gateway, "own")
	}
	return f
}

// judge looks which packets arrived in the world.
func (r *run) judge(f forgery, v Verdict, layer string) Verdict {
	if v.Verdict != lookOutside {
		return v
	}
	got := r.world.arrived(append(f.marks, f.honest)...)
	var arrived []string
	for _, m := range f.marks {
		if from, ok := got[m]; ok {
			arrived = append(arrived, f.what[m]+" (seen as "+from+")")
		}
	}
	switch {
	case len(arrived) > 0:
		return Verdict{Verdict: Exposed, Detail: "packets arrived beyond the host with " + strings.Join(arrived, ", ")}
	case got[f.honest] == "":
		return couldNot("not even an honest packet arrived beyond the host")
	}
	return Verdict{Verdict: Blocked, Layer: layer,
		Detail: fmt.Sprintf("%d forged senders dropped, the honest one arrived", len(f.marks))}
}

func tryForge(r *run) Verdict {
	f := r.forgery()
	return r.judge(f, r.attack(Spec{Args: probeArgs(f.args...)}), "endpoint filter")
}

func tryForgeDoor(r *run) Verdict {
	box, info, err := r.idle()
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	f := r.forgery()
	return r.judge(f, r.atDoor(info, f.args...), "endpoint filter")
}

// tryARPDoor claims the gateway's address and then looks where the neighbour would send its packets.
func tryARPDoor(r *run) Verdict {
	if r.near.Gateway == "" || r.near.IP == "" || r.near.PID == 0 {
		return couldNot("the engine does not say the neighbour's address, gateway and process id")
	}
	box, info, err := r.idle()
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	r.ask("hello") // so that the neighbour knows its gateway
	before, err := r.neighbourTable()
	if err != nil {
		return couldNot("read the neighbour's ARP table: %v", err)
	}
	const forged = "02:62:72:69:67:67"
	victim := before["own"]
	if before[r.near.Gateway] == "" || victim == "" {
		return couldNot("the neighbour does not know its gateway, so there is nothing to overwrite")
	}
	claim := func(mac string) Verdict {
		return r.atDoor(info, "arp-claim", "eth0", r.near.IP, victim, r.near.Gateway, mac)
	}
	took, err := r.insist(claim, forged)
	if err != nil {
		return couldNot("%v", err)
	}
	if took {
		if put, err := r.insist(claim, before[r.near.Gateway]); err != nil || !put {
			r.neighbour, r.nearErr = nil, fmt.Errorf("it could not be given its gateway back")
		}
		return Verdict{Verdict: Exposed, Detail: "the neighbour took the attacker for its gateway"}
	}
	return Verdict{Verdict: Blocked, Layer: "no shared link",
		Detail: "the neighbour's gateway stayed where it was, at " + before[r.near.Gateway]}
}

// insist claims until the neighbour believes it, for a second and a half: an entry that was confirmed within the last
// second is not overwritten.
func (r *run) insist(claim func(mac string) Verdict, mac string) (believed bool, err error) {
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(150 * time.Millisecond) {
		if v := claim(mac); v.Verdict != lookOutside {
			return false, fmt.Errorf("claim: %s", v.Detail)
		}
		table, err := r.neighbourTable()
		if err != nil {
			return false, fmt.Errorf("read the neighbour's ARP table: %w", err)
		}
		if table[r.near.Gateway] == mac {
			return true, nil
		}
	}
	return false, nil
}

// neighbourTable is the neighbour's ARP table by address, and under "own" its own hardware address.
func (r *run) neighbourTable() (map[string]string, error) {
	text, err := r.onHost(r.near, "cat", "/proc/net/arp")
	if err != nil {
		return nil, err
	}
	own, err := r.onHost(r.near, "hardware-address", "eth0")
	if err != nil {
		return nil, err
	}
	table := map[string]string{"own": strings.TrimSpace(string(own))}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) == 6 && strings.Count(f[3], ":") == 5 && f[3] != "00:00:00:00:00:00" {
			table[f[0]] = f[3]
		}
	}
	return table, nil
}
