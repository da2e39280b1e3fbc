package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/jobs"
)

// idOf makes something and gives its id.
func idOf(t *testing.T, socket, path, body string) string {
	t.Helper()
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(must(t, socket, 201, "POST", path, body)), &made); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// numberOf is what a network is called below brigd.
func (d *daemon) numberOf(t *testing.T, name string) uint32 {
	t.Helper()
	n, err := d.server.Networks.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return n.Number
}

func TestDockerClientKeepsNetworks(t *testing.T) {
	f := newFakeWarden(t)
	d := startDaemon(t, f, t.TempDir())
	s := d.socket
	front := strings.TrimSpace(mustDocker(t, s, "network", "create", "--label", "a=b", "--attachable", "front"))
	mustDocker(t, s, "network", "create", "--internal", "-d", "bridge", "back")
	id := strings.TrimSpace(mustDocker(t, s, "run", "-d", "--name", "web", "--network", "front", "--network-alias", "www", "test",
		"sleep", "100"))
	for _, c := range []struct{ args, want string }{
		{"network ls --format {{.Name}}:{{.Driver}}", "back:bridge\nbridge:bridge\nfront:bridge\nnone:null\n"},
		{"network ls -q --no-trunc --filter label=a=b", front + "\n"},
		{"network ls --filter type=custom --format {{.Name}}", "back\nfront\n"},
		{"network ls --filter dangling=true --format {{.Name}}", "back\n"},
		{"network inspect -f {{.Internal}}:{{range.IPAM.Config}}{{.Subnet}}{{end}} back", "true:172.30.0.0/16\n"},
		{"network inspect -f {{range.Containers}}{{.Name}}={{.IPv4Address}}{{end}} front", "web=172.30.0.2/16\n"},
		{"inspect -f {{.HostConfig.NetworkMode}}:{{.NetworkSettings.Networks.front.IPAddress}} web", "front:172.30.0.2\n"},
		{"inspect -f {{.NetworkSettings.Networks.front.DNSNames}} web", "[web www " + id[:12] + "]\n"},
		{"ps --filter network=front --format {{.Names}}:{{.Networks}}", "web:front\n"},
		{"ps -q --filter network=back", ""},
		{"network connect --alias store back web", ""},
		{"inspect -f {{.NetworkSettings.Networks.back.Aliases}}{{.NetworkSettings.Networks.front.Aliases}} web", "[store][www]\n"},
		{"network disconnect front web", ""},
		{"ps --filter network=back --format {{.Names}}:{{.Networks}}", "web:back\n"},
		{"run --rm --network back --link web:other test true", ""},
		{"network rm front", "front\n"},
		{"network prune -f", ""},
		{"rm -f web", "web\n"},
		{"network prune -f", "Deleted Networks:\nback\n\n"},
		{"network ls --format {{.Name}}", "bridge\nnone\n"},
	} {
		if got := mustDocker(t, s, strings.Fields(c.args)...); got != c.want {
			t.Errorf("docker %s: %q, want %q", c.args, got, c.want)
		}
	}
}

func TestNetworksThatCannotBe(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	mustDocker(t, s, "network", "create", "front")
	mustDocker(t, s, "run", "-d", "--name", "web", "--network", "front", "test", "sleep", "100")
	mustDocker(t, s, "create", "--name", "alone", "--network", "none", "test", "true")
	for args, want := range map[string]string{
		"network create front":                                    "already exists",
		"network create bridge":                                   "predefined",
		"network create --subnet 10.1.0.0/16 mine":                "--subnet 10.1.0.0/16",
		"network create --ipv6 mine":                              "--ipv6",
		"network create -o com.docker.network.bridge.name=x mine": "there is no bridge",
		"network rm front":                                        "active endpoints",
		"network rm nowhere":                                      "not found",
		"network connect front web":                               "already exists in network front",
		"network connect front alone":                             "--network none",
		"network connect none web":                                "cannot be connected to none",
		"network connect --ip 172.30.0.9 bridge web":              "--ip 172.30.0.9",
		"network connect front nobody":                            "No such container",
		"network disconnect bridge web":                           "is not connected",
		"run --network nowhere test true":                         "no network of this name",
		"run --network front --ip 172.30.0.9 test true":           "--ip",
		"run --network front --link nobody test true":             "no such container: nobody",
		"run --link web test true":                                "--link web: not supported: containers on bridge",
	} {
		_, errOut, code := docker(t, s, "", strings.Fields(args)...)
		if code == 0 || !strings.Contains(errOut, want) {
			t.Errorf("docker %s: exit %d, %q; want %q", args, code, errOut, want)
		}
	}
}

