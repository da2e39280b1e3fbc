package cli

import (
	"strings"
	"testing"
)

func TestPruneOfNetworksAsks(t *testing.T) {
	const deleted = "Deleted Networks:\nn\n\n"
	for _, c := range []struct {
		stdin, args, out string
		asked            int
	}{
		{"", "network prune", "", 0}, {"n\n", "network prune", "", 0}, {"no, yes\n", "network prune", "", 0},
		{"y\n", "network prune", deleted, 1}, {"", "network prune -f", deleted, 1},
	} {
		f := newFake(t)
		layMore(f)
		r := f.brig(c.stdin, strings.Fields(c.args)...)
		if seen := f.requests(t); r.code != 0 || r.out != c.out || len(seen) != c.asked {
			t.Errorf("%s, %q: %+v, %v", c.args, c.stdin, r, seen)
		}
	}
}

func TestValuesOfNetworksAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"network create --subnet 10.0.0.1 n":                             `--subnet "10.0.0.1"`,
		"network create --gateway 10.0.0.1 n":                            `--gateway "10.0.0.1": no --subnet has it`,
		"network create --subnet 10.0.0.0/24 --ip-range 10.1.0.0/24 n":   `--ip-range "10.1.0.0/24": no --subnet has it`,
		"network create --subnet 10.0.0.0/24 --aux-address a=10.1.0.1 n": `--aux-address "a=10.1.0.1": no --subnet has it`,
		"network create --subnet 10.0.0.0/24 --gateway x n":              `--gateway "x"`,
		"network connect --ip x n web":                                   `--ip "x": not an IPv4 address`,
		"network connect --driver-opt x n web":                           "key=value is needed",
		"network connect --link-local-ip x n web":                        "not an IP address",
		"network connect n":                                              "needs 2 arguments",
	} {
		f := newFake(t)
		layMore(f)
		if r := f.brig("", strings.Fields(args)...); r.code == 0 || !strings.Contains(r.err, want) || len(f.requests(t)) > 0 {
			t.Errorf("%s: %+v, want %s", args, r, want)
		}
	}
}
