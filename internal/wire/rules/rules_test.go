package rules

import "testing"

func TestGrantsAreForWhomTheyName(t *testing.T) {
	p := &Policy{Grants: []Grant{
		{Line: 1, Users: []uint32{1000}, Allow: []string{"capabilities=12", "devices=/dev/dri/*"}},
		{Line: 2, Groups: []uint32{50}, Images: []string{"registry.example/*"}, Allow: []string{"ports=*"}},
		{Line: 3, Everyone: true, Allow: []string{"ulimits=nice"}},
		{Line: 4, Allow: []string{"*"}},
	}}
	user := func(uid, gid uint32, groups ...uint32) *Caller { return &Caller{uid, gid, groups} }
	for _, c := range []struct {
		need  string
		by    *Caller
		image string
		line  int
	}{
		{"capabilities=12", user(1000, 1000), "", 1},
		{"capabilities=1", user(1000, 1000), "", 0},
		{"capabilities=12", user(1001, 1000), "", 0},
		{"capabilities=12", user(0, 0), "", 0},
		{"devices=/dev/dri/card0", user(1000, 1000), "", 1},
		{"devices=/dev/dri", user(1000, 1000), "", 0},
		{"ports=80", user(1, 50), "registry.example/a:1", 2},
		{"ports=80", user(1, 2, 3, 50), "registry.example/a:1", 2},
		{"ports=80", user(1, 50), "elsewhere/a:1", 0},
		{"ports=80", user(50, 1), "registry.example/a:1", 0},
		{"ulimits=nice", user(7, 7), "", 3},
		{"ulimits=nice", nil, "", 0},
		{"anything", user(0, 0), "", 0},
	} {
		line := 0
		if g := p.Allow(c.need, c.by, func(pattern string) bool { return Match(pattern, c.image) }); g != nil {
			line = g.Line
		}
		if line != c.line {
			t.Errorf("%s for %+v: line %d, want %d", c.need, c.by, line, c.line)
		}
	}
}
