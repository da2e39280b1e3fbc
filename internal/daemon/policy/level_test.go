package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// ruled decides about the HostConfig of a request with more fields in front, by a policy.
func ruled(t *testing.T, p *rules.Policy, by *rules.Caller, more, asked string) (*Effective, error) {
	t.Helper()
	r, err := Decode([]byte(`{"Image":"i",` + more + `"HostConfig":{` + asked + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.By = by
	img := testImage()
	img.Names, img.Digests = []string{"registry.example/team/app:1"}, []string{"registry.example/team/app@sha256:" + strings.Repeat("3", 64)}
	host := testHost()
	host.ABI32 = true
	return Make(Input{ID: strings.Repeat("c", 64), Request: r, Image: img, Host: host, Networks: testNetworks, Policy: p, CDI: testCDI})
}

const (
	strictly = `"Annotations":{"brig.level":"strict"}`
	asUser   = `"User":"app",`
)

func TestLevelsBecomeTheseSpecs(t *testing.T) {
	compat := &rules.Policy{Grants: []rules.Grant{{Line: 9, Users: []uint32{0}, Allow: []string{"levels=compat", "capabilities=5"}}}}
	for name, c := range map[string]struct {
		policy     *rules.Policy
		more, host string
	}{
		"strict":            {nil, asUser, strictly},
		"strict-named":      {nil, `"User":"1000:1000",`, strictly + `,"NetworkMode":"bridge","CapDrop":["ALL"],"Tmpfs":{"/tmp":""},"SecurityOpt":["no-new-privileges","seccomp=builtin"]`},
		"strict-by-default": {&rules.Policy{Level: "strict", Strict: true}, asUser, `"NetworkMode":"default"`},
		"strict-docker":     {nil, asUser + `"NetworkingConfig":{"EndpointsConfig":{"default":{"Aliases":null}}},`, strictly + `,"NetworkMode":"default"`},
		"strict-profile":    {&rules.Policy{Level: "strict", Strict: true}, asUser, `"SecurityOpt":["seccomp={}"],"Annotations":{"brig.record":"true"}`},
		"compat":            {compat, "", `"Annotations":{"brig.level":"compat"}`},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ruled(t, c.policy, &rules.Caller{}, c.more, c.host)
			if err != nil {
				t.Fatal(err)
			}
			out, err := json.MarshalIndent(map[string]any{"spec": e.Spec, "needsCaller": e.NeedsCaller, "annotations": e.HostConf.Annotations,
				"level": e.Level, "granted": e.Granted, "profile": e.Profile, "networks": e.Networks}, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "level-"+name+".json", append(out, '\n'))
			if e.Level != Compat && e.Spec.Needs(true) != nil {
				t.Errorf("by the warden's rules it is not strict: %q", e.Spec.Needs(true))
			}
			if LevelOf(&e.HostConf) != e.Level {
				t.Errorf("inspect would show level %s", LevelOf(&e.HostConf))
			}
		})
	}
}

