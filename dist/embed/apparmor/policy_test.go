package apparmor

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// What the command line has built in comes from the profiles here.
func TestTheBuiltInPolicyIsThatOfTheProfiles(t *testing.T) {
	policy, version, err := Program(".")
	if errors.Is(err, ErrNoCompiler) {
		t.Skip("missing: apparmor_parser")
	} else if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../../../internal/cli/launch/apparmor.policy")
	if err != nil {
		t.Fatal(err)
	}
	if version != Compiler {
		t.Logf("compiled by %s, committed is what %s wrote: the bytes may differ", version, Compiler)
	} else if !bytes.Equal(policy, committed) {
		t.Error("internal/cli/launch/apparmor.policy is not that of the profiles. Next: make embed")
	}
	for _, name := range []string{"brig-default", "brig-capable"} {
		if !bytes.Contains(committed, append([]byte(name), 0)) {
			t.Errorf("the policy has no profile %s", name)
		}
	}
}
