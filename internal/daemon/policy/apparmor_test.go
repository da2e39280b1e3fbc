package policy

import (
	"strings"
	"testing"

	"github.com/brig-engine/brig/internal/wire/rules"
)

// Which AppArmor profile a container gets: the engine's for its capabilities, or the one that was asked for; a host that
// has no AppArmor refuses what it could not do, by name.
func TestAppArmorProfiles(t *testing.T) {
	const refused = "the kernel of this host has no AppArmor"
	for _, test := range []struct {
		host            string
		have, needs     bool
		want, complaint string
	}{
		{`{}`, true, false, "brig-default", ""},
		{`{}`, false, false, "", ""},
		{`{"CapAdd":["NET_ADMIN"]}`, true, true, "brig-capable", ""},
		{`{"CapDrop":["ALL"]}`, true, false, "brig-default", ""},
		{`{"SecurityOpt":["apparmor=mine"]}`, true, true, "mine", ""},
		{`{"SecurityOpt":["apparmor:mine"]}`, true, true, "mine", ""},
		{`{"SecurityOpt":["apparmor=unconfined"]}`, true, true, "unconfined", ""},
		{`{"SecurityOpt":["apparmor:unconfined"]}`, false, false, "", ""},
		{`{"SecurityOpt":["apparmor=brig-default"],"CapAdd":["NET_ADMIN"]}`, true, true, "brig-capable", ""},
		{`{"SecurityOpt":["apparmor=mine"]}`, false, false, "", refused},
		{`{"SecurityOpt":["apparmor=brig-default"]}`, false, false, "", refused},
		{`{"SecurityOpt":["apparmor="]}`, true, false, "", "no name of a profile"},
		{`{"SecurityOpt":["apparmor=a b"]}`, true, false, "", "no name of a profile"},
	} {
		r, err := Decode([]byte(`{"Image":"i","HostConfig":` + test.host + `}`))
		if err != nil {
			t.Fatal(err)
		}
		r.By = &rules.Caller{}
		in := Input{ID: strings.Repeat("c", 64), Request: r, Image: testImage(), Host: testHost(), Networks: testNetworks}
		in.Host.AppArmor = test.have
		e, err := Make(in)
		switch {
		case test.complaint != "" && (err == nil || !strings.Contains(err.Error(), test.complaint)):
			t.Errorf("%s: %v, want %q", test.host, err, test.complaint)
		case test.complaint != "":
		case err != nil:
			t.Errorf("%s: %v", test.host, err)
		case e.Spec.Process.AppArmor != test.want || e.NeedsCaller != test.needs:
			t.Errorf("%s: profile %q, needs its caller: %v", test.host, e.Spec.Process.AppArmor, e.NeedsCaller)
		}
	}
}
