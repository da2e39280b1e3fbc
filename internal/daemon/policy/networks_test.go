package policy

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	apinetwork "github.com/moby/moby/api/types/network"

	"github.com/brig-engine/brig/internal/daemon/network"
	"github.com/brig-engine/brig/internal/wire"
)

// testNetworks are two networks of one's own, an internal one, and those that are always there.
func testNetworks(ref string) (network.Network, error) {
	for _, n := range []network.Network{{ID: "f1f1", Name: "front", Number: 1}, {ID: "b2b2", Name: "back", Number: 2},
		{ID: "c3c3", Name: "inner", Number: 3, Internal: true}, {ID: "b0", Name: "bridge", Builtin: true},
		{ID: "00", Name: "none", Builtin: true}} {
		if ref == n.Name || ref == n.ID {
			return n, nil
		}
	}
	return network.Network{}, errdefs.ErrNotFound
}

func TestNetworksOfARequest(t *testing.T) {
	create := func(mode, ends string) string {
		return fmt.Sprintf(`{"Image":"i","HostConfig":{"NetworkMode":%q},"NetworkingConfig":{"EndpointsConfig":{%s}}}`, mode, ends)
	}
	for what, c := range map[string]struct{ body, want string }{
		"nothing said":         {`{"Image":"i"}`, "bridge"},
		"the default by names": {create("default", `"default":{},"bridge":null`), "bridge"},
		"one of one's own":     {create("front", ""), "front"},
		"an alias":             {create("front", `"front":{"Aliases":["www","web","www"]}`), "front(www,web)"},
		"by its id":            {create("f1f1", `"front":{"Aliases":["web"]}`), "front(web)"},
		"as Compose says it": {create("back", `"back":{"Aliases":["project-app-1","app"],"IPAMConfig":{},"Links":null,"DriverOpts":null},`+
			`"front":{"Aliases":["app"]}`), "back(project-app-1,app) front(app)"},
		"bridge and another":         {create("bridge", `"front":{},"bridge":{}`), "bridge front"},
		"endpoints without the mode": {`{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"inner":{}}}}`, "inner"},
		"endpoints, the default":     {create("default", `"inner":{}`), "inner"},
		"endpoints, bridge":          {create("bridge", `"inner":{}`), "inner"},
		"endpoints of others":        {create("back", `"inner":{},"front":null`), "front inner"},
		"endpoints by id":            {create("front", `"back":{},"f1f1":{"Aliases":["web"]}`), "front(web) back"},
		"as docker-py says it":       {`{"Image":"i","HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"front":null}}`, "front"},
		"with its id":                {create("", `"front":{"NetworkID":"f1f1","Aliases":["web"]}`), "front(web)"}, // testcontainers
		"links, said twice": {`{"Image":"i","HostConfig":{"NetworkMode":"front","Links":["p-db-1:db","/p-db-1"]},"NetworkingConfig":{"EndpointsConfig":{` +
			`"front":{"Links":["p-db-1:db"]}}}}`, "front[/p-db-1:p-db-1,p-db-1:db]"},
		"none":         {create("none", ""), "none"},
		"switched off": {`{"Image":"i","NetworkDisabled":true}`, "none"},
	} {
		e, err := makeFrom(c.body)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		var got []string
		for _, m := range e.Networks {
			s := m.Name
			if len(m.Aliases) > 0 {
				s += "(" + strings.Join(m.Aliases, ",") + ")"
			}
			if len(m.Links) > 0 {
				var links []string
				for _, l := range m.Links {
					links = append(links, l.Target+":"+l.Alias)
				}
				s += "[" + strings.Join(links, ",") + "]"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", what, s, c.want)
		}
		if none := e.Spec.Network.Mode == wire.NetworkNone; none != (c.want == "none") {
			t.Errorf("%s: mode %q", what, e.Spec.Network.Mode)
		}
	}
}

// links is a list of so many, as a request has it.
func links(n int, to string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%q", fmt.Sprintf("%s:x%d", to, i)))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func TestNetworksThatAreRefused(t *testing.T) {
	for what, c := range map[string]struct{ body, want string }{
		"unknown":                            {`"HostConfig":{"NetworkMode":"nowhere"}`, "--network nowhere: there is no network of this name"},
		"none and more":                      {`"HostConfig":{"NetworkMode":"none"},"NetworkingConfig":{"EndpointsConfig":{"front":{}}}`, "is in no other"},
		"none and a port":                    {`"HostConfig":{"NetworkMode":"none","PortBindings":{"80/tcp":[{}]}}`, "cannot publish ports"},
		"unknown, beside an endpoint":        {`"HostConfig":{"NetworkMode":"nowhere"},"NetworkingConfig":{"EndpointsConfig":{"front":{}}}`, "--network nowhere"},
		"--dns":                              {`"HostConfig":{"NetworkMode":"front","Dns":["9.9.9.9"]}`, "--dns 9.9.9.9: not supported: these servers do not know"},
		"--ip":                               {`"HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"EndpointsConfig":{"front":{"IPAMConfig":{"IPv4Address":"172.30.0.9"}}}}`, "--ip 172.30.0.9: not supported: the engine gives"},
		"the id of another":                  {`"NetworkingConfig":{"EndpointsConfig":{"front":{"NetworkID":"b2b2"}}}`, "EndpointsConfig[].NetworkID b2b2: not supported: the network that is named has another id"},
		"alias on bridge":                    {`"NetworkingConfig":{"EndpointsConfig":{"bridge":{"Aliases":["web"]}}}`, "--network-alias web"},
		"an alias like an id":                {`"HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"EndpointsConfig":{"front":{"Aliases":["0123456789Ab"]}}}`, "--network-alias 0123456789Ab: "},
		"links in two spellings":             {`"HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"EndpointsConfig":{"front":{"Links":` + links(40, "a") + `},"f1f1":{"Links":` + links(40, "b") + `}}}`, "--link: 80 links are more than the 64"},
		"no alias":                           {`"HostConfig":{"NetworkMode":"front"},"NetworkingConfig":{"EndpointsConfig":{"front":{"Aliases":["a\nb"]}}}`, "--network-alias"},
		"a link on bridge":                   {`"HostConfig":{"Links":["a:b"]}`, "--link a:b: not supported: containers on bridge"},
		"a link as an endpoint's, on bridge": {`"NetworkingConfig":{"EndpointsConfig":{"bridge":{"Links":["a:b"]}}}`, "--link a:b: not supported: containers on bridge"},
		"a link to nobody":                   {`"HostConfig":{"NetworkMode":"front","Links":[":b"]}`, "--link :b: is name[:alias]"},
		"a link with no name":                {`"HostConfig":{"NetworkMode":"front","Links":["a:b c"]}`, "--link a:b c: is name[:alias]"},
	} {
		if _, err := makeFrom(`{"Image":"i",` + c.body + `}`); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	host := &container.HostConfig{DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")}}
	front, _ := testNetworks("front")
	if _, err := Connect(front, nil, host); err == nil {
		t.Error("a container with name servers of its own was connected")
	}
	m, err := Connect(front, &apinetwork.EndpointSettings{Aliases: []string{"b", "a"}}, &container.HostConfig{})
	if want := (network.Membership{ID: "f1f1", Name: "front", Aliases: []string{"b", "a"}}); err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestOptionsOfANetworkAreHeededOrRefused(t *testing.T) {
	facts := network.Facts{Subnet: netip.MustParsePrefix("172.30.0.0/16"), Gateway: netip.MustParseAddr("172.30.0.1"), MTU: 1450}
	for body, want := range map[string]string{
		`{"Name":"n"}`: "",
		`{"Name":"n","CheckDuplicate":true,"Driver":"bridge","Internal":true,"Attachable":true,"Labels":{"a":"b"},"EnableIPv6":false}`:             "",
		`{"Name":"n","IPAM":{"Driver":"default","Config":[{"Subnet":"172.30.0.0/16","Gateway":"172.30.0.1"}]}}`:                                    "",
		`{"Name":"n","Options":{"com.docker.network.bridge.enable_icc":"false"}}`:                                                                  "",
		`{"Name":"n","Options":{"com.docker.network.bridge.enable_ip_masquerade":"true","com.docker.network.bridge.host_binding_ipv4":"0.0.0.0"}}`: "",
		`{"Name":"n","Options":{"com.docker.network.driver.mtu":"1450"}}`:                                                                          "",
		`{"Name":"n","Driver":"overlay"}`:                                                    "--driver overlay: the one driver is bridge",
		`{"Name":"n","Driver":"host"}`:                                                       "--driver host",
		`{"Name":"n","Scope":"swarm"}`:                                                       "--scope swarm",
		`{"Name":"n","Ingress":true}`:                                                        "--ingress",
		`{"Name":"n","ConfigOnly":true}`:                                                     "--config-only",
		`{"Name":"n","ConfigFrom":{"Network":"x"}}`:                                          "--config-from",
		`{"Name":"n","EnableIPv6":true}`:                                                     "--ipv6: containers have IPv4 alone",
		`{"Name":"n","EnableIPv4":false}`:                                                    "--ipv4=false",
		`{"Name":"n","IPAM":{"Config":[{"Subnet":"10.0.0.0/24"}]}}`:                          "--subnet 10.0.0.0/24: every network of this engine has the addresses of its one subnet, 172.30.0.0/16",
		`{"Name":"n","IPAM":{"Config":[{"Gateway":"10.0.0.1"}]}}`:                            "--gateway 10.0.0.1",
		`{"Name":"n","IPAM":{"Config":[{"IPRange":"10.0.0.0/25"}]}}`:                         "--ip-range",
		`{"Name":"n","IPAM":{"Config":[{"AuxiliaryAddresses":{"a":"10.0.0.9"}}]}}`:           "--aux-address a=10.0.0.9",
		`{"Name":"n","IPAM":{"Driver":"x"}}`:                                                 "--ipam-driver x",
		`{"Name":"n","IPAM":{"Options":{"a":"b"}}}`:                                          "--ipam-opt",
		`{"Name":"n","Options":{"com.docker.network.bridge.enable_icc":"maybe"}}`:            "is true or false",
		`{"Name":"n","Options":{"com.docker.network.bridge.enable_ip_masquerade":"false"}}`:  "--opt com.docker.network.bridge.enable_ip_masquerade false",
		`{"Name":"n","Options":{"com.docker.network.bridge.host_binding_ipv4":"127.0.0.1"}}`: "-p address:port:port",
		`{"Name":"n","Options":{"com.docker.network.bridge.name":"br0"}}`:                    "there is no bridge",
		`{"Name":"n","Options":{"com.docker.network.driver.mtu":"1400"}}`:                    "--opt com.docker.network.driver.mtu 1400",
		`{"Name":"n","Options":{"x":"y"}}`:                                                   "--opt x y",
		`{"Name":"n","Nonsense":1}`:                                                          "Nonsense",
	} {
		r, err := DecodeNetwork([]byte(body))
		var n network.Network
		if err == nil {
			n, err = MakeNetwork(r, facts)
		}
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", body, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", body, err, want)
		case want == "" && n.NoICC != strings.Contains(body, `icc":"false`):
			t.Errorf("%s: %+v", body, n)
		}
	}
}