// What Compose sends: a network by its name, containers with two endpoints at once, aliases, and an older one that connects
// the second network by itself.
func TestAProjectAsComposeMakesIt(t *testing.T) {
	f := newFakeWarden(t)
	dir := t.TempDir()
	d := startDaemon(t, f, dir)
	s := d.socket
	front := idOf(t, s, "/v1.50/networks/create", `{"CheckDuplicate":true,"Name":"p_front","Driver":"","EnableIPv6":false,"IPAM":null,
		"Internal":false,"Attachable":false,"Ingress":false,"ConfigOnly":false,"ConfigFrom":null,"Options":null,
		"Labels":{"com.docker.compose.network":"front","com.docker.compose.project":"p"}}`)
	back := idOf(t, s, "/v1.50/networks/create", `{"Name":"p_back","Driver":"bridge","Internal":true,"IPAM":{"Driver":"","Options":null,
		"Config":null},"Labels":{"com.docker.compose.project":"p"}}`)
	app := idOf(t, s, "/v1.50/containers/create?name=p-app-1", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"p_back"},
		"NetworkingConfig":{"EndpointsConfig":{
			"p_back":{"IPAMConfig":null,"Links":null,"Aliases":["p-app-1","app"],"MacAddress":"","DriverOpts":null,"GwPriority":0,
				"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"",
				"GlobalIPv6PrefixLen":0,"DNSNames":null},
			"p_front":{"Aliases":["p-app-1","app"]}}}}`)
	db := idOf(t, s, "/v1.50/containers/create?name=p-db-1", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"p_back"},
		"NetworkingConfig":{"EndpointsConfig":{"p_back":{"Aliases":["p-db-1","db"]}}}}`)
	web := idOf(t, s, "/v1.40/containers/create?name=p-web-1", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"p_front"}}`)
	must(t, s, 200, "POST", "/v1.40/networks/"+back+"/connect", `{"Container":"`+web+`","EndpointConfig":{"Aliases":["web"]}}`)
	for _, id := range []string{app, db, web} {
		must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	}
	b, fr := d.numberOf(t, back), d.numberOf(t, front)
	check := func(when string) {
		t.Helper()
		for id, want := range map[string]wire.Membership{app: {Networks: []uint32{b, fr}}, web: {Networks: []uint32{fr, b}},
			db: {Networks: []uint32{b}, Confined: true}} {
			if got := f.membership(id); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
	}
	check("started")
	must(t, s, 403, "DELETE", "/networks/p_back", "")
	var list []struct {
		NetworkSettings struct{ Networks map[string]any }
	}
	q := url.QueryEscape(`{"network":["p_front"]}`)
	if err := json.Unmarshal([]byte(must(t, s, 200, "GET", "/containers/json?filters="+q, "")), &list); err != nil || len(list) != 2 ||
		len(list[0].NetworkSettings.Networks) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	d.restart(t, f, dir)
	check("after a restart of brigd")
	must(t, s, 403, "DELETE", "/networks/p_back", "")
	for _, id := range []string{app, db, web} {
		must(t, s, 204, "DELETE", "/containers/"+id+"?force=1", "")
	}
	must(t, s, 204, "DELETE", "/networks/"+front, "")
	must(t, s, 204, "DELETE", "/networks/p_back", "")
	must(t, s, 404, "GET", "/networks/p_back", "")
}

func TestEventsOfNetworks(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	since := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	idOf(t, s, "/networks/create", `{"Name":"one"}`)
	idOf(t, s, "/networks/create", `{"Name":"two"}`)
	id := idOf(t, s, "/containers/create", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"one"}}`)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	must(t, s, 200, "POST", "/networks/two/connect", `{"Container":"`+id+`"}`)
	must(t, s, 200, "POST", "/networks/one/disconnect", `{"Container":"`+id+`","Force":true}`)
	must(t, s, 204, "DELETE", "/containers/"+id+"?force=1", "")
	must(t, s, 204, "DELETE", "/networks/two", "")
	var got []string
	path := "/events?since=" + since + "&until=" + time.Now().Add(time.Second).UTC().Format(time.RFC3339) + "&filters=" +
		url.QueryEscape(`{"type":["network"]}`)
	for line := range strings.Lines(must(t, s, 200, "GET", path, "")) {
		var e struct {
			Action string
			Actor  struct{ Attributes map[string]string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Action == "connect" && e.Actor.Attributes["container"] != id {
			t.Errorf("%+v", e)
		}
		got = append(got, e.Action+" "+e.Actor.Attributes["name"])
	}
	want := []string{"create one", "create two", "connect one", "connect two", "disconnect one", "disconnect two", "destroy two"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A network that is gone ends a start; one that cannot be joined leaves the container where it was.
func TestAFailedChangeOfNetworksChangesNothing(t *testing.T) {
	f := newFakeWarden(t)
	d := startDaemon(t, f, t.TempDir())
	s := d.socket
	idOf(t, s, "/networks/create", `{"Name":"one"}`)
	idOf(t, s, "/networks/create", `{"Name":"gone"}`)
	stays := idOf(t, s, "/containers/create", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"one"}}`)
	lost := idOf(t, s, "/containers/create", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"gone"}}`)
	must(t, s, 204, "DELETE", "/networks/gone", "")
	if out := must(t, s, 404, "POST", "/containers/"+lost+"/start", ""); !strings.Contains(out, "network gone") {
		t.Errorf("%s", out)
	}
	// A new network of that name is another one; what is left of the old one can be given up.
	idOf(t, s, "/networks/create", `{"Name":"gone"}`)
	must(t, s, 404, "POST", "/containers/"+lost+"/start", "")
	must(t, s, 200, "POST", "/networks/gone/disconnect", `{"Container":"`+lost+`","Force":true}`)
	must(t, s, 403, "POST", "/networks/gone/disconnect", `{"Container":"`+lost+`","Force":true}`)
	must(t, s, 200, "POST", "/networks/gone/connect", `{"Container":"`+lost+`"}`)
	must(t, s, 204, "POST", "/containers/"+lost+"/start", "")
	must(t, s, 204, "POST", "/containers/"+stays+"/start", "")
	idOf(t, s, "/networks/create", `{"Name":"two"}`)
	f.mu.Lock()
	f.refuse = errors.New("not now")
	f.mu.Unlock()
	must(t, s, 500, "POST", "/networks/two/connect", `{"Container":"`+stays+`"}`)
	must(t, s, 500, "POST", "/networks/one/disconnect", `{"Container":"`+stays+`"}`)
	if want := (wire.Membership{Networks: []uint32{d.numberOf(t, "one")}}); !reflect.DeepEqual(f.membership(stays), want) &&
		f.membership(stays).Networks != nil {
		t.Errorf("the warden has %+v, want %+v", f.membership(stays), want)
	}
	v := must(t, s, 200, "GET", "/containers/"+stays+"/json", "")
	if !strings.Contains(v, `"one":{`) || strings.Contains(v, `"two":{`) {
		t.Errorf("%s", v)
	}
	must(t, s, 403, "DELETE", "/networks/one", "")
	f.mu.Lock()
	f.refuse = nil
	f.mu.Unlock()
	must(t, s, 200, "POST", "/networks/one/disconnect", `{"Container":"`+stays+`"}`)
	if got := f.membership(stays); got.Networks != nil || !got.Confined {
		t.Errorf("in no network: %+v", got)
	}
	must(t, s, 204, "DELETE", "/networks/two", "")
}

// restart ends this brigd and starts another one with the same records.
func (d *daemon) restart(t *testing.T, f *fakeWarden, dir string) {
	t.Helper()
	d.server.Engine.Close()
	s, client, err := newServer(f.connect(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Engine.Close(); client.Close() })
	*d.server = *s
}

func TestRepliesAboutNetworksHaveTheseShapes(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	idOf(t, s, "/networks/create", `{"Name":"front","Labels":{"a":"b"},"Options":{"com.docker.network.bridge.enable_icc":"true"}}`)
	idOf(t, s, "/networks/create", `{"Name":"back","Internal":true}`)
	idOf(t, s, "/containers/create?name=db", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"back"}}`)
	web := idOf(t, s, "/containers/create?name=web", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"front"},
		"NetworkingConfig":{"EndpointsConfig":{"front":{"Aliases":["www"]},"back":{"Links":["db:store"]}}}}`)
	golden(t, "network-stopped.json", stable(t, must(t, s, 200, "GET", "/v1.50/networks/front", "")))
	must(t, s, 204, "POST", "/containers/"+web+"/start", "")
	golden(t, "networks.json", stable(t, must(t, s, 200, "GET", "/v1.50/networks", "")))
	golden(t, "network.json", stable(t, must(t, s, 200, "GET", "/v1.50/networks/front", "")))
	var v struct{ NetworkSettings json.RawMessage }
	if err := json.Unmarshal([]byte(must(t, s, 200, "GET", "/v1.50/containers/web/json", "")), &v); err != nil {
		t.Fatal(err)
	}
	golden(t, "inspect-networks.json", stable(t, string(v.NetworkSettings)))
}

