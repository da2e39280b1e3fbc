// Command confinement looks at what a container with an engine's defaults is left with, for Brig and the engines that people
// know, and writes what it found as a page: docs/confinement.md.
//
//	confinement [-bin DIR] [-write FILE] [-only NAME,NAME] [-dir DIR] [-install]
//
// Each engine lives in a room of its own (test/room) with nothing but its defaults. A program in the container counts what it
// can open and could write; from outside the kernel is asked for the container's capabilities, namespaces and ids, and for its
// system-call filters, which are followed instruction by instruction for every call that the kernel has.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/brig-engine/brig/test/room"
)

func main() {
	room.Main()
	var stage room.Stage
	stage.Flags("docs/confinement.md")
	socket := flag.String("measure", "", "look at a container of the engine at this socket (this program, inside a room)")
	level := flag.String("level", "", "Brig's level of that container")
	flag.Parse()
	room.Play("confinement", func(ctx context.Context) (err error) {
		if *socket != "" {
			return lookInside(ctx, *socket, stage.Bin, *level)
		}
		strike, err := stage.Set(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, strike()) }()
		p := &page{command: strings.Join(append([]string{"go run ./test/confinement"}, os.Args[1:]...), " "), machine: room.ThisMachine(),
			date: time.Now()}
		if err := p.fill(ctx, &stage); err != nil {
			return err
		}
		if err := p.hold(); err != nil {
			return errors.Join(err, stage.Publish(p.markdown()))
		}
		return stage.Publish(p.markdown())
	})
}

// lookInside is the part of this program that runs in a room.
func lookInside(ctx context.Context, socket, bin, level string) error {
	user, annotations := "", map[string]string(nil)
	if level != "" {
		annotations = map[string]string{"brig.level": level}
	}
	if level == "strict" { // which has no root
		user = "1000:1000"
	}
	return measure(ctx, socket, filepath.Join(bin, "brig-probe"), user, annotations, os.Stdout)
}

// subject is one column: an engine, or one of Brig's levels.
type subject struct {
	engine room.Engine
	level  string
}

func (s *subject) name() string {
	if s.level != "" {
		return s.engine.Name + " " + s.level
	}
	return s.engine.Name
}

// fill looks at one engine after the other. One that fails is a column that says so.
func (p *page) fill(ctx context.Context, stage *room.Stage) error {
	group := filepath.Base(stage.Dir)
	brig := room.Brig(stage.Bin)
	subjects := []subject{{engine: brig}, {engine: brig, level: "strict"}, {engine: brig, level: "compat"}, {engine: room.DockerIO(group)}, {engine: room.Moby(group)}, {engine: room.Podman()}}
	groups, foreign, docker := []string{group}, []string{}, ""
	for i, s := range subjects {
		if !stage.Wanted(s.engine.Name) {
			continue
		}
		if file, err := s.engine.Find(stage.Peers); s.engine.Newest && (err != nil || file == docker) {
			continue // there is no newer one than the distribution's
		} else if err == nil && s.engine.Program == "dockerd" {
			docker = file
		}
		dir := filepath.Join(stage.Dir, fmt.Sprint(i))
		foreign = append(foreign, room.Missing(s.engine.Groups)...)
		if len(s.engine.Open) > 0 {
			groups = append(groups, room.BrigInstance(room.BrigRoot(dir)))
		}
		room.Note("looking at %s", s.name())
		r := &result{name: s.name()}
		if err := s.look(ctx, stage, dir, r); err != nil {
			room.Note("%s drops out: %v", s.name(), err)
			r.failure = strings.NewReplacer(dir, "DIR", stage.Dir, "TMP").Replace(room.FirstLine(err.Error()))
		}
		p.results = append(p.results, r)
	}
	return errors.Join(ctx.Err(), room.SweepCgroups(foreign...), room.SweepCgroups(groups...))
}

// look opens the engine's room, starts it, looks at a container, and closes the room with all that is in it.
func (s *subject) look(ctx context.Context, stage *room.Stage, dir string, r *result) error {
	file, err := s.engine.Find(stage.Peers)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	place, err := s.engine.OpenRoom(ctx, stage.Peers, room.Plan{Dir: dir, Cgroup: filepath.Base(stage.Dir), Host: true})
	if err != nil {
		return err
	}
	defer place.Close()
	defer s.engine.End(place)
	if r.version, err = s.engine.Version(place, file); err != nil {
		return err
	}
	if err := s.engine.Serve(place, dir); err != nil {
		return err
	}
	if s.level == "compat" { // which only a policy can allow
		if err := allowCompat(place, stage, dir); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out := filepath.Join(dir, "confinement.json")
	a, err := place.Do(room.Job{Op: room.OpKeep, Log: out, Limit: 2 * measurePatience, Command: []string{self, "-bin", stage.Bin,
		"-measure", s.engine.Socket, "-level", s.level}})
	if err != nil {
		return err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	if a.Status != 0 {
		return fmt.Errorf("the look ended with status %d: %s%s", a.Status, a.Output, text)
	}
	return json.Unmarshal(text, &r.confinement)
}

func allowCompat(place *room.Room, stage *room.Stage, dir string) error {
	file := filepath.Join(dir, "policy.toml")
	if err := os.WriteFile(file, []byte("[[allow]]\nusers = [0]\nlevels = [\"compat\"]\n"), 0o600); err != nil {
		return err
	}
	a, err := place.Do(room.Job{Op: room.OpTime, Command: []string{filepath.Join(stage.Bin, "brig"), "policy", "apply", "--root", room.BrigRoot(dir), file}})
	if err == nil && a.Status != 0 {
		err = fmt.Errorf("policy apply ended with status %d: %s", a.Status, a.Output)
	}
	return err
}
