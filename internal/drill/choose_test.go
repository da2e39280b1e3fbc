package drill

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, x := range []struct {
		only  string
		quick bool
		want  int
	}{{"", false, len(Catalogue())}, {"", true, 7}, {"A5", false, 5}, {"a5, abi-32", false, 6}, {"A1", true, 1}, {"abi-32", true, 0}} {
		got, err := Choose(x.only, x.quick)
		if err != nil || len(got) != x.want {
			t.Errorf("%q, quick %v: %d probes, %v", x.only, x.quick, len(got), err)
		}
	}
	for _, bad := range []string{"A8", "nope", "A1,", "A"} {
		if _, err := Choose(bad, false); err == nil || !strings.Contains(err.Error(), "brig drill --list") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestListNamesEveryProbe(t *testing.T) {
	var text, js bytes.Buffer
	List(&text, Catalogue())
	golden(t, "list.txt", text.Bytes())
	if err := ListJSON(&js, Catalogue()); err != nil {
		t.Fatal(err)
	}
	var list []map[string]string
	if err := json.Unmarshal(js.Bytes(), &list); err != nil || len(list) != len(Catalogue()) || list[0]["id"] != "system-calls" {
		t.Errorf("%v: %s", err, js.Bytes())
	}
}

func TestProbesAreListedWorstFirst(t *testing.T) {
	r := sample("engine", map[string]Verdict{
		"sniff":    {Verdict: Exposed, Detail: "4 packets of the neighbour's were read\x1b[2J, with its password in one of them: swordfish"},
		"metadata": {Verdict: CouldNotTry, Detail: "nobody asked"},
		"abi-32":   {Verdict: NotApplicable, Detail: "the kernel has no 32-bit entry"},
	})
	for name, style := range map[string]Style{"probes.txt": {}, "probes-narrow.txt": {Width: 80, Color: true}} {
		var b bytes.Buffer
		RenderProbes(&b, style, r)
		golden(t, name, b.Bytes())
		for line := range strings.Lines(b.String()) {
			if style.Width > 0 && visible(strings.TrimSuffix(line, "\n")) > style.Width {
				t.Errorf("wider than the terminal: %s", line)
			}
		}
	}
}