// heard is what a forwarder that comes now is told.
func heard() map[string]jobs.Names {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	all := map[string]jobs.Names{}
	testNames.Load().Feed(ctx, func(of jobs.Names) error {
		if !of.Gone {
			all[of.Addr.String()] = of
		}
		return nil
	})
	return all
}

// networksOf names those that a container has names in.
func networksOf(of jobs.Names) (names []string) {
	for _, in := range of.Networks {
		names = append(names, in.Name)
	}
	return names
}

func run(t *testing.T, s, mode, more string) string {
	t.Helper()
	id := idOf(t, s, "/containers/create", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"`+mode+`"}`+more+`}`)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
	return id
}

// A brigd that was killed in the middle of a change leaves the warden with something else than the record says.
func TestTheRecordDecidesAfterARestart(t *testing.T) {
	f := newFakeWarden(t)
	dir := t.TempDir()
	d := startDaemon(t, f, dir)
	plain, alone := run(t, d.socket, "bridge", ""), run(t, d.socket, "none", "")
	f.mu.Lock()
	spec := f.specs[plain]
	spec.Network.Membership = wire.Membership{Networks: []uint32{77}}
	f.specs[plain] = spec
	f.mu.Unlock()
	f.before = func(op wire.Op) { // names first, or whoever asks meanwhile is nobody
		if op == wire.OpNetworkJoin && len(heard()) != 1 {
			t.Errorf("names of %d containers before their networks", len(heard()))
		}
	}
	joins := f.count(wire.OpNetworkJoin)
	d.restart(t, f, dir)
	if got := f.membership(plain); got.Networks != nil {
		t.Errorf("the warden has %+v", got)
	}
	if n := f.count(wire.OpNetworkJoin) - joins; n != 1 {
		t.Errorf("%d joins, and %s has no network", n, alone)
	}
}

// Who leaves a network loses its names before the way, and who comes into one has the way first.
func TestNamesReachNoFurtherThanNetworks(t *testing.T) {
	f := newFakeWarden(t)
	d := startDaemon(t, f, t.TempDir())
	s := d.socket
	idOf(t, s, "/networks/create", `{"Name":"one"}`)
	idOf(t, s, "/networks/create", `{"Name":"inner","Internal":true}`)
	id := run(t, s, "one", `,"NetworkingConfig":{"EndpointsConfig":{"one":{},"inner":{}}}`)
	var before []jobs.Names
	f.before = func(op wire.Op) {
		if op == wire.OpNetworkJoin {
			before = append(before, heard()["172.30.0.2"])
		}
	}
	must(t, s, 200, "POST", "/networks/one/disconnect", `{"Container":"`+id+`"}`)
	must(t, s, 200, "POST", "/networks/one/connect", `{"Container":"`+id+`"}`)
	for i, of := range append(before, heard()["172.30.0.2"]) {
		want := [][]string{{"inner"}, {"inner"}, {"inner", "one"}}[i]
		if got := networksOf(of); !slices.Equal(got, want) || of.Confined != (len(want) == 1) {
			t.Errorf("%d: names in %v, confined %v, want %v", i, got, of.Confined, want)
		}
	}
}

// A network that was removed is left as in Docker: by name or id, of a container that does not run or with force.
func TestANetworkThatIsGoneIsLeft(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	for _, ref := range []string{"name", "id", "short", "anew"} {
		one := idOf(t, s, "/networks/create", `{"Name":"one"}`)
		id := idOf(t, s, "/containers/create", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"one"},
			"NetworkingConfig":{"EndpointsConfig":{"one":{},"bridge":{}}}}`)
		must(t, s, 204, "DELETE", "/networks/one", "")
		if ref == "anew" {
			idOf(t, s, "/networks/create", `{"Name":"one"}`)
			must(t, s, 403, "POST", "/networks/one/connect", `{"Container":"`+id+`"}`)
		}
		must(t, s, 404, "POST", "/containers/"+id+"/start", "")
		path := "/networks/" + map[string]string{"name": "one", "id": one, "short": one[:12], "anew": "one"}[ref]
		must(t, s, 403, "POST", "/networks/two/disconnect", `{"Container":"`+id+`"}`)
		must(t, s, 200, "POST", path+"/disconnect", `{"Container":"`+id+`"}`)
		must(t, s, 403, "POST", path+"/disconnect", `{"Container":"`+id+`"}`)
		must(t, s, 204, "POST", "/containers/"+id+"/start", "")
		must(t, s, 404, "POST", "/networks/two/disconnect", `{"Container":"`+id+`"}`)
		must(t, s, 403, "POST", "/networks/two/disconnect", `{"Container":"`+id+`","Force":true}`)
	}
	must(t, s, 404, "POST", "/networks/one/disconnect", `{"Container":"nobody"}`)
	must(t, s, 400, "POST", "/networks/host/connect", `{"Container":"`+run(t, s, "bridge", "")+`"}`)
}

