package wire

import (
	"encoding/json"
	"strings"
	"testing"
)

func validFilter() Filter {
	return Filter{Arch: FilterAMD64, Default: FilterErrno, Errno: 1, Newest: 466, Rules: []FilterRule{
		{Calls: []uint32{0, 1}, Action: FilterAllow},
		{Calls: []uint32{41}, Action: FilterErrno, Errno: 97, Args: []FilterArg{
			{Index: 0, Op: FilterMaskedEQ, Mask: 0xff, Value: 38}, {Index: 5, Op: FilterGE, Value: 1 << 63}}}}}
}

func TestFilterOutsideTheClosedSetIsRefused(t *testing.T) {
	many := func(n int) []uint32 { return make([]uint32, n) }
	for name, tc := range map[string]struct {
		change func(*Filter)
		want   string
	}{
		"architecture":    {func(f *Filter) { f.Arch = "386" }, "architecture"},
		"no architecture": {func(f *Filter) { f.Arch = "" }, "architecture"},
		"no default":      {func(f *Filter) { f.Default = "" }, "action"},
		"notify":          {func(f *Filter) { f.Rules[0].Action = "notify" }, "action"},
		"default errno":   {func(f *Filter) { f.Errno = 4096 }, "above 4095"},
		"rule errno":      {func(f *Filter) { f.Rules[1].Errno = 65535 }, "above 4095"},
		"errno of allow":  {func(f *Filter) { f.Rules[0].Errno = 1 }, "no error number"},
		"newest":          {func(f *Filter) { f.Newest = 1 << 30 }, "newest"},
		"no calls":        {func(f *Filter) { f.Rules[0].Calls = nil }, "names no call"},
		"x32 number":      {func(f *Filter) { f.Rules[0].Calls[0] = 1 << 30 }, "above"},
		"operator":        {func(f *Filter) { f.Rules[1].Args[0].Op = "like" }, "comparison"},
		"no operator":     {func(f *Filter) { f.Rules[1].Args[0].Op = "" }, "comparison"},
		"argument":        {func(f *Filter) { f.Rules[1].Args[0].Index = 6 }, "arguments 0 to 5"},
		"mask":            {func(f *Filter) { f.Rules[1].Args[1].Mask = 1 }, "no mask"},
		"many conditions": {func(f *Filter) { f.Rules[1].Args = make([]FilterArg, FilterMaxArgs+1) }, "conditions"},
		"many rules":      {func(f *Filter) { f.Rules = make([]FilterRule, FilterMaxRules+1) }, "rules"},
		"many calls":      {func(f *Filter) { f.Rules[0].Calls = many(FilterMaxCalls + 1) }, "call numbers"},
		"many calls in sum": {func(f *Filter) {
			f.Rules[0].Calls, f.Rules[1].Calls = many(FilterMaxCalls-1), many(2)
		}, "call numbers"},
		"as many as allowed": {func(f *Filter) { f.Rules[0].Calls = many(FilterMaxCalls - 1) }, ""},
		"unchanged":          {func(*Filter) {}, ""},
	} {
		f := validFilter()
		tc.change(&f)
		err := f.Validate()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestFilterDigestChangesWithMeaningAndSurvivesTheWire(t *testing.T) {
	f := validFilter()
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var back Filter
	if err := DecodeStrict(b, &back); err != nil {
		t.Fatal(err)
	}
	if f.Digest() != back.Digest() || !strings.HasPrefix(f.Digest(), "sha256:") || len(f.Digest()) != 71 {
		t.Errorf("digests %s and %s", f.Digest(), back.Digest())
	}
	back.Rules[1].Args[0].Value++
	if f.Digest() == back.Digest() {
		t.Error("another value, the same digest")
	}
	if err := DecodeStrict([]byte(`{"arch":"amd64","default":"allow","except":[1]}`), &back); err == nil {
		t.Error("an unknown field passes")
	}
}

func FuzzFilterDecodesOrIsRefused(f *testing.F) {
	b, err := json.Marshal(validFilter())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"arch":"arm64","default":"kill-process","rules":[{"calls":[4095],"action":"trace","errno":7}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var filter Filter
		if DecodeStrict(b, &filter) != nil || filter.Validate() != nil {
			return
		}
		out, err := json.Marshal(filter)
		if err != nil {
			t.Fatal(err)
		}
		var again Filter
		if err := DecodeStrict(out, &again); err != nil || again.Digest() != filter.Digest() {
			t.Fatalf("does not survive the wire: %v", err)
		}
	})
}
