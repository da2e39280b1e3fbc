package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Options of a drill.
type Options struct {
	// Program is the path of the brig-probe binary on the host.
	Program string
	// Outside allows probes that send packets to addresses which are not the drill's (the metadata service).
	Outside bool
	// MemoryHog is how many bytes the memory hog may take at most; 0: half of what is available, 1 GiB at most.
	MemoryHog int64
	// Forks is how many processes the fork bomb makes at most; 0: 4,000.
	Forks int
	// Slow, if not 0, is by how much the machine is slower than one is: the bounds of time are multiplied by it. It is for
	// emulated machines.
	Slow int
	// Only, if not empty, names the probes to run.
	Only []string
	// Progress, if not nil, is told of each probe before it runs.
	Progress func(Probe)
}

// Report is what a drill found out about one engine.
type Report struct {
	Engine   string    `json:"engine"`
	Verdicts []Verdict `json:"verdicts"`
	// StartMS are the times, in milliseconds, from the create request to the reported exit of a container that does
	// nothing.
	StartMS []float64 `json:"start_ms"`
}

// StartMedian is the median of StartMS, 0 if none could be measured.
func (r *Report) StartMedian() float64 {
	if len(r.StartMS) == 0 {
		return 0
	}
	sorted := slices.Clone(r.StartMS)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

const (
	probeDeadline = 40 * time.Second
	secretName    = "BRIG_SECRET"
	servePort     = 8080
	timedStarts   = 7
)

// run is one drill against one engine: the canaries, and whoever is there to be attacked.
type run struct {
	ctx     context.Context
	engine  Engine
	options Options
	program []byte
	probe   Probe    // the one that is being tried
	loaded  []string // images to take away again
	starts  bool     // the engine was seen to start a container during this probe

	dir       *hostDir
	disk      *disk
	diskErr   error
	world     *world
	worldErr  error
	port      *hostPort
	network   string // path of the host's network namespace
	secret    token
	neighbour Box
	near      Info  // of the neighbour
	nearErr   error // why there is no neighbour
	calm      *calmness
	door      string // where the neighbour is asked
}

// Run drills one engine. An error means that the drill itself could not run; whatever the engine does is in the report.
// Everything that was planted, started and loaded is removed before Run returns, also when ctx ends early.
func Run(ctx context.Context, engine Engine, options Options) (*Report, error) {
	program, err := os.ReadFile(options.Program)
	if err != nil {
		return nil, fmt.Errorf("read the probe program: %w", err)
	}
	r := &run{ctx: ctx, engine: engine, options: options, program: program, secret: newToken(), calm: &calmness{}}
	defer r.sweep()
	if err := r.plant(); err != nil {
		return nil, err
	}
	report := &Report{Engine: engine.Name(), StartMS: r.timeStarts()}
	for _, p := range options.Selected() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if options.Progress != nil {
			options.Progress(p)
		}
		report.Verdicts = append(report.Verdicts, r.one(p))
	}
	return report, nil
}

// Selected are the probes to run.
func (o Options) Selected() []Probe {
	return slices.DeleteFunc(Catalogue(), func(p Probe) bool {
		return len(o.Only) > 0 && !slices.Contains(o.Only, p.ID) || p.Needs&NeedOutside != 0 && !o.Outside
	})
}

// one runs a probe under its deadline, unless something that it needs is missing.
func (r *run) one(p Probe) Verdict {
	begin := time.Now()
	v := r.missing(p)
	if v.Verdict == "" {
		ctx, cancel := context.WithTimeout(r.ctx, probeDeadline*time.Duration(r.slow()))
		q := *r
		q.ctx, q.probe = ctx, p
		v = p.try(&q)
		r.neighbour, r.nearErr = q.neighbour, q.nearErr
		cancel()
	}
	if v.Verdict == lookOutside {
		v = couldNot("nobody looked what %s did", p.ID)
	}
	v.Probe, v.Attack = p.ID, p.Class
	v.DurationMS = float64(time.Since(begin).Microseconds()) / 1000
	return v
}

func (r *run) missing(p Probe) Verdict {
	switch {
	case p.Needs&NeedRoot != 0 && os.Geteuid() != 0:
		return couldNot("needs the drill to run as root")
	case p.Needs&NeedDisk != 0 && r.disk == nil:
		return couldNot("no canary disk: %v", r.diskErr)
	case p.Needs&NeedWorld != 0 && r.world == nil:
		return couldNot("no canary network: %v", r.worldErr)
	case p.Needs&NeedNeighbour != 0 && r.neighbour == nil:
		return couldNot("no neighbour: %v", r.nearErr)
	}
	return Verdict{}
}

