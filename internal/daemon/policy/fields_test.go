package policy

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/daemon/policy/compat"
	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// leaf is one field of the create request that has no fields of its own.
type leaf struct {
	path string // as in JSON, without the [] of lists and maps
	kind reflect.Kind
}

// leaves walks a type of the API.
func leaves(t reflect.Type, path string) []leaf {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		if speaks(t) {
			break
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || speaks(t) || t.NumField() == 0 {
		return []leaf{{path, t.Kind()}}
	}
	var all []leaf
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			all = append(all, leaves(f.Type, path)...)
			continue
		case name == "":
			name = f.Name
		}
		if path != "" {
			name = path + "." + name
		}
		all = append(all, leaves(f.Type, name)...)
	}
	return all
}

// speaks tells whether a type has a JSON form of its own.
func speaks(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func plain(field string) string { return strings.ReplaceAll(field, "[]", "") }

// places are the leaves that an entry is about.
func places(e *compat.Entry) []string {
	if len(e.Below) == 0 {
		return []string{plain(e.Field)}
	}
	var all []string
	for _, b := range e.Below {
		all = append(all, plain(e.Field)+"."+b)
	}
	return all
}

// TestEveryFieldOfTheAPIHasItsPlace: a new version of the API cannot bring an option that is silently ignored, and a
// renamed one cannot hide behind an entry that no field has.
func TestEveryFieldOfTheAPIHasItsPlace(t *testing.T) {
	have := map[string]bool{}
	for _, l := range leaves(reflect.TypeFor[body](), "") {
		have[l.path] = true
	}
	for _, l := range leaves(reflect.TypeFor[container.CreateRequest](), "") {
		if !have[l.path] {
			t.Errorf("%s of the API's request is not decoded", l.path)
		}
	}
	placed := map[string]int{}
	for _, e := range compat.Entries() {
		if e.Field == "" || e.Field[0] == '?' {
			continue
		}
		for _, p := range places(e) {
			inside := slices.ContainsFunc(leaves(reflect.TypeFor[body](), ""), func(l leaf) bool {
				return strings.HasPrefix(l.path, p+".")
			})
			switch {
			case e.Value == "" && !have[p], !have[p] && !inside:
				t.Errorf("%s: the API has no field %s", e.Key(), p)
			case e.Value == "":
				placed[p]++
			}
		}
	}
	for p := range have {
		if placed[p] != 1 {
			t.Errorf("%s is in %d entries of package compat: every field needs one", p, placed[p])
		}
	}
	if len(have) < 120 {
		t.Errorf("only %d fields were found", len(have))
	}
}

// TestEveryFieldDoesWhatTheTableSays sends a value for each field and each kind of value that package compat lists. What
// works is accepted and changes what the warden is asked for, unless it is brigd's own business; the rest is refused in
// the table's words, with the option and the value.
func TestEveryFieldDoesWhatTheTableSays(t *testing.T) {
	kinds := map[string]leaf{}
	for _, l := range leaves(reflect.TypeFor[body](), "") {
		kinds[l.path] = l
	}
	_, before := decide(t, []byte(`{"Image":"i"}`))
	for _, e := range compat.Entries() {
		if e.Field == "" || e.Field[0] == '?' {
			continue
		}
		keys := places(e)
		if e.Value != "" {
			keys = []string{e.Key()}
			if values[e.Key()] == "" {
				t.Errorf("%s: the test has no value for it", e.Key())
				continue
			}
		}
		for _, key := range keys {
			b := bodyOf(t, key, kinds[key])
			err, after := decide(t, b)
			if e.State == compat.Works {
				if base := needed(t, key, e); base != "" {
					_, before := decide(t, []byte(base))
					checkWorks(t, e, key, b, err, before, after)
					continue
				}
				checkWorks(t, e, key, b, err, before, after)
				continue
			}
			checkRefused(t, e, key, b, err, kinds[key].kind == reflect.Bool)
		}
	}
}

// needed is the request without the field, where the field needs something beside it.
func needed(t *testing.T, key string, e *compat.Entry) string {
	for at := range needs {
		if at != "" && strings.HasPrefix(key, at+".") {
			list := at
			if strings.HasPrefix(at, "HostConfig.Mounts") {
				list = "HostConfig.Mounts"
			}
			kind := needs[list]
			if strings.Contains(key, "BindOptions") {
				return bindMount("")
			} else if strings.Contains(key, "TmpfsOptions") {
				return tmpfsMount("")
			}
			return fmt.Sprintf(`{"Image":"i","HostConfig":{%q:[%s]}}`, strings.TrimPrefix(list, "HostConfig."), kind)
		}
	}
	if strings.Contains(values[key], `"front"`) && strings.HasPrefix(values[key], `{"Image"`) {
		return onFront("", "")
	}
	if strings.HasPrefix(key, "HostConfig.PortBindings.") {
		return `{"Image":"i","HostConfig":{"PortBindings":{"80/tcp":[{}]}}}`
	}
	return ""
}

func checkWorks(t *testing.T, e *compat.Entry, key string, b []byte, err error, before, after string) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("%s works, says the table, and %s is refused: %v", key, b, err)
	case !e.Kept && before == after:
		t.Errorf("%s works, says the table, and %s changes nothing", key, b)
	case e.Kept && before != after:
		t.Errorf("%s is brigd's own business, says the table, and %s changes what the warden is asked for", key, b)
	}
}

func checkRefused(t *testing.T, e *compat.Entry, key string, b []byte, err error, isSwitch bool) {
	t.Helper()
	var rs Refusals
	errors.As(err, &rs)
	for _, r := range rs {
		class := errdefs.IsNotImplemented(r.Class)
		if e.State == compat.Refused {
			class = errdefs.IsPermissionDenied(r.Class)
		}
		if r.Option == e.Option() && r.Reason == e.Why() && r.Allow == e.Instead && class {
			if r.Value == "" && !isSwitch {
				t.Errorf("%s: the refusal does not name the value: %s", key, r)
			}
			return
		}
	}
	t.Errorf("%s is to be refused (%s), and %s gives: %v", key, e.State, b, err)
}

// decide gives what the warden would be asked for, as text, without what is random.
func decide(t *testing.T, b []byte) (error, string) {
	t.Helper()
	r, err := Decode(b)
	if err != nil {
		return err, ""
	}
	host := testHost()
	host.AppArmor, host.SELinux = true, true
	host.MakeFiles = func(q FileRequest) ([]wire.File, error) {
		return []wire.File{{Path: "/etc/hosts", Content: fmt.Sprint(q)}}, nil
	}
	lend := func(string) (*Lent, error) {
		return &Lent{Spec: []wire.Mount{{Kind: wire.MountBind, Source: "/h", Target: "/lent"}},
			Shown: []container.MountPoint{{Destination: "/lent"}}}, nil
	}
	r.By = &rules.Caller{}
	e, err := Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: host, Lend: lend,
		Networks: testNetworks, Owner: testOwner, CDI: testCDI,
		Images: func(string) (*image.Image, error) { return testImage(), nil }})
	if err != nil {
		return err, ""
	}
	out, err := json.Marshal(map[string]any{"spec": e.Spec, "log": e.Log, "volumes": e.Volumes, "profile": e.Profile,
		"portsTo": e.PortsTo, "networks": e.Networks})
	if err != nil {
		t.Fatal(err)
	}
	return nil, regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(string(out), "RANDOM")
}
