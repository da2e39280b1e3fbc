package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/damage"
	"github.com/brig-engine/brig/internal/daemon/record"
	"github.com/brig-engine/brig/internal/wire/objects"
)

// Check holds the records and the warden's store against what this store knows. With contents set it reads every object
// and computes its digest; otherwise a size that is wrong is all that tells a damaged one.
func (s *Store) Check(ctx context.Context, contents bool) (found []damage.Damage, checked int, err error) {
	have, unused, err := s.inventory(ctx)
	if err != nil {
		return nil, 0, err
	}
	images := s.all()
	bad := map[key]string{} // why an object is of no use
	for _, img := range images {
		for k := range img.keys() {
			if _, seen := bad[k]; !seen {
				bad[k] = s.judge(ctx, k, img.size(k), have, contents)
			}
		}
	}
	for _, img := range images {
		if d, broken := s.damageOf(img, bad); broken {
			found = append(found, d)
		}
	}
	for _, k := range unused {
		found = append(found, damage.Damage{Kind: "object", Object: k.digest, What: "no image needs it", Next: damage.Repairable,
			Mend: func(ctx context.Context) error {
				s.mu.Lock()
				if _, known := s.objects[k]; !known {
					s.objects[k] = have[k]
				}
				s.mu.Unlock()
				_, err := s.collect(ctx, []key{k})
				if errdefs.IsFailedPrecondition(err) { // the file of an index that was missing, and is there again
					err = nil
				}
				return err
			}})
	}
	more, err := s.checkRecords(images)
	return append(found, more...), len(images), err
}

