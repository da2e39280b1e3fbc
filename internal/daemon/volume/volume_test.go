package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/daemon/event"
	"github.com/brig-engine/brig/internal/wire"
)

// fakeWarden has volumes and can fail.
type fakeWarden struct {
	mu    sync.Mutex
	names map[string]bool
	made  int
	fail  error
}

func (f *fakeWarden) Call(_ context.Context, op wire.Op, request, reply any, _ ...int) ([]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op == wire.OpVolumeList {
		for n := range f.names {
			list := reply.(*wire.VolumeList)
			*list = append(*list, n)
		}
		return nil, nil
	}
	if f.fail != nil {
		return nil, f.fail
	}
	name := request.(wire.VolumeRef).Name
	if op == wire.OpVolumeCreate {
		f.made++
		f.names[name] = true
	} else {
		delete(f.names, name)
	}
	return nil, nil
}

func names(s *Store) (out []string) {
	all, _ := s.List()
	for _, v := range all {
		out = append(out, v.Name)
	}
	return out
}

func TestAVolumeOutlivesTheDaemonAndIsNotRemovedWhileHeld(t *testing.T) {
	ctx, dir, w := context.Background(), t.TempDir(), &fakeWarden{names: map[string]bool{}}
	s, err := Open(ctx, dir, w, &event.Bus{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ensure(ctx, Volume{Name: "data", Labels: map[string]string{"a": "b"}}, "c1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ctx, "data"); !errdefs.IsConflict(err) {
		t.Errorf("removing a held volume: %v", err)
	}
	s.Release("data", "c1")
	if s, err = Open(ctx, dir, w, &event.Bus{}); err != nil {
		t.Fatal(err)
	}
	v, err := s.Get("data")
	if err != nil || v.Labels["a"] != "b" || v.Created.IsZero() {
		t.Errorf("after a restart: %+v, %v", v, err)
	}
	w.fail = errors.New("busy")
	if err := s.Remove(ctx, "data"); !errors.Is(err, w.fail) || !slices.Equal(names(s), []string{"data"}) {
		t.Errorf("a removal that failed: %v, left %v", err, names(s))
	}
	w.fail = nil
	if err := s.Remove(ctx, "data"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ctx, "data"); !errdefs.IsNotFound(err) {
		t.Errorf("removing it twice: %v", err)
	}
}

func TestRecordsAndBytesAreMadeToAgree(t *testing.T) {
	ctx, dir, w := context.Background(), t.TempDir(), &fakeWarden{names: map[string]bool{}}
	s, err := Open(ctx, dir, w, &event.Bus{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ensure(ctx, Volume{Name: "lost"}, ""); err != nil {
		t.Fatal(err)
	}
	w.names = map[string]bool{"found": true}
	if s, err = Open(ctx, dir, w, &event.Bus{}); err != nil {
		t.Fatal(err)
	}
	if got := names(s); !slices.Equal(got, []string{"found"}) {
		t.Errorf("volumes %v", got)
	}
}

func TestOneVolumeIsMadeOnce(t *testing.T) {
	ctx, w := context.Background(), &fakeWarden{names: map[string]bool{}}
	s, err := Open(ctx, t.TempDir(), w, &event.Bus{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, _, err := s.Ensure(ctx, Volume{Name: "same"}, "c"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if w.made != 1 {
		t.Errorf("made %d times", w.made)
	}
}

func TestNamesAreNeverPaths(t *testing.T) {
	for n, ok := range map[string]bool{"ab": true, "a.b_c-9": true, "": false, "a": false, ".a": false, "a/b": false,
		"..":     false,
		"a\x00b": false, "ä1": false, strings.Repeat("x", 256): false} {
		if (CheckName(n) == nil) != ok {
			t.Errorf("%q: %v", n, CheckName(n))
		}
	}
}

// TestAFullDiskKeepsTheOldAndMakesNothingNew: a volume that cannot be recorded is taken back; one that was there is kept,
// and does not keep the engine from starting. The device that is always full stands for the disk.
func TestAFullDiskKeepsTheOldAndMakesNothingNew(t *testing.T) {
	ctx, dir, w := context.Background(), t.TempDir(), &fakeWarden{names: map[string]bool{}}
	s, err := Open(ctx, dir, w, &event.Bus{})
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(dir, "fresh")
	if err := errors.Join(os.Mkdir(fresh, 0o700), os.Symlink("/dev/full", filepath.Join(fresh, "record.tmp"))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ensure(ctx, Volume{Name: "fresh"}, ""); !errdefs.IsResourceExhausted(err) {
		t.Errorf("made: %v", err)
	}
	if w.made != 1 || len(w.names) != 0 || len(names(s)) != 0 {
		t.Errorf("made %d, the warden has %v, known are %v", w.made, w.names, names(s))
	}
	long := strings.Repeat("x", 256) // what no file can be called cannot be recorded either
	w.names[long] = true
	if s, err = Open(ctx, dir, w, &event.Bus{}); err != nil {
		t.Fatal(err)
	}
	if got := names(s); !slices.Equal(got, []string{long}) {
		t.Errorf("volumes %v", got)
	}
}
