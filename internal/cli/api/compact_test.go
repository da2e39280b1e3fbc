package api

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// fill sets about half of what a value consists of, at random.
func fill(v reflect.Value, r *rand.Rand, depth int) {
	if special(v.Type()) || r.IntN(2) == 0 && depth > 0 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), r, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), r, depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(1), r, depth+1)
	case reflect.Array:
		fill(v.Index(0), r, depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if v.Type().Key().Kind() == reflect.String {
			v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), reflect.New(v.Type().Elem()).Elem())
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.IntN(3)))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(r.IntN(3)))
	}
}

// The engine decodes the same request from the compact form as from encoding/json's own.
func TestCompactFormMeansTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var in, plain, short container.CreateRequest
		in.Config = &container.Config{}
		fill(reflect.ValueOf(&in).Elem(), r, 0)
		in.Config.Image = "always there"
		a, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(a, &plain); err != nil {
			t.Fatalf("%v: %s", err, a)
		}
		if err := json.Unmarshal(b, &short); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		if d := cmp.Diff(plain, short, cmpopts.EquateEmpty(), cmp.Exporter(func(reflect.Type) bool { return true })); d != "" {
			t.Fatalf("%s\nplain: %s\ncompact: %s", d, a, b)
		}
	}
}

// A request of ours is, byte for byte, what moby's own types would have made of it.
func TestOurRequestsAreTheirs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var ours engineapi.CreateRequest
		ours.Config = &engineapi.Config{}
		fill(reflect.ValueOf(&ours).Elem(), r, 0)
		a, err := marshal(ours)
		if err != nil {
			t.Fatal(err)
		}
		var theirs container.CreateRequest
		d := json.NewDecoder(bytes.NewReader(a))
		d.DisallowUnknownFields()
		if err := d.Decode(&theirs); err != nil {
			t.Fatalf("%v: %s", err, a)
		}
		if b, err := marshal(theirs); err != nil || !bytes.Equal(a, b) {
			t.Fatalf("%v\nours:   %s\ntheirs: %s", err, a, b)
		}
	}
}

func TestCompactForm(t *testing.T) {
	no := false
	for _, x := range []struct {
		in   any
		want string
	}{
		{nil, "null"},
		{map[string]int{"a": 0}, `{"a":0}`},
		{&container.Config{}, `{}`},
		{struct {
			Set   *bool
			Unset *bool
			None  []string
			Empty []string
			Name  string `json:"n"`
			Not   string `json:"-"`
			not   string
		}{Set: &no, Empty: []string{}, Name: "x", Not: "y", not: "z"}, `{"Empty":[],"Set":false,"n":"x"}`},
		{container.CreateRequest{Config: &container.Config{Image: "i"}, HostConfig: &container.HostConfig{AutoRemove: true,
			NetworkMode: "none"}, NetworkingConfig: &network.NetworkingConfig{}},
			`{"HostConfig":{"AutoRemove":true,"NetworkMode":"none"},"Image":"i","NetworkingConfig":{}}`},
	} {
		b, err := marshal(x.in)
		if err != nil || string(b) != x.want {
			t.Errorf("%s, %v, want %s", b, err, x.want)
		}
	}
}
