package drill

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Some hogs leave the neighbour's requests alone and take away what it would need next: things that the kernel counts for
// a user, or for the whole machine. The hog takes and keeps; then the neighbour, by a program executed in it, tries to take
// one as well.

// most is how much of a thing is taken where no limit is met.
const most = 20000

// holding starts a hog and waits until it says what it has. The caller removes the box, and with it everything taken.
func (r *run) holding(spec Spec) (Box, Verdict) {
	spec.Image = ImageName
	box, err := r.engine.Start(r.ctx, spec)
	if err != nil {
		return nil, couldNot("start the attacker: %v", err)
	}
	for end := time.Now().Add(10 * time.Second * time.Duration(r.slow())); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		out, err := box.Output(r.ctx)
		if err != nil {
			return box, couldNot("read the attacker's output: %v", err)
		}
		if _, err := box.Info(r.ctx); err != nil && len(out) == 0 {
			return box, couldNot("the attacker ended and said nothing: %v", err)
		}
		if bytes.HasSuffix(out, []byte("\n")) {
			v, err := parseVerdict(out)
			if err != nil {
				v = couldNot("%v", err)
			}
			return box, v
		}
	}
	return box, couldNot("the attacker says nothing")
}

// neighbourTakes lets the neighbour take one of each; answer is "ok" or what was refused.
func (r *run) neighbourTakes(things []string) (answer string, err error) {
	out, err := r.neighbour.Exec(r.ctx, probeArgs(append([]string{"take"}, things...)...)...)
	if err != nil {
		return "", fmt.Errorf("execute a program in the neighbour: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// takeAway runs the hog and asks the neighbour and the host (own tries there), before and while it holds.
func (r *run) takeAway(own func() error, things ...string) Verdict {
	if err := own(); err != nil {
		return couldNot("the host is refused even undisturbed: %v", err)
	}
	before, err := r.neighbourTakes(things)
	if err != nil {
		return couldNot("%v", err)
	}
	if before != "ok" {
		return couldNot("the neighbour is refused even undisturbed: %s", before)
	}
	box, v := r.holding(Spec{Args: probeArgs(r.probe.ID, fmt.Sprint(most))})
	if box != nil {
		defer r.remove(box)
	}
	if v.Verdict != lookOutside && v.Verdict != Exposed {
		return v
	}
	if err := own(); err != nil {
		return Verdict{Verdict: Exposed, Detail: fmt.Sprintf("%s; the host: %v", v.Detail, err)}
	}
	during, err := r.neighbourTakes(things)
	switch {
	case err != nil:
		return couldNot("%v", err)
	case during != "ok":
		return Verdict{Verdict: Exposed, Detail: v.Detail + "; the neighbour: " + during}
	case v.Verdict == lookOutside:
		v.Verdict = Blocked
	}
	v.Detail += "; the neighbour and the host still get one"
	return v
}

func tryInotify(r *run) Verdict {
	return r.takeAway(func() error { return once(unix.InotifyInit1(unix.IN_CLOEXEC)) }, "inotify")
}

// tryQueues asks the host for a segment only: a queue would be one of the drill's own user, who need not be root.
func tryQueues(r *run) Verdict {
	return r.takeAway(func() error {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
		if err == nil {
			_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		}
		return err
	}, "queue", "segment")
}

// tryTerminals: a person who wants to log in needs one of the host's.
func tryTerminals(r *run) Verdict {
	return r.takeAway(func() error {
		return once(unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0))
	}, "terminal")
}

// once gives back what was taken.
func once(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}
