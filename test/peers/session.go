package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/brig-engine/brig/internal/drill"
	"github.com/brig-engine/brig/test/room"
)

// drillLimit ends a drill that hangs.
const drillLimit = 10 * time.Minute

// session is one run.
type session struct {
	bin, dir string
	peers    room.Peers
	probes   string
}

// result is what became of one engine.
type result struct {
	name    string
	version string
	also    []string      // versions of what it is made of
	report  *drill.Report // nil: not drilled
	failure string        // why not
	took    time.Duration
}

// engines lists who is drilled, in the order of the columns.
func (s *session) engines() []room.Engine {
	group := filepath.Base(s.dir)
	return []room.Engine{room.Brig(s.bin), room.DockerIO(group), room.Moby(group), room.Podman()}
}

// page drills one engine after the other. One that fails is a column that says so; only an interruption is an error.
func (s *session) page(ctx context.Context, wanted func(string) bool) (p *page, err error) {
	command := strings.Join(append([]string{"go run ./test/peers"}, os.Args[1:]...), " ")
	p = &page{command: command, machine: room.ThisMachine(), modules: room.Modules(), date: time.Now(),
		probes: byAttack(drill.Catalogue())}
	groups, foreign := []string{filepath.Base(s.dir)}, []string{}
	for i, e := range s.engines() {
		if !wanted(e.Name) {
			continue
		}
		dir := filepath.Join(s.dir, fmt.Sprint(i))
		foreign = append(foreign, room.Missing(e.Groups)...)
		if len(e.Open) > 0 {
			groups = append(groups, room.BrigInstance(room.BrigRoot(dir)))
		}
		room.Note("drilling %s", e.Name)
		r := &result{name: e.Name}
		begin := time.Now()
		if err := s.drill(ctx, e, dir, r); err != nil {
			room.Note("%s drops out: %v", e.Name, err)
			hide := strings.NewReplacer(dir, "DIR", s.dir, "TMP")
			r.failure = hide.Replace(room.FirstLine(err.Error()))
		}
		r.took = time.Since(begin)
		p.results = append(p.results, r)
		if ctx.Err() != nil {
			break
		}
	}
	if err := room.SweepCgroups(foreign...); err != nil { // somebody else may have begun to use them
		room.Note("%v", err)
	}
	return p, errors.Join(ctx.Err(), room.SweepCgroups(groups...))
}

// byAttack orders for people; the catalogue's own order is that of running.
func byAttack(probes []drill.Probe) []drill.Probe {
	slices.SortStableFunc(probes, func(a, b drill.Probe) int { return strings.Compare(string(a.Class), string(b.Class)) })
	return probes
}

// drill opens the engine's room, starts it, drills it, and closes the room with all that is in it.
func (s *session) drill(ctx context.Context, e room.Engine, dir string, r *result) error {
	file, err := e.Find(s.peers)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	place, err := e.OpenRoom(ctx, s.peers, room.Plan{Dir: dir, Cgroup: filepath.Base(s.dir), Host: true})
	if err != nil {
		return err
	}
	defer place.Close()
	defer e.End(place)
	if r.version, err = e.Version(place, file); err != nil {
		return err
	}
	if err := e.Serve(place, dir); err != nil {
		return err
	}
	for _, part := range e.Parts {
		if v, err := e.PartVersion(place, s.peers, part); err == nil {
			r.also = append(r.also, filepath.Base(part)+" "+v)
		}
	}
	out := filepath.Join(dir, "report")
	a, err := place.Do(room.Job{Op: room.OpKeep, Log: out, Limit: drillLimit, Command: []string{
		filepath.Join(s.bin, "brig"), "drill", "--engine", e.Socket, "--format", "json", "--only", s.probes}})
	if err != nil {
		return err
	}
	if a.Status > 1 {
		return fmt.Errorf("the drill ended with status %d: %s", a.Status, a.Output)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	var reports []*drill.Report
	if err := json.Unmarshal(text, &reports); err != nil || len(reports) != 1 {
		return fmt.Errorf("the drill's report cannot be read: %v", err)
	}
	r.report = reports[0]
	return nil
}
