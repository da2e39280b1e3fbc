package filter

import (
	"strings"
	"testing"
)

func validFilter() Filter {
	return Filter{Arch: AMD64, Default: Errno, Errno: 1, Newest: 466, Rules: []Rule{
		{Calls: []uint32{0, 1}, Action: Allow},
		{Calls: []uint32{41}, Action: Errno, Errno: 97, Args: []Arg{
			{Index: 0, Op: MaskedEQ, Mask: 0xff, Value: 38}, {Index: 5, Op: GE, Value: 1 << 63}}}}}
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
		"notify":          {func(f *Filter) { f.Rules[0].Action = Notify }, ""},
		"errno of notify": {func(f *Filter) { f.Rules[1].Action = Notify }, "no error number"},
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
		"many conditions": {func(f *Filter) { f.Rules[1].Args = make([]Arg, MaxArgs+1) }, "conditions"},
		"many rules":      {func(f *Filter) { f.Rules = make([]Rule, MaxRules+1) }, "rules"},
		"many calls":      {func(f *Filter) { f.Rules[0].Calls = many(MaxCalls + 1) }, "call numbers"},
		"many calls in sum": {func(f *Filter) {
			f.Rules[0].Calls, f.Rules[1].Calls = many(MaxCalls-1), many(2)
		}, "call numbers"},
		"as many as allowed": {func(f *Filter) { f.Rules[0].Calls = many(MaxCalls - 1) }, ""},
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
