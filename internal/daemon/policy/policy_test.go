package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/brig-engine/brig/internal/daemon/image"
	"github.com/brig-engine/brig/internal/wire/rules"
)

var update = flag.Bool("update", false, "write the golden files")

func testImage() *image.Image {
	i := &image.Image{ID: "sha256:" + strings.Repeat("1", 64), Index: "sha256:" + strings.Repeat("2", 64),
		Users: []image.User{{Name: "root", Home: "/root"}, {Name: "app", UID: 1000, GID: 1000, Home: "/home/app"},
			{Name: "1001", UID: 0, GID: 0, Home: "/trap"}, {Name: "far", UID: 70000, GID: 1}},
		Groups: []image.Group{{Name: "root"}, {Name: "app", GID: 1000}, {Name: "audio", GID: 29, Members: []string{"app"}},
			{Name: "5", GID: 0, Members: []string{"5"}}, {Name: "wheel", GID: 10, Members: []string{"root"}}}}
	i.Config = dockerspec.DockerOCIImage{Config: dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{
		Cmd: []string{"serve"}, Entrypoint: []string{"/entry"}, WorkingDir: "/srv",
		Env: []string{"PATH=/opt/bin:/bin", "LANG=C", "HOSTSECRET", "*"}, ExposedPorts: map[string]struct{}{"80/tcp": {},
			"bad": {}},
		Volumes: map[string]struct{}{"/data": {}, "../x": {}}, Labels: map[string]string{"brig.level": "none", "io.x": "y"},
		StopSignal: "SIGQUIT",
	}}}
	return i
}

func testHost() Host {
	return Host{MemoryTotal: 8 << 30, CPUs: 2, PidMax: 32768, NofileHard: 20000, CpusetCpus: "0-1",
		Disk: Disk{Kind: "btrfs image", Container: 10 << 30, Total: 100 << 30}}
}

// makeFrom decides about a body as the API would.
func makeFrom(body string) (*Effective, error) {
	r, err := Decode([]byte(body))
	if err != nil {
		return nil, err
	}
	r.By = &rules.Caller{}
	return Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(), Networks: testNetworks})
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllFunc(got, func(b []byte) []byte {
		if bytes.Count(b, b[:1]) == 64 {
			return b // one of ours
		}
		return []byte("RANDOM")
	})
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", path, got)
	}
}

// commandLines are requests as docker's client sends them for the options in their names.
var commandLines = map[string]string{
	"plain":            `{"Image":"i"}`,
	"it":               `{"Image":"i","Tty":true,"OpenStdin":true,"StdinOnce":true,"HostConfig":{"ConsoleSize":[24,80]}}`,
	"command":          `{"Image":"i","Cmd":["a","b c"]}`,
	"entrypoint":       `{"Image":"i","Entrypoint":["/bin/sh","-c"],"Cmd":["x"]}`,
	"entrypoint-empty": `{"Image":"i","Entrypoint":[""],"Cmd":["x"]}`,
	"env":              `{"Image":"i","Env":["A=1","LANG","PATH=/p"]}`,
	"user-name":        `{"Image":"i","User":"app"}`,
	"user-number":      `{"Image":"i","User":"1001"}`,
	"user-group":       `{"Image":"i","User":"app:audio","HostConfig":{"GroupAdd":["wheel","77"]}}`,
	"caps":             `{"Image":"i","HostConfig":{"CapAdd":["NET_RAW","cap_sys_ptrace"],"CapDrop":["CHOWN"]}}`,
	"caps-none":        `{"Image":"i","HostConfig":{"CapAdd":["NET_BIND_SERVICE"],"CapDrop":["ALL"]}}`,
	"limits": `{"Image":"i","HostConfig":{"Memory":1073741824,"MemorySwap":2147483648,"MemoryReservation":1024,
		"NanoCpus":1500000000,
		"CpuShares":512,"CpusetCpus":"0-1","PidsLimit":100,"BlkioWeight":300,"ShmSize":1048576,"OomScoreAdj":100,
		"Ulimits":[{"Name":"nofile","Soft":64,"Hard":128},{"Name":"core","Soft":1,"Hard":1}]}}`,
	"no-core": `{"Image":"i","HostConfig":{"Ulimits":[{"Name":"core","Soft":0,"Hard":0}]}}`,
	"read-only": `{"Image":"i","HostConfig":{"ReadonlyRootfs":true,"Tmpfs":{"/run":"size=1m,mode=755,exec","/tmp":""},
		"Init":true}}`,
	"binds": `{"Image":"i","HostConfig":{"Binds":["/src:/dst:ro","/a/./b:/dst/sub","vol:/data:nocopy"]}}`,
	"mounts": `{"Image":"i","HostConfig":{"Mounts":[{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true,
		"BindOptions":{"NonRecursive":true}},
		{"Type":"volume","Target":"/v"},{"Type":"volume","Source":"named","Target":"/w","VolumeOptions":{"NoCopy":true,
			"Labels":{"a":"b"}}},
		{"Type":"tmpfs","Target":"/x","TmpfsOptions":{"SizeBytes":4096,"Mode":448}}]}}`,
	"ports": `{"Image":"i","ExposedPorts":{"8080/tcp":{}},"HostConfig":{"PublishAllPorts":true,
		"PortBindings":{"53/udp":[{"HostIp":"127.0.0.1","HostPort":"5353"}],"443/tcp":[{"HostIp":"","HostPort":"443"}]}}}`,
	"network-none": `{"Image":"i","HostConfig":{"NetworkMode":"none"},"NetworkingConfig":{"EndpointsConfig":{"none":{}}}}`,
	"security": `{"Image":"i","HostConfig":{"SecurityOpt":["no-new-privileges=false","seccomp=unconfined",
		"label=disable","apparmor=unconfined"]}}`,
	"sysctl": `{"Image":"i","HostConfig":{"Sysctls":{"net.core.somaxconn":"100","kernel.sem":"1 2 3 4"},
		"Umask":18}}`,
	"names": `{"Image":"i","Hostname":"h","Domainname":"d.example","WorkingDir":"/w/../x","Labels":{"brig.level":"x",
		"l":"m"},
		"StopSignal":"SIGINT","StopTimeout":3,"HostConfig":{"Annotations":{"brig.level":"standard","other":"x"}}}`,
}

