package router

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire"
)

func request(t testing.TB, op wire.Op, body any) *wire.Request {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return &wire.Request{Op: op, Body: b}
}

func use() wire.EndpointUse {
	return wire.EndpointUse{Endpoint: wire.Endpoint{Addr: netip.MustParseAddr("172.30.0.2"), PrefixLen: 16,
		Gateway: netip.MustParseAddr("172.30.0.1"), MAC: "02:42:ac:1e:00:02", Ifindex: 70000, Name: "ep1"},
		Ports: []wire.Port{{Proto: "tcp", HostIP: "0.0.0.0", HostPort: 8080, ContainerPort: 80}}}
}

func TestRequestsBeforeTheNetworkIsOpenAreRefused(t *testing.T) {
	s := &server{end: make(chan error, 1)}
	for op := range Ops {
		if op == wire.OpRouterOpen {
			continue
		}
		if _, err := s.handle(request(t, op, use())); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestPortsAreThoseThatAreBound(t *testing.T) {
	_, ports, err := decodeUse(request(t, wire.OpEndpointActivate, use()))
	if err != nil || len(ports) != 1 || ports[0].HostPort != 8080 || ports[0].ContainerPort != 80 || ports[0].Proto != 6 {
		t.Errorf("%+v, %v", ports, err)
	}
	for name, change := range map[string]func(*wire.EndpointUse){
		"no protocol":       func(u *wire.EndpointUse) { u.Ports[0].Proto = "sctp" },
		"a name":            func(u *wire.EndpointUse) { u.Ports[0].HostIP = "localhost" },
		"every address":     func(u *wire.EndpointUse) { u.Ports[0].HostIP = "" },
		"no port":           func(u *wire.EndpointUse) { u.Ports[0].HostPort = 0 },
		"no port inside":    func(u *wire.EndpointUse) { u.Ports[0].ContainerPort = 0 },
		"no address":        func(u *wire.EndpointUse) { u.Endpoint.Addr = netip.Addr{} },
		"IPv6":              func(u *wire.EndpointUse) { u.Endpoint.Addr = netip.MustParseAddr("fd00::1") },
		"no interface":      func(u *wire.EndpointUse) { u.Endpoint.Ifindex = 0 },
		"no interface name": func(u *wire.EndpointUse) { u.Endpoint.Name = "" },
	} {
		u := use()
		change(&u)
		if _, _, err := decodeUse(request(t, wire.OpEndpointActivate, u)); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An endpoint can be given back whatever its memberships are: what was refused once must not stay for ever.
func TestAReleaseDoesNotDependOnNetworks(t *testing.T) {
	u := use()
	u.Endpoint.Networks = []uint32{7, 8, 7, 0}
	if _, _, err := decodeUse(request(t, wire.OpEndpointRelease, u)); err != nil {
		t.Error(err)
	}
}

// Whatever comes in place of an endpoint is refused or is one that the tables can hold.
func FuzzDecodeUse(f *testing.F) {
	b, err := json.Marshal(use())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
	f.Add(strings.Replace(string(b), "172.30.0.2", "::ffff:172.30.0.2", 1))
	f.Add(strings.Replace(string(b), `"ep1"`, `"ep1","networks":[7,8,7],"confined":true`, 1))
	f.Add(`{"endpoint":{"addr":"1.2.3.4%eth0","ifindex":1}}`)
	f.Fuzz(func(t *testing.T, body string) {
		u, ports, err := decodeUse(&wire.Request{Op: wire.OpEndpointActivate, Body: []byte(body)})
		if err != nil {
			return
		}
		if u.Endpoint.Addr.As4() == [4]byte{} && !u.Endpoint.Addr.IsUnspecified() || u.Endpoint.Ifindex <= 0 || len(ports) != len(u.Ports) {
			t.Errorf("%s: %+v", body, u)
		}
		for _, p := range ports {
			if !p.HostIP.IsValid() || p.Proto == 0 || p.HostPort == 0 || p.ContainerPort == 0 {
				t.Errorf("%s: %+v", body, p)
			}
		}
	})
}
