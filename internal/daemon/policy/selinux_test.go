package policy

import (
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire"
	"github.com/brig-engine/brig/internal/wire/rules"
)

// What the options of an SELinux label come to, in both spellings, and who has to be asked about them; a host that has no
// SELinux refuses what nothing would look at, by name.
func TestSELinuxLabels(t *testing.T) {
	const refused = "no SELinux with a policy for containers"
	for _, test := range []struct {
		host                   string
		have, needs            bool
		label, level, complain string
	}{
		{`{}`, true, false, "", "", ""},
		{`{"SecurityOpt":["label=level:s0:c100,c200"]}`, true, false, "", "s0:c100,c200", ""},
		{`{"SecurityOpt":["label:level:s0:c100,c200"]}`, true, false, "", "s0:c100,c200", ""},
		{`{"SecurityOpt":["label:type:spc_t","label=level:s0"]}`, true, true, "system_u:system_r:spc_t", "s0", ""},
		{`{"SecurityOpt":["label=user:u","label=role:r"]}`, true, true, "u:r:container_t", "", ""},
		{`{"SecurityOpt":["label=disable"]}`, true, true, "disable", "", ""},
		{`{"SecurityOpt":["label:disable"]}`, false, false, "", "", ""},
		{`{"SecurityOpt":["label=level:s0"]}`, false, false, "", "", refused},
		{`{"SecurityOpt":["label:type:x"]}`, false, false, "", "", refused},
		{`{"SecurityOpt":["label=type:x:y"]}`, true, false, "", "", "no part of a label"},
		{`{"SecurityOpt":["label=level:s0 s1"]}`, true, false, "", "", "no part of a label"},
		{`{"SecurityOpt":["label=type:"]}`, true, false, "", "", "no part of a label"},
		{`{"SecurityOpt":["label=nested"]}`, true, false, "", "", "label is disable, or user:"},
		{`{"SecurityOpt":["label=disable","label=level:s0"]}`, true, false, "", "", "exclude each other"},
	} {
		e, err := withSELinux(t, `{"Image":"i","HostConfig":`+test.host+`}`, test.have)
		switch {
		case test.complain != "" && (err == nil || !strings.Contains(err.Error(), test.complain)):
			t.Errorf("%s: %v, want %q", test.host, err, test.complain)
		case test.complain != "":
		case err != nil:
			t.Errorf("%s: %v", test.host, err)
		case e.Spec.Process.Label != test.label || e.Spec.Process.Level != test.level || e.NeedsCaller != test.needs:
			t.Errorf("%s: label %q, level %q, needs its caller: %v", test.host, e.Spec.Process.Label, e.Spec.Process.Level, e.NeedsCaller)
		}
	}
}

func withSELinux(t *testing.T, body string, have bool) (*Effective, error) {
	t.Helper()
	r, err := Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	r.By = &rules.Caller{}
	in := Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(), Networks: testNetworks}
	in.Host.SELinux = have
	in.Owner = func(string) (*Owner, error) {
		return &Owner{ID: strings.Repeat("a", 64), ShareableIPC: true, Level: "s0:c5,c6"}, nil
	}
	in.Lend = func(string) (*Lent, error) {
		return &Lent{Spec: []wire.Mount{{Kind: wire.MountVolume, Source: "lent", Target: "/lent"}}, Shown: nil}, nil
	}
	return Make(in)
}

// Who joins a container has its level, so that both reach what they share; one who asks for another gets that.
func TestWhoJoinsHasTheLevel(t *testing.T) {
	for body, want := range map[string]string{
		`{"Image":"i","HostConfig":{"IpcMode":"container:x"}}`:                                                                 "s0:c5,c6",
		`{"Image":"i","HostConfig":{"IpcMode":"container:x","SecurityOpt":["label=level:s0:c7"]}}`:                             "s0:c7",
		`{"Image":"i","HostConfig":{"NetworkMode":"container:x"},"NetworkingConfig":{}}`:                                       "s0:c5,c6",
		`{"Image":"i","HostConfig":{"SecurityOpt":["label=level:s0:c8"],"NetworkMode":"none"}}`:                                "s0:c8",
		`{"Image":"i","HostConfig":{"SecurityOpt":["label=level:s0:c9"],"Annotations":{"brig.level":"strict"}},"User":"1000"}`: "s0:c9",
	} {
		e, err := withSELinux(t, body, true)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if e.Spec.Process.Level != want {
			t.Errorf("%s: %q, want %q", body, e.Spec.Process.Level, want)
		}
	}
}

// z and Z travel to the warden, which knows whether there is SELinux; together they make no sense.
func TestRelabelling(t *testing.T) {
	for bind, want := range map[string]string{"/h:/m": "", "/h:/m:z": "z", "/h:/m:ro,Z": "Z", "vol:/m:z": "z"} {
		e, err := withSELinux(t, `{"Image":"i","HostConfig":{"Binds":["`+bind+`"]}}`, false)
		if err != nil {
			t.Errorf("%s: %v", bind, err)
			continue
		}
		if got := e.Spec.Mounts[0].Relabel; got != want || len(e.Warnings) > 0 {
			t.Errorf("%s: %q, want %q; %v", bind, got, want, e.Warnings)
		}
	}
	if _, err := withSELinux(t, `{"Image":"i","HostConfig":{"Binds":["/h:/m:z,Z"]}}`, false); err == nil {
		t.Error("z and Z at once")
	}
}
