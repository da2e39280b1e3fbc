package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

func tryHandle(r *run) Verdict {
	kind, bytes, err := r.dir.handle()
	if err != nil {
		return couldNot("%v", err)
	}
	return r.attack(Spec{Args: probeArgs("open-by-handle", r.dir.secret.hash(), kind, bytes)})
}

func tryHostPaths(r *run) Verdict {
	v := r.attack(Spec{Args: probeArgs("host-paths", r.dir.secret.hash(), r.dir.file())})
	return r.undisturbed(v)
}

// tryIdentity looks from the host who the container's root is there.
func tryIdentity(r *run) Verdict {
	box, info, err := r.idle()
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", info.PID))
	if err != nil {
		return couldNot("%v", err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if f := strings.Fields(line); len(f) == 5 && f[0] == "Uid:" {
			if f[1] == "0" || f[2] == "0" || f[3] == "0" || f[4] == "0" {
				return Verdict{Verdict: Exposed, Detail: "the container's root is uid 0 on the host"}
			}
			detail := "the container's root is uid " + f[1] + " on the host"
			return Verdict{Verdict: Blocked, Layer: "user namespace", Detail: detail}
		}
	}
	return couldNot("the kernel does not say who process %d is", info.PID)
}

// undisturbed turns any verdict into exposed if a container changed the canary directory.
func (r *run) undisturbed(v Verdict) Verdict {
	if how := r.dir.disturbed(); how != "" {
		v.Verdict, v.Layer, v.Detail = Exposed, "", how
	}
	return v
}

func tryMknod(r *run) Verdict {
	d := r.disk
	return r.attack(Spec{Args: probeArgs("mknod-disk", d.secret.hash(), fmt.Sprint(d.major), fmt.Sprint(d.minor))})
}

// tryJoiner lets the attacker watch while the drill executes a program in his container again and again.
func tryJoiner(r *run) Verdict {
	const watch, joins = 1500 * time.Millisecond, 12
	box, err := r.engine.Start(r.ctx, Spec{Image: ImageName,
		Args: probeArgs("exec-joiner", fmt.Sprint(watch.Milliseconds()))})
	if err != nil {
		return couldNot("start the attacker: %v", err)
	}
	defer r.remove(box)
	end, done, last := time.Now().Add(watch-200*time.Millisecond), 0, error(nil)
	for range joins {
		if time.Now().After(end) {
			break
		}
		if _, last = box.Exec(r.ctx, "/bin/true"); last == nil {
			done++
		}
	}
	v := r.outcome(box)
	if done == 0 && v.Verdict != Exposed {
		return couldNot("no program could be executed in the container: %v", last)
	}
	return v
}

func trySecrets(r *run) Verdict {
	return r.attack(Spec{Args: probeArgs("secrets", r.secret.hash())})
}

func tryNeighbour(r *run) Verdict {
	if r.near.IP == "" {
		return couldNot("the engine does not say the neighbour's address")
	}
	return r.attack(Spec{Args: probeArgs("reach", fmt.Sprintf("%s:%d", r.near.IP, servePort))})
}

func tryHost(r *run) Verdict {
	targets := r.port.targets(r.near.Gateway)
	if len(targets) == 0 {
		return couldNot("the host has no address but loopback")
	}
	return r.attack(Spec{Args: probeArgs(append([]string{"reach"}, targets...)...)})
}

func trySockets(r *run) Verdict {
	var paths []string
	for _, path := range r.engine.Sockets() {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		paths = append(paths, path)
	}
	return r.attack(Spec{Args: probeArgs(append([]string{"engine-sockets"}, paths...)...)})
}

// sniffed runs a sniffer while the neighbour is sent a token over and over.
func (r *run) sniffed(sniff func(hash, ms string) Verdict) Verdict {
	secret := newToken()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	sent := 0
	wg.Go(func() {
		for {
			if _, err := r.ask(string(secret)); err == nil {
				sent++
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	v := sniff(secret.hash(), "700")
	close(stop)
	wg.Wait()
	if sent == 0 && v.Verdict != Exposed && v.Layer == "link" {
		return couldNot("the neighbour could not be reached, so there was nothing to read")
	}
	return v
}

func trySniff(r *run) Verdict {
	return r.sniffed(func(hash, ms string) Verdict { return r.attack(Spec{Args: probeArgs("sniff", hash, ms)}) })
}

// trySniffDoor sniffs on the attacker's interface with the powers of the host's root.
func trySniffDoor(r *run) Verdict {
	box, info, err := r.idle()
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	return r.sniffed(func(hash, ms string) Verdict { return r.atDoor(info, "sniff", hash, ms) })
}

// idle starts an attacker that does nothing, so that others can act in its place.
func (r *run) idle() (Box, Info, error) {
	box, err := r.engine.Start(r.ctx, Spec{Image: ImageName, Args: []string{"/bin/sleep", "60"}})
	if err != nil {
		return nil, Info{}, fmt.Errorf("start the attacker: %w", err)
	}
	info, err := box.Info(r.ctx)
	if err == nil && info.PID == 0 {
		err = fmt.Errorf("the engine does not say the attacker's process id")
	}
	if err == nil {
		_, err = os.Stat(fmt.Sprintf("/proc/%d/ns/net", info.PID))
	}
	if err != nil {
		r.remove(box)
		return nil, Info{}, err
	}
	return box, info, nil
}
