package drill

import "strings"

// heirs are the containers that come after one that left something: more than one, so that what is used again is met.
const heirs = 6

// tryLeftovers lets a container leave a token everywhere and go, and later ones search for it.
func tryLeftovers(r *run) Verdict {
	secret := newToken()
	box, err := r.engine.Start(r.ctx, Spec{Image: ImageName, Args: probeArgs("leave", string(secret))})
	if err != nil {
		return couldNot("start the container that leaves something: %v", err)
	}
	status, err := box.Wait(r.ctx)
	out, outErr := box.Output(r.ctx)
	r.remove(box)
	places := strings.TrimSpace(string(out))
	if err != nil || outErr != nil || status != 0 || places == "0" || places == "" {
		return couldNot("nothing could be left (%v, exit status %d)", err, status)
	}
	var all []Verdict
	for range heirs {
		v := r.attack(Spec{Args: probeArgs(r.probe.ID, secret.hash())})
		if all = append(all, v); v.Verdict == Exposed {
			break
		}
	}
	v := worstOf(all)
	v.Detail = "left in " + places + " places; " + v.Detail
	return v
}

func tryCoreDump(r *run) Verdict {
	return r.attack(Spec{Args: probeArgs(r.probe.ID, string(newToken()))})
}