func TestCommandLinesBecomeTheseSpecs(t *testing.T) {
	for name, body := range commandLines {
		t.Run(name, func(t *testing.T) {
			e, err := makeFrom(body)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			enc := json.NewEncoder(&out)
			enc.SetIndent("", " ")
			err = enc.Encode(map[string]any{"spec": e.Spec, "needsCaller": e.NeedsCaller, "volumes": e.Volumes,
				"mounts":   e.Mounts,
				"warnings": e.Warnings, "log": e.Log, "labels": e.Config.Labels})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", out.Bytes())
		})
	}
}

// refused are requests of which every word is refused, together.
var refused = map[string]string{
	"privilege": `{"Image":"i","HostConfig":{"Privileged":true,"CapAdd":["SYS_ADMIN","ALL","NO_SUCH"],"PidMode":"host",
		"IpcMode":"host",
		"UTSMode":"host","UsernsMode":"host","CgroupnsMode":"host","NetworkMode":"host","OomKillDisable":true,
			"OomScoreAdj":-5,
		"Devices":[{"PathOnHost":"/dev/kvm"}],"SecurityOpt":["apparmor=x","label=type:y","systempaths=unconfined","wrong"],
		"MaskedPaths":[],"ReadonlyPaths":["/proc/sys"],"Sysctls":{"kernel.core_pattern":"|/x","net.a/b":"1",
			"net.x":"1\n2"}}}`,
	"bounds": `{"Image":"i","StopSignal":"NOPE","StopTimeout":-9,"HostConfig":{"Memory":1,"MemorySwap":-1,
		"MemoryReservation":-1,"NanoCpus":9000000000,
		"CpuShares":1,"CpusetCpus":"a","CpusetMems":"3-1","PidsLimit":-1,"BlkioWeight":5,"ShmSize":-1,"MemorySwappiness":50,
		"CpuRealtimePeriod":1,"Umask":4096,"Ulimits":[{"Name":"core","Soft":-1,"Hard":-1},{"Name":"nofile","Soft":9,
			"Hard":3},{"Name":"none","Soft":1,"Hard":1}]}}`,
	"beyond": `{"Image":"i","HostConfig":{"CpusetCpus":"0,1-2"}}`,
	"mounts": `{"Image":"i","Volumes":{"relative":{}},"HostConfig":{"Binds":["/a","/a:b","/a:/../x","/a/../b:/c",
		"/a:/proc/x","/a:/d","/a:/d",
		"x:/e","v1:/f:suid","vv:/g:shared"],"Tmpfs":{"/h":"size=x","/i":"uid=3"},"VolumesFrom":["z"],"VolumeDriver":"nfs",
		"Mounts":[{"Type":"image","Target":"/j"},{"Type":"bind","Source":"/s","Target":"/k",
			"BindOptions":{"Propagation":"shared","CreateMountpoint":true}},
		{"Type":"tmpfs","Source":"x","Target":"/l","BindOptions":{}},{"Type":"volume","Source":"vw","Target":"/m",
			"VolumeOptions":{"Subpath":"x","DriverConfig":{"Name":"nfs"}}}]}}`,
	"users":     `{"Image":"i","User":"nobody","HostConfig":{"GroupAdd":["nogroup","-1","65536"]}}`,
	"user-sign": `{"Image":"i","User":"-1"}`,
	"user-far":  `{"Image":"i","User":"far"}`,
	"network": `{"Image":"i","MacAddress":"02:00:00:00:00:01","HostConfig":{"NetworkMode":"mine","Links":["a:b"],
		"ExtraHosts":["a b"]},
		"NetworkingConfig":{"EndpointsConfig":{"mine":{"IPAMConfig":{"IPv4Address":"10.0.0.1"},"Aliases":["x"]},
			"other":{}}}}`,
	"life": `{"Image":"i","Healthcheck":{"Test":["MAGIC","x"],"Interval":1,"Timeout":-1,"StartPeriod":1,"StartInterval":1,
		"Retries":-1},"Labels":{"dev.brig.restart-unhealthy":"maybe"},
		"HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}`,
	"life-removed": `{"Image":"i","Healthcheck":{"Test":["CMD","x"]},"Labels":{"dev.brig.restart-unhealthy":"true"},
		"HostConfig":{"RestartPolicy":{"Name":"always","MaximumRetryCount":3},"AutoRemove":true}}`,
	"unbuilt": `{"Image":"i","OnBuild":["x"],
		"HostConfig":{"StorageOpt":{"size":"1"},
		"CgroupParent":"x","Runtime":"kata","Isolation":"hyperv","DeviceRequests":[{"Count":1}],
			"LogConfig":{"Type":"fluentd"},"KernelMemory":1,
		"Annotations":{"brig.level":"paranoid","brig.egress":"x"}}}`,
	"log": `{"Image":"i","HostConfig":{"LogConfig":{"Type":"json-file","Config":{"max-size":"1","max-file":"0",
		"compress":"maybe","labels-regex":"(","shiny":"x","cache-disabled":"true","mode":"soon","max-buffer-size":"1g",
		"syslog-address":"udp://127.0.0.1"}}}}`,
	"log-together": `{"Image":"i","HostConfig":{"LogConfig":{"Type":"local","Config":{"max-file":"1","compress":"true",
		"max-buffer-size":"1m"}}}}`,
	"log-none": `{"Image":"i","HostConfig":{"LogConfig":{"Type":"none","Config":{"max-size":"1m"}}}}`,
	"log-tag":  `{"Image":"i","HostConfig":{"LogConfig":{"Config":{"tag":"{{range .Env}}x{{end}}"}}}}`,
	"log-labels": `{"Image":"i","Labels":{"big":"` + strings.Repeat("x", 16<<10) + `"},"HostConfig":{"LogConfig":{
		"Config":{"labels":"big"}}}}`,
	"log-syslog": `{"Image":"i","HostConfig":{"LogConfig":{"Type":"syslog","Config":{"syslog-address":"tcp://169.254.169.254:80",
		"syslog-facility":"loud","syslog-format":"rfc1","syslog-tls-ca-cert":"ca.pem","cache-labels":"x","max-size":"1m"}}}}`,
	"command": `{"Image":"i","Entrypoint":[""],"WorkingDir":"rel","Hostname":"a b","Env":["=x"]}`,
}

