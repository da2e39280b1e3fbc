package volume

import (
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// A2: a size bounds a volume of the engine's own, and nothing else; where nothing can be bounded it is refused.
func TestSizeOfAVolume(t *testing.T) {
	for _, x := range []struct {
		options map[string]string
		size    int64
		fails   bool
	}{
		{nil, 0, false},
		{map[string]string{"size": "10m"}, 10 << 20, false},
		{map[string]string{"size": "1k"}, 0, true},
		{map[string]string{"size": ""}, 0, true},
		{map[string]string{"size": "10m", "type": "none", "o": "bind", "device": "/srv"}, 0, true},
	} {
		_, size, err := ParseOptions(x.options)
		if size != x.size || errdefs.IsInvalidArgument(err) != x.fails {
			t.Errorf("%v: %d, %v", x.options, size, err)
		}
	}
	bounded, unbounded := &Store{Disk: Disk{Volume: 7, Total: 100}}, &Store{Disk: Disk{Volume: 7, Unbounded: "no quota"}}
	for _, x := range []struct {
		store *Store
		asked int64
		want  int64
		fails bool
	}{{bounded, 0, 7, false}, {bounded, 50, 50, false}, {bounded, 101, 0, true}, {unbounded, 0, 0, false}, {unbounded, 50, 0, true}} {
		if got, err := x.store.bound(x.asked); got != x.want || (err != nil) != x.fails {
			t.Errorf("%+v, asked for %d: %d, %v", x.store.Disk, x.asked, got, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, x := range []struct {
		kind, o, device string
		want            *Place
		refusal         string
	}{
		{"none", "bind", "/srv/data", &Place{Path: "/srv/data"}, ""},
		{"bind", "rbind,ro", "/srv//data/", &Place{Path: "/srv/data", Recursive: true, ReadOnly: true}, ""},
		{"", "rw,bind,rprivate", "/a", &Place{Path: "/a"}, ""},
		{"none", "", "/a", nil, "without bind"},
		{"none", "bind", "", nil, "absolute"},
		{"none", "bind", "data", nil, "absolute"},
		{"none", "bind", "/a/../b", nil, "without .."},
		{"none", "bind", "/a\x00b", nil, "absolute"},
		{"none", "bind,shared", "/a", nil, "o=shared"},
		{"tmpfs", "size=1m", "tmpfs", nil, "--tmpfs"},
		{"nfs", "addr=192.0.2.1", ":/a", nil, "network file system"},
		{"ext4", "", "/dev/sda1", nil, "mount it on the host"},
	} {
		got, _, err := ParseOptions(map[string]string{"type": x.kind, "o": x.o, "device": x.device})
		if !reflect.DeepEqual(got, x.want) || (x.refusal == "") != (err == nil) ||
			err != nil && !strings.Contains(err.Error(), x.refusal) {
			t.Errorf("%+v: %+v, %v", x, got, err)
		}
	}
	if p, _, err := ParseOptions(nil); p != nil || err != nil {
		t.Errorf("none: %v, %v", p, err)
	}
	if _, _, err := ParseOptions(map[string]string{"uid": "1"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("an unknown one: %v", err)
	}
}
