package request

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/brig-engine/brig/internal/daemon/policy/compat"
)

func build(t testing.TB, args ...string) (*Create, error) {
	t.Helper()
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	fs.SetInterspersed(false)
	o := Bind(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return o.Build(fs.Args())
}

// TestRefusedValues: what means nothing is refused here, with the option, the value and what is needed.
func TestRefusedValues(t *testing.T) {
	for args, want := range map[string]string{
		"-p 99999:1":                          `--publish "99999:1": "99999" is not a port from 1 to 65535, or`,
		"-p 80/icmp":                          `the protocols are tcp, udp and sctp, not "icmp"`,
		"-p host:80:80":                       `"host" is not an IP address`,
		"-p 1-3:1-2":                          "not of the same length",
		"-p 3-1:3-1":                          "is not a port",
		"-p :":                                "is not a port",
		"--expose x":                          `--expose "x"`,
		"-m 1q":                               `--memory "1q": a size is needed`,
		"--cpus x":                            `--cpus "x": a number is needed`,
		"--cpus 0.0000000001":                 "at most nine decimals",
		"--cpus -1":                           "a number is needed",
		"--cpus .":                            "a number is needed",
		"--memory-swappiness 101":             "the range is 0 to 100",
		"--ulimit x=1":                        `--ulimit "x=1"`,
		"--ulimit nofile=1 --ulimit nofile=2": "set twice",
		"--add-host x":                        "a line is name:address",
		"--add-host x:y":                      "a line is name:address",
		"--dns x":                             "not an IP address",
		"--ip ::1":                            "not an IPv4 address",
		"--network name=":                     `"name" needs a value`,
		"--network alias=a":                   "the name is missing",
		"--network name=a,foo=b":              `unknown key "foo"`,
		"--network name=a,driver-opt=b":       "driver-opt is key=value",
		"--network name=a,gw-priority=b":      "gw-priority is a number",
		"--network name=a,ip=1.1.1.1 --ip 1.1.1.2": `--ip "1.1.1.2": --network says 1.1.1.1`,
		"--network a --network a":                  "is given twice",
		"--link-local-ip x":                        "not an IP address",
		"--blkio-weight-device /dev/a":             "/dev/DEVICE:NUMBER is needed",
		"--blkio-weight-device /dev/a:5":           "a weight is 10 to 1000",
		"--device-read-bps a:1":                    "/dev/DEVICE:NUMBER is needed",
		"--device-write-iops /dev/a:1m":            `"1m" is not a rate`,
		"--io-maxbandwidth x":                      `--io-maxbandwidth "x": a size is needed`,
		"--gpus x":                                 `--gpus "x": "x" is neither all nor a number`,
		"--gpus a=b":                               `unknown key "a"`,
		"--gpus 1,2":                               "count is given twice",
		"--mount type=bind,src=/a,dst=/x,bind-recursive=readonly": "go with readonly",
		"--mount dst=/x,image-subpath=a":                          "image options do not go with type=volume",
		"--kernel-memory 5m":                                      "--kernel-memory 5m: not supported: control groups of version 2",
		"--use-api-socket":                                        "--use-api-socket: not supported: who has",
		"--disable-content-trust=false":                           "--disable-content-trust=false: not supported: Brig checks",
		"--ip6 1.2.3.4":                                           "not an IPv6 address",
		"--mac-address x":                                         "not a hardware address",
		"-e =x":                                                   "NAME or NAME=value is needed",
		"-l =x":                                                   "a label needs a name",
		"--annotation =x":                                         "key=value is needed",
		"--sysctl x":                                              "key=value is needed",
		"-a foo":                                                  "the streams are stdin, stdout and stderr",
		"-v a:":                                                   "a volume is [source:]/target[:options]",
		"--mount type=bind,dst=/x":                                "source is missing",
		"--mount type=volume":                                     "target is missing",
		"--mount type=tmpfs,src=a,dst=/x":                         "a tmpfs has no source",
		"--mount type=bind,src=/a,dst=/x,tmpfs-size=1": "tmpfs options do not go with type=bind",
		"--mount dst=/x,foo=bar":                       `unknown key "foo"`,
		"--mount dst=/x,ro=maybe":                      "true or false",
		"--mount dst=/x,tmpfs-mode=9":                  "octal permission bits",
		"--mount dst=":                                 "needs a value",
		"--device a:b:c:d":                             "a device is /path/on/host",
		"--device /x:xyz":                              "a device is /path/on/host",
		"--device /x:/y:rwr":                           "a device is /path/on/host",
		"--security-opt foo":                           "key=value is needed",
		"--security-opt seccomp=/nonexistent":          "seccomp profile: open /nonexistent",
		"--restart always:3":                           "a policy is no, on-failure[:N], always or unless-stopped",
		"--restart always --rm":                        "cannot specify both --restart and --rm",
		"--no-healthcheck --health-cmd x":              "--no-healthcheck conflicts with --health-* options",
		"--health-timeout -1s":                         "--health-timeout cannot be negative",
		"--health-retries -1":                          "--health-retries cannot be negative",
		"--env-file /nonexistent":                      "--env-file: open /nonexistent",
		"--cpu-shares many":                            `invalid argument "many" for "-c, --cpu-shares" flag`,
	} {
		_, err := build(t, append(strings.Fields(args), "image")...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
}

func TestSecondSpellingsJoinTheFirst(t *testing.T) {
	c, err := build(t, "--dns-opt", "a", "--dns-option", "b", "--net", "none", "--cpuset", "0,1", "-c", "2", "i")
	if err != nil {
		t.Fatal(err)
	}
	h := c.Body.HostConfig
	if !slices.Equal(h.DNSOptions, []string{"a", "b"}) || h.NetworkMode != "none" || h.CpusetCpus != "0,1" ||
		h.CPUShares != 2 {
		t.Errorf("got %+v", h)
	}
}

// TestWhatDockersClientTakesAsWell: older words, and the name of a CDI device in place of a path.
func TestWhatDockersClientTakesAsWell(t *testing.T) {
	c, err := build(t, "--mount", "type=bind,src=/a,dst=/x,bind-nonrecursive", "--annotation", "bare", "--device", "vendor.com/card=0",
		"--device", "/dev/fuse", "--device", "vendor.com/card=1", "--gpus", "2", "i")
	if err != nil {
		t.Fatal(err)
	}
	h := c.Body.HostConfig
	if len(h.Mounts) != 1 || !h.Mounts[0].BindOptions.NonRecursive {
		t.Errorf("mounts: %+v", h.Mounts)
	}
	if v, ok := h.Annotations["bare"]; !ok || v != "" {
		t.Errorf("annotations: %q", h.Annotations)
	}
	r := h.DeviceRequests
	if len(r) != 2 || r[0].Driver != "cdi" || !slices.Equal(r[0].DeviceIDs, []string{"vendor.com/card=0", "vendor.com/card=1"}) || r[1].Count != 2 {
		t.Errorf("requests: %+v", r)
	}
	if len(h.Devices) != 1 || h.Devices[0].PathOnHost != "/dev/fuse" {
		t.Errorf("devices: %+v", h.Devices)
	}
}

func TestEnvironmentOrder(t *testing.T) {
	t.Setenv("BRIG_TEST_HERE", "yes")
	file := filepath.Join(t.TempDir(), "env")
	text := "\ufeffA=file\n#no\n\nBRIG_TEST_HERE\nBRIG_TEST_NOT\nB=x=y \n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Environment([]string{file}, []string{"A=flag", "BRIG_TEST_HERE", "BRIG_TEST_NOT"})
	want := []string{"A=file", "BRIG_TEST_HERE=yes", "B=x=y ", "A=flag", "BRIG_TEST_HERE=yes", "BRIG_TEST_NOT"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"a b=c\n", "=x\n", "\xff=1\n"} {
		os.WriteFile(file, []byte(bad), 0o600)
		if _, err := Environment([]string{file}, nil); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestRefusedHereInTheEnginesWords: the page that people migrate with has the same sentence.
func TestRefusedHereInTheEnginesWords(t *testing.T) {
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	Bind(fs)
	for _, r := range refusedHere {
		if _, ours := fs.Lookup(r.name).Value.(*refusable); !ours {
			t.Logf("--%s is built: its line can go", r.name)
			continue
		}
		said := slices.ContainsFunc(compat.Entries(), func(e *compat.Entry) bool {
			return slices.Contains(e.Flags, "--"+r.name) && (r.why == "" && e.State == compat.Works ||
				e.State == compat.Missing && r.why == e.Why()+"; "+e.Instead)
		})
		if !said {
			t.Errorf("--%s: package compat says something else than %q", r.name, r.why)
		}
	}
	if _, err := build(t, "--disable-content-trust", "--use-api-socket=false", "--no-healthcheck", "i"); err != nil {
		t.Errorf("what asks for nothing is refused: %v", err)
	}
}

func TestTheCommandIsNotReadAsOptions(t *testing.T) {
	c, err := build(t, "-i", "alpine", "-v", "--rm", "--", "x")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Body.Config.Cmd; !slices.Equal(got, []string{"-v", "--rm", "--", "x"}) || c.Body.HostConfig.AutoRemove {
		t.Errorf("command %q", got)
	}
}

// FuzzOptions: no value of an option makes the command line panic or hang.
func FuzzOptions(f *testing.F) {
	f.Add("8080-8090:80/tcp", "type=tmpfs,dst=/x", "1.5", "/dev/a:r")
	f.Add("80", "name=a,alias=b,driver-opt=c=d", "1", "driver=a,count=all,device=1,options=a=b")
	f.Add("[::1]:1-65535:1-65535", `"type=bind",src=.,dst=/`, ".000000001", ":")
	f.Fuzz(func(t *testing.T, port, mount, cpus, device string) {
		_, _ = build(t, "--publish="+port, "--mount="+mount, "--cpus="+cpus, "--device="+device, "--volume="+mount, "image")
		_, _ = build(t, "--network="+mount, "--gpus="+device, "--device-read-bps=/dev/a:"+cpus, "image")
		if p, err := parsePublish(port); err == nil && (p.low == 0 || p.high < p.low) {
			t.Fatalf("%q became %+v", port, p)
		}
		if n, err := nanoCPUs(cpus); err == nil && n < 0 {
			t.Fatalf("%q became %d", cpus, n)
		}
	})
}