func TestLevelStrictRefusesWhatContradictsIt(t *testing.T) {
	_, err := ruled(t, nil, &rules.Caller{}, "", strictly+`,"CapAdd":["KILL"],"SecurityOpt":["seccomp=unconfined","no-new-privileges=false",
		"apparmor=unconfined","abi32=allow","label:disable","apparmor=mine"],"Devices":[{"PathOnHost":"/dev/fuse"}],"DeviceRequests":[{"Driver":"nvidia","Count":1}],
		"PortBindings":{"80/tcp":[{"HostPort":"8080"}]}`)
	var rs Refusals
	if !errors.As(err, &rs) {
		t.Fatal(err)
	}
	golden(t, "refused-level-strict.txt", []byte(err.Error()+"\n"))
	for body, want := range map[string]string{
		`"Annotations":{"brig.level":""}`:         "--annotation brig.level=: the levels are standard, strict and compat",
		`"Annotations":{"brig.level":"paranoid"}`: "--level, --annotation brig.level=paranoid: the levels are",
		`"Annotations":{"brig.level":"compat"}`:   `levels = ["compat"] in a rule [[allow]] with users = [0] in /etc/brig/policy.toml`,
	} {
		if _, err := ruled(t, nil, &rules.Caller{}, "", body); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "capabilities =") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// A user who is not root is refused each relaxation with the line that would allow it, and given it by that line.
func TestEachRelaxationIsRefusedWithItsLine(t *testing.T) {
	user := &rules.Caller{UID: 1000, GID: 1000}
	for host, c := range map[string]struct{ allow, option, line string }{
		`"CapAdd":["NET_ADMIN"]`:                          {"capabilities=12", "--cap-add NET_ADMIN", `capabilities = ["NET_ADMIN"]`},
		`"CapAdd":["sys_ptrace"]`:                         {"capabilities=19", "--cap-add SYS_PTRACE", `capabilities = ["SYS_PTRACE"]`},
		`"SecurityOpt":["seccomp=unconfined"]`:            {"security-opt=seccomp=unconfined", "--security-opt seccomp=unconfined", `security-opt = ["seccomp=unconfined"]`},
		`"SecurityOpt":["seccomp={\"defaultAction\":1}"]`: {"security-opt=seccomp=profile", "--security-opt seccomp=profile", `security-opt = ["seccomp=profile"]`},
		`"SecurityOpt":["abi32=allow"]`:                   {"security-opt=abi32=allow", "--security-opt abi32=allow", `security-opt = ["abi32=allow"]`},
		`"SecurityOpt":["no-new-privileges=false"]`:       {"security-opt=no-new-privileges=false", "--security-opt no-new-privileges=false", `security-opt = ["no-new-privileges=false"]`},
		`"Devices":[{"PathOnHost":"/dev/fuse"}]`:          {"devices=/dev/*", "--device /dev/fuse", `devices = ["/dev/fuse"]`},
		`"PortBindings":{"80/tcp":[{"HostPort":"80"}]}`:   {"ports=80", "-p 80", `ports = [80]`},
		`"Ulimits":[{"Name":"rtprio","Soft":5,"Hard":5}]`: {"ulimits=rtprio", "--ulimit rtprio", `ulimits = ["rtprio"]`},
		`"Annotations":{"brig.level":"compat"}`:           {"levels=compat", "--level compat", `levels = ["compat"]`},
	} {
		_, err := ruled(t, &rules.Policy{}, user, "", host)
		if !errdefs.IsPermissionDenied(err) || !strings.HasPrefix(err.Error(), c.option+": the rule policy.toml forbids it") ||
			!strings.Contains(err.Error(), c.line+" in a rule [[allow]] with users = [1000]") {
			t.Errorf("%s: %v", host, err)
		}
		p := &rules.Policy{Grants: []rules.Grant{{Line: 4, Users: []uint32{1000}, Allow: []string{c.allow}, Images: []string{"registry.example/team/*"}}}}
		e, err := ruled(t, p, user, "", host)
		if err != nil || !e.NeedsCaller || len(e.Granted) != 1 || e.Granted[0] != (Granted{c.line, 4}) {
			t.Errorf("%s, allowed: %v, %+v", host, err, e)
		}
		p.Grants[0].Images = []string{"registry.example/other/*"}
		if _, err = ruled(t, p, user, "", host); err == nil {
			t.Errorf("%s is allowed for every image", host)
		}
		if _, err = ruled(t, p, nil, "", host); err == nil || !strings.Contains(err.Error(), "not known") {
			t.Errorf("%s for nobody: %v", host, err)
		}
	}
	if _, err := ruled(t, &rules.Policy{Strict: true}, user, asUser, `"Annotations":{"brig.level":"standard"}`); err == nil || !strings.Contains(err.Error(), `levels = ["standard"]`) {
		t.Errorf("below the floor: %v", err)
	}
	if _, err := ruled(t, &rules.Policy{}, user, "", `"CapAdd":["SYS_ADMIN"]`); err == nil || strings.Contains(err.Error(), "policy.toml") {
		t.Errorf("what no line allows has no line: %v", err)
	}
}

func TestNoRootIsExecutedInAStrictContainer(t *testing.T) {
	in := ExecInput{Spec: &wire.Spec{Process: wire.Process{User: wire.User{UID: 1000}}}, Config: &container.Config{User: "app"}, Image: testImage(), Level: Strict}
	for user, want := range map[string]string{"": "", "app": "", "0": "level-strict", "root": "level-strict", "1001:0": ""} {
		in.Request = &container.ExecCreateRequest{User: user, Cmd: []string{"x"}}
		if _, err := MakeExec(in); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("-u %q: %v", user, err)
		}
	}
}

// A profile by itself lets a container come up without the user who started it; a listener is connected to as that user.
func TestAListenerNeedsItsCaller(t *testing.T) {
	for profile, want := range map[string]bool{"": false, BuiltinProfile: false, `{"defaultAction":"SCMP_ACT_ALLOW"}`: false,
		`{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/run/l"}`: true, `{"listener\u0050ath":"/run/l"}`: true} {
		if listens(profile) != want {
			t.Errorf("%s: %v", profile, !want)
		}
	}
}