func TestRefusalsNameEveryOption(t *testing.T) {
	for name, body := range refused {
		t.Run(name, func(t *testing.T) {
			_, err := makeFrom(body)
			var rs Refusals
			if !errors.As(err, &rs) {
				t.Fatalf("no refusals: %v", err)
			}
			golden(t, "refused-"+name+".txt", []byte(err.Error()+"\n"))
		})
	}
}

func TestUnknownFieldsAreRefusedByName(t *testing.T) {
	for _, body := range []string{`{"Image":"i","Shiny":0}`, `{"Image":"i","HostConfig":{"Shiny":null}}`,
		`{"Image":"i","HostConfig":{"Mounts":[{"Type":"bind","Shiny":1}]}}`,
		`{"Image":"i","NetworkingConfig":{"Shiny":{}}}`, `{"Image":"i","NetworkingConfig":{"x":null},"Shiny":""}`,
		`{"Image":"i","NetworkingConfig":{"x":null,"EndpointsConfig":{"bridge":{"Shiny":1}}}}`} {
		if _, err := Decode([]byte(body)); !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "Shiny") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestAnExecIsNeverMoreThanItsContainer(t *testing.T) {
	e, err := makeFrom(`{"Image":"i","User":"app","HostConfig":{"CapDrop":["CHOWN"]}}`)
	if err != nil {
		t.Fatal(err)
	}
	in := func(body string) (ExecInput, error) {
		r, err := DecodeExec([]byte(body))
		return ExecInput{Request: r, Spec: &e.Spec, Config: &e.Config, Image: testImage()}, err
	}
	i, err := in(`{"Cmd":["id"],"User":"0","Env":["A=b"],"WorkingDir":"/x","Tty":true,"ConsoleSize":[3,4]}`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := MakeExec(i)
	if err != nil {
		t.Fatal(err)
	}
	if p.Capabilities.Bounding != e.Spec.Process.Capabilities.Bounding ||
		p.Capabilities.Permitted&^p.Capabilities.Bounding != 0 {
		t.Errorf("capabilities %+v", p.Capabilities)
	}
	out, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "exec.json", append(out, '\n'))
	for _, body := range []string{`{"Cmd":["id"],"Privileged":true}`, `{"Cmd":[]}`, `{"Cmd":["id"],"User":"x"}`,
		`{"Cmd":["id"],"DetachKeys":"no"}`, `{"Cmd":["id"],"WorkingDir":"x"}`} {
		i, err := in(body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := MakeExec(i); err == nil {
			t.Errorf("%s is not refused", body)
		}
	}
}

func TestSignalsAndKeys(t *testing.T) {
	for s, want := range map[string]int{"": 15, "9": 9, "kill": 9, "SIGHUP": 1, "RTMIN+3": 37, "RTMAX-1": 63, "rtmin": 34,
		"0": 0, "65": 0, "SIGNOPE": 0, "RTMIN-1": 0, "RTMAX+1": 0} {
		if got, err := ParseSignal(s); got != want || (err != nil) != (want == 0) {
			t.Errorf("signal %q: %d, %v; want %d", s, got, err, want)
		}
	}
	for s, want := range map[string]string{"": "\x10\x11", "a,ctrl-b": "a\x02", "ctrl-@": "\x00", "ctrl-[": "\x1b",
		"DEL": "\x7f", "xx": "-", "ctrl-": "-", ",": "-"} {
		got, err := ParseDetachKeys(s)
		if want == "-" && err == nil || want != "-" && string(got) != want {
			t.Errorf("keys %q: %q, %v; want %q", s, got, err, want)
		}
	}
}

func FuzzCreateBody(f *testing.F) {
	for _, b := range commandLines {
		f.Add([]byte(b))
	}
	for _, b := range refused {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		e, err := Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(), Networks: testNetworks})
		if err != nil {
			return
		}
		s := &e.Spec
		switch {
		case s.Resources.Memory <= 0 || s.Resources.Pids <= 0 || s.Resources.CPUShares == 0:
			t.Errorf("a container without bounds: %+v", s.Resources)
		case s.Process.Capabilities.Bounding&beyondFloor() != 0:
			t.Errorf("capabilities beyond the floor: %#x", s.Process.Capabilities.Bounding)
		case s.Process.User.UID > maxID || s.Process.User.GID > maxID:
			t.Errorf("ids out of range: %+v", s.Process.User)
		case len(s.Process.Args) == 0 || s.Process.Args[0] == "":
			t.Error("no program")
		case (s.Process.AllowNewPrivileges || s.Process.Filter != nil) && !e.NeedsCaller:
			t.Error("a relaxation without its caller")
		}
		for _, m := range s.Mounts {
			if m.Kind == "bind" && !e.NeedsCaller || !strings.HasPrefix(m.Target, "/") || strings.Contains(m.Target, "..") &&
				strings.Contains(m.Target, "/../") {
				t.Errorf("mount %+v", m)
			}
		}
	})
}