// inventory is what the warden has, with sizes, and what of that nobody needs.
func (s *Store) inventory(ctx context.Context) (have map[key]int64, unused []key, err error) {
	s.gate.Lock() // nothing is sealed meanwhile
	defer s.gate.Unlock()
	var list objects.Listing
	if _, err := s.cfg.Objects.Call(ctx, objects.List, struct{}{}, &list); err != nil {
		return nil, nil, fmt.Errorf("list the store: %w", err)
	}
	have = map[key]int64{}
	for _, o := range list.Objects {
		have[key{o.Digest, false}] = o.Size
	}
	for _, digest := range list.Indexes {
		have[key{digest, true}] = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range have {
		if s.refs[k] == 0 && s.pins[k] == 0 {
			unused = append(unused, k)
		}
	}
	return have, unused, nil
}

// size is what an object of an image must have, or -1.
func (img *Image) size(k key) int64 {
	switch {
	case k.index:
		return -1
	case k.digest == img.ID:
		return img.ConfigSize
	case k.digest == img.Manifest:
		return img.ManifestSize
	}
	for _, l := range img.Layers {
		switch k.digest {
		case l.Blob:
			return l.BlobSize
		case l.Data:
			return l.DataSize
		}
	}
	return -1
}

// judge says what is wrong with an object, or "".
func (s *Store) judge(ctx context.Context, k key, size int64, have map[key]int64, contents bool) string {
	got, there := have[k]
	switch {
	case !there:
		return "is missing"
	case size >= 0 && got != size:
		return fmt.Sprintf("has %d bytes, not %d", got, size)
	case k.index || !contents:
		return ""
	}
	f, err := s.open(ctx, k.digest)
	if err != nil {
		return "cannot be opened: " + err.Error()
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "cannot be read: " + err.Error()
	}
	if "sha256:"+hex.EncodeToString(h.Sum(nil)) != k.digest {
		return "has another content than its digest says"
	}
	return ""
}

// damageOf is what is wrong with an image. What workers make is made again from the blobs; for a blob, the config and the
// manifest somebody else has to be asked.
func (s *Store) damageOf(img *Image, bad map[key]string) (d damage.Damage, broken bool) {
	var what []string
	again := true
	say := func(kind string, k key, made bool) {
		if bad[k] != "" {
			what = append(what, fmt.Sprintf("%s %.19s %s", kind, k.digest, bad[k]))
			again = again && made
		}
	}
	say("its config", key{img.ID, false}, false)
	say("its manifest", key{img.Manifest, false}, false)
	say("its index", key{img.Index, true}, true)
	for _, l := range img.Layers {
		say("the blob of a layer", key{l.Blob, false}, false)
		say("the data of a layer", key{l.Data, false}, true)
		say("the table of a layer", key{l.TOC, false}, true)
	}
	name := short(img.ID)
	if len(img.Names) > 0 {
		name = familiar(img.Names[0])
	}
	d = damage.Damage{Kind: "image", Object: name, What: strings.Join(what, "; "), Next: damage.Repairable}
	if again {
		d.Mend = func(ctx context.Context) error { return s.remake(ctx, img, bad) }
		return d, len(what) > 0
	}
	from := "brig load it again"
	if len(img.Digests) > 0 {
		from = "brig pull " + familiar(img.Digests[0])
	}
	d.Next = fmt.Sprintf("brig rmi -f %s, then %s; containers of it have to be removed first", name, from)
	return d, len(what) > 0
}

// remake has workers make what is missing or damaged from the blobs.
func (s *Store) remake(ctx context.Context, img *Image, bad map[key]string) error {
	o := s.begin()
	defer o.end()
	if o.existing(img.ID) == nil {
		return fmt.Errorf("the image is gone: %w", errdefs.ErrNotFound)
	}
	if err := s.clear(ctx, img, bad); err != nil {
		return err
	}
	for _, l := range img.Layers {
		if bad[key{l.Data, false}] == "" && bad[key{l.TOC, false}] == "" {
			continue
		}
		made, err := o.unpack(ctx, source{digest: l.Blob, size: l.BlobSize}, func(Event) {})
		if err != nil {
			return err
		}
		if made.Data != l.Data || made.TOC != l.TOC {
			return errors.New("this version makes something else of the layer; remove the image and take it in again")
		}
	}
	again := *img
	if err := o.merge(ctx, &again); err != nil {
		return err
	}
	if again.Index != img.Index {
		return errors.New("this version makes another index of the layers; remove the image and take it in again")
	}
	return nil
}

// clear removes what is in the way: an object that is there already is never replaced, and one that an index needs never
// removed. Containers that run keep what they have mounted.
func (s *Store) clear(ctx context.Context, img *Image, bad map[key]string) error {
	if err := s.remove(ctx, key{img.Index, true}); err != nil {
		return err
	}
	for _, l := range img.Layers {
		for _, k := range []key{{l.Data, false}, {l.TOC, false}} {
			if bad[k] == "" {
				continue
			}
			if err := s.remove(ctx, k); err != nil {
				return fmt.Errorf("another image needs the same file; remove that one first: %w", err)
			}
		}
	}
	return nil
}

// checkRecords holds the records of images and names against what there is.
func (s *Store) checkRecords(images []*Image) (found []damage.Damage, err error) {
	s.change.Lock()
	defer s.change.Unlock()
	recs, names := map[string]any{}, map[string]any{}
	for _, img := range images {
		rec := *img
		rec.Names, rec.Digests, rec.Tagged = nil, nil, time.Time{}
		recs[hexOf(img.ID)] = rec
	}
	s.mu.Lock()
	for n, r := range s.byName {
		names[nameID(n)] = r
	}
	s.mu.Unlock()
	for _, of := range []struct {
		store *record.Store
		all   map[string]any
	}{{s.images, recs}, {s.names, names}} {
		right := map[string]func([]byte) bool{}
		for id, v := range of.all {
			right[id] = record.Exactly(v)
		}
		broken, strangers, err := of.store.Check(right)
		if err != nil {
			return nil, err
		}
		for id, what := range broken {
			object := id[:12]
			if n, ok := of.all[id].(nameRecord); ok {
				object = familiar(n.Name)
			}
			found = append(found, damage.Damage{Kind: "image", Object: object, What: what, Next: damage.Repairable,
				Mend: func(context.Context) error { return of.store.Write(id, of.all[id], true) }})
		}
		for _, path := range strangers {
			found = append(found, damage.Stranger(path))
		}
	}
	slices.SortFunc(found, func(a, b damage.Damage) int { return strings.Compare(a.Object, b.Object) })
	return found, nil
}
