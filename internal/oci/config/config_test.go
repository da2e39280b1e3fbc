package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestMountOptions(t *testing.T) {
	for options, want := range map[string]Mount{
		"ro,nosuid":          {Set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID},
		"ro,rw":              {Clear: unix.MOUNT_ATTR_RDONLY},
		"noexec,exec":        {Clear: unix.MOUNT_ATTR_NOEXEC},
		"noatime":            {Set: unix.MOUNT_ATTR_NOATIME, Clear: unix.MOUNT_ATTR__ATIME},
		"noatime,relatime":   {Clear: unix.MOUNT_ATTR__ATIME},
		"mode=755,size=1m":   {Data: []string{"mode=755", "size=1m"}},
		"sync":               {Data: []string{"sync"}},
		"tmpcopyup":          {CopyUp: true},
		"defaults,async":     {},
		"rnosymfollow,nodev": {AllSet: unix.MOUNT_ATTR_NOSYMFOLLOW, Set: unix.MOUNT_ATTR_NODEV},
		"slave,rshared":      {Propagation: []Spread{{unix.MS_SLAVE, false}, {unix.MS_SHARED, true}}},
	} {
		m, err := ParseMount(&specs.Mount{Destination: "x/../mnt", Type: "tmpfs", Source: "tmpfs", Options: strings.Split(options, ",")})
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		want.Target, want.Type, want.Source = "/mnt", "tmpfs", "tmpfs"
		if !reflect.DeepEqual(*m, want) {
			t.Errorf("%s:\n%+v, want\n%+v", options, *m, want)
		}
	}
	for options, want := range map[string]Mount{
		"bind": {Bind: true}, "rbind,rro": {Bind: true, Recursive: true, AllSet: unix.MOUNT_ATTR_RDONLY},
		"bind,idmap": {Bind: true, IDMap: true}, "rbind,ridmap": {Bind: true, Recursive: true, IDMap: true, AllIDMap: true},
	} {
		m, err := ParseMount(&specs.Mount{Destination: "/mnt", Type: "none", Source: "/src", Options: strings.Split(options, ",")})
		want.Target, want.Source = "/mnt", "/src"
		if err != nil || !reflect.DeepEqual(*m, want) {
			t.Errorf("%s: %v\n%+v, want\n%+v", options, err, m, want)
		}
	}
}

// Every option that features names is one that is understood.
func TestEveryOptionIsUnderstood(t *testing.T) {
	for _, o := range Options() {
		m := &Mount{}
		if err := m.option(o); err != nil {
			t.Errorf("%s: %v", o, err)
		}
		if flagged := len(m.Data) > 0; flagged != (strings.Contains("sync dirsync lazytime mand iversion silent", o)) {
			t.Errorf("%s is taken for an option of a file system", o)
		}
	}
}

func TestRefusedMounts(t *testing.T) {
	for words, m := range map[string]specs.Mount{
		"not a place":          {Destination: "/", Type: "tmpfs"},
		"a bind has a source":  {Destination: "/a", Type: "bind"},
		"no file system":       {Destination: "/a", Type: "none"},
		"none of a bind":       {Destination: "/a", Source: "/b", Options: []string{"bind", "size=1"}},
		"of binds only":        {Destination: "/a", Type: "tmpfs", Options: []string{"idmap"}},
		"belong together":      {Destination: "/a", Source: "/b", Options: []string{"bind"}, UIDMappings: []specs.LinuxIDMapping{{Size: 1}}},
		"for a tmpfs only":     {Destination: "/a", Type: "proc", Options: []string{"tmpcopyup"}},
		"option remount":       {Destination: "/a", Type: "tmpfs", Options: []string{"remount"}},
		"where proc is needed": {Destination: "/proc/", Type: "tmpfs"},
		"nothing may cover it": {Destination: "/x/../proc/sys/kernel", Source: "/b", Options: []string{"bind"}},
	} {
		if _, err := ParseMount(&m); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want %q", m, err, words)
		}
	}
	for _, fine := range []string{"/proc/meminfo", "/process", "/proc.d"} {
		if _, err := ParseMount(&specs.Mount{Destination: fine, Source: "/b", Options: []string{"bind"}}); err != nil {
			t.Error(err)
		}
	}
}

func TestCapabilitiesAndCPUs(t *testing.T) {
	if mask, unknown := CapabilityMask([]string{"CAP_CHOWN", "cap_kill", "CAP_NONSENSE"}); mask != 1|1<<5 || len(unknown) != 1 {
		t.Errorf("%x %v", mask, unknown)
	}
	if mask, err := CPUSet("0-2,65"); err != nil || mask[0] != 7 || mask[1] != 2 {
		t.Errorf("%v %v", mask, err)
	}
	for _, bad := range []string{"", "x", "3-1", "1024", "-1", "1,,2"} {
		if _, err := CPUSet(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// FuzzConfig: whatever a configuration holds, it is refused or means something that the lists can be made of.
func FuzzConfig(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"ociVersion":"1.0","root":{"path":"r"},"process":{"args":["a"],"cwd":"/"},"linux":{"namespaces":[{"type":"mount"}]},"mounts":[{"destination":"/proc/x","type":"proc","options":["rro","bind","idmap"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s specs.Spec
		if json.Unmarshal(b, &s) != nil || Check(&s) != nil {
			return
		}
		if s.Root.Path == "" || len(s.Process.Args) == 0 || !Has(s.Linux, specs.MountNamespace) || s.Process.Cwd[0] != '/' {
			t.Fatalf("accepted: %s", b)
		}
		for i := range s.Mounts {
			m, err := ParseMount(&s.Mounts[i])
			if err != nil {
				continue
			}
			if m.Target[0] != '/' || m.Target == "/" || strings.Contains(m.Target+"/", "/../") || m.Bind == (m.Type != "") ||
				strings.HasPrefix(m.Target, "/proc/") && !Coverable(m.Target) || m.Set&m.Clear&^uint64(unix.MOUNT_ATTR__ATIME) != 0 {
				t.Fatalf("%+v of %+v", m, s.Mounts[i])
			}
		}
	})
}
