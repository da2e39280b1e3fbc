package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/mount"

	"github.com/brig-engine/brig/internal/wire"
)

// TestVolumesThatAreAPlaceOfTheHost: every spelling comes to a bind mount, which is decided about as one.
func TestVolumesThatAreAPlaceOfTheHost(t *testing.T) {
	there := func(name string) (map[string]string, bool) {
		options := map[string]map[string]string{
			"plain": {}, "place": {"type": "none", "o": "bind", "device": "/srv/a"},
			"fixed": {"o": "rbind,ro", "device": "/srv/b"},
		}[name]
		return options, options != nil
	}
	const asked = `"VolumeOptions":{"DriverConfig":{"Options":{"type":"none","o":"bind","device":"/srv/c"}}}`
	for request, want := range map[string]string{
		`"Binds":["plain:/m"]`:     "volume plain writable fill",
		`"Binds":["place:/m"]`:     "bind /srv/a writable",
		`"Binds":["place:/m:ro"]`:  "bind /srv/a",
		`"Binds":["fixed:/m"]`:     "bind /srv/b recursive",
		`"VolumesFrom":["lender"]`: "bind /srv/a writable",
		`"Mounts":[{"Type":"volume","Source":"new","Target":"/m",` + asked + `}]`:                     "bind /srv/c writable",
		`"Mounts":[{"Type":"volume","Source":"place","Target":"/m",` + asked + `}]`:                   "bind /srv/a writable",
		`"Mounts":[{"Type":"volume","Source":"place","Target":"/m","VolumeOptions":{"Subpath":"x"}}]`: "refused: mounted as a whole",
		`"Mounts":[{"Type":"volume","Target":"/m",` + asked + `}]`:                                    "bind /srv/c writable",
		`"Mounts":[{"Type":"volume","Source":"new","Target":"/m",` +
			strings.Replace(asked, `"none"`, `"nfs"`, 1) + `}]`: "refused: network file system",
		`"Mounts":[{"Type":"volume","Source":"new","Target":"/m",` +
			strings.Replace(asked, `/srv/c`, `c`, 1) + `}]`: "refused: absolute path",
	} {
		r, err := Decode([]byte(`{"Image":"i","HostConfig":{` + request + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		in := Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(), VolumeOptions: there}
		in.Lend = func(string) (*Lent, error) {
			lender, err := Decode([]byte(`{"Image":"i","HostConfig":{"Binds":["place:/m"]}}`))
			if err != nil {
				return nil, err
			}
			e, err := Make(Input{ID: in.ID, Request: lender, Image: testImage(), Host: testHost(), VolumeOptions: there})
			if err != nil {
				return nil, err
			}
			return &Lent{Spec: e.Spec.Mounts, Shown: e.Mounts, Volumes: e.Volumes}, nil
		}
		e, err := Make(in)
		if reason, refused := strings.CutPrefix(want, "refused: "); refused {
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: %v, want %s", request, err, reason)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", request, err)
			continue
		}
		if diff := cmp.Diff(want, mountAt(e, "/m")); diff != "" {
			t.Errorf("%s: -want +got\n%s", request, diff)
		}
		if e.NeedsCaller != strings.HasPrefix(want, "bind") {
			t.Errorf("%s: the caller is asked for: %v", request, e.NeedsCaller)
		}
	}
}

// mountAt describes the mount at a place, if inspect shows it as a volume that the container holds.
func mountAt(e *Effective, target string) string {
	held := ""
	for _, p := range e.Mounts {
		for _, v := range e.Volumes {
			if p.Destination == target && p.Type == mount.TypeVolume && p.Name == v.Name {
				held = v.Name
			}
		}
	}
	if held == "" {
		return "not held"
	}
	for _, m := range e.Spec.Mounts {
		if m.Target != target {
			continue
		}
		s := fmt.Sprintf("%s %s", m.Kind, m.Source)
		for _, f := range []struct {
			set  bool
			word string
		}{{m.Writable, "writable"}, {m.Fill, "fill"}, {m.Recursive && m.Kind == wire.MountBind, "recursive"}} {
			if f.set {
				s += " " + f.word
			}
		}
		return s
	}
	return "not there"
}

// docker-py lists the targets of Binds in Volumes as well; what is mounted there already is what was meant.
func TestATargetOfVolumesThatIsTakenIsNoSecondVolume(t *testing.T) {
	for host, want := range map[string]struct {
		mount   string
		volumes int // with those of /other and of the image
	}{
		`"Binds":["goods:/m"]`: {"volume goods writable fill", 3},
		`"Mounts":[{"Type":"volume","Source":"goods","Target":"/m","ReadOnly":true}]`: {"volume goods fill", 3},
		`"Tmpfs":{"/m":""}`: {"not held", 2},
	} {
		e, err := makeFrom(`{"Image":"i","Volumes":{"/m":{},"/other":{}},"HostConfig":{` + host + `}}`)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if got := mountAt(e, "/m"); got != want.mount || len(e.Volumes) != want.volumes {
			t.Errorf("%s: %q and not %q, volumes %+v", host, got, want.mount, e.Volumes)
		}
	}
}
