package network

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"
)

func TestInspectLooksLikeDockers(t *testing.T) {
	f := Facts{Instance: "brig", Created: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Subnet: netip.MustParsePrefix("172.30.0.0/16"), Gateway: gateway, MTU: 1500}
	bridge, ok := f.Inspect("bridge", []Member{{ID: "c0ffee", Name: "web", Addr: addr, MAC: "02:42:ac:1e:00:02"}})
	if !ok {
		t.Fatal("no bridge")
	}
	none, ok := f.Inspect("none", []Member{{ID: "c0ffee", Name: "web", Addr: addr}})
	if !ok {
		t.Fatal("no none")
	}
	for name, v := range map[string]any{"inspect.bridge": bridge, "inspect.none": none, "list": f.List()} {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", string(b)+"\n")
	}
	b, err := json.Marshal(Facts{Instance: "brig"}.List())
	if err != nil {
		t.Fatalf("a machine without the network: %s, %v", b, err)
	}
}

func TestNetworksAreFoundByNameAndId(t *testing.T) {
	f := Facts{Instance: "brig"}
	id := ID("brig", Bridge)
	for ref, want := range map[string]bool{"bridge": true, "none": true, id: true, id[:12]: true, "": false,
		"bridg": false, id + "0": false} {
		if _, ok := f.Inspect(ref, nil); ok != want {
			t.Errorf("%q: found %v", ref, ok)
		}
	}
	if id == ID("brig-123456", Bridge) {
		t.Error("two engines' networks have one id")
	}
}
