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
	all := f.builtin()
	bridge := f.Inspect(all[0], []Member{{ID: "c0ffee", Name: "web", Addr: addr, MAC: "02:42:ac:1e:00:02"}})
	none := f.Inspect(all[1], nil)
	mine := f.Inspect(Network{ID: "feed", Name: "mine", Created: f.Created, Number: 7, Internal: true,
		Labels: map[string]string{"a": "b"}, Options: map[string]string{OptionICC: "true"}},
		[]Member{{ID: "c0ffee", Name: "web", Addr: addr, MAC: "02:42:ac:1e:00:02"}})
	var list []any
	for _, n := range all {
		list = append(list, f.Show(n))
	}
	for name, v := range map[string]any{"inspect.bridge": bridge, "inspect.none": none, "inspect.mine": mine, "list": list} {
		b, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", string(b)+"\n")
	}
	b, err := json.Marshal(Facts{Instance: "brig"}.Show(all[0]))
	if err != nil {
		t.Fatalf("a machine without the network: %s, %v", b, err)
	}
}
