package container

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/damage"
	"github.com/brig-engine/brig/internal/daemon/record"
	"github.com/brig-engine/brig/internal/wire"
)

// checking is one look at the containers.
type checking struct {
	e     *Engine
	list  wire.ContainerList // what the warden has
	found []damage.Damage
}

func (k *checking) add(object, what, next string, mend func(context.Context) error) {
	k.found = append(k.found, damage.Damage{Kind: "container", Object: object, What: what, Next: next, Mend: mend})
}

// Check holds the records, the logs, and what the warden has, against what this engine knows.
func (e *Engine) Check(ctx context.Context) (found []damage.Damage, checked int, err error) {
	k := &checking{e: e}
	if _, err := e.cfg.Warden.Call(ctx, wire.OpContainerList, nil, &k.list); err != nil {
		return nil, 0, fmt.Errorf("list containers: %w", err)
	}
	e.mu.RLock()
	all := map[string]*Container{}
	for id, c := range e.byID {
		all[id] = c
	}
	e.mu.RUnlock()
	for _, c := range all {
		k.container(c)
	}
	damaged, err := e.durable.Damaged()
	if err != nil {
		return nil, 0, err
	}
	for _, id := range damaged {
		k.add(short(id), "its record cannot be read: its name and its options are lost, its files are not", fmt.Sprintf("copy what is "+
			"needed from %s, then rm -r %s and start the engine again", filepath.Join(e.files(), "containers", id[:min(2, len(id))], id,
			"upper"), e.durable.Path(id)), nil)
	}
	for id := range k.list {
		if all[id] == nil && !slices.Contains(damaged, id) {
			k.add(short(id), "there are files of it, and no record; they are removed", damage.Repairable,
				func(context.Context) error { return e.deleteTraces(id) })
		}
	}
	known := func(name string) bool {
		return len(name) >= 64 && (all[name[:64]] != nil || slices.Contains(damaged, name[:64]))
	}
	for _, dir := range []string{filepath.Join(e.cfg.StateDir, "logs"), filepath.Join(e.cfg.RunDir, "spool")} {
		if err := k.strangers(dir, known); err != nil {
			return nil, 0, err
		}
	}
	return k.found, len(all), k.records(all)
}

func short(id string) string { return id[:min(12, len(id))] }

// container looks at what one container needs.
func (k *checking) container(c *Container) {
	v, e := c.View(), k.e
	if v.State == Removing {
		return
	}
	for _, id := range append([]string{v.ImageID}, v.Images...) {
		if _, err := e.cfg.Images.Lookup(id); errdefs.IsNotFound(err) {
			k.add(v.Name, fmt.Sprintf("the image %.19s is gone, so it cannot be started", id),
				fmt.Sprintf("brig pull it, or load it (the container was made of %s); or brig rm %s", v.Config.Image, v.Name), nil)
		}
	}
	k.tightening(v.Name)
	_, there := k.list[c.id] // a container that does not run is there by its directory
	if ran := !v.Started.IsZero() || v.Touched; ran && !there && v.State != Running && v.State != Restarting {
		k.add(v.Name, "its files are gone; it starts with those of its image again", damage.Repairable, c.anew)
	}
	for _, in := range v.Networks {
		if _, err := e.cfg.Networks.Find(in.ID); err != nil {
			k.add(v.Name, fmt.Sprintf("its network %s is gone, so it cannot be started", in.Name),
				fmt.Sprintf("brig network disconnect %.12s %s", in.ID, v.Name), nil)
		}
	}
	for _, use := range v.Volumes {
		if _, err := e.cfg.Volumes.Get(use.Name); err != nil {
			k.add(v.Name, fmt.Sprintf("its volume %s is gone; a new one is empty", use.Name), damage.Repairable,
				func(ctx context.Context) error { _, err := c.acquire(ctx); return err })
		}
	}
}

// Names that brig tighten --apply gives for a moment (internal/cli/recreate.go): of the container that was, and of the one that
// is to take its place.
const beforeTighten, afterTighten = ".before-tighten", ".after-tighten"

// tightening finds what brig tighten --apply has left, if it was cut off.
func (k *checking) tightening(name string) {
	if of, ok := strings.CutSuffix(name, afterTighten); ok {
		k.add(name, "brig tighten --apply was cut off before it had taken the place of "+of, fmt.Sprintf("brig rm -f -v %s; then brig start %s", name, of), nil)
	}
	of, ok := strings.CutSuffix(name, beforeTighten)
	if !ok {
		return
	}
	if _, err := k.e.Find(of); err == nil {
		k.add(name, "it is what "+of+" was before brig tighten --apply, which was cut off", fmt.Sprintf("brig rm %s, if %s runs as it should; or brig rm -f %s; brig rename %s %s; "+
			"brig start %s", name, of, of, name, of, of), nil)
		return
	}
	k.add(name, "it is "+of+", which brig tighten --apply was making again when it was cut off", fmt.Sprintf("brig rename %s %s; brig start %s", name, of, of), nil)
}

// anew makes a container whose files are gone one that has not run yet, which is what it is.
func (c *Container) anew(context.Context) error {
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	if c.rec.State == Running || c.rec.State == Removing {
		c.mu.Unlock()
		return nil
	}
	c.disarm()
	c.rec.State, c.rec.Started, c.rec.Finished, c.rec.Exit, c.rec.Error = Created, time.Time{}, time.Time{}, wire.Exit{}, ""
	c.rec.Touched = false
	c.mu.Unlock()
	return c.write(true)
}

// records looks at both stores of records, and at those of health.
func (k *checking) records(all map[string]*Container) error {
	e := k.e
	durable, volatile, healthy := map[string]func([]byte) bool{}, map[string]func([]byte) bool{}, map[string]func([]byte) bool{}
	for id, c := range all {
		of := durable
		if c.rec.Host.AutoRemove {
			of = volatile
		}
		of[id] = func(b []byte) bool { // what it says may be a moment old
			var r Record
			return json.Unmarshal(b, &r) == nil && r.ID == id
		}
		healthy[id] = func([]byte) bool { return true }
	}
	for store, right := range map[*record.Store]map[string]func([]byte) bool{e.durable: durable, e.volatile: volatile, e.vitals: healthy} {
		broken, strangers, err := store.Check(right)
		if err != nil {
			return err
		}
		for id, what := range broken {
			if store != e.vitals { // not every container has one
				k.add(all[id].View().Name, what, damage.Repairable, func(context.Context) error { return all[id].write(true) })
			}
		}
		for _, path := range strangers {
			k.found = append(k.found, damage.Stranger(path))
		}
	}
	return nil
}

// strangers finds what is of no container.
func (k *checking) strangers(dir string, known func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, x := range entries {
		if !known(x.Name()) {
			k.found = append(k.found, damage.Stranger(filepath.Join(dir, x.Name())))
		}
	}
	return nil
}

// files is where those of containers are, for people: below the engine's directory, or in the image that its keeper has mounted
// and nobody else sees.
func (e *Engine) files() string {
	root := filepath.Dir(e.cfg.StateDir)
	if e.cfg.Host.Disk.Kind != "btrfs image" {
		return root
	}
	return fmt.Sprintf("/proc/$(cut -d' ' -f1 %s)/root%s/disk", filepath.Join(filepath.Dir(e.cfg.RunDir), "keeper.pid"), root)
}
