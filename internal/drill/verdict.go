package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// The verdicts of a probe. Only Blocked says that a defence worked; NotApplicable and CouldNotTry never count as such.
const (
	Exposed       = "exposed"
	Blocked       = "blocked"
	NotApplicable = "not-applicable"
	CouldNotTry   = "could-not-try"
	// lookOutside is what a probe says that cannot see its own effect; the drill turns it into one of the others.
	lookOutside = "look-outside"
)

// Verdict is what one probe found out about one engine. The JSON form is the line that brig-probe prints.
type Verdict struct {
	Probe      string  `json:"probe"`
	Attack     Class   `json:"attack"`
	Verdict    string  `json:"verdict"`
	Layer      string  `json:"layer"`  // the defence that refused, if blocked
	Detail     string  `json:"detail"` // what was tried and what was answered, for people
	DurationMS float64 `json:"duration_ms"`
	// Near is how the neighbour fared, where it was measured. The drill says that, and no container.
	Near *Near `json:"near,omitempty"`
}

// Near is how long the neighbour's slow requests took (the 99th percentile), in milliseconds: undisturbed, which is the slower of
// before and after, and beside the attack.
type Near struct {
	CalmMS float64 `json:"calm_ms"`
	BusyMS float64 `json:"busy_ms"`
}

func nearOf(calm, busy time.Duration) *Near {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return &Near{ms(calm), ms(busy)}
}

const maxVerdict = 8 << 10

// parseVerdict reads the last line of a probe's output. That output comes out of a container of the engine under test:
// it is bounded, strict, and says nothing but one of the known verdicts.
func parseVerdict(output []byte) (Verdict, error) {
	line := bytes.TrimSpace(output)
	if i := bytes.LastIndexByte(line, '\n'); i >= 0 {
		line = line[i+1:]
	}
	var v Verdict
	if len(line) == 0 || len(line) > maxVerdict {
		return v, fmt.Errorf("the probe printed %d bytes and no verdict", len(output))
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("the probe printed no verdict but %.80q: %w", line, err)
	}
	if d.More() {
		return v, fmt.Errorf("the probe printed more than a verdict: %.80q", line)
	}
	v.Near = nil
	switch v.Verdict {
	case Exposed, Blocked, NotApplicable, CouldNotTry, lookOutside:
		return v, nil
	}
	return v, fmt.Errorf("the probe's verdict %.80q is unknown", v.Verdict)
}

func couldNot(format string, args ...any) Verdict {
	return Verdict{Verdict: CouldNotTry, Detail: fmt.Sprintf(format, args...)}
}
