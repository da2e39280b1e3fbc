package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/brig-engine/brig/test/room"
)

// playLimit ends a room whose scripts hang.
const playLimit = 5 * time.Minute

// stage is where scripts are run: rooms with one engine each.
type stage struct {
	dir, bin, client, image string
	peers                   room.Peers
}

// setStage finds what is needed and skips where the machine lacks it.
func setStage(t *testing.T) *stage {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("engines are started, so this runs as root. Next: sudo make test")
	}
	client, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("missing: docker client")
	}
	s := &stage{client: client}
	if s.peers, err = room.FindPeers(); err != nil {
		t.Fatal(err)
	}
	if s.bin, err = filepath.Abs("../../bin"); err != nil {
		t.Fatal(err)
	}
	if s.dir, err = os.MkdirTemp("/var/tmp", "brig-conformance-"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.dir, 0o711); err != nil { // daemons that are not root pass through it
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(s.dir); err != nil {
			t.Errorf("an engine left something that cannot be removed: %v", err)
		}
	})
	s.image = filepath.Join(s.dir, "box.tar")
	if err := os.WriteFile(s.image, boxArchive(t), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// perform runs the scripts in several rooms at once and returns what became of each by its verb.
func (s *stage) perform(t *testing.T, rooms int, scripts []*Script, engine func(group string) room.Engine) map[string]played {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	all := map[string]played{}
	for i := range rooms {
		var part []*Script
		for j, script := range scripts {
			if j%rooms == i {
				part = append(part, script)
			}
		}
		group.Go(func() {
			cgroup := fmt.Sprintf("%s-%d", filepath.Base(s.dir), i)
			e := engine(cgroup)
			results, err := s.oneRoom(t.Context(), e, cgroup, part)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%s: %v", e.Name, err)
			}
			for _, r := range results {
				all[r.Verb] = r
			}
		})
	}
	group.Wait()
	return all
}

// oneRoom runs scripts one after the other against an engine of their own.
func (s *stage) oneRoom(ctx context.Context, e room.Engine, cgroup string, scripts []*Script) (results []played, err error) {
	if _, err := e.Find(s.peers); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, e.Name+cgroup[len(cgroup)-2:])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	groups := []string{cgroup}
	if len(e.Open) > 0 {
		groups = append(groups, room.BrigInstance(room.BrigRoot(dir)))
	}
	defer func() { err = errors.Join(err, room.SweepCgroups(groups...)) }()
	place, err := e.OpenRoom(ctx, s.peers, room.Plan{Dir: dir, Cgroup: cgroup, Host: true})
	if err != nil {
		return nil, err
	}
	defer place.Close()
	defer e.End(place)
	if err := e.Serve(place, dir); err != nil {
		return nil, err
	}
	return s.playIn(place, dir, e.Socket, scripts)
}

// playIn has this program run the scripts inside the room, where the engine's socket and the processes are.
func (s *stage) playIn(place *room.Room, dir, socket string, scripts []*Script) ([]played, error) {
	p := player{Dir: filepath.Join(dir, "play"), Socket: socket, Client: s.client, Image: s.image, Scripts: scripts}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	part, out := filepath.Join(dir, "part.json"), filepath.Join(dir, "played.json")
	if err := os.WriteFile(part, text, 0o644); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a, err := place.Do(room.Job{Op: room.OpKeep, Command: []string{self, playerWord, part}, Log: out, Limit: playLimit})
	if err == nil && a.Status != 0 {
		err = fmt.Errorf("the scripts ended with status %d: %s", a.Status, a.Output)
	}
	results, readErr := readPlayed(out)
	return results, errors.Join(err, readErr)
}

func readPlayed(file string) (results []played, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for in := json.NewDecoder(bytes.NewReader(text)); ; {
		var r played
		if err := in.Decode(&r); errors.Is(err, io.EOF) {
			return results, nil
		} else if err != nil {
			return results, err
		}
		results = append(results, r)
	}
}

// scriptsOf reads testdata. BRIG_VERBS (names with commas) leaves the others out.
func scriptsOf(t *testing.T) (scripts []*Script) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	only := os.Getenv("BRIG_VERBS")
	for _, f := range files {
		verb := strings.TrimSuffix(filepath.Base(f), ".txt")
		if only != "" && !strings.Contains(","+only+",", ","+verb+",") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseScript(verb, string(text))
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, s)
	}
	return scripts
}
