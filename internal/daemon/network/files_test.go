package network

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}

var (
	addr    = netip.MustParseAddr("172.30.0.2")
	gateway = netip.MustParseAddr("172.30.0.1")
)

func TestHostsFile(t *testing.T) {
	extra := []HostEntry{{"db", netip.MustParseAddr("10.0.0.5")}, {"six", netip.MustParseAddr("fd00::5")},
		{"evil\n1.2.3.4 bank", addr}, {"nowhere", netip.Addr{}}}
	golden(t, "hosts.plain", Hosts(addr, "web", "", nil))
	golden(t, "hosts.full", Hosts(addr, "web", "example.org", extra))
	golden(t, "hosts.dotted", Hosts(addr, "web.example.org", "", nil))
	golden(t, "hosts.none", Hosts(netip.Addr{}, "web", "", nil))
	golden(t, "hosts.badname", Hosts(addr, "web\n1.2.3.4 bank", "", nil))
}

func TestHostEntries(t *testing.T) {
	for in, want := range map[string]string{
		"db:10.0.0.5": "db 10.0.0.5", "db=10.0.0.5": "db 10.0.0.5", "six:fd00::5": "six fd00::5",
		"six:[fd00::5]": "six fd00::5", "host.docker.internal:host-gateway": "host.docker.internal 172.30.0.1",
		"": "", "db": "", ":10.0.0.5": "", "db:": "", "db:somewhere": "", "a b:10.0.0.5": "", "db:fe80::1%eth0": "",
		"db\n:10.0.0.5": "",
	} {
		e, err := ParseHostEntry(in, gateway)
		if want == "" {
			if err == nil {
				t.Errorf("%q: accepted as %v", in, e)
			}
		} else if err != nil || e.Name+" "+e.Addr.String() != want {
			t.Errorf("%q: %v, %v; want %s", in, e, err, want)
		}
	}
	if _, err := ParseHostEntry("h:host-gateway", netip.Addr{}); err == nil {
		t.Error("host-gateway without a network")
	}
}

const systemdStub = `# This is /run/systemd/resolve/stub-resolv.conf
nameserver 127.0.0.53
options edns0 trust-ad
search lan example.org
`

func TestResolvConf(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("192.168.1.5")}
	for _, tc := range []struct {
		name, host string
		forward    bool
		o          Override
	}{
		{"plain", "domain old.org\nsearch lan\nnameserver 192.168.1.1 # router\nnameserver 9.9.9.9\noptions ndots:2\n", false,
			Override{}},
		{"stub", systemdStub, true, Override{}},
		{"stub-overridden", systemdStub, true, Override{Servers: []netip.Addr{netip.MustParseAddr("9.9.9.9")},
			Search: []string{"."}, Options: []string{"ndots:5", "bad\noption"}}},
		{"own", "nameserver 192.168.1.5\n", true, Override{}},
		{"cloud", "nameserver 169.254.169.253\n", true, Override{}},
		{"six", "nameserver 2620:fe::fe\nnameserver fe80::1%eth0\n", true, Override{}},
		{"mapped", "nameserver ::ffff:9.9.9.9\n", false, Override{}},
		{"empty", "", true, Override{}},
		{"broken", "nameserver\nnameserver x\nsearch\n\x00\noptions a\x01b ok\nnameserver 9.9.9.9", false, Override{}},
		{"many", strings.Repeat("nameserver 9.9.9.9\n", 9), false, Override{}},
	} {
		r := ParseResolvConf([]byte(tc.host))
		if got := r.NeedsForwarder(own); got != tc.forward {
			t.Errorf("%s: needs forwarder: %v", tc.name, got)
		}
		forwarder := netip.Addr{}
		if tc.forward {
			forwarder = gateway
		}
		golden(t, "resolv."+tc.name, r.ForContainer(tc.o, forwarder))
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add([]byte(systemdStub))
	f.Add([]byte("nameserver ::1\nsearch a b\noptions c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := ParseResolvConf(data)
		out := r.ForContainer(Override{}, netip.Addr{})
		again := ParseResolvConf([]byte(out)).ForContainer(Override{}, netip.Addr{})
		if out != again && !strings.ContainsAny(out, "#;") {
			t.Fatalf("%q was read as\n%s\nand that as\n%s", data, out, again)
		}
		for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
			word, _, _ := strings.Cut(line, " ")
			if word != "nameserver" && word != "search" && word != "options" {
				t.Fatalf("%q was read as\n%s", data, out)
			}
		}
	})
}