// A container may end while its networks are changed: the change is the next start's.
func TestAChangeOfNetworksAtAnEnd(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	idOf(t, s, "/networks/create", `{"Name":"one"}`)
	id := run(t, s, "bridge", "")
	f.mu.Lock()
	f.refuse = fmt.Errorf("container %s is not running: %w", id[:12], errdefs.ErrConflict)
	f.mu.Unlock()
	must(t, s, 200, "POST", "/networks/one/connect", `{"Container":"`+id+`"}`)
	if v := must(t, s, 200, "GET", "/containers/"+id+"/json", ""); !strings.Contains(v, `"one":{`) {
		t.Errorf("%s", v)
	}
}

// Networks may be removed while a container that will be in them is made, and before one is connected.
func TestNoContainerIsMadeInANetworkThatIsGone(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	idOf(t, s, "/networks/create", `{"Name":"one"}`)
	f.before = func(op wire.Op) {
		if op == wire.OpVolumeCreate {
			f.mu.Lock()
			f.before = nil
			f.mu.Unlock()
			must(t, s, 200, "POST", "/networks/prune", "")
		}
	}
	out := must(t, s, 400, "POST", "/containers/create?name=late", `{"Image":"test","HostConfig":{"NetworkMode":"one","Binds":["vol:/v"]}}`)
	if !strings.Contains(out, "network one") {
		t.Errorf("%s", out)
	}
	must(t, s, 404, "GET", "/containers/late/json", "")
}

