package clients

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// playLimit ends a scenario that hangs.
const playLimit = 3 * time.Minute

// scenario is one client's program, made ready to run.
type scenario struct {
	name    string
	command []string
	env     []string
}

// TestClientsFindTheSameInBrigAndDockerd plays every scenario against both engines.
func TestClientsFindTheSameInBrigAndDockerd(t *testing.T) {
	if os.Getenv("BRIG_SLOW") == "" {
		t.Skip("missing: the slow lane (make test-all)")
	}
	if os.Getuid() != 0 {
		t.Fatal("engines are started, so this runs as root. Next: sudo make test-all")
	}
	s := setStage(t)
	reports := map[string]map[string]Report{"brig": {}, "docker.io": {}}
	t.Run("engines", func(t *testing.T) {
		t.Run("brig", func(t *testing.T) {
			t.Parallel()
			e := room.Brig(s.bin)
			s.playAll(t, e, []string{e.Program, "--host", "unix://" + e.Socket}, reports[e.Name])
		})
		t.Run("docker.io", func(t *testing.T) {
			t.Parallel()
			e := room.DockerIO(s.group("docker.io"))
			s.findOrUnpack(t, e)
			s.playAll(t, e, []string{"docker"}, reports[e.Name])
		})
	})
	for _, c := range s.scenarios {
		ours, theirs := reports["brig"][c.name].Passed, reports["docker.io"][c.name].Passed
		if len(theirs) > 0 && !slices.Equal(ours, theirs) {
			t.Errorf("%s: the two engines do not earn the same lines", c.name)
		}
	}
}

// stage is what both engines are given.
type stage struct {
	dir, bin, archive string
	peers             room.Peers
	scenarios         []scenario
}

func setStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{}
	var err error
	if s.peers, err = room.FindPeers(); err != nil {
		t.Fatal(err)
	}
	if s.bin, err = filepath.Abs("../../../bin"); err != nil {
		t.Fatal(err)
	}
	if s.dir, err = os.MkdirTemp("/var/tmp", "brig-clients-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("an engine left something that cannot be removed: %v", err)
		}
	})
	if err := os.Chmod(s.dir, 0o711); err != nil { // daemons that are not root pass through it
		t.Fatal(err)
	}
	s.archive = filepath.Join(s.dir, "box.tar")
	if err := os.WriteFile(s.archive, boxArchive(t), 0o644); err != nil {
		t.Fatal(err)
	}
	wanted := os.Getenv("BRIG_CLIENTS") // names with commas; empty: all
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir string) scenario
	}{
		{"compose", compose}, {"docker-py", dockerPy}, {"testcontainers", testcontainers}, {"dockerode", dockerode},
	} {
		if wanted == "" || slices.Contains(strings.Split(wanted, ","), c.name) {
			begin := time.Now()
			made := c.make(t, filepath.Join(s.dir, c.name))
			made.name = c.name
			s.scenarios = append(s.scenarios, made)
			t.Logf("%s is there after %s", c.name, time.Since(begin).Round(time.Second))
		}
	}
	return s
}

// group is the control group of an engine's room.
func (s *stage) group(engine string) string { return filepath.Base(s.dir) + "-" + engine }

// findOrUnpack fetches the distribution's engine where that is possible, without installing it.
func (s *stage) findOrUnpack(t *testing.T, e room.Engine) {
	t.Helper()
	if _, err := e.Find(s.peers); err == nil {
		return
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("missing: docker engine")
	}
	if err := s.peers.Unpack(t.Context(), "docker.io"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Find(s.peers); err != nil {
		t.Fatal(err)
	}
}

// playAll runs the scenarios one after the other in a room with a new engine. client speaks to it from the command line.
func (s *stage) playAll(t *testing.T, e room.Engine, client []string, reports map[string]Report) {
	dir := filepath.Join(s.dir, e.Name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	groups := []string{s.group(e.Name)}
	if len(e.Open) > 0 {
		groups = append(groups, room.BrigInstance(room.BrigRoot(dir)))
	}
	defer func() {
		if err := room.SweepCgroups(groups...); err != nil {
			t.Error(err)
		}
	}()
	place, err := e.OpenRoom(t.Context(), s.peers, room.Plan{Dir: dir, Cgroup: groups[0], Host: true})
	if err != nil {
		t.Fatal(err)
	}
	defer place.Close()
	defer e.End(place)
	if err := e.Serve(place, dir); err != nil {
		t.Fatal(err)
	}
	load := append(slices.Clone(client), "load", "-i", s.archive)
	if _, err := place.Do(room.Job{Op: room.OpTime, Command: load}); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.scenarios {
		t.Run(c.name, func(t *testing.T) { reports[c.name] = s.play(t, place, e, dir, c) })
	}
}

// play runs one scenario and says what it earned.
func (s *stage) play(t *testing.T, place *room.Room, e room.Engine, dir string, c scenario) Report {
	t.Helper()
	out := filepath.Join(dir, c.name+".tap")
	command := append([]string{"env", "DOCKER_HOST=unix://" + e.Socket, "BOX=" + s.archive}, c.env...)
	begin := time.Now()
	a, err := place.Do(room.Job{Op: room.OpKeep, Command: append(command, c.command...), Log: out, Limit: playLimit})
	text, readErr := os.ReadFile(out)
	r, tapErr := ReadReport(string(text))
	if err = errors.Join(err, readErr, tapErr); err != nil || a.Status != 0 {
		t.Errorf("status %d: %v\n%s", a.Status, err, a.Output)
	}
	if tapErr != nil && len(r.Passed) > 0 {
		t.Errorf("the last that passed: %s", r.Passed[len(r.Passed)-1])
	}
	for _, failed := range r.Failed {
		t.Error(failed)
	}
	t.Logf("%d of %d in %s", len(r.Passed), len(r.Passed)+len(r.Failed), time.Since(begin).Round(time.Second/10))
	return r
}
