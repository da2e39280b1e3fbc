package volume

import (
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

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
		got, err := ParseOptions(map[string]string{"type": x.kind, "o": x.o, "device": x.device})
		if !reflect.DeepEqual(got, x.want) || (x.refusal == "") != (err == nil) ||
			err != nil && !strings.Contains(err.Error(), x.refusal) {
			t.Errorf("%+v: %+v, %v", x, got, err)
		}
	}
	if p, err := ParseOptions(nil); p != nil || err != nil {
		t.Errorf("none: %v, %v", p, err)
	}
	if _, err := ParseOptions(map[string]string{"uid": "1"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("an unknown one: %v", err)
	}
}