func TestPortsOfInternalNetworks(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	idOf(t, s, "/networks/create", `{"Name":"inner","Internal":true}`)
	id := idOf(t, s, "/containers/create", `{"Image":"test","Cmd":["sleep","100"],"HostConfig":{"NetworkMode":"inner",
		"PortBindings":{"80/tcp":[{}]}}}`)
	if out := must(t, s, 409, "POST", "/containers/"+id+"/start", ""); !strings.Contains(out, "network connect") {
		t.Errorf("%s", out)
	}
	must(t, s, 200, "POST", "/networks/bridge/connect", `{"Container":"`+id+`"}`)
	must(t, s, 204, "POST", "/containers/"+id+"/start", "")
}

// Before version 1.45 clients find the names that the engine gives among the aliases.
func TestAliasesByVersion(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	idOf(t, s, "/networks/create", `{"Name":"one"}`)
	id := idOf(t, s, "/containers/create", `{"Image":"test","Hostname":"web","HostConfig":{"NetworkMode":"one"},
		"NetworkingConfig":{"EndpointsConfig":{"one":{"Aliases":["b","a"]},"bridge":{}}}}`)
	for version, want := range map[string][]string{"v1.44": {"b", "a", id[:12], "web"}, "v1.45": {"b", "a"}} {
		var v struct {
			NetworkSettings struct {
				Networks map[string]struct{ Aliases []string }
			}
		}
		if err := json.Unmarshal([]byte(must(t, s, 200, "GET", "/"+version+"/containers/"+id+"/json", "")), &v); err != nil {
			t.Fatal(err)
		}
		is := v.NetworkSettings.Networks
		if got := is["one"].Aliases; !slices.Equal(got, want) || is["bridge"].Aliases != nil {
			t.Errorf("%s: %v, want %v; on bridge %v", version, got, want, is["bridge"].Aliases)
		}
	}
}

// A name that changes keeps a container inside that is in no network that reaches outside.
func TestARenamedContainerStaysConfined(t *testing.T) {
	f := newFakeWarden(t)
	s := startDaemon(t, f, t.TempDir()).socket
	idOf(t, s, "/networks/create", `{"Name":"inner","Internal":true}`)
	id := run(t, s, "inner", "")
	must(t, s, 204, "POST", "/containers/"+id+"/rename?name=other", "")
	of := heard()["172.30.0.2"]
	if !of.Confined || len(of.Networks) != 1 || of.Networks[0].Names[0] != "other" {
		t.Errorf("%+v", of)
	}
	must(t, s, 204, "DELETE", "/containers/"+id+"?force=1", "")
	if all := heard(); len(all) != 0 {
		t.Errorf("names of nobody: %v", all)
	}
}
