package policy

import (
	"strings"
	"testing"
)

// A2: every container has a bound, the one that was asked for or the engine's, and none that could not be held.
func TestDiskOfAContainer(t *testing.T) {
	able := Disk{Kind: "project quota", Container: 10 << 30, Total: 100 << 30}
	for _, x := range []struct {
		asked string
		host  Disk
		want  int64
		says  string
	}{
		{`{}`, able, 10 << 30, ""},
		{`{"size":"5G"}`, able, 5 << 30, ""},
		{`{"size":"1m"}`, able, 1 << 20, ""},
		{`{"size":"1k"}`, able, 0, "a size of 1m or more is needed"},
		{`{"size":""}`, able, 0, "a size is missing"},
		{`{"size":"-1"}`, able, 0, "a size of 1m or more is needed"},
		{`{"size":"101g"}`, able, 0, "the disk of the engine has 100GiB in all"},
		{`{"size":"5G","inodes":"7"}`, able, 0, "inodes=7: not supported"},
		{`{}`, Disk{Why: "no quota"}, 0, ""},
		{`{"size":"5G"}`, Disk{Why: "no quota"}, 0, "disk space cannot be bounded here: no quota"},
	} {
		r, err := Decode([]byte(`{"Image":"i","HostConfig":{"StorageOpt":` + x.asked + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		host := testHost()
		host.Disk = x.host
		e, err := Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: host, Networks: testNetworks})
		switch {
		case x.says != "" && (err == nil || !strings.Contains(err.Error(), x.says)):
			t.Errorf("%s: %v, want %q", x.asked, err, x.says)
		case x.says == "" && (err != nil || e.Spec.Disk != x.want):
			t.Errorf("%s: %v, %+v", x.asked, err, e)
		}
	}
}