// plant makes the canaries, loads the image and starts the neighbour. What only some probes need may be missing.
func (r *run) plant() error {
	var err error
	if r.dir, err = plantDir(); err != nil {
		return fmt.Errorf("plant a canary directory: %w", err)
	}
	if r.network, err = r.engine.Network(r.ctx); err != nil {
		return fmt.Errorf("find the engine's network: %w", err)
	}
	if os.Geteuid() != 0 {
		r.network = "" // it could not be entered; for all but containers it is the drill's own anyway
	}
	var needs Need
	for _, p := range r.options.Selected() {
		needs |= p.Needs
	}
	if needs&NeedPort != 0 {
		if r.port, err = plantPort(r.network); err != nil {
			return fmt.Errorf("plant a canary port: %w", err)
		}
	}
	r.diskErr, r.worldErr = errors.New("not root"), errors.New("not root")
	if needs&NeedDisk != 0 && os.Geteuid() == 0 {
		r.disk, r.diskErr = plantDisk("")
	}
	if needs&NeedWorld != 0 && os.Geteuid() == 0 {
		r.world, r.worldErr = plantWorld(r.network)
	}
	have, err := r.engine.HasImage(r.ctx, ImageName)
	if err != nil {
		return fmt.Errorf("ask %s for the image: %w", r.engine.Name(), err)
	}
	if !have {
		if err := r.engine.Load(r.ctx, bytes.NewReader(ImageTar(r.program))); err != nil {
			return fmt.Errorf("load the drill's image into %s: %w", r.engine.Name(), err)
		}
		r.loaded = append(r.loaded, ImageName)
	}
	if needs&NeedNeighbour != 0 {
		r.meetNeighbour()
	}
	return nil
}

// meetNeighbour starts the container that is attacked: it has a secret and serves requests.
func (r *run) meetNeighbour() {
	box, err := r.engine.Start(r.ctx, Spec{Image: ImageName, Args: []string{"/bin/brig-probe", "hold", secretName,
		fmt.Sprint(servePort)}, Env: []string{secretName + "=" + string(r.secret)}, Publish: servePort})
	if err != nil {
		r.nearErr = err
		return
	}
	if r.near, err = box.Info(r.ctx); err != nil {
		r.nearErr = err
		box.Remove(r.ctx)
		return
	}
	r.neighbour, r.door = box, r.served()
}

// sweep removes everything, with a deadline of its own: the drill may have been interrupted.
func (r *run) sweep() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 20*time.Second)
	defer cancel()
	if r.neighbour != nil {
		r.neighbour.Remove(ctx)
	}
	for _, image := range r.loaded {
		r.engine.Unload(ctx, image)
	}
	if r.world != nil {
		r.world.remove()
	}
	if r.port != nil {
		r.port.remove()
	}
	if r.disk != nil {
		r.disk.remove()
	}
	if r.dir != nil {
		r.dir.remove()
	}
}

// timeStarts measures containers that do nothing, one after the other.
func (r *run) timeStarts() []float64 {
	var times []float64
	for range timedStarts {
		begin := time.Now()
		box, err := r.engine.Start(r.ctx, Spec{Image: ImageName, Args: []string{"/bin/true"}})
		if err != nil {
			return times
		}
		status, err := box.Wait(r.ctx)
		took := time.Since(begin)
		box.Remove(r.ctx)
		if err != nil || status != 0 {
			return times
		}
		times = append(times, float64(took.Microseconds())/1000)
	}
	return times
}

// attack runs one probe as the program of a container of its own and returns what it printed.
func (r *run) attack(spec Spec) Verdict {
	box, err := r.start(spec)
	if err != nil {
		return couldNot("%v", err)
	}
	defer r.remove(box)
	return r.outcome(box)
}

// start starts an attacker, from the drill's own image unless spec names another.
func (r *run) start(spec Spec) (Box, error) {
	if spec.Image == "" {
		spec.Image = ImageName
	}
	box, err := r.engine.Start(r.ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("start the attacker: %w", err)
	}
	return box, nil
}

func (r *run) outcome(box Box) Verdict {
	status, err := box.Wait(r.ctx)
	if err != nil {
		return couldNot("wait for the attacker: %v", err)
	}
	out, err := box.Output(r.ctx)
	if err != nil {
		return couldNot("read the attacker's output: %v", err)
	}
	v, err := parseVerdict(out)
	if err != nil {
		return couldNot("%v (exit status %d)", err, status)
	}
	return v
}

func (r *run) remove(box Box) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 15*time.Second)
	defer cancel()
	box.Remove(ctx)
}

func probeArgs(args ...string) []string { return append([]string{"/bin/brig-probe"}, args...) }

// inside is a probe that sees for itself whether it succeeded.
func inside(args ...string) func(*run) Verdict {
	return func(r *run) Verdict { return r.attack(Spec{Args: probeArgs(append([]string{r.probe.ID}, args...)...)}) }
}
