package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/daemon/record"
	"github.com/brig-engine/brig/internal/daemon/registry"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/objects"
)

// format is the version of data files, tables and indexes that this build's workers make.
const format = 1

// Caller is the part of client.Client that this package needs.
type Caller interface {
	Call(ctx context.Context, op wire.Op, request, reply any, fds ...int) ([]int, error)
	Give(ctx context.Context, op wire.Op, request, reply any, fds ...int) ([]int, error)
}

// Config is what a Store works with.
type Config struct {
	Warden  Caller // starts workers, and removes indexes, which it has mounted
	Objects Caller // brig-store
	Bus     *event.Bus
	// StateDir is brigd's own and survives the machine; records are in its directories images and names.
	StateDir string
	Registry registry.Options
}

// Store holds all images. Images that it hands out are never changed.
type Store struct {
	cfg    Config
	images *record.Store
	names  *record.Store
	jobs   chan struct{} // admits as many layer workers at once as there are processors

	change sync.Mutex   // one change of records at a time
	gate   sync.RWMutex // read: seal and pin; write: remove

	mu      sync.Mutex
	byID    map[string]*Image
	byName  map[string]nameRecord
	holds   map[string]map[string]struct{} // image → containers
	objects map[key]int64                  // what the warden has: size in bytes
	pins    map[key]int                    // needed by operations under way
	refs    map[key]int                    // needed by images
	made    map[string]Layer               // by the digest of the blob; valid while its objects are there
	flights map[string]*flight
	waiting *embedded
}

// key names an object or an index in the warden's store.
type key struct {
	digest string
	index  bool
}

// nameRecord says what one name means. A name moves from one image to another by the replacement of one record.
type nameRecord struct {
	Name  string    `json:"name"` // full reference, with a tag or a digest
	Image string    `json:"image"`
	At    time.Time `json:"at"`
	// Source is the digest of the archive that the engine brought along, for its own image only.
	Source string `json:"source,omitempty"`
}

// Open reads the records and holds them against the warden's store. A record whose objects are gone is dropped; objects
// without a record are removed in the background.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{cfg: cfg, jobs: make(chan struct{}, runtime.NumCPU()),
		byID: map[string]*Image{}, byName: map[string]nameRecord{}, holds: map[string]map[string]struct{}{},
		objects: map[key]int64{}, pins: map[key]int{}, refs: map[key]int{}, made: map[string]Layer{},
		flights: map[string]*flight{}}
	var err error
	if s.images, err = record.Open(filepath.Join(cfg.StateDir, "images")); err != nil {
		return nil, err
	}
	if s.names, err = record.Open(filepath.Join(cfg.StateDir, "names")); err != nil {
		return nil, err
	}
	var list objects.Listing
	if _, err := cfg.Objects.Call(ctx, objects.List, struct{}{}, &list); err != nil {
		return nil, fmt.Errorf("list the store: %w", err)
	}
	for _, o := range list.Objects {
		s.objects[key{o.Digest, false}] = o.Size
	}
	for _, digest := range list.Indexes {
		s.objects[key{digest, true}] = 0
	}
	if err := s.images.Load(s.loadImage); err != nil {
		return nil, err
	}
	if err := s.names.Load(s.loadName); err != nil {
		return nil, err
	}
	for _, img := range s.byID {
		s.rename(img.ID)
	}
	s.finishNaming()
	go func() { // the removal of what a crash has left behind delays nobody
		if err := s.Sweep(context.WithoutCancel(ctx)); err != nil {
			slog.Warn("objects that no image needs stay until the next start", "error", err)
		}
	}()
	return s, nil
}

// loadImage takes one record in, or drops it: an image that is not whole must not be found by anybody.
func (s *Store) loadImage(id string, b []byte) error {
	var img Image
	err := json.Unmarshal(b, &img)
	switch {
	case err != nil:
	case "sha256:"+id != img.ID:
		err = fmt.Errorf("it names %.80q", img.ID)
	case img.Format != format:
		err = fmt.Errorf("it was made by another version (format %d, not %d)", img.Format, format)
	default:
		for k := range img.keys() {
			if _, there := s.objects[k]; !there {
				err = fmt.Errorf("the store lacks %s", k.digest)
			}
		}
	}
	if err != nil {
		slog.Warn("an image is dropped; pull or load it again", "id", id, "reason", err)
		return s.images.Remove(id, false)
	}
	img.Names, img.Digests = nil, nil
	s.add(&img)
	return nil
}

func (s *Store) loadName(id string, b []byte) error {
	var n nameRecord
	if err := json.Unmarshal(b, &n); err != nil || nameID(n.Name) != id || s.byID[n.Image] == nil {
		slog.Warn("the name of an image that is gone is dropped", "name", n.Name)
		return s.names.Remove(id, false)
	}
	s.byName[n.Name] = n
	return nil
}

func nameID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// keys are all objects that an image needs.
func (img *Image) keys() map[key]struct{} {
	set := map[key]struct{}{{img.ID, false}: {}, {img.Manifest, false}: {}, {img.Index, true}: {}}
	for _, l := range img.Layers {
		for _, k := range l.keys() {
			set[k] = struct{}{}
		}
	}
	return set
}

func (l Layer) keys() []key { return []key{{l.Blob, false}, {l.Data, false}, {l.TOC, false}} }

// add makes an image known. The caller holds mu, or is alone.
func (s *Store) add(img *Image) {
	s.byID[img.ID] = img
	for k := range img.keys() {
		s.refs[k]++
	}
	for _, l := range img.Layers {
		s.made[l.Blob] = l
	}
}

// rename gives an image the names that mean it. The caller holds mu, or is alone.
func (s *Store) rename(id string) {
	old := s.byID[id]
	if old == nil {
		return
	}
	img := *old
	img.Names, img.Digests, img.Tagged = nil, nil, time.Time{}
	for name, n := range s.byName {
		if n.Image != id {
			continue
		}
		if isDigest(name) {
			img.Digests = append(img.Digests, name)
		} else {
			img.Names = append(img.Names, name)
		}
		if n.At.After(img.Tagged) {
			img.Tagged = n.At
		}
	}
	slices.Sort(img.Names)
	slices.Sort(img.Digests)
	s.byID[id] = &img
}

func hexOf(digest string) string { return digest[len("sha256:"):] }

// publish sends an event of an image with its labels. id is the image's, or, where Docker has it so, its name.
func (s *Store) publish(a events.Action, id, name string, img *Image) {
	if s.cfg.Bus == nil {
		return
	}
	at := map[string]string{}
	if img != nil {
		maps.Copy(at, img.Config.Config.Labels)
	}
	at["name"] = name
	s.cfg.Bus.Publish(events.ImageEventType, a, id, at)
}
