package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
)

// lenders are two containers with mounts.
func lenders(name string) (*Lent, error) {
	volume := func(name, target string, writable bool) (wire.Mount, container.MountPoint) {
		return wire.Mount{Kind: wire.MountVolume, Source: name, Target: target, Writable: writable, Exec: true, Fill: true},
			container.MountPoint{Name: name, Destination: target, RW: writable}
	}
	l := &Lent{}
	add := func(m wire.Mount, p container.MountPoint) {
		l.Spec, l.Shown = append(l.Spec, m), append(l.Shown, p)
		if m.Kind == wire.MountVolume {
			l.Volumes = append(l.Volumes, VolumeUse{Name: m.Source, Anonymous: m.Source == "anon"})
		}
	}
	switch name {
	case "one":
		add(volume("named", "/v", true))
		add(volume("anon", "/data", true))
		add(wire.Mount{Kind: wire.MountTmpfs, Target: "/tmp"}, container.MountPoint{Destination: "/tmp"})
	case "two":
		add(volume("other", "/v", false))
		add(wire.Mount{Kind: wire.MountBind, Source: "/h", Target: "/h", Writable: true},
			container.MountPoint{Source: "/h", Destination: "/h", RW: true})
	default:
		return nil, errors.New("No such container: " + name)
	}
	return l, nil
}

func TestVolumesOfAnotherContainer(t *testing.T) {
	for request, want := range map[string]string{
		// The image has a volume at /data: what is lent takes its place, and nothing is copied into it.
		`"VolumesFrom":["one"]`:                              "/data=anon:rw /v=named:rw",
		`"VolumesFrom":["one:ro"]`:                           "/data=anon:ro /v=named:ro",
		`"VolumesFrom":["one","two"]`:                        "/data=anon:rw /h=/h:rw /v=other:ro",
		`"VolumesFrom":["two:rw","one"]`:                     "/data=anon:rw /h=/h:rw /v=named:rw",
		`"VolumesFrom":["one:z"],"Binds":["mine:/v"]`:        "/data=anon:rw /v=mine:rw",
		`"VolumesFrom":["two"],"Tmpfs":{"/h":"","/data":""}`: "/data=:rw /h=:rw /v=other:ro",
	} {
		r, err := Decode([]byte(`{"Image":"i","HostConfig":{` + request + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		e, err := Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(), Lend: lenders})
		if err != nil {
			t.Errorf("%s: %v", request, err)
			continue
		}
		var got []string
		for _, m := range e.Spec.Mounts {
			mode := map[bool]string{true: "rw", false: "ro"}[m.Writable]
			got = append(got, m.Target+"="+m.Source+":"+mode)
			held := slices.ContainsFunc(e.Volumes, func(v VolumeUse) bool {
				return v.Name == m.Source && v.Anonymous == (m.Source == "anon")
			})
			if m.Kind == wire.MountVolume && !held || m.Fill && m.Source != "mine" || m.Kind == wire.MountBind && !e.NeedsCaller {
				t.Errorf("%s: %+v of %+v", request, m, e.Volumes)
			}
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", request, s, want)
		}
		for _, p := range e.Mounts {
			if i := slices.IndexFunc(e.Spec.Mounts, func(m wire.Mount) bool { return m.Target == p.Destination }); i < 0 ||
				e.Spec.Mounts[i].Writable != p.RW {
				t.Errorf("%s: inspect shows %+v", request, p)
			}
		}
	}
	for _, ref := range []string{"three", "one:nocopy", "", ":ro"} {
		r, err := Decode([]byte(`{"Image":"i","HostConfig":{"VolumesFrom":["` + ref + `"]}}`))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(), Lend: lenders})
		if !errdefs.IsInvalidArgument(err) || !strings.HasPrefix(err.Error(), "--volumes-from") {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

// TestRangesOfPorts: a free port of a range is found at the start; here is what is asked for.
func TestRangesOfPorts(t *testing.T) {
	e, err := makeFrom(`{"Image":"i","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"8000-8010"}],
		"81/udp":[{"HostPort":"500-501"}],"79/tcp":[{"HostPort":"9000-9000"},{}]}}}`)
	if err != nil {
		t.Fatal(err)
	}
	ports := []wire.Port{{Proto: "tcp", ContainerPort: 79}, {Proto: "tcp", ContainerPort: 79, HostPort: 9000},
		{Proto: "tcp", ContainerPort: 80, HostPort: 8000}, {Proto: "udp", ContainerPort: 81, HostPort: 500}}
	if !slices.Equal(e.Spec.Network.Ports, ports) || !slices.Equal(e.PortsTo, []uint16{0, 0, 8010, 501}) || !e.NeedsCaller {
		t.Errorf("%+v %v, needs its caller: %v", e.Spec.Network.Ports, e.PortsTo, e.NeedsCaller)
	}
	for _, port := range []string{"a", "1-", "-1", "5-4", "0-3", "1-65536", "1-2-3"} {
		_, err := makeFrom(`{"Image":"i","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"` + port + `"}]}}}`)
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "-p "+port+":80/tcp") {
			t.Errorf("%s: %v", port, err)
		}
	}
}

// TestOptionsOfATmpfs: a size may be a part of the machine's memory; what a tmpfs has anyway asks for nothing.
func TestOptionsOfATmpfs(t *testing.T) {
	for options, want := range map[string]wire.Mount{
		"size=10%": {Size: 8 << 30 / 100 * 10, Mode: 0o1777, Writable: true},
		"rw,relatime,nosuid,nodev,noexec,size=1g,mode=0700": {Size: 1 << 30, Mode: 0o700, Writable: true},
		"ro,exec": {Size: defaultTmpfs, Mode: 0o1777, Exec: true},
	} {
		e, err := makeFrom(`{"Image":"i","HostConfig":{"Tmpfs":{"/data":"` + options + `"}}}`)
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		want.Kind, want.Target = wire.MountTmpfs, "/data"
		if e.Spec.Mounts[0] != want {
			t.Errorf("%s: %+v", options, e.Spec.Mounts[0])
		}
	}
	for _, options := range []string{"size=0", "size=0%", "size=101%", "size=-1", "mode=8", "mode=17777"} {
		if _, err := makeFrom(`{"Image":"i","HostConfig":{"Tmpfs":{"/data":"` + options + `"}}}`); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", options, err)
		}
	}
}
